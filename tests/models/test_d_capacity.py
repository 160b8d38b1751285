"""The discriminator's width against the published rule (arXiv:2006.06676, fig. 8b): both limits times the capacity."""

from __future__ import annotations

import pytest
import torch

from leangan.models.stylegan2 import Backbone
from leangan.runs.presets import preset_at


def networks(**changes):
    preset = preset_at("paper256", 256, "this test", changes)
    backbone = Backbone(preset.hyper, resolution=256, channels=3, classes=0)
    with torch.device("meta"):
        return backbone.generator(), backbone.discriminator()


# Maps at 256, 128, ..., 8 px, then at 4 px.
@pytest.mark.parametrize(
    "capacity, maps",
    [
        (1, [64, 128, 256, 512, 512, 512, 512]),
        (0.25, [16, 32, 64, 128, 128, 128, 128]),
        (2, [128, 256, 512, 1024, 1024, 1024, 1024]),
    ],
)
def test_every_layer_of_d_and_none_of_g(capacity, maps):
    G, D = networks(d_capacity=capacity)
    assert [len(D.from_rgb.weight), *(len(block.conv1.weight) for block in D.blocks)] == maps
    assert (D.conv.weight.shape[:2], D.dense.weight.shape) == ((maps[-1], maps[-1] + 1), (maps[-1], maps[-1] * 16))
    assert [len(block.conv1.weight) for block in reversed(G.blocks)] == [64, 128, 256, 512, 512, 512, 512]


@pytest.mark.parametrize("capacity", [0, 1 / 128, -1])
def test_a_layer_without_maps_is_refused(capacity):
    with pytest.raises(ValueError, match="d_capacity.*presets.yaml"):
        networks(d_capacity=capacity)
