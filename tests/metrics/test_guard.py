"""Mismatched features give no number, and the message says what is wrong and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.metrics.extractor_facts import library
from leangan.metrics.guard import check_arithmetic, check_fake, check_real, read_run, trained_images
from leangan.metrics.protocols import Protocol, read_protocol

PATH = Path("real.safetensors")

ORIGIN = {"dataset_sha256": "aa", "subset_digest": "bb"}

TRAIN = {"run": "cifar10-8/mine", "origin": ORIGIN}

FAKE = {
    "extractor": "inception_v3",
    "extractor_sha256": "cc",
    "input_px": 299,
    "resize": "bilinear, as TensorFlow 1",
    "library": library("inception_v3"),
    "tf32": False,
    "norms": "folded",
    "snapshot_sha256": "dd",
    "statistics": None,
}


def reference(split: str, **changes) -> dict:
    """What features of CIFAR-10 at 32 px say of themselves."""
    of_real = {
        "dataset": "cifar10-test" if split == "test" else "cifar10",
        "resolution": 32,
        "dataset_sha256": "ee" if split == "test" else "aa",
        "subset_digest": "bb" if split == "train" else None,
        "reference": split,
        "n_real": 50,
    }
    return {**FAKE, **of_real, **changes}


def protocol(split: str) -> Protocol:
    stated = {"extractor": "inception_v3", "fakes": 100, "metrics": ["fid"], "source": "test"}
    return Protocol(name="mine", reference=split, **stated)


@pytest.fixture
def check(make_spec):
    spec = make_spec(dataset="cifar10", resolution=32)

    def checked(split: str, **changes) -> None:
        check_real(reference(split, **changes), protocol(split), spec, TRAIN, PATH)

    return checked


@pytest.mark.parametrize("split", ["full", "test", "train"])
def test_what_belongs_together_passes(check, split):
    check(split)
    check_fake(FAKE, {"sha256": "dd"}, reference(split), PATH)


@pytest.mark.parametrize(
    ("split", "changes", "message"),
    [
        ("full", {"extractor": "clean_inception"}, "extractor 'clean_inception', but protocol mine .* 'inception_v3'"),
        ("full", {"library": "torch-fidelity 0.3.0"}, "library 'torch-fidelity 0.3.0', but"),
        ("full", {"resolution": 64}, "resolution 64, but protocol mine of cifar10-8/mine needs 32"),
        ("full", {"reference": "train"}, "reference 'train', but"),
        ("full", {"dataset_sha256": "ff"}, "of other data than cifar10-8/mine was trained on"),
        ("train", {"dataset_sha256": "ff"}, "of other data than"),
        ("train", {"subset_digest": "ff"}, "of other training images than"),
        ("test", {"resolution": 64}, "resolution 64"),
        ("test", {"dataset": "cifar100-test"}, "cifar100-test, but the test images of cifar10 are cifar10-test"),
        ("test", {"dataset": "cifar10", "dataset_sha256": "aa"}, "features of cifar10, but the test images"),
    ],
)
def test_a_reference_of_another_kind_is_refused(check, split, changes, message):
    with pytest.raises(ConfigError, match=f"^real.safetensors: .*{message}.*delete it and run the same command again"):
        check(split, **changes)


@pytest.mark.parametrize("key", ["resolution", "n_real", "library", "tf32", "norms"])
def test_features_of_an_earlier_version_are_refused(make_spec, key):
    real = reference("full")
    del real[key]
    with pytest.raises(ConfigError, match=f"earlier version, which lack {key}"):
        check_real(real, protocol("full"), make_spec(dataset="cifar10", resolution=32), TRAIN, PATH)


@pytest.mark.parametrize("key", ["extractor", "extractor_sha256", "input_px", "resize", "library", "tf32", "norms"])
def test_fakes_seen_otherwise_than_the_reals_are_refused(key):
    with pytest.raises(ConfigError, match=f"{key} 'other', but the reference has"):
        check_fake(FAKE | {key: "other"}, {"sha256": "dd"}, reference("full"), PATH)


@pytest.mark.parametrize("tf32", [True, False])
def test_a_reference_computed_in_another_arithmetic_than_the_fakes_will_be_is_refused(tf32):
    check_arithmetic(reference("full", tf32=tf32), tf32, PATH)
    given, needed = ("with", "without") if tf32 else ("without", "with")
    message = (
        f"^real.safetensors: features computed {given} TF32, .* {needed} TF32; .*delete it and run the same command"
    )
    with pytest.raises(ConfigError, match=message):
        check_arithmetic(reference("full", tf32=tf32), not tf32, PATH)


@pytest.mark.parametrize("key", ["statistics", "tf32", "norms"])
def test_fakes_of_an_earlier_version_are_refused(key):
    old = {name: value for name, value in FAKE.items() if name != key}
    with pytest.raises(ConfigError, match="earlier version; run `leangan features` again"):
        check_fake(old, {"sha256": "dd"}, reference("full"), PATH)


def test_a_data_set_without_test_images_says_so(make_spec):
    with pytest.raises(ConfigError, match="'procedural'"):
        check_real(reference("test", resolution=16), protocol("test"), make_spec(), TRAIN, PATH)


def test_which_images_were_trained_on(tmp_path):
    subset = tmp_path / "subset.json"
    subset.write_text(json.dumps({"digest": "bb", "indices": [7, 2]}))
    assert torch.equal(trained_images(reference("full"), TRAIN, subset), torch.tensor([7, 2]))
    assert torch.equal(trained_images(reference("train"), TRAIN, None), torch.arange(50))
    assert trained_images(reference("test"), TRAIN, subset) is None
    assert trained_images(reference("full"), TRAIN, None) is None
    with pytest.raises(ConfigError, match="other images than cifar10-8/mine was trained on"):
        trained_images(reference("full"), TRAIN | {"origin": ORIGIN | {"subset_digest": "ff"}}, subset)


@pytest.fixture
def run_dir(make_spec, tmp_path) -> Path:
    """A folder with spec.json and the part of train.json that says which run it is."""
    spec = make_spec()
    (tmp_path / "spec.json").write_text(spec.to_json())
    (tmp_path / "train.json").write_text(json.dumps({"run": spec.run_id, "digest": spec.digest}))
    return tmp_path


def test_a_run_is_its_spec_and_its_result(run_dir, make_spec):
    spec, train = read_run(run_dir)
    assert spec == make_spec() and train["digest"] == spec.digest


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "is missing"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", r"is damaged \(KeyError\('trained'\)\)"),
        ('{"scheme": 2, "trained": 5, "labels": []}', "is damaged"),
    ],
)
def test_a_spec_that_only_training_can_write_is_not_to_be_deleted(run_dir, content, why):
    path = run_dir / "spec.json"
    path.unlink() if content is None else path.write_text(content)
    remedy = f"delete {run_dir / 'train.json'} and run the same command; training then writes both again"
    with pytest.raises(ConfigError, match=f"^{path} {why}.*: {remedy}$"):
        read_run(run_dir)


def test_a_spec_whose_values_were_changed_is_damaged(run_dir):
    path = run_dir / "spec.json"
    fields = json.loads(path.read_text())
    fields["trained"]["seed"] += 1
    path.write_text(json.dumps(fields))
    with pytest.raises(ConfigError, match=f"^{path} is damaged .*delete .*train.json"):
        read_run(run_dir)


def test_a_run_of_another_scheme_keeps_its_own_message(run_dir):
    (run_dir / "spec.json").write_text('{"run": "a/b"}')
    with pytest.raises(ConfigError, match="belongs to a run of scheme 1.*Move that results tree away"):
        read_run(run_dir)


def test_a_run_that_has_not_ended_says_so_by_the_missing_file(run_dir):
    (run_dir / "train.json").unlink()
    (run_dir / "spec.json").unlink()
    with pytest.raises(FileNotFoundError, match="train.json"):
        read_run(run_dir)


def test_the_published_protocols_name_what_they_compare_with():
    facts = {name: read_protocol(name) for name in ("ada", "diffaugment-cifar", "diffaugment-imagenet", "low-shot")}
    assert {name: (p.fakes, p.reference) for name, p in facts.items()} == {
        "ada": (50_000, "full"),
        "diffaugment-cifar": (10_000, "test"),
        "diffaugment-imagenet": (50_000, "test"),
        "low-shot": (5_000, "train"),
    }
    assert "is_unsplit" in facts["diffaugment-imagenet"].metrics and "is" in facts["diffaugment-cifar"].metrics
