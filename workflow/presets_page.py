"""docs/presets.md: the keys of presets, every preset with its values, and the named methods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import Any

from page_text import item, shown, table

from leangan.core.values import canonical, name_of
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.plugins.backbone import LOOP_KEYS, REQUIRED, RUN_KEYS, Key
from leangan.runs.methods import PRESET, method_parts, method_preset
from leangan.runs.presets import Preset, preset_at, presets

RESOLUTION = 256
"""Where values depend on it, those at this one are shown."""

COLUMNS = 5
"""Presets side by side in one table, at most."""

TYPES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    float | None: "number or null",
    str: "text",
    list[int]: "list of whole numbers",
    tuple[float, float]: "two numbers",
}
"""Types of keys in words."""

INTRODUCTION = """\
A preset is a row of [config/presets.yaml](../config/presets.yaml): the backbone, how long it trains, and the
hyper-parameters of both. An artefact names the presets of its grid ([configuration.md](configuration.md)). A method of
[config/methods.yaml](../config/methods.yaml) may replace keys of the preset in its part `preset`. Every value is part
of a run's id ([run-identity.md](run-identity.md)), but for `citation`, and for the lengths where the scale has its own.
"""

VALUES = """\
All values are those that a run trains with, defaults filled in. Keys that no preset of a table changes are left out of
it; they have the defaults above. Lengths are in thousands of real images shown to D. `half_type` is that of
`arithmetic` in config/config.yaml.
"""

METHODS = """\
The named methods of [config/methods.yaml](../config/methods.yaml): each is one or more plugins of `augment/` with the
arguments that the name gives them, and the keys of the preset that it replaces. A file of `augment/` is a method of its
own name, too, with the defaults of its arguments.
"""


def page() -> str:
    """The text of docs/presets.md."""
    stated = [preset_at(name, RESOLUTION, "config/presets.yaml") for name in presets()]
    parts = [
        "# Presets and methods\n",
        "<!-- Generated from the types in the code by `make docs`. -->\n",
        INTRODUCTION,
        "## Keys\n",
        "Of the run:\n",
        _keys(RUN_KEYS),
        "Of the training loop:\n",
        _keys(LOOP_KEYS),
        *(text for name in registry.names("backbone") for text in _backbone(name)),
        "## Presets\n",
        VALUES,
    ]
    for title, family in _families(stated).items():
        parts += [f"### {title}\n", *_family(family)]
    parts += ["## Methods\n", METHODS, _methods()]
    return "\n".join(parts)


def _backbone(name: str) -> Iterator[str]:
    """The keys of a backbone, and what it says of those that it derives."""
    backbone: Any = registry.load("backbone", name)
    yield f"Of the backbone `{name}`:\n"
    yield _keys(backbone.keys)
    if backbone.derivation:
        yield fill(backbone.derivation, 120, break_on_hyphens=False) + "\n"


def _keys(keys: dict[str, Key]) -> str:
    rows = []
    for name, key in keys.items():
        default = "required" if key.default is REQUIRED else f"`{shown(key.default)}`"
        kind = TYPES.get(key.kind) or name_of(key.kind)
        rows.append([f"`{name}`", f"{kind}, {key.range.words}" if key.range else kind, default, key.meaning])
    return table(["key", "type", "default", "meaning"], rows)


def _families(stated: Iterable[Preset]) -> dict[str, list[Preset]]:
    """The presets of one backbone and source, by a title, in the order of the file."""
    found: dict[str, list[Preset]] = {}
    for preset in stated:
        row, backbone = presets()[preset.name], registry.load("backbone", preset.backbone)
        automatic = f", automatic, at {RESOLUTION} px" if backbone.derive(row, RESOLUTION) != row else ""
        source = preset.citation.split(": ")[0]
        found.setdefault(f"{preset.backbone}, {source}{automatic}", []).append(preset)
    return found


def _family(family: list[Preset]) -> Iterator[str]:
    """What the presets are, then their values, up to COLUMNS of them side by side."""
    yield "".join(item(f"`{preset.name}`: {preset.citation}") for preset in family)
    backbone: Any = registry.load("backbone", family[0].backbone)
    known = {**LOOP_KEYS, **backbone.keys}
    defaults = {key: _default(each) for key, each in known.items()}
    # A backbone may leave out keys that change nothing, such as the type of 16-bit layers where there are none.
    defaults |= backbone.resolve(defaults)
    values = [{**defaults, **preset.hyper} for preset in family]
    changed = [key for key in known if any(each[key] != defaults[key] for each in values)]
    size = math.ceil(len(family) / math.ceil(len(family) / COLUMNS))
    for start in range(0, len(family), size):
        chosen, of_chosen = family[start : start + size], values[start : start + size]
        rows = [[f"`{key}`", *(shown(getattr(preset, key)) for preset in chosen)] for key in ("kimg", "snapshot_kimg")]
        rows += [[f"`{key}`", *(shown(each[key]) for each in of_chosen)] for key in changed]
        yield table(["", *(preset.name for preset in chosen)], rows)


def _default(key: Key) -> Any:
    """In the one form that resolved values have."""
    return key.default if key.default is REQUIRED else canonical(key.default, key.kind)


def _methods() -> str:
    rows = []
    for name in read("config/methods.yaml"):
        parts = [*method_parts(name), *([(PRESET, method_preset(name))] if method_preset(name) else [])]
        made_of = ", ".join(f"{plugin} {shown(args)}" if args else plugin for plugin, args in parts)
        rows.append([f"`{name}`", made_of])
    return table(["name", "made of"], rows)
