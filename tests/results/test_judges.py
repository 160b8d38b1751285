"""Numbers in the features of a network by which a run's own method trains: which they are, and what they decide."""

from __future__ import annotations

import pytest

from leangan.plugins import registry
from leangan.plugins.facts import judges_of
from leangan.results.judges import plugins_of_row, plugins_of_spec, why_unranked
from leangan.results.scores import Score, clearly_better, winner
from tests.helpers.synthetic import row, spec

LITE0 = "efficientnet_lite0"
BASE = "from leangan.plugins import method\n\n\nclass Method(method.Method):\n"
OWN = {
    "mine": f'    judges = ("{LITE0}", "inception_v3")\n',
    "plain": "    title = 'Plain'\n",
    "computed": "    judges = tuple(EXTRACTORS)\n",
    "broken": "    judges = (\n",
    "number": "    judges = 5\n",
}


@pytest.fixture
def own_methods(tmp_path, monkeypatch):
    for name, body in OWN.items():
        (tmp_path / f"{name}.py").write_text(BASE + body)
    monkeypatch.setenv(registry.FOLDERS, str(tmp_path))
    registry.forget()
    yield
    monkeypatch.undo()
    registry.forget()


def test_methods_say_what_they_judge_with_without_being_run(own_methods):
    found = {name: judges_of(name) for name in ("projected", "ada", "not-there", *OWN)}
    assert found == {
        "projected": (LITE0,), "ada": (), "not-there": (),
        "mine": (LITE0, "inception_v3"), "plain": (), "computed": (), "broken": (), "number": (),
    }  # fmt: skip


def test_the_reason_names_method_and_network():
    assert why_unranked(["diffaugment", "projected", "projected"], LITE0) == (
        "trained by features of EfficientNet-Lite0 (projected), in which this number is measured"
    )
    assert why_unranked(["diffaugment", "projected"], "inception_v3") == ""
    assert why_unranked(["ada"], LITE0) == why_unranked(["projected"], None) == ""


def test_plugins_of_a_row_are_those_that_it_states_else_those_of_its_methods_name():
    stated = [{"name": "mine", "code_sha256": "ab" * 32, "home": "folder"}]
    assert plugins_of_row(row("projected", 0, "fd", 1.0, 5.0, provenance={"methods": stated})) == ["mine"]
    assert plugins_of_row(row("projected", 0, "fd", 1.0, 5.0)) == ["diffaugment", "projected"]
    assert plugins_of_row(row("someone's", 0, "fd", 1.0, 5.0)) == []


def test_a_run_that_starts_from_such_a_run_counts_like_it():
    parent = spec("none", plugins=[("projected", {})])
    assert plugins_of_spec(spec("none", plugins=[("transfer", {}), ("ada", {})], parent=parent)) == [
        "transfer", "ada", "projected"
    ]  # fmt: skip


def test_what_is_not_ranked_is_neither_better_nor_worse():
    good, bad, outside = Score(10, 1.0, 2, ""), Score(20, 1.0, 2, ""), Score(1, 0.1, 2, "", ranked=False)
    assert clearly_better(good, bad, False) and not clearly_better(outside, bad, False)
    assert not clearly_better(good, outside, True)
    assert winner([outside, bad, good], False) is good and winner([outside, good], False) is None
