"""The benchmark compares like with like: both sides are handed the same fakes."""

from __future__ import annotations

import pytest
import torch

from benchmarks import metrics as benchmark
from leangan.core.errors import ConfigError
from leangan.metrics.fakes import Fakes
from leangan.plugins.pair import Generator

CPU = torch.device("cpu")


class Painter(Generator):
    """An image's colour is its latent."""

    z_dim, c_dim = 3, 0

    def forward(self, z: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        return z[:, :, None, None].expand(-1, -1, 8, 8)


def test_the_other_pipelines_get_the_fakes_that_ours_gets():
    ours = torch.cat(list(Fakes(Painter(), 128, None, 0, CPU).blocks()))
    for batch in (benchmark.FIDELITY_BATCH, benchmark.CLEAN_BATCH):
        G = Painter()
        G.sampling_batch = batch
        generator = benchmark.InOrder(Fakes(G, 128, None, 0, CPU))
        theirs = torch.cat([generator(torch.zeros(batch, 3)) for _ in range(128 // batch)])
        assert torch.equal(theirs, ours)


def test_images_must_fill_the_batches():
    with pytest.raises(ConfigError, match="--images is 100, must be a multiple of 64"):
        benchmark.main(["--images", "100"])


@pytest.mark.long
def test_a_table_of_ratios(capsys):
    assert benchmark.main(["--images", "64", "--n-fake", "2500", "--repeats", "1", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split("|")[2].strip() for line in lines] == ["ours", "torch-fidelity", "ours", "clean-fid"]
    assert all(float(line.split("|")[6]) == 1 for line in lines[::2])
