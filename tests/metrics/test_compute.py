"""From a run directory to rows: features of fakes, what is kept, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from leangan.core import provenance
from leangan.core.errors import ConfigError, Reported
from leangan.core.files import sha256
from leangan.core.spec import SCHEME, RunSpec, snapshot_name
from leangan.data import subset
from leangan.data.prepare import prepare
from leangan.data.readers.procedural import Procedural
from leangan.metrics import compute, extraction, features, measure, neighbours
from leangan.metrics.fakes import BLOCK, Fakes, NotFinite
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.protocols import Protocol, read_protocol
from leangan.metrics.store import load_features, load_meta, save_features
from leangan.plugins.pair import Generator
from leangan.runs import rows
from leangan.runs.row import Provenance, Row
from leangan.training.snapshot import save_generator

CPU = torch.device("cpu")


class Painter(Generator):
    """A generator without weights: an image's colour is its latent, or its class."""

    def __init__(self, c_dim: int = 0, scale: float = 0.5):
        super().__init__()
        self.z_dim, self.c_dim, self.scale = 3, c_dim, scale

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        colour = z * self.scale if c is None else 2 * c[:, :1].expand(-1, 3) - 1
        return colour[:, :, None, None].expand(-1, -1, 16, 16)


class NoisyPainter(Painter):
    """Adds noise of its own, as StyleGAN2 does."""

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        return super().forward(z, c) + 0.1 * torch.randn(len(z), 1, 16, 16)


def fakes(G: nn.Module, count: int, seed: int = 0, labels=None) -> torch.Tensor:
    return torch.cat(list(Fakes(G, count, labels, seed, CPU).blocks()))


def test_fakes_depend_on_the_seed():
    assert torch.equal(fakes(NoisyPainter(), 40), fakes(NoisyPainter(), 40))
    assert not torch.equal(fakes(Painter(), 40), fakes(Painter(), 40, seed=1))
    assert not torch.equal(fakes(Painter(), 40)[:8], fakes(Painter(), 40)[BLOCK:])


def test_fakes_do_not_depend_on_how_many_devices_make_them():
    whole = fakes(NoisyPainter(), 100)
    shares = [list(Fakes(NoisyPainter(), 100, None, 0, CPU).blocks(rank, 2)) for rank in range(2)]
    blocks = [shares[0][0], shares[1][0], shares[0][1], shares[1][1]]
    assert [len(block) for block in blocks] == [32, 32, 32, 4]
    assert torch.equal(torch.cat(blocks), whole)


def test_fakes_are_found_by_their_numbers():
    whole = fakes(NoisyPainter(), 70)
    assert torch.equal(Fakes(NoisyPainter(), 70, None, 0, CPU).images([69, 3, 40]), whole[[69, 3, 40]])


def test_a_generator_that_looks_at_its_batch_is_given_its_own_size():
    G = Painter()
    G.sampling_batch = 50
    assert [len(block) for block in Fakes(G, 120, None, 0, CPU).blocks()] == [50, 50, 20]


@pytest.mark.parametrize("world_size", [2, 3])
def test_rank_0_gathers_all_rows_in_order(monkeypatch, world_size):
    """Each rank in turn, the messages kept here; 70 images in blocks of 8, the last block cut off."""
    rows, mail = torch.arange(70.0)[:, None], {}
    monkeypatch.setattr(extraction, "world_size", lambda: world_size)
    for rank in reversed(range(world_size)):
        monkeypatch.setattr(extraction, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(extraction.dist, "send", lambda x, to, rank=rank: mail.update({rank: x}))
        monkeypatch.setattr(extraction.dist, "recv", lambda x, source: x.copy_(mail[source]))
        gathered = extraction.gather(torch.cat(rows.split(8)[rank::world_size]), 70, 8)
    assert torch.equal(gathered, rows)


def test_images_are_not_regrouped_out_of_order():
    blocks = list(torch.arange(10).split(3))
    assert [batch.tolist() for batch in extraction.rebatch(blocks, 5)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]


def test_fakes_are_rounded_to_eight_bits_as_published():
    class Ramp(Painter):
        def forward(self, z, c):
            return torch.tensor([-2, -1, 0, 0.5, 1, 2]).expand(len(z), 3, 1, 6)

    # x * 127.5 + 128, clamped, cut off: -1 -> 0.5, 0 -> 128, 0.5 -> 191.75, 1 -> 255.5
    assert fakes(Ramp(), 1)[0, 0, 0].tolist() == [0, 0, 128, 191, 255, 255]


def test_labels_follow_the_training_set():
    labels = np.array([0, 1, 1, 1])
    bright = (fakes(Painter(c_dim=2), 2000, labels=labels)[:, 0, 0, 0] == 255).float().mean()
    assert abs(bright - 0.25) < 3 * np.sqrt(0.25 * 0.75 / 2000)


def test_images_that_are_no_numbers_are_noticed():
    with pytest.raises(NotFinite):
        fakes(Painter(scale=float("nan")), 2)


class Colour:
    channels, classes, class_names = 3, 0, ()


def write_snapshots(run: Path, spec: RunSpec, origin: dict, stated: dict | None = None) -> list[dict]:
    """Two files and their entries in train.json; `stated` is the origin that they state, if not the run's own."""
    entries = []
    for nimg in spec.snapshot_nimgs():
        path = run / "snapshots" / f"{snapshot_name(nimg)}.safetensors"
        save_generator(path, nn.Linear(1, 1), spec, Colour(), nimg, stated or origin)
        entries.append({"kimg": nimg / 1000, "file": f"snapshots/{path.name}", "sha256": sha256(path)})
    return entries


def train_json(place: Path, **changes) -> dict:
    """The content of the run's train.json, with `changes`, which are written to it."""
    path = place / "run" / "train.json"
    result = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(result))
    return result


@pytest.fixture
def place(tmp_path, make_spec, monkeypatch) -> Path:
    """A folder with a prepared set, and a run of two snapshots: the generator of one is good, that of one is broken."""
    spec = make_spec(images=8)
    data = prepare(Procedural("free", "drawn", count=24), tmp_path / "procedural-16.npy", 16)
    subset.main(
        ["--data", f"{tmp_path}/procedural-16.npy", "--size", "8", "--seed", "0", "--out", f"{tmp_path}/subset.json"]
    )
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.json").write_text(spec.to_json())
    chosen = json.loads((tmp_path / "subset.json").read_text())["digest"]
    origin = {"dataset_sha256": data["sha256"], "subset_digest": chosen, "methods": {"none": "a" * 64}}
    result = {
        "run": spec.run_id,
        "digest": spec.digest,
        "status": "done",
        "reason": None,
        "method_title": "Baseline",
        "origin": origin,
        "snapshots": write_snapshots(run, spec, origin),
        "provenance": {**provenance.record("cpu"), "seconds": 1.0, "images_per_s": 64.0},
    }
    (run / "train.json").write_text(json.dumps(result))
    scales = {"000000.064": 0.5, "000000.128": float("nan")}
    monkeypatch.setattr(features, "load_generator", lambda path, _: Painter(scale=scales[path.stem]))
    return tmp_path


def extract_real(place: Path, *options: str) -> None:
    features.main(
        ["--extractor", "efficientnet_lite0", "--data", f"{place}/procedural-16.npy", "--device", "cpu"]
        + ["--out", f"{place}/real.safetensors", *options]
    )


def extract_fake(place: Path, *options: str, count: int = 12) -> None:
    features.main(
        ["--protocol", "proxy", "--run-dir", f"{place}/run", "--n-fake", str(count), "--device", "cpu"]
        + ["--out", f"{place}/run/fake.json", *options]
    )


def compute_rows(place: Path) -> list[Row]:
    compute.main(
        ["--protocol", "proxy", "--real", f"{place}/real.safetensors", "--fake", f"{place}/run/fake.json"]
        + ["--run-dir", f"{place}/run", "--subset", f"{place}/subset.json", "--out", f"{place}/rows.jsonl"]
        + ["--device", "cpu"]
    )
    return rows.read(place / "rows.jsonl")


def draw(place: Path) -> None:
    neighbours.main(
        ["--protocol", "proxy", "--real", f"{place}/real.safetensors", "--fake", f"{place}/run/fake.json"]
        + ["--run-dir", f"{place}/run", "--data", f"{place}/procedural-16.npy", "--subset", f"{place}/subset.json"]
        + ["--out", f"{place}/neighbours.png"]
    )


def test_a_run_becomes_rows(place, monkeypatch):
    extract_real(place)
    extract_fake(place)
    found = compute_rows(place)
    assert [row.metric for row in found[:6]] == [
        *(f"{family}12_full_efficientnet_lite0" for family in ("fd", "kd", "precision", "recall")),
        *(f"{family}12_train_efficientnet_lite0" for family in ("copying", "nn_ratio")),
    ]
    good, broken = found[:6], found[6:]
    assert {row.status for row in good} == {"done"}
    assert good[0].value > 100 and good[1].spread is not None
    assert [row.n_real for row in good] == [24, 24, 24, 24, 8, 8]
    assert [row.spread_over for row in good] == [None, "subsets", None, None, None, None]
    assert all(row.n_fake == 12 and row.proxy for row in found)
    assert all(row.protocol.eval_seeds == 1 and row.protocol.statistics is None for row in found)
    assert all(row.protocol.tf32 is False for row in found)
    assert {(row.status, row.value) for row in broken} == {("diverged", None)}
    assert "not finite at 0.128 kimg" in broken[0].reason
    spec, train = RunSpec.read(place / "run" / "spec.json"), train_json(place)
    assert {(row.scheme, row.setting) for row in found} == {(SCHEME, spec.setting)}
    assert [row.snapshot_sha256 for row in found] == [train["snapshots"][i]["sha256"] for i in [0] * 6 + [1] * 6]
    assert all(row.provenance == Provenance.model_validate(train["provenance"]) for row in found)

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(extraction, "extract", never)
    extract_real(place)
    extract_fake(place)
    with pytest.raises(AssertionError):
        extract_fake(place, count=16)


def test_features_that_do_not_state_their_arithmetic_are_computed_again(place, monkeypatch):
    """As an earlier version wrote them: they are not taken for ones without TF32."""
    extract_real(place)
    extract_fake(place)
    files = place / "real.safetensors", place / "run" / "fake" / "000000.064.safetensors"
    for file in files:
        meta = load_meta(file)
        assert meta.pop("tf32") is False
        save_features(file, load_features(file), meta)
    computed, original = [], extraction.extract

    def counted(extractor, batches, count, title):
        computed.append(title)
        return original(extractor, batches, count, title)

    monkeypatch.setattr(extraction, "extract", counted)
    extract_real(place)
    extract_fake(place)
    assert [title.split()[0] for title in computed] == ["procedural,", train_json(place)["run"]]
    assert all(load_meta(file)["tf32"] is False for file in files)


def arithmetic_of(monkeypatch, place: Path, *modules: ModuleType) -> dict[str, bool]:
    """In what the process is set up with while it does each part of a measurement, by part; TF32 or not.

    The run is one with TF32, whose last snapshot is good.
    """
    spec, train = replace(RunSpec.read(place / "run" / "spec.json"), tf32=True), train_json(place)
    (place / "run" / "spec.json").write_text(spec.to_json())
    train_json(place, run=spec.run_id, digest=spec.digest, snapshots=train["snapshots"][:1])
    state: list[bool] = []
    during: dict[str, bool] = {}

    def noted(part: str, original):
        def call(*args, **kwargs):
            during[part] = state[-1]
            return original(*args, **kwargs)

        return call

    for module in modules:
        monkeypatch.setattr(module, "set_up", lambda device, threads, tf32: state.append(tf32))
    parts = {
        "features": (extraction, "extract"),
        "metrics": (compute, "snapshot_values"),
        "neighbours": (neighbours, "nearest"),
        "fakes of the picture": (neighbours.Fakes, "images"),
    }
    for part, (owner, name) in parts.items():
        monkeypatch.setattr(owner, name, noted(part, getattr(owner, name)))
    return during


MEASURED = {"features": True, "metrics": False, "neighbours": False, "fakes of the picture": True}


def test_fakes_and_features_follow_the_run_and_numbers_are_full_float32(place, monkeypatch):
    """One command."""
    extract_real(place)
    monkeypatch.setattr(neighbours, "load_generator", lambda *_: Painter())
    during = arithmetic_of(monkeypatch, place, measure, neighbours)
    measure.main(
        ["--protocol", "proxy", "--run-dir", f"{place}/run", "--real", f"{place}/real.safetensors", "--n-fake", "12"]
        + ["--data", f"{place}/procedural-16.npy", "--subset", f"{place}/subset.json", "--out", f"{place}/rows.jsonl"]
        + ["--device", "cpu"]
    )
    assert during == MEASURED
    # A CPU computes without, whatever the run asks for.
    assert {row.protocol.tf32 for row in rows.read(place / "rows.jsonl")} == {False}


def test_the_same_of_each_command_by_itself(place, monkeypatch):
    extract_real(place)
    monkeypatch.setattr(neighbours, "load_generator", lambda *_: Painter())
    during = arithmetic_of(monkeypatch, place, features, compute, neighbours)
    extract_fake(place)
    compute_rows(place)
    draw(place)
    assert during == MEASURED
    for option, tf32 in (([], False), (["--tf32"], True)):
        (place / "real.safetensors").unlink()
        extract_real(place, *option)
        assert during["features"] is tf32 and load_meta(place / "real.safetensors")["tf32"] is False


def test_the_arithmetic_of_fakes_is_no_option(place):
    with pytest.raises(Reported, match="--tf32 is for features of reals; those of a run's fakes follow"):
        extract_fake(place, "--tf32")


def test_the_real_set_itself_scores_near_zero(place, monkeypatch):
    """A generator that returns the reals: the whole path adds nothing of its own."""
    monkeypatch.setattr(features, "load_generator", lambda *_: copier(place, list(range(24))))
    extract_real(place)
    extract_fake(place, count=24)
    fd, _kd, precision, recall = (row.value for row in compute_rows(place)[:4])
    assert abs(fd) < 1
    assert precision == recall == 1


def test_a_run_that_failed_is_one_row_that_says_why(place):
    train_json(place, status="diverged", reason="loss not finite at 0.01 kimg", snapshots=[])
    extract_fake(place)
    (row,) = compute_rows(place)
    assert (row.status, row.value, row.reason) == ("diverged", None, "loss not finite at 0.01 kimg")


def test_features_of_other_things_are_refused(place):
    extract_real(place)
    extract_fake(place)
    result = train_json(place)
    train_json(place, origin=result["origin"] | {"dataset_sha256": "f" * 64})
    with pytest.raises(Reported, match="real.safetensors: features of other data than"):
        compute_rows(place)
    retrained = result["snapshots"][0] | {"sha256": "f" * 64}
    train_json(place, origin=result["origin"], snapshots=[retrained, result["snapshots"][1]])
    with pytest.raises(Reported, match="another snapshot"):
        compute_rows(place)
    with pytest.raises(Reported, match="run `leangan features`"):
        compute.main(
            ["--protocol", "proxy", "--real", "none", "--fake", "none", "--run-dir", f"{place}/run", "--out", "x"]
        )


AGAIN = "train the run again: delete train.json, ckpt and snapshots in .*/run and run the same command"


def test_a_changed_snapshot_is_not_measured(place):
    path = place / "run" / "snapshots" / "000000.128.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Reported, match=f"/000000.128.safetensors: its sha256 is not the one.*{AGAIN}$"):
        extract_fake(place)
    assert not (place / "run" / "fake").exists(), "seen before the first fakes are made"
    path.unlink()
    with pytest.raises(Reported, match=f"/000000.128.safetensors: the file is missing, but.*{AGAIN}$"):
        extract_fake(place)
    path.write_bytes(whole)
    extract_fake(place)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"dataset_sha256": "f" * 64}, "dataset_sha256"),
        ({"methods": {"none": "f" * 64}, "subset_digest": None}, "subset_digest and methods"),
    ],
)
def test_a_snapshot_of_another_training_is_not_measured(place, changes, named):
    """Its sha256 is the listed one, but its header states another origin."""
    spec, origin = RunSpec.read(place / "run" / "spec.json"), train_json(place)["origin"]
    train_json(place, snapshots=write_snapshots(place / "run", spec, origin, {**origin, **changes}))
    words = f"/000000.064.safetensors: its origin differs from train.json in {named}; {AGAIN}$"
    with pytest.raises(Reported, match=words):
        extract_fake(place)


@pytest.mark.parametrize("content", [b"", b"no snapshot", save({"a": torch.zeros(1)}), save({}, {"leangan": "{}"})])
def test_a_file_without_an_origin_is_not_measured(place, content):
    first, second = train_json(place)["snapshots"]
    (place / "run" / first["file"]).write_bytes(content)
    train_json(place, snapshots=[first | {"sha256": sha256(place / "run" / first["file"])}, second])
    with pytest.raises(Reported, match=f"/000000.064.safetensors: its header states no origin .*{AGAIN}$"):
        extract_fake(place)


@pytest.mark.parametrize("digest", ["f" * 64, None])
def test_a_result_of_another_spec_gives_no_features_no_rows_and_no_picture(place, digest):
    extract_real(place)
    extract_fake(place)
    train_json(place, digest=digest)
    refused = f"/train.json: its digest is not the one in spec.json; {AGAIN}$"
    for command in (extract_fake, compute_rows, draw):
        with pytest.raises(Reported, match=refused):
            command(place)
    assert not (place / "rows.jsonl").exists()


def test_a_conditional_run_needs_labels(place, monkeypatch):
    monkeypatch.setattr(features, "load_generator", lambda *_: Painter(c_dim=2))
    with pytest.raises(Reported, match="is conditional: its labels need --data and --subset"):
        extract_fake(place)


def several(metrics: list[str], seeds: int) -> Protocol:
    stated = {"extractor": "efficientnet_lite0", "fakes": 12, "reference": "full", "source": "test"}
    return Protocol(name="several", metrics=metrics, eval_seeds=seeds, **stated)


def test_several_evaluation_seeds_are_a_mean_and_a_deviation(place, monkeypatch):
    """The same numbers one at a time, by hand; the spread says what it is over."""
    extract_real(place)
    monkeypatch.setattr("leangan.metrics.features.read_protocol", lambda _: several(["fd"], 3))
    extract_fake(place)
    parts = [place / "run" / "fake" / f"000000.064{seed}.safetensors" for seed in ("", "-s1", "-s2")]
    real = FrechetDistance(load_features(place / "real.safetensors"))
    by_hand = [real(load_features(part))["fd"].value for part in parts]
    assert len(set(by_hand)) == 3
    paths = place / "real.safetensors", place / "run" / "fake.json", place / "run"
    row, broken = compute.compute(several(["fd"], 3), *paths)
    assert row.value == pytest.approx(np.mean(by_hand), rel=1e-12)
    assert row.spread == pytest.approx(np.std(by_hand, ddof=1), rel=1e-12)
    assert (row.spread_over, row.protocol.eval_seeds) == ("evaluation seeds", 3)
    assert (broken.status, broken.value, broken.spread) == ("diverged", None, None)
    (one, _) = compute.compute(several(["fd"], 1), *paths)
    assert (one.value, one.spread, one.spread_over) == (by_hand[0], None, None)


FAILING = """
from leangan.metrics import base
from leangan.metrics.base import Family, NoValue

class Metric(base.Metric):
    families = (Family(name="NAME", title="NAME"),)
    def __init__(self, real): pass
    def __call__(self, fake): raise ERROR
"""


def test_a_metric_that_fails_is_rows_with_its_reason_and_costs_no_other_number(place, add, monkeypatch, capsys):
    """The command ends well, the picture is drawn, and the other rows are those of a protocol without it."""
    add("metric", "mine_failing", FAILING.replace("NAME", "mine_failing").replace("ERROR", "KeyError('colour')"))
    add("metric", "mine_without", FAILING.replace("NAME", "mine_without").replace("ERROR", "NoValue('all are grey')"))
    extract_real(place)
    monkeypatch.setattr(neighbours, "load_generator", lambda *_: Painter())
    train_json(place, snapshots=train_json(place)["snapshots"][:1])
    families = ["mine_failing", "fd", "precision", "mine_without", "copying"]
    for module in (measure, features):
        monkeypatch.setattr(module, "read_protocol", lambda _: several(families, 1))
    measure.main(
        ["--protocol", "several", "--run-dir", f"{place}/run", "--real", f"{place}/real.safetensors", "--device", "cpu"]
        + ["--data", f"{place}/procedural-16.npy", "--subset", f"{place}/subset.json", "--out", f"{place}/rows.jsonl"]
    )
    failing, *good, without, copying = found = rows.read(place / "rows.jsonl")
    assert [row.family for row in found] == families and (place / "neighbours-several.png").exists()
    assert {row.status for row in (*good, copying)} == {"done"}
    assert (failing.status, failing.value, failing.kimg) == ("error", None, 0.064)
    assert failing.reason == "KeyError: 'colour' (mine_failing.py, line 8)"
    assert (without.status, without.value, without.reason) == ("skip", None, "all are grey")
    said = capsys.readouterr().err
    assert f"mine_failing12_full_efficientnet_lite0 of {failing.run} has no value: error: KeyError" in said
    assert f"--forcerun {place}/rows.jsonl" in said
    extract_fake(place)
    paths = place / "real.safetensors", place / "run" / "fake.json", place / "run", place / "subset.json"
    assert compute.compute(several(["fd", "precision", "copying"], 1), *paths) == [*good, copying]


def test_sets_of_one_and_of_three_images_have_rows(place):
    """What the images define has its value, and every other row its reason."""
    extract_real(place)
    whole = load_features(place / "real.safetensors")
    meta = load_meta(place / "real.safetensors")
    extract_fake(place)
    for count, defined in ((1, set()), (3, {"fd", "kd", "copying", "nn_ratio"})):
        few = replace(whole, pooled=whole.pooled[:count])
        save_features(place / "real.safetensors", few, {**meta, "n_real": count})
        chosen = json.loads((place / "subset.json").read_text())
        (place / "few.json").write_text(json.dumps({**chosen, "indices": list(range(count))}))
        paths = place / "real.safetensors", place / "run" / "fake.json", place / "run", place / "few.json"
        good = compute.compute(read_protocol("proxy"), *paths)[:6]
        assert {row.family for row in good if row.status == "done"} == defined
        lacking = {(row.status, row.value, row.reason) for row in good if row.family not in defined}
        least = {1: {2, 4}, 3: {4}}[count]
        assert lacking == {("skip", None, f"real images: {count}, must be {few} or more") for few in least}


def test_the_statistics_of_norms_are_stated_and_guarded(place, monkeypatch):
    class Normed(Painter):
        eval_statistics = "batch"

    monkeypatch.setattr(features, "load_generator", lambda *_: Normed())
    extract_real(place)
    extract_fake(place)
    assert {row.protocol.statistics for row in compute_rows(place)} == {"batch"}
    standing = several(["fd"], 1).model_copy(update={"statistics": "standing"})
    monkeypatch.setattr("leangan.metrics.features.read_protocol", lambda _: standing)
    with pytest.raises(Reported, match="with standing statistics, those of .* use batch ones; .*eval_statistics in"):
        extract_fake(place, count=13)


def copier(place: Path, chosen: list[int]) -> nn.Module:
    """A generator of images `chosen`, in this order, of the prepared set."""
    images = torch.from_numpy(np.load(place / "procedural-16.npy"))[chosen]

    class Copier(Painter):
        next = 0

        def forward(self, z, c):
            start, self.next = self.next, self.next + len(z)
            return images[start : self.next].float() / 127.5 - 1

    return Copier()


def test_a_generator_that_copies_is_found_out(place, monkeypatch):
    """All fakes are the eight training images, or none is."""
    trained = json.loads((place / "subset.json").read_text())["indices"]
    others = [i for i in range(24) if i not in trained]
    extract_real(place)
    for chosen, copying in ((trained * 2, 1), (others, 0.5)):
        monkeypatch.setattr(features, "load_generator", lambda *_, chosen=chosen: copier(place, chosen))
        extract_fake(place, count=16)
        rows_by_family = {row.family: row.value for row in compute_rows(place)[:6]}
        assert rows_by_family["copying"] == pytest.approx(copying, abs=1e-6)
        assert rows_by_family["nn_ratio"] == pytest.approx(2 * (1 - copying), abs=1e-2)
        for part in (place / "run" / "fake").iterdir():
            part.unlink()


def test_the_picture_shows_fakes_beside_their_nearest_training_images(place, monkeypatch):
    trained = json.loads((place / "subset.json").read_text())["indices"]
    train_json(place, snapshots=train_json(place)["snapshots"][:1])
    others = [i for i in range(24) if i not in trained]
    fake = others[:8] + trained  # the first eight fakes are new, the other eight copies
    for module in (features, neighbours):
        monkeypatch.setattr(module, "load_generator", lambda *_: copier(place, fake))
    extract_real(place)
    extract_fake(place, count=16)
    monkeypatch.setattr(neighbours.Fakes, "images", lambda self, shown: self.make(0)[shown])
    draw(place)
    picture = np.asarray(Image.open(place / "neighbours.png")).reshape(8, 16, 8, 16, 3).transpose(0, 2, 4, 1, 3)
    images = np.load(place / "procedural-16.npy")
    assert (picture[:, 0] == images[others[:8]]).all()
    assert (picture[:, 4] == picture[:, 5]).all()
    assert {tuple(cell.flatten()) for cell in picture[:, 4]} == {tuple(images[i].flatten()) for i in trained}
    training = {tuple(images[i].flatten()) for i in trained}
    assert all(tuple(cell.flatten()) in training for cell in picture[:, [1, 2, 3, 5, 6, 7]].reshape(48, -1))


def test_a_run_without_images_has_no_picture(place):
    extract_real(place)
    extract_fake(place)
    with pytest.raises(Reported, match="not finite at 0.128 kimg"):
        draw(place)


def test_labels_are_those_of_the_runs_own_subset(place):
    train = {"run": "a/b", "origin": {"subset_digest": "0" * 64}}
    with pytest.raises(ConfigError, match="subset.json lists other images than a/b was trained on"):
        features.labels_of_training_images(place / "procedural-16.npy", place / "subset.json", train)
