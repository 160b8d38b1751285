"""Each value of a configuration has one form, however it was written."""

from __future__ import annotations

import json
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leangan.core.values import canonical
from leangan.core.yaml_files import parse_yaml

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def spellings(value: float) -> list[str]:
    """Ways to write the same float in YAML."""
    texts = [repr(value), f"{value:.17e}", f"{value:+.17e}", f"{value:.17e}".upper()]
    if value == int(value) and abs(value) < 2**53:
        texts += [str(int(value)), f"{int(value)}.0", f"{int(value)}e0", f"{int(value)}."]
    return texts


@given(FINITE)
def test_a_float_has_one_form_whatever_its_spelling(value):
    forms = {json.dumps(canonical(parse_yaml(text), float)) for text in spellings(value)}
    assert forms == {json.dumps(value + 0.0)}


@given(st.integers(-(2**53), 2**53))
def test_an_int_has_one_form_whatever_its_spelling(value):
    forms = {json.dumps(canonical(parse_yaml(text), int)) for text in (str(value), f"{value}.0", f"{value:+d}")}
    assert forms == {str(value)}


@given(FINITE)
def test_canonical_values_stay_and_survive_json(value):
    once = canonical(value, float | None)
    assert canonical(once, float | None) == once == canonical(json.loads(json.dumps(once)), float | None)
    assert math.copysign(1, once) == 1 or once < 0, "-0.0 is 0.0"


@pytest.mark.parametrize(
    "text, value", [("1e0", 1.0), ("2E-7", 2e-7), (".5e1", 5.0), ("1.e2", 100.0), ("-3e2", -300.0)]
)
def test_yaml_numbers_need_no_dot(text, value):
    assert parse_yaml(text) == value and isinstance(parse_yaml(text), float)


@pytest.mark.parametrize("text", ["e5", "1e", "0x1e5x", "12e3a", "version 1e0"])
def test_other_texts_stay_texts(text):
    assert parse_yaml(text) == text


@pytest.mark.parametrize(
    "value, kind, result",
    [
        (64.0, int, 64),
        (1, float, 1.0),
        (-0.0, float, 0.0),
        (None, float | None, None),
        (2, float | None, 2.0),
        (2, int | float, 2),
        (2.0, int | float, 2.0),
        ((0, 0.99), list[float], [0.0, 0.99]),
        ([64, 32.0], list[int], [64, 32]),
        ("real", Literal["real", "fake_d"], "real"),
        (1.0, Literal[1, 2], 1),
        ((1, 2), tuple[float, float], [1.0, 2.0]),
        ([1, 2, 3], tuple[float, ...], [1.0, 2.0, 3.0]),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ({"a": 1}, dict, {"a": 1}),
    ],
)
def test_values_and_their_types(value, kind, result):
    found = canonical(value, kind)
    assert found == result and type(found) is type(result)
    assert json.dumps(found) == json.dumps(result)


@pytest.mark.parametrize(
    "value, kind",
    [
        (2.5, int), (True, int), (True, float), ("1", float), (None, float), (math.inf, float), (math.nan, float),
        (1, bool), ("true", bool), (1, str), (0.5, list[float]), (["a"], list[int]), ("x", Literal["real"]),
        ("2", int | None), (1e400, int), ([1.0], tuple[float, float]), (1, dict[str, float]), (True, Literal[1, 2]),
    ],
)  # fmt: skip
def test_other_types_are_refused(value, kind):
    with pytest.raises(ValueError):
        canonical(value, kind)
