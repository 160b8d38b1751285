"""A run that starts from the networks of another, through the training loop and back from its files."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file

from leangan.augment.transfer import Method, last_checkpoint
from leangan.core.errors import ConfigError
from leangan.plugins.arguments import bind
from leangan.training.loop import train
from leangan.training.snapshot import load_generator

STILL = {"lr_g": 0.0, "lr_d": 0.0, "ema_half_life_kimg": 1e12}


def run(spec, data, folder, parent=None):
    outcome = train(spec, data, folder, torch.device("cpu"), 0.064, 0.0, lambda: False, parent=parent)
    assert outcome.status == "done"
    newest = max((folder / "ckpt").glob("*.pt"))
    return newest, torch.load(newest, weights_only=True)


def source(path) -> dict[str, str]:
    return {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def networks(state) -> dict[str, torch.Tensor]:
    """All tensors but moving statistics, which training steps change at any learning rate."""
    tensors = {"G": state["steps"]["G"], "D": state["steps"]["D"], "G_ema": state["ema"]}
    return {f"{part}.{k}": v for part, net in tensors.items() for k, v in net.items() if k not in ("w_avg", "pl_mean")}


@pytest.fixture
def earlier(make_spec, make_reals, tmp_path):
    return run(make_spec(total_kimg=0.064), make_reals(), tmp_path / "earlier")


def test_all_three_networks_of_a_checkpoint_are_the_start(make_spec, make_reals, tmp_path, earlier):
    path, state = earlier
    plugins = [("transfer", {"checkpoint": source(path)})]
    spec = make_spec(hyper=STILL, total_kimg=0.016, seed=7, plugins=plugins)
    _, after = run(spec, make_reals(), tmp_path / "later")
    for name, value in networks(after).items():
        torch.testing.assert_close(value, networks(state)[name], rtol=1e-5, atol=1e-6, msg=name)
    # The average is another network than G, so that a mix-up would show.
    assert not torch.equal(state["ema"]["const"], state["steps"]["G"]["const"])


def test_a_run_that_continues_and_its_snapshots_do_without_the_source(make_spec, make_reals, tmp_path, earlier):
    path, _ = earlier
    plugins = [("transfer", {"checkpoint": source(path)})]
    folder = tmp_path / "later"
    _, before = run(make_spec(total_kimg=0.016, plugins=plugins, hyper=STILL), make_reals(), folder)
    path.unlink()
    _, after = run(make_spec(total_kimg=0.032, plugins=plugins, hyper=STILL), make_reals(), folder)
    for name, value in networks(after).items():
        torch.testing.assert_close(value, networks(before)[name], rtol=1e-5, atol=1e-6, msg=name)
    load_generator(max((folder / "snapshots").glob("*")))


@pytest.mark.parametrize("given", ["G", "G_ema"])
def test_a_snapshot_of_either_starts_g_and_its_average_and_leaves_d(make_spec, make_reals, tmp_path, earlier, given):
    snapshot = tmp_path / "earlier/snapshots/000000.064.safetensors"
    starts = {}
    for name, plugins in (("fresh", []), ("later", [("transfer", {given: source(snapshot)})])):
        spec = make_spec(hyper=STILL, total_kimg=0.008, seed=7, plugins=plugins)
        starts[name] = networks(run(spec, make_reals(), tmp_path / name)[1])
    stored = load_file(snapshot)
    for name, value in starts["later"].items():
        part, _, key = name.partition(".")
        expected = starts["fresh"][name] if part == "D" else stored[key]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6, msg=name)


def test_wrong_files_say_what_is_wrong(make_spec, make_reals, tmp_path, earlier):
    path, _ = earlier
    other = {**source(path), "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="has sha256 [0-9a-f]{64}, the method asks for 0000"):
        run(make_spec(plugins=[("transfer", {"checkpoint": other})]), make_reals(), tmp_path / "a")
    wider = make_spec(hyper={"fmap_max": 16}, plugins=[("transfer", {"checkpoint": source(path)})])
    with pytest.raises(ConfigError, match=r"does not fit G of this run.*size mismatch.*Preset, resolution, classes"):
        run(wider, make_reals(), tmp_path / "b")


def test_a_run_of_the_suite_is_the_start_once_it_is_done(make_spec, make_reals, tmp_path):
    """Its networks are those at the end of the parent, whose folder the loop hands over."""
    parent = make_spec(total_kimg=0.064)
    plugins, folder = [("transfer", {"run": parent.run_id})], tmp_path / parent.run_id
    spec = make_spec(hyper=STILL, total_kimg=0.016, seed=7, plugins=plugins, parent=parent)
    with pytest.raises(ConfigError, match="give the folder of that one by --parent-run"):
        run(spec, make_reals(), tmp_path / "a")
    with pytest.raises(ConfigError, match=f"{parent.run_id}/train.json is missing: train the run"):
        run(spec, make_reals(), tmp_path / "b", folder)
    _, state = run(parent, make_reals(), folder)
    (folder / "train.json").write_text(json.dumps({"run": parent.run_id, "status": "done"}))
    _, after = run(spec, make_reals(), tmp_path / "c", folder)
    for name, value in networks(after).items():
        torch.testing.assert_close(value, networks(state)[name], rtol=1e-5, atol=1e-6, msg=name)
    load_generator(max((tmp_path / "c" / "snapshots").glob("*")))
    (folder / "train.json").write_text(json.dumps({"run": parent.run_id, "status": "diverged"}))
    with pytest.raises(RuntimeError, match=f"{parent.run_id}, which it starts from, is diverged"):
        run(spec, make_reals(), tmp_path / "d", folder)
    (folder / "train.json").write_text('{"run": "procedural-24/another", "status": "done"}')
    with pytest.raises(ConfigError, match=f"holds run procedural-24/another, but this run starts from {parent.run_id}"):
        run(spec, make_reals(), tmp_path / "e", folder)


def test_a_parent_whose_checkpoints_are_gone_must_be_trained_again(tmp_path):
    (tmp_path / "train.json").write_text('{"run": "procedural-24/parent", "status": "done"}')
    message = rf"^procedural-24/parent, .* has no checkpoint in {tmp_path}/ckpt: .*\(delete {tmp_path} and run the same"
    for _ in ("no folder", "an empty one"):
        with pytest.raises(ConfigError, match=message):
            last_checkpoint(tmp_path, "procedural-24/parent")
        (tmp_path / "ckpt").mkdir(exist_ok=True)


def test_either_snapshot_of_g_or_the_same_for_both_is_one_training():
    first, second = ({"file": name, "sha256": name * 64} for name in "ab")
    both = bind("transfer", Method, {"G": first, "G_ema": first})
    assert both["G"] == both["G_ema"] == first and both["D"] is None
    assert bind("transfer", Method, {"G": first}) == bind("transfer", Method, {"G_ema": first}) == both
    assert bind("transfer", Method, {"G": first, "D": None, "G_ema": {}}) == both
    assert Method(G=first).sources == Method(G_ema=first).sources == Method(**both).sources
    apart = bind("transfer", Method, {"G": first, "D": first, "G_ema": second})
    assert (apart["G"], apart["D"], apart["G_ema"]) == (first, first, second)
    for given in ({"D": first}, {"checkpoint": first}, {"run": "procedural-24/parent"}, {}):
        bound = bind("transfer", Method, given)
        assert bound == {"run": None, "checkpoint": None, "G": None, "D": None, "G_ema": None, **given}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "either `run`, `checkpoint` or one or more of G, D, G_ema"),
        ({"checkpoint": {"file": "a", "sha256": "b"}, "run": "procedural-24/stylegan2-none-s0-01234567"}, "either"),
        ({"checkpoint": {"file": "a", "sha256": "b"}, "D": {"file": "a", "sha256": "b"}}, "either"),
        ({"D": {"file": "a"}}, "source of D is .*allowed is {file: path, sha256: digest}"),
    ],
)
def test_sources_are_checked_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        Method(**arguments)
