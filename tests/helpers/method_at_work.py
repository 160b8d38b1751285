"""A method within a small run in which it takes part, and all that it changes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leangan.core.spec import TRANSFER, RunSpec
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.plugins.compose import Compose
from leangan.plugins.method import ROLES, Method, Networks
from leangan.runs.grid import refusal
from leangan.runs.methods import method_parts, method_preset
from leangan.training import trainer
from leangan.training.reals import Reals
from leangan.training.trainer import Player, Trainer
from tests.helpers.twins import Notes

CPU = torch.device("cpu")
PRESETS = ("tiny", "tiny-biggan")
SMALL_BIGGAN = {"z_dim": 8, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16, "batch": 8}
SMALL = {
    "tiny": {"pl_weight": 2.0, "style_mixing": 0.9},
    "tiny-biggan": SMALL_BIGGAN,
    "tiny-fastgan": {"z_dim": 8, "g_width": 4, "d_width": 4, "excitation_factor": 2},  # for images of 32 pixels
}
"""What is smaller than in the presets, by their names."""
EARLIER = (TRANSFER, {"run": "an-earlier-one"})  # its weights are read by `initialize`, which is not called here


def run_of(
    name: str, make_spec: Callable[..., RunSpec], presets: Sequence[str] = PRESETS, **changes: dict[str, Any]
) -> RunSpec | str:
    """A tiny run that the method does not refuse, or why it refuses each.

    Tried are the method alone, after a transfer, and as the entries of config/methods.yaml have it. What these do not
    state of the method itself is `quick`. `changes` replace arguments of plugins, by name.
    """
    quick = registry.load("method", name).quick
    entries = [entry for entry in read("config/methods.yaml") if name in dict(method_parts(entry))]
    own = (name, quick)
    tried = [([own], {}), ([EARLIER, own], {})]
    for entry in entries:
        parts = [(part, {**quick, **args} if part == name else args) for part, args in method_parts(entry)]
        tried.append(([_without_parent(part) for part in parts], method_preset(entry)))
    reasons = []
    for preset in presets:
        for parts, hyper in tried:
            plugins = [(plugin, {**args, **changes.get(plugin, {})}) for plugin, args in parts]
            spec = make_spec(name, hyper={**SMALL[preset], **hyper}, plugins=plugins, of=preset)
            if (reason := refusal(spec)) is None:
                return spec
            reasons.append(reason[1])
    return reasons[0]


def _without_parent(part: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return EARLIER if part[0] == TRANSFER else part


def other_plugins(spec: RunSpec) -> list[tuple[str, dict[str, Any]]]:
    """What acts in a run beside the method that gives it its name."""
    return [(name, args) for name, args in spec.plugins if name not in (spec.method, TRANSFER)]


def trainer_of(spec: RunSpec, method: Method, data: Reals) -> Trainer:
    """A Trainer whose networks have the same weights whatever the method, which prepares them, draws.

    The other plugins of the run act before the method, which is the one that gives the run its name.
    """
    torch.default_generator.manual_seed(0)
    backbone = registry.load("backbone", spec.backbone)(spec.hyper, spec.resolution, 3, 0)
    G, D = backbone.generator(), backbone.discriminator()
    with torch.no_grad():  # what starts at 0 has no effect until it is learned
        for param in [*G.parameters(), *D.parameters()]:
            if param.ndim <= 1:
                param += 0.1 * torch.randn(param.shape)
    torch.default_generator.manual_seed(1)
    networks = Networks(G, D, spec)
    others = {name: registry.load("method", name)(**args) for name, args in other_plugins(spec)}
    composed = Compose({**others, "it": method})
    composed.prepare(networks)
    built = (backbone, networks.G, networks.D, composed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_networks", lambda spec, channels, classes: built)
        return Trainer(spec, data, CPU)


def seeded(function: Callable[..., Any], seed: int = 2) -> Callable[..., Any]:
    """`function`, which then draws the same at every call, whatever was drawn before."""

    def call(*arguments: Any) -> Any:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed notes a stack trace for the GPU
        return function(*arguments)

    return call


class Watched(Notes):
    """Notes also which parameters the losses lead to."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        self.reached: set[int] = set()

    def step(self, loss: Callable[[], Tensor]) -> Tensor:
        def noted() -> Tensor:
            value = loss()
            self.reached |= {id(param) for param in parameters_of(value)}
            return value

        return super().step(noted)


def parameters_of(loss: Tensor) -> Iterator[nn.Parameter]:
    """The parameters to which the graph of a loss leads."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [following for following, _ in node.next_functions]
        if isinstance(param := getattr(node, "variable", None), nn.Parameter):
            yield param


def effects(spec: RunSpec, method: Method, data: Reals) -> dict[str, Tensor]:
    """All that a method may change: images, outputs of G and D, losses and gradients, regularisers included."""
    steps = trainer_of(spec, method, data)
    G, D = steps.G, steps.D
    for network in (G, D):
        network.register_forward_pre_hook(seeded(lambda network, inputs: None), prepend=True)
    steps.latents = seeded(steps.latents, 3)  # other numbers than a network draws
    (x, c), (z, _) = data.batch(0, 8), steps.latents()
    with torch.no_grad():
        found = {f"transform {role}": seeded(method.transform)(x, role) for role in ROLES}
        found["mix of reals"] = seeded(method.mix)(x, x.flip(3))
        found["output of G"], found["output of D"] = G(z, c), D(x, c)
    steps.g_player, steps.d_player = g, d = Watched(steps.g_player), Watched(steps.d_player)
    steps.g_step(0, iteration=0)
    steps.d_step(0, iteration=0)
    known = {id(param) for part in (G, D, steps.method) for param in part.parameters()}
    assert g.reached | d.reached <= known, "a loss leads to a parameter that nothing trains: register its layer"
    for role, notes in (("G", g), ("D", d)):
        found |= {f"loss {i} of {role}": loss for i, loss in enumerate(notes.losses)}
        for i, gradients in enumerate(notes.gradients):
            for name, gradient in zip(_names(steps, notes.player.params), gradients, strict=True):
                if gradient is not None:
                    found[f"gradient {i} of {role}'s step by {name}"] = gradient
    return found


def _names(steps: Trainer, params: list[nn.Parameter]) -> Iterator[str]:
    """What the networks and the method call these parameters."""
    parts = {"G": steps.G, "D": steps.D, "method": steps.method}
    known = {id(param): f"{part}.{name}" for part, module in parts.items() for name, param in module.named_parameters()}
    return (known[id(param)] for param in params)
