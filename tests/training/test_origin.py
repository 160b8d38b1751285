"""A run whose data, methods or parent have changed starts from scratch, says so and loses nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from leangan.augment import none
from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.data import prepare, subset
from leangan.plugins import registry
from leangan.training import checkpoint, origin
from leangan.training import run as command
from leangan.training.loop import train
from leangan.training.origin import resume

CPU = torch.device("cpu")


class Project:
    """A data set of 40 images in a folder, prepared and chosen from, and runs that train on it."""

    def __init__(self, folder: Path, make_spec) -> None:
        self.folder, self.make_spec = folder, make_spec
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        for i in range(40):
            self.draw(self.images / f"{i:02d}.png", seed=i)
        self.prepare()

    def draw(self, path: Path, seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=0)

    def prepare(self, *options: str, path: Path | None = None) -> None:
        data, chosen = str(self.folder / "data.npy"), str(self.folder / "subset.json")
        source = ["--dataset", "mine", "--path", str(path or self.images), "--resolution", "16", "--crop"]
        prepare.main([*source, "--jobs", "1", *options, "--out", data])
        subset.main(["--data", data, "--size", "24", "--seed", "0", "--out", chosen])

    def spec(self, method: str = "none", **changes) -> RunSpec:
        return self.make_spec(method, dataset="mine", **{"total_kimg": 0.064, "snapshot_kimg": 0.032, **changes})

    def train(self, spec: RunSpec, *options: str, stop: bool = False) -> Path:
        """Train in the folder of the spec's id; `stop`: interrupt after the first checkpoint."""
        run_dir = self.folder / "runs" / spec.run_id
        path = self.folder / "spec.json"
        path.write_text(spec.to_json())
        files = ["--spec", path, "--data", self.folder / "data.npy", "--subset", self.folder / "subset.json"]
        with pytest.MonkeyPatch.context() as patch:
            if stop:
                patch.setattr(command, "train", interrupted)
            code = command.main([*map(str, files), "--run-dir", str(run_dir), "--device", "cpu", *options])
        assert code == (command.TERMINATED if stop else 0)
        return run_dir


def interrupted(spec, data, run_dir, device, tick_kimg, checkpoint_seconds, stop, *others):
    calls = iter(range(100))
    return train(spec, data, run_dir, device, tick_kimg, 0.0, lambda: next(calls) >= 2, *others)


@pytest.fixture
def project(tmp_path, make_spec) -> Project:
    return Project(tmp_path, make_spec)


def result(run_dir: Path) -> dict:
    return json.loads((run_dir / "train.json").read_text())


def snapshots(run_dir: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(run_dir.glob("snapshots/*"))]


def add(project: Project) -> None:
    project.draw(project.images / "40.png", seed=40)
    project.prepare()


def remove(project: Project) -> None:
    (project.images / "00.png").unlink()
    project.prepare()


def overwrite(project: Project) -> None:
    size = (project.images / "07.png").stat().st_size
    project.draw(project.images / "07.png", seed=700)
    assert (project.images / "07.png").stat().st_size == size, "the file's size is no help"
    project.prepare()


def move(project: Project) -> None:
    other = project.folder / "other"
    other.mkdir()
    for i in range(40):
        project.draw(other / f"{i:02d}.png", seed=1000 + i)
    project.prepare(path=other)


def resize(project: Project) -> None:
    project.prepare("--resize", "lanczos")


CHANGES = {"added": add, "removed": remove, "overwritten": overwrite, "another path": move, "another filter": resize}


@pytest.mark.parametrize("stop", [False, True], ids=["finished", "interrupted"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_run_on_data_that_changed_starts_anew_and_its_old_networks_are_kept_apart(project, caplog, change, stop):
    spec = project.spec()
    run_dir = project.train(spec, stop=stop)
    before, first = snapshots(run_dir), list(run_dir.glob("ckpt/*.pt"))
    known = checkpoint.load_latest(run_dir / "ckpt", CPU)["origin"]["dataset_sha256"]
    change(project)
    caplog.clear()
    project.train(spec)
    now = result(run_dir)["origin"]["dataset_sha256"]
    assert now == json.loads((project.folder / "data.json").read_text())["sha256"] != known
    said = [record.message for record in caplog.records if "origin" in record.message]
    assert len(said) == 1 and f"data set {known[:8]} -> {now[:8]}" in said[0] and "\n" not in said[0]
    assert "starts from scratch" in caplog.text
    assert snapshots(run_dir) and not set(snapshots(run_dir)) & set(before)
    (aside,) = (run_dir / "replaced").iterdir()
    assert str(aside) in said[0]
    assert snapshots(aside) == before and {path.name for path in aside.glob("ckpt/*.pt")} == {p.name for p in first}
    # It trained from its beginning, as a run that never was anything else.
    fresh = project.train(spec_elsewhere(spec))
    assert [line["cur_nimg"] for line in log(run_dir)] == [line["cur_nimg"] for line in log(fresh)]
    assert [line["loss_g"] for line in log(run_dir)] == [line["loss_g"] for line in log(fresh)]


def spec_elsewhere(spec: RunSpec) -> RunSpec:
    """The same training on a CPU under another id, whose folder is another one."""
    return replace(spec, tf32=True)


def log(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "train.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stop", [False, True], ids=["finished", "interrupted"])
def test_data_prepared_again_with_the_same_pixels_changes_nothing(project, caplog, stop):
    run_dir = project.train(project.spec(), stop=stop)
    for path in project.images.iterdir():
        path.touch()
    project.prepare()
    project.train(project.spec())
    assert "starts from scratch" not in caplog.text and not (run_dir / "replaced").exists()
    assert result(run_dir)["status"] == "done"


def test_other_labels_matter_to_a_conditional_run(project, make_spec, caplog):
    def labelled(length: int) -> None:
        """Two classes that take turns, each for so many images."""
        meta = json.loads((project.folder / "data.json").read_text())
        meta |= {"classes": 2, "labels": [i // length % 2 for i in range(40)], "class_names": ["a", "b"]}
        (project.folder / "data.json").write_text(json.dumps(meta))

    for conditional, anew in ((False, 0), (True, 1)):
        labelled(1)
        spec = project.spec(conditional=conditional)
        project.train(spec)
        caplog.clear()
        labelled(2)
        project.train(spec)
        assert caplog.text.count("class labels ") == anew


METHOD = '''
from leangan.plugins.method import Method as Base


class Method(Base):
    """What it does."""

    title = "Mine"

    def transform(self, x, role):
        return 0.5 * x
'''


@pytest.fixture(params=["project", "folder", "package"])
def home(request, tmp_path, monkeypatch):
    """A function (source) that puts a method called mine_method into one of its three homes."""
    folder = tmp_path / "methods"
    folder.mkdir()
    module = folder / "mine_method.py"
    module.write_text(METHOD)
    if request.param == "project":
        (tmp_path / "augment_under_test").symlink_to(folder)
        (folder / "none.py").write_text(Path(none.__file__).read_text())
        monkeypatch.setitem(registry.KINDS, "method", ("augment_under_test", "Method"))
        monkeypatch.syspath_prepend(tmp_path)
    elif request.param == "package":
        info = folder / "mine_package-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-package\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[leangan.methods]\nmine_method = mine_method\n")
        monkeypatch.syspath_prepend(folder)

    def put(source: str) -> None:
        module.write_text(source)
        for name in [name for name in sys.modules if "mine_method" in name or "augment_under_test" in name]:
            del sys.modules[name]
        registry.search([str(folder)] if request.param == "folder" else [])

    put(METHOD)
    yield put
    monkeypatch.undo()
    for name in [name for name in sys.modules if "mine_method" in name or "augment_under_test" in name]:
        del sys.modules[name]
    registry.search([])


@pytest.mark.parametrize("stop", [False, True], ids=["finished", "interrupted"])
def test_a_run_whose_method_was_edited_starts_anew_and_one_whose_comments_were_does_not(project, caplog, home, stop):
    spec = project.spec("mine_method")
    run_dir = project.train(spec, stop=stop)
    known = checkpoint.load_latest(run_dir / "ckpt", CPU)["origin"]["methods"]["mine_method"]
    home(METHOD.replace("What it does.", "What it does, in other words.") + "# a remark\n")
    project.train(spec)
    assert "starts from scratch" not in caplog.text
    before = snapshots(run_dir)
    home(METHOD.replace("0.5", "0.25"))
    project.train(spec)
    digest = registry.code_digest("mine_method")
    assert f"code of method 'mine_method' {known[:8]} -> {digest[:8]}" in caplog.text
    assert result(run_dir)["origin"]["methods"] == {"mine_method": digest} != {"mine_method": known}
    (aside,) = (run_dir / "replaced").iterdir()
    assert not set(snapshots(run_dir)) & set(before) and snapshots(aside) == before


@pytest.mark.parametrize("stop", [False, True], ids=["finished", "interrupted"])
def test_a_run_whose_parent_was_trained_again_starts_anew(project, caplog, stop):
    parent = project.spec()
    child = project.spec("transfer", plugins=[("transfer", {"run": parent.run_id})], parent=parent)
    parent_dir = project.train(parent)
    run_dir = project.train(child, "--parent-run", str(parent_dir), stop=stop)
    project.train(parent)  # which is complete, and stays what it is
    project.train(child, "--parent-run", str(parent_dir))
    assert "starts from scratch" not in caplog.text
    add(project)
    project.train(parent)
    caplog.clear()
    project.train(child, "--parent-run", str(parent_dir))
    assert "parent run " in caplog.text and result(run_dir)["status"] == "done"
    newest = max(parent_dir.glob("ckpt/*.pt"))
    assert newest.stem.split("-")[1] == result(run_dir)["origin"]["parent_sha256"][:16]


def test_every_snapshot_and_checkpoint_says_what_it_came_from(project):
    run_dir = project.train(project.spec("ada"))
    origin = result(run_dir)["origin"]
    assert set(origin) == {
        "dataset_sha256", "class_labels_sha256", "subset_digest", "parent_sha256", "methods", "homes", "arithmetic"
    }  # fmt: skip
    assert origin["arithmetic"] == {"tf32": False, "half_type": "none"}
    for path in run_dir.glob("snapshots/*"):
        with safe_open(str(path), framework="pt") as file:
            assert json.loads(file.metadata()["leangan"])["origin"] == origin
    for path in run_dir.glob("ckpt/*.pt"):
        assert torch.load(path, weights_only=True)["origin"] == origin


def test_a_complete_run_keeps_the_provenance_under_which_it_was_trained(project, monkeypatch):
    spec = project.spec()
    monkeypatch.setattr("leangan.core.provenance.commit", lambda: ("a" * 40, False))
    before = result(project.train(spec))
    monkeypatch.setattr("leangan.core.provenance.commit", lambda: ("b" * 40, True))
    assert result(project.train(spec)) == before


def test_a_run_that_two_commits_trained_names_both(project, monkeypatch):
    spec = project.spec()
    monkeypatch.setattr("leangan.core.provenance.commit", lambda: ("a" * 40, False))
    project.train(spec, stop=True)
    monkeypatch.setattr("leangan.core.provenance.commit", lambda: ("b" * 40, False))
    provenance = result(project.train(spec))["provenance"]
    assert (provenance["commit"], provenance["earlier_commits"]) == ("b" * 40, ["a" * 40])


def test_a_run_started_in_another_arithmetic_is_refused_until_the_user_decides(tmp_path):
    origin = {
        "dataset_sha256": "d", "class_labels_sha256": None, "subset_digest": "s", "parent_sha256": None, "methods": {},
        "arithmetic": {"tf32": False, "half_type": "bfloat16"},
    }  # fmt: skip
    on_cpu = {**origin, "arithmetic": {"tf32": False, "half_type": "none"}}
    checkpoint.save(tmp_path / "ckpt", {"cur_nimg": 8, "origin": origin})
    with pytest.raises(ConfigError, match="started with TF32 off and 16-bit layers in bfloat16.*all layers in float32"):
        resume(tmp_path, on_cpu, 16, CPU)
    assert resume(tmp_path, origin, 16, CPU)["cur_nimg"] == 8
    assert resume(tmp_path, on_cpu, 8, CPU)["origin"] == origin, "nothing is left to train"


def test_a_state_comes_back_with_its_origin(project, caplog):
    """A mistyped path costs nothing: with the right one the run is what it was, and nothing is trained."""
    run_dir = project.train(project.spec())
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and "spec" not in path.name}
    images = project.images
    move(project)
    project.train(project.spec(), stop=True)
    project.prepare(path=images)
    caplog.clear()
    project.train(project.spec())
    assert "continues from the state of this origin" in caplog.text and "from scratch" not in caplog.text
    kept = ("ckpt", "snapshots", "samples", "train.jsonl")
    assert all(
        path.read_bytes() == content for path, content in before.items() if path.relative_to(run_dir).parts[0] in kept
    )
    assert result(run_dir) == json.loads(before[run_dir / "train.json"])
    (aside,) = (run_dir / "replaced").iterdir()
    assert list(aside.glob("ckpt/*.pt")), "the other state is kept in its turn"


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("back", [False, True], ids=["aside", "back"])
def test_a_call_that_is_killed_between_two_moves_loses_nothing(project, monkeypatch, back):
    run_dir = project.train(project.spec())
    first, images = snapshots(run_dir), project.images
    move(project)
    if back:
        project.train(project.spec())
        second = snapshots(run_dir)
        project.prepare(path=images)
    original, moves = Path.rename, 0
    for limit in range(1, 12):
        calls = iter(range(1, 100))

        def rename(self, target, calls=calls, limit=limit):
            if next(calls) > 1 and Path(self).name in origin.FILES:
                raise Killed  # each call gets one move done
            return original(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        monkeypatch.setattr(command, "train", train)
        try:
            project.train(project.spec())
            moves = limit
            break
        except Killed:
            continue
    monkeypatch.setattr(Path, "rename", original)
    assert moves > 4
    everything = snapshots(run_dir) + [each for aside in (run_dir / "replaced").iterdir() for each in snapshots(aside)]
    assert set(first) <= set(everything) and (
        not back or (snapshots(run_dir) == first and set(second) <= set(everything))
    )


def test_the_files_of_a_run_without_a_checkpoint_are_no_obstacle(project):
    run_dir = project.train(project.spec())
    first, images = snapshots(run_dir), project.images
    move(project)
    project.train(project.spec(), stop=True)
    for path in run_dir.glob("ckpt/*.pt"):
        path.unlink()  # as if it had been killed before its first one
    project.prepare(path=images)
    project.train(project.spec())
    assert snapshots(run_dir) == first


def test_a_checkpoint_that_does_not_say_what_it_came_from_is_not_continued(project, caplog):
    spec = project.spec()
    run_dir = project.train(spec)
    state = checkpoint.load_latest(run_dir / "ckpt", CPU)
    del state["origin"]
    checkpoint.save(run_dir / "ckpt", state)
    project.train(spec)
    assert "data set none -> " in caplog.text and result(run_dir)["status"] == "done"


def test_a_parent_that_is_not_given_or_another_run_is_named(project):
    parent, other = project.spec(), project.spec("da")
    child = project.spec("transfer", plugins=[("transfer", {"run": parent.run_id})], parent=parent)
    with pytest.raises(ConfigError, match="--parent-run"):
        project.train(child)
    other_dir = project.train(other)
    with pytest.raises(ConfigError, match="stylegan2-none"):
        project.train(child, "--parent-run", str(other_dir))


def test_log_and_pictures_are_kept_with_the_rows(project):
    rows = project.folder / "rows"
    run_dir = project.train(project.spec(), "--keep", str(rows))
    assert (rows / "train.jsonl").read_bytes() == (run_dir / "train.jsonl").read_bytes()
    kept = {path.name: path.read_bytes() for path in (rows / "samples").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (run_dir / "samples").iterdir()} and kept
