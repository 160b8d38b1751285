"""The table of all rows, results.csv, with its numbers, flags and lists as such."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.metrics.families import is_published_name
from leangan.results import metric_names
from leangan.results.collect import read_rows, to_csv

NUMBERS = [
    "images", "resolution", "seed", "kimg", "value", "spread", "n_real", "n_fake", "total_kimg",
    "published_kimg", "protocol.input_px", "protocol.eval_seeds", "provenance.seconds", "provenance.images_per_s",
]  # fmt: skip
FLAGS = ["conditional", "proxy", "protocol.tf32", "provenance.dirty", "provenance.tf32"]
REQUIRED = [
    "run", "dataset", "resolution", "images", "conditional", "backbone", "preset", "method", "method_title",
    "seed", "kimg", "metric", "value", "proxy", "status", "reason", "source",
]  # fmt: skip

PROTOCOL = [
    "protocol.name", "protocol.extractor", "protocol.extractor_sha256", "protocol.input_px",
    "protocol.resize", "protocol.library", "protocol.tf32", "protocol.statistics", "protocol.eval_seeds", "n_real",
    "n_fake", "reference", "proxy",
]  # fmt: skip
"""The columns that must agree before two values of a metric may share a column, a mean or a ranking."""


def read_results(path: str | Path) -> pd.DataFrame:
    """The table written by `results.collect`, with numbers, flags and missing values as such.

    Raises ConfigError where the file is missing, is no such table, is empty, or calls a proxy FID, KID or IS.
    """
    if not Path(path).is_file():
        raise ConfigError(f"{path} is missing. Write it with leangan collect.")
    return parse_results(Path(path).read_text(), str(path))


def parse_results(text: str, where: str) -> pd.DataFrame:
    """The same from the text of such a table; `where` names its source in messages."""
    table = _read_strings(text)
    missing = [name for name in REQUIRED if name not in table]
    if missing or table.empty:
        lack = f"lacks the columns {', '.join(missing)}" if missing else "holds no rows"
        raise ConfigError(f"{where} {lack}. Write it with leangan collect.")
    return _convert_columns(table, where)


def stored_results(specs: Iterable[RunSpec], protocol: str, rows_dir: Path) -> pd.DataFrame:
    """The same of these runs under one protocol, from the files in `rows_dir`, results/<scale>/rows."""
    lines = read_rows(specs, protocol, rows_dir)
    return parse_results(to_csv(lines), str(rows_dir)) if lines else no_results()


def no_results() -> pd.DataFrame:
    """The table without rows."""
    return _convert_columns(pd.DataFrame(columns=REQUIRED, dtype=object), "")


def _read_strings(text: str) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _convert_columns(table: pd.DataFrame, where: str) -> pd.DataFrame:
    for name in NUMBERS:
        table[name] = pd.to_numeric(table[name]) if name in table else np.nan
    for name in FLAGS:
        if name in table:
            table[name] = table[name].map({"true": True, "false": False}).astype(object)  # Python's True, as in a row
    for name in {*PROTOCOL, "setting", "submitted_by"} - set(table):
        table[name] = np.nan
    table["protocol.tf32"] = table["protocol.tf32"].eq(True).astype(object)  # rows that state nothing: without
    table["metric"] = table["metric"].fillna("")
    for name in table.loc[table["proxy"].eq(True) & table["status"].eq("done"), "metric"].unique():
        if is_published_name(metric_names.parse(name, where).family):
            raise ConfigError(f"{where}: {name!r} is a proxy; FID, KID and IS are names of Inception's metrics only.")
    return table


def methods_of(row: pd.Series) -> list[dict[str, str]]:
    """The plugins of the run as the row's provenance lists them: name, code_sha256, home; empty if not stated."""
    return _list_in(row, "provenance.methods")


def earlier_commits_of(row: pd.Series) -> list[str]:
    """The commits other than the row's own under which the run was trained before an interruption."""
    return _list_in(row, "provenance.earlier_commits")


def _list_in(row: pd.Series, key: str) -> list[Any]:
    stated = row.get(key)
    return json.loads(stated) if isinstance(stated, str) else []
