"""Changed copies of whole files, as Hypothesis strategies: bytes for all forms, values for JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

EXTREMES = [
    b"\x00",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x00" * 8,
    b"\n",
    b"\r",
]


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with one to six places changed: cut off, cut out, repeated, overwritten, replaced by another's bytes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 16) | st.integers(0, len(data)))
        match draw(st.sampled_from(["cut off", "cut out", "repeat", "flip", "extreme", "random", "splice"])):
            case "cut off":
                del data[start:]
            case "cut out":
                del data[start : start + length]
            case "repeat":
                data[start:start] = data[start : start + length]
            case "flip" if start < len(data):
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "extreme":
                value = draw(st.sampled_from(EXTREMES))
                data[start : start + len(value)] = value
            case "random":
                value = draw(st.binary(max_size=8))
                data[start : start + len(value)] = value
            case "splice":
                other = draw(st.sampled_from(seeds))
                data[start : start + length] = other[start : start + length]
    return bytes(data)


STRINGS = st.text(max_size=8) | st.sampled_from(
    [
        "\r",
        "\n",
        "\x00",
        '"',
        ",",
        "=1+1",
        "\ud800",
        "NA",
        "nan",
        "",
        " ",
        "</script>",
        "../a",
        "a" * 5000,
        "1e999",
        "\x85",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS | st.sampled_from([10**400, 2**63, -1, 10**9]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=6,
)


@st.composite
def changed_json(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed of JSON (or of JSON lines) with one to three of its values replaced, removed or added."""
    lines = draw(st.sampled_from(seeds)).splitlines()
    several = len(lines) > 1 and lines[0].endswith(b"}")
    documents = [json.loads(line) for line in lines] if several else [json.loads(b"\n".join(lines))]
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(documents) - 1))
        documents[number] = changed(draw, documents[number])
    return "\n".join(map(json.dumps, documents)).encode()


def changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with a value somewhere in it replaced."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(["within", "within", "within", "remove", "add"])):
            case "within":
                return {**value, key: changed(draw, value[key])}
            case "remove":
                return {name: each for name, each in value.items() if name != key}
            case "add":
                return {**value, draw(STRINGS): draw(VALUES)}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], changed(draw, value[index]), *value[index + draw(st.integers(0, 1)) :]]
    if isinstance(value, str) and draw(st.booleans()):
        return draw(STRINGS)
    return draw(VALUES)
