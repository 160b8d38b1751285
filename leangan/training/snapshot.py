"""Snapshots: the averaged generator as safetensors, loadable with nothing but the run's spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json, write_atomic
from leangan.core.spec import RunSpec, check_scheme
from leangan.plugins.networks import build_networks
from leangan.plugins.pair import Generator
from leangan.training.origin import Origin

HEADER = "leangan"


class ImageKind(Protocol):
    """What a snapshot's header says of the images: their channels and classes (0: unconditional)."""

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int: ...


def save_generator(
    path: Path, G: nn.Module, spec: RunSpec, data: ImageKind, nimg: int, origin: Origin | None = None
) -> None:
    """Write G's parameters and buffers with the spec that rebuilds it and the run's `origin`, all or nothing."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in G.state_dict().items()}
    # One entry: safetensors writes several in random order, and the same run shall leave the same bytes.
    header = {
        "spec": json.loads(spec.to_json()),
        "channels": data.channels,
        "classes": data.classes,
        "nimg": nimg,
        "origin": origin,
    }
    metadata = {HEADER: json.dumps(header)}
    write_atomic(path, save(tensors, metadata))


def load_generator(path: Path, device: str = "cpu") -> Generator:
    """The averaged generator of a snapshot, in evaluation mode on `device`. ConfigError for a file that is none."""
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path} is no snapshot, or a damaged one ({error}).") from None
    if HEADER not in metadata:
        raise ConfigError(f"{path} is no snapshot of this suite: its header holds no {HEADER!r}.")
    try:
        header = parse_json(metadata[HEADER])
        check_scheme(header["spec"], str(path))
        spec = RunSpec.from_fields(header["spec"])
        _, G, _, _ = build_networks(spec, header["channels"], header["classes"])
        G.load_state_dict(tensors)
    except ConfigError:
        raise
    except Exception as error:  # a spec that was changed fails anywhere in the networks
        raise ConfigError(f"{path} is a damaged snapshot ({type(error).__name__}: {error}).") from error
    return G.eval().requires_grad_(False).to(torch.device(device))
