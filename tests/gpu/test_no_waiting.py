"""A training iteration of every method and every preset only queues work: the host waits nowhere for the GPU.

torch raises where it would wait, after an iteration in which constants are made and memory is taken. On a CPU, narrow
networks show that the iterations run and that their numbers are finite.
"""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from leangan.core.spec import RunSpec
from leangan.plugins.precision import HALF_TYPES
from leangan.runs.presets import preset_at, presets
from leangan.training.ema import Ema
from leangan.training.placement import DeviceImages, HostImages
from leangan.training.sampler import seed_step
from leangan.training.trainer import Trainer
from tests.helpers.every_method import runs
from tests.helpers.twins import computing_in, random_reals
from tests.helpers.waiting import nowhere_waiting

SIZES = {
    32: (
        *("tiny", "cifar", "diffaugment-cifar", "biggan-cifar"),
        *("advaug-biggan-cifar", "augself-biggan-cifar", "diffusion-gan-cifar"),
    ),
    128: ("biggan-imagenet128",),
    512: ("paper512",),
    1024: ("stylegan2", "paper1024", "fastgan-1024"),
}
"""The resolution of the presets that are not for 256 px."""

CLASSES = {"cifar": 10, "biggan-cifar": 10, "biggan-imagenet128-100": 1000}
"""Of the presets that are trained with labels here."""

WEIGHTS = {"lr_g", "lr_d", "ema_half_life_kimg", "ema_start_kimg", "r1_gamma", "batch", "betas", "eps"}
"""Presets that differ in these alone do the same work."""


def work_of(name: str) -> str:
    hyper = preset_at(name, resolution_of(name), "this test").hyper
    work = {key: value for key, value in hyper.items() if key not in WEIGHTS}
    return json.dumps([work, bool(hyper.get("r1_gamma")), resolution_of(name)])


def resolution_of(name: str) -> int:
    return next((size for size, names in SIZES.items() if name.startswith(names)), 256)


PRESETS = sorted({work_of(name): name for name in reversed(presets())}.values())


class Training:
    """The parts of a run, and its iterations with all regularisers and a held-out batch."""

    def __init__(self, spec: RunSpec, device: torch.device, classes: int = 3, placement: str = "auto") -> None:
        self.data = random_reals(spec, device, classes, placement)
        self.trainer = Trainer(spec, self.data, device)
        hyper = spec.hyper
        self.ema = Ema(self.trainer.G, hyper["ema_half_life_kimg"], hyper["ema_ramp"], hyper["ema_start_kimg"])
        self.spec, self.cur_nimg = spec, 0

    def iterate(self) -> None:
        seed_step(self.spec.seed, self.cur_nimg)
        self.trainer.g_step(self.cur_nimg, iteration=0)
        self.ema.update(self.trainer.G, self.cur_nimg, self.spec.hyper["batch"])
        self.trainer.d_step(self.cur_nimg, iteration=0)
        self.cur_nimg += self.spec.hyper["batch"]
        self.trainer.validate(self.cur_nimg, iteration=0)


def train(spec: RunSpec, device: torch.device, **options) -> Training:
    training = Training(spec, device, **options)
    training.iterate()
    with nowhere_waiting(device):
        training.iterate()
    means = training.trainer.tally.means()
    assert {"loss_g", "loss_d", "d_valid"} <= means.keys()
    assert all(torch.tensor(means[name]).isfinite() for name in means), means
    for param in [*training.ema.module.parameters(), *training.trainer.D.parameters()]:
        assert param.isfinite().all()
    return training


@pytest.mark.parametrize("spec", [pytest.param(spec, id=name) for name, spec in runs().items()])
def test_every_method(device, spec):
    train(dataclasses.replace(spec, hyper={**spec.hyper, "batch": 4}), device)


@pytest.mark.parametrize("placement, kind", [("device", DeviceImages), ("host", HostImages)])
@pytest.mark.parametrize("backbone", ["stylegan2", "biggan"])
def test_reals_on_the_device_and_in_the_file(device, backbone, placement, kind):
    spec = runs()[f"{backbone}-none"]
    spec = dataclasses.replace(spec, hyper={**spec.hyper, "batch": 4, "mirror": True}, conditional=True)
    assert isinstance(train(spec, device, placement=placement).data.train, kind)


@pytest.mark.parametrize("half_type", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name, keys",
    [
        *[
            (f"stylegan2-{method}", {"conv_clamp": 256, "pl_weight": 2.0})
            for method in ("ada", "adaptive_dropout", "pagan")
        ],
        ("biggan-diffaugment", {"attention_at": 16, "eval_statistics": "running"}),
    ],
)
def test_16_bits(device, name, keys, half_type):
    spec = runs()[name]
    hyper = {**spec.hyper, "batch": 4, "half_resolutions": 4, "half_type": half_type, **keys}
    with computing_in(HALF_TYPES[half_type], device):
        train(dataclasses.replace(spec, hyper=hyper), device)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset(device, make_spec, name):
    """At its own size on a GPU, narrowed on a CPU; the batch is the smallest that its groups allow."""
    resolution, classes = resolution_of(name), CLASSES.get(name, 0)
    hyper = preset_at(name, resolution, "this test").hyper
    changes = {"batch": hyper.get("mbstd_group", 4)}
    if "init" in hyper:
        changes["init"] = "normal"  # an orthogonal one takes many seconds, and trains alike
    if device.type == "cpu":
        resolution = min(resolution, 64) if "fmap_max" in hyper else resolution
        narrow = {"batch": 4, "fmap_base": 64, "fmap_max": 4, "mbstd_group": 4}
        maps = {key: [8] * len(hyper[key]) for key in ("g_maps", "d_maps") if key in hyper}
        if "g_width" in hyper:
            resolution = min(resolution, 64)
            maps = {"g_width": 4, "d_width": 4, "excitation_factor": 2}
        changes |= {"batch": 2, **maps} if maps else narrow
    train(make_spec(of=name, hyper=changes, resolution=resolution, conditional=classes > 0), device, classes=classes)


def test_waiting_would_show(card):
    with pytest.raises(RuntimeError, match="synchroniz"), nowhere_waiting(card):
        float(torch.ones((), device=card))
