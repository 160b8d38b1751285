"""Every metric against closed forms, brute force, and torch-fidelity's own entry point."""

from __future__ import annotations

import cleanfid.fid
import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from leangan.core.errors import ConfigError
from leangan.core.yaml_files import read
from leangan.metrics.base import Features
from leangan.metrics.families import metric_name
from leangan.metrics.formulas import kid
from leangan.metrics.formulas.fid import Metric as FrechetDistance
from leangan.metrics.formulas.fid_inf import Metric as FrechetInfinity
from leangan.metrics.formulas.inception_score import Metric as InceptionScore
from leangan.metrics.formulas.kid import Metric as KernelDistance
from leangan.metrics.formulas.precision_recall import Metric as PrecisionRecall
from leangan.results.metric_names import Metric


def exact_sample(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> Features:
    """`count` points whose sample mean and unbiased sample covariance are exactly the ones given."""
    x = np.random.RandomState(seed).randn(count, len(mean))
    x -= x.mean(0)
    white = np.linalg.qr(x)[0] * np.sqrt(count - 1)
    points = white @ np.linalg.cholesky(covariance).T + mean
    return Features(torch.from_numpy(points).float())


def test_frechet_distance_of_axis_aligned_gaussians():
    """|dmu|^2 + sum (sqrt a - sqrt b)^2 = 9 + 16 + (1 - 2)^2 + (3 - 1)^2 = 30."""
    real = exact_sample(np.zeros(2), np.diag([1.0, 9.0]), 50, seed=0)
    fake = exact_sample(np.array([3.0, 4.0]), np.diag([4.0, 1.0]), 80, seed=1)
    result = FrechetDistance(real)(fake)
    assert result["fd"].value == pytest.approx(30, rel=1e-5)


@pytest.mark.parametrize(
    ("extractor", "names"),
    [
        ("inception_v3", ["fid", "fid_inf", "kid"]),
        ("clean_inception", ["clean_fid", "clean_fid_inf", "clean_kid"]),
        ("efficientnet_lite0", ["fd", "fd_inf", "kd"]),
        (None, ["fd", "fd_inf", "kd"]),
    ],
)
def test_a_number_has_the_one_name_that_belongs_to_its_extractor(extractor, names):
    """Of features of which nothing is known as well: they are not said to be Inception's."""
    real, fake = (Features(torch.randn(30, 4), extractor=extractor) for _ in range(2))
    for metric, name in zip((FrechetDistance, FrechetInfinity, KernelDistance), names, strict=True):
        assert list(metric(real)(fake)) == [name]


def test_frechet_distance_of_correlated_gaussians_against_scipy():
    rng = np.random.RandomState(0)
    a, b = (m @ m.T + np.eye(6) for m in rng.randn(2, 6, 6))
    mu_a, mu_b = rng.randn(2, 6)
    truth = ((mu_a - mu_b) ** 2).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    result = FrechetDistance(exact_sample(mu_a, a, 100, 1))(exact_sample(mu_b, b, 60, 2))
    assert result["fd"].value == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize(("n_fake", "n_real"), [(500, 400), (500, 30), (30, 400), (20, 30)])
def test_frechet_distance_is_that_of_both_libraries(n_fake, n_real):
    """With more and with fewer images than the 40 features, on either side."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(40, 40, generator=generator)
    real = torch.randn(n_real, 40, generator=generator).relu() @ mixing
    fake = torch.randn(n_fake, 40, generator=generator).relu() @ mixing + 1
    ours = FrechetDistance(Features(real))(Features(fake))["fd"].value
    fidelity = fid_statistics_to_metric(fid_features_to_statistics(fake), fid_features_to_statistics(real), False)
    assert ours == pytest.approx(fidelity["frechet_inception_distance"], rel=1e-5)
    if min(n_fake, n_real) > 40:  # scipy's square root of a singular matrix is not exact
        assert ours == pytest.approx(cleanfid.fid.fid_from_feats(fake.numpy(), real.numpy()), rel=1e-5)


def test_frechet_distance_without_its_bias():
    """Two normal distributions a known distance apart: FID of 1000 fakes lies above it, and FID at infinity on it."""
    generator = torch.Generator().manual_seed(0)
    real = Features(torch.randn(50_000, 16, generator=generator))
    shift = torch.zeros(16)
    shift[0] = 0.5  # d^2 = 0.25
    finite, infinite = [], []
    for _ in range(20):
        fake = Features(torch.randn(1000, 16, generator=generator) + shift)
        finite.append(FrechetDistance(real)(fake)["fd"].value)
        infinite.append(FrechetInfinity(real)(fake)["fd_inf"].value)
    error = np.std(infinite, ddof=1) / np.sqrt(len(infinite))
    assert np.mean(finite) > 0.25 + 0.05
    assert abs(np.mean(infinite) - 0.25) < max(3 * error, 0.01)


def brute_force_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD under the cubic kernel, pair by pair."""

    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kernel_distance_against_brute_force():
    rng = np.random.RandomState(0)
    x, y = rng.randn(12, 5), rng.randn(12, 5) + 0.5
    real, fake = Features(torch.from_numpy(y).float()), Features(torch.from_numpy(x).float())
    result = KernelDistance(real)(fake)["kd"]
    assert result.value == pytest.approx(brute_force_mmd(x, y), rel=1e-4)
    assert result.spread == pytest.approx(0, abs=1e-5)  # each of the 100 subsets is the whole set


@pytest.mark.parametrize("limit", [5000, 10])
def test_kernel_distance_is_torch_fidelitys(monkeypatch, limit):
    """The shortcut for small sets and the plain way both give the library's mean and deviation."""
    monkeypatch.setattr(kid, "GRAM_LIMIT", limit)
    monkeypatch.setattr(kid, "MAX_SUBSET_SIZE", 40)
    generator = torch.Generator().manual_seed(0)
    fake, real = torch.randn(60, 16, generator=generator), torch.randn(90, 16, generator=generator) + 0.3
    ours = KernelDistance(Features(real))(Features(fake))["kd"]
    theirs = kid_features_to_metric(fake, real, kid_subset_size=40, verbose=False)
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-5)
    assert ours.spread == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-5)


def test_kernel_distance_is_clean_fids():
    """Where every subset is the whole set, so that its own, unseeded choice does not matter."""
    generator = torch.Generator().manual_seed(0)
    fake, real = torch.randn(50, 16, generator=generator), torch.randn(50, 16, generator=generator) + 0.3
    theirs = cleanfid.fid.kernel_distance(real.double().numpy(), fake.double().numpy(), num_subsets=2)
    assert KernelDistance(Features(real))(Features(fake))["kd"].value == pytest.approx(theirs, rel=1e-5)


def test_kernel_distance_of_equal_distributions_is_zero_on_average():
    generator = torch.Generator().manual_seed(0)
    values = [
        KernelDistance(Features(torch.randn(50, 8, generator=generator)))(
            Features(torch.randn(50, 8, generator=generator))
        )["kd"].value
        for _ in range(100)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)


def test_inception_score_of_undecided_and_of_certain_logits():
    undecided = InceptionScore(None)(Features(torch.zeros(200, 1), torch.zeros(200, 7)))["is"]
    assert undecided.value == pytest.approx(1, abs=1e-6)
    assert undecided.spread == pytest.approx(0, abs=1e-6)
    # Certain and balanced: one for each class. Splits of 2,000 are balanced up to sampling.
    certain = 50 * torch.eye(5).repeat(4000, 1)
    assert InceptionScore(None)(Features(certain, certain))["is"].value == pytest.approx(5, rel=1e-2)
    assert InceptionScore(None)(Features(certain, certain))["is_unsplit"].value == pytest.approx(5, rel=1e-9)
    one_class = 50 * torch.eye(5)[:1].repeat(100, 1)
    assert InceptionScore(None)(Features(one_class, one_class))["is"].value == pytest.approx(1, abs=1e-6)


def test_inception_scores_are_torch_fidelitys():
    logits = torch.randn(300, 12, generator=torch.Generator().manual_seed(0)) * 3
    score = InceptionScore(None)(Features(logits, logits))
    theirs = {splits: isc_features_to_metric(logits, splits=splits) for splits in (1, 10)}
    assert score["is"].value == pytest.approx(theirs[10]["inception_score_mean"], rel=1e-9)
    assert score["is"].spread == pytest.approx(theirs[10]["inception_score_std"], rel=1e-9)
    assert score["is_unsplit"].value == pytest.approx(theirs[1]["inception_score_mean"], rel=1e-9)


def test_inception_score_needs_logits():
    with pytest.raises(ConfigError, match="logits"):
        InceptionScore(None)(Features(torch.zeros(20, 3)))


def values(real: torch.Tensor, fake: torch.Tensor) -> tuple[float, float]:
    result = PrecisionRecall(Features(real))(Features(fake))
    return result["precision"].value, result["recall"].value


@pytest.mark.parametrize("limit", [10_000, 10])
def test_precision_and_recall(monkeypatch, limit):
    monkeypatch.setattr("leangan.metrics.formulas.precision_recall.FULL_MATRIX_LIMIT", limit)
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 40, 4, generator=generator)
    both = torch.cat([left, right + 100])
    assert values(both, both) == (1, 1)
    assert values(left, right + 100) == (0, 0)
    assert values(both, left) == (1, 0.5)  # fakes are all good, half of the reals is missed
    assert values(left, both) == (0.5, 1)  # half of the fakes is bad, no real is missed


def test_reals_beyond_the_cap_are_left_out_at_random(monkeypatch):
    monkeypatch.setattr("leangan.metrics.formulas.precision_recall.MAX_REAL", 10)
    real = PrecisionRecall(Features(torch.arange(100.0)[:, None])).real
    assert len(real.unique()) == 10
    assert real.max() > 20


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("fid", 50000, "full", "inception_v3"), "fid50k_full"),
        (("fid", 10000, "test", "inception_v3"), "fid10k_test"),
        (("is", 50000, "full", "inception_v3"), "is50k"),
        (("kid", 1500, "train", "inception_v3"), "kid1500_train"),
        (("precision", 50000, "full", "inception_v3"), "precision50k_full"),
        (("fd", 1000, "full", "efficientnet_lite0"), "fd1k_full_efficientnet_lite0"),
        (("recall", 256, "full", "efficientnet_lite0"), "recall256_full_efficientnet_lite0"),
        (("is_unsplit", 50000, "test", "inception_v3"), "is_unsplit50k"),
        (("fid_inf", 50000, "full", "inception_v3"), "fid_inf50k_full"),
        (("clean_fid", 10000, "test", "clean_inception"), "clean_fid10k_test"),
        (("recall", 10000, "test", "clean_inception"), "recall10k_test_clean_inception"),
        (("copying", 50000, "full", "inception_v3"), "copying50k_train"),
        (("copying", 1000, "full", "efficientnet_lite0"), "copying1k_train_efficientnet_lite0"),
    ],
)
def test_names_state_the_protocol(arguments, name):
    assert metric_name(*arguments) == name


@pytest.mark.parametrize("family", ["fid", "fid_inf", "kid", "is", "is_unsplit", "clean_fid", "clean_kid"])
def test_a_proxy_never_carries_a_published_name(family):
    with pytest.raises(ConfigError, match=family):
        metric_name(family, 1000, "full", "efficientnet_lite0")
    other = "inception_v3" if family.startswith("clean") else "clean_inception"
    with pytest.raises(ConfigError, match=f"{family}.*{other}"):
        metric_name(family, 1000, "full", other)
    for extractor in ("inception_v3", "clean_inception"):
        with pytest.raises(ConfigError, match="another extractor"):
            metric_name("fd", 1000, "full", extractor)


@pytest.mark.parametrize("name", read("config/protocols.yaml"))
def test_protocols_of_the_suite_are_valid(name):
    from leangan.metrics.compute import metric_classes
    from leangan.metrics.protocols import read_protocol

    protocol = read_protocol(name)
    families = {family.name for metric in metric_classes(protocol).values() for family in metric.families}
    assert set(protocol.metrics) <= families
    for family in protocol.metrics:
        metric = Metric(family, protocol.fakes, protocol.reference, protocol.extractor)
        assert (metric.extractor in metric.name) == ("(" in metric.label.removeprefix("IS (no splits)"))
        assert not (family in ("fid", "kid", "is") and metric.extractor in metric.name)
        assert not (protocol.reference == "test" and family in ("copying", "nn_ratio"))
    assert protocol.source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "valid"}, "unknown value for reference: 'valid'. .*Known: full, test, train"),
        ({"statistics": ""}, "statistics"),
        ({"eval_seeds": 0}, "eval_seeds = 0 is not allowed"),
        ({"fake": 3}, "unknown key 'fake'. Did you mean 'fakes'"),
    ],
)
def test_a_wrong_protocol_is_refused(monkeypatch, changes, message):
    from leangan.metrics import protocols

    entry = read("config/protocols.yaml")["proxy"] | changes
    monkeypatch.setattr(protocols, "read", lambda _: {"mine": entry})
    with pytest.raises(ConfigError, match=f"{message}.*Change it in config/protocols.yaml, mine"):
        protocols.read_protocol("mine")
