"""Results rows: one JSON object per run x snapshot x metric, kept as one JSONL file per run and protocol."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json, write_atomic
from leangan.core.schemas import parse
from leangan.core.spec import SCHEME, RunSpec, check_scheme
from leangan.runs.row import Row


def identity(spec: RunSpec, method_title: str) -> dict[str, Any]:
    """The columns that say which run a row belongs to."""
    return {
        "scheme": SCHEME,
        "run": spec.run_id,
        "setting": spec.setting,
        "dataset": spec.dataset,
        "images": spec.images,
        "resolution": spec.resolution,
        "conditional": spec.conditional,
        "backbone": spec.backbone,
        "preset": spec.preset,
        "method": spec.method,
        "method_title": method_title,
        "seed": spec.seed,
        "total_kimg": spec.total_kimg,
        "published_kimg": spec.labels.published_kimg,
    }


def without_value(
    spec: RunSpec, protocol: str, status: str, reason: str, provenance: dict[str, Any] | None = None
) -> Row:
    """The row of a run that gives no number: `status` is skip, diverged or error, `reason` says why."""
    nothing = dict.fromkeys(["commit", "dirty", "torch", "device", "seconds", "images_per_s", "time_utc"])
    content = {
        **identity(spec, spec.method),
        **dict.fromkeys(["kimg", "value", "spread", "n_real", "n_fake", "reference"]),
        **{"family": "", "metric": "", "proxy": False},
        "protocol": {
            **dict.fromkeys(["extractor", "extractor_sha256", "input_px", "resize", "library"]),
            "name": protocol,
        },
        "provenance": provenance or nothing,
        **{"status": status, "reason": reason, "source": "measured"},
    }
    return parse(Row, content, f"the row of {spec.run_id}")


def line_of(row: Row) -> str:
    """The row as a line of its file, without what it does not state."""
    return json.dumps(row.model_dump(exclude_unset=True), sort_keys=True, allow_nan=False)


def write(path: str | Path, rows: Iterable[Row]) -> None:
    """Check every row, then write them all or nothing."""
    lines = []
    for row in rows:
        if row.value is not None and not math.isfinite(row.value):
            raise ConfigError(f"{row.metric} of {row.run} is {row.value}, which is no result.")
        lines.append(line_of(row))
        parse(Row, json.loads(lines[-1]), f"a row for {path}")
    write_atomic(path, "".join(line + "\n" for line in lines))


def check_folder(folder: Path) -> None:
    """Raise ConfigError where rows below results/<scale>/rows belong to runs of another scheme, before hours are spent.

    Looks at spec.json, or at the first row of a run without one; reading all of it tells of what is damaged.
    """
    for run in sorted(folder.glob("*/*")):
        rows = (path for path in sorted(run.glob("*.jsonl")) if path.name != "train.jsonl")
        path = run / "spec.json" if (run / "spec.json").exists() else next(rows, None)
        if path is None:
            continue
        with path.open("rb") as file, contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
            content = json.loads(file.read() if path.suffix == ".json" else file.readline())
            if isinstance(content, dict):
                check_scheme(content, str(path))


def parse_row(content: Any, where: str) -> Row:
    """The row in a file's `content`. Raises ConfigError, naming `where`, if it is not a row."""
    if isinstance(content, dict):
        check_scheme(content, f"{where},")
        check_family(content, where)
    return parse(Row, content, where)


def check_family(content: dict[str, Any], where: str) -> None:
    """Raise ConfigError, which says what to do, for a row of an earlier version, which did not state its family."""
    if "metric" in content and "family" not in content:
        raise ConfigError(
            f"{where} lacks family, which rows of earlier versions did not state. Add the metric without number of "
            'fakes, reference and extractor, such as "family": "fid" beside "metric": "fid50k_full" ("" beside ""); '
            "or delete the file and run the same command, which measures the run again."
        )


def read(path: str | Path) -> list[Row]:
    """The checked rows of one file; ConfigError names the file and the line that is broken."""
    rows = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        try:
            content = parse_json(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: not valid JSON ({error}).") from None
        rows.append(parse_row(content, f"{path}, line {number}"))
    return rows
