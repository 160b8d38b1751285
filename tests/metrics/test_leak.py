"""Leak rates of generators that leak a known share of their images, from pixels to rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.core import provenance
from leangan.core.errors import ConfigError
from leangan.core.files import sha256
from leangan.data import subset
from leangan.data.prepare import prepare
from leangan.data.readers.procedural import Procedural
from leangan.metrics import compute, features
from leangan.metrics.formulas.leak import Metric as Leak
from leangan.metrics.loading import load_extractor
from leangan.metrics.protocols import Protocol
from leangan.plugins.pair import Generator
from leangan.runs import rows
from leangan.training.snapshot import save_generator

COUNT = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("leak") / "procedural-32.npy"
    prepare(Procedural("free", "drawn", count=COUNT), path, 32)
    return path


def turned(x: Tensor) -> Tensor:
    """By 90 degrees: the axis, within 22.5 degrees of the horizontal, comes to lie as near to the vertical."""
    return x.rot90(1, (2, 3))


def recoloured(x: Tensor) -> Tensor:
    """Red becomes blue, green red and blue green: hues from 0 to 1/3 become those from 2/3 to 1."""
    return x[:, [1, 2, 0]]


def shrunk(x: Tensor) -> Tensor:
    """To half the size on grey: half axes of 0.2 to 0.35 become 0.1 to 0.175."""
    return F.pad(F.avg_pool2d(x.float(), 2), (8, 8, 8, 8), value=127.5).round().to(torch.uint8)


@pytest.mark.parametrize("name, change", [("orientation", turned), ("hue", recoloured), ("scale", shrunk)])
@pytest.mark.parametrize("leaked", [0, 7, 33])
def test_the_rate_is_the_share_of_changed_images(data, name, change, leaked):
    reals = torch.from_numpy(np.load(data))
    measured = load_extractor("shape_attributes")
    # From the smallest: the largest rectangle measures 2 / sqrt(3) of its half axis and, halved, is in the range.
    chosen = measured(reals).pooled[:, 2].argsort()[:leaked]
    fakes = reals.clone()
    fakes[chosen] = change(reals[chosen])
    metric = Leak(measured(reals))
    values = metric(measured(fakes))
    assert set(values) == {family.name for family in Leak.families}
    assert values[f"leak_{name}"].value == pytest.approx(leaked / COUNT)
    if name == "hue":
        assert values["leak_orientation"].value == values["leak_scale"].value == 0


def test_features_of_a_network_are_refused():
    protocol = Protocol(
        name="mine", extractor="efficientnet_lite0", fakes=100, reference="full", metrics=["fd", "leak_hue"], source="x"
    )
    with pytest.raises(ConfigError, match="'leak_hue' does not go with .*, but with shape_attributes; .*config/protoc"):
        compute.metric_classes(protocol)


class Leaky(Generator):
    """Draws the reals in turn, every third one turned by 90 degrees."""

    z_dim, c_dim = 2, 0

    def __init__(self, reals: Tensor):
        super().__init__()
        self.reals, self.drawn = reals, 0

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        numbers = torch.arange(self.drawn, self.drawn + len(z)) % len(self.reals)
        self.drawn += len(z)
        x = self.reals[numbers]
        return torch.where((numbers % 3 == 0)[:, None, None, None], turned(x), x) / 127.5 - 1


class Colour:
    channels, classes, class_names = 3, 0, ()


def test_a_run_becomes_rows(data, make_spec, tmp_path, monkeypatch):
    """The protocol `leak` through the commands of the workflow; nothing is drawn, as no copies are looked for."""
    spec = make_spec(images=8, resolution=32)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/spec.json").write_text(spec.to_json())
    subset.main(["--data", str(data), "--size", "8", "--seed", "0", "--out", f"{tmp_path}/subset.json"])
    origin = {
        "dataset_sha256": json.loads(data.with_suffix(".json").read_text())["sha256"],
        "subset_digest": json.loads((tmp_path / "subset.json").read_text())["digest"],
    }
    file = "snapshots/000000.064.safetensors"
    save_generator(tmp_path / "run" / file, nn.Linear(1, 1), spec, Colour(), 64, origin)
    train = {
        **{"run": spec.run_id, "digest": spec.digest, "status": "done", "reason": None, "method_title": "Baseline"},
        "origin": origin,
        "snapshots": [{"kimg": 0.064, "file": file, "sha256": sha256(tmp_path / "run" / file)}],
        "provenance": {**provenance.record("cpu"), "seconds": 1.0, "images_per_s": 64.0},
    }
    (tmp_path / "run/train.json").write_text(json.dumps(train))
    reals = torch.from_numpy(np.load(data)).float()
    monkeypatch.setattr(features, "load_generator", lambda *_: Leaky(reals))
    given = ["--run-dir", f"{tmp_path}/run", "--protocol", "leak"]
    given += ["--data", str(data), "--subset", f"{tmp_path}/subset.json"]
    real, fake, out = (f"{tmp_path}/{name}" for name in ("real.safetensors", "run/fake.json", "rows.jsonl"))
    features.main(["--extractor", "shape_attributes", "--data", str(data), "--device", "cpu", "--out", real])
    features.main([*given, "--n-fake", str(COUNT), "--device", "cpu", "--out", fake])
    compute.main([*given, "--real", real, "--fake", fake, "--out", out])
    found = {row.metric: row for row in rows.read(out)}
    values = {name: row.value for name, row in found.items()}
    assert values.keys() == {f"leak_{name}60_full_shape_attributes" for name in ("orientation", "hue", "scale")}
    assert values["leak_orientation60_full_shape_attributes"] == pytest.approx(1 / 3)
    assert values["leak_hue60_full_shape_attributes"] <= 0.05 and values["leak_scale60_full_shape_attributes"] <= 0.05
    for row in found.values():
        assert row.proxy and row.n_real == row.n_fake == COUNT
        assert row.protocol.library == "leangan.metrics.extractors.shape_attributes" and row.protocol.input_px is None
    assert not list(tmp_path.glob("neighbours-*"))
