"""Rows are checked on the way in and out, and written all or nothing."""

import json

import pytest

from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.runs import rows


def good_row(make_spec, **changes):
    row = rows.without_value(make_spec(), "proxy", "skip", "no sense")
    row |= {"status": "done", "reason": None, "value": 1.5, "kimg": 0.5, "metric": "fid50k_full"}
    return {**row, **changes}


def test_rows_of_the_earlier_scheme_are_refused_in_one_sentence(make_spec, tmp_path):
    row = good_row(make_spec)
    del row["scheme"]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match="rows.jsonl, line 1, belongs to a run of scheme 1; this version writes.* 2"):
        rows.read(tmp_path / "rows.jsonl")


def test_a_tree_of_the_earlier_scheme_is_found_before_anything_runs(make_spec, tmp_path):
    old, new = tmp_path / "a-1/old-run/proxy.jsonl", tmp_path / "a-1/refused-run/proxy.jsonl"
    rows.write(new, [good_row(make_spec)])
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
    written = [good_row(make_spec), rows.without_value(make_spec(), "proxy", "diverged", "loss not finite")]
    rows.write(tmp_path / "a" / "rows.jsonl", written)
    assert rows.read(tmp_path / "a" / "rows.jsonl") == json.loads(json.dumps(written))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"status": "finished"}, ["status", "finished", "done"]),
        ({"value": None}, ["value"]),
        ({"value": "12"}, ["value", "'12'"]),
        ({"value": float("nan")}, ["nan"]),
        ({"images": 0}, ["images"]),
        ({"metrc": "x"}, ["metrc", "metric"]),
        ({"source": "guessed"}, ["source", "guessed", "measured"]),
        ({"status": "skip", "value": None, "reason": None}, ["reason"]),
    ],
)
def test_a_wrong_row_is_refused_by_name_and_nothing_is_written(make_spec, tmp_path, changes, words):
    with pytest.raises(ConfigError) as error:
        rows.write(tmp_path / "rows.jsonl", [good_row(make_spec), good_row(make_spec, **changes)])
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
