"""Presets: from a row of config/presets.yaml to all hyper-parameters of a run, defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.spec import Labels
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.plugins.backbone import LOOP_KEYS, REQUIRED, RUN_KEYS, Key, check_keys, read_preset

FILE = "config/presets.yaml"

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
    return dict(read(FILE))


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
    if not isinstance(row, dict):
        raise ConfigError(f"preset {name!r} is {row!r}, must map keys to values as in {{batch: 8}}; see {FILE}")
    try:
        return _preset(name, row, resolution, replaced or {}, half)
    except ValueError as error:
        keys = ", ".join(map(str, replaced or {}))
        also = f" with {keys} from the method's entry in config/methods.yaml" if replaced else ""
        raise ConfigError(f"preset {name!r}{also}: {error}") from None


def _preset(name: str, row: dict[str, Any], resolution: int, replaced: dict[str, Any], half: str) -> Preset:
    """The same for a row of config/presets.yaml. Raises ValueError for a key or value that it cannot have."""
    if "backbone" not in row:  # which may be misspelt
        _check_any(row, FILE, RUN_KEYS)
    chosen = _part(row, {"backbone": RUN_KEYS["backbone"]})["backbone"]
    backbone = registry.load("backbone", chosen, FILE)
    if isinstance(backbone, registry.FailedImport):  # reported by its runs
        of_loop = {key: each for key, each in LOOP_KEYS.items() if key in row or each.default is not REQUIRED}
        return Preset(name, **_part(row, RUN_KEYS), hyper=_part(row, of_loop))
    keys: dict[str, Key] = {**LOOP_KEYS, **backbone.keys}
    check_keys(row, {**RUN_KEYS, **keys, **backbone.derive_keys})
    run = _part(row, RUN_KEYS)
    to_derive = {key: each for key, each in backbone.derive_keys.items() if key in row}
    row = backbone.derive({**row, **_part(row, to_derive)}, resolution)
    stated = {HALF_TYPE: half} if HALF_TYPE in keys else {}
    foreign = {key: value for key, value in replaced.items() if key not in keys}
    if foreign:
        _check_any(foreign, "config/methods.yaml")
    row = {**stated, **row, **replaced}
    return Preset(name, **run, hyper={**backbone.resolve(_part(row, keys)), **foreign})


def _part(row: dict[str, Any], keys: dict[str, Key]) -> dict[str, Any]:
    """The values of `keys` alone, as `read_preset` gives them."""
    return read_preset({key: value for key, value in row.items() if key in keys}, keys)


def _check_any(row: dict[str, Any], where: str, also: Iterable[str] = ()) -> None:
    """Raise ValueError for a key that no backbone has, nor `also`. Those of one that fails to import are not known."""
    backbones: list[Any] = [registry.load("backbone", name) for name in registry.names("backbone")]
    if not any(isinstance(each, registry.FailedImport) for each in backbones):
        known = [key for each in backbones for key in (*LOOP_KEYS, *each.keys, *each.derive_keys)]
        check_keys(row, {*known, *also}, where)
