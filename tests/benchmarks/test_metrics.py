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


def pipeline(features=lambda: None, number=lambda fake: None) -> benchmark.Pipeline:
    return benchmark.Pipeline(features, number)


def fails(*_):
    raise TypeError("sqrtm() got | an unexpected\nkeyword argument")


@pytest.mark.parametrize(
    "theirs, features, number",
    [
        (pipeline, False, False),
        (lambda: pipeline(number=fails), False, True),
        (lambda: pipeline(features=fails), True, True),
        (fails, True, True),
    ],
)
def test_what_fails_of_theirs_costs_a_cell(monkeypatch, capsys, theirs, features, number):
    """No cell is empty but those that would need it, and ours has all of its own."""
    monkeypatch.setattr(benchmark, "seconds", lambda step, device: (step(), 0.5)[1])
    benchmark.compare("other", theirs, pipeline(), 64, torch.zeros(100, 2), 1, CPU)
    ours, others = ([cell.strip() for cell in line.split("|")[2:-1]] for line in capsys.readouterr().out.splitlines())
    assert ours == ["ours", "128", "0.50", "78.05", "1.00"]
    fault = "failed: TypeError: sqrtm() got / an unexpected"
    expected = [fault if features else "128", (fault if not features else "") if number else "0.50"]
    assert others == ["other", *expected, *(["", ""] if number else ["78.05", "1.00"])]


def test_what_fails_of_ours_ends_the_benchmark():
    with pytest.raises(TypeError):
        benchmark.compare("other", pipeline, pipeline(features=fails), 64, torch.zeros(100, 2), 1, CPU)
