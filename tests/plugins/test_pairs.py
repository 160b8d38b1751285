"""Whatever the suite does not refuse trains: every method on FastGAN, and with methods that change what D does."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from leangan.plugins.networks import build_networks
from leangan.plugins.registry import load, names
from leangan.plugins.trial import try_hooks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import run_of

CPU = torch.device("cpu")

CHANGING = ("adaptivemix", "chain", "diffusion_gan", "dynamicd")
"""Methods after which D draws, looks or compares otherwise than alone."""

FASTGAN_PX = 32
"""The fewest pixels that FastGAN has."""


@pytest.mark.parametrize("name", sorted({*names("method")} - {"diffusion_gan"}))
def test_a_method_trains_fastgan_or_is_refused(make_spec, make_reals, name):
    spec = run_of(name, partial(make_spec, resolution=FASTGAN_PX), ["tiny-fastgan"])
    if isinstance(spec, str):
        pytest.skip(spec)
    trains(spec, make_reals(resolution=FASTGAN_PX))


@pytest.mark.parametrize("other", CHANGING)
@pytest.mark.parametrize("name", names("method"))
def test_a_pair_of_methods_trains_or_is_refused(make_spec, make_reals, name, other):
    spec = run_of(name, make_spec, ["tiny"])
    if isinstance(spec, str) or other in dict(spec.plugins):
        pytest.skip("it does not run on StyleGAN2, or is the other one itself")
    plugins = [(other, load("method", other).quick), *spec.plugins]
    pair = make_spec(name, plugins=plugins, hyper={key: spec.hyper[key] for key in ("r1_gamma", "pl_weight")})
    if reason := refusal(pair):
        assert reason[0] == "skip"
        pytest.skip(reason[1])
    trains(pair, make_reals())


def trains(spec, reals) -> None:
    """Its hooks keep their contract, and two iterations give finite numbers."""
    torch.manual_seed(0)
    try_hooks(spec, reals, CPU)
    steps = Trainer(spec, reals, CPU)
    for iteration in range(2):
        cur_nimg = iteration * spec.hyper["batch"]
        steps.g_step(cur_nimg, iteration)
        steps.d_step(cur_nimg, iteration)
    numbers = {**steps.tally.means(), **steps.method.log()}
    assert all(math.isfinite(value) for value in numbers.values()), numbers


def test_d_of_the_published_fastgan_is_told_no_step_of_a_diffusion(make_spec):
    """Its last hidden layer has 81,920 units: a layer from it to itself would take 25 GB."""
    plugins = [("diffusion_gan", {})]
    with torch.device("meta"), pytest.raises(ValueError, match="81,920 units.*`condition` to false"):
        build_networks(make_spec(plugins=plugins, of="fastgan-256", resolution=256), 3, 0)
    with torch.device("meta"):
        for method in ("insgen", "fakeclr"):
            build_networks(make_spec(plugins=[(method, {})], of="fastgan-256", resolution=256), 3, 0)
