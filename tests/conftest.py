"""Small real parts for tests: a procedural data set and specs that train in a second."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from leangan.core.spec import RunSpec
from leangan.plugins.revisions import revisions_of
from leangan.runs.methods import bind_all, method_plugins
from leangan.runs.presets import preset_at

torch.set_num_threads(1)

RESOLUTION, IMAGES = 16, 24

FIRST = ["test_workflow.py", "test_ranks.py", "test_additions.py"]
"""Files of tests that take minutes, the longest first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=["cuda", "cpu"], default="cuda", help="device of the tests in tests/gpu")
    parser.addoption("--failures", metavar="FILE", help="where the tests in tests/gpu write each failure as it comes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process waits for another one's in the end."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def seed_by(name: str) -> None:
    """Seed what draws random numbers without a generator of its own."""
    seed = int(sha256(name.encode()).hexdigest()[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 3 ms, for the stack it notes for the GPU
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """What tests share must not depend on which of them comes first."""
    if fixturedef.scope != "function":
        seed_by(f"{fixturedef.baseid}::{fixturedef.argname}")


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    """Every test draws the same numbers whenever it runs, alone or after others."""
    seed_by(request.node.nodeid)


@pytest.fixture(scope="session")
def make_spec():
    """A function (method, **changes) -> RunSpec of the preset `tiny`, made tinier, or of another one as it is.

    `hyper` replaces keys of the preset, `plugins` are completed, `preset` gives the run another label.
    """

    def make(
        method: str = "none",
        hyper: dict | None = None,
        plugins: list | None = None,
        preset: str = "tiny",
        of: str = "tiny",
        resolution: int = RESOLUTION,
        **changes,
    ) -> RunSpec:
        smaller = {"batch": 8, "fmap_base": 32, "fmap_max": 8, "z_dim": 8, "w_dim": 8, "r1_interval": 4}
        stated = preset_at(of, resolution, "tests", {**(smaller if of == "tiny" else {}), **(hyper or {})})
        completed = method_plugins(method) if plugins is None else bind_all(plugins)
        fields = {
            "dataset": "procedural",
            "resolution": resolution,
            "images": IMAGES,
            "subset_seed": 0,
            "subset_rule": "permutation",
            "validation_images": 500,
            "conditional": False,
            "backbone": stated.backbone,
            "hyper": stated.hyper,
            "plugins": completed,
            "revisions": revisions_of(stated.backbone, completed),
            "seed": 0,
            "total_kimg": 0.128,
            "snapshot_kimg": 0.064,
            "tf32": False,
            "parent": None,
            "labels": replace(stated.labels(method, method), preset=preset),
        }
        return RunSpec(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def make_reals():
    """A function (mirror, conditional, resolution) -> Reals on random images with two classes."""
    from leangan.training.reals import Reals

    def make(mirror: bool = False, conditional: bool = False, resolution: int = RESOLUTION) -> Reals:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (IMAGES + 16, 3, resolution, resolution), dtype=np.uint8)
        labels = rng.integers(0, 2, IMAGES + 16) if conditional else None
        train, validation = list(range(IMAGES)), list(range(IMAGES, IMAGES + 16))
        return Reals(images, labels, 2, train, validation, mirror, 0, torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> tuple[Path, Path]:
    """(images .npy, subset .json) of the procedural set, made by the suite's own commands."""
    from leangan.data import prepare, subset

    folder = tmp_path_factory.mktemp("prepared")
    images, chosen = folder / f"procedural-{RESOLUTION}.npy", folder / "subset.json"
    prepare.main(["--dataset", "procedural", "--resolution", str(RESOLUTION), "--out", str(images)])
    subset.main(["--data", str(images), "--size", str(IMAGES), "--seed", "0", "--out", str(chosen)])
    return images, chosen


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A complete results/<scale> folder, see tests/helpers/synthetic.py."""
    from tests.helpers import synthetic

    return synthetic.write_demo(tmp_path_factory.mktemp("project") / "results" / synthetic.SCALE)
