"""Norms that are folded into convolutions change no feature but by rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from leangan.metrics.extractors.clean_inception import CleanInception, resize
from leangan.metrics.extractors.efficientnet_lite0 import NAME, EfficientNetLite0
from leangan.metrics.folding import fold_norms
from leangan.metrics.loading import load_extractor
from tests.helpers.inception_files import used, write_clean


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture
def network() -> nn.Module:
    """Convolutions of every kind, with norms that have been trained, and one norm that follows none."""
    layers = [
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, eps=0.1), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, groups=8, stride=2), nn.BatchNorm2d(8, affine=False), nn.ReLU6()),
        nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6)),
        nn.BatchNorm2d(6),
    ]
    network = nn.Sequential(*layers).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            used(module, torch.Generator().manual_seed(1))
    layers[4].running_var.fill_(1e-4)
    return network


def test_in_float64_nothing_changes(network):
    network, x = network.double(), torch.randn(2, 3, 16, 16, dtype=torch.float64)
    expected = network(x)
    folded = fold_norms(copy.deepcopy(network))
    assert (norms(network), norms(folded)) == (4, 1)
    torch.testing.assert_close(folded(x), expected, rtol=1e-12, atol=1e-13)


def test_weights_are_rounded_once(network):
    exact = fold_norms(copy.deepcopy(network).double())
    for mine, theirs in zip(fold_norms(network).parameters(), exact.parameters(), strict=True):
        assert torch.equal(mine, theirs.float())


def test_a_norm_of_the_batchs_own_statistics_is_refused():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(AssertionError, match="cannot be folded"):
        fold_norms(layers)


def test_the_proxy_sees_what_its_published_network_sees():
    """float32 against the unfolded network in float32 and in float64."""
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    published = EfficientNetLite0(NAME, ["pooled"])
    extractor = load_extractor("efficientnet_lite0")
    assert (norms(published), norms(extractor.network)) == (49, 0)
    found, expected = extractor(images).pooled, published(images)[0]
    assert (found - expected).norm() < 1e-5 * expected.norm()
    for module in published.network.modules():
        module.double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        exact = published(images)[0]
    assert exact.dtype == torch.float64
    assert (found - exact).norm() < 1e-5 * exact.norm()


def test_torchscript_is_folded_where_it_is_called(tmp_path):
    network = CleanInception(write_clean(tmp_path))
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = network.layers((resize(images) - 128) / 128)
    torch.testing.assert_close(network(images)[0], expected, rtol=1e-5, atol=1e-6)
    assert "batch_norm" in str(network.layers.inlined_graph)
    assert "batch_norm" not in str(network.folded.inlined_graph)
