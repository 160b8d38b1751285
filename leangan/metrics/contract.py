"""Whether a metric or extractor keeps its contract (leangan/metrics/base.py), and the file and line where it does not.

A number that is computed from something else than the contract says may look like any other.
"""

from __future__ import annotations

import inspect
from abc import ABC
from typing import Any

import torch
from torch import Tensor, nn

from leangan.core.errors import ConfigError
from leangan.metrics.base import Extractor, Features, Metric, NoValue, Value
from leangan.plugins import registry
from leangan.plugins.check import source_location

CALLED_WITH = {"metric": (Metric, {"__init__": 2, "__call__": 2}), "extractor": (Extractor, {"load": 2})}
"""The base class of a kind, and how many arguments its functions are called with."""


def require(kind: str, name: str, where: str) -> type[Any]:
    """The class of a metric or an extractor. Raises ConfigError where there is none or it cannot be used."""
    cls = registry.require(kind, name, where)
    if fault := objection(kind, cls):
        raise ConfigError(fault)
    return cls


def objection(kind: str, cls: type[ABC]) -> str | None:
    """Why the class can be no metric or extractor: its base, what it lacks, or arguments. None: it can."""
    base, functions = CALLED_WITH[kind]
    if not issubclass(cls, base):
        return f"{source_location(cls)}: class {cls.__name__} must derive from leangan.metrics.base.{base.__name__}"
    if lacking := sorted(cls.__abstractmethods__):
        return f"{source_location(cls)}: lacks {', '.join(lacking)}, see leangan/metrics/base.py"
    for name, count in functions.items():
        function, wanted = getattr(cls, name), inspect.signature(getattr(base, name))
        try:
            inspect.signature(function).bind(*range(count))
        except TypeError:
            return f"{source_location(function)}: {name} must take {', '.join(wanted.parameters)}"
    return None


def values_objection(metric: Metric, values: Any, fake: Features) -> str | None:
    """Why what a metric gave of `fake` breaks the contract; None: it keeps it."""
    where = f"{source_location(type(metric))}: __call__ gave"
    if not isinstance(values, dict):
        return f"{where} {type(values).__name__}, must give a dict of Value"
    own = {family.name for family in metric.families}
    wanted = [family.name for family in metric.families if family.goes_with(fake.extractor)]
    if not {*wanted} <= values.keys() <= own:
        return f"{where} values of {', '.join(map(str, values)) or 'nothing'}, must be of {', '.join(wanted)}"
    for name, value in values.items():
        if not isinstance(value, Value | NoValue):
            return f"{where} {type(value).__name__} for {name}, must give a Value or a NoValue"
        if isinstance(value, Value) and not _holds_numbers(value):
            return f"{where} {value} for {name}, must hold a float, a spread of 0 or more or None, and a text or None"
    return None


def _holds_numbers(value: Value) -> bool:
    """Whether the parts of a Value are of their types. A spread may be no number, which is no fault of the type."""
    number, spread, over = value
    spread_fits = spread is None or (isinstance(spread, int | float) and not spread < 0)
    return isinstance(number, int | float) and spread_fits and (over is None or isinstance(over, str))


def check_loaded(extractor: type[Extractor], loaded: Any) -> tuple[Any, str]:
    """What `load` of an extractor gave. Raises ConfigError unless it is (network, sha256)."""
    where = f"{source_location(extractor.load)}: load gave"
    if not isinstance(loaded, tuple) or list(map(type, loaded[1:])) != [str]:
        raise ConfigError(f"{where} {loaded!r:.60}, must give (network, sha256)")
    if not isinstance(loaded[0], nn.Module):
        raise ConfigError(f"{where} {type(loaded[0]).__name__}, must give a network")
    return loaded[0], loaded[1]


def check_features(network: nn.Module, found: Any, images: int) -> Features:
    """What a network gave of `images` images. Raises ConfigError unless it is (pooled,) or (pooled, logits)."""
    where = f"{source_location(type(network))}: forward gave"
    if not isinstance(found, tuple) or len(found) not in (1, 2):
        given = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        raise ConfigError(f"{where} {given}, must give (pooled,) or (pooled, logits)")
    for what, part in zip(("pooled", "logits"), found, strict=False):
        if not isinstance(part, Tensor):
            raise ConfigError(f"{where} {what} of type {type(part).__name__}, must be a tensor")
        if part.dtype != torch.float32 or part.ndim != 2 or len(part) != images:
            given = f"{str(part.dtype).removeprefix('torch.')} {list(part.shape)}"
            raise ConfigError(f"{where} {what} {given}, must be float32 [{images}, D]")
    return Features(*found)
