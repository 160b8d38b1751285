"""What an iteration asks of a GPU is counted, checked against sums done by hand."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from benchmarks.calls import FILTERS, META, Calls, Cost, Part, counted, line, main, parts, per_iteration
from benchmarks.iteration import Iterations
from leangan.models.stylegan2 import low_pass


def test_calls_bytes_and_operations_of_a_few_lines():
    x = torch.empty(2, 8, 10, 10, dtype=torch.bfloat16, device=META)
    weight = torch.empty(8, 8, 3, 3, dtype=torch.bfloat16, device=META)
    a = torch.empty(4, 5, device=META)
    with Calls() as calls:
        F.conv2d(x, weight)  # [2, 8, 8, 8]
        F.avg_pool2d(x, 2)
        a.view(20).unsqueeze(0).expand(3, 20)  # no kernel
        a @ a.t()
        torch.empty_like(a).copy_(a)
    assert calls.cost == Cost(
        calls=4,
        convolutions=1,
        flop16=2 * (2 * 8 * 8 * 8) * (8 * 9),
        flop32=2 * 4 * 4 * 5,
        moved=2 * (2 * 8 * 100 + 2 * 8 * 25) + 4 * 2 * 20,
    )


@pytest.mark.parametrize(
    "form, sides", [(low_pass.downsample2d, [10, 11, 11, 10, 10, 5]), (low_pass.upsample2d, [10, 20, 20, 21, 21, 20])]
)
def test_the_low_pass_of_stylegan2_is_filtered_and_nothing_else(form, sides):
    x = torch.empty(2, 8, 10, 10, device=META)
    with Calls(FILTERS["stylegan2"]) as calls:
        form(x)
    assert calls.cost == Cost(calls=3, filtered=4 * 2 * 8 * sum(side**2 for side in sides))


@pytest.mark.parametrize("preset, filters", [("tiny", True), ("tiny-biggan", False)])
def test_biggan_has_no_low_pass(preset, filters):
    assert bool(per_iteration(parts(preset, "none", 32, batch=4)).filtered) == filters


def test_costs_add_up():
    found = {"G step": Part(1, Cost(10, moved=100)), "R1": Part(0.25, Cost(8, 4))}
    assert per_iteration(found) == Cost(12, 1, moved=100)


@pytest.fixture
def iterations():
    with patch("torch.optim.adam._device_dtype_check_for_fused"):
        keys = {"r1_interval": 4, "pl_weight": 2.0, "pl_interval": 2}
        made = Iterations("tiny", "none", 16, 3, 0, 4, META, replaced=keys)
        made.trainer.validation_interval = 4
        yield made


def test_parts_at_their_intervals_are_a_whole_cycle(iterations):
    found = counted(iterations)
    assert {name: part.times for name, part in found.items()} == {
        "G step": 1, "D step": 1, "path length": 1 / 2, "R1": 1 / 4, "held-out": 1 / 4, "average of G": 1
    }  # fmt: skip
    assert min(part.cost.calls for part in found.values()) > 0
    with Calls() as calls:
        for iteration in range(4):
            iterations.iterate(iteration)
    mean = per_iteration(found)
    assert calls.cost.calls == pytest.approx(4 * mean.calls, abs=4)  # seeds and labels are drawn around the parts
    assert calls.cost.convolutions == 4 * mean.convolutions
    assert (calls.cost.flop32, calls.cost.flop16) == (4 * mean.flop32, 0)


def test_the_table_has_every_part_in_its_column(capsys):
    assert main(["--preset", "tiny", "--resolution", "16", "--batch", "4"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["path length"] == "" and cells["R1"] != ""
    assert line("a", "b", {"D step": Part(4, Cost(7, 2, 3e9, 5e9, 6e9, 8e9))}) == (
        "| a | b |  |  | 7 (2) |  |  |  | 28 (8) | 32 | 24 | 12 | 20 |"
    )
