"""The rules by which both papers choose subsets, and the index lists that follow from them."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from leangan.core.errors import ConfigError, Reported
from leangan.data.contracts import DatasetError
from leangan.data.prepare import prepare
from leangan.data.readers.procedural import Procedural
from leangan.data.subset import PUBLISHED, choose, main, order, published


def test_ada_takes_the_first_of_a_permutation_and_holds_out_the_next():
    """arXiv:2006.06676: RandomState(123) over all images; 10,000 for validation follow the training images."""
    index = np.arange(70000)
    np.random.RandomState(123).shuffle(index)
    subset = choose(70000, 1000, seed=123, n_validation=10000)
    assert subset["indices"] == index[:1000].tolist()
    assert subset["validation"] == index[1000:11000].tolist()
    assert len(choose(70000, 65000, seed=123, n_validation=10000)["validation"]) == 5000


@pytest.mark.parametrize("size", [5000, 10000])
def test_a_permutation_is_the_random_choice_of_the_biggan_sets(size):
    """arXiv:2006.10738, CIFAR with BigGAN: numpy.random.choice without replacement after numpy.random.seed(0)."""
    drawn = np.random.RandomState(0).choice(50000, size, replace=False)
    assert choose(50000, size, seed=0)["indices"] == drawn.tolist()


def test_first_is_the_order_of_the_set_whatever_the_seed():
    for seed in (0, 1):
        subset = choose(100, 10, seed, n_validation=5, rule="first")
        assert (subset["indices"], subset["validation"]) == (list(range(10)), list(range(10, 15)))


def test_balanced_gives_every_class_its_share_of_every_beginning():
    labels = np.random.RandomState(1).permutation(np.repeat([0, 1, 2, 3], [1300, 732, 500, 68]))
    chosen = order("balanced", len(labels), 7, labels)
    assert sorted(chosen) == list(range(len(labels)))
    for size in (*range(1, 60), 650, 1300, 2599):
        counts = np.bincount(labels[chosen[:size]], minlength=4)
        share = np.bincount(labels) * size / len(labels)
        assert (abs(counts - share) <= 1).all(), size
    assert (chosen[:100] != order("balanced", len(labels), 8, labels)[:100]).any()
    # Within a class the choice is random: the mean index of the first half is that of the class, to 4 deviations.
    first = chosen[: len(labels) // 2]
    members = np.flatnonzero(labels == 0)
    picked = np.intersect1d(first, members)
    deviation = members.std() / np.sqrt(len(picked)) * np.sqrt(1 - len(picked) / len(members))
    assert abs(picked.mean() - members.mean()) < 4 * deviation


def test_balanced_needs_labels_and_rules_have_names():
    with pytest.raises(DatasetError, match="'balanced' needs a data set with class labels"):
        choose(10, 2, seed=0, rule="balanced")
    with pytest.raises(ConfigError, match="unknown subset rule 'frist'. Did you mean 'first'"):
        choose(10, 2, seed=0, rule="frist")


def test_mirrored_copies_count_as_images():
    """arXiv:2006.06676: FFHQ at 140k is its 70k images and their mirrored copies."""
    subset = choose(70000, 140000, seed=123, n_validation=10000, mirrored=True)
    assert (subset["size"], subset["mirrored"], subset["validation"]) == (140000, True, [])
    assert sorted(subset["indices"]) == list(range(70000))
    for size in (141, 202):
        with pytest.raises(DatasetError, match=f"{size} must lie in the even numbers to 200"):
            choose(100, size, seed=0, mirrored=True)


def test_the_published_lists_are_written_and_have_their_digests(tmp_path):
    main(["--published", str(tmp_path)])
    names = {file.name for file in tmp_path.iterdir()}
    sizes = (1000, 2000, 5000, 10000, 20000, 30000, 70000, 140000)
    assert {f"ffhq-{size}-permutation-s123.json" for size in sizes} <= names
    assert {f"lsun-cat-{size}-permutation-s123.json" for size in (1000, 200000)} <= names
    assert {f"{name}-{n}-permutation-s0.json" for name in ("cifar10", "cifar100") for n in (5000, 10000)} <= names
    subset = json.loads((tmp_path / "ffhq-1000-permutation-s123.json").read_text())
    truth = np.random.RandomState(123).permutation(70000)[:1000].tolist()
    assert subset["indices"] == truth
    assert subset["sha256"] == hashlib.sha256(json.dumps(truth).encode()).hexdigest()


def test_a_list_that_is_another_than_published_is_refused(tmp_path):
    table = tmp_path / "subsets.csv"
    header, row = PUBLISHED.read_text(encoding="utf-8").splitlines()[:2]
    table.write_text(f"{header}\n{row.replace(',123,', ',124,', 1)}\n")
    with pytest.raises(DatasetError, match="the 1000 images of ffhq have digest"):
        published(table)


def test_the_command_takes_rule_held_out_images_and_mirrored_copies(tmp_path):
    prepare(Procedural("free", "drawn", count=40), tmp_path / "p-8.npy", 8)
    common = ["--data", str(tmp_path / "p-8.npy"), "--seed", "0", "--out", str(tmp_path / "s.json")]
    main([*common, "--size", "20", "--rule", "balanced", "--validation", "6"])
    subset = json.loads((tmp_path / "s.json").read_text())
    labels = Procedural("free", "drawn", count=40).labels
    assert abs(labels[subset["indices"]].mean() - labels.mean()) <= 0.05
    assert (len(subset["indices"]), len(subset["validation"]), subset["rule"]) == (20, 6, "balanced")
    main([*common, "--size", "80", "--mirrored"])
    assert len(json.loads((tmp_path / "s.json").read_text())["indices"]) == 40
    with pytest.raises(Reported, match="subset size 80 must lie in .1, 40."):
        main([*common, "--size", "80"])
    with pytest.raises(SystemExit):
        main(["--size", "80"])
