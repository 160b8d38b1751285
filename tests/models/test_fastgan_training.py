"""FastGAN's published presets, and its training: CUDA graphs, snapshots, two ranks, methods."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leangan.plugins.trial import try_hooks
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.runs.presets import preset_at
from leangan.training.capture import WARM_UP
from leangan.training.ema import Ema
from leangan.training.loop import train
from leangan.training.purity import why_not_captured
from leangan.training.reals import Reals
from leangan.training.sampler import seed_step
from leangan.training.snapshot import load_generator
from leangan.training.trainer import Trainer
from tests.helpers.recorded import recorded

CPU = torch.device("cpu")
SMALL = {"z_dim": 8, "g_width": 2, "d_width": 1}


def reals() -> Reals:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
    return Reals(images, None, 0, list(range(24)), list(range(24, 40)), False, 0, CPU)


@pytest.fixture
def spec_of(make_spec):
    """A function (entry of config/methods.yaml) -> its run with small networks at 32 pixels."""
    return lambda method, **changes: make_spec(method, of="tiny-fastgan", hyper=SMALL, resolution=32, **changes)


@pytest.mark.parametrize("name", ["fastgan-256", "fastgan-1024"])
def test_published_values(name: str):
    preset = preset_at(name, 256, "this test")
    row = preset.hyper
    assert preset.kimg * 1000 / row["batch"] == 50_000
    columns = "batch d_steps lr_g lr_d betas eps mirror z_dim excitation_factor eval_statistics"
    assert [row[key] for key in columns.split()] == [8, 1, 2e-4, 2e-4, [0.5, 0.999], 1e-8, True, 256, 16, "batch"]
    ema = Ema(nn.Linear(1, 1), row["ema_half_life_kimg"], row["ema_ramp"], row["ema_start_kimg"])
    assert ema.beta(8, 8) == pytest.approx(0.999, abs=1e-7)


def test_the_entry_is_the_method_as_published():
    plugins = dict(method_plugins("fastgan"))
    assert list(plugins) == ["diffaugment", "reconstruction"]
    assert plugins["diffaugment"]["policy"] == "color,translation"


def test_it_trains_and_its_snapshots_give_images(spec_of, tmp_path):
    spec = spec_of("fastgan", total_kimg=0.032, snapshot_kimg=0.032)
    outcome = train(spec, reals(), tmp_path, CPU, 0.032, 1e9, lambda: False)
    assert (outcome.status, outcome.cur_nimg) == ("done", 32)
    G = load_generator(next((tmp_path / "snapshots").glob("*32.safetensors")))
    assert G(torch.randn(2, 8), None).isfinite().all()


@pytest.mark.parametrize("method", ["ada-reconstruction", "lecam-biggan", "auxiliary_rotation", "pagan"])
def test_methods_that_the_contract_suffices_for_work(spec_of, method: str):
    spec = spec_of(method)
    needs_layers = {"pagan": "part d_layers"}
    reason = refusal(spec)
    if reason is None:
        try_hooks(spec, reals(), CPU)
    assert (reason is None) != (method in needs_layers), reason


def test_graphs_train_what_eager_steps_train(spec_of):
    """The same bits, singular vectors included."""
    spec = spec_of("fastgan")
    assert why_not_captured(spec, 3, 0) is None
    states = []
    for record in (None, recorded):
        torch.manual_seed(0)
        trainer = Trainer(spec, reals(), CPU, record)
        for iteration in range(WARM_UP + 2):
            seed_step(0, 8 * iteration)
            trainer.g_step(8 * iteration, iteration)
            trainer.d_step(8 * iteration, iteration)
        states.append({**trainer.D.state_dict(), **trainer.G.state_dict(), **trainer.method.state_dict()})
    eager, graphs = states
    assert all(part.replay is not None for name, part in trainer.parts.items() if name.endswith("step"))
    assert all(torch.equal(value, graphs[name]) for name, value in eager.items())
