"""The extractors: what the proxy tells apart, equality with torch-fidelity, and guarded Inception weights."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image, ImageFilter
from torch import nn

from leangan.core.errors import ConfigError
from leangan.data.image import fit
from leangan.data.open_source import open_source
from leangan.metrics.base import Features
from leangan.metrics.extraction import extract, real_batches
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.formulas.inception_score import Metric as InceptionScore
from leangan.metrics.formulas.kid import Metric as KernelDistance
from leangan.metrics.formulas.kid import cubic_kernel
from leangan.metrics.formulas.precision_recall import Metric as PrecisionRecall
from leangan.metrics.loading import load_extractor
from leangan.metrics.weights import FIDELITY, WeightsError, find_weights
from tests.helpers.inception_files import write_fidelity

COUNT = 240


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """2 x COUNT photographs of solar cells in random order, uint8 [N, 3, 32, 32]."""
    source = open_source("elpv")
    chosen = np.random.RandomState(0).permutation(len(source))[: 2 * COUNT]
    return np.stack([fit(source.image(i), 32, "elpv", crop=False, resize="box") for i in chosen])


def features(images: np.ndarray) -> Features:
    batches = real_batches(images, None, 32, torch.device("cpu"))
    return extract(load_extractor("efficientnet_lite0"), batches, len(images), "test")


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(sigma)
    pictures = (Image.fromarray(image.transpose(1, 2, 0)).filter(blur) for image in images)
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])


@pytest.fixture(scope="module")
def real(photographs) -> Features:
    return features(photographs[:COUNT])


@pytest.fixture(scope="module")
def other_real(photographs) -> Features:
    return features(photographs[COUNT:])


def test_the_proxy_tells_damage_from_other_photographs(photographs, real, other_real):
    frechet, kernel = FrechetDistance(real), KernelDistance(real)
    noise = np.random.RandomState(1).normal(0, 20, photographs[COUNT:].shape)
    noisy = features((photographs[COUNT:] + noise).clip(0, 255).astype(np.uint8))
    blurry = features(blurred(photographs[COUNT:], 1))
    half = frechet(other_real)["fd"].value
    assert frechet(blurry)["fd"].value > 2 * half
    assert frechet(noisy)["fd"].value > 2 * half
    # The estimator is unbiased, so two halves differ by its noise alone; its scale is that of the features.
    noise_level = abs(kernel(other_real)["kd"].value)
    assert kernel(blurry)["kd"].value > max(0.5, 20 * noise_level)
    assert kernel(noisy)["kd"].value > max(0.5, 20 * noise_level)
    agreement = PrecisionRecall(real)(other_real)
    damage = PrecisionRecall(real)(noisy)
    lowest = min(value.value for value in agreement.values())
    assert lowest > 0.6
    assert max(value.value for value in damage.values()) < lowest / 2


def test_a_set_has_no_distance_to_itself(real):
    scale = real.pooled.var(0).sum()
    assert abs(FrechetDistance(real)(real)["fd"].value) < 1e-3 * scale
    perfect = PrecisionRecall(real)(real)
    assert (perfect["precision"].value, perfect["recall"].value) == (1, 1)


def test_few_memorised_images_have_precision_and_no_recall(real, other_real):
    few = Features(other_real.pooled[:48].repeat(5, 1))
    result = PrecisionRecall(real)(few)
    assert result["precision"].value > 0.6
    assert result["recall"].value < 0.05


class Images(torch.utils.data.Dataset):
    def __init__(self, images: np.ndarray):
        self.images = torch.from_numpy(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def test_numbers_are_those_of_torch_fidelity(photographs, real, other_real):
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(photographs[COUNT:]),  # generated
        input2=Images(photographs[:COUNT]),
        feature_extractor="efficientnet_lite0",
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=COUNT,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    kernel = KernelDistance(real)(other_real)["kd"]
    agreement = PrecisionRecall(real)(other_real)
    frechet = FrechetDistance(real)(other_real)["fd"].value
    assert frechet == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    # A difference of sums near 100: float32 there leaves 1e-5.
    assert kernel.value == pytest.approx(theirs["kernel_inception_distance_mean"], abs=1e-5)
    assert agreement["precision"].value == theirs["precision"]
    assert agreement["recall"].value == theirs["recall"]


def test_features_do_not_depend_on_the_batch(photographs, real):
    one_by_one = extract(
        load_extractor("efficientnet_lite0"),
        real_batches(photographs, [3, 1], 1, torch.device("cpu")),
        2,
        "test",
    )
    assert torch.allclose(one_by_one.pooled, real.pooled[[3, 1]], atol=1e-4)


@pytest.mark.parametrize(
    ("device", "tf32", "used"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_features_say_whether_the_device_used_tf32(monkeypatch, device, tf32, used):
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)  # no GPU is needed
    assert load_extractor("efficientnet_lite0", device, tf32=tf32).identity()["tf32"] is used


def test_unknown_extractor_offers_the_nearest():
    with pytest.raises(ConfigError, match="'inception'.*'inception_v3'"):
        load_extractor("inception")


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory) -> Path:
    """A file in the official format, with random weights."""
    return write_fidelity(tmp_path_factory.mktemp("weights"))


def test_inception_weights_are_refused_unless_their_digest_is_given(random_weights):
    with pytest.raises(WeightsError, match="expected 6726825d"):
        load_extractor("inception_v3", inception_weights=random_weights)
    digest = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    extractor = load_extractor("inception_v3", inception_weights=random_weights, inception_sha256=digest)
    assert extractor.sha256 == digest
    result = extractor(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert result.pooled.shape == (2, 2048)
    assert result.logits.shape == (2, 1008)


def numbers(real: Features, fake: Features, fid: bool) -> dict[str, float]:
    """Ours, under torch-fidelity's names."""
    score = InceptionScore(real)(fake)["is"]
    kernel = KernelDistance(real)(fake)["kid"]
    found = {
        "inception_score_mean": score.value,
        "inception_score_std": score.spread,
        "kernel_inception_distance_mean": kernel.value,
    }
    if fid:
        found["frechet_inception_distance"] = FrechetDistance(real)(fake)["fid"].value
    return found


@pytest.mark.parametrize(("count", "fid"), [(4, False), pytest.param(60, True, marks=pytest.mark.long)])
def test_inception_numbers_are_those_of_torch_fidelity(monkeypatch, photographs, random_weights, count, fid):
    """The whole way on photographs, through a file in the official format; FID's 2048 x 2048 matrices take long."""
    monkeypatch.setattr("leangan.metrics.formulas.inception_score.SPLITS", 2)
    pictures = 255 - photographs[COUNT : COUNT + count], photographs[:count]
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(pictures[0]),
        input2=Images(pictures[1]),
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(random_weights),
        isc=True,
        isc_splits=2,
        kid=True,
        fid=fid,
        kid_subset_size=count,
        batch_size=8,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    digest = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    extractor = load_extractor("inception_v3", inception_weights=random_weights, inception_sha256=digest)
    fake, real = (extract(extractor, real_batches(x, None, 5, torch.device("cpu")), count, "test") for x in pictures)
    # KID is a small difference of means of kernel values, each of which is exact to some float32 roundings.
    rounding = 1e-6 * float(cubic_kernel(fake.pooled, fake.pooled).mean())
    for name, value in numbers(real, fake, fid).items():
        assert value == pytest.approx(theirs[name], rel=1e-5, abs=rounding if name.startswith("kernel") else 0), name


class Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_foreign_file_is_never_unpickled(tmp_path):
    (tmp_path / FIDELITY.name).write_bytes(pickle.dumps(Bomb(tmp_path / "touched")))
    with pytest.raises(WeightsError):
        load_extractor("inception_v3", inception_weights=tmp_path / FIDELITY.name)
    assert not (tmp_path / "touched").exists()


def test_missing_weights_are_one_line_that_says_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(WeightsError) as caught:
        find_weights(FIDELITY)
    message = str(caught.value)
    assert "\n" not in message
    assert FIDELITY.name in message and "inception_weights" in message and str(tmp_path) in message
    with pytest.raises(WeightsError, match="no file .*elsewhere.*inception_weights"):
        find_weights(FIDELITY, tmp_path / "elsewhere")


def test_a_home_folder_that_cannot_be_written_is_one_line_that_names_the_variable(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null/nobody")
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(WeightsError, match="/dev/null/nobody.*set TORCH_HOME to one that can be written") as error:
        find_weights(FIDELITY)
    assert "\n" not in str(error.value)


def test_weights_in_torchs_cache_need_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / FIDELITY.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert find_weights(FIDELITY, sha256=digest) == (path, digest)
