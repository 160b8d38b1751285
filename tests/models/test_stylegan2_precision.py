"""Mixed precision: close to float32 within what the rounding of the type allows, and safe where float16 ends."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch

from leangan.models.stylegan2 import Backbone, ops
from leangan.models.stylegan2.layers import Conv, StyledConv, ToRGB
from leangan.plugins.precision import HALF_TYPES, cast, compute_dtype, half_precision

TYPES = [torch.bfloat16, torch.float16]
SMALL = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "fmap_base": 64, "fmap_max": 8, "style_mixing": 0.0}
LAYERS = 7  # styled convolutions of G at 32 px


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(resolution: int = 32, **keys) -> Backbone:
    return Backbone({**SMALL, "half_resolutions": 4, "conv_clamp": 256, **keys}, resolution, channels=3, classes=0)


def rounding(dtype: torch.dtype) -> float:
    """Relative root mean square of one rounding, uniform within +- eps / 2 of a number between 1 and 2."""
    return torch.finfo(dtype).eps / math.sqrt(12)


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value.double() - expected.double()).norm() / expected.double().norm()).item()


def noisy_generator(backbone: Backbone) -> torch.nn.Module:
    """A generator in which noise and biases, zero at first, take part."""
    G = backbone.generator().eval()
    with torch.no_grad():
        for layer in G.modules():
            if isinstance(layer, StyledConv):
                layer.noise_strength.normal_(std=0.2)
                layer.bias.normal_(std=0.2)
    return G


@pytest.mark.parametrize("dtype", TYPES)
def test_outputs_differ_from_float32_by_the_rounding_of_the_type(dtype: torch.dtype):
    """A layer rounds its result and filters and, in G, styles, demodulation and noise: about ten times. Independent
    errors add in squares; the last layer alone makes that of one rounding.
    """
    backbone = small()
    G, D = noisy_generator(backbone), backbone.discriminator()
    z, x = torch.randn(8, 8), torch.rand(8, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        expected = G(z, None, noise_mode="const"), D(x, None)
        with half_precision(dtype):
            image, logits = G(z, None, noise_mode="const"), D(x, None)
    assert image.dtype == logits.dtype == torch.float32
    for value, reference in zip((image, logits), expected, strict=True):
        assert rounding(dtype) / 4 < relative_error(value, reference) < 2 * math.sqrt(10 * LAYERS) * rounding(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_losses_and_regularisers_train_float32_parameters(dtype: torch.dtype):
    """Each gradient points where the float32 one does: errors of a relative size r leave a cosine of 1 - r^2 / 2."""
    backbone = small(16)
    G, D = noisy_generator(backbone), backbone.discriminator()
    z, x = torch.randn(8, 8), torch.rand(8, 3, 16, 16) * 2 - 1

    def g_loss():
        return backbone.g_loss(D(G(z, None, noise_mode="const"), None))

    def r1():
        x_real = x.clone().requires_grad_()
        return backbone.d_regularizer(x_real, D(x_real, None))

    def path_length():
        G.pl_mean.zero_()
        torch.manual_seed(1)
        return backbone.g_regularizer(G, z, None)

    def gradient(loss, network, context) -> torch.Tensor:
        network.zero_grad()
        with context:
            value = loss()
        assert value.dtype == torch.float32
        value.backward()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)
        return torch.cat([grad.flatten() for grad in grads])

    # Noise inputs are drawn in the type they are used in. That may be other noise, so G compares without them.
    for layer in G.modules():
        if isinstance(layer, StyledConv):
            layer.noise_strength = None
    for loss, network in ((g_loss, G), (r1, D), (path_length, G)):
        expected = gradient(loss, network, nullcontext())
        value = gradient(loss, network, half_precision(dtype))
        cosine = torch.cosine_similarity(value, expected, dim=0).item()
        assert 1 - (20 * math.sqrt(10 * LAYERS) * rounding(dtype)) ** 2 / 2 < cosine
        assert not torch.equal(value, expected)


def test_without_a_gpu_the_networks_compute_in_float32():
    z, x = torch.randn(4, 8), torch.rand(4, 3, 16, 16)
    images, logits = [], []
    for half_resolutions in (0, 4):
        torch.manual_seed(1)
        backbone = small(16, half_resolutions=half_resolutions)
        images.append(backbone.generator().eval()(z, None, noise_mode="const"))
        logits.append(backbone.discriminator()(x, None))
    assert torch.equal(*images) and torch.equal(*logits)


def test_sixteen_bits_are_those_of_the_preset_on_a_gpu_and_none_on_a_cpu():
    weight = torch.zeros(1)
    on_gpu = type("Weight", (), {"dtype": torch.float32, "is_cuda": True})
    for dtype in TYPES:
        assert compute_dtype(weight, dtype) == torch.float32
        assert compute_dtype(on_gpu, dtype) == dtype
        assert compute_dtype(on_gpu, None) == torch.float32
    with half_precision(torch.bfloat16):
        assert compute_dtype(weight, torch.float16) == torch.bfloat16
        assert compute_dtype(weight.double(), None) == torch.float64
    assert compute_dtype(weight, torch.float16) == torch.float32


@pytest.mark.parametrize("half_type, dtype", HALF_TYPES.items())
def test_every_block_has_the_type_of_the_preset(half_type: str, dtype: torch.dtype):
    backbone = small(half_type=half_type)
    assert backbone.half == dict.fromkeys([8, 16, 32], dtype)
    blocks = [*backbone.generator().blocks, *backbone.discriminator().blocks]
    assert [block.in_half for block in blocks] == [None, dtype, dtype, dtype, dtype, dtype, dtype]
    assert not small(half_type="none").half
    with pytest.raises(ValueError, match="half_type is 'float8'"):
        small(half_type="float8")


@pytest.mark.parametrize(
    ("resolution", "count", "expected"),
    [(256, 4, {256, 128, 64, 32}), (32, 4, {32, 16, 8}), (32, 2, {32, 16}), (32, 0, set())],
)
def test_the_highest_resolutions_compute_in_16_bits(resolution: int, count: int, expected: set[int]):
    backbone = small(resolution, fmap_base=512, half_resolutions=count)
    G, D = backbone.generator().eval(), backbone.discriminator()
    seen: dict[torch.dtype, set[int]] = {torch.float32: set(), torch.bfloat16: set()}
    for layer in [*G.modules(), *D.modules()]:
        if isinstance(layer, StyledConv | ToRGB | Conv):
            layer.register_forward_hook(lambda layer, x, y: seen[y.dtype].add(max(x[0].shape[2], y.shape[2])))
    with half_precision(torch.bfloat16), torch.no_grad():
        D(G(torch.randn(1, 8), None), None)
    assert seen[torch.bfloat16] == expected
    assert seen[torch.float32] == set(backbone.maps()) - expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_clamp_limits_every_convolution_but_the_skips(dtype: torch.dtype):
    backbone = small(16, conv_clamp=0.25)
    G, D = backbone.generator().eval(), backbone.discriminator()
    limits = {}
    for name, layer in [*G.named_modules(prefix="G"), *D.named_modules(prefix="D")]:
        if isinstance(layer, StyledConv | ToRGB | Conv) and not name.endswith("skip"):
            layer.register_forward_hook(lambda _, x, y, name=name: limits.update({name: y.abs().max().item()}))
    with half_precision(dtype), torch.no_grad():
        D(10 * G(torch.randn(4, 8), None), None)
    # The branch of a residual block is scaled by sqrt(1/2) after the clamp; 16 bits hold that to within their eps.
    for name, limit in limits.items():
        gain = math.sqrt(0.5) if name.startswith("D.blocks") and name.endswith("conv1") else 1.0
        assert limit <= 0.25 * gain * (1 + 2**-8), name
    assert len(limits) == 5 + 3 + 6
    assert max(limits.values()) == 0.25


def test_settings_of_precision_leave_parameters_alone():
    plain, mixed = small(half_resolutions=0, conv_clamp=None), small()
    for a, b in ((plain.generator(), mixed.generator()), (plain.discriminator(), mixed.discriminator())):
        assert {k: v.shape for k, v in a.state_dict().items()} == {k: v.shape for k, v in b.state_dict().items()}


def demodulated(x: torch.Tensor, weight: torch.Tensor, styles: torch.Tensor, up: bool = False) -> torch.Tensor:
    y, factors = ops.modulated_conv2d(x, weight, styles, up=up)
    return y * factors.to(y.dtype)[:, :, None, None]


@pytest.mark.parametrize("up", [False, True])
def test_demodulated_convolution_outlives_styles_and_filters_of_any_size(up: bool):
    """Demodulation makes the result independent of their scale, here far beyond the range of float16."""
    x, weight, styles = torch.randn(2, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(2, 4)
    expected = demodulated(x, weight, styles, up)
    for scale in (1e-3, 1.0, 1e6):
        y = demodulated(x.half(), scale * weight, scale * styles, up)
        assert y.dtype == torch.float16
        assert relative_error(y, expected) < 5 * rounding(torch.float16)


def test_scales_of_16_bits_change_no_gradient():
    """The gradient by styles and filters equals the one without the detached scales."""
    x = torch.randn(2, 4, 6, 6)
    grads = []
    for dtype in (torch.float32, torch.float16):
        torch.manual_seed(2)
        weight, styles = (torch.randn(shape).requires_grad_() for shape in ((5, 4, 3, 3), (2, 4)))
        y = demodulated(x.to(dtype), weight, styles)
        grads.append(torch.autograd.grad((y.float() * torch.linspace(-1, 1, 6)).sum(), (weight, styles)))
    for value, expected in zip(grads[1], grads[0], strict=True):
        assert relative_error(value, expected) < 10 * rounding(torch.float16)


def test_a_gradient_beyond_float16_reaches_parameters_finite():
    x = torch.ones(2, requires_grad=True)
    (cast(x, torch.float16).float() * torch.tensor([1e30, -1e30])).sum().backward()
    assert x.grad.tolist() == [65504.0, -65504.0]
    assert cast(x, torch.float32) is x


@pytest.mark.parametrize("keys", [{"half_resolutions": -1}, {"conv_clamp": 0}])
def test_values_that_cannot_be_built(keys: dict):
    with pytest.raises(ValueError, match=f"preset key {next(iter(keys))} is"):
        small(**keys)
