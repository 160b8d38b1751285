"""Fakes that a recorder replays, in place of a CUDA graph, are those that the generator makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from leangan.metrics.fakes import Fakes, NotFinite
from leangan.plugins.pair import Generator

CPU = torch.device("cpu")
LABELS = np.array([0, 1, 1])


class Painter(Generator):
    """Images of latent, label and noise."""

    def __init__(self, c_dim: int) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.calls = 3, c_dim, 0

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        self.calls += 1
        colour = z / 3 if c is None else z / 3 + c[:, :1]
        return colour[:, :, None, None] + 0.1 * torch.randn(len(z), 3, 8, 8)


class Recorder:
    """Does the work anew at each replay, without asking for other tensors."""

    def __init__(self) -> None:
        self.recorded, self.replays = 0, 0

    def __call__(self, work):
        self.recorded += 1

        def replay() -> None:
            self.replays += 1
            work()

        return replay


def made(G: Generator, count: int, recorder=None, block: int = 10) -> Tensor:
    return torch.cat(list(Fakes(G, count, LABELS if G.c_dim else None, 0, CPU, block, recorder).blocks()))


@pytest.mark.parametrize("c_dim", [0, 2])
def test_whole_blocks_are_replayed_and_a_smaller_one_is_not(c_dim):
    recorder, G = Recorder(), Painter(c_dim)
    replayed = made(G, 45, recorder)
    assert torch.equal(replayed, made(Painter(c_dim), 45))
    # The first block is made to set things up, then once more to compare.
    assert (recorder.recorded, recorder.replays, G.calls) == (1, 4, 6)


def test_few_fakes_record_nothing():
    recorder = Recorder()
    made(Painter(0), 7, recorder)
    assert recorder.recorded == 0


def test_images_that_are_no_numbers_are_noticed_in_a_replay():
    class Failing(Painter):
        def forward(self, z, c):
            return super().forward(z, c) / (self.calls < 4)

    with pytest.raises(NotFinite):
        made(Failing(0), 45, Recorder())


def refusing(work):
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


class Counting(Painter):
    """Changes from call to call by a number in Python, which a graph holds as it was when recorded."""

    def forward(self, z, c):
        return super().forward(z, c) + self.calls / 10


@pytest.mark.parametrize(
    "G, recorder, why",
    [
        (Painter, refusing, "operation not permitted when stream is capturing"),
        (Counting, Recorder(), "it makes other images"),
    ],
)
def test_what_cannot_be_replayed_is_made_without_and_said_once(capsys, G, recorder, why):
    assert len(made(G(0), 45, recorder)) == 45
    assert capsys.readouterr().err == f"fakes are made without a CUDA graph, more slowly: {why}\n"


def test_a_refused_recording_changes_no_image(capsys):
    assert torch.equal(made(Painter(0), 45, refusing), made(Painter(0), 45))


def test_images_are_not_written_over_by_the_next_replay():
    fakes = Fakes(Painter(0), 40, None, 0, CPU, 10, Recorder())
    blocks = [fakes.make(number) for number in range(4)]
    kept = [block.clone() for block in blocks]
    fakes.make(1)
    assert all(map(torch.equal, blocks, kept))
