"""`python workflow/documents.py`: writes the files that are generated from the types in the code.

These are the JSON schemas of workflow/schemas/. `make docs` calls it; with --check it writes nothing and ends with 1 if
a file is not what the types say.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from leangan.core.schemas import Record, json_schema  # noqa: E402
from leangan.results.submitted import Claim, Submission  # noqa: E402
from leangan.runs.row import Row  # noqa: E402

SCHEMAS: dict[str, type[Record]] = {"row": Row, "claim": Claim, "submission": Submission}
"""The records with a schema in workflow/schemas/<name>.schema.yaml."""


def schema_text(kind: type[Record]) -> str:
    """A record's schema as YAML."""
    head = f"# Generated from {kind.__name__} in {kind.__module__} by `make docs`.\n"
    return head + yaml.safe_dump(json_schema(kind), sort_keys=False, width=120, allow_unicode=True)


def documents() -> dict[Path, str]:
    """The text of each generated file."""
    return {ROOT / f"workflow/schemas/{name}.schema.yaml": schema_text(kind) for name, kind in SCHEMAS.items()}


def main() -> int:
    stale = [path for path, text in documents().items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the types say: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(documents()[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
