"""train.jsonl of the runs: one line per tick, averaged over seeds; and what a run amounts to when it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from leangan.core.errors import ConfigError
from leangan.results.measured_runs import Run, mean_and_range


def read_log(rows_dir: Path, run: str) -> pd.DataFrame:
    """The log of one run, indexed by kimg; ConfigError names the file and line that are broken."""
    path = rows_dir / run / "train.jsonl"
    if not path.exists():
        raise ConfigError(f"{path} is missing. Run snakemake for this run, or leave its figure out.")
    lines = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path}, line {number}: not valid JSON ({error.msg}).") from None
    if not lines or any("kimg" not in line for line in lines):
        raise ConfigError(f"{path} has no lines with a kimg.")
    return pd.DataFrame(lines).set_index("kimg")


TRAINING = {
    "images_per_s": ("images/s", 0),
    "accuracy_real": ("D right, reals", 2),
    "accuracy_fake_d": ("D right, fakes of D's step", 2),
    "accuracy_fake_g": ("D right, fakes of G's step", 2),
}
"""What a table may show of a run's training: heading and decimals."""


def value_at_end(rows_dir: Path, run: str, key: str) -> float | None:
    """`key` of TRAINING: images/s of the whole run, else the mean over its last quarter; None where it logs none."""
    log = read_log(rows_dir, run)
    if key == "images_per_s":
        return 1000 * log.index[-1] / log["seconds"].iloc[-1]
    if key not in log:
        return None
    values = log.loc[log.index > 0.75 * log.index[-1], key].dropna()
    return float(values.mean()) if len(values) else None


def seed_range(rows_dir: Path, runs: list[Run], key: str) -> pd.DataFrame | None:
    """Mean, min and max over the runs of one logged value at the ticks they share, None if none logs it."""
    logs = [read_log(rows_dir, run.run) for run in runs]
    values = [log[key].dropna() for log in logs if key in log and log[key].notna().any()]
    return mean_and_range(values) if values else None
