"""From a run directory to rows: features of fakes, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from data.prepare import prepare
from data.procedural import Procedural
from metrics import compute, features
from metrics.features import NotFinite, fake_batches
from suite import provenance, rows

CPU = torch.device("cpu")


class Painter(nn.Module):
    """A generator without weights: an image's colour is its latent, or its class."""

    def __init__(self, c_dim: int = 0, scale: float = 0.5):
        super().__init__()
        self.z_dim, self.c_dim, self.scale = 3, c_dim, scale

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        colour = z * self.scale if c is None else 2 * c[:, :1].expand(-1, 3) - 1
        return colour[:, :, None, None].expand(-1, -1, 16, 16)


def fakes(G: nn.Module, count: int, batch: int, seed: int = 0, labels=None) -> torch.Tensor:
    return torch.cat(list(fake_batches(G, count, labels, batch, CPU, seed)))


def test_fakes_depend_on_the_seed_and_not_on_the_batch():
    assert torch.equal(fakes(Painter(), 10, 3), fakes(Painter(), 10, 10))
    assert not torch.equal(fakes(Painter(), 10, 10), fakes(Painter(), 10, 10, seed=1))


def test_fakes_are_rounded_to_eight_bits_as_published():
    class Ramp(Painter):
        def forward(self, z, c):
            return torch.tensor([-2, -1, 0, 0.5, 1, 2]).expand(len(z), 3, 1, 6)

    # x * 127.5 + 128, clamped, cut off: -1 -> 0.5, 0 -> 128, 0.5 -> 191.75, 1 -> 255.5
    assert fakes(Ramp(), 1, 1)[0, 0, 0].tolist() == [0, 0, 128, 191, 255, 255]


def test_labels_follow_the_training_set():
    labels = np.array([0, 1, 1, 1])
    bright = (fakes(Painter(c_dim=2), 2000, 500, labels=labels)[:, 0, 0, 0] == 255).float().mean()
    assert abs(bright - 0.25) < 3 * np.sqrt(0.25 * 0.75 / 2000)


def test_images_that_are_no_numbers_are_noticed():
    with pytest.raises(NotFinite):
        fakes(Painter(scale=float("nan")), 2, 2)


@pytest.fixture
def place(tmp_path, make_spec, monkeypatch) -> Path:
    """A folder with a prepared set, and a run of two snapshots: one good, one broken."""
    spec = make_spec(images=8)
    data = prepare(Procedural("free", "drawn", count=24), tmp_path / "procedural-16.npy", 16)
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.json").write_text(spec.to_json())
    names = ["000000.064", "000000.128"]
    result = {
        "run": spec.run_id,
        "status": "done",
        "reason": None,
        "method_title": "Baseline",
        "dataset_sha256": data["sha256"],
        "subset_digest": "0" * 64,
        "snapshots": [{"kimg": float(name), "file": f"snapshots/{name}.safetensors", "sha256": name} for name in names],
        "provenance": provenance.record("cpu", 1.0, 64.0),
    }
    (run / "train.json").write_text(json.dumps(result))
    scales = dict(zip(names, [0.5, float("nan")], strict=True))
    monkeypatch.setattr(features, "load_generator", lambda path, _: Painter(scale=scales[path.stem]))
    return tmp_path


def extract_real(place: Path) -> None:
    features.main(
        ["--extractor", "efficientnet_lite0", "--data", f"{place}/procedural-16.npy", "--device", "cpu"]
        + ["--out", f"{place}/real.safetensors"]
    )


def extract_fake(place: Path, count: int = 12) -> None:
    features.main(
        ["--protocol", "proxy", "--run", f"{place}/run", "--n-fake", str(count), "--device", "cpu"]
        + ["--out", f"{place}/run/fake.json"]
    )


def compute_rows(place: Path) -> list[dict]:
    compute.main(
        ["--protocol", "proxy", "--real", f"{place}/real.safetensors", "--fake", f"{place}/run/fake.json"]
        + ["--run", f"{place}/run", "--out", f"{place}/rows.jsonl"]
    )
    return rows.read(place / "rows.jsonl")


def test_a_run_becomes_rows(place, monkeypatch):
    extract_real(place)
    extract_fake(place)
    found = compute_rows(place)
    assert [row["metric"] for row in found[:4]] == [
        f"{family}12_full_efficientnet_lite0" for family in ("fd", "kd", "precision", "recall")
    ]
    good, broken = found[:4], found[4:]
    assert {row["status"] for row in good} == {"done"}
    assert good[0]["value"] > 100 and good[1]["spread"] is not None
    assert all(row["n_real"] == 24 and row["n_fake"] == 12 and row["proxy"] for row in found)
    assert {(row["status"], row["value"]) for row in broken} == {("diverged", None)}
    assert "not finite at 0.128 kimg" in broken[0]["reason"]

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(features, "extract", never)
    extract_real(place)
    extract_fake(place)
    with pytest.raises(AssertionError):
        extract_fake(place, count=16)


def test_the_real_set_itself_scores_near_zero(place, monkeypatch):
    """A generator that returns the reals: the whole path adds nothing of its own."""
    images = torch.from_numpy(np.load(place / "procedural-16.npy"))

    class Copier(Painter):
        def __init__(self):
            super().__init__()
            self.next = 0

        def forward(self, z, c):
            start, self.next = self.next, self.next + len(z)
            return images[start : self.next].float() / 127.5 - 1

    monkeypatch.setattr(features, "load_generator", lambda *_: Copier())
    extract_real(place)
    extract_fake(place, count=24)
    fd, kd, precision, recall = (row["value"] for row in compute_rows(place)[:4])
    assert abs(fd) < 1
    assert precision == recall == 1


def test_a_run_that_failed_is_one_row_that_says_why(place):
    result = json.loads((place / "run" / "train.json").read_text())
    failed = result | {"status": "diverged", "reason": "loss not finite at 0.01 kimg", "snapshots": []}
    (place / "run" / "train.json").write_text(json.dumps(failed))
    extract_fake(place)
    (row,) = compute_rows(place)
    assert (row["status"], row["value"], row["reason"]) == ("diverged", None, "loss not finite at 0.01 kimg")


def test_features_of_other_things_are_refused(place):
    extract_real(place)
    extract_fake(place)
    result = json.loads((place / "run" / "train.json").read_text())
    other_data = result | {"dataset_sha256": "f" * 64}
    (place / "run" / "train.json").write_text(json.dumps(other_data))
    with pytest.raises(SystemExit, match="error: .*of other data than"):
        compute_rows(place)
    result["snapshots"][0]["sha256"] = "retrained"
    (place / "run" / "train.json").write_text(json.dumps(result))
    with pytest.raises(SystemExit, match="error: .*another snapshot"):
        compute_rows(place)
    with pytest.raises(SystemExit, match="error: .*run `python -m metrics.features`"):
        compute.main(["--protocol", "proxy", "--real", "none", "--fake", "none", "--run", f"{place}/run", "--out", "x"])


def test_a_conditional_run_needs_labels(place, monkeypatch):
    monkeypatch.setattr(features, "load_generator", lambda *_: Painter(c_dim=2))
    with pytest.raises(SystemExit, match="is conditional: its labels need --data and --subset"):
        extract_fake(place)
