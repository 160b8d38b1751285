"""Reasons to skip that several methods share."""

from __future__ import annotations

from typing import Any

from augment.base import Method
from suite.registry import FailedImport, load


def other_backbone(spec: dict[str, Any], part: str) -> str | None:
    """The reason where the run `spec` has another backbone than StyleGAN2, whose `part` a method changes."""
    backbone = spec["backbone"]
    return None if backbone == "stylegan2" else f"it changes StyleGAN2's {part}; the backbone is {backbone!r}"


def image_augmentation(spec: dict[str, Any], instead: str) -> str | None:
    """The reason where a plugin of the run `spec` changes images before D sees them, which `instead` replaces."""
    for name, _ in spec.get("plugins", ()):
        plugin = load("method", name)
        if not isinstance(plugin, FailedImport) and plugin.transform is not Method.transform:
            return f"{instead} take the place of image augmentation (arXiv:2006.06676, fig. 8a); leave {name!r} out"
    return None


def random_start(spec: dict[str, Any], network: str) -> str | None:
    """The reason where the run `spec` starts from random weights and a method keeps some of `network` as they are."""
    if "transfer" in dict(spec.get("plugins", ())):
        return None
    return f"it keeps what {network} learned in an earlier run: compose it with `transfer` in config/methods.yaml"
