"""From configuration to runs: artefact grid -> RunSpec -> run id.

A RunSpec holds everything that changes the numbers of a training run and nothing else: no paths, no
GPU counts, no log intervals. Its digest is the run's identity, so that a run needed by three tables
is trained once and a changed hyper-parameter is another run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from data.table import amplified
from suite import auto, registry
from suite.config import artefact, read
from suite.errors import ConfigError, check_names, unknown_name
from suite.files import read_json

PRESET = "preset"
"""The part of an entry in config/methods.yaml that is no plugin."""

TRANSFER = "transfer"
"""The plugin whose argument `run` names another run of the grid."""

RUN_KEYS = ("method", "dataset", "images", "preset")
"""What an argument `run` may say of that run."""

SCALED = ("dataset", "images", "method")
"""Keys of a grid of which a scale may keep a part."""

SUBSET_DEFAULTS = {"subset_rule": "permutation", "validation_images": 500}
"""Keys of an artefact, beside subset_seed, that choose its images; the digest leaves them out where they are these."""


@dataclass(frozen=True)
class RunSpec:
    """One training run. `hyper` is the preset's row in numbers, `plugins` are the method's parts with arguments."""

    dataset: str
    resolution: int
    images: int
    subset_seed: int
    conditional: bool
    backbone: str
    preset: str
    hyper: dict[str, Any]
    method: str
    plugins: list[tuple[str, dict[str, Any]]]
    seed: int
    total_kimg: float
    snapshot_kimg: float
    subset_rule: str = SUBSET_DEFAULTS["subset_rule"]
    validation_images: int = SUBSET_DEFAULTS["validation_images"]

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical JSON of all fields; names of presets and methods are labels, not numbers."""
        fields = {field: getattr(self, field) for field in self.__dataclass_fields__}
        del fields["preset"], fields["method"]
        for key, default in SUBSET_DEFAULTS.items():
            if fields[key] == default:
                del fields[key]
        if self.source:
            fields["plugins"] = [
                (name, {**args, "run": self.source.digest} if name == TRANSFER else args) for name, args in self.plugins
            ]
        fields["hyper"] = {k: v for k, v in self.hyper.items() if k not in ("source", "kimg")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """`<dataset>-<size>/<backbone>-<method>-s<seed>-<digest8>`, also the run's folder."""
        return f"{self.dataset}-{self.images}/{self.backbone}-{self.method}-s{self.seed}-{self.digest[:8]}"

    def to_json(self) -> str:
        return json.dumps({"run": self.run_id, **asdict(self)}, indent=1)

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """The spec stored in a run's spec.json. Raises ConfigError where the file holds none."""
        fields = read_json(path)
        try:
            return cls.from_fields(fields)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigError(f"{path} is damaged: no spec ({error!r}). Delete it and run the same command.") from None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RunSpec:
        """The spec from its fields as JSON holds them."""
        plugins = [(name, args) for name, args in fields["plugins"]]
        return cls(**{**{k: v for k, v in fields.items() if k != "run"}, "plugins": plugins})

    @property
    def subset_size(self) -> str:
        """Number of training images in file names, with rule and held-out images where they are not the usual ones."""
        parts = [str(self.images)]
        if self.subset_rule != SUBSET_DEFAULTS["subset_rule"]:
            parts.append(self.subset_rule)
        if self.validation_images != SUBSET_DEFAULTS["validation_images"]:
            parts.append(f"v{self.validation_images}")
        return "-".join(parts)

    @cached_property
    def source(self) -> RunSpec | None:
        """The run of the suite whose networks this one starts from, see augment/transfer.py; None: there is none."""
        fields = dict(self.plugins).get(TRANSFER, {}).get("run")
        return RunSpec.from_fields(fields) if fields else None

    def snapshot_nimgs(self) -> list[int]:
        """Images shown at each snapshot: every `snapshot_kimg`, rounded up to whole batches, the end included."""
        batch = self.hyper["batch"] * self.hyper.get("d_steps", 1)
        total = self.total_kimg * 1000
        marks = [i * self.snapshot_kimg * 1000 for i in range(1, int(total // (self.snapshot_kimg * 1000)) + 1)]
        if not marks or marks[-1] < total:
            marks.append(total)
        return sorted({-(-round(mark) // batch) * batch for mark in marks})


def snapshot_name(nimg: int) -> str:
    """Name without ending of what a run leaves after `nimg` images: thousands of images, sortable as text."""
    return f"{nimg / 1000:010.3f}"


def method_plugins(name: str, overrides: dict[str, dict] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The plugins behind a method's name, in order, with their arguments and those in `overrides`, by plugin.

    The name is an entry of config/methods.yaml or a file of augment/; ConfigError with the nearest otherwise.
    """
    named = read("config/methods.yaml")
    known = set(named) | set(registry.names("method"))
    if name not in known:
        raise unknown_name("method", name, known, "config/config.yaml, an artefact's grid or --config methods=[...]")
    plugins = []
    for part in named.get(name, [name]):
        plugin, args = next(iter(part.items())) if isinstance(part, dict) else (part, {})
        if plugin == PRESET:
            continue
        if plugin not in registry.names("method"):
            raise unknown_name("plugin", plugin, registry.names("method"), f"config/methods.yaml, entry {name!r}")
        plugins.append((plugin, {**(args or {}), **(overrides or {}).get(plugin, {})}))
    return plugins


def method_preset(name: str) -> dict[str, Any]:
    """The preset keys that the method's entry in config/methods.yaml replaces, in its part `preset`."""
    parts = read("config/methods.yaml").get(name, [])
    return next((part[PRESET] for part in parts if isinstance(part, dict) and PRESET in part), {})


@cache
def presets() -> dict[str, dict[str, Any]]:
    """All presets of config/presets.yaml by name as they stand there, each laid over the file's defaults."""
    rows = dict(read("config/presets.yaml"))
    defaults = rows.pop("defaults")
    return {name: {**defaults, **row} for name, row in rows.items()}


def preset_at(name: str, resolution: int, where: str, method: str = "none") -> dict[str, Any]:
    """The preset `name` in numbers for images of `resolution` pixels, with the keys that `method` replaces.

    An unknown name was given in `where`.
    """
    if name not in presets():
        raise unknown_name("preset", name, presets(), where)
    return {**auto.resolved(presets()[name], resolution), **method_preset(method)}


def expand(name: str, config: dict[str, Any]) -> list[RunSpec]:
    """The runs of one artefact under `config` (config/config.yaml): its grids at the config's scale, each run once.

    Where the artefact names data sets, sizes or methods for the scale, only those of its grids belong to it.
    `config["methods"]` are added to the artefact's own; `config["images"]` and those of `config["datasets"]` that
    have a resolution replace its own.
    """
    content = artefact(name)
    where = f"method_args of config/artefacts/{name}.yaml"
    check_names("plugin", content.get("method_args", {}), registry.names("method"), where)
    seeds = read("config/scales.yaml")[config["scale"]]["seeds"]
    own_sets = [(own, entry["resolution"]) for own, entry in config["datasets"].items() if "resolution" in entry]
    specs = {}
    scaled = content.get("scales", {}).get(config["scale"], {})
    for grid in grids(content):
        kept = {key: [value for value in grid[key] if value in scaled.get(key, grid[key])] for key in SCALED}
        sets = own_sets or list(itertools.product(kept["dataset"], grid["resolution"]))
        methods = dict.fromkeys([*kept["method"], *config["methods"]])
        cells = itertools.product(sets, config["images"] or kept["images"], grid["preset"], methods, seeds)
        for (dataset, resolution), images, preset, method, seed in cells:
            spec = _spec(name, config["scale"], dataset, resolution, images, preset, method, seed)
            specs[spec.run_id] = spec
    return list(specs.values())


def grids(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The grids of an artefact, which may have one or a list of them."""
    return content["grid"] if isinstance(content["grid"], list) else [content["grid"]]


def _spec(
    name: str,
    scale: str,
    dataset: str,
    resolution: int,
    images: int,
    preset: str,
    method: str,
    seed: int,
    later: tuple[dict[str, Any], ...] = (),
) -> RunSpec:
    """The run of one cell of the artefact `name`; `later` are those that start from it."""
    content, where = artefact(name), f"config/artefacts/{name}.yaml"
    later = (*later, {"method": method, "dataset": dataset, "images": images, "preset": preset})
    length = {**read("config/scales.yaml")[scale], **content.get("scales", {}).get(scale, {})}
    hyper = preset_at(preset, resolution, where, method)
    snapshot_kimg = hyper.pop("snapshot_kimg")
    if amplified(dataset, images):
        hyper = {**hyper, "mirror": True}
    plugins = []
    for plugin, args in method_plugins(method, content.get("method_args")):
        if plugin == TRANSFER and "run" in args:
            source = {"method": None, "dataset": dataset, "images": images, "preset": preset, **args["run"]}
            check_names(f"key of {TRANSFER}'s `run`", source, RUN_KEYS, f"{where} or config/methods.yaml")
            if source in later:
                raise ConfigError(f"the run of method {method!r} in {where} starts from itself: name another in `run`.")
            run = _spec(name, scale, **source, resolution=resolution, seed=seed, later=later)
            args = {**args, "run": json.loads(run.to_json())}
        plugins.append((plugin, args))
    return RunSpec(
        dataset=dataset,
        resolution=resolution,
        images=images,
        subset_seed=content.get("subset_seed", 0),
        conditional=content.get("conditional", False),
        backbone=hyper["backbone"],
        preset=preset,
        hyper=hyper,
        method=method,
        plugins=plugins,
        seed=seed,
        total_kimg=length["kimg"] or hyper["kimg"],
        snapshot_kimg=length["snapshot_kimg"] or snapshot_kimg,
        **{key: content.get(key, default) for key, default in SUBSET_DEFAULTS.items()},
    )


def refusal(spec: RunSpec) -> tuple[str, str] | None:
    """(status, reason) where the run cannot or should not be trained: a plugin that cannot be used, or a skip."""
    from models.base import LOOP_KEYS  # imports torch, which expanding does without

    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if not isinstance(backbone, registry.FailedImport):
        foreign = [key for key in method_preset(spec.method) if key not in {**backbone.keys, **LOOP_KEYS}]
        if foreign:
            return "skip", f"it sets the preset key {foreign[0]!r}, which backbone {spec.backbone!r} does not have"
    for name, _ in spec.plugins:
        plugin = registry.load("method", name)
        if isinstance(plugin, registry.FailedImport):
            return "error", plugin.reason
        try:
            reason = plugin.skip(asdict(spec))
        except Exception as error:
            return "error", f"skip of method {name!r} raised {registry.explain(error)}"
        if reason:
            return "skip", reason
    return None
