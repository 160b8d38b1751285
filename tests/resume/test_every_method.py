"""Every method through an interruption: what it keeps, and what it adds to G and D, is in checkpoint and snapshot."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors import safe_open

from leangan.core.spec import TRANSFER
from leangan.plugins.registry import load, names
from leangan.training import checkpoint
from leangan.training.loop import train
from leangan.training.snapshot import HEADER, load_generator
from tests.helpers.method_at_work import run_of

AT_WORK = {"p": 0.5, "interval": 3, "tune_kimg": 0.1, "warm_up": 0}
"""Arguments with which a method acts from the start, and its controller is cut in the middle of an interval."""

OTHERS = {"ada-linear": ("ada", {"heuristic": "linear", "target": 0.6}), "minegan-2": ("minegan", {"freeze_g": False})}
"""Choices that take another way through a method than its defaults do."""

CASES = {**{name: (name, {}) for name in names("method") if name != TRANSFER}, **OTHERS}

ITERATIONS = 6

CHANGE_G = ("minegan", "shallow_mapping")


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_continues_bit_for_bit(make_spec, make_reals, tmp_path, case):
    name, chosen = CASES[case]
    known = inspect.signature(load("method", name)).parameters
    at_work = {key: value for key, value in AT_WORK.items() if key in known}
    spec = run_of(name, make_spec, **{name: {**at_work, **chosen}})
    assert not isinstance(spec, str), spec
    # What the run would start from is not there, and of no interest here.
    plugins = [(plugin, args) for plugin, args in spec.plugins if plugin != TRANSFER]
    spec = replace(spec, plugins=plugins, total_kimg=0.008 * ITERATIONS, snapshot_kimg=1.0)

    def run(folder: str, *stops: int) -> dict[str, torch.Tensor]:
        """What is held after calls of which each ends after so many iterations, or with the run."""
        for last in stops:
            asked = iter(range(100))
            stop = partial(lambda asked, last: next(asked) > last, asked, last)
            outcome = train(spec, make_reals(), tmp_path / folder, torch.device("cpu"), 0.016, 0.0, stop)
            assert outcome.status == ("done" if last == ITERATIONS else "interrupted")
        steps = checkpoint.load_latest(tmp_path / folder / "ckpt", torch.device("cpu"))["steps"]
        return {f"{part}.{key}": value for part in ("G", "D", "method") for key, value in steps[part].items()}

    whole, cut = run("whole", ITERATIONS), run("cut", 2, ITERATIONS)
    assert whole.keys() == cut.keys()
    for key, value in whole.items():
        assert torch.equal(value, cut[key]) or value.isnan().all(), key
    snapshot = tmp_path / "whole" / "snapshots" / "000000.048.safetensors"
    with safe_open(str(snapshot), framework="pt") as file:
        assert json.loads(file.metadata()[HEADER])["plugins"] == ([name] if name in CHANGE_G else [])
    G = load_generator(snapshot)
    assert G(torch.randn(2, G.z_dim), None).isfinite().all()
