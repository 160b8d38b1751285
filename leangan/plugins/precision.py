"""Which type a layer of a backbone computes in: 16 bits at the highest resolutions (arXiv:2006.06676, appendix D.1).

A block belongs to the higher of the resolutions it works at: in G that of what it gives, in D that of what it takes.
Parameters, latents, styles, demodulation, the image, the last layers of D and the losses keep the type of the
weights, float32. A block of a resolution that was asked for casts what enters it to the 16-bit type of its preset
(`half_type`) on a GPU. On a CPU it computes in float32 unless `half_precision` asks for 16 bits.

float16 ends at 65504. Three things keep features below: limited feature maps (`conv_clamp`), styles and filters
brought to unit size before they are multiplied (`modulated_conv2d` of StyleGAN2), and float32 everywhere else. The loss
is not scaled, as in the paper: with |grad D|^2 of order 1, a batch of 64 and 64 maps at 256 x 256, the gradient by a
feature is about 1e-5, a hundred times float16's least number. Gradients that overflow are cut by `cast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from leangan.plugins.backbone import NOT_NEGATIVE, Key, check_choice

HALF_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""The 16-bit types by the names that configurations give them."""

KEYS = {
    "half_resolutions": Key(
        int, 0, "how many of the highest resolutions compute in 16 bits on a GPU; never 4 x 4", NOT_NEGATIVE
    ),
    "half_type": Key(str, "bfloat16", "the 16-bit type of these on a GPU: bfloat16, float16 or none"),
}
"""The preset keys of a backbone that computes in 16 bits. Runs without 16-bit resolutions may leave both out of their
identity (`Backbone.resolve`), so that the first must stay 0 where it is not stated."""

_asked: ContextVar[torch.dtype | None] = ContextVar("asked", default=None)


def all_float32(settings: dict[str, Any]) -> bool:
    """Whether nothing computes in 16 bits by these values of KEYS."""
    return settings["half_type"] == "none" or not settings["half_resolutions"]


def half_at(resolutions: Iterable[int], settings: dict[str, Any]) -> dict[int, torch.dtype]:
    """The `resolutions` that compute in 16 bits on a GPU by these values of KEYS, each with its type.

    Raises ValueError for a value that a preset cannot have.
    """
    check_choice("half_type", settings["half_type"], (*HALF_TYPES, "none"))
    if all_float32(settings):
        return {}
    highest = sorted(resolutions, reverse=True)[: settings["half_resolutions"]]
    return {resolution: HALF_TYPES[settings["half_type"]] for resolution in highest if resolution > 4}


@contextmanager
def half_precision(dtype: torch.dtype) -> Iterator[None]:
    """Within it, 16-bit blocks compute in `dtype` (bfloat16, float16 or float32) on every device."""
    token = _asked.set(dtype)
    try:
        yield
    finally:
        _asked.reset(token)


def compute_dtype(weight: Tensor, half: torch.dtype | None) -> torch.dtype:
    """The type in which a block with the parameter `weight` computes. `half`: its 16-bit type on a GPU, None: none."""
    if half is None:
        return weight.dtype
    return _asked.get() or (half if weight.is_cuda else weight.dtype)


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in `dtype`, x itself where it is. On entry to float16, gradients that left its range are cut to it.

    Everything float32 that a 16-bit layer uses, parameters too, enters through here, so that no infinite gradient
    reaches an optimiser.
    """
    if x.dtype == dtype:
        return x
    y = x.to(dtype)
    if dtype == torch.float16 and y.requires_grad:
        y.register_hook(_finite)
    return y


def _finite(grad: Tensor | None) -> Tensor | None:
    # A second differentiation may reach y with no gradient at all.
    return None if grad is None else torch.nan_to_num(grad)
