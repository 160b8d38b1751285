"""From a released file to a network of this suite: every tensor found, of the right shape, and none left over."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.released import biggan_pytorch, stylegan2_pytorch, stylegan2_tf
from leangan.released.pickle_reader import read_pickle, read_tensors, read_weights

FORMATS = {"stylegan2": (stylegan2_tf, stylegan2_pytorch), "biggan": (biggan_pytorch,)}
"""By backbone, the modules that know a format: `recognise(content)`, `values(content, which)` with the file's
tensors by name, `source(which, name, resolution)` with the file's name of a tensor here, None where it belongs to
training alone, `to_layout(which, name, value)`, and OPTIONAL, endings of names that may have no place here."""


def read_network(path: Path, which: str, backbone: str) -> tuple[dict[str, Tensor], ModuleType]:
    """The tensors of network `which` by their names in the file, and the module that knows the format.

    Raises ConfigError where the file is damaged, refused or of no format known for `backbone`.
    """
    content = read_content(path)
    for form in FORMATS.get(backbone, ()):
        if form.recognise(content):
            try:
                values = form.values(content, which)
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
                raise ConfigError(f"{path}: network {which} cannot be read: {error!r}") from None
            return read_tensors(values, path), form
    raise ConfigError(
        f"{path} holds no released network of backbone {backbone!r}: its content is {type(content).__name__}; "
        "formats and backbones are in docs/released-weights.md"
    )


def read_content(path: Path) -> Any:
    """What a file holds: records for a pickle, a dict of tensors for a PyTorch state dict."""
    with open(path, "rb") as file:
        zipped = file.read(4) == b"PK\3\4"
    content = None if zipped else read_pickle(path)
    # PyTorch's old format is several pickles, the first of which is a number.
    if not zipped and content != torch.serialization.MAGIC_NUMBER:
        return content
    try:
        with open(path, "rb") as file:
            return read_weights(file)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path} is damaged or holds more than tensors ({reason}); nothing in it was run") from None


def load_released(network: nn.Module, path: Path, which: str, spec: RunSpec) -> None:
    """Give `network`, built from `spec`, the weights of `which` in the file at `path`.

    Raises ConfigError where the file and the preset describe different networks, naming tensor and shapes.
    """
    found, form = read_network(path, which, spec.backbone)
    asked = f"preset {spec.preset!r} at {spec.resolution} px"
    advice = "--preset, --resolution, --channels and --classes must be those of the network in the file"
    state = {}
    for name, ours in network.state_dict().items():
        source = form.tensor_in_file(which, name, spec.resolution)
        if source is None:
            state[name] = ours
            continue
        if source not in found:
            raise ConfigError(f"{path}: network {which} has no tensor {source!r}, which {asked} needs; {advice}")
        value = form.to_layout(which, name, found.pop(source))
        if value.shape != ours.shape:
            raise ConfigError(
                f"{path}: tensor {source!r} of network {which} gives shape {tuple(value.shape)}, {asked} needs "
                f"{tuple(ours.shape)} for {name}; {advice}"
            )
        if not value.isfinite().all():
            raise ConfigError(f"{path}: tensor {source!r} of network {which} holds values that are not finite")
        state[name] = value.to(ours.dtype)
    left = sorted(name for name in found if not name.endswith(form.OPTIONAL))
    if left:
        some = ", ".join(repr(name) for name in left[:3])
        raise ConfigError(f"{path}: {asked} has no place for {len(left)} tensors of network {which}: {some}; {advice}")
    network.load_state_dict(state)
