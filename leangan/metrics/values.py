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


class Missing(NamedTuple):
    """Why there is no value: the row's status and reason.

    skip: these images define none; error: the metric's or the extractor's code failed; diverged: the generator's images
    are no numbers.
    """

    status: Literal["skip", "error", "diverged"]
    reason: str


Outcome = Value | Missing

NOT_FINITE = Missing("error", "the extractor's features are not finite")
"""Whatever the metric: some count what is near, and would give a number."""


def attempt(work: Callable[[], T]) -> T | Missing:
    """What the code of a metric gives, or why it gives nothing.

    Faults of the machine and of the configuration are raised: after these the same command continues.
    """
    try:
        return work()
    except NoValue as why:
        return Missing("skip", str(why))
    except Exception as error:
        if not is_plugin_fault(error):
            raise
        traceback.print_exc()
        return Missing("error", registry.explain(error))


def against_reals(metric: type[Metric], real: Features) -> Metric | Missing:
    """The metric against these reals."""
    compares = any(family.against != "nothing" for family in metric.families)
    if compares and len(real) < metric.minimum:
        return Missing("skip", f"real images: {len(real)}, must be {metric.minimum} or more")
    if compares and not _finite(metric, real):
        return NOT_FINITE
    return attempt(lambda: metric(real))


def measure(metric: Metric, fake: Features) -> Mapping[str, Outcome] | Missing:
    """The outcome for each family of a metric, or why there is none for all of them."""
    if len(fake) < metric.minimum:
        stated = "fakes of the scale or the protocol"
        return Missing("skip", f"generated images: {len(fake)}, must be {metric.minimum} or more ({stated})")
    if not _finite(type(metric), fake):
        return NOT_FINITE
    found = attempt(lambda: metric(fake))
    if isinstance(found, Missing):
        return found
    if objection := values_objection(metric, found, fake):
        return Missing("error", objection)
    return {family: outcome_of(value) for family, value in found.items()}


def _finite(metric: type[Metric], features: Features) -> bool:
    """Whether what the metric reads of the features is finite."""
    read = [features.pooled, features.logits if metric.of_logits else None]
    return all(bool(part.isfinite().all()) for part in read if part is not None)


def outcome_of(value: Value | NoValue) -> Outcome:
    """What a metric gave for one family: a number, if it is one."""
    if isinstance(value, NoValue):
        return Missing("skip", str(value))
    if not math.isfinite(value.value):
        return Missing("skip", f"the formula gives {value.value}, which is no number")
    if value.spread is not None and not math.isfinite(value.spread):
        return Missing("skip", f"the formula gives {value.value:g} ± {value.spread}, which is no number")
    return value


def over_seeds(outcomes: list[Outcome]) -> Outcome:
    """The outcome of one measurement, or mean and sample deviation of several with different fakes."""
    numbers = [outcome.value for outcome in outcomes if isinstance(outcome, Value)]
    if len(numbers) < len(outcomes):
        return next(outcome for outcome in outcomes if isinstance(outcome, Missing))
    if len(outcomes) == 1:
        return outcomes[0]
    return Value(statistics.fmean(numbers), statistics.stdev(numbers), "evaluation seeds")


def snapshot_values(
    metrics: Mapping[str, Metric | Missing], families: Mapping[str, str], files: list[Path], device: torch.device
) -> dict[str, Outcome]:
    """The outcome for each family of one snapshot, from its features under each evaluation seed.

    `metrics` are those of `against_reals` by their names, `families` says which of them reports a family.
    """
    found: list[dict[str, Mapping[str, Outcome] | Missing]] = []
    for file in files:
        fake = load_features(file, device)
        if fake is None:
            return dict.fromkeys(families, Missing("diverged", load_meta(file)["reason"]))
        found.append(
            {name: metric if isinstance(metric, Missing) else measure(metric, fake) for name, metric in metrics.items()}
        )
    outcomes = {}
    for family, name in families.items():
        of_seeds = [of_metric if isinstance(of_metric := each[name], Missing) else of_metric[family] for each in found]
        outcomes[family] = over_seeds(of_seeds)
    return outcomes
