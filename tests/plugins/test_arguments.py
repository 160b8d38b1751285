"""All arguments of a method in one form: the part of a run's identity that its methods are."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch

from leangan.augment import ada, diffaugment, freeze_d, lecam, none
from leangan.core.errors import ConfigError
from leangan.plugins.arguments import bind
from leangan.plugins.method import ROLES, Method
from leangan.plugins.registry import FailedImport, load, names

if TYPE_CHECKING:
    from somewhere import Missing


@pytest.fixture(params=[(name, given) for name in names("method") for given in ("nothing", "quick")], ids="-".join)
def case(request) -> tuple[str, type[Method], dict[str, Any]]:
    """(name, class, arguments) of every method that is found, once by its defaults and once as it is tested."""
    name, given = request.param
    cls = load("method", name)
    assert not isinstance(cls, FailedImport), cls.reason
    if given == "quick":
        return name, cls, cls.quick
    if any(each.default is each.empty for each in parameters(cls)):
        pytest.skip("has arguments without a default")
    return name, cls, {}


def parameters(cls: type[Method]) -> list[inspect.Parameter]:
    found = inspect.signature(cls).parameters.values()
    return [each for each in found if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]


def test_every_method_has_all_its_arguments_in_order(case):
    name, cls, given = case
    bound = bind(name, cls, given)
    assert list(bound) == [each.name for each in parameters(cls)]
    assert bound == json.loads(json.dumps({**bound, **given})), "an argument that was given became another"


def test_binding_again_and_reading_from_json_change_nothing(case):
    name, cls, given = case
    bound = bind(name, cls, given)
    for again in (bind(name, cls, bound), json.loads(json.dumps(bound, allow_nan=False))):
        assert json.dumps(again) == json.dumps(bound)


def test_a_default_that_is_given_is_the_same_as_one_left_out(case):
    name, cls, given = case
    bound = bind(name, cls, given)
    for key, value in bound.items():
        assert json.dumps(bind(name, cls, {**given, key: value})) == json.dumps(bound)


def test_numbers_have_one_form_however_they_are_written(case):
    name, cls, given = case
    bound = bind(name, cls, given)
    kinds = {each.name: each.annotation for each in parameters(cls)}
    for key, value in bound.items():
        if kinds[key] in ("int", int):
            assert json.dumps(bind(name, cls, {**bound, key: float(value)})) == json.dumps(bound)
        if kinds[key] in ("float", float, "float | None") and value is not None and value.is_integer():
            assert json.dumps(bind(name, cls, {**bound, key: int(value)})) == json.dumps(bound)


class Typed(Method):
    """Arguments of many types."""

    def __init__(
        self,
        factor: float,
        count: int = 1,
        reason: str | None = None,
        levels: Sequence[float] = (0, 0.5),
        kind: Literal["soft", "hard"] = "soft",
        settings: dict[str, int] | None = None,
        plain=0.5,
        anything=None,
    ) -> None:
        super().__init__()


def test_values_are_those_of_the_types_and_defaults_are_filled_in():
    bound = bind("mine", Typed, {"anything": ["x", 1], "count": 2.0, "levels": (1, 2), "plain": 2, "factor": -0.0})
    assert json.dumps(bound) == json.dumps(
        {
            "factor": 0.0,
            "count": 2,
            "reason": None,
            "levels": [1.0, 2.0],
            "kind": "soft",
            "settings": None,
            "plain": 2.0,
            "anything": ["x", 1],
        }
    )
    assert json.dumps(bind("mine", Typed, {"factor": 1})["levels"]) == "[0.0, 0.5]"


def test_a_hint_that_only_type_checkers_know_leaves_the_defaults_to_judge():
    class Mine(Method):
        def __init__(self, other: Missing, factor: float, weight: float = 2.0) -> None:
            super().__init__()

    bound = bind("mine", Mine, {"weight": 3, "factor": 1, "other": "x"})
    assert json.dumps(bound) == '{"other": "x", "factor": 1, "weight": 3.0}'
    with pytest.raises(ConfigError, match="weight of method 'mine' is 'x', allowed is float"):
        bind("mine", Mine, {"weight": "x", "factor": 1, "other": "x"})


@pytest.mark.parametrize(
    "cls, given, message",
    [
        (ada.Method, {"targt": 0.5}, "'targt'.*'target'.*Known: categories, heuristic, interval, p, target, tune_kimg"),
        (none.Method, {"p": 0.5}, "'p'.*Known: none.*config/methods.yaml"),
        (Typed, {}, "'mine' needs factor: add it in config/methods.yaml"),
        (Typed, {"factor": "2e-7"}, "factor of method 'mine' is '2e-7', allowed is float .*config/methods.yaml"),
        (Typed, {"factor": True}, "factor of method 'mine' is True, allowed is float"),
        (Typed, {"factor": float("inf")}, "factor of method 'mine' is inf, allowed is float .*not finite"),
        (Typed, {"factor": 10**400}, "factor of method 'mine' is 1000.*allowed is float"),
        (Typed, {"factor": 1, "count": None}, "count of method 'mine' is None, allowed is int"),
        (Typed, {"factor": 1, "reason": 2}, r"reason of method 'mine' is 2, allowed is str \| None"),
        (Typed, {"factor": 1, "levels": 0.5}, "levels of method 'mine' is 0.5"),
        (Typed, {"factor": 1, "kind": "sofd"}, "kind of method 'mine' is 'sofd'.*'soft', 'hard'"),
        (Typed, {"factor": 1, "plain": "x"}, "plain of method 'mine' is 'x', allowed is float"),
        (Typed, {"factor": 1, "anything": date(2020, 6, 11)}, "anything of method 'mine' is .*JSON"),
        (lecam.Method, {"weight": "3e-7"}, "weight of method 'mine' is '3e-7'"),
        (freeze_d.Method, {"layers": 2.5}, "layers of method 'mine' is 2.5, allowed is int"),
        (ada.Method, {"heuristic": ["rt"]}, r"heuristic of method 'mine' is \['rt'\], allowed is str"),
        (diffaugment.Method, {"policy": ["color"]}, "policy of method 'mine' is .*, allowed is str"),
        (diffaugment.Method, {"roles": ["fake"]}, "roles of method 'mine' is .*'real', 'fake_d', 'fake_g'"),
    ],
)
def test_bad_arguments_say_what_is_allowed(cls, given, message):
    with pytest.raises(ConfigError, match=message):
        bind("mine", cls, given)


def test_diffaugment_has_one_form_for_one_training():
    """Spaces and the order of the roles change nothing; the order of the operations does."""
    written = {"policy": " cutout, color,", "roles": ["fake_d", "real", "fake_d"]}
    bound = bind("diffaugment", diffaugment.Method, written)
    assert bound == {"policy": "cutout,color", "roles": ["real", "fake_d"]}
    assert bind("diffaugment", diffaugment.Method, {**written, "policy": "color,cutout"}) != bound
    assert bind("diffaugment", diffaugment.Method, {"policy": " "})["policy"] == ""
    assert bind("diffaugment", diffaugment.Method, {}) == {
        "policy": "color,translation,cutout",
        "roles": ["real", "fake_d", "fake_g"],
    }
    x = torch.rand(4, 3, 16, 16)
    for role in ROLES:
        seen = []
        for arguments in (written, bound):
            torch.manual_seed(0)
            seen.append(diffaugment.Method(**arguments).transform(x, role))
        assert torch.equal(*seen) and torch.equal(seen[0], x) == (role == "fake_g")


def test_a_default_that_cannot_be_part_of_an_identity_is_the_methods_fault():
    class Choices(Method):
        def __init__(self, choices=frozenset("ab")) -> None:
            super().__init__()

    class Wrong(Method):
        def __init__(self, weight: float = None) -> None:  # noqa: RUF013
            super().__init__()

    for cls, argument in ((Choices, "choices"), (Wrong, "weight")):
        with pytest.raises(ValueError, match=rf"test_arguments.py, line \d+: the default of argument {argument} of"):
            bind("mine", cls, {})
    assert bind("mine", Choices, {"choices": ["a"]}) == {"choices": ["a"]}


def test_what_follows_from_other_arguments_is_filled_in():
    class Mine(Method):
        def __init__(self, weight: float = 2, square: float | None = None) -> None:
            super().__init__()

        @classmethod
        def resolve(cls, arguments):
            square = arguments["weight"] ** 2 if arguments["square"] is None else arguments["square"]
            return {**arguments, "square": square}

    assert bind("mine", Mine, {}) == bind("mine", Mine, {"square": 4}) == {"weight": 2.0, "square": 4.0}
    assert bind("mine", Mine, {"weight": 3, "square": 1}) == {"weight": 3.0, "square": 1.0}
