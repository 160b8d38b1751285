"""BigGAN's published presets, and its training: restarts, snapshots, several D steps per G step, two ranks."""

from __future__ import annotations

import multiprocessing as mp
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from leangan.models.biggan import Backbone
from leangan.plugins.precision import half_precision
from leangan.runs.presets import preset_at, presets
from leangan.training.ema import POWER_ITERATIONS, Ema
from leangan.training.loop import train
from leangan.training.snapshot import load_generator, save_generator
from leangan.training.trainer import Trainer

PRESETS = {name: preset_at(name, 32, "this test") for name in presets() if "biggan" in name}
SMALL = {"z_dim": 12, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# ---- Presets ----

# G steps, G step at which the average starts, batch, D steps, rates of G and D, eval statistics
PUBLISHED = {
    "biggan-cifar": (250_000, 1000, 50, 4, 2e-4, 2e-4, "batch"),
    "biggan-cifar-5000": (125_000, 1000, 50, 4, 2e-4, 2e-4, "batch"),
    "biggan-cifar100-50000": (500_000, 1000, 50, 4, 2e-4, 2e-4, "batch"),
    "biggan-imagenet128-100": (250_000, 40_000, 2048, 2, 1e-4, 5e-4, "standing"),
    "biggan-imagenet128-100-diffaugment": (250_000, 40_000, 2048, 2, 1e-4, 4e-4, "standing"),
    "biggan-imagenet128-50": (150_000, 40_000, 2048, 2, 1e-4, 5e-4, "standing"),
    "biggan-imagenet128-50-diffaugment": (150_000, 40_000, 2048, 2, 1e-4, 2e-4, "standing"),
    "biggan-imagenet128-25": (60_000, 40_000, 2048, 2, 1e-4, 5e-4, "standing"),
    "biggan-imagenet128-25-diffaugment": (60_000, 40_000, 2048, 2, 1e-4, 2e-4, "standing"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name: str):
    preset, row = PRESETS[name], PRESETS[name].hyper
    per_g_step = row["batch"] * row["d_steps"]
    ema = Ema(nn.Linear(1, 1), row["ema_half_life_kimg"], row["ema_ramp"], row["ema_start_kimg"])
    start = row["ema_start_kimg"] * 1000 / per_g_step
    assert (preset.kimg * 1000 / per_g_step, start) == PUBLISHED[name][:2]
    columns = "batch d_steps lr_g lr_d eval_statistics"
    assert tuple(row[key] for key in columns.split()) == PUBLISHED[name][2:]
    assert (row["betas"], row["eps"], row["mirror"]) == ([0.0, 0.999], 1e-8, True)
    assert ema.beta(round((start - 1) * per_g_step), per_g_step) == 0
    assert ema.beta(round(start * per_g_step), per_g_step) == pytest.approx(0.9999, abs=1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_rows_of_one_data_set_share_their_networks(name: str):
    base = PRESETS["biggan-imagenet128-100" if "imagenet" in name else "biggan-cifar"]
    networks = [
        {key: value for key, value in row.hyper.items() if key in Backbone.keys} for row in (PRESETS[name], base)
    ]
    assert networks[0] == networks[1] and len(networks[0]) == len(Backbone.keys) - 2  # without those of 16 bits
    assert PRESETS[name].citation.startswith("arXiv:2006.10738")


def test_tiny_builds():
    backbone = Backbone(PRESETS["tiny-biggan"].hyper, 32, channels=3, classes=0)
    images = backbone.generator()(torch.randn(2, 64), None)
    assert backbone.discriminator()(images, None).shape == (2, 1)


def test_the_16_bit_preset_is_that_of_cifar_with_16_bit_layers():
    preset, base = PRESETS["biggan-cifar-16bit"], PRESETS["biggan-cifar"]
    assert preset.hyper == {**base.hyper, "half_resolutions": 4, "half_type": "bfloat16"}
    assert (preset.kimg, preset.snapshot_kimg) == (base.kimg, base.snapshot_kimg)
    assert preset.labels("none", "none").published_kimg is None
    assert set(Backbone(preset.hyper, 32, 3, 10).half) == {32, 16, 8} and not Backbone(base.hyper, 32, 3, 10).half


# ---- Training ----


@pytest.fixture
def make_run(make_spec):
    """A function (method, **hyper) -> conditional spec of 20 iterations with four D steps each."""

    def make(method: str = "none", **hyper):
        row = {**SMALL, "batch": 4, "d_steps": 4, "ema_start_kimg": 0.1, **hyper}
        length = {"total_kimg": 0.32, "snapshot_kimg": 0.16}
        return make_spec(method, of="tiny-biggan", hyper=row, conditional=True, **length)

    return make


def run(spec, reals, folder, stop=lambda: False, checkpoint_seconds: float = 1e9):
    return train(spec, reals, folder, torch.device("cpu"), 0.064, checkpoint_seconds, stop)


@pytest.mark.parametrize("method", ["none", "cr"])
def test_twenty_iterations_and_the_same_with_a_restart(make_run, make_reals, tmp_path, method: str):
    spec, reals = make_run(method), make_reals(mirror=True, conditional=True)
    outcome = run(spec, reals, tmp_path / "whole")
    assert (outcome.status, outcome.cur_nimg) == ("done", 320)
    calls = iter(range(100))
    assert run(spec, reals, tmp_path / "cut", stop=lambda: next(calls) >= 11).status == "interrupted"
    run(spec, reals, tmp_path / "cut")
    names = sorted(path.name for path in (tmp_path / "whole" / "snapshots").iterdir())
    assert len(names) == 2
    for name in names:
        assert (tmp_path / "whole/snapshots" / name).read_bytes() == (tmp_path / "cut/snapshots" / name).read_bytes()
    norms = spectral_norms(load_generator(tmp_path / "whole/snapshots" / names[-1]))
    assert norms == pytest.approx(norms_after_power_iterations(tmp_path / "whole"), rel=1e-3)


def test_snapshot_gives_the_images_of_the_average(make_run, make_reals, tmp_path):
    spec, reals = make_run(eval_statistics="running"), make_reals(conditional=True)
    steps = Trainer(spec, reals, torch.device("cpu"))
    ema = Ema(steps.G, spec.hyper["ema_half_life_kimg"], None, 0)
    for iteration in range(3):
        steps.g_step(iteration * 16, iteration)
        ema.update(steps.G, iteration * 16, 16)
        steps.d_step(iteration * 16, iteration)
    save_generator(tmp_path / "G.safetensors", ema.module, spec, reals, 48)
    G = load_generator(tmp_path / "G.safetensors")
    z, c = torch.randn(4, G.z_dim), torch.eye(2)[[0, 1, 1, 0]]
    with torch.no_grad():
        assert torch.equal(G(z, c), ema.module(z, c))
        assert not torch.equal(G(z, c), steps.G.eval()(z, c))


def norms_after_power_iterations(run_dir: Path) -> list[float]:
    """The norms that numpy finds once each averaged weight is divided by its estimated largest singular value.

    The estimate is that of power iterations from G's vectors, in float64. Where two singular values lie close together
    it falls short of the largest by up to a per cent, by how much depends on the vectors at the start.
    """
    state = torch.load(max((run_dir / "ckpt").glob("*.pt")), weights_only=True)
    G, average = state["steps"]["G"], state["ema"]
    norms = []
    for name in (name for name in average if name.endswith("parametrizations.weight.original")):
        weight = average[name].flatten(1).double().numpy()
        v = G[name.replace("original", "0._v")].double().numpy()
        for _ in range(POWER_ITERATIONS):
            u = weight @ v
            u /= np.linalg.norm(u)
            v = weight.T @ u
            v /= np.linalg.norm(v)
        norms.append(np.linalg.norm(weight, 2) / (u @ weight @ v))
    return norms


def spectral_norms(G: nn.Module) -> list[float]:
    """The largest singular value of each normalised layer's weight, by numpy."""
    layers = [layer for layer in G.modules() if hasattr(layer, "parametrizations")]
    return [np.linalg.norm(layer.weight.detach().flatten(1).numpy(), 2) for layer in layers]


def test_layers_of_the_average_have_their_own_spectral_norm(make_run, make_reals):
    """G's singular vectors, which the average is given, are not those of the average: numpy's value is above 1."""
    spec, reals = make_run(batch=8, d_steps=1), make_reals(mirror=True, conditional=True)
    steps = Trainer(spec, reals, torch.device("cpu"))
    ema = Ema(steps.G, half_life_kimg=0.2, ramp=None, start_kimg=0)
    for iteration in range(40):
        steps.g_step(iteration * 8, iteration)
        ema.update(steps.G, iteration * 8, 8)
        steps.d_step(iteration * 8, iteration)

    assert max(spectral_norms(ema.module)) > 1.01
    ema.settle()
    assert max(spectral_norms(ema.module)) == pytest.approx(1, abs=2e-3)
    ema.update(steps.G, 320, 8)
    assert all(map(torch.equal, ema.module.buffers(), steps.G.buffers())), "the next average knows nothing of it"


def test_training_moves_the_discriminator_to_the_right_side(make_run, make_reals):
    """After some steps on one fixed batch's distribution D tells reals from the fakes of a G that does not move."""
    steps = Trainer(make_run(), make_reals(conditional=True), torch.device("cpu"))
    for iteration in range(40):
        steps.d_step(iteration * 4, iteration)
        if iteration == 30:
            steps.tally.clear()
    means = steps.tally.means()
    assert means["d_real"] - means["d_fake"] > 1 and means["loss_d"] < 1


# ---- Ranks ----


def ranked(rank: int, folder: str, half: torch.dtype | None) -> tuple[dict, dict]:
    """G's gradients, averaged over two processes, and its state, as process `rank` has them."""
    torch.set_num_threads(1)  # as in this one: more of them round the first spectral norms, in float32, differently
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(minutes=5))
    G, D, z, c = distributed_parts(half)
    hinge_gradients(G, D, z[rank::2], c[rank::2], half)
    for parameter in G.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= 2
    dist.destroy_process_group()
    return {name: parameter.grad for name, parameter in G.named_parameters()}, G.state_dict()


def distributed_parts(half: torch.dtype | None) -> tuple:
    torch.manual_seed(1)
    keys = {"hierarchical_z": True, "shared_dim": 4, "eval_statistics": "running", "half_resolutions": 2 if half else 0}
    backbone = Backbone({**SMALL, **keys}, 16, 3, classes=3)
    z, c = torch.randn(8, 12, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 2, 1, 0, 0, 1]]
    return backbone.generator().double(), backbone.discriminator().double(), z, c


def hinge_gradients(
    G: nn.Module, D: nn.Module, z: torch.Tensor, c: torch.Tensor, half: torch.dtype | None = None
) -> None:
    with half_precision(half) if half else nullcontext():
        x = G(z, c)
        # A gradient penalty, so that the second derivative of the statistics crosses ranks too.
        (slope,) = torch.autograd.grad(D(x, c).sum(), x, create_graph=True)
        (F.relu(1 - D(x, c)).mean() + slope.square().sum((1, 2, 3)).mean()).backward()


def together(folder: Path, half: torch.dtype | None = None) -> tuple[dict, dict]:
    """What `ranked` gives on the first of two processes."""
    other = mp.get_context("spawn").Process(target=ranked, args=(1, str(folder), half), daemon=True)
    other.start()
    found = ranked(0, str(folder), half)
    other.join()
    return found


def test_two_ranks_train_as_one_process_would(tmp_path):
    """Statistics over ranks enter forward pass, gradients and moving averages."""
    gradients, state = together(tmp_path)
    G, D, z, c = distributed_parts(None)
    hinge_gradients(G, D, z, c)
    for name, parameter in G.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-9, atol=1e-11, msg=name)
    for name, value in G.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-12, msg=name)


def test_so_they_do_in_16_bits(tmp_path):
    """Up to the rounding of their type, here against one process without 16-bit layers."""
    gradients, state = together(tmp_path, torch.float16)
    G, D, z, c = distributed_parts(None)
    hinge_gradients(G, D, z, c)
    found, expected = (
        torch.cat([each.flatten() for each in grads])
        for grads in (gradients.values(), [parameter.grad for parameter in G.parameters()])
    )
    eps = torch.finfo(torch.float16).eps
    assert eps / 10 < (found - expected).norm() / expected.norm() < 40 * eps
    for name, value in G.state_dict().items():
        assert state[name].dtype == torch.float64
        torch.testing.assert_close(state[name], value, rtol=4 * eps, atol=4 * eps, msg=name)
