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
from functools import cache
from typing import Any

from suite import auto, registry
from suite.config import artefact, read
from suite.errors import unknown_name

PRESET = "preset"
"""The part of an entry in config/methods.yaml that is no plugin."""


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

    @property
    def digest(self) -> str:
        """sha256 over the canonical JSON of all fields; names of presets and methods are labels, not numbers."""
        fields = asdict(self)
        del fields["preset"], fields["method"]
        fields["hyper"] = {k: v for k, v in self.hyper.items() if k not in ("source", "kimg")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    @property
    def run_id(self) -> str:
        """`<dataset>-<size>/<backbone>-<method>-s<seed>-<digest8>`, also the run's folder."""
        return f"{self.dataset}-{self.images}/{self.backbone}-{self.method}-s{self.seed}-{self.digest[:8]}"

    def to_json(self) -> str:
        return json.dumps({"run": self.run_id, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """The spec stored in a run's spec.json."""
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RunSpec:
        """The spec from its fields as JSON holds them."""
        plugins = [(name, args) for name, args in fields["plugins"]]
        return cls(**{**{k: v for k, v in fields.items() if k != "run"}, "plugins": plugins})

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


def method_plugins(name: str, overrides: dict[str, Any] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The plugins behind a method's name, in order, with their arguments; `overrides` are added to every part.

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
        plugins.append((plugin, {**(args or {}), **(overrides or {})}))
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
    """The runs of one artefact under `config` (config/config.yaml): its grid at the config's scale.

    `config["methods"]` are added to the artefact's own; `config["datasets"]` and `config["images"]` replace its own.
    """
    content = artefact(name)
    grid, scale = content["grid"], read("config/scales.yaml")[config["scale"]]
    sets = [(own, entry["resolution"]) for own, entry in config["datasets"].items()]
    sets = sets or list(itertools.product(grid["dataset"], grid["resolution"]))
    methods = dict.fromkeys([*grid["method"], *config["methods"]])
    cells = itertools.product(sets, config["images"] or grid["images"], grid["preset"], methods, scale["seeds"])
    specs = []
    for (dataset, resolution), images, preset, method, seed in cells:
        hyper = preset_at(preset, resolution, f"config/artefacts/{name}.yaml", method)
        spec = RunSpec(
            dataset=dataset,
            resolution=resolution,
            images=images,
            subset_seed=content.get("subset_seed", 0),
            conditional=content.get("conditional", False),
            backbone=hyper["backbone"],
            preset=preset,
            hyper=hyper,
            method=method,
            plugins=method_plugins(method, content.get("method_args", {}).get(method)),
            seed=seed,
            total_kimg=scale["kimg"] or hyper["kimg"],
            snapshot_kimg=scale["snapshot_kimg"],
        )
        specs.append(spec)
    return specs


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
