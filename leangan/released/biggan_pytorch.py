"""BigGAN as PyTorch state dicts (*.pth), one network a file: DiffAugment's for CIFAR (arXiv:2006.10738).

Names are those of the BigGAN authors' own PyTorch release. Label embeddings are [classes, out]; a layer that is
spectrally normalised has the vector `u0` of the power iteration, from which the normalised weight follows: one more
half-step gives v and u, and the weight is divided by u W v. Networks whose blocks share one label embedding are not
read: their blocks see label and latent in another order.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

OPTIONAL = (".sv0", ".stored_mean", ".stored_var")
BLOCK = {"norm0": "0.bn1", "norm1": "0.bn2", "conv0": "0.conv1", "conv1": "0.conv2", "skip": "0.conv_sc"}
ATTENTION = {"query": "theta", "key": "phi", "value": "g", "output": "o"}
STATISTICS = {"mean": "stored_mean", "var": "stored_var"}


def recognise(content: Any) -> bool:
    """Whether a file's content is of this format."""
    return isinstance(content, dict) and "linear.weight" in content and "blocks.0.0.conv1.weight" in content


def values(content: dict[str, Tensor], which: str) -> dict[str, Tensor]:
    """The file's tensors, with vectors u and v in the place of each u0."""
    if "shared.weight" in content:
        raise ValueError("its blocks share a label embedding, which is not supported")
    tensors = dict(content)
    for name in content:
        if name.endswith(".u0"):
            layer = name.removesuffix(".u0")
            weight = content[f"{layer}.weight"].flatten(1)
            v = F.normalize(tensors.pop(name) @ weight)
            tensors[f"{layer}.v"], tensors[f"{layer}.u"] = v[0], F.normalize(v @ weight.T)[0]
    return tensors


def tensor_in_file(which: str, name: str, resolution: int) -> str | None:
    """The file's name of tensor `name` of this suite's network."""
    *place, kind = name.replace("parametrizations.weight.original", "weight").split(".")
    if kind in ("_u", "_v"):
        place = place[:-3]  # parametrizations.weight.0
        # A label embedding is stored transposed, and so are its two vectors.
        kind = {"_u": "v", "_v": "u"}[kind] if place == ["embed"] else kind[1:]
    match place:
        case ["blocks", index, "attention"]:
            layer = f"blocks.{index}.1"
        case ["blocks", index, "attention", part]:
            layer = f"blocks.{index}.1.{ATTENTION[part]}"
        case ["blocks", index, part, *rest]:
            layer = ".".join(["blocks", index, BLOCK[part], *rest])
        case [part]:
            names = {"dense": "linear", "norm": "output_layer.0", "to_rgb": "output_layer.2", "output": "linear"}
            layer = names.get(part, part)
    return f"{layer}.{STATISTICS.get(kind, kind)}"


def to_layout(which: str, name: str, value: Tensor) -> Tensor:
    """A tensor of the file in the layout of the tensor `name` here."""
    embedding = name.startswith("embed.") or ".norm" in name
    return value.T if embedding and value.ndim == 2 else value
