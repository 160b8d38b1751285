"""The context of a step, of which a test states what it needs."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from leangan.plugins.method import DStep, GStep

UNUSED = torch.full((), torch.nan)
"""In the place of a tensor that a method must not use: nan comes out wherever it does."""


def step_of_d(**stated: Any) -> DStep:
    """A DStep with what is stated; all other tensors are nan, and notes, networks and functions are not there."""
    return DStep(**_completed(DStep, stated))


def step_of_g(**stated: Any) -> GStep:
    """The same for a GStep."""
    return GStep(**_completed(GStep, stated))


def _completed(kind: type, stated: dict[str, Any]) -> dict[str, Any]:
    absent = {"cur_nimg": 0, "c_fake": None, "c_real": None}
    tensors = {"Tensor", "Tensor | None"}
    fields = dataclasses.fields(kind)
    return {each.name: UNUSED if each.type in tensors else None for each in fields} | {
        name: value for name, value in {**absent, **stated}.items() if name in {each.name for each in fields}
    }
