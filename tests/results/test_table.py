"""results.csv: what is written of rows is read back as these rows, and what is no such table is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leangan.core.errors import ConfigError
from leangan.results.table import parse_results, read_results, to_csv
from leangan.runs.rows import line_of, parse_row
from tests.helpers.synthetic import failed_row, row

DIGEST = st.text("0123456789abcdef", min_size=64, max_size=64)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)
LENGTH = st.floats(1e-9, 1e9) | st.integers(1, 10**9)
METHOD = st.fixed_dictionaries({"name": TEXT, "code_sha256": DIGEST, "home": st.sampled_from(["project", "folder"])})
PROVENANCE = st.fixed_dictionaries(
    {"commit": st.none() | TEXT, "dirty": st.none() | st.booleans(), "torch": TEXT, "device": st.none() | TEXT},
    optional={
        "seconds": st.none() | NUMBER,
        "tf32": st.none() | st.booleans(),
        "half_type": st.sampled_from([None, "bfloat16", "none"]),
        "dataset_sha256": st.none() | DIGEST,
        "earlier_commits": st.lists(TEXT, max_size=2),
        "methods": st.lists(METHOD, max_size=2),
    },
)
CHANGES = st.fixed_dictionaries(
    {"method_title": st.just("") | TEXT, "conditional": st.booleans(), "n_real": st.none() | st.integers(1, 10**9)},
    optional={
        "spread": st.none() | LENGTH,
        "spread_over": st.sampled_from([None, "bootstrap samples", "evaluation seeds"]),
        "total_kimg": LENGTH,
        "published_kimg": st.none() | LENGTH,
        "snapshot_sha256": DIGEST,
        "submitted_by": TEXT,
        "url": TEXT,
    },
)


@settings(max_examples=100, deadline=None)
@given(NUMBER, LENGTH, PROVENANCE, CHANGES, st.booleans())
def test_a_row_survives_its_file_and_the_table(value, kimg, provenance, changes, tf32):
    """A table holds neither carriage returns nor, where a field may be null, empty texts."""
    written = row("ada", 0, "fd", kimg, value, protocol={"tf32": tf32}, provenance=provenance, **changes)
    stored = parse_row(json.loads(line_of(written)), "a line")
    assert stored == written
    others = [failed_row("bcr", 0, "skip", 'needs "labels",\nand more'), row("none", 1, "recall", 1, 0.5)]
    back = parse_results(to_csv([stored, *others]), "r.csv")
    assert back == [written, *others]
    assert [type(each.value) for each in back] == [type(each.value) for each in [written, *others]]


def test_columns_are_the_fields_with_those_of_nested_records_behind_a_dot():
    head, line = to_csv([row("none", 0, "fd", 2.5, 0.1 + 0.2, provenance={"methods": []})]).splitlines()
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert list(cells)[:2] == ["dataset", "resolution"]
    assert cells["family"] == "fd" and cells["protocol.name"] == "proxy" and cells["provenance.torch"] == "2.15.0"
    assert cells["value"] == "0.30000000000000004" and cells["proxy"] == "true" and cells["spread"] == ""
    assert cells["provenance.methods"] == "[]" and "provenance.earlier_commits" not in cells


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"r\.csv is missing.*leangan collect"):
        read_results(tmp_path / "r.csv")


GOOD = to_csv([row("none", 0, "fd", 2.5, 9.0)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"r\.csv lacks the columns scheme, run, .*leangan collect"),
        ("run,value\na,1\n", r"r\.csv lacks the columns scheme, dataset, .*family"),
        (GOOD.splitlines()[0] + "\n", r"r\.csv holds no rows.*leangan collect"),
        (GOOD.replace(",9.0", ",nine"), r"r\.csv, row 1, value = 'nine' is no number, flag or list"),
        (GOOD.replace(",9.0", ","), r"value = None must be of type number. Change it in r\.csv, row 1"),
        (GOOD.replace(",9.0", ",NaN"), r"r\.csv, row 1, value = 'NaN' is no number, flag or list"),
        (GOOD.replace(",spread,", ",sprea,"), r"r\.csv lacks the columns spread"),
        (
            GOOD.replace(",value\n", ",value,run.x\n").replace(",9.0\n", ",9.0,a\n"),
            r"unknown key 'run.x'.*r\.csv, row 1",
        ),
        (GOOD.replace("fd1k_full_", "fid1k_full_"), r"r\.csv, row 1: metric is 'fid1k_full_.*must be 'fd1k"),
    ],
)
def test_what_is_no_table_of_rows_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_results(text, "r.csv")
