"""DynamicD: the width of D's layers changes while training goes on (arXiv:2209.09897, NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from leangan.core.ranks import drawing_alike, world_size
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.method import Networks

INTERVAL = 4  # D steps between two changes of the width; the release takes the interval of ADA's heuristic


class Method(method.Method):
    """Uses only a part f of the channels of D's layers, which changes linearly over the run:

        f = start + (end - start) * images so far / images of the whole run

    A layer with weights W_oi from I inputs to O outputs uses W_oi a_o b_i in their place. int(f O) of the a_o and
    int(f I) of the b_i are 1, the others 0. The layer's gain 1/sqrt(fan-in) counts only the inputs in use. Channels are
    drawn anew for each layer and each pass of D. The inputs of a layer are drawn independently of the outputs of the
    layer below. An output that is not in use still gets its bias.

    Images, the maps of the minibatch standard deviation and D's outputs are always in use. The dense layer uses either
    all pixels of a map or none. Layers of the label keep their width.

    All constants are those of the authors' release (github.com/genforce/dynamicd). With few images D narrows, which is
    the default. With many images D widens: `start` 0.5, `end` 1, `keep` 0 and `random` False. As in the release, reals
    and fakes take a pass each, so different parts of D see them. There are two deviations: all GPUs share one draw,
    where in the release each has its own, and a layer uses at least one channel.

    Args:
        start, end: f at the first image and after the last one. f changes every 4 D steps.
        keep: how many layers of FromRGB and the blocks keep all channels, counted as in `augment.freeze_d`. The next
            layer keeps all inputs. The layers after the blocks change for any `keep`.
        random: whether channels are drawn; otherwise the first ones are in use.
    """

    title = "DynamicD"
    paper = "arXiv:2209.09897"
    constants = "release"
    capturable = True
    quick = {"start": 0.6, "end": 0.4, "keep": 2}
    neutral = {"start": 1.0, "end": 1.0}
    needs = frozenset({"d_layers", "equalised", "blocks"})
    redraws = True
    share: Tensor  # f
    seen: Tensor  # reals of all ranks so far

    def __init__(self, start: float = 1.0, end: float = 0.5, keep: int = 9, random: bool = True) -> None:
        super().__init__()
        for name, value in (("start", start), ("end", end)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; 0 < {name} <= 1 is allowed: change the method's `{name}`")
        if keep < 0:
            raise ValueError(f"keep is {keep}; 0 or more layers are allowed: change the method's `keep`")
        self.start, self.end, self.keep, self.random = start, end, keep, random
        self.register_buffer("share", torch.tensor(float(start)))
        self.register_buffer("seen", torch.tensor(0))

    def prepare(self, networks: Networks) -> None:
        D, self.total_nimg = networks.D, networks.spec.total_nimg
        D.apart = D.apart or self.random
        layers, in_blocks = D.layers(), set(D.blocks.modules())
        blocks_end = 1 + max(number for number, layer in enumerate(layers) if layer in in_blocks)
        for number in range(min(self.keep, blocks_end), len(layers)):
            layer, inside = layers[number], number < blocks_end
            layer.register_forward_pre_hook(
                self.narrowing(
                    usual_gain=layer.weight_gain,
                    # The layers after the blocks take more than the maps below them, or several pixels of each.
                    maps=layer.weight.shape[1] if inside else len(layers[number - 1].weight),
                    all_inputs=inside and number == self.keep,
                    all_outputs=number == len(layers) - 1,
                )
            )

    def narrowing(
        self, usual_gain: float, maps: int, all_inputs: bool, all_outputs: bool
    ) -> Callable[[Any, tuple[Tensor, ...]], None]:
        """A hook that sets the gain [O, I, ...] of a layer before each of its passes; `maps` is how many enter it."""

        def narrow(layer: Any, inputs: tuple[Tensor, ...]) -> None:
            fan_out, fan_in, *kernel = layer.weight.shape
            pixels, added = (1, fan_in - maps) if kernel else (fan_in // maps, 0)
            everything = self.share.new_ones
            below = everything(maps) if all_inputs else self.in_use(maps)
            below = torch.cat([below.repeat_interleave(pixels), everything(added)])
            above = everything(fan_out) if all_outputs else self.in_use(fan_out)
            gain = usual_gain * (fan_in / below.sum()).sqrt() * above[:, None] * below
            layer.weight_gain = gain.view(fan_out, fan_in, *[1 for _ in kernel])

        return narrow

    def in_use(self, channels: int) -> Tensor:
        """1 for each channel in use, 0 for the others."""
        if self.random:
            with drawing_alike():
                order = torch.rand(channels, device=self.share.device).argsort()
        else:
            order = torch.arange(channels, device=self.share.device)
        return (order < (self.share * channels).floor().clamp(min=1)).to(self.share.dtype)

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        batch = len(d_real) * world_size()
        self.seen += batch
        share = self.start + (self.end - self.start) * self.seen / self.total_nimg
        due = self.seen % (INTERVAL * batch) == 0
        self.share.copy_(torch.where(due, share, self.share))

    def log(self) -> dict[str, float]:
        return {"width": float(self.share)}

    @classmethod
    def skip(cls, spec: RunSpec) -> str | None:
        if "spectral_norm" in dict(spec.plugins):
            return "spectral norm goes without the gain 1/sqrt(fan-in) that DynamicD adapts to the width"
        return None
