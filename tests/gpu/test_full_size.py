"""The regularisers at the size of the published networks, with the suite's own settings, cuDNN's choice included."""

from __future__ import annotations

import time

import pytest
import torch

from leangan.training.device import set_up
from leangan.training.trainer import Trainer
from tests.helpers.twins import random_reals
from tests.helpers.waiting import nowhere_waiting


@pytest.mark.parametrize("half_type", ["bfloat16", "none"])
def test_r1_and_path_length_of_paper256(card, make_spec, measured, half_type):
    set_up(card, torch.get_num_threads(), tf32=False)
    keys = {"batch": 8, "half_type": half_type}
    spec = make_spec(of="paper256", hyper=keys, resolution=256)
    steps = Trainer(spec, random_reals(spec, card), card)
    step_of = {"G and path length": steps.g_step, "D and R1": steps.d_step}
    for step in step_of.values():  # cuDNN measures, constants are made
        step(0, 0)
    for name, step in step_of.items():
        torch.cuda.synchronize(card)
        start = time.perf_counter()
        with nowhere_waiting(card):
            step(8, 0)
        queued = time.perf_counter() - start
        torch.cuda.synchronize(card)
        whole = time.perf_counter() - start
        measured(f"{name}, {half_type}, batch 8: {1000 * whole:.0f} ms, of which {1000 * queued:.0f} to queue it")
    means = steps.tally.means()
    assert {"path_length", "r1", "loss_g", "loss_d"} <= means.keys()
    assert all(torch.tensor(mean).isfinite() for mean in means.values()), means
    assert means["r1"] > 0 and means["path_length"] > 0
