"""Several methods as one: `ada-bcr: [ada, bcr]` in config/methods.yaml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from leangan.plugins.arguments import bind
from leangan.plugins.method import DStep, GStep, Method, Networks, Role
from leangan.plugins.structure import same_structure, structure_of


class Compose(Method):
    """Calls every hook of its methods in their order: transforms, mixes, adversarial losses and regularisers of
    D are chained, the losses added to those summed.

    A scalar that two methods log under one name is written as `<method>.<scalar>` for each of them. `of_generator` are
    the methods that changed G in `prepare`, by name: G cannot be built again without them.

    Args:
        methods: the methods by name; none at all is the baseline.
    """

    def __init__(self, methods: dict[str, Method]) -> None:
        super().__init__()
        self.of_generator: list[str] = []
        self.methods = dict(methods)
        self.parts = nn.ModuleDict(methods)  # the same, so that torch finds their parameters and buffers
        self.title = " + ".join(method.title for method in methods.values())
        self.paper = ", ".join(dict.fromkeys(method.paper for method in methods.values()))
        self.needs_validation = any(method.needs_validation for method in methods.values())
        self.capturable = all(method.capturable for method in methods.values())

    def prepare(self, networks: Networks) -> None:
        for name, method in self.methods.items():
            before = structure_of(networks.G)
            method.prepare(networks)
            if not same_structure(before, structure_of(networks.G)):
                self.of_generator.append(name)

    def initialize(self, networks: Networks) -> None:
        for method in self.methods.values():
            method.initialize(networks)

    def transform(self, x: Tensor, role: Role) -> Tensor:
        for method in self.methods.values():
            x = method.transform(x, role)
        return x

    def mix(self, x_real: Tensor, x_fake: Tensor) -> Tensor:
        for method in self.methods.values():
            x_real = method.mix(x_real, x_fake)
        return x_real

    def d_adversarial(self, ctx: DStep, loss: Tensor) -> Tensor:
        for method in self.methods.values():
            loss = method.d_adversarial(ctx, loss)
        return loss

    def g_adversarial(self, ctx: GStep, loss: Tensor) -> Tensor:
        for method in self.methods.values():
            loss = method.g_adversarial(ctx, loss)
        return loss

    def d_loss(self, ctx: DStep) -> Tensor | float:
        return sum((method.d_loss(ctx) for method in self.methods.values()), 0.0)

    def g_loss(self, ctx: GStep) -> Tensor | float:
        return sum((method.g_loss(ctx) for method in self.methods.values()), 0.0)

    def d_regularizer(
        self, loss: Tensor, t_real: Tensor, c_real: Tensor | None, penalty: Callable[[Tensor], Tensor]
    ) -> Tensor:
        for method in self.methods.values():
            loss = method.d_regularizer(loss, t_real, c_real, penalty)
        return loss

    def after_g_step(self, networks: Networks, cur_nimg: int) -> None:
        for method in self.methods.values():
            method.after_g_step(networks, cur_nimg)

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        for method in self.methods.values():
            method.observe(d_real, d_fake, cur_nimg)

    def observe_validation(self, d_valid: Tensor, cur_nimg: int) -> None:
        for method in self.methods.values():
            method.observe_validation(d_valid, cur_nimg)

    def log(self) -> dict[str, float]:
        logs = {name: method.log() for name, method in self.methods.items()}
        keys = [key for log in logs.values() for key in log]
        return {
            key if keys.count(key) == 1 else f"{name}.{key}": value
            for name, log in logs.items()
            for key, value in log.items()
        }


def build(entries: Sequence[tuple[str, type[Method], dict[str, Any]]]) -> Compose:
    """The composition of (name, class, keyword arguments) entries.

    Raises ValueError for a name that comes twice and for arguments that `plugins.arguments.bind` refuses. The
    message says what is allowed.
    """
    methods: dict[str, Method] = {}
    for name, cls, given in entries:
        if name in methods:
            raise ValueError(f"method {name!r} comes twice in {[n for n, _, _ in entries]}: name it once")
        methods[name] = cls(**bind(name, cls, given))
    return Compose(methods)
