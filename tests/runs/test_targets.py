"""What a target of the workflow stands for, and that only that is expanded."""

import pytest

from leangan.core.errors import ConfigError
from leangan.runs import cells
from leangan.runs.cells import Runs
from leangan.runs.config import artefact_names, configured, paper_artefacts
from leangan.runs.grid import expand
from leangan.runs.targets import artefacts_of, check_target, run_of

CONFIG = configured(scale="hours", artefacts=["own-images"])
RUN = "elpv-mono-32/stylegan2-none-s0-12345678"


@pytest.mark.parametrize(
    "target, wanted",
    [
        ("all", ["own-images"]),
        ("page", ["own-images"]),
        ("results/hours/results.csv", ["own-images"]),
        ("demo", ["demo"]),
        ("paper", paper_artefacts("hours")),
        ("figures", []),
        ("leaderboard", []),
        ("plan", []),
        ("results/hours/tables/demo.md", ["demo"]),
        ("results/hours/tables/demo-source.csv", ["demo-source"]),
        ("results/hours/figures/demo", ["demo"]),
        ("resources/data/elpv-32.npy", []),
        (f"results/hours/rows/{RUN}/proxy.jsonl", []),
    ],
)
def test_a_target_stands_for_these_artefacts(target, wanted):
    assert artefacts_of(target, CONFIG) == wanted


def test_a_file_of_a_run_names_it():
    for folder, file in (("rows", "proxy.jsonl"), ("runs", "train.json"), ("logs", "train.log")):
        assert run_of(f"results/hours/{folder}/{RUN}/{file}") == RUN
    for target in ("demo", "results/hours/tables/demo.md", "results/hours/results.csv"):
        assert run_of(target) is None


@pytest.mark.parametrize(
    "target, words",
    [
        ("demoo", "unknown artefact 'demoo'. Did you mean 'demo'"),
        ("own_images", "Did you mean 'own-images'?"),
        ("papr", "Did you mean 'paper'"),
        ("xyzzy", "Targets are the .* files of config/artefacts, by their names without extension, and all, paper."),
        ("results/hours/tables/demoo.md", "unknown artefact 'demoo'. Did you mean 'demo'"),
        ("results/day/tables/demo.md", "Add --config scale=day"),
    ],
)
def test_an_unknown_target_offers_the_nearest(target, words):
    with pytest.raises(ConfigError, match=words) as error:
        check_target(target, [*artefact_names(), "all", "paper"], CONFIG)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "target", ["all", "demo", "Snakefile", "results/hours/tables/demo.md", "results/hours/new", "own/file"]
)
def test_what_is_known_or_lies_there_or_says_nothing_is_left_to_the_engine(target):
    check_target(target, [*artefact_names(), "all"], CONFIG)


def test_an_artefact_is_expanded_once_and_only_when_it_is_asked_for(monkeypatch):
    expanded = []
    monkeypatch.setattr(cells, "expand", lambda name, config: expanded.append(name) or expand(name, config))
    runs = Runs(configured(artefacts=["first-minutes"]))
    assert not expanded
    spec = runs.cells("demo")[0].spec
    assert runs.find(spec.run_id).digest == spec.digest and expanded == ["demo"]
    runs.cells("demo")
    other = expand("first-minutes", runs.config)[0]
    assert runs.find(other.run_id).digest == other.digest and expanded == ["demo", "first-minutes"]
