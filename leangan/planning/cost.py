"""What a run costs: hours of training and of measuring by device, and space on the disk.

Hours of training come from the throughput that stored rows measured for the same preset and resolution, else from the
published figures in config/costs.yaml, each with its source. What neither has is unknown, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from leangan.core.spec import RunSpec
from leangan.data.known_sets import known_sets
from leangan.metrics.extractor_facts import find_extractor
from leangan.metrics.protocols import read_protocol
from leangan.planning.costs_file import TrainingCost, read_costs
from leangan.plugins import registry
from leangan.runs.config import read_scale
from leangan.runs.rows import parse_row

FLOAT = 4

PNG_SHARE = 0.55
"""A PNG of photographs, as a part of its pixels' bytes."""

Rates = dict[tuple[str, int], dict[str, float]]


def measured_rates(results: Path) -> Rates:
    """Median images/s by (preset, resolution) and device, from all rows stored below `results`."""
    seen: dict[tuple[str, int], dict[str, list[float]]] = {}
    for path in sorted(results.glob("*/rows/*/*/*.jsonl")):
        if path.name == "train.jsonl":
            continue
        try:
            with path.open() as file:  # all rows of a run are of one training
                row = parse_row(json.loads(file.readline() or "null"), str(path))
        except ValueError:  # which `leangan collect` says
            continue
        if (rate := row.provenance.images_per_s) and (device := row.provenance.device):
            seen.setdefault((row.preset, row.resolution), {}).setdefault(device, []).append(rate)
    return {key: {device: median(rates) for device, rates in devices.items()} for key, devices in seen.items()}


def published_costs(spec: RunSpec) -> list[TrainingCost]:
    """The entries of config/costs.yaml that know the run's preset at its resolution."""
    known = read_costs().training
    return [each for each in known if spec.preset in each.presets and spec.resolution in each.seconds_per_kimg]


def training_hours(spec: RunSpec, rates: Rates) -> dict[str, float]:
    """Hours of the whole training on one device, by device; empty where nothing is known."""
    known = rates.get((spec.preset, spec.resolution)) or {
        entry.device: 1000 / entry.seconds_per_kimg[spec.resolution] for entry in published_costs(spec)
    }
    return {device: spec.total_kimg * 1000 / rate / 3600 for device, rate in known.items()}


def sources(specs: Iterable[RunSpec], rates: Rates) -> Iterator[str]:
    """A line for each source that the hours of these runs rest on."""
    seen: dict[tuple[str, str], dict[str, None]] = {}
    for spec in specs:
        for device in rates.get((spec.preset, spec.resolution), {}):
            seen.setdefault((device, "measured: stored rows"), {})[spec.preset] = None
        if (spec.preset, spec.resolution) not in rates:
            for entry in published_costs(spec):
                seen.setdefault((entry.device, f"published: {entry.source}"), {})[spec.preset] = None
    for (device, source), names in seen.items():
        yield f"{device}, {source} ({', '.join(names)})"


def fakes_of(scale: str, protocol: str) -> int:
    """Generated images per measurement."""
    return read_scale(scale).fakes or read_protocol(protocol).fakes


def measurements(spec: RunSpec, protocol: str) -> int:
    """How often fakes of the run are made and measured: snapshots times evaluation seeds."""
    return len(spec.snapshot_nimgs()) * read_protocol(protocol).eval_seeds


def measuring_hours(spec: RunSpec, protocol: str, scale: str) -> dict[str, float]:
    """Hours of measuring all snapshots on one device, by device; empty where nothing is known."""
    known = read_costs().measuring
    sizes = [size for size in known.minutes if size >= spec.resolution]
    if read_protocol(protocol).extractor not in known.extractors or not sizes:
        return {}
    minutes = known.minutes[min(sizes)] * fakes_of(scale, protocol) / known.fakes
    return {known.device: measurements(spec, protocol) * minutes / 60}


def parameters(spec: RunSpec) -> tuple[int, int] | None:
    """Parameters and buffers of the run's G and D, built without memory; what its method adds is left out.

    None where they cannot be built, which the run itself will say.
    """
    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):
        return None
    row = known_sets().get(spec.dataset)
    classes = (row.classes if row and row.classes else 10) if spec.conditional else 0
    hyper = {key: value for key, value in spec.hyper.items() if key in backbone.keys}
    return _counted(spec.backbone, json.dumps(hyper, sort_keys=True), spec.resolution, classes)


@cache
def _counted(name: str, hyper: str, resolution: int, classes: int) -> tuple[int, int] | None:
    """The numbers of `parameters`; `hyper` is JSON, so that it can be remembered by."""
    import torch  # takes seconds, and most of the plan does without

    backbone: Any = registry.load("backbone", name)
    try:
        with torch.device("meta"):
            built = backbone(json.loads(hyper), resolution, 3, classes)
            networks = built.generator(), built.discriminator()
    except Exception:  # whatever a backbone's file raises
        return None
    G, D = (sum(value.numel() for value in each.state_dict().values()) for each in networks)
    return G, D


def disk_bytes(spec: RunSpec) -> dict[str, int]:
    """Bytes that training the run leaves, by what they hold: checkpoints, snapshots and samples.

    A checkpoint has both networks, each with Adam's two moments, and the average of G. A snapshot leaves a grid of
    samples and a picture of gradients, the run a grid of reals and one of strips; all are kept twice, in runs/ and in
    rows/. Empty where the networks cannot be built.
    """
    from leangan.training.checkpoint import KEPT
    from leangan.training.gradients import COLUMNS
    from leangan.training.samples import CELLS

    if (counted := parameters(spec)) is None:
        return {}
    G, D = counted
    snapshots = len(spec.snapshot_nimgs())
    images = snapshots * (CELLS + 2 * COLUMNS) + 2 * CELLS
    return {
        "checkpoints": KEPT * FLOAT * (4 * G + 3 * D),
        "snapshots": snapshots * FLOAT * G,
        "samples": round(2 * images * PNG_SHARE * 3 * spec.resolution**2),
    }


def feature_bytes(spec: RunSpec, protocol: str, scale: str) -> int:
    """Bytes of the features of all fakes that the protocol asks for."""
    extractor = find_extractor(read_protocol(protocol).extractor)
    return measurements(spec, protocol) * fakes_of(scale, protocol) * extractor.floats * FLOAT
