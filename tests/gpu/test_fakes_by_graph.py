"""Fakes by a CUDA graph are, to the bit, those that the generator makes without; and reals come without waiting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.setting import backbone_of
from leangan.core.cuda_graph import captured
from leangan.metrics.extraction import real_batches
from leangan.metrics.fakes import Fakes
from leangan.plugins.pair import Generator
from leangan.runs.presets import preset_at
from tests.helpers.waiting import nowhere_waiting

BLOCK, COUNT = 16, 72
"""Four whole blocks and half of one."""


class Labelled(Generator):
    """Noise of its own on latent and label."""

    z_dim, c_dim = 3, 5

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        assert c is not None
        return (z + c[:, :3])[:, :, None, None] / 3 + 0.1 * torch.randn(len(z), 3, 8, 8, device=z.device)


class Waiting(Labelled):
    """Reads a number back, which a graph cannot hold."""

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        return super().forward(z, c) + float(z.sum()) / 1000


def generator(name: str, device: torch.device) -> Generator:
    """An untrained G; noise counts in its images."""
    if name == "labelled":
        return Labelled().to(device)
    G = backbone_of(preset_at(name, 32, "this test"), 32).generator()
    for parameter, value in G.named_parameters():
        if parameter.endswith("noise_strength"):
            value.data.fill_(0.3)
    return G.eval().requires_grad_(False).to(device)


def fakes(G: Generator, device: torch.device, recorder=captured) -> Fakes:
    return Fakes(G, COUNT, np.arange(5) if G.c_dim else None, 0, device, BLOCK, recorder)


def none_recorded(work):
    raise RuntimeError("not wanted here")


@pytest.mark.parametrize("name", ["tiny", "cifar", "biggan-cifar", "labelled"])
def test_fakes_of_a_graph_are_those_without(card, capsys, name):
    G = generator(name, card)
    by_graph, without = fakes(G, card), fakes(G, card, none_recorded)
    first = by_graph.make(0)
    assert capsys.readouterr().err == "", "nothing was recorded"
    with nowhere_waiting(card):
        rest = [by_graph.make(number) for number in (3, 1, 2, 4)]
    made = torch.cat([first, rest[1], rest[2], rest[0], rest[3]])
    assert torch.equal(made, torch.cat(list(without.blocks())))
    assert made.float().std() > 1


def test_several_graphs_of_one_process(card):
    """They share their memory; each keeps its own images."""
    pairs = [
        (fakes(G, card), fakes(G, card, none_recorded)) for G in (generator("tiny", card), generator("tiny", card))
    ]
    for number in range(5):
        for by_graph, without in pairs:
            assert torch.equal(by_graph.make(number), without.make(number))


def test_what_waits_for_the_gpu_is_made_without(card, capsys):
    """One line says it; nothing is recorded, and another generator is afterwards."""
    G = Waiting()
    made, expected = (torch.cat(list(fakes(G, card, recorder).blocks())) for recorder in (captured, none_recorded))
    assert torch.equal(made, expected)
    first, second = capsys.readouterr().err.splitlines()
    assert all("G waits for the GPU in" in line for line in (first, second))
    G = generator("tiny", card)
    assert len(torch.cat(list(fakes(G, card, captured).blocks()))) == COUNT
    assert capsys.readouterr().err == ""


def test_reals_come_without_waiting(card):
    images = np.random.RandomState(0).randint(0, 256, (70, 3, 16, 16)).astype(np.uint8)
    batches = real_batches(images, None, 32, card)
    first = next(batches)
    with nowhere_waiting(card):
        rest = list(batches)
    assert np.array_equal(torch.cat([first, *rest]).cpu().numpy(), images)
