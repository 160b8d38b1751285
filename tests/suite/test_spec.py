"""A run's identity covers what changes its numbers and nothing else."""

import json
from dataclasses import replace

import pytest

from suite.config import read
from suite.spec import RunSpec, expand


def demo(**changes):
    return expand("demo", {**read("config/config.yaml"), **changes})


def test_the_run_id_names_data_set_size_backbone_method_and_seed():
    spec = next(spec for spec in demo() if spec.method == "ada")
    assert spec.run_id == f"elpv-{spec.images}/stylegan2-ada-s0-{spec.digest[:8]}"


def test_everything_that_changes_numbers_changes_the_digest(make_spec):
    spec = make_spec("da")
    changed = [
        replace(spec, images=25),
        replace(spec, seed=1),
        replace(spec, subset_seed=1),
        replace(spec, total_kimg=1.0),
        replace(spec, resolution=32),
        replace(spec, dataset="elpv"),
        replace(spec, conditional=True),
        replace(spec, hyper={**spec.hyper, "r1_gamma": 0.2}),
        replace(spec, plugins=[("da", {"p": 0.31})]),
    ]
    assert len({s.digest for s in [spec, *changed]}) == len(changed) + 1


def test_labels_and_published_lengths_do_not_change_the_digest(make_spec):
    spec = make_spec("da")
    for other in (
        replace(spec, method="my-name-for-da"),
        replace(spec, preset="my-preset"),
        replace(spec, hyper={**spec.hyper, "source": "elsewhere", "kimg": 1}),
        replace(spec, hyper=dict(reversed(spec.hyper.items()))),
    ):
        assert other.digest == spec.digest


def test_a_stored_spec_is_the_same_run(make_spec):
    spec = make_spec("ada")
    assert RunSpec.from_fields(json.loads(spec.to_json())).digest == spec.digest


def test_snapshots_lie_at_whole_batches_and_the_last_at_the_end(make_spec):
    spec = make_spec(total_kimg=1.0, snapshot_kimg=0.3, hyper={"batch": 32})
    assert spec.snapshot_nimgs() == [320, 608, 928, 1024]
    two_steps = make_spec(total_kimg=1.0, snapshot_kimg=0.5, hyper={"batch": 50, "d_steps": 4})
    assert two_steps.snapshot_nimgs() == [600, 1000]


def test_own_sets_sizes_and_methods_enter_the_grid():
    own = demo(datasets={"mine": {"path": "/x", "resolution": 64}}, images=[10, 20], methods=["diffaugment-ct"])
    assert {(s.dataset, s.resolution) for s in own} == {("mine", 64)}
    assert {s.images for s in own} == {10, 20}
    assert {s.method for s in own} == {s.method for s in demo()} | {"diffaugment-ct"}
    assert len({s.run_id for s in own}) == len(own)


@pytest.mark.parametrize("scale", read("config/scales.yaml"))
def test_every_scale_has_every_key(scale):
    assert set(read("config/scales.yaml")[scale]) == {"kimg", "snapshot_kimg", "tick_kimg", "fakes", "seeds", "papers"}
