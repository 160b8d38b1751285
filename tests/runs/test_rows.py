"""Rows are checked on the way in and out, and written all or nothing."""

import json

import pytest

from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.core.project import ROOT
from leangan.runs import rows


def good_row(make_spec, **changes):
    """The content of a row."""
    row = json.loads(rows.line_of(rows.without_value(make_spec(), "proxy", "skip", "no sense")))
    row |= {"status": "done", "reason": None, "value": 1.5, "kimg": 0.5, "family": "fid", "metric": "fid50k_full"}
    return {**row, **changes}


def parsed(content):
    return rows.parse_row(content, "a row")


def test_rows_of_the_earlier_scheme_are_refused_in_one_sentence(make_spec, tmp_path):
    row = good_row(make_spec)
    del row["scheme"]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match="rows.jsonl, line 1, belongs to a run of scheme 1; this version writes.* 2"):
        rows.read(tmp_path / "rows.jsonl")


def test_a_tree_of_the_earlier_scheme_is_found_before_anything_runs(make_spec, tmp_path):
    old, new = tmp_path / "a-1/old-run/proxy.jsonl", tmp_path / "a-1/refused-run/proxy.jsonl"
    rows.write(new, [parsed(good_row(make_spec))])
    (new.parent / "train.jsonl").write_text('{"kimg": 1}\n')
    rows.check_folder(tmp_path)
    rows.check_folder(tmp_path / "absent")
    old.parent.mkdir()
    old.write_text(json.dumps({key: value for key, value in good_row(make_spec).items() if key != "scheme"}) + "\n")
    with pytest.raises(ConfigError, match="old-run/proxy.jsonl belongs to a run of scheme 1.*Move that results tree"):
        rows.check_folder(tmp_path)
    old.write_text("{")
    rows.check_folder(tmp_path)


def test_rows_survive_the_round_trip(make_spec, tmp_path):
    written = [parsed(good_row(make_spec)), rows.without_value(make_spec(), "proxy", "diverged", "loss not finite")]
    rows.write(tmp_path / "a" / "rows.jsonl", written)
    assert rows.read(tmp_path / "a" / "rows.jsonl") == written


def test_a_line_states_what_the_row_states_and_nothing_else(make_spec, tmp_path):
    """Bytes of tracked rows stay: numbers as they were written, keys that are null, and no keys of later versions."""
    content = good_row(make_spec, kimg=15, n_real=None)
    del content["total_kimg"], content["published_kimg"]
    (tmp_path / "a.jsonl").write_text(json.dumps(content, sort_keys=True) + "\n")
    rows.write(tmp_path / "b.jsonl", rows.read(tmp_path / "a.jsonl"))
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_a_row_without_family_is_refused_with_the_remedy(make_spec, tmp_path):
    content = good_row(make_spec)
    del content["family"]
    (tmp_path / "rows.jsonl").write_text(json.dumps(content) + "\n")
    with pytest.raises(
        ConfigError, match='rows.jsonl, line 1 lacks family.*Add .*"family": "fid" beside "metric": "fid50'
    ):
        rows.read(tmp_path / "rows.jsonl")


def test_every_tracked_row_is_read_and_would_be_written_as_it_is():
    files = [path for path in ROOT.glob("results/*/rows/*/*/*.jsonl") if path.name != "train.jsonl"]
    assert all(path.read_text() == "".join(f"{rows.line_of(row)}\n" for row in rows.read(path)) for path in files)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"status": "finished"}, ["status", "finished", "done"]),
        ({"value": None}, ["value"]),
        ({"value": "12"}, ["value", "'12'"]),
        ({"value": float("nan")}, ["fid50k_full", "nan"]),
        ({"images": 0}, ["images"]),
        ({"metrc": "x"}, ["metrc", "metric"]),
        ({"source": "guessed"}, ["source", "guessed", "measured"]),
        ({"status": "skip", "value": None, "reason": None}, ["reason"]),
    ],
)
def test_a_wrong_row_is_refused_by_name_and_nothing_is_written(make_spec, tmp_path, changes, words):
    with pytest.raises(ConfigError) as error:
        contents = good_row(make_spec), good_row(make_spec, **changes)
        rows.write(tmp_path / "rows.jsonl", map(parsed, contents))
    assert all(word in str(error.value) for word in words), str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_broken_line_is_named(make_spec, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(good_row(make_spec)) + '\n{"run": \n')
    with pytest.raises(ConfigError, match="rows.jsonl, line 2: not valid JSON"):
        rows.read(path)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
