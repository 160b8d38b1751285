"""The device under test, and how all tests here set it up.

    pytest tests/gpu -n 4 -m gpu       on a GPU
    pytest tests/gpu --device cpu      on a CPU, what is not about CUDA alone and not too large

What the tests measure is printed at the end.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from leangan.core.cuda_graph import use_graphs
from leangan.training.device import pick_device, set_up

# cuBLAS reads it when a process first uses it, and is reproducible with it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

GPU_THREADS = 2  # of the CPU, beside a GPU; one where the CPU is the device
MEASURED = "measured"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where there is no GPU to run it on."""
    missing = config.getoption("--device") == "cuda" and not torch.cuda.is_available()
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.gpu)
            if missing:
                item.add_marker(pytest.mark.skip(reason="no GPU; a part runs on a CPU with --device cpu"))


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device that --device names, as a run of the suite would pick it."""
    return pick_device(request.config.getoption("--device"))


@pytest.fixture
def card(device: torch.device) -> torch.device:
    """The device of a test that is about a GPU alone, or too large for a CPU."""
    if device.type != "cuda":
        pytest.skip("about CUDA alone, or too large for a CPU")
    return device


@pytest.fixture(autouse=True)
def exact(device: torch.device) -> Iterator[None]:
    """The suite's own settings without TF32, CUDA graphs and autotune, which takes seconds."""
    set_up(device, GPU_THREADS if device.type == "cuda" else 1, tf32=False)
    torch.backends.cudnn.benchmark = False
    use_graphs(False)  # tests of graphs ask for them
    torch.manual_seed(0)
    yield
    if device.type == "cuda":  # memory of this test, which processes beside this one may need
        gc.collect()
        torch.cuda.empty_cache()


@pytest.fixture
def measured(record_property) -> Callable[[str], None]:
    """A function that takes a line to print at the end."""
    return lambda line: record_property(MEASURED, line)


class Failures:
    """Appends each failure to a file at once: a session on a card may be cut off before pytest prints them."""

    def __init__(self, path: str) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            with open(self.path, "a") as file:
                file.write(f"==== {report.nodeid} ({report.when})\n{report.longreprtext}\n")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--failures")
    if path and not hasattr(config, "workerinput"):  # of pytest-xdist's processes, the one that gathers
        config.pluginmanager.register(Failures(path))


def pytest_terminal_summary(terminalreporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [(report.nodeid, value) for report in reports for key, value in report.user_properties if key == MEASURED]
    if lines:
        terminalreporter.section("measured")
    for test, value in lines:
        terminalreporter.write_line(f"{value}   {test.removeprefix('tests/gpu/')}")
