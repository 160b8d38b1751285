"""The values of metrics for one snapshot, and why one has none: what a metric cannot compute costs no other number."""

from __future__ import annotations

import math
import statistics
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch

from leangan.metrics.base import Features, Metric, NoValue, Value
from leangan.metrics.contract import values_objection
from leangan.metrics.store import load_features, load_meta
from leangan.plugins import registry
from leangan.plugins.fault import is_plugin_fault

T = TypeVar("T")


class Lacking(NamedTuple):
    """Why there is no value: the row's status and reason.

    skip: these images define none; error: the metric's code failed; diverged: the generator's images are no numbers.
    """

    status: Literal["skip", "error", "diverged"]
    reason: str


Outcome = Value | Lacking


def attempt(work: Callable[[], T]) -> T | Lacking:
    """What the code of a metric gives, or why it gives nothing.

    Faults of the machine and of the configuration are raised: after these the same command continues.
    """
    try:
        return work()
    except NoValue as why:
        return Lacking("skip", str(why))
    except Exception as error:
        if not is_plugin_fault(error):
            raise
        traceback.print_exc()
        return Lacking("error", registry.explain(error))


def prepare(metric: type[Metric], real: Features) -> Metric | Lacking:
    """The metric against these reals."""
    compares = any(family.against != "nothing" for family in metric.families)
    if compares and len(real) < metric.minimum:
        return Lacking("skip", f"real images: {len(real)}, must be {metric.minimum} or more")
    return attempt(lambda: metric(real))


def measure(metric: Metric, fake: Features) -> Mapping[str, Outcome] | Lacking:
    """The outcome for each family of a metric, or why there is none for all of them."""
    if len(fake) < metric.minimum:
        stated = "fakes of the scale or the protocol"
        return Lacking("skip", f"generated images: {len(fake)}, must be {metric.minimum} or more ({stated})")
    found = attempt(lambda: metric(fake))
    if isinstance(found, Lacking):
        return found
    if objection := values_objection(metric, found, fake):
        return Lacking("error", objection)
    return {family: outcome_of(value) for family, value in found.items()}


def outcome_of(value: Value | NoValue) -> Outcome:
    """What a metric gave for one family: a number, if it is one."""
    if isinstance(value, NoValue):
        return Lacking("skip", str(value))
    if not math.isfinite(value.value):
        return Lacking("skip", f"the formula gives {value.value}, which is no number")
    if value.spread is not None and not math.isfinite(value.spread):
        return Lacking("skip", f"the formula gives {value.value:g} ± {value.spread}, which is no number")
    return value


def over_seeds(outcomes: list[Outcome]) -> Outcome:
    """The outcome of one measurement, or mean and sample deviation of several with different fakes."""
    numbers = [outcome.value for outcome in outcomes if isinstance(outcome, Value)]
    if len(numbers) < len(outcomes):
        return next(outcome for outcome in outcomes if isinstance(outcome, Lacking))
    if len(outcomes) == 1:
        return outcomes[0]
    return Value(statistics.fmean(numbers), statistics.stdev(numbers), "evaluation seeds")


def snapshot_values(
    metrics: Mapping[str, Metric | Lacking], families: Mapping[str, str], files: list[Path], device: torch.device
) -> dict[str, Outcome]:
    """The outcome for each family of one snapshot, from its features under each evaluation seed.

    `metrics` are those of `prepare` by their names, `families` says which of them reports a family.
    """
    found: list[dict[str, Mapping[str, Outcome] | Lacking]] = []
    for file in files:
        fake = load_features(file, device)
        if fake is None:
            return dict.fromkeys(families, Lacking("diverged", load_meta(file)["reason"]))
        found.append(
            {name: metric if isinstance(metric, Lacking) else measure(metric, fake) for name, metric in metrics.items()}
        )
    outcomes = {}
    for family, name in families.items():
        of_seeds = [of_metric if isinstance(of_metric := each[name], Lacking) else of_metric[family] for each in found]
        outcomes[family] = over_seeds(of_seeds)
    return outcomes
