"""Small real parts for tests: a procedural data set and specs that train in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from suite.spec import RunSpec, method_plugins, presets

torch.set_num_threads(1)

RESOLUTION, IMAGES = 16, 24


@pytest.fixture(scope="session")
def make_spec():
    """A function (method, **changes) -> RunSpec of the tiny preset, made tinier; changes to `hyper` merge."""

    def make(method: str = "none", hyper: dict | None = None, **changes) -> RunSpec:
        smaller = {"batch": 8, "fmap_base": 32, "fmap_max": 8, "z_dim": 8, "w_dim": 8, "r1_interval": 4}
        fields = {
            "dataset": "procedural",
            "resolution": RESOLUTION,
            "images": IMAGES,
            "subset_seed": 0,
            "conditional": False,
            "backbone": "stylegan2",
            "preset": "tiny",
            "hyper": {**presets()["tiny"], **smaller, **(hyper or {})},
            "method": method,
            "plugins": method_plugins(method),
            "seed": 0,
            "total_kimg": 0.128,
            "snapshot_kimg": 0.064,
        }
        return RunSpec(**{**fields, **changes})

    return make


@pytest.fixture
def make_reals():
    """A function (mirror, conditional) -> Reals on random images with two classes."""
    from training.reals import Reals

    def make(mirror: bool = False, conditional: bool = False) -> Reals:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (IMAGES + 16, 3, RESOLUTION, RESOLUTION), dtype=np.uint8)
        labels = rng.integers(0, 2, IMAGES + 16) if conditional else None
        train, validation = list(range(IMAGES)), list(range(IMAGES, IMAGES + 16))
        return Reals(images, labels, 2, train, validation, mirror, 0, torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> tuple[Path, Path]:
    """(images .npy, subset .json) of the procedural set, made by the suite's own commands."""
    from data import prepare, subset

    folder = tmp_path_factory.mktemp("prepared")
    images, chosen = folder / f"procedural-{RESOLUTION}.npy", folder / "subset.json"
    prepare.main(["--dataset", "procedural", "--resolution", str(RESOLUTION), "--out", str(images)])
    subset.main(["--data", str(images), "--size", str(IMAGES), "--seed", "0", "--out", str(chosen)])
    return images, chosen
