"""The shortened mapping network against layers applied by hand (arXiv:1912.04958)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leangan.augment.shallow_mapping import Method
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal


def generator(make_spec, plugins, layers):
    torch.manual_seed(0)
    return build_networks(make_spec(hyper={"mapping_layers": layers}, plugins=plugins), 3, 0)[1]


def test_w_is_that_of_two_dense_layers(make_spec):
    G = generator(make_spec, [("shallow_mapping", {})], layers=8)
    z = torch.randn(5, G.z_dim)
    x = (z / z.square().mean(dim=1, keepdim=True).sqrt()).double().numpy()
    for layer in (0, 1):
        # Stored weights have standard deviation 1 / lr_multiplier = 100.
        names = (f"mapping.layers.{layer}.{kind}" for kind in ("weight", "bias"))
        weight, bias = (G.state_dict()[name].double().numpy() for name in names)
        x = x @ weight.T * 0.01 / np.sqrt(x.shape[1]) + bias * 0.01
        x = np.sqrt(2) * np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(G.mapping(z, None).detach().numpy(), x, rtol=1e-4, atol=1e-5)


def test_it_has_the_tensors_of_a_preset_with_two_layers(make_spec):
    shallow = generator(make_spec, [("shallow_mapping", {})], layers=8)
    preset = generator(make_spec, [], layers=2)
    shapes = [{name: value.shape for name, value in G.state_dict().items()} for G in (shallow, preset)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    "arguments, hyper, preset, reason",
    [
        ({}, {"mapping_layers": 8}, "tiny", None),
        ({}, {"mapping_layers": 2}, "tiny", "has 2 layers, of which 2"),
        ({"layers": 4}, {"mapping_layers": 4}, "tiny", "has 4 layers, of which 4"),
        ({"layers": 1}, {"mapping_layers": 2}, "tiny", None),
        (
            {},
            {},
            "tiny-biggan",
            "(part mapping), which the backbone 'biggan' does not offer",
        ),
    ],
)
def test_it_is_skipped_where_it_changes_nothing(make_spec, arguments, hyper, preset, reason):
    found = refusal(make_spec(plugins=[("shallow_mapping", arguments)], hyper=hyper, of=preset))
    assert found is None if reason is None else found[0] == "skip" and reason in found[1]


def test_no_layer_at_all_is_refused():
    with pytest.raises(ValueError, match="layers is 0"):
        Method(layers=0)
