"""Reasons to skip that several methods share."""

from __future__ import annotations

from typing import Any

from leangan.core.spec import RunSpec
from leangan.plugins.backbone import Backbone
from leangan.plugins.controller import ControlledMethod
from leangan.plugins.method import Method
from leangan.plugins.registry import load, require


def image_augmentation(spec: RunSpec, instead: str) -> str | None:
    """The reason where a plugin of the run `spec` changes images before D sees them, which `instead` replaces."""
    for name, _ in spec.plugins:
        plugin = load("method", name)
        if isinstance(plugin, type) and issubclass(plugin, Method) and plugin.transform is not Method.transform:
            return f"{instead} take the place of image augmentation (arXiv:2006.06676, fig. 8a); leave {name!r} out"
    return None


def random_start(spec: RunSpec, network: str) -> str | None:
    """The reason where the run `spec` starts from random weights and a method keeps some of `network` as they are."""
    if "transfer" in dict(spec.plugins):
        return None
    return f"it keeps what {network} learned in an earlier run: compose it with `transfer` in config/methods.yaml"


def prepares_networks(plugin: Any) -> bool:
    """Whether a plugin is a method that changes or extends networks in `prepare`, or sets their weights."""
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        return False
    # That of ControlledMethod tells the controller of its run.
    prepares = plugin.prepare not in (Method.prepare, ControlledMethod.prepare)
    return prepares or plugin.initialize is not Method.initialize


def copied_too_early(spec: RunSpec, name: str) -> str | None:
    """The reason where a method of the run `spec` comes after `name`, which copies D, and may change D in between."""
    names = [plugin for plugin, _ in spec.plugins]
    for later in names[names.index(name) + 1 :]:
        if prepares_networks(load("method", later)):
            return (
                f"it copies D as the methods before it leave it: name {name!r} after {later!r} in config/methods.yaml"
            )
    return None


def replaces_adversarial_loss(plugin: Any) -> bool:
    """Whether a plugin is a method that replaces the backbone's adversarial loss, of D or of G."""
    if not (isinstance(plugin, type) and issubclass(plugin, Method)):
        return False
    return plugin.d_adversarial is not Method.d_adversarial or plugin.g_adversarial is not Method.g_adversarial


def another_adversarial_loss(spec: RunSpec, name: str) -> str | None:
    """The reason where another method of the run `spec` than `name` replaces the backbone's adversarial loss."""
    for other, _ in spec.plugins:
        if other != name and replaces_adversarial_loss(load("method", other)):
            return f"{name!r} and {other!r} both decide on the adversarial loss: leave one of them out"
    return None


def more_than_logits(spec: RunSpec) -> str | None:
    """The reason where the backbone's adversarial loss takes more than the logits [N, 1] of other images."""
    if require("backbone", spec.backbone).d_adversarial is Backbone.d_adversarial:
        return None
    return f"the adversarial loss of {spec.backbone!r} takes more than the logits that it has for other images"
