"""The table of known sets: what is missing is said in one sentence, with what to fetch and where to put it."""

from __future__ import annotations

import pytest

from leangan.core.errors import ConfigError
from leangan.data.contracts import DatasetError
from leangan.data.image import RESIZE
from leangan.data.known_sets import TABLE, downloads, find_test_split, is_amplified, known_sets, locate
from leangan.runs.config import configured

HEADER = TABLE.read_text(encoding="utf-8").splitlines()[0]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "sources.csv"
    path.write_text(
        f"{HEADER}\n"
        f"birds,images,{tmp_path}/birds,,,,100,,0,,,,CC0,ask their authors for birds.zip\n"
        f"fish,cifar,{tmp_path}/fish.tar.gz,http://localhost/fish.tar.gz,,,10,,,,,,CC0,fish.tar.gz\n"
        f"fish-test,cifar,{tmp_path}/fish.tar.gz,http://localhost/fish.tar.gz,,,5,,,,,fish,CC0,fish.tar.gz\n"
    )
    return path


def test_every_row_says_what_a_user_needs_and_fits_the_rest_of_the_suite():
    configured(datasets={name: {"path": "x"} for name in known_sets()})
    for row in known_sets().values():
        assert row.licence and row.note and row.kind in ("embedded", "cifar", "images", "brecahad")
        assert row.resize in ("", *RESIZE)
        assert not row.split_of or row.split_of in known_sets()
        assert not row.url or (row.url.startswith("https://") and row.location.endswith(row.url.split("/")[-1]))


def test_the_published_counts_and_filters():
    """arXiv:2006.06676 and arXiv:2006.10738, and the official pages of the sets."""
    counts = {
        **{"cifar10": 50000, "cifar10-test": 10000, "cifar100": 50000, "cifar100-test": 10000, "ffhq": 70000},
        **{"lsun-cat": 200000, "imagenet": 1281167, "imagenet-val": 50000, "metfaces": 1336, "brecahad": 1944},
        **{"afhq-cat": 5153, "afhq-dog": 4739, "afhq-wild": 4738, "animalface-cat": 160, "animalface-dog": 389},
    }
    rows = known_sets()
    assert {name: rows[name].count for name in counts} == counts
    shots = ("obama", "grumpy_cat", "panda", "bridge_of_sighs", "medici_fountain", "temple_of_heaven", "wuzhen")
    assert all(rows[f"100-shot-{name}"].count == 100 for name in shots)
    assert (rows["ffhq"].resize, rows["ffhq"].crop) == ("box", False)
    assert (rows["lsun-cat"].resize, rows["lsun-cat"].crop, rows["lsun-cat"].first) == ("lanczos", True, True)


def test_addresses_and_checksums_of_cifar_are_those_of_torchvision():
    from torchvision.datasets import CIFAR10, CIFAR100

    for name, official in {"cifar10": CIFAR10, "cifar100": CIFAR100}.items():
        for row in (known_sets()[name], known_sets()[f"{name}-test"]):
            assert (row.url, row.md5) == (official.url, official.tgz_md5)
            assert row.location.endswith(official.filename)


def test_a_missing_set_says_what_to_fetch_and_where_to_put_it(table, tmp_path):
    with pytest.raises(DatasetError) as error:
        locate("birds", table=table)
    for words in ("birds: nothing at", "birds.zip. Needed: ask their authors", "datasets={birds: {path: ...}}"):
        assert words in str(error.value)
    with pytest.raises(DatasetError, match="no file or folder .*gone: ask their authors.*datasets in the config"):
        locate("birds", tmp_path / "gone", table)
    with pytest.raises(ConfigError, match="unknown data set 'brds'. Did you mean 'birds'"):
        locate("brds", table=table)


def test_a_set_is_found_as_a_folder_as_a_zip_and_where_the_user_says(table, tmp_path):
    (tmp_path / "birds.zip").write_bytes(b"")
    assert locate("birds", table=table) == tmp_path / "birds.zip"
    (tmp_path / "birds").mkdir()
    assert locate("birds", table=table) == tmp_path / "birds"
    (tmp_path / "elsewhere").mkdir()
    assert locate("birds", tmp_path / "elsewhere", table) == tmp_path / "elsewhere"
    assert locate("elpv") is None


def test_a_set_that_is_downloaded_need_not_be_there(table, tmp_path):
    assert locate("fish", table=table) == locate("fish-test", table=table) == tmp_path / "fish.tar.gz"
    assert downloads(table) == {f"{tmp_path}/fish.tar.gz": "fish"}


def test_held_out_splits(table):
    assert find_test_split("fish", table) == "fish-test"
    assert (find_test_split("cifar10"), find_test_split("cifar100"), find_test_split("imagenet")) == (
        "cifar10-test", "cifar100-test", "imagenet-val")  # fmt: skip
    with pytest.raises(ConfigError, match="'birds' has no test split .*; those of fish have"):
        find_test_split("birds", table)


def test_twice_the_images_of_a_set_are_its_mirrored_copies(table):
    assert is_amplified("ffhq", 140000) and is_amplified("fish", 20, table)
    assert not is_amplified("ffhq", 70000) and not is_amplified("ffhq", 30000) and not is_amplified("mine", 20, table)


def test_a_row_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "sources.csv"
    path.write_text(f"{HEADER}\nbirds,images,x,,,,many,,0,,,,CC0,note\n")
    with pytest.raises(DatasetError, match="sources.csv, row 'birds': does not fit"):
        known_sets(path)
