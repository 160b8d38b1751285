"""StyleGAN2 as TensorFlow pickles: StyleGAN2's own (arXiv:1912.04958), ADA's and DiffAugment's.

The file is a tuple (G, D, Gs) of networks, Gs with averaged weights. Each has variables [(name, array)] and, for a
generator, the components `mapping` and `synthesis`. Layouts: dense [in, out], convolution [H, W, in, out]; styles
are a dense layer plus 1, which this suite has in the bias. Up-sampling layers correlate as all others do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from leangan.released.pickle_reader import NETWORK, Record, as_array, origin

OPTIONAL = ()
POSITION = {"G": 0, "D": 1, "G_ema": 2}
PARTS = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}


def recognise(content: Any) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, tuple) and len(content) == 3 and all(origin(part) == NETWORK for part in content)


def values(content: tuple[Record, Record, Record], which: str) -> dict[str, Any]:
    """The arrays of one network, still as records, by their names in the file."""
    return dict(variables(content[POSITION[which]], ""))


def variables(network: Record, prefix: str) -> Iterator[tuple[str, Any]]:
    """Names and arrays of a network and its components."""
    for name, value in network.state["variables"]:
        # A scalar that no layer owns (lod, epochs) is the state of training.
        if "/" in name or as_array(value).ndim:
            yield prefix + name, value
    for name, component in network.state.get("components", {}).items():
        yield from variables(component, f"{prefix}{name}/")


def tensor_in_file(which: str, name: str, resolution: int) -> str | None:
    """The file's name of tensor `name` of this suite's network; None: it belongs to training alone."""
    return discriminator_source(name, resolution) if which == "D" else generator_source(name)


def generator_source(name: str) -> str | None:
    """`tensor_in_file` for G."""
    match name.split("."):
        case ["mapping", "embed", kind]:
            return f"mapping/LabelEmbed/{kind}"
        case ["mapping", "layers", index, kind]:
            return f"mapping/Dense{index}/{kind}"
        case ["w_avg"]:
            return "dlatent_avg"
        case ["const"]:
            return "synthesis/4x4/Const/const"
        case ["blocks", index, layer, "noise_const"]:
            return f"synthesis/noise{2 * int(index) - (layer == 'conv0')}"
        case ["blocks", index, layer, *rest]:
            size, part = 4 << int(index), ".".join(rest)
            layers = {"conv0": "Conv0_up", "conv1": "Conv1" if size > 4 else "Conv", "to_rgb": "ToRGB"}
            return f"synthesis/{size}x{size}/{layers[layer]}/{PARTS.get(part, part)}"
    return None


def discriminator_source(name: str, resolution: int) -> str | None:
    """`tensor_in_file` for D."""
    match name.split("."):
        case ["mapping", "embed", kind]:
            return f"LabelEmbed/{kind}"
        case ["mapping", "layers", index, kind]:
            return f"Mapping{index}/{kind}"
        case ["from_rgb", kind]:
            return f"{resolution}x{resolution}/FromRGB/{kind}"
        case ["blocks", index, layer, kind]:
            size = resolution >> int(index)
            layers = {"conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip"}
            return f"{size}x{size}/{layers[layer]}/{kind}"
        case ["conv", kind]:
            return f"4x4/Conv/{kind}"
        case ["dense", kind]:
            return f"4x4/Dense0/{kind}"
        case ["output", kind]:
            return f"Output/{kind}"
    return None


def to_layout(which: str, name: str, value: Tensor) -> Tensor:
    """A tensor of the file in the layout of the tensor `name` here."""
    if name.endswith("affine.bias"):
        return value + 1
    if value.ndim == 2:
        return value.T
    if value.ndim != 4:
        return value
    if name == "const":
        return value.squeeze(0)
    return value.squeeze((0, 1)) if name.endswith("noise_const") else value.permute(3, 2, 0, 1)
