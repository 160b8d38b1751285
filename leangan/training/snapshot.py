"""Snapshots: the averaged generator as safetensors, with all that is needed to build it again in the header.

That is the run's spec with the number of channels, the names of the classes and the plugins that change G. To load a
snapshot the files of those plugins must be there; the files of other plugins are used if they are there.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from leangan.core.errors import ConfigError
from leangan.core.files import parse_json, write_atomic
from leangan.core.spec import RunSpec, check_scheme
from leangan.plugins import registry
from leangan.plugins.networks import build_networks
from leangan.plugins.pair import Generator
from leangan.plugins.registry import FailedImport
from leangan.training.origin import Origin

HEADER = "leangan"


class ImageKind(Protocol):
    """What a snapshot's header says of the images: channels, classes (0: unconditional) and what these are called."""

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int: ...

    @property
    def class_names(self) -> Sequence[str]: ...


def save_generator(
    path: Path,
    G: nn.Module,
    spec: RunSpec,
    data: ImageKind,
    nimg: int,
    origin: Origin | None = None,
    plugins: Sequence[str] | None = None,
) -> None:
    """Write G's parameters and buffers with what rebuilds it and the run's `origin`, all or nothing.

    `plugins` are those of the spec that change G (`Compose.of_generator`); None: all count as such.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in G.state_dict().items()}
    # One entry: safetensors writes several in random order, and the same run shall leave the same bytes.
    header = {
        "spec": json.loads(spec.to_json()),
        "channels": data.channels,
        "classes": data.classes,
        "class_names": list(data.class_names),
        "plugins": [name for name, _ in spec.plugins] if plugins is None else list(plugins),
        "nimg": nimg,
        "origin": origin,
    }
    metadata = {HEADER: json.dumps(header)}
    write_atomic(path, save(tensors, metadata))


def load_generator(path: Path, device: str = "cpu") -> Generator:
    """The averaged generator of a snapshot, in evaluation mode on `device`, with the names of its classes.

    Raises ConfigError for a file that is no snapshot, and where a plugin that changes G is not there.
    """
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
        # Earlier versions did not say which plugins change G.
        G = _built(path, spec, header.get("plugins", dict(spec.plugins)), header["channels"], header["classes"])
        G.load_state_dict(tensors)
        G.class_names = header.get("class_names", [])
    except ConfigError:
        raise
    except Exception as error:  # a spec that was changed fails anywhere in the networks
        raise ConfigError(f"{path} is a damaged snapshot ({type(error).__name__}: {error}).") from error
    return G.eval().requires_grad_(False).to(torch.device(device))


def _built(path: Path, spec: RunSpec, of_generator: Container[str], channels: int, classes: int) -> Generator:
    """A new G, prepared by the spec's plugins. Those that do not change it are left out where they cannot be imported.

    Raises ConfigError, which names the snapshot, where one of `of_generator` is missing.
    """
    there = registry.names("method")
    needed = [
        (name, args)
        for name, args in spec.plugins
        if name in of_generator or (name in there and not isinstance(registry.load("method", name), FailedImport))
    ]
    try:
        _, G, _, _ = build_networks(replace(spec, plugins=needed), channels, classes)
    except ConfigError as error:
        raise ConfigError(f"the generator of {path} cannot be built: {error}") from error
    return G
