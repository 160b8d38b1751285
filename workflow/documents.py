"""`python workflow/documents.py`: writes the files that are generated from the types in the code.

These are the JSON schemas of workflow/schemas/, the pages docs/configuration.md and docs/presets.md, and the table of
methods in README.md. `make docs` calls it; with --check it writes nothing and ends with 1 if a file is not what the
types say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import configuration_page  # noqa: E402
import methods_table  # noqa: E402
import presets_page  # noqa: E402

from leangan.core.schemas import Record, json_schema  # noqa: E402
from leangan.leaderboard.line import Leaderboard  # noqa: E402
from leangan.metrics.protocols import ProtocolEntry  # noqa: E402
from leangan.planning.costs_file import Costs  # noqa: E402
from leangan.results.published import PublishedNumber  # noqa: E402
from leangan.results.submitted import Claim, Submission  # noqa: E402
from leangan.runs.artefact_sections import ArtefactConfig  # noqa: E402
from leangan.runs.row import Row  # noqa: E402
from leangan.runs.sections import Config, Scale  # noqa: E402

SCHEMAS: dict[str, type[Record]] = {
    "config": Config,
    "scale": Scale,
    "artefact": ArtefactConfig,
    "protocol": ProtocolEntry,
    "costs": Costs,
    "row": Row,
    "claim": Claim,
    "published": PublishedNumber,
    "submission": Submission,
    "leaderboard": Leaderboard,
}
"""The records with a schema in workflow/schemas/<name>.schema.yaml."""

PAGES: dict[str, Callable[[], str]] = {
    "docs/configuration.md": configuration_page.page,
    "docs/presets.md": presets_page.page,
    "README.md": methods_table.page,
}
"""What writes the pages."""


def schema_text(kind: type[Record]) -> str:
    """A record's schema as YAML."""
    head = f"# Generated from {kind.__name__} in {kind.__module__} by `make docs`.\n"
    return head + yaml.safe_dump(json_schema(kind), sort_keys=False, width=120, allow_unicode=True)


def documents() -> dict[Path, str]:
    """The text of each generated file."""
    schemas = {ROOT / f"workflow/schemas/{name}.schema.yaml": schema_text(kind) for name, kind in SCHEMAS.items()}
    return schemas | {ROOT / name: page() for name, page in PAGES.items()}


def main() -> int:
    generated = documents()
    stale = [path for path, text in generated.items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the types say: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(generated[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
