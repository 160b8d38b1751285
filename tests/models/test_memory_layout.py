"""Filters lie in memory as the maps do, so that cuDNN lays out none of them anew, forward or backward."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from leangan.models import biggan, stylegan2
from leangan.models.stylegan2.layers import Conv, filters
from leangan.training.trainer import adam

CHANNELS_LAST = torch.channels_last
SMALL = {"z_dim": 16, "w_dim": 8, "mapping_layers": 2, "fmap_base": 32, "fmap_max": 8}
BACKBONES = {
    "stylegan2": lambda: stylegan2.Backbone(SMALL, 16, channels=3, classes=0),
    "biggan": lambda: biggan.Backbone({"z_dim": 16, "g_maps": [8, 8, 8], "d_maps": [8, 8, 8]}, 16, 3, 2),
}


class OtherLayouts(TorchDispatchMode):
    """Gathers the filters that a convolution of channels_last maps is given in another layout.

    Meta tensors follow no backend: results get the layout that cuDNN gives them, channels_last if the maps or the
    filters have it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = 0
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            return self.seen(result, *args[:2])
        if func is torch.ops.aten.convolution_backward.default:
            return tuple(t if t is None or t.ndim != 4 else self.seen(t, *args[1:3]) for t in result)
        return result

    def seen(self, result, x, weight):
        self.convolutions += 1
        last = [t.is_contiguous(memory_format=CHANNELS_LAST) for t in (x, weight)]
        if last == [True, False]:
            self.found.append(tuple(weight.shape))
        chosen = any(t.is_contiguous(memory_format=CHANNELS_LAST) and not t.is_contiguous() for t in (x, weight))
        return result.contiguous(memory_format=CHANNELS_LAST) if chosen else result


def other_layouts(backbone) -> list[tuple[int, ...]]:
    """What a step of G and one of D find."""
    G, D = backbone.generator().to("meta"), backbone.discriminator().to("meta")
    c = torch.zeros(4, backbone.classes, device="meta") if backbone.classes else None
    with OtherLayouts() as layouts:
        fakes = G(torch.randn(4, G.z_dim, device="meta"), c)
        backbone.g_loss(D(fakes, c)).backward()
        real, fake = D(torch.zeros_like(fakes), c), D(fakes.detach(), c)
        backbone.d_loss(real, fake).backward()
    assert layouts.convolutions > 40
    return layouts.found


@pytest.mark.parametrize("name", BACKBONES)
def test_convolutions_take_filters_in_the_layout_of_the_maps(name: str, monkeypatch: pytest.MonkeyPatch):
    assert other_layouts(BACKBONES[name]()) == []
    plain = BACKBONES[name]()
    monkeypatch.setattr(torch.nn.Module, "to", in_contiguous_format(torch.nn.Module.to))
    assert (8, 8, 3, 3) in other_layouts(plain)


def in_contiguous_format(to):
    def moved(network, *args):
        for parameter in network.parameters():
            parameter.data = parameter.data.contiguous()
        return to(network, *args)

    return moved


def test_initial_filters_are_the_numbers_that_the_seed_gives():
    torch.manual_seed(3)
    weight = filters(4, 5, 3)
    torch.manual_seed(3)
    assert torch.equal(weight, torch.randn(4, 5, 3, 3))
    assert weight.is_contiguous(memory_format=CHANNELS_LAST) and not weight.is_contiguous()


def test_moments_of_a_checkpoint_in_another_layout_move_the_same_numbers():
    """Those that earlier versions wrote are contiguous; fused kernels take parameter and moments as they lie."""
    hyper = {"betas": (0.5, 0.9), "eps": 1e-8}
    moved = []
    for lay_out in (torch.clone, torch.Tensor.contiguous):
        torch.manual_seed(0)
        layer = Conv(5, 4, 3)
        optimizer = adam(list(layer.parameters()), 0.1, hyper, 0)
        gradients = [torch.randn(2, *parameter.shape) for parameter in layer.parameters()]
        for step in range(2):
            for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                parameter.grad = torch.empty_like(parameter).copy_(gradient[step])
            optimizer.step()
            state = optimizer.state_dict()
            for moments in state["state"].values():
                moments.update({key: lay_out(moments[key]) for key in ("exp_avg", "exp_avg_sq")})
            optimizer.load_state_dict(state)
        moved.append(layer.weight.detach().clone())
    assert torch.equal(*moved)
