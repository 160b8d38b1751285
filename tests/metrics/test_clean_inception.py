"""Clean-FID against the package clean-fid itself: its resizing, its network class, its distance between two folders.

The network is a small one with random weights in the official file's form: TorchScript with a part called `layers`.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import cleanfid.fid
import numpy as np
import pytest
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from PIL import Image

from leangan.metrics.extraction import extract, real_batches
from leangan.metrics.extractors.clean_inception import resize
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.loading import LoadedExtractor, load_extractor
from leangan.metrics.weights import CLEAN, WeightsError, find_weights
from tests.helpers.inception_files import write_clean

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_clean(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def extractor(weights) -> LoadedExtractor:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return load_extractor("clean_inception", inception_weights=weights, inception_sha256=digest)


def images(count: int, px: int, seed: int) -> np.ndarray:
    """Smooth colour fields with noise, uint8 [N, 3, px, px]."""
    rng = np.random.RandomState(seed)
    coarse = rng.randint(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    smooth = [np.asarray(Image.fromarray(x).resize((px, px), Image.Resampling.BICUBIC)) for x in coarse]
    noisy = np.stack(smooth) + rng.normal(0, 10, (count, px, px, 3))
    return noisy.clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("px", [32, 128, 299, 301, 512])
def test_resizing_is_pillows(px):
    noise = np.random.RandomState(0).randint(0, 256, (2, 3, px, px)).astype(np.uint8)
    theirs = np.stack([build_resizer("clean")(image.transpose(1, 2, 0)).transpose(2, 0, 1) for image in noise])
    assert np.abs(resize(torch.from_numpy(noise)).numpy() - theirs).max() < 2e-4  # of 255


def test_features_are_clean_fids(weights, extractor):
    pictures = images(4, 40, seed=0)
    ours = extract(extractor, real_batches(pictures, None, 3, CPU), 4, "test").pooled
    resized = [build_resizer("clean")(picture.transpose(1, 2, 0)).transpose(2, 0, 1) for picture in pictures]
    theirs = InceptionV3W(str(weights.parent), download=False)(torch.from_numpy(np.stack(resized)))
    assert ours.shape == (4, 2048)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_distance_between_two_folders_is_clean_fids(weights, extractor, tmp_path):
    """The whole way: files, resizing, network, statistics, distance; 48 of the features, as SciPy takes long."""
    real, fake = images(80, 32, seed=1), images(60, 32, seed=2)[:, ::-1] // 2
    for name, pictures in (("real", real), ("fake", fake)):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / name / f"{number:03}.png")
    network = InceptionV3W(str(weights.parent), download=False)
    some = slice(None, None, 43)
    theirs = cleanfid.fid.compute_fid(
        str(tmp_path / "fake"),
        str(tmp_path / "real"),
        mode="clean",
        custom_feat_extractor=lambda x: network(x)[:, some],
        device=CPU,
        num_workers=0,
        use_dataparallel=False,
        verbose=False,
    )
    features = [
        replace(
            found := extract(extractor, real_batches(x, None, 32, CPU), len(x), "test"), pooled=found.pooled[:, some]
        )
        for x in (real, fake)
    ]
    assert features[0].pooled.shape == (80, 48)
    ours = FrechetDistance(features[0])(features[1])["clean_fid"].value
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_features_do_not_depend_on_the_batch(extractor):
    pictures = images(5, 32, seed=0)
    one, all_at_once = (extract(extractor, real_batches(pictures, None, n, CPU), 5, "test").pooled for n in (1, 5))
    torch.testing.assert_close(one, all_at_once, rtol=1e-5, atol=1e-6)


def test_what_features_say_of_themselves(extractor):
    identity = extractor.identity()
    assert (identity["input_px"], identity["extractor"]) == (299, "clean_inception")
    assert identity["library"].startswith("clean-fid 0.")


def test_images_must_be_eight_bits(extractor):
    with pytest.raises(ValueError, match="uint8"):
        extractor(torch.zeros(1, 3, 32, 32))


def test_a_foreign_file_is_not_loaded(weights):
    with pytest.raises(WeightsError, match="expected f58cb9b6"):
        load_extractor("clean_inception", inception_weights=weights)


def test_a_folder_may_hold_the_files_of_both_networks(weights):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert find_weights(CLEAN, weights.parent, digest) == (weights, digest)


def test_the_file_is_found_where_clean_fid_leaves_it(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    shutil.copy(weights, tmp_path / CLEAN.name)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    place = type(CLEAN)(CLEAN.url, digest, str(tmp_path))
    assert find_weights(place) == (tmp_path / CLEAN.name, digest)
