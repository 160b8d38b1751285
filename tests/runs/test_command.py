"""The configuration beside a row makes its run, whatever was asked for besides."""

from __future__ import annotations

import json

import pytest

from leangan.runs.command import needed_config
from leangan.runs.config import artefact, artefact_names, configured
from leangan.runs.grid import expand
from leangan.runs.sections import Config

SEVERAL_GRIDS = [name for name in artefact_names() if len(artefact(name).grid) > 1]
OWN = {"blobs": {"path": "blobs", "resolution": 32}}


def config(**changes) -> Config:
    return configured(**{"scale": "paper", **changes})


@pytest.mark.parametrize("name", [*SEVERAL_GRIDS, "demo", "diffaugment-table4-biggan"])
@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ["ada", "bcr", "freeze-d-diffaugment"]},
        {"scale": "day", "methods": ["diffaugment-tc", "cr"]},
        {"images": [24], "methods": ["ada"]},
        {"scale": "demo", "kimg": 3, "snapshot_kimg": 1.5},
        {"datasets": OWN, "images": [24], "methods": ["bcr"], "arithmetic": {"tf32": True, "half": "float16"}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_run_is_made_by_the_keys_that_it_needs(name, changes):
    asked, made = config(**changes), {}
    for spec in expand(name, asked):
        needed = needed_config(spec, name, asked)
        key = json.dumps(needed, sort_keys=True)
        if key not in made:
            made[key] = {run.run_id for run in expand(name, config(**needed))}
        assert spec.run_id in made[key], (spec.method, spec.preset, needed)


def test_where_a_known_data_set_lies_is_left_out_and_how_it_is_prepared_is_not():
    places = {"ffhq": {"path": "/home/me/ffhq", "resize": "lanczos"}, "cifar10": {"path": "/home/me/cifar.zip"}}
    asked = config(scale="paper", datasets=places)
    (cifar, *_), (ffhq, *_) = (expand(name, asked) for name in ("cifar10-few", "ada-fig1"))
    assert needed_config(cifar, "cifar10-few", asked) == {"scale": "paper"}
    assert needed_config(ffhq, "ada-fig1", asked)["datasets"] == {"ffhq": {"resize": "lanczos"}}


def test_keys_that_are_not_needed_are_left_out():
    asked = config(scale="demo", methods=["bcr"], threads=4, device="cpu", inception_weights="/weights")
    needed = {spec.method: needed_config(spec, "demo", asked) for spec in expand("demo", asked)}
    assert needed["ada"] == {"scale": "demo"} and needed["bcr"] == {"scale": "demo", "methods": ["bcr"]}
