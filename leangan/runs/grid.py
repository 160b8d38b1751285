"""From an artefact's grid to its runs: every cell is a RunSpec, or a reason why there is none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from leangan.core.errors import ConfigError, check_names
from leangan.core.schemas import parse
from leangan.core.spec import TRANSFER, RunSpec
from leangan.data.known_sets import is_amplified
from leangan.data.outline import Outline, outline, why_unconditional
from leangan.plugins import registry
from leangan.plugins.backbone import LOOP_KEYS, missing_part
from leangan.plugins.revisions import revisions_of
from leangan.runs.artefact_sections import ArtefactConfig, Grid
from leangan.runs.asked import asked
from leangan.runs.choices import choose_conditional, choose_preset, outline_of
from leangan.runs.config import CONFIG, artefact, read_scale
from leangan.runs.methods import (
    ParentRun,
    bind_all,
    build_method,
    check_argument_names,
    check_methods,
    method_parts,
    method_preset,
    title_of,
)
from leangan.runs.presets import preset_at
from leangan.runs.sections import Config

SCALED = ("dataset", "images", "method")
"""Keys of a grid that a scale may restrict."""


def expand(name: str, config: Config) -> list[RunSpec]:
    """The runs of one artefact under `config` (config/config.yaml): its grids at the config's scale.

    Where the artefact names data sets, sizes or methods for the scale, only those of its grids belong to it.
    The `methods` of `config` are added to the artefact's own. Its `only_methods`, `preset`, `conditional`, `images` and
    those of its `datasets` that have a resolution replace the artefact's, its `kimg` and `snapshot_kimg` the lengths of
    the scale. A run comes once for each pair of a method's and a preset's name that it has.
    """
    content = asked(artefact(name), config)
    where = f"config/artefacts/{name}.yaml"
    check_names("plugin", content.method_args, registry.names("method"), f"method_args of {where}")
    for plugin, args in content.method_args.items():
        check_argument_names(plugin, args, f"method_args of {where}")
    check_methods(config.methods, f"methods of {CONFIG}")
    check_methods(config.only_methods, f"only_methods of {CONFIG}")
    start = content.start.given() if content.start and not config.own_sets else None
    specs, seeds = {}, read_scale(config.scale).seeds
    for grid in content.grid:
        kept = kept_at(content, grid, config.scale)
        methods = dict.fromkeys([*(config.only_methods or kept.method), *config.methods])
        for dataset, resolution in config.own_sets.items() or itertools.product(kept.dataset, kept.resolution):
            sizes = list(dict.fromkeys(_sizes(config.images or kept.images, dataset, resolution, config)))
            chosen = [choose_preset(preset, resolution, config) for preset in kept.preset]
            for images, preset, method, seed in itertools.product(sizes, chosen, methods, seeds):
                spec = _spec(name, config, dataset, resolution, images, preset, method, seed, start)
                specs[spec.run_id, method, preset] = spec
    return list(specs.values())


def _sizes(stated: Sequence[int | str], dataset: str, resolution: int, config: Config) -> Iterator[int]:
    """How many images each stated size means of a set. Raises ConfigError for `all` of a known set of unknown size.

    Where a set of the user's own is not there, `all` is left out: `check_sources` says what is missing.
    """
    for size in stated:
        if isinstance(size, int):
            yield size
        elif (count := outline_of(dataset, resolution, config).count) is not None:
            yield count
        elif config.path_of(dataset) is None:
            raise ConfigError(
                f"`images: [all]`: the number of images in {dataset} is not known. Give a number in {CONFIG}."
            )


def kept_at(content: ArtefactConfig, grid: Grid, scale: str) -> Grid:
    """An artefact's grid with only the data sets, sizes and methods that belong to a scale."""
    part = content.at(scale)
    chosen = {key: values for key in SCALED if (values := getattr(part, key)) is not None}
    kept = {key: [value for value in getattr(grid, key) if value in values] for key, values in chosen.items()}
    return grid.model_copy(update=kept)


def _spec(
    name: str,
    config: Config,
    dataset: str,
    resolution: int,
    images: int,
    preset: str,
    method: str,
    seed: int,
    start: dict[str, Any] | None = None,
    later: tuple[dict[str, Any], ...] = (),
) -> RunSpec:
    """The run of one cell of the artefact `name`.

    `start` has the arguments of transfer for a run whose method says nothing of where it starts. `later` are the runs
    that start from this one.
    """
    content, where = asked(artefact(name), config), f"config/artefacts/{name}.yaml"
    later = (*later, {"method": method, "dataset": dataset, "images": images, "preset": preset})
    kimg, snapshot_kimg = (_length(key, content, config) for key in ("kimg", "snapshot_kimg"))
    stated = preset_at(preset, resolution, where, method_preset(method), config.arithmetic.half)
    hyper = {**stated.hyper, "mirror": True} if is_amplified(dataset, images) else stated.hyper
    given_in = f"config/methods.yaml, entry {method!r}, or method_args of {where}"
    of_method = method_parts(method, content.method_args, where)
    before = [(TRANSFER, start)] if start and TRANSFER not in dict(of_method) else []
    parent, parts = None, []
    for plugin, args in of_method:
        if plugin == TRANSFER and "run" in args:
            named = parse(ParentRun, args["run"], f"`run` of {TRANSFER} in {given_in}")
            of_parent = {"dataset": dataset, "images": images, "preset": preset, **named.given()}
            if of_parent in later:
                raise ConfigError(f"the run of method {method!r} in {where} starts from itself: name another in `run`.")
            parent = _spec(name, config, **of_parent, resolution=resolution, seed=seed, later=later)
            args = {**args, "run": parent.run_id}
        parts.append((plugin, args))
    own = bind_all(parts, given_in)
    plugins = bind_all(before) + own
    return RunSpec(
        dataset=dataset,
        resolution=resolution,
        images=images,
        subset_seed=content.subset_seed,
        subset_rule=content.subset_rule,
        validation_images=content.validation_images,
        conditional=choose_conditional(content.conditional, dataset, resolution, config),
        backbone=stated.backbone,
        hyper=hyper,
        plugins=plugins,
        revisions=revisions_of(stated.backbone, plugins),
        seed=seed,
        total_kimg=float(kimg or stated.kimg),
        snapshot_kimg=float(snapshot_kimg or stated.snapshot_kimg),
        tf32=config.arithmetic.tf32,
        parent=parent,
        labels=stated.labels(method, title_of(method, own)),
    )


def _length(key: str, content: ArtefactConfig, config: Config) -> float | None:
    """`kimg` or `snapshot_kimg` of the runs: the configuration's, else the artefact's at the scale, else the scale's.

    None: the preset's.
    """
    if (own := getattr(config, key)) is not None:
        return own
    part = content.at(config.scale)
    return getattr(part if key in part.model_fields_set else read_scale(config.scale), key)


def refusal(spec: RunSpec, path: str | None = None) -> tuple[str, str] | None:
    """(status, reason) where the run cannot or should not be trained: a plugin that cannot be used, or a skip.

    `path` is where its data set lies, as far as the configuration says.
    """
    known = outline(spec.dataset, spec.resolution, path)
    if reason := _unfit(spec, known):
        return "skip", reason
    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):
        return "error", backbone.reason
    keys = {*backbone.keys, *LOOP_KEYS}
    if foreign := [key for key in spec.hyper if key not in keys]:
        return "skip", f"it sets the preset key {foreign[0]!r}, which backbone {spec.backbone!r} does not have"
    for name, args in spec.plugins:
        plugin = registry.load("method", name)
        if isinstance(plugin, registry.FailedImport):
            return "error", plugin.reason
        try:
            reason = missing_part(plugin.needs, backbone, spec.backbone)
            reason = reason or _unlike_passes(spec, name, plugin) or plugin.skip(spec)
        except Exception as error:
            return "error", f"skip of method {name!r} raised {registry.explain(error)}"
        try:
            reason = reason or _without_validation(spec, known, build_method(name, args).needs_validation)
        except Exception as error:
            return "error", f"method {name!r} cannot be built: {registry.explain(error)}"
        if reason:
            return "skip", reason
    fault = _fault(spec.backbone, json.dumps(spec.hyper), spec.resolution)
    return ("error", fault) if fault else None


def _unlike_passes(spec: RunSpec, name: str, plugin: type[Any]) -> str | None:
    """The reason where a method compares passes of D, in each of which another method of the run draws anew."""
    for other, _ in spec.plugins:
        if plugin.compares_passes and other != name and getattr(registry.load("method", other), "redraws", False):
            return f"it compares two passes of D, and {other!r} draws anew in each: leave one of them out"
    return None


@registry.remembered
def _fault(name: str, hyper: str, resolution: int) -> str | None:
    """Why the backbone `name` cannot be built with these values (JSON) at this resolution; None if it can."""
    backbone: Any = registry.load("backbone", name)
    try:
        backbone(json.loads(hyper), resolution, 3, 0)
    except Exception as error:
        return str(error) if isinstance(error, ValueError) else registry.explain(error)
    return None


def _unfit(spec: RunSpec, known: Outline) -> str | None:
    """Why a set does not have the images or labels that the run trains on; None if it does, or if that is not known."""
    if known.count is not None and spec.images > known.count and not is_amplified(spec.dataset, spec.images):
        return f"it trains on {spec.images:,} images, and {spec.dataset} has {known.count:,}"
    if spec.subset_rule == "balanced" and known.classes == 0:
        return f"subset rule 'balanced' needs labels, and the images of {spec.dataset} have none"
    return why_unconditional(spec.dataset, known) if spec.conditional else None


def _without_validation(spec: RunSpec, known: Outline, needed: bool) -> str | None:
    """Why a run cannot have the batch of held-out images that its method needs; None if it can, or is not known."""
    validation = spec.validation_images
    if known.count is not None:
        trained = spec.images // 2 if is_amplified(spec.dataset, spec.images) else spec.images
        validation = min(validation, max(known.count - trained, 0))
    if not needed or validation >= spec.hyper["batch"]:
        return None
    return f"it needs a batch of {spec.hyper['batch']} held-out images; the run holds out {validation}"
