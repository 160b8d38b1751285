"""One command from a trained run to its rows: what it leaves, what it continues, and the same on several ranks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from leangan.core.errors import Reported
from leangan.core.project import ROOT
from leangan.metrics import compute, features, measure
from leangan.metrics.store import load_features, load_meta, save_features
from leangan.runs import rows
from leangan.training import run

CPU = ["--device", "cpu", "--threads", "1"]
"""With one thread a run is the same each time."""

COUNT = 40
"""Fakes: a block of 32 and a part of one, so that two ranks have one each."""


@dataclass(frozen=True)
class Trained:
    """A run that has ended, and what it is measured with."""

    run_dir: Path
    data: Path
    subset: Path
    real: Path

    def options(self, out: Path) -> list[str]:
        """The command line that measures the run."""
        files = ["--run-dir", self.run_dir, "--data", self.data, "--subset", self.subset, "--real", self.real]
        return list(map(str, ["--protocol", "proxy", *files, "--n-fake", COUNT, "--out", out, *CPU]))

    def rewrite(self, **changes) -> None:
        """Change train.json."""
        path = self.run_dir / "train.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def parts(self) -> list[str]:
        """The features of fakes that lie there."""
        return sorted(path.name for path in (self.run_dir / "features-proxy").glob("*.safetensors"))


@pytest.fixture(scope="module")
def once(make_spec, prepared, tmp_path_factory) -> Trained:
    """Trained by the suite's own command, two snapshots; the features of the reals as well."""
    folder = tmp_path_factory.mktemp("measured")
    run_dir, real = folder / "run", folder / "real.safetensors"
    run_dir.mkdir()
    (run_dir / "spec.json").write_text(make_spec().to_json())
    files = ["--spec", run_dir / "spec.json", "--data", prepared[0], "--subset", prepared[1], "--run-dir", run_dir]
    assert run.main([*map(str, files), *CPU, "--tick-kimg", "0.064"]) == 0
    extracted = ["--extractor", "efficientnet_lite0", "--data", prepared[0], "--out", real, *CPU]
    features.main(list(map(str, extracted)))
    return Trained(run_dir, *prepared, real)


@pytest.fixture
def trained(once, tmp_path) -> Trained:
    """A copy of that run which a test may change."""
    return Trained(shutil.copytree(once.run_dir, tmp_path / "run"), once.data, once.subset, once.real)


@pytest.fixture(scope="module")
def by_hand(once, tmp_path_factory) -> list[dict]:
    """The rows of leangan.metrics.features and leangan.metrics.compute."""
    fake, out = tmp_path_factory.mktemp("hand") / "fake.json", tmp_path_factory.mktemp("rows") / "rows.jsonl"
    these = ["--protocol", "proxy", "--run-dir", once.run_dir, "--data", once.data, "--subset", once.subset]
    features.main(list(map(str, [*these, "--n-fake", COUNT, *CPU, "--out", fake])))
    compute.main(list(map(str, [*these, "--real", once.real, "--fake", fake, *CPU, "--out", out])))
    return rows.read(out)


def test_rows_and_picture_are_those_made_by_hand_and_no_features_are_left(trained, by_hand, tmp_path):
    before = sorted(trained.run_dir.rglob("*"))
    measure.main(trained.options(tmp_path / "rows" / "proxy.jsonl"))
    assert rows.read(tmp_path / "rows" / "proxy.jsonl") == by_hand
    assert {row.status for row in by_hand} == {"done"} and len({row.kimg for row in by_hand}) == 2
    snapshots = json.loads((trained.run_dir / "train.json").read_text())["snapshots"]
    assert {row.snapshot_sha256 for row in by_hand} == {snapshot["sha256"] for snapshot in snapshots}
    assert (tmp_path / "rows" / "neighbours-proxy.png").exists()
    assert sorted(trained.run_dir.rglob("*")) == before


def on_two_ranks(options: list[str]) -> subprocess.CompletedProcess:
    """The command as the workflow starts it, with one thread for each rank."""
    launch = ["launch", "--ranks", "2", "--threads", "2", "leangan"]
    command = [sys.executable, "-m", "leangan", *launch, "measure", *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_two_ranks_leave_the_same_rows(trained, by_hand, tmp_path):
    """Rank 0 measures alone when both have made their share of the fakes."""
    done = on_two_ranks(trained.options(tmp_path / "proxy.jsonl"))
    assert done.returncode == 0, done.stderr
    found = rows.read(tmp_path / "proxy.jsonl")
    assert len(found) == len(by_hand)
    for row, alone in zip(found, by_hand, strict=True):
        # A convolution rounds otherwise with another number of images at once.
        assert row.value == pytest.approx(alone.value, rel=1e-4, abs=1e-4)
        same = {"value": None, "spread": None}
        assert row.model_copy(update=same) == alone.model_copy(update=same)
    assert not trained.parts() and not (trained.run_dir / "features-proxy.json").exists()


class Interrupted(Exception):
    """Stands for whatever ends a command on the way."""


def test_an_interrupted_command_continues_at_the_snapshot_it_was_at(trained, by_hand, tmp_path, monkeypatch):
    made = []

    def counted(extractor, fakes, batch, title, original=features.fake_features):
        if len(made) == limit:
            raise Interrupted
        made.append(title)
        return original(extractor, fakes, batch, title)

    def failing(*_):
        raise Interrupted

    monkeypatch.setattr(features, "fake_features", counted)
    out, index = tmp_path / "proxy.jsonl", trained.run_dir / "features-proxy.json"
    limit = 1
    with pytest.raises(Interrupted):
        measure.main(trained.options(out))
    assert trained.parts() == ["000000.064.safetensors"] and not index.exists()
    limit = 2
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(compute, "write", failing)
        measure.main(trained.options(out))
    assert trained.parts() == ["000000.064.safetensors", "000000.128.safetensors"] and index.exists()
    measure.main(trained.options(out))
    assert len(made) == len(set(made)) == 2
    assert rows.read(out) == by_hand
    assert not (trained.run_dir / "features-proxy").exists() and not index.exists()


def test_the_index_goes_before_the_features_that_it_says_are_complete(trained, tmp_path, monkeypatch):
    def failing(folder):
        assert Path(folder).name == "features-proxy" and not Path(f"{folder}.json").exists()
        raise Interrupted

    monkeypatch.setattr("leangan.metrics.store.shutil.rmtree", failing)
    with pytest.raises(Interrupted):
        measure.main(trained.options(tmp_path / "proxy.jsonl"))


def test_a_run_that_gave_no_generator_is_a_row_without_fakes(trained, tmp_path, monkeypatch):
    """Nothing that making features needs is there."""
    trained.rewrite(status="diverged", reason="loss_d not finite at 0.01 kimg", snapshots=[])
    shutil.rmtree(trained.run_dir / "snapshots")
    monkeypatch.delattr(features, "load_extractor")
    lost = Trained(trained.run_dir, tmp_path / "no.npy", tmp_path / "no.json", tmp_path / "no.safetensors")
    measure.main(lost.options(tmp_path / "proxy.jsonl"))
    (row,) = rows.read(tmp_path / "proxy.jsonl")
    assert (row.status, row.value, row.reason) == ("diverged", None, "loss_d not finite at 0.01 kimg")


def test_what_does_not_belong_together_is_refused_before_fakes_are_made(trained, tmp_path, monkeypatch):
    monkeypatch.delattr(features, "load_extractor")
    out = tmp_path / "proxy.jsonl"
    origin = json.loads((trained.run_dir / "train.json").read_text())["origin"]
    for key, words in (("dataset_sha256", "features of other data than"), ("subset_digest", "lists other images than")):
        trained.rewrite(origin=origin | {key: "f" * 64})
        with pytest.raises(Reported, match=f"{words}"):
            measure.main(trained.options(out))
    trained.rewrite(origin=origin)
    other = replace(trained, real=tmp_path / "other.safetensors")
    save_features(other.real, load_features(trained.real), load_meta(trained.real) | {"tf32": True})
    with pytest.raises(Reported, match="/other.safetensors: features computed with TF32, but on this device"):
        measure.main(other.options(out))
    trained.rewrite(digest="f" * 64)
    with pytest.raises(Reported, match="/train.json: its digest is not the one in spec.json; "):
        measure.main(trained.options(out))
    assert not out.exists()


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_run_without_its_spec_is_measured_after_what_the_message_advises(trained, by_hand, tmp_path, content):
    """Training has nothing left to do: it writes both files again and leaves the snapshots as they are."""
    path, out = trained.run_dir / "spec.json", tmp_path / "proxy.jsonl"
    spec = Path(shutil.copy(path, tmp_path / "spec.json"))
    path.unlink() if content is None else path.write_text(content)
    result = trained.run_dir / "train.json"
    with pytest.raises(Reported, match=f"{path} is .*: delete {result} and run the same command"):
        measure.main(trained.options(out))
    result.unlink()
    files = ["--spec", spec, "--data", trained.data, "--subset", trained.subset, "--run-dir", trained.run_dir]
    assert run.main([*map(str, files), "--device", "cpu"]) == 0
    assert path.read_text() == spec.read_text()
    measure.main(trained.options(out))
    found = [(row.metric, row.value, row.snapshot_sha256) for row in rows.read(out)]
    assert found == [(row.metric, row.value, row.snapshot_sha256) for row in by_hand]


def test_a_snapshot_that_was_changed_ends_both_ranks(trained, tmp_path):
    """Whichever is first says why, and the other does not wait for it."""
    path = trained.run_dir / "snapshots" / "000000.128.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    done = on_two_ranks(trained.options(tmp_path / "proxy.jsonl"))
    again = f"train the run again: delete train.json, ckpt and snapshots in {trained.run_dir} and run the same command"
    assert f"error: {path}: its sha256 is not the one in train.json; {again}\n" in done.stderr
    assert done.returncode == 1 and not (tmp_path / "proxy.jsonl").exists()
