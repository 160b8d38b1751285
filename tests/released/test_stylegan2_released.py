"""Released StyleGAN2 files give, through the command, the images that the paper's equations give for their weights."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from leangan.core.errors import Reported
from leangan.core.spec import RunSpec
from leangan.data import prepare, subset
from leangan.metrics import compute, guard
from leangan.metrics.base import Features
from leangan.metrics.extractor_facts import library
from leangan.metrics.features import reference_features, run_features
from leangan.metrics.protocols import read_protocol
from leangan.models.stylegan2 import Backbone
from leangan.released import command as command
from leangan.runs.presets import presets
from leangan.training.snapshot import load_generator
from tests.helpers.released_files import (
    CHANNELS,
    MAPS,
    RESOLUTION,
    W_DIM,
    Z_DIM,
    ReadTf,
    ReadTorch,
    discriminator_tf,
    discriminator_tf_as_torch,
    discriminator_torch,
    draw,
    generator_torch,
    image,
    latent,
    logits,
    mapping_tf,
    synthesis_tf,
    write_tf,
    write_torch,
)

SMALL = {
    **presets()["paper256"],
    **{"z_dim": Z_DIM, "w_dim": W_DIM, "mapping_layers": 3, "fmap_base": 32, "fmap_max": 12, "mbstd_group": 4},
}
PRESETS = {
    "small": SMALL,
    "small-orig": {**SMALL, "d_architecture": "orig"},
    "small-mapped-labels": {**SMALL, "d_mapping_layers": 2},
    "small-no-noise": {**SMALL, "noise_inputs": False},
}
LAYERS = SMALL["mapping_layers"]


@pytest.fixture(autouse=True)
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Backbone(SMALL, RESOLUTION, CHANNELS, 0).maps() == MAPS
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: PRESETS)


def tf_generator(classes: int) -> dict:
    return {
        "": {"lod": np.float32(0), "dlatent_avg": draw(W_DIM)},
        "mapping": mapping_tf(classes, LAYERS),
        "synthesis": synthesis_tf(),
    }


def run(*args: object) -> None:
    command.main([str(arg) for arg in args])


def convert(path: Path, out: Path, classes: int = 0, preset: str = "small", which: str = "G_ema", **options) -> None:
    extra = [part for key, value in options.items() for part in (f"--{key}", value)]
    run(
        path,
        "--preset",
        preset,
        "--resolution",
        RESOLUTION,
        "--classes",
        classes,
        "--which",
        which,
        "--out",
        out,
        *extra,
    )


def assert_same_images(out: Path, read: ReadTf | ReadTorch, classes: int, w_avg: np.ndarray) -> None:
    G = load_generator(out)
    z = torch.from_numpy(draw(5, Z_DIM))
    labels = [0, 2, 1, 0, 2]
    c = F.one_hot(torch.tensor(labels), classes).float() if classes else None
    ws = [latent(read, z[n].double(), None if c is None else c[n].double(), LAYERS) for n in range(5)]
    truth = torch.stack([image(read, w) for w in ws])
    assert truth.std() > 0.1
    scale = truth.abs().max().item()
    torch.testing.assert_close(G(z, c, noise_mode="const").double(), truth, rtol=0, atol=1e-4 * max(scale, 1))
    centre = torch.from_numpy(w_avg).double()
    half = torch.stack([image(read, centre + 0.5 * (w - centre)) for w in ws])
    got = G(z, c, truncation_psi=0.5, noise_mode="const").double()
    torch.testing.assert_close(got, half, rtol=0, atol=1e-4 * max(half.abs().max().item(), 1))


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("which", ["G", "G_ema"])
def test_tensorflow_generator(tmp_path: Path, classes: int, which: str):
    networks = {name: tf_generator(classes) for name in ("G", "G_ema")}
    path, out = tmp_path / "network.pkl", tmp_path / "snapshot.safetensors"
    write_tf(path, [networks["G"], {"": discriminator_tf(classes, True)}, networks["G_ema"]])
    convert(path, out, classes, which=which)
    assert_same_images(out, ReadTf(networks[which]), classes, networks[which][""]["dlatent_avg"])


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("which, protocol", [("G", 3), ("G_ema", 4)])
def test_pytorch_generator(tmp_path: Path, classes: int, which: str, protocol: int):
    networks = {name: generator_torch(classes, LAYERS) for name in ("G", "G_ema")}
    path, out = tmp_path / "network.pkl", tmp_path / "snapshot.safetensors"
    write_torch(path, {**networks, "D": discriminator_torch(classes, 0)}, protocol)
    convert(path, out, classes, which=which)
    assert_same_images(out, ReadTorch(networks[which]), classes, networks[which]["mapping.w_avg"])


def discriminator_logits(out: Path, preset: str, classes: int, x: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
    D = Backbone(PRESETS[preset], RESOLUTION, CHANNELS, classes).discriminator()
    with safe_open(out, framework="pt") as file:
        header = json.loads(file.metadata()[command.DISCRIMINATOR_HEADER])
        D.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    assert (header["channels"], header["classes"]) == (CHANNELS, classes)
    return D(x, c).squeeze(1).double()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("preset", ["small", "small-orig"])
def test_tensorflow_discriminator(tmp_path: Path, classes: int, preset: str):
    weights = discriminator_tf(classes, residual=preset == "small")
    path, out = tmp_path / "network.pkl", tmp_path / "D.safetensors"
    write_tf(path, [tf_generator(classes), {"": weights}, tf_generator(classes)])
    convert(path, out, classes, preset, "D")
    x = torch.from_numpy(draw(4, CHANNELS, RESOLUTION, RESOLUTION))
    c = F.one_hot(torch.tensor([2, 0, 1, 2]), classes).float() if classes else None
    named = discriminator_tf_as_torch(weights)
    truth = logits(named, x.double(), None if c is None else c.double(), 0, preset == "small")
    torch.testing.assert_close(discriminator_logits(out, preset, classes, x, c), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("classes, preset, layers", [(0, "small", 0), (3, "small", 0), (3, "small-mapped-labels", 2)])
def test_pytorch_discriminator(tmp_path: Path, classes: int, preset: str, layers: int):
    weights = discriminator_torch(classes, layers)
    path, out = tmp_path / "network.pkl", tmp_path / "D.safetensors"
    write_torch(path, {name: generator_torch(classes, LAYERS) for name in ("G", "G_ema")} | {"D": weights})
    convert(path, out, classes, preset, "D")
    x = torch.from_numpy(draw(4, CHANNELS, RESOLUTION, RESOLUTION))
    c = F.one_hot(torch.tensor([2, 0, 1, 2]), classes).float() if classes else None
    truth = logits(weights, x.double(), None if c is None else c.double(), layers, True)
    torch.testing.assert_close(discriminator_logits(out, preset, classes, x, c), truth, rtol=1e-4, atol=1e-4)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.pkl"
    write_tf(path, [tf_generator(0), {"": discriminator_tf(0, True)}, tf_generator(0)])
    return path


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classes": 3}, r"has no tensor 'mapping/LabelEmbed/weight', which preset 'small' at 16 px needs"),
        (
            {"preset": "small-no-noise"},
            r"has no place for 10 tensors of network G_ema: 'synthesis/16x16/Conv0_up/noise",
        ),
        (
            {"channels": 1},
            r"'synthesis/4x4/ToRGB/weight' of network G_ema gives shape \(3, 12, 1, 1\), .* needs \(1, 12,",
        ),
        ({"which": "D", "preset": "small-orig"}, r"has no place for 2 tensors of network D: '16x16/Skip/weight'"),
        ({"preset": "smal"}, r"unknown preset 'smal'. Did you mean 'small'"),
    ],
)
def test_a_preset_of_another_network(network: Path, tmp_path: Path, options: dict, message: str):
    out = tmp_path / "out.safetensors"
    with pytest.raises(Reported) as error:
        convert(network, out, **options)
    assert re.search(message, str(error.value)), error.value
    assert not out.exists()


@pytest.mark.parametrize("name", ["const", "noise_const", "conv0.weight", "affine.bias", "noise_strength"])
def test_a_tensor_of_another_shape(tmp_path: Path, name: str):
    """Whatever its number of axes, the message names the tensor and both shapes."""
    path, full = tmp_path / "network.pkl", generator_torch(0, LAYERS)
    tensor = next(key for key in full if key.endswith(name))
    parts = tf_generator(0)
    variable = {"const": "4x4/Const/const", "noise_const": "noise0", "conv0.weight": "8x8/Conv0_up/weight"}.get(name)
    for shape in ((), (2,), (2, 3), (2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        if shape != full[tensor].shape:
            write_torch(path, {key: {**full, tensor: draw(*shape)} for key in ("G", "D", "G_ema")})
            with pytest.raises(
                Reported, match=rf"{tensor}' of network G_ema gives shape \({', '.join(map(str, shape))}"
            ):
                convert(path, tmp_path / "out.safetensors")
        if variable:
            write_tf(path, [{**parts, "synthesis": {**parts["synthesis"], variable: draw(*shape)}}] * 3)
            with pytest.raises(Reported, match=f"'synthesis/{variable}'"):
                convert(path, tmp_path / "out.safetensors")


def test_conditional_networks_of_the_first_stylegan2_are_named(tmp_path: Path):
    """They embed labels without a bias, and normalise them together with z: another network."""
    networks = tf_generator(3)
    networks["mapping"]["LabelConcat/weight"] = networks["mapping"].pop("LabelEmbed/weight")
    del networks["mapping"]["LabelEmbed/bias"]
    path = tmp_path / "network.pkl"
    write_tf(path, [networks] * 3)
    with pytest.raises(Reported, match="has no tensor 'mapping/LabelEmbed/weight'"):
        convert(path, tmp_path / "out.safetensors", 3)


def test_weights_that_are_no_numbers(tmp_path: Path):
    broken = tf_generator(0)
    broken["synthesis"]["8x8/Conv1/weight"][0, 0, 0, 0] = math.nan
    path = tmp_path / "network.pkl"
    write_tf(path, [broken] * 3)
    with pytest.raises(
        Reported, match="'synthesis/8x8/Conv1/weight' of network G_ema holds values that are not finite"
    ):
        convert(path, tmp_path / "out.safetensors")


class MeanColour:
    """An extractor of three numbers per image, under the name of the proxy."""

    def identity(self) -> dict:
        values = ["efficientnet_lite0", "0" * 64, RESOLUTION, "none", library("efficientnet_lite0"), False, "folded"]
        return dict(zip(guard.SAME, values, strict=True))

    def __call__(self, images: torch.Tensor) -> Features:
        return Features(images.float().mean(dim=(2, 3)), None)


def test_a_run_whose_metrics_can_be_computed(network: Path, tmp_path: Path):
    images, chosen, run_dir = tmp_path / "procedural-16.npy", tmp_path / "subset.json", tmp_path / "run"
    prepare.main(["--dataset", "procedural", "--resolution", "16", "--out", str(images)])
    subset.main(["--data", str(images), "--size", "20", "--seed", "7", "--out", str(chosen)])
    target = ["--run-dir", run_dir, "--data", images, "--subset", chosen, "--method", "ada", "--kimg", 12]
    run(network, "--preset", "small", "--resolution", RESOLUTION, "--classes", 0, *target)

    spec = RunSpec.read(run_dir / "spec.json")
    assert (spec.dataset, spec.images, spec.subset_seed, spec.method) == ("procedural", 20, 7, "ada")
    real, fake = tmp_path / "real.safetensors", tmp_path / "fake.json"
    device = torch.device("cpu")
    reference_features(MeanColour(), images, None, False, real, 8, device)
    run_features(MeanColour(), run_dir, 32, None, fake, 8, device)
    protocol = read_protocol("proxy").model_copy(update={"fakes": 32, "metrics": ["fd"]})
    (row,) = compute.compute(protocol, real, fake, run_dir)
    assert (row.kimg, row.status, row.n_fake) == (12.032, "done", 32)
    assert row.value > 0 and row.method_title.endswith("released network")
    train = json.loads((run_dir / "train.json").read_text())
    assert train["released"]["file"] == "network.pkl" and train["released"]["network"] == "G_ema"

    with pytest.raises(Reported, match="--resolution 8, but .* holds 16-pixel images"):
        run(network, "--preset", "small", "--resolution", 8, "--classes", 0, *target)
