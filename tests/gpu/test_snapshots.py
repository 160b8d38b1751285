"""From a run on one device to its images and their features on another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from leangan.metrics.fakes import Fakes
from leangan.metrics.loading import load_extractor
from leangan.training.device import set_up
from leangan.training.loop import train
from leangan.training.snapshot import load_generator
from tests.helpers.twins import CPU, error, random_reals

COUNT = 48


@pytest.fixture(scope="module", params=["stylegan2", "biggan"])
def snapshots(request, device, make_spec, tmp_path_factory) -> dict:
    """The snapshot of a short conditional run on the device, and of one on the CPU. G has no noise inputs."""
    set_up(device, 1, tf32=False)
    biggan = {"z_dim": 12, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16, "batch": 8}
    of, keys = ("tiny", {"noise_inputs": False}) if request.param == "stylegan2" else ("tiny-biggan", biggan)
    spec = make_spec("diffaugment", of=of, hyper=keys, conditional=True)
    paths = {}
    for name, place in (("device", device), ("cpu", CPU)):
        run_dir = tmp_path_factory.mktemp(name)
        outcome = train(spec, random_reals(spec, place), run_dir, place, 0.064, 1e9, lambda: False)
        assert outcome.status == "done"
        paths[name] = max((run_dir / "snapshots").glob("*.safetensors"))
    return paths


@pytest.mark.parametrize("origin", ["device", "cpu"])
def test_a_snapshot_is_the_same_generator_everywhere(device, snapshots, origin):
    there, here = load_generator(snapshots[origin], str(device)), load_generator(snapshots[origin], "cpu")
    stored = load_file(snapshots[origin])
    assert stored.keys() == here.state_dict().keys()
    for name, tensor in stored.items():
        assert torch.equal(here.state_dict()[name], tensor)
        other = there.state_dict()[name]
        assert other.device.type == device.type and torch.equal(other.cpu(), tensor)
    z, c = torch.randn(16, here.z_dim), torch.eye(3)[torch.arange(16) % 3]
    with torch.no_grad():
        assert error(there(z.to(device), c.to(device)), here(z, c)) < 1e-5


@pytest.mark.parametrize("origin", ["device", "cpu"])
def test_fakes_are_the_same_but_for_the_last_bit(device, snapshots, origin):
    """A value that lies within rounding of the border between two of 256 levels falls on either side."""
    fakes = []
    for place in (device, CPU):
        G = load_generator(snapshots[origin], str(place))
        fakes.append(torch.cat([block.cpu() for block in Fakes(G, COUNT, np.arange(3), 0, place).blocks()]))
    difference = (fakes[0].int() - fakes[1].int()).abs()
    assert len(fakes[0]) == COUNT and difference.max() <= 1 and difference.float().mean() < 1e-3
    assert fakes[1].float().std() > 1


def test_features_of_the_same_images(device, measured):
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8)
    ours, expected = (load_extractor("efficientnet_lite0", place)(images.to(place)).pooled for place in (device, CPU))
    measured(f"features of the proxy: {error(ours, expected):.1e}")
    assert ours.dtype == torch.float32 and error(ours, expected) < 3e-5


def test_features_do_not_depend_on_the_batch(device):
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8, device=device)
    extractor = load_extractor("efficientnet_lite0", device)
    one_by_one = torch.cat([extractor(images[i : i + 1]).pooled for i in range(4)])
    assert error(one_by_one, extractor(images).pooled[:4].cpu()) < 3e-5


def test_features_of_inception_with_random_weights(card, tmp_path, measured):
    """Both official files; half a minute on a CPU."""
    from benchmarks.metrics import write_random_weights
    from leangan.core.files import sha256
    from leangan.metrics.weights import CLEAN, FIDELITY

    write_random_weights(tmp_path)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    for name, file in (("inception_v3", FIDELITY), ("clean_inception", CLEAN)):
        path = tmp_path / file.name
        ours, expected = (load_extractor(name, place, path, sha256(path))(images.to(place)) for place in (card, CPU))
        measured(f"features of {name}: {error(ours.pooled, expected.pooled):.1e}")
        assert error(ours.pooled, expected.pooled) < 1e-4
        assert ours.logits is None or error(ours.logits, expected.logits) < 1e-4
