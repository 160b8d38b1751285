"""Metrics compute on the device that the job has: the same numbers, and features do not come back to the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch_fidelity.metric_prc import calculate_precision_recall_part

from leangan.metrics.base import Features
from leangan.metrics.extractors.clean_inception import resize, resize_weights
from leangan.metrics.fakes import Fakes
from leangan.metrics.formulas import fid, kid, precision_recall
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.formulas.kid import Metric as KernelDistance
from leangan.metrics.formulas.kid import draw_subsets
from leangan.metrics.formulas.leak import Metric as Leak
from leangan.metrics.formulas.memorisation import Metric as Memorisation
from leangan.metrics.formulas.precision_recall import Metric as PrecisionRecall
from leangan.metrics.nearest import DIRECTIONS
from leangan.metrics.store import load_features
from leangan.plugins import registry
from leangan.plugins.pair import Generator
from tests.helpers.stand_in import META, StandIn

CPU = torch.device("cpu")


def features(count: int, seed: int, device: torch.device = CPU, trained: int | None = None, size: int = 3) -> Features:
    """Random features and logits of `count` images, the first `trained` of which the run was trained on."""
    generator = torch.Generator().manual_seed(seed)
    pooled, logits = (torch.randn(count, each, generator=generator) for each in (size, 5))
    known = None if trained is None else torch.arange(trained)
    return Features((pooled / 3).to(device), logits.to(device), known)


@pytest.mark.parametrize("trained", [20, 90])
@pytest.mark.parametrize("name", registry.names("metric"))
def test_a_metric_is_the_same_number_on_another_device(monkeypatch, name, trained):
    """In pieces as well, with a random part of the held-out images; one number of each image is read at most."""
    monkeypatch.setattr(kid, "MAX_SUBSET_SIZE", 40)
    monkeypatch.setattr(precision_recall, "CHUNK", 13)
    monkeypatch.setattr("leangan.metrics.formulas.memorisation.MOST", 25)
    monkeypatch.setattr("leangan.metrics.nearest.CHUNK", 10)
    metric = registry.require("metric", name, "here")
    expected = metric(features(90, 0, trained=trained))(features(70, 1))
    with StandIn() as there:
        real, fake = features(90, 0, META, trained), features(70, 1, META)
        found = metric(real)(fake)
    assert found.keys() == expected.keys()
    for family, value in expected.items():
        assert found[family].value == pytest.approx(value.value, rel=1e-5, abs=1e-6), family
        assert (found[family].spread or 0) == pytest.approx(value.spread or 0, rel=1e-5, abs=1e-6), family
    assert all(size <= 90 for size in there.downloads) and there.reads < 50


def test_the_stand_in_refuses_what_a_gpu_refuses():
    x = torch.ones(3)
    with StandIn() as there:
        y = x.to(META)
        assert (y + 1).device == META and float(y.sum() + torch.tensor(1.0)) == 4
        assert y[torch.tensor([0, 2])].device == META
        with pytest.raises(RuntimeError, match="two devices"):
            x + y
        with pytest.raises((RuntimeError, TypeError)):
            y.numpy()
        assert torch.equal(y.cpu(), x)
    assert (there.uploads, there.downloads, there.reads) == ([3], [3], 1)


def test_subsets_do_not_depend_on_the_device():
    with StandIn():
        there = [x.cpu() for x in draw_subsets(60, 90, 40, META)]
    rng = np.random.RandomState(2020)
    for fake, real in zip(*there, strict=True):
        assert (fake.numpy() == rng.choice(60, 40, replace=False)).all()
        assert (real.numpy() == rng.choice(90, 40, replace=False)).all()


def test_kernel_distance_of_large_sets_on_a_gpu_is_that_of_the_cpu(monkeypatch):
    """There the CPU's is torch-fidelity's own code."""
    monkeypatch.setattr(kid, "GRAM_LIMIT", 10)
    monkeypatch.setattr(kid, "MAX_SUBSET_SIZE", 40)
    expected = KernelDistance(features(90, 0, size=16))(features(60, 1, size=16))["kd"]
    with StandIn() as there:
        found = KernelDistance(features(90, 0, META, size=16))(features(60, 1, META, size=16))["kd"]
    assert found.value == pytest.approx(expected.value, rel=1e-4)
    assert found.spread == pytest.approx(expected.spread, rel=1e-4)
    assert not there.downloads


def test_precision_and_recall_on_a_gpu_are_torch_fidelitys(monkeypatch):
    monkeypatch.setattr(precision_recall, "CHUNK", 64)
    real, fake = features(300, 0, size=16), features(200, 1, size=16)
    fake = Features(fake.pooled * 0.7 + 0.1)
    precision, recall = calculate_precision_recall_part(fake.pooled, real.pooled)
    assert 0.05 < recall < precision < 0.99
    with StandIn():
        metric = PrecisionRecall(Features(real.pooled.to(META)))
        found = metric(Features(fake.pooled.to(META)))
    assert found["precision"].value == pytest.approx(precision, abs=1e-6)
    assert found["recall"].value == pytest.approx(recall, abs=1e-6)


def test_a_covariance_in_blocks_is_numpys(monkeypatch):
    monkeypatch.setattr(fid, "BLOCK", 70)
    pooled = features(300, 0, size=16).pooled
    metric = FrechetDistance(Features(pooled))
    covariance = np.cov(pooled.double().numpy(), rowvar=False)
    np.testing.assert_allclose((metric.root.T @ metric.root).numpy(), covariance, atol=1e-14)
    np.testing.assert_allclose(metric.mean.numpy(), pooled.double().mean(0).numpy(), atol=1e-15)


def test_features_are_left_as_they_are():
    """Those of float64 too, whose statistics are computed without a copy in another type."""
    pooled = features(30, 0).pooled.double()
    before = pooled.clone()
    FrechetDistance(Features(pooled))(Features(pooled))
    assert torch.equal(pooled, before)


def test_features_are_read_to_the_device(tmp_path):
    save_file({"pooled": torch.ones(2, 3)}, tmp_path / "f.safetensors", {"meta": "{}"})
    with StandIn():
        assert load_features(tmp_path / "f.safetensors", META).pooled.device == META


class Linear(Generator):
    """A generator of images of one pixel that depend on latent and label."""

    z_dim, c_dim = 3, 2

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return (z + c.sum(1, keepdim=True) - 1)[:, :, None, None]


def test_latents_and_labels_go_to_the_device_once():
    labels = np.array([0, 1, 1])
    here = torch.cat(list(Fakes(Linear(), 100, labels, 0, CPU).blocks()))
    with torch.inference_mode(), StandIn() as there:
        fakes = Fakes(Linear(), 100, labels, 0, META)
        before = len(there.uploads)
        images = torch.cat(list(fakes.blocks()))
        assert len(there.uploads) == before and not there.downloads
        assert torch.equal(images.cpu(), here)


def test_matrices_of_the_resizing_go_to_the_device_once():
    images = torch.randint(0, 256, (2, 3, 20, 24), dtype=torch.uint8)
    expected = resize(images)
    resize_weights.cache_clear()
    with StandIn() as there:
        x = images.to(META)
        first, second = resize(x), resize(x)
        assert there.uploads[1:] == [299 * 20, 299 * 24]
        torch.testing.assert_close(first.cpu(), expected)
        assert torch.equal(first.cpu(), second.cpu())
    resize_weights.cache_clear()  # no tensor of the stand-in is left


def test_what_inference_has_kept_can_take_part_in_training():
    resize_weights.cache_clear()
    with torch.inference_mode():
        resize(torch.zeros(1, 3, 17, 17, dtype=torch.uint8))
    weights = resize_weights(17, 299, torch.float32, CPU)
    assert resize_weights.cache_info().hits >= 1 and not weights.is_inference()


def test_leak_rates_are_read_once_each():
    with StandIn() as there:
        Leak(features(50, 0, META))(features(50, 1, META))
    assert there.reads <= 3


def test_held_out_images_are_chosen_before_their_features_are(monkeypatch):
    """The features that are left out are copied nowhere, but for a few at a time; their places in the order may be."""
    monkeypatch.setattr("leangan.metrics.formulas.memorisation.MOST", 5)
    monkeypatch.setattr("leangan.metrics.nearest.CHUNK", 4)
    taken = []
    original = torch.Tensor.__getitem__

    def counted(self, index):
        result = original(self, index)
        if self.ndim == 2 and len(self) == 90 and self.shape[1] > DIRECTIONS:
            taken.append(len(result))
        return result

    monkeypatch.setattr(torch.Tensor, "__getitem__", counted)
    Memorisation(features(90, 0, trained=20, size=8))
    assert [rows for rows in taken if rows > 4] == [20, 5]
