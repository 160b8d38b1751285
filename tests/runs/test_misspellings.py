"""A word that is misspelt in a file of config/ is one sentence before anything runs: file, name, key, the nearest one.

Each case changes one file in a copy of config/ and asks for the plan of the demo.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leangan.core import project, yaml_files
from leangan.core.errors import ConfigError
from leangan.metrics import protocols
from leangan.planning import costs_file, plan
from leangan.plugins import registry
from leangan.runs import config, presets

REMEMBERED = [
    yaml_files.read, presets.presets, config.read_scale, config.artefact, costs_file.read_costs, protocols.read_protocol
]  # fmt: skip
PARSE = yaml_files.parse_yaml
PARSED: dict[bytes, Any] = {}
"""The content of texts that have been parsed, which takes most of the time."""

GONE = object()
TINY, TC = "tiny-batch16", "diffaugment-tc"


def parsed(text: bytes) -> Any:
    if text not in PARSED:
        PARSED[text] = PARSE(text)
    return PARSED[text]


def forget() -> None:
    for cached in REMEMBERED:
        cached.cache_clear()
    registry.forget()


@pytest.fixture
def change(tmp_path, monkeypatch) -> Callable[..., Path]:
    """A function (file of config/, path to a key, value) that changes the copy from which all is read from then on."""
    shutil.copytree(project.ROOT / "config", tmp_path / "config")

    def project_file(relative: str) -> Path:
        return tmp_path / relative

    for module in (yaml_files, config):
        monkeypatch.setattr(module, "project_file", project_file)
    monkeypatch.setattr(yaml_files, "parse_yaml", parsed)
    monkeypatch.setattr(plan, "ROOT", tmp_path)  # costs are read where no stored row has measured the speed

    def put(file: str, path: tuple[Any, ...], value: Any) -> Path:
        place = tmp_path / "config" / file
        content = entry = copy.deepcopy(parsed(place.read_bytes()))
        for key in path[:-1]:
            entry = entry[key]
        if value is GONE:
            del entry[path[-1]]
        else:
            entry[path[-1]] = value
        text = repr(content).encode()
        PARSED[text] = content
        place.write_bytes(text)
        return place

    forget()
    yield put
    forget()


def planned(**changes: Any) -> dict[str, Any]:
    return plan.summary(config.configured(**changes))


def fault() -> str:
    """What the plan says, which must be one sentence or a few in one line."""
    with pytest.raises(ConfigError) as error:
        planned()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "path, value, words",
    [
        ((TINY, "bacth"), 16, ["unknown preset key 'bacth'. Did you mean 'batch'"]),
        ((TINY, "lrg"), 0.004, ["'lrg'. Did you mean 'lr_g'"]),
        ((TINY, "kimgs"), 200, ["'kimgs'. Did you mean 'kimg'"]),
        ((TINY, "auto_gpu"), 1, ["'auto_gpu'. Did you mean 'auto_gpus'"]),
        ((TINY, 16), 1, ["unknown preset key 16"]),
        ((TINY, "batch"), GONE, ["preset key batch is missing: images per step"]),
        ((TINY, "citation"), GONE, ["preset key citation is missing"]),
        ((TINY, "batch"), "eight", ["preset key batch is 'eight', must be int"]),
        ((TINY, "batch"), 0, ["preset key batch is 0, must be greater than 0"]),
        ((TINY, "batch"), -8, ["preset key batch is -8, must be greater than 0"]),
        ((TINY, "d_steps"), 0, ["preset key d_steps is 0"]),
        ((TINY, "lr_d"), -0.1, ["preset key lr_d is -0.1, must be 0 or more"]),
        ((TINY, "betas"), [0.5, 1], ["preset key betas is [0.5, 1], must be from 0 up and less than 1"]),
        ((TINY, "snapshot_kimg"), 0, ["preset key snapshot_kimg is 0"]),
        ((TINY, "mbstd_group"), 0, ["preset key mbstd_group is 0"]),
        ((TINY, "auto_gpus"), "two", ["preset key auto_gpus is 'two', must be int"]),
        ((TINY, "backbone"), "stylegn2", ["unknown backbone 'stylegn2'. Did you mean 'stylegan2'"]),
        ((TINY, "backbone"), ["stylegan2"], ["preset key backbone is ['stylegan2'], must be str"]),
        ((TINY,), None, ["is None, must map keys to values"]),
        ((TINY,), ["batch"], ["is ['batch'], must map keys to values"]),
    ],
)
def test_a_preset_that_is_asked_for(change, path, value, words):
    change("presets.yaml", path, value)
    message = fault()
    assert all(word in message for word in [f"preset {TINY!r}", "config/presets.yaml", *words]), message


def test_a_backbone_whose_key_is_misspelt(change):
    change("presets.yaml", (TINY, "backbone"), GONE)
    assert "preset key backbone is missing" in fault()
    change("presets.yaml", (TINY, "backbon"), "stylegan2")
    forget()
    assert "unknown preset key 'backbon'. Did you mean 'backbone'" in fault()


def test_a_preset_that_nothing_asks_for_blocks_nothing(change):
    change("presets.yaml", ("cifar", "bacth"), 16)
    change("presets.yaml", ("paper256",), None)
    assert planned()["total"]["states"]


@pytest.mark.parametrize(
    "value, words",
    [
        ([{"difaugment": {}}], ["unknown plugin 'difaugment'. Did you mean 'diffaugment'", f"entry {TC!r}"]),
        ([{"diffaugment": {"polcy": "color"}}], ["'polcy'. Did you mean 'policy'", f"entry {TC!r}"]),
        ([{"diffaugment": {3: "color"}}], ["unknown argument of method 'diffaugment' 3"]),
        ([{"diffaugment": {"policy": 3}}], ["argument policy of method 'diffaugment' is 3, allowed is str"]),
        (None, [f"entry {TC!r}: None is not a part"]),
        ([{"diffaugment": ["color"]}], ["is not a part"]),
        (["da", "da"], ["the part 'da' comes twice"]),
        (["da", {"preset": {"bacth": 8}}], ["unknown preset key 'bacth'. Did you mean 'batch'"]),
        (["da", {"preset": {"kimg": 8}}], ["unknown preset key 'kimg'"]),
        (["da", {"preset": {3: 8}}], ["unknown preset key 3"]),
        (["da", {"preset": {"batch": "x"}}], [f"preset {TINY!r} with batch", "preset key batch is 'x'"]),
        (["da", {"preset": ["batch"]}], ["is not a part"]),
        (["da", {"preset": {"batch": 8}}, {"preset": {"lr_g": 0.1}}], ["the part 'preset' comes twice"]),
        ([{"transfer": {"run": "none"}}], ["= 'none' must be of type object", f"entry {TC!r}"]),
        ([{"transfer": {"run": {"metod": "none"}}}], ["'metod'. Did you mean 'method'"]),
        ([{"transfer": {"run": {"images": 32}}}], ["lacks method"]),
        ([{"transfer": {"run": {"method": "none", "images": "many"}}}], ["images = 'many' must be of type integer"]),
        ([{"transfer": {"run": {"method": "nne"}}}], ["unknown method 'nne'. Did you mean 'none'"]),
        ([{"transfer": {"run": {"method": "none", "preset": "tny"}}}], ["unknown preset 'tny'. Did you mean 'tiny'"]),
    ],
)
def test_a_method_that_is_asked_for(change, value, words):
    change("methods.yaml", (TC,), value)
    message = fault()
    assert all(word in message for word in ["config/", *words]), message


def test_a_preset_key_of_another_backbone_is_no_misspelling(change):
    """Such a run is a row with the reason: docs/presets.md lists methods that only one backbone can take."""
    change("methods.yaml", (TC,), ["da", {"preset": {"d_maps": [8, 16]}}])
    reasons = [run["reason"] for run in planned()["runs"] if run["reason"]]
    assert reasons == ["skip: it sets the preset key 'd_maps', which backbone 'stylegan2' does not have"]


@pytest.mark.parametrize(
    "file, path, value, words",
    [
        ("protocols.yaml", ("proxy", "fake"), 100, ["'fake'. Did you mean 'fakes'", "protocols.yaml, proxy"]),
        ("protocols.yaml", ("proxy", "extractor"), "inception", ["unknown extractor 'inception'. Did you mean"]),
        ("protocols.yaml", ("proxy", "metrics"), ["fdd"], ["unknown metric 'fdd'. Did you mean", "proxy"]),
        ("protocols.yaml", ("proxy", "metrics"), ["fid"], ["metric 'fid' does not go with", "protocols.yaml, proxy"]),
        ("protocols.yaml", ("proxy", "statistics"), "runing", ["'runing'. Did you mean 'running'"]),
        ("protocols.yaml", ("proxy",), None, ["must be of type object"]),
        ("protocols.yaml", ("proxy",), GONE, ["unknown protocol 'proxy'. Did you mean"]),
        ("scales.yaml", ("demo", "tickkimg"), 1, ["'tickkimg'. Did you mean 'tick_kimg'", "scales.yaml, demo"]),
        ("scales.yaml", ("demo",), GONE, ["unknown scale 'demo'"]),
        ("scales.yaml", ("demo",), None, ["must be of type object"]),
        ("costs.yaml", ("trainin",), [], ["'trainin'. Did you mean 'training'"]),
        ("costs.yaml", ("training", 0, "device"), 7, ["training.0.device = 7 must be of type string"]),
        ("artefacts/demo.yaml", ("method_args",), {"adda": {}}, ["unknown plugin 'adda'. Did you mean 'ada'"]),
        (
            "artefacts/demo.yaml",
            ("method_args",),
            {"ada": {"tune": 1}},
            ["'tune'. Did you mean", "method_args of config"],
        ),
        ("artefacts/demo.yaml", ("method_args",), {"ada": {"p": "x"}}, ["argument p of method 'ada' is 'x'"]),
        ("artefacts/demo.yaml", ("method_args",), {"ada": None}, ["method_args.ada = None must be of type object"]),
        ("artefacts/demo.yaml", ("method_args",), {"bcr": {"weigth": 1}}, ["'weigth'", "method_args of config"]),
        ("artefacts/demo.yaml", ("grid", "preset"), ["tny"], ["unknown preset 'tny'. Did you mean 'tiny'"]),
        (
            "artefacts/demo.yaml",
            ("grid", "method"),
            ["none", TC, "ada", "adda"],
            ["unknown method 'adda'. Did you mean 'ada"],
        ),
        ("config.yaml", ("methods",), ["adda"], ["unknown method 'adda'. Did you mean 'ada"]),
        ("config.yaml", ("method_folders",), None, ["method_folders = None must be a list"]),
    ],
)
def test_another_file_of_the_configuration(change, file, path, value, words):
    change(file, path, value)
    message = fault()
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "file", ["presets.yaml", "methods.yaml", "protocols.yaml", "scales.yaml", "costs.yaml", "artefacts/demo.yaml"]
)
@pytest.mark.parametrize(
    "text, words", [("", "holds None"), ("- a\n", "holds ['a']"), ("a: 1\na: 2\n", "'a' comes twice")]
)
def test_a_file_that_holds_no_names(change, file, text, words):
    change("presets.yaml", (TINY, "batch"), 16).parent.joinpath(file).write_text(text)
    message = fault()
    assert f"config/{file}" in message and words in message, message
    assert re.search("must hold names|not valid YAML", message)
