"""From a spec to its networks and its method, before the first step."""

from __future__ import annotations

from leangan.core.spec import RunSpec
from leangan.plugins import registry
from leangan.plugins.backbone import Backbone
from leangan.plugins.compose import Compose, build
from leangan.plugins.method import Networks
from leangan.plugins.pair import Discriminator, Generator


def build_networks(spec: RunSpec, channels: int, classes: int) -> tuple[Backbone, Generator, Discriminator, Compose]:
    """(backbone, G, D, method) of a run before its first step, `prepare` applied; classes 0 is unconditional."""
    plugins = [(name, registry.require("method", name), args) for name, args in spec.plugins]
    backbone = registry.require("backbone", spec.backbone, "config/presets.yaml")(
        spec.hyper, spec.resolution, channels, classes
    )
    networks = Networks(backbone.generator(), backbone.discriminator(), spec)
    method = build(plugins)
    method.prepare(networks)
    return backbone, networks.G, networks.D, method
