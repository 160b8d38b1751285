"""Presets against the published set-ups (arXiv:1912.04958, arXiv:2006.06676, arXiv:2006.10738)."""

from __future__ import annotations

import pytest
import torch

from leangan.models.stylegan2 import Backbone
from leangan.runs.presets import preset_at, presets
from leangan.training.trainer import adam

STATED = {name: preset_at(name, 32, "this test") for name in presets()}
PRESETS = {name: preset.hyper for name, preset in STATED.items()}
STYLEGAN2 = sorted(name for name, preset in STATED.items() if preset.backbone == "stylegan2")

# kimg, batch, lr of D before the correction for lazy R1, mbstd group, fmap_base, R1 gamma, EMA half-life in kimg,
# EMA ramp, mapping layers
PUBLISHED = {
    "stylegan2": (25000, 32, 0.002, 4, 16384, 10, 10, None, 8),
    "paper256": (25000, 64, 0.0025, 8, 8192, 1, 20, None, 8),
    "paper512": (25000, 64, 0.0025, 8, 16384, 0.5, 20, None, 8),
    "paper1024": (25000, 32, 0.002, 4, 16384, 2, 10, None, 8),
    "cifar": (100000, 64, 0.0025, 32, 8192, 0.01, 500, 0.05, 2),
    "cifarbaseline": (100000, 64, 0.0025, 32, 8192, 0.01, 500, 0.05, 8),
    "diffaugment-cifar": (25000, 32, 0.002, 4, 2048, 0.1, 1000, None, 8),
    "diffaugment-ffhq": (25000, 32, 0.002, 4, 8192, 1, 10, None, 8),
    "diffaugment-lowshot": (300, 16, 0.002, 4, 16384, 10, 10, None, 8),
}
# R1 interval and place, path-length interval, style mixing, discriminator
REGULARISED = {
    "stylegan2": (16, "real", 4, 0.9, "resnet"),
    "paper256": (16, "real", 4, 0.9, "resnet"),
    "paper512": (16, "real", 4, 0.9, "resnet"),
    "paper1024": (16, "real", 4, 0.9, "resnet"),
    "cifar": (16, "real", 0, 0.0, "orig"),
    "cifarbaseline": (16, "real", 4, 0.9, "resnet"),
    "diffaugment-cifar": (1, "augmented", 0, 0.9, "resnet"),
    "diffaugment-ffhq": (1, "augmented", 0, 0.9, "resnet"),
    "diffaugment-lowshot": (1, "real", 0, 0.9, "resnet"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name: str):
    row = {**PRESETS[name], "kimg": STATED[name].kimg}
    columns = "kimg batch lr_d mbstd_group fmap_base r1_gamma ema_half_life_kimg ema_ramp mapping_layers"
    assert tuple(row[key] for key in columns.split()) == PUBLISHED[name]
    start_kimg = {"diffaugment-cifar": 1000, "diffaugment-ffhq": 10, "diffaugment-lowshot": 10}
    assert row["ema_start_kimg"] == start_kimg.get(name, 0)


@pytest.mark.parametrize("name", REGULARISED)
def test_regularisation_as_published(name: str):
    backbone = Backbone(PRESETS[name], resolution=32, channels=3, classes=0)
    place = (backbone.d_reg_interval, backbone.r1_at, backbone.g_reg_interval)
    assert place + (PRESETS[name]["style_mixing"], PRESETS[name]["d_architecture"]) == REGULARISED[name]


@pytest.mark.parametrize("name", REGULARISED)
def test_learning_rates_allow_for_the_steps_of_the_regularisers(name: str):
    """By k / (k + 1), k their interval: 4 in all runs of arXiv:2006.06676 (also the tuned one, which takes no step of
    path length) and 16; not at all in those of arXiv:2006.10738, which regularise in every step.
    """
    row, backbone = PRESETS[name], Backbone(PRESETS[name], resolution=32, channels=3, classes=0)
    parameter = [torch.nn.Parameter(torch.zeros(1))]
    intervals = {"g": backbone.g_reg_interval, "d": backbone.d_reg_interval}
    rates = {side: adam(parameter, row[f"lr_{side}"], row, k).param_groups[0]["lr"] for side, k in intervals.items()}
    published = PUBLISHED[name][2]
    lazy = {"g": published * 4 / 5, "d": published * 16 / 17}
    assert rates == pytest.approx({"g": published, "d": published} if name.startswith("diffaugment") else lazy)


@pytest.mark.parametrize("name", STYLEGAN2)
def test_discriminators_have_no_layers_after_the_label_embedding(name: str):
    with torch.device("meta"):
        D = Backbone(PRESETS[name], resolution=32, channels=3, classes=10).discriminator()
    assert len(D.mapping.layers) == 0


@pytest.mark.parametrize("name", STYLEGAN2)
def test_precision_as_published(name: str):
    """Four resolutions in 16 bits and clamped maps in all runs of arXiv:2006.06676, neither in those of 2006.10738."""
    row = PRESETS[name]
    expected = (4, 256) if not name.startswith(("diffaugment", "tiny")) or name.endswith("-16bit") else (0, None)
    assert (row["half_resolutions"], row["conv_clamp"]) == expected


@pytest.mark.parametrize("name", [name for name in STYLEGAN2 if name.endswith("-16bit")])
def test_a_16_bit_preset_is_another_only_in_precision_and_counts_as_unpublished(name: str):
    preset, base = STATED[name], STATED[name.removesuffix("-16bit")]
    changed = {key: value for key, value in preset.hyper.items() if base.hyper[key] != value}
    assert changed == {"half_resolutions": 4, "half_type": "bfloat16", "conv_clamp": 256}
    assert (preset.kimg, preset.snapshot_kimg) == (base.kimg, base.snapshot_kimg)
    assert preset.labels("none", "none").published_kimg is None


@pytest.mark.parametrize("name", STYLEGAN2)
def test_every_preset_builds_and_says_its_source(name: str):
    assert STATED[name].citation
    with torch.device("meta"):
        backbone = Backbone(PRESETS[name], resolution=32, channels=3, classes=10)
        assert backbone.generator().c_dim == 10
        backbone.discriminator()


def test_tiny_has_the_maps_it_names():
    backbone = Backbone(PRESETS["tiny"], resolution=32, channels=3, classes=0)
    assert backbone.maps() == {4: 64, 8: 48, 16: 24, 32: 12}


@pytest.mark.parametrize("name", PUBLISHED)
def test_optimisers_of_the_papers(name: str):
    row = PRESETS[name]
    assert (row["betas"], row["eps"], row["d_steps"]) == ([0.0, 0.99], 1e-8, 1)
