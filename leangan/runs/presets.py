"""Presets: from a row of config/presets.yaml to all hyper-parameters of a run, defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.spec import Labels
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.plugins.backbone import LOOP_KEYS, REQUIRED, RUN_KEYS, Key, read_preset

HALF_TYPE = "half_type"
"""The key in `SHARED_KEYS` that the configuration's `arithmetic` states where a preset does not."""


@dataclass(frozen=True)
class Preset:
    """A preset at one resolution, in numbers.

    `hyper` has all keys of the backbone and of the training loop, and those that a method asks for and the backbone
    does not have: `runs.grid.refusal` tells of them.
    """

    name: str
    backbone: str
    citation: str
    kimg: float
    snapshot_kimg: float
    hyper: dict[str, Any]

    def labels(self, method: str, title: str) -> Labels:
        """What a run of this preset and `method`, whose title is `title`, is called."""
        return Labels(self.name, method, title, self.citation, self.kimg)


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The rows of config/presets.yaml by name, verbatim."""
    return dict(read("config/presets.yaml"))


def preset_at(
    name: str,
    resolution: int,
    where: str,
    replaced: dict[str, Any] | None = None,
    half: str = "bfloat16",
) -> Preset:
    """The preset `name` for images of `resolution` pixels, with the keys that a method has `replaced`.

    `half` is the 16-bit type of resolutions that compute in 16 bits. Raises ConfigError for an unknown name, which was
    given in `where`, and for a key or value that the preset cannot have.
    """
    if name not in presets():
        raise unknown_name("preset", name, presets(), where)
    row = presets()[name]
    run = _checked(name, {key: value for key, value in row.items() if key in RUN_KEYS}, RUN_KEYS)
    backbone = registry.load("backbone", run["backbone"], "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):  # reported by its runs
        of_loop = {key: each for key, each in LOOP_KEYS.items() if key in row or each.default is not REQUIRED}
        return Preset(name, **run, hyper=_checked(name, {key: row[key] for key in of_loop if key in row}, of_loop))
    row = backbone.derive(row, resolution)
    keys: dict[str, Key] = {**LOOP_KEYS, **backbone.keys}
    stated = {HALF_TYPE: half} if HALF_TYPE in keys else {}
    row = {**stated, **row, **(replaced or {})}
    foreign = {key: row.pop(key) for key in replaced or {} if key not in keys}
    also = f" with {', '.join(replaced)} from the method's entry in config/methods.yaml" if replaced else ""
    return Preset(name, **run, hyper={**backbone.resolve(_checked(name, row, keys, also)), **foreign})


def _checked(name: str, row: dict[str, Any], keys: dict[str, Key], also: str = "") -> dict[str, Any]:
    try:
        return read_preset(row, keys)
    except ValueError as error:
        raise ConfigError(f"preset {name!r}{also}: {error}") from None
