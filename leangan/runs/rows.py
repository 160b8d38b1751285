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
from leangan.core.schemas import check
from leangan.core.spec import SCHEME, RunSpec, check_scheme


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
    spec: RunSpec, protocol: str, status: str, reason: str, provenance: dict | None = None
) -> dict[str, Any]:
    """The row of a run that gives no number: `status` is skip, diverged or error, `reason` says why."""
    nothing = dict.fromkeys(["commit", "dirty", "torch", "device", "seconds", "images_per_s", "time_utc"])
    return {
        **identity(spec, spec.method),
        **{"kimg": None, "metric": "", "value": None, "spread": None, "n_real": None, "n_fake": None},
        **{"reference": None, "proxy": False},
        "protocol": {
            **dict.fromkeys(["extractor", "extractor_sha256", "input_px", "resize", "library"]),
            "name": protocol,
        },
        "provenance": provenance or nothing,
        **{"status": status, "reason": reason, "source": "measured"},
    }


def write(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Check every row against the schema, then write them all or nothing."""
    lines = []
    for row in rows:
        check(row, "row", f"a row for {path}")
        if row["value"] is not None and not math.isfinite(row["value"]):
            raise ConfigError(f"{row['metric']} of {row['run']} is {row['value']}, which is no result.")
        lines.append(json.dumps(row, sort_keys=True, allow_nan=False))
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


def read(path: str | Path) -> list[dict[str, Any]]:
    """The checked rows of one file; ConfigError names the file and the line that is broken."""
    rows = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: not valid JSON ({error}).") from None
        if isinstance(row, dict):
            check_scheme(row, f"{path}, line {number},")
        check(row, "row", f"{path}, line {number}")
        rows.append(row)
    return rows
