"""Released BigGAN state dicts give the images and scores that the equations of arXiv:1809.11096 give for them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from leangan.core.errors import Reported
from leangan.models.biggan import Backbone
from leangan.released import command as command
from leangan.runs.presets import presets
from leangan.training.snapshot import load_generator
from tests.helpers.released_files import draw

RESOLUTION, CLASSES, Z_DIM = 16, 3, 10
G_MAPS, D_MAPS, DOWN = [24, 16, 8], [8, 16, 16], 2
SMALL = {**presets()["biggan-cifar"], "z_dim": Z_DIM, "g_maps": G_MAPS, "d_maps": D_MAPS, "d_down": DOWN}
PRESETS = {
    "small": SMALL,
    "small-running": {**SMALL, "eval_statistics": "running"},
    "small-attention": {**SMALL, "attention_at": 8},
    "small-shared": {**SMALL, "shared_dim": 5},
}


@pytest.fixture(autouse=True)
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: PRESETS)


# ---- Weights under the release's names ----


def normalised(name: str, *shape: int, bias: bool = True) -> dict[str, np.ndarray]:
    tensors = {f"{name}.weight": 0.3 * draw(*shape), f"{name}.u0": draw(1, shape[0]), f"{name}.sv0": draw(1)}
    return {**tensors, f"{name}.bias": draw(shape[0])} if bias else tensors


def attention(name: str, maps: int) -> dict[str, np.ndarray]:
    tensors = {f"{name}.gamma": np.float32(0.7)}
    for part, shape in {"theta": (maps // 8, maps), "phi": (maps // 8, maps), "g": (maps // 2, maps)}.items():
        tensors |= normalised(f"{name}.{part}", *shape, 1, 1, bias=False)
    return tensors | normalised(f"{name}.o", maps, maps // 2, 1, 1, bias=False)


def statistics(name: str, maps: int) -> dict[str, np.ndarray]:
    return {f"{name}.stored_mean": draw(maps), f"{name}.stored_var": draw(maps) ** 2 + 0.5}


def generator(attends: bool = False) -> dict[str, np.ndarray]:
    tensors = normalised("linear", G_MAPS[0] * 16, Z_DIM)
    for k, (i, o) in enumerate(itertools.pairwise(G_MAPS)):
        for norm, maps in (("bn1", i), ("bn2", o)):
            place = f"blocks.{k}.0.{norm}"
            tensors |= {f"{place}.gain.weight": draw(CLASSES, maps), f"{place}.bias.weight": draw(CLASSES, maps)}
            tensors |= statistics(place, maps)
        tensors |= normalised(f"blocks.{k}.0.conv1", o, i, 3, 3) | normalised(f"blocks.{k}.0.conv2", o, o, 3, 3)
        tensors |= normalised(f"blocks.{k}.0.conv_sc", o, i, 1, 1)
    if attends:
        tensors |= attention("blocks.0.1", G_MAPS[1])
    tensors |= {"output_layer.0.gain": draw(G_MAPS[-1]), "output_layer.0.bias": draw(G_MAPS[-1])}
    return tensors | statistics("output_layer.0", G_MAPS[-1]) | normalised("output_layer.2", 3, G_MAPS[-1], 3, 3)


def discriminator(attends: bool = False) -> dict[str, np.ndarray]:
    tensors = normalised("linear", 1, D_MAPS[-1]) | normalised("embed", CLASSES, D_MAPS[-1], bias=False)
    for k, (i, o) in enumerate(zip([3, *D_MAPS], D_MAPS, strict=False)):
        tensors |= normalised(f"blocks.{k}.0.conv1", o, i, 3, 3) | normalised(f"blocks.{k}.0.conv2", o, o, 3, 3)
        if k < DOWN or i != o:
            tensors |= normalised(f"blocks.{k}.0.conv_sc", o, i, 1, 1)
    return tensors | (attention("blocks.0.1", D_MAPS[0]) if attends else {})


def save(path: Path, tensors: dict[str, np.ndarray], zipped: bool = True) -> Path:
    state = {name: torch.from_numpy(np.asarray(value, dtype=np.float32)) for name, value in tensors.items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return path


# ---- The equations, in float64 ----


class Equations:
    """Layers by the release's names; weights divided by the largest singular value as the power iteration has it."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = {k: torch.from_numpy(np.asarray(v, dtype=np.float64)) for k, v in tensors.items()}

    def weight(self, name: str) -> Tensor:
        weight, u = self.tensors[f"{name}.weight"], self.tensors[f"{name}.u0"][0]
        matrix = weight.reshape(len(weight), -1)
        v = matrix.T @ u
        v = v / v.norm()
        return weight / (matrix @ v).norm()

    def conv(self, x: Tensor, name: str) -> Tensor:
        weight = self.weight(name)
        return F.conv2d(x, weight, self.tensors.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def standardise(self, x: Tensor, name: str, stored: bool) -> Tensor:
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
        if stored:
            mean, var = self.tensors[f"{name}.stored_mean"], self.tensors[f"{name}.stored_var"]
        return (x - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]

    def attend(self, x: Tensor, name: str) -> Tensor:
        if f"{name}.gamma" not in self.tensors:
            return x
        query, key, value = (self.conv(x, f"{name}.{part}") for part in ("theta", "phi", "g"))
        key, value = F.max_pool2d(key, 2).flatten(2), F.max_pool2d(value, 2).flatten(2)
        weights = torch.einsum("nct,ncs->nts", query.flatten(2), key).softmax(dim=2)
        read = torch.einsum("nts,ncs->nct", weights, value).reshape(len(x), -1, *x.shape[2:])
        return x + self.tensors[f"{name}.gamma"] * self.conv(read, f"{name}.o")

    def images(self, z: Tensor, labels: Tensor, stored: bool) -> Tensor:
        x = (z @ self.weight("linear").T + self.tensors["linear.bias"]).reshape(len(z), -1, 4, 4)
        for k in range(len(G_MAPS) - 1):
            place, h = f"blocks.{k}.0", x
            for number in (1, 2):
                norm = f"{place}.bn{number}"
                gain, bias = (self.tensors[f"{norm}.{part}.weight"][labels] for part in ("gain", "bias"))
                h = self.standardise(h, norm, stored) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
                h = h.relu()
                if number == 1:
                    h = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
                h = self.conv(h, f"{place}.conv{number}")
            skip = self.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), f"{place}.conv_sc")
            x = self.attend(h + skip, f"blocks.{k}.1")
        gain, bias = self.tensors["output_layer.0.gain"], self.tensors["output_layer.0.bias"]
        x = self.standardise(x, "output_layer.0", stored) * gain[:, None, None] + bias[:, None, None]
        return self.conv(x.relu(), "output_layer.2").tanh()

    def scores(self, x: Tensor, labels: Tensor) -> Tensor:
        for k in range(len(D_MAPS)):
            place = f"blocks.{k}.0"
            h = self.conv(self.conv(x if k == 0 else x.relu(), f"{place}.conv1").relu(), f"{place}.conv2")
            if f"{place}.conv_sc.weight" in self.tensors:
                x = self.conv(x, f"{place}.conv_sc")
            if k < DOWN:
                h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
            x = self.attend(h + x, f"blocks.{k}.1")
        features = x.relu().sum(dim=(2, 3))
        linear = features @ self.weight("linear")[0] + self.tensors["linear.bias"]
        return linear + (self.weight("embed")[labels] * features).sum(dim=1)


LABELS = torch.tensor([0, 2, 1, 2, 0, 1])


def convert(path: Path, out: Path, preset: str, which: str = "G_ema", classes: int = CLASSES) -> None:
    sizes = ["--resolution", str(RESOLUTION), "--classes", str(classes)]
    command.main([str(path), "--preset", preset, *sizes, "--which", which, "--out", str(out)])


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("preset", ["small", "small-running", "small-attention"])
def test_generator(tmp_path: Path, preset: str, zipped: bool):
    tensors = generator(attends=preset == "small-attention")
    convert(save(tmp_path / "G_ema.pth", tensors, zipped), tmp_path / "snapshot.safetensors", preset)
    G = load_generator(tmp_path / "snapshot.safetensors")
    z = torch.from_numpy(draw(len(LABELS), Z_DIM))
    truth = Equations(tensors).images(z.double(), LABELS, stored=preset == "small-running")
    assert truth.std() > 0.1
    got = G(z, F.one_hot(LABELS, CLASSES).float()).double()
    torch.testing.assert_close(got, truth, rtol=0, atol=1e-4)


@pytest.mark.parametrize("preset", ["small", "small-attention"])
def test_discriminator(tmp_path: Path, preset: str):
    tensors = discriminator(attends=preset == "small-attention")
    out = tmp_path / "D.safetensors"
    convert(save(tmp_path / "D.pth", tensors), out, preset, "D")
    D = Backbone(PRESETS[preset], RESOLUTION, 3, CLASSES).discriminator()
    with safe_open(out, framework="pt") as file:
        assert json.loads(file.metadata()[command.DISCRIMINATOR_HEADER])["classes"] == CLASSES
        D.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    x = torch.from_numpy(draw(len(LABELS), 3, RESOLUTION, RESOLUTION))
    got = D.eval()(x, F.one_hot(LABELS, CLASSES).float()).squeeze(1).double()
    torch.testing.assert_close(got, Equations(tensors).scores(x.double(), LABELS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "preset, classes, which, message",
    [
        (
            "small-attention",
            CLASSES,
            "G_ema",
            "has no tensor 'blocks.0.1.gamma', which preset 'small-attention' at 16 px",
        ),
        (
            "small",
            5,
            "G_ema",
            r"'blocks.0.0.bn1.gain.weight' of network G_ema gives shape \(24, 3\), .* needs \(24, 5\)",
        ),
        ("small", CLASSES, "D", "of network D gives shape|network D has no tensor"),
    ],
)
def test_a_preset_of_another_network(tmp_path: Path, preset: str, classes: int, which: str, message: str):
    path = save(tmp_path / "G_ema.pth", generator())
    with pytest.raises(Reported, match=message):
        convert(path, tmp_path / "out.safetensors", preset, which, classes)


def test_a_shared_label_embedding_is_refused(tmp_path: Path):
    path = save(tmp_path / "G_ema.pth", {**generator(), "shared.weight": draw(CLASSES, 5)})
    with pytest.raises(Reported, match="G_ema.pth: network G_ema cannot be read: .*share a label embedding"):
        convert(path, tmp_path / "out.safetensors", "small-shared")


def test_other_state_dicts_are_refused(tmp_path: Path):
    path = save(tmp_path / "other.pth", {"conv.weight": draw(2, 2)})
    with pytest.raises(Reported, match="other.pth holds no released network of backbone 'biggan'"):
        convert(path, tmp_path / "out.safetensors", "small")
