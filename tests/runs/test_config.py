"""Wrong configurations are refused in one sentence: key, value, what is allowed, the nearest match, the place."""

import pytest

from leangan.core.errors import ConfigError
from leangan.core.yaml_files import parse_leaves, read
from leangan.runs import config as configuration
from leangan.runs.config import configured
from leangan.runs.grid import expand
from leangan.runs.methods import method_plugins

config = configured


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"scale": "dmo"}, ["unknown scale 'dmo'", "'demo'", "smoke", "config/config.yaml"]),
        ({"artefacts": ["dem"]}, ["unknown artefact 'dem'", "Did you mean 'demo'?"]),
        ({"device": "gpu"}, ["device", "'gpu'", "auto, cpu, cuda"]),
        ({"images": ["128"]}, ["images.0 = '128' must be a whole number from 1 up, or all"]),
        ({"images": [100, "al"]}, ["images.1 = 'al' must be a whole number from 1 up, or all"]),
        ({"images": 128}, ["images = 128", "must be a list, such as [128]"]),
        ({"images": [0]}, ["images.0 = 0 must be a whole number from 1 up, or all"]),
        ({"artefacts": []}, ["artefacts = []"]),
        ({"seeds": [1]}, ["unknown key 'seeds'", "Known: arithmetic, artefacts"]),
        ({"threads": 0}, ["threads = 0"]),
        ({"datasets": {"mine": {"path": "/x"}}}, ["lacks resolution", "datasets.mine"]),
        (
            {"datasets": {"mine": {"path": "/x", "resolution": 48}}},
            ["datasets.mine.resolution = 48 must be a power of two from 8 to 1024", "config/config.yaml"],
        ),
        (
            {"datasets": {"mine": {"pth": "/x", "path": "/x", "resolution": 32}}},
            ["'datasets.mine.pth'", "'datasets.mine.path'"],
        ),
        (
            {"datasets": {"My Set": {"path": "/x", "resolution": 32}}},
            ["'My Set' must be lower-case letters and digits, with single - or _ between them, such as my-flowers"],
        ),
        ({"preset": "tny"}, ["unknown preset 'tny'", "Did you mean 'tiny'", "config/config.yaml"]),
        ({"conditional": "yes"}, ["unknown value for conditional: 'yes'", "auto, false, null, true"]),
        ({"only_methods": "ada"}, ["only_methods = 'ada' must be a list, such as [ada]"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, words):
    with pytest.raises(ConfigError) as error:
        config(**changes)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kimg": -24}, "kimg = -24 is not allowed"),
        ({"seeds": []}, "seeds = []"),
        ({"fakes": "many"}, "fakes = 'many' must be of type integer or null"),
        ({"kimgs": 24}, "unknown key 'kimgs'. Did you mean 'kimg'"),
    ],
)
def test_a_wrong_value_of_a_scale_is_named(monkeypatch, change, words):
    scales = read("config/scales.yaml")
    changed = {"config/scales.yaml": {**scales, "demo": {**scales["demo"], **change}}}
    monkeypatch.setattr(configuration, "read", lambda path: changed.get(path) or read(path))
    with pytest.raises(ConfigError) as error:
        configuration.read_scale.__wrapped__("demo")
    assert words in str(error.value) and "Change it in config/scales.yaml, demo." in str(error.value)


def test_a_figure_that_cannot_be_drawn_is_refused_before_anything_runs(monkeypatch):
    content = {**read("config/artefacts/demo.yaml"), "figures": ["overfiting"]}
    monkeypatch.setattr(configuration, "artefact_names", lambda: ["misdrawn"])
    monkeypatch.setattr(configuration, "read", lambda path: content if "misdrawn" in path else read(path))
    with pytest.raises(ConfigError, match="unknown figure 'overfiting'. Did you mean 'overfitting'"):
        configuration.artefact("misdrawn")


def test_the_shipped_configuration_and_every_artefact_are_valid():
    config(artefacts=configuration.artefact_names())


def test_an_unknown_method_offers_the_nearest():
    with pytest.raises(ConfigError, match="unknown method 'difaugment'. Did you mean 'diffaugment'"):
        expand("demo", config(methods=["difaugment"]))


def test_every_named_method_refers_to_plugins_that_exist():
    for name in read("config/methods.yaml"):
        assert method_plugins(name)


def test_a_yaml_error_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("leangan.core.project.ROOT", tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    with pytest.raises(ConfigError, match="broken.yaml is not valid YAML"):
        read("broken.yaml")
    with pytest.raises(ConfigError, match="absent.yaml is missing"):
        read("absent.yaml")


@pytest.mark.parametrize(
    "text, words",
    [("[1, 2", "not valid YAML"), ("demo", "is 'demo', must hold keys"), ("{scale: dmo}", "unknown scale 'dmo'")],
)
def test_a_text_that_is_no_configuration_is_refused_in_words(text, words):
    with pytest.raises(ConfigError, match=words):
        configuration.load_config(text)
    assert configuration.load_config("{scale: smoke}").scale == "smoke"


def test_text_from_the_command_line_becomes_what_yaml_reads():
    given = {"images": ["24", 7], "datasets": {"mine": {"path": "/x/2020.zip", "resolution": "16"}}, "scale": "demo"}
    wanted = {"images": [24, 7], "datasets": {"mine": {"path": "/x/2020.zip", "resolution": 16}}, "scale": "demo"}
    assert parse_leaves({**given, "inception_weights": "null"}) == {**wanted, "inception_weights": None}
