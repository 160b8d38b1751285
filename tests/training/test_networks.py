"""The networks of a trained run as files: what is in them, and when there are none."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
import torch
from safetensors.torch import load_file

from leangan.core.errors import ConfigError
from leangan.plugins.networks import build_networks
from leangan.training.loop import train
from leangan.training.networks import main

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(make_spec, tmp_path_factory):
    """(spec, folder) of a run of 16 images; the two networks and the average of G differ from each other."""
    from leangan.training.reals import Reals
    from tests.conftest import IMAGES, RESOLUTION

    images = torch.randint(256, (IMAGES, 3, RESOLUTION, RESOLUTION), dtype=torch.uint8).numpy()
    data = Reals(images, None, 0, list(range(IMAGES)), [], False, 0, CPU)
    spec, folder = make_spec(total_kimg=0.016, snapshot_kimg=0.016), tmp_path_factory.mktemp("run")
    assert train(spec, data, folder, CPU, 0.016, 0.0, lambda: False).status == "done"
    (folder / "train.json").write_text(json.dumps({"run": spec.run_id, "status": "done"}))
    return spec, folder


def write(folder, out) -> None:
    assert main(["--run-dir", str(folder), "--out", str(out)]) == 0


def test_the_files_hold_the_averaged_generator_and_the_discriminator(trained, tmp_path, capsys):
    """All tensors of the last checkpoint, and the lines printed are what `start` of an artefact takes."""
    spec, folder = trained
    write(folder, tmp_path)
    state = torch.load(max(folder.glob("ckpt/*.pt")), weights_only=True)
    _, G, D, _ = build_networks(spec, channels=3, classes=0)
    for part, network, stored in (("G_ema", G, state["ema"]), ("D", D, state["steps"]["D"])):
        tensors = load_file(tmp_path / f"{part}.safetensors")
        assert tensors.keys() == stored.keys()
        assert all(torch.equal(tensors[name], value) for name, value in stored.items())
        network.load_state_dict(tensors)
    assert not torch.equal(state["ema"]["const"], state["steps"]["G"]["const"])
    digests = {
        part: hashlib.sha256((tmp_path / f"{part}.safetensors").read_bytes()).hexdigest() for part in ("G_ema", "D")
    }
    assert capsys.readouterr().out.splitlines() == [
        f"{part}: {{file: {tmp_path / part}.safetensors, sha256: {digest}}}" for part, digest in digests.items()
    ]


def test_a_second_call_leaves_the_same_bytes(trained, tmp_path):
    contents = []
    for out in ("a", "a", "b"):
        write(trained[1], tmp_path / out)
        contents.append([path.read_bytes() for path in sorted((tmp_path / out).iterdir())])
    assert contents[0] == contents[1] == contents[2] and len(contents[0]) == 2


def test_a_run_that_is_not_trained_to_its_end_gives_no_files(trained, tmp_path):
    spec, folder = trained
    begun, out = tmp_path / "begun", tmp_path / "out"
    begun.mkdir()
    (begun / "ckpt").symlink_to(folder / "ckpt")
    with pytest.raises(ConfigError, match=re.escape(f"{begun}/train.json is missing: train the run")):
        write(begun, out)
    (begun / "train.json").write_text(json.dumps({"run": spec.run_id, "status": "diverged"}))
    with pytest.raises(ConfigError, match=re.escape(f"{begun} has no networks to write: its training ended otherwise")):
        write(begun, out)
    assert not out.exists()
