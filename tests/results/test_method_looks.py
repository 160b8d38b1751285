"""Which method has which colour: the same in every picture, seen on every ground."""

from __future__ import annotations

import itertools
import re

import pytest

from leangan.leaderboard import page
from leangan.results.method_looks import COLOURS, choose_looks

METHODS = ("none", "diffaugment", "da", "ada")


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_s_colours_stand_out_from_its_grounds():
    css = (page.TEMPLATES / "page.css.j2").read_text()
    light, dark = map(luminance, re.findall(r"--ground: (#[0-9a-f]{6})", css))
    for colour in COLOURS:
        assert (light + 0.05) / (luminance(colour.light) + 0.05) >= 3, colour
        assert (luminance(colour.dark) + 0.05) / (dark + 0.05) >= 3, colour


@pytest.mark.parametrize("ground", ["print", "light", "dark"])
def test_no_two_colours_are_one(ground):
    assert len({getattr(colour, ground).lower() for colour in COLOURS}) == len({colour.name for colour in COLOURS}) == 7


def test_the_main_methods_have_colours_and_markers_of_their_own():
    looks = choose_looks([*METHODS, "bcr", "lecam", "apa"])
    own = [looks[name] for name in METHODS]
    assert len({look.colour for look in own}) == len({look.marker for look in own}) == 4
    assert not {look.colour for look in own} & {looks[name].colour for name in ("bcr", "lecam", "apa")}
    assert choose_looks(["diffaugment-tc"])["diffaugment-tc"] == looks["diffaugment"]


def test_a_look_depends_on_the_name_unless_another_method_has_it():
    names = [f"m{i}" for i in range(40)]
    alone = {name: choose_looks([name])[name] for name in names}
    assert len(set(alone.values())) == 12
    for one, other in itertools.combinations(names[:12], 2):
        looks = choose_looks([one, other])
        assert looks[one] == alone[one] and looks[other] != looks[one]
        assert looks[other] == alone[other] or alone[other] == alone[one]


def test_twelve_methods_beside_the_main_ones_all_differ():
    looks = choose_looks([*METHODS, *(f"m{i}" for i in range(12))])
    assert len({(look.colour, look.dashes) for look in looks.values()}) == 16
    assert len({(look.colour, look.marker) for look in looks.values()}) == 16
