"""All ways to filter that the benchmark of kernels compares are the same filter."""

from __future__ import annotations

import pytest
import torch

from benchmarks import kernels
from benchmarks.kernels import UP, epilogue_row, filter_row, main, ways


@pytest.mark.parametrize("padding", [0, 1, 2, 3, UP])
def test_every_way_gives_what_the_networks_compute(padding):
    x = torch.randn(2, 3, 9, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    found = ways(x, padding)
    assert len(found) == 4
    expected = found.pop("depthwise")()
    for name, call in found.items():
        torch.testing.assert_close(call(), expected, msg=lambda text, name=name: f"{name}: {text}")


def test_two_tables_on_a_cpu(capsys):
    main(["--device", "cpu", "--threads", "1", "--seconds", "0"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| [")]
    assert len(rows) == len(kernels.FILTERS) + len(kernels.EPILOGUES)
    assert all(" - |" in row for row in rows)  # Triton


@pytest.mark.parametrize("failing", [False, True])
def test_cells_of_the_kernels(monkeypatch, failing):
    """A kernel that fails leaves its work to plain torch, whose time must not stand as the kernel's."""

    class Card:
        type = "cuda"

    used = []

    def timed(call, seconds):
        used.append(kernels.kernels.fused())
        if failing:
            kernels.kernels.use_fused(False)
        return 1e-3

    monkeypatch.setattr(kernels, "queued_call", timed)
    cells = kernels.by_kernel(lambda: [print, print], Card(), 0.0)
    assert cells == (["failed"] * 2 if failing else ["1", "1"])
    assert used[0] and not kernels.kernels.fused()


def test_a_row_says_what_was_measured():
    cpu = torch.device("cpu")
    assert filter_row((1, 2, 5, 5), torch.bfloat16, 1, cpu, 0.0).startswith("| [1, 2, 5, 5], bfloat16 | padding 1 |")
    assert filter_row((1, 2, 5, 5), torch.float32, UP, cpu, 0.0).endswith("| - |")
    assert epilogue_row((1, 2, 4, 4), True, cpu, 0.0).startswith("| [1, 2, 4, 4] | G |")
