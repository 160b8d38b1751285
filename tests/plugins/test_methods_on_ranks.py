"""Every method on two ranks, a new file or one of a folder too: they hold the same, and it is what one process has.

One pair of processes goes through all methods that are asked for. All is computed in float64, so that what is wrong
stands out from rounding.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from leangan.core.spec import RunSpec
from leangan.launching import devices
from leangan.plugins import registry
from leangan.plugins.controller import ControlledMethod
from leangan.plugins.registry import FailedImport, load, names
from tests.helpers import rank_worker
from tests.helpers.method_at_work import run_of
from tests.helpers.rank_processes import assert_close, exit_code, launch, tensors

AT_WORK = {"p": 0.5, "interval": 1, "tune_kimg": 0.2}
"""Arguments with which a method acts and its controller moves within a few steps, where it has them."""

OTHERS = {
    "ada-rv": ("ada", {"heuristic": "rv", "target": None}),
    "ada-linear": ("ada", {"heuristic": "linear", "target": None}),
}
"""Choices that take another way through a method than its defaults do."""


FORGETFUL = """
import torch

from leangan.plugins import method


class Method(method.Method):
    def __init__(self, p: float = 0.5):
        super().__init__()
        self.register_buffer("p", torch.tensor(p))

    def observe(self, d_real, d_fake, cur_nimg):
        self.p += 0.01 * torch.sign(d_real.sign().mean() - 0.6)
"""
"""A controller that takes the mean of the signs that its own rank sees for that of the batch."""


def usable(name: str) -> bool:
    return not isinstance(load("method", name), FailedImport)  # tests/plugins/test_methods.py says why one is not


def is_controlled(name: str) -> bool:
    return issubclass(load("method", name), ControlledMethod)


CASES = {**{name: (name, {}) for name in names("method") if usable(name)}, **OTHERS}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Iterator[list[str]]:
    """Folders of methods, the last of which holds the method `forgetful`."""
    made = tmp_path_factory.mktemp("methods")
    (made / "forgetful.py").write_text(FORGETFUL)
    own = [*map(str, registry.method_folders()), str(made)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.FOLDERS, "")  # noted, so that it becomes again what it was
        registry.search(own)
        yield own
    registry.forget()


@pytest.fixture(scope="module")
def runs(make_spec, folders, request) -> dict[str, RunSpec | str]:
    """A run of each method that a test here asks for, or why it is in none."""
    here = [item for item in request.session.items if item.path == request.path]
    asked = {item.callspec.params["case"] if hasattr(item, "callspec") else "forgetful" for item in here}
    found = {}
    for case, (name, arguments) in {**CASES, "forgetful": ("forgetful", {})}.items():
        if case not in asked:
            continue
        known = inspect.signature(load("method", name)).parameters
        at_work = {key: value for key, value in AT_WORK.items() if key in known}
        found[case] = run_of(name, make_spec, **{name: {**at_work, **arguments}})
    return found


@pytest.fixture(scope="module")
def reals() -> dict:
    """Arguments of Reals: 24 images to train on and 16 held out."""
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    train, validation = list(range(24)), list(range(24, 40))
    return {
        **{"images": images, "labels": None, "classes": 0, "train": train, "validation": validation},
        **{"mirror": True, "seed": 0},
    }


@pytest.fixture(scope="module")
def two_ranks(runs, reals, folders, tmp_path_factory) -> list[dict]:
    """What each of two ranks has of each method."""
    out: Path = tmp_path_factory.mktemp("ranks")
    tried = {case: spec for case, spec in runs.items() if not isinstance(spec, str)}
    for spec in tried.values():
        devices.check_ranks(spec, 2)
    for rank, process in enumerate(
        launch(2, out / "errors", rank_worker.take_steps_of_all, tried, reals, folders, out)
    ):
        assert exit_code(process, 300) == 0, (out / "errors" / f"rank{rank}").read_text()
    return [torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one_process(runs, reals) -> Callable[[str], dict]:
    """What one process has of a method."""
    return cache(lambda case: rank_worker.take_steps(runs[case], reals))


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_hold_and_log_the_same_and_what_one_process_does(runs, two_ranks, one_process, case):
    if isinstance(runs[case], str):
        pytest.skip(runs[case])
    assert [rank[case]["trial"] for rank in two_ranks] == ["", ""]
    compare(*(rank[case] for rank in two_ranks), one_process(case))


def compare(first: dict, second: dict, one: dict) -> None:
    """Two ranks against each other, bit for bit, and against one process, up to rounding."""
    states = [tensors({**each["state"], **each["observed"]}) for each in (first, second, one)]
    assert first["log"] == second["log"]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items() if not value.isnan().any())
    assert len(one["log"]) == rank_worker.STEPS
    for line, wanted in zip(first["log"], one["log"], strict=True):
        assert line == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert_close(states[2], states[0], relative=1e-9, absolute=1e-8)


@pytest.mark.parametrize("case", [case for case, (name, _) in CASES.items() if is_controlled(name)])
def test_a_controller_decides_by_the_logits_of_all_ranks(two_ranks, one_process, case):
    """The same p as one process has with the whole batch, exactly; and it has moved."""
    lines, wanted = two_ranks[0][case]["log"], one_process(case)["log"]
    assert [line["p"] for line in lines] == [line["p"] for line in wanted]
    assert any(line["p"] != AT_WORK["p"] for line in lines)


def test_a_controller_that_forgets_the_other_ranks_is_found(two_ranks, one_process):
    """By the comparison here, and by the trial before the first step of a run."""
    ranks = [rank["forgetful"] for rank in two_ranks]
    with pytest.raises(AssertionError):
        compare(*ranks, one_process("forgetful"))
    for rank in ranks:
        assert "forgetful.py, line 7: p is not the same on all ranks" in rank["trial"]
        assert "leangan.core.ranks.mean_over_ranks" in rank["trial"]
