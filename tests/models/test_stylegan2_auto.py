"""The automatic settings against arXiv:2006.06676's table, worked out by hand, and their way into a run."""

from __future__ import annotations

import re

import pytest

from leangan.core.errors import ConfigError
from leangan.models.stylegan2 import Backbone, auto
from leangan.plugins.backbone import LOOP_KEYS
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.config import configured
from leangan.runs.grid import expand
from leangan.runs.presets import preset_at, presets

KEYS = ("batch", "mbstd_group", "fmap_base", "lr_g", "lr_d", "r1_gamma", "ema_half_life_kimg")


@pytest.mark.parametrize(
    ("gpus", "resolution", "expected"),
    [
        # batch max(min(g min(4096 // r, 32), 64), g); group min(batch / g, 4); gamma 0.0002 r^2 / batch; batch 10 / 32
        (1, 32, (32, 4, 8192, 0.0025, 0.0025, 0.0064, 10)),
        (8, 32, (64, 4, 8192, 0.0025, 0.0025, 0.0032, 20)),
        (1, 256, (16, 4, 8192, 0.0025, 0.0025, 0.8192, 5)),
        (8, 256, (64, 4, 8192, 0.0025, 0.0025, 0.2048, 20)),
        (1, 512, (8, 4, 16384, 0.0025, 0.0025, 6.5536, 2.5)),
        (8, 512, (64, 4, 16384, 0.0025, 0.0025, 0.8192, 20)),
        (1, 1024, (4, 4, 16384, 0.002, 0.002, 52.4288, 1.25)),
        (8, 1024, (32, 4, 16384, 0.002, 0.002, 6.5536, 10)),
        (32, 256, (64, 2, 8192, 0.0025, 0.0025, 0.2048, 20)),
        (100, 32, (100, 1, 8192, 0.0025, 0.0025, 0.002048, 31.25)),
    ],
)
def test_values_of_the_table(gpus: int, resolution: int, expected: tuple):
    row = auto.derive(gpus, resolution)
    assert set(row) == set(KEYS) == set(re.findall("`([a-z0-9_]+)`", Backbone.derivation)) - {"auto_gpus"}
    assert tuple(row[key] for key in KEYS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
def test_presets_hold_numbers_once_the_resolution_is_known(gpus: int):
    preset = preset_at(f"auto-{gpus}gpu", 256, "this test")
    row = preset.hyper
    assert set(row) == {*LOOP_KEYS, *Backbone.keys}
    assert {key: row[key] for key in KEYS} == auto.derive(gpus, 256)
    backbone = Backbone(row, 256, channels=3, classes=0)
    assert (backbone.g_reg_interval, backbone.d_reg_interval) == (4, 16)
    assert (row["mapping_layers"], row["ema_ramp"], preset.kimg, row["style_mixing"]) == (2, 0.05, 25000, 0.9)


def test_a_key_of_the_row_wins_and_rows_without_auto_stay():
    assert auto.resolve_auto({"auto_gpus": 8, "r1_gamma": 3.0}, 256)["r1_gamma"] == 3.0
    assert auto.resolve_auto({"batch": 7}, 256) == {"batch": 7}


@pytest.mark.parametrize("gpus", [0, "8", 1.5])
def test_a_number_of_gpus_that_is_none(gpus, monkeypatch):
    row = {**presets()["auto-1gpu"], "auto_gpus": gpus}
    monkeypatch.setattr("leangan.runs.presets.presets", lambda: {"mine": row})
    with pytest.raises(ConfigError, match="preset 'mine': preset key auto_gpus is"):
        preset_at("mine", 256, "this test")


def test_the_grid_resolves_the_preset_at_each_resolution(monkeypatch: pytest.MonkeyPatch):
    grid = {"dataset": ["a"], "resolution": [32, 256], "images": [10], "preset": ["auto-8gpu"], "method": ["none"]}
    content = ArtefactConfig(title="Any", protocol="proxy", grid=grid)
    monkeypatch.setattr("leangan.runs.grid.artefact", lambda name: content)
    runs = expand("any", configured(scale="smoke"))
    assert {run.resolution: run.hyper["r1_gamma"] for run in runs} == pytest.approx({32: 0.0032, 256: 0.2048})
    assert all("auto_gpus" not in run.hyper for run in runs)
