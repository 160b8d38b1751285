"""StyleGAN2 as PyTorch pickles: ADA's PyTorch release and DiffAugment's port to it.

The file is a dict with G, D and G_ema, each a module whose class travels as source text (never looked at) and whose
state is that of torch.nn.Module. Layouts are those of this suite, except that the convolutions that double the
resolution are stored for a true convolution: their kernels are flipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from leangan.released.pickle_reader import PERSISTENT, origin

OPTIONAL = ("resample_filter",)
NETWORKS = ("G", "D", "G_ema")


def recognise(content: Any) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, dict) and all(origin(content.get(name)) == PERSISTENT for name in NETWORKS)


def values(content: dict[str, Any], which: str) -> dict[str, Any]:
    """The tensors of one network, still as records, by their names in the file."""
    return dict(tensors(content[which], ""))


def tensors(module: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Names and tensors of a module and its children."""
    if origin(module) != PERSISTENT:
        raise ValueError(f"{prefix or 'the network'} is {origin(module) or type(module).__name__}, no module")
    state = module.args[0]["state"]
    for name, value in [*state["_parameters"].items(), *state["_buffers"].items()]:
        if value is not None:
            yield prefix + name, value
    for name, child in state["_modules"].items():
        yield from tensors(child, f"{prefix}{name}.")


def tensor_in_file(which: str, name: str, resolution: int) -> str | None:
    """The file's name of tensor `name` of this suite's network; None: it belongs to training alone."""
    return discriminator_source(name, resolution) if which == "D" else generator_source(name)


def generator_source(name: str) -> str | None:
    """`tensor_in_file` for G."""
    match name.split("."):
        case ["mapping", "embed", kind]:
            return f"mapping.embed.{kind}"
        case ["mapping", "layers", index, kind]:
            return f"mapping.fc{index}.{kind}"
        case ["w_avg"]:
            return "mapping.w_avg"
        case ["const"]:
            return "synthesis.b4.const"
        case ["blocks", index, layer, *rest]:
            return f"synthesis.b{4 << int(index)}.{layer.replace('_', '')}.{'.'.join(rest)}"
    return None


def discriminator_source(name: str, resolution: int) -> str | None:
    """`tensor_in_file` for D."""
    match name.split("."):
        case ["mapping", "embed", kind]:
            return f"mapping.embed.{kind}"
        case ["mapping", "layers", index, kind]:
            return f"mapping.fc{index}.{kind}"
        case ["from_rgb", kind]:
            return f"b{resolution}.fromrgb.{kind}"
        case ["blocks", index, layer, kind]:
            return f"b{resolution >> int(index)}.{layer}.{kind}"
        case ["conv", kind]:
            return f"b4.conv.{kind}"
        case ["dense", kind]:
            return f"b4.fc.{kind}"
        case ["output", kind]:
            return f"b4.out.{kind}"
    return None


def to_layout(which: str, name: str, value: Tensor) -> Tensor:
    """A tensor of the file in the layout of the tensor `name` here."""
    up_sampling = which != "D" and name.endswith("conv0.weight")
    return value.flip(2, 3) if up_sampling and value.ndim == 4 else value
