"""16-bit layers and TF32 against float64, within bounds that random weights do not leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from statistics import median

import pytest
import torch
from torch import Tensor, nn

from leangan.models.stylegan2 import Backbone
from leangan.models.stylegan2.layers import Conv, StyledConv
from leangan.plugins.precision import HALF_TYPES
from leangan.training.device import set_up
from tests.helpers.rank_worker import double_precision
from tests.helpers.twins import DrawnOnCpu, computing_in, error

TABLE = {
    "images": (0.009, 0.001),
    "logits": (0.009, 0.002),
    "gradient of G's loss": (0.08, 0.02),
    "gradient of R1": (0.05, 0.02),
    "gradient of the path length": (0.06, 0.02),
}
"""A third of the bounds of relative errors in bfloat16 and float16, which TF32 shares: it has the same mantissa."""

FACTOR = 3
"""What the weights make of an error: among random ones, that of the logits in bfloat16 is 0.8 to 1.9 %."""

SIZE = {"cuda": 64, "cpu": 32}
"""Pixels, and most feature maps; those of a GPU take a minute in float16 on a CPU."""

BATCH = 16
"""With fewer images, second derivatives in bfloat16 are wrong on a CPU (oneDNN 3, by the weights of convolutions)."""

DRAWS = {"cuda": 5, "cpu": 1}
"""Of latents and images. The median counts: features on the other side of ReLU's kink make some errors large."""


def backbone(device: torch.device, half_type: str) -> Backbone:
    size = SIZE[device.type]
    keys = {"z_dim": 64, "w_dim": 64, "mapping_layers": 2, "fmap_base": 32 * size, "fmap_max": size}
    keys |= {"style_mixing": 0.0, "pl_batch_shrink": 1, "r1_gamma": 1.0}
    keys |= {"half_resolutions": 4, "half_type": half_type, "conv_clamp": 256}
    return Backbone(keys, size, channels=3, classes=0)


def networks(device: torch.device, half_type: str) -> tuple[Backbone, nn.Module, nn.Module]:
    """Networks with the same random weights on every device, noise inputs and biases at work."""
    torch.manual_seed(0)
    one = backbone(device, half_type)
    G, D = one.generator(), one.discriminator()
    with torch.no_grad():
        for layer in G.modules():
            if isinstance(layer, StyledConv):
                layer.noise_strength.copy_(0.2 * torch.randn(()))
                layer.bias.copy_(0.2 * torch.randn_like(layer.bias))
    return one, G.to(device), D.to(device)


def computed(one: Backbone, G: nn.Module, D: nn.Module, draw: int, batch: int = BATCH) -> dict[str, Tensor]:
    """What TABLE compares, from the latents, images and noise of a draw."""
    weight = next(G.parameters())
    torch.manual_seed(1 + draw)
    with DrawnOnCpu():
        z = torch.randn(batch, G.z_dim, device=weight.device, dtype=weight.dtype)
        x = 2 * torch.rand(batch, 3, one.resolution, one.resolution, device=weight.device, dtype=weight.dtype) - 1
        x.requires_grad_()
        images, logits = G(z, None), D(x, None)
        losses = (
            (one.g_loss(D(G(z, None), None)), G),
            (one.d_regularizer(x, logits), D),
            (one.g_regularizer(G, z, None), G),
        )
        assert images.dtype == logits.dtype == weight.dtype
        gradients = [flat_gradient(loss, network) for loss, network in losses]
    return dict(zip(TABLE, (images.detach(), logits.detach(), *gradients), strict=True))


def flat_gradient(loss: Tensor, network: nn.Module) -> Tensor:
    params = list(network.parameters())
    grads = torch.autograd.grad(loss, params, allow_unused=True)
    assert loss.isfinite() and all(grad.dtype == loss.dtype for grad in grads if grad is not None)
    return torch.cat([grad.flatten() for grad in grads if grad is not None])


@cache
def reference(device: torch.device, draw: int) -> dict[str, Tensor]:
    one, G, D = networks(device, "none")
    with double_precision():
        return {name: value.cpu() for name, value in computed(one, G.double(), D.double(), draw).items()}


@contextmanager
def tf32(device: torch.device) -> Iterator[None]:
    set_up(device, torch.get_num_threads(), tf32=True)
    try:
        yield
    finally:
        set_up(device, torch.get_num_threads(), tf32=False)


def errors_in(
    arithmetic: AbstractContextManager, device: torch.device, half_type: str, measured: Callable
) -> dict[str, float]:
    """Relative errors of what TABLE lists."""
    parts, errors = networks(device, half_type), {}
    with arithmetic:
        values = [computed(*parts, draw) for draw in range(DRAWS[device.type])]
    for name in TABLE:
        errors[name] = median(error(value[name], reference(device, draw)[name]) for draw, value in enumerate(values))
    measured(", ".join(f"{name} {100 * found:.2g} %" for name, found in errors.items()))
    return errors


@pytest.mark.parametrize("column, half_type", [(0, "bfloat16"), (1, "float16")])
def test_16_bits(device, column, half_type, measured):
    errors = errors_in(computing_in(HALF_TYPES[half_type], device), device, half_type, measured)
    for name, expected in TABLE.items():
        assert expected[column] / 10 < errors[name] < FACTOR * expected[column], name


def test_tf32(card, measured):
    if torch.cuda.get_device_capability(card) < (8, 0):
        pytest.skip("this GPU has no TF32")
    errors = errors_in(tf32(card), card, "none", measured)
    for name, (_, expected) in TABLE.items():
        assert 2e-5 < errors[name] < FACTOR * expected, name


def test_tf32_is_on_where_it_is_asked_for_and_nowhere_else(card, measured):
    """One rounding to 10 bits of mantissa has a relative size of 2^-11 / sqrt(3) at most, two factors sqrt(2) of it."""
    if torch.cuda.get_device_capability(card) < (8, 0):
        pytest.skip("this GPU has no TF32")
    a, b = torch.randn(1024, 256), torch.randn(256, 1024)
    x, weight = torch.randn(16, 256, 32, 32), torch.randn(256, 256, 3, 3)
    product = a.double() @ b.double()
    conv = nn.functional.conv2d(x.to(card).double(), weight.to(card).double(), padding=1).cpu()
    errors = []
    for allowed in (True, False, True, False):
        set_up(card, torch.get_num_threads(), tf32=allowed)
        ours = a.to(card) @ b.to(card), nn.functional.conv2d(x.to(card), weight.to(card), padding=1)
        errors += [error(value, expected) for value, expected in zip(ours, (product, conv), strict=True)]
        measured(f"TF32 {allowed}: product {errors[-2]:.1e}, convolution {errors[-1]:.1e}")
        if allowed:
            assert all(1e-4 < found < 2**-10 for found in errors[-2:])
        else:
            # A convolution may be computed after Winograd, which rounds more.
            assert errors[-2] < 1e-6 and errors[-1] < 1e-5


@pytest.mark.parametrize("half_type, dtype", HALF_TYPES.items())
def test_every_block_computes_in_the_type_of_its_resolution(device, half_type, dtype):
    _, G, D = networks(device, half_type)
    seen: dict[str, list[torch.dtype]] = {"G": [], "D": []}
    for block in G.blocks:
        block.register_forward_hook(lambda block, inputs, outputs: seen["G"].append(outputs[0].dtype))
    for block in D.blocks:
        block.register_forward_hook(lambda block, inputs, output: seen["D"].append(output.dtype))
    with computing_in(dtype, device), torch.no_grad():
        images = G(torch.randn(4, G.z_dim, device=device), None)
        assert images.dtype == D(images, None).dtype == torch.float32
    at_16_bits = [dtype] * (len(G.blocks) - 1)
    assert seen == {"G": [torch.float32, *at_16_bits], "D": at_16_bits}  # G from 4 px up, D down to 8 px


def test_features_at_the_clamp_leave_float16_finite(device):
    """Biases that push about half of all features to +-256; R1 and path length have finite gradients as well."""
    one, G, D = networks(device, "float16")
    with torch.no_grad():
        for layer in [*G.modules(), *D.modules()]:
            if isinstance(layer, Conv | StyledConv) and layer.bias is not None:
                layer.bias.copy_(300 * torch.randn(layer.bias.shape))
    largest: list[float] = []
    for block in [*G.blocks, *D.blocks]:
        layer = block.conv0 or block.conv1
        layer.register_forward_hook(lambda layer, inputs, output: largest.append(output.abs().max().item()))
    with computing_in(torch.float16, device):
        values = computed(one, G, D, draw=0, batch=4)
    assert max(largest) == 256
    assert all(value.isfinite().all() for value in values.values())
    assert values["gradient of R1"].any() and values["gradient of the path length"].any()


def test_gradients_beyond_float16_stay_finite(device):
    """A loss 1e6 times as large, whose gradients leave the range of float16 within the networks."""
    _, G, D = networks(device, "float16")
    with computing_in(torch.float16, device):
        loss = 1e6 * D(G(torch.randn(4, G.z_dim, device=device), None), None).sum()
        grads = torch.autograd.grad(loss, [*G.parameters(), *D.parameters()])
    assert all(grad.isfinite().all() for grad in grads) and grads[-1].any()
