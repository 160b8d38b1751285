"""BigGAN in 16 bits: which layers, how close to float32, and what stays float32 in any case."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from leangan.models.biggan import Backbone
from leangan.models.biggan.layers import Attention, BatchNorm, Conv, ConvDown, ConvUp
from leangan.plugins.precision import HALF_TYPES, half_precision

TYPES = [torch.bfloat16, torch.float16]
SMALL = {"z_dim": 12, "g_maps": [16, 16, 16, 8], "d_maps": [8, 16, 16, 16], "d_down": 2, "attention_at": 16}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(**keys) -> Backbone:
    return Backbone({**SMALL, "half_resolutions": 4, **keys}, 32, channels=3, classes=3)


def networks(backbone: Backbone) -> tuple[nn.Module, nn.Module]:
    """G and D in which attention, at first the identity, takes part."""
    G, D = backbone.generator(), backbone.discriminator()
    for layer in [*G.modules(), *D.modules()]:
        if isinstance(layer, Attention):
            nn.init.constant_(layer.gamma, 0.7)
    return G, D


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, labels and images."""
    return torch.randn(size, 12), torch.eye(3)[torch.arange(size) % 3], torch.rand(size, 3, 32, 32) * 2 - 1


def rounding(dtype: torch.dtype) -> float:
    """Relative root mean square of one rounding, uniform within +- eps / 2 of a number between 1 and 2."""
    return torch.finfo(dtype).eps / math.sqrt(12)


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value.double() - expected.double()).norm() / expected.double().norm()).item()


# ---- Which blocks ----


@pytest.mark.parametrize("half_type, dtype", HALF_TYPES.items())
def test_every_block_has_the_type_of_the_preset(half_type: str, dtype: torch.dtype):
    backbone = small(half_type=half_type)
    assert backbone.half == dict.fromkeys([8, 16, 32], dtype)
    blocks = [*backbone.generator().blocks, *backbone.discriminator().blocks]
    assert [block.in_half for block in blocks] == [dtype] * 7
    plain = small(half_type="none")
    assert not plain.half and not any(block.in_half for block in plain.discriminator().blocks)


@pytest.mark.parametrize(
    ("count", "down", "g", "d"),
    [(0, 2, [], []), (1, 2, [32], [32]), (2, 2, [16, 32], [32, 16]), (3, 2, [8, 16, 32], [32, 16, 8, 8]),
     (9, 3, [8, 16, 32], [32, 16, 8])],
)  # fmt: skip
def test_the_highest_resolutions_compute_in_16_bits_in_both_networks(count: int, down: int, g: list, d: list):
    """By the higher of a block's resolutions; D's last block has the resolution at which `d_down` leaves off."""
    G, D = networks(small(half_resolutions=count, d_down=down))
    seen: dict[str, list[int]] = {"G": [], "D": []}

    def note(network: str):
        def hook(block: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            if output.dtype == torch.bfloat16:
                seen[network].append(max(inputs[0].shape[2], output.shape[2]))

        return hook

    for name, network in (("G", G), ("D", D)):
        for block in network.blocks:
            block.register_forward_hook(note(name))
    z, c, _ = batch(4)
    with half_precision(torch.bfloat16), torch.no_grad():
        D(G(z, c), c)
    assert seen == {"G": g, "D": d}


def test_within_a_block_all_maps_and_without_none_are_16_bit():
    G, D = networks(small())
    found: dict[str, set[torch.dtype]] = {}
    for prefix, network in (("G", G), ("D", D)):
        for name, layer in network.named_modules(prefix=prefix):
            if isinstance(layer, Conv | BatchNorm | Attention | nn.Linear):
                kind = "maps" if ".blocks." in name and not isinstance(layer, nn.Linear) else "rest"
                layer.register_forward_hook(lambda _, x, y, kind=kind: found.setdefault(kind, set()).add(y.dtype))
    z, c, _ = batch(4)
    with half_precision(torch.bfloat16), torch.no_grad():
        x = G(z, c)
        assert D.features(x).dtype == x.dtype == D(x, c).dtype == torch.float32
    assert found == {"maps": {torch.bfloat16}, "rest": {torch.float32}}


# ---- How close ----

# Relative L2 errors, at most, in units of one rounding of the type: twice what was found. A block of G rounds about ten
# times, to what its norms subtract as well as to what they leave; D averages over pixels. G's gradient has passed both
# networks, where other signs of the ReLUs change it, and in float16 its small entries have fewer digits.
LIMITS = {"images": 20, "logits": 5, "gradient of G": 110, "gradient of D": 10, "gradient of R1": 20}


@pytest.mark.parametrize("eval_statistics", ["batch", "running"])
@pytest.mark.parametrize("dtype", TYPES)
# With AMX, oneDNN's bfloat16 convolutions of few channels by large filters are wrong: second derivatives by weights.
@torch.backends.mkldnn.flags(enabled=False)
def test_results_differ_from_float32_by_the_rounding_of_the_type(dtype: torch.dtype, eval_statistics: str):
    """Images, logits and the gradients of all losses; parameters and what is compared are float32."""
    backbone = small(eval_statistics=eval_statistics)
    G, D = networks(backbone)
    z, c, x = batch(6)
    started = [{name: value.clone() for name, value in network.state_dict().items()} for network in (G, D)]

    def gradient(loss: torch.Tensor, network: nn.Module) -> torch.Tensor:
        network.zero_grad()
        assert loss.dtype == torch.float32
        loss.backward()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads)
        return torch.cat([grad.flatten() for grad in grads])

    def results(context) -> dict[str, torch.Tensor]:
        for network, state in zip((G, D), started, strict=True):
            network.load_state_dict(state)
        with context:
            image = G(z, c)
            logits = D(image, c)
            found = {"images": image.detach(), "logits": logits.detach()}
            found["gradient of G"] = gradient(backbone.g_loss(logits), G)
            found["gradient of D"] = gradient(backbone.d_loss(D(x, c), D(image.detach(), c)), D)
            x_real = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(D(x_real, c).sum(), x_real, create_graph=True)
            found["gradient of R1"] = gradient(slope.square().sum(dim=(1, 2, 3)).mean(), D)
        return found

    expected, value = results(nullcontext()), results(half_precision(dtype))
    errors = {name: relative_error(value[name], expected[name]) / rounding(dtype) for name in LIMITS}
    assert all(0.5 < error < LIMITS[name] for name, error in errors.items()), errors
    assert all(p.dtype == torch.float32 for network in (G, D) for p in network.state_dict().values())


def test_without_a_gpu_the_networks_compute_in_float32():
    z, c, x = batch(4)
    images, logits = [], []
    for half_resolutions in (0, 4):
        torch.manual_seed(1)
        G, D = networks(small(half_resolutions=half_resolutions))
        images.append(G(z, c))
        logits.append(D(x, c))
    assert torch.equal(*images) and torch.equal(*logits)


def test_settings_of_precision_leave_parameters_alone():
    for a, b in zip(networks(small(half_resolutions=0)), networks(small()), strict=True):
        assert {k: v.shape for k, v in a.state_dict().items()} == {k: v.shape for k, v in b.state_dict().items()}


# ---- Single layers ----


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", [Conv, ConvDown, ConvUp])
def test_convolutions_take_float32_weights_and_give_the_type_of_the_maps(kind: type[Conv], dtype: torch.dtype):
    layer = kind(8, 8, 3, padding=1)
    x = torch.randn(2, 8, 8, 8).to(dtype)
    y = layer(x)
    assert y.dtype == dtype and layer.weight.dtype == torch.float32
    # The weights are rounded, once more after filtering, and so is the result.
    assert relative_error(y, layer(x.float())) < 4 * rounding(dtype)


@pytest.mark.parametrize("way", ["standardize", "standardize_over_ranks"])
@pytest.mark.parametrize("dtype", TYPES)
def test_batch_norm_has_float32_statistics(dtype: torch.dtype, way: str):
    """Maps whose mean is 30 times their deviation: a mean rounded to 16 bits would be off by up to 6 % of that."""
    norm = BatchNorm(4, 0, normalized=False, init="normal", gain_offset=1.0, eval_statistics="running")
    x = (torch.randn(16, 4, 8, 8) + 30).to(dtype)
    exact = x.double()
    mean, var = exact.mean((0, 2, 3)), exact.var((0, 2, 3))
    with torch.no_grad():
        y = getattr(norm, way)(x)
    assert y.dtype == dtype and norm.mean.dtype == norm.var.dtype == torch.float32
    torch.testing.assert_close(norm.mean.double(), 0.1 * mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.var.double(), 0.9 + 0.1 * var, rtol=1e-4, atol=0)
    standard = (exact - mean[:, None, None]) / exact.std((0, 2, 3), correction=0)[:, None, None]
    assert relative_error(y, standard) < 2 * rounding(dtype)


def test_batch_norm_differentiates_twice_in_16_bits():
    """As exactly as torch does it: with mean and deviation rounded to the type of the maps."""
    norm = BatchNorm(4, 0, normalized=False, init="normal", gain_offset=1.0, eval_statistics="running")
    x, by = torch.randn(8, 4, 8, 8), torch.randn(2, 8, 4, 8, 8)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        at = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad((norm(at.to(dtype)).float() * by[0]).sum(), at, create_graph=True)
        found.append(torch.autograd.grad((grad * by[1]).sum(), at)[0])
    assert relative_error(found[1], found[0]) < 20 * rounding(torch.bfloat16)


def test_attention_outlives_scores_beyond_float16():
    """Queries and keys of length 1000 have products of a million; the softmax picks a few positions."""
    layer = Attention(64, "orthogonal").eval()
    nn.init.constant_(layer.gamma, 0.7)
    x = (1000 * torch.randn(2, 64, 8, 8)).half()
    with torch.no_grad():
        scores = layer.query(x.float()).flatten(2).transpose(1, 2) @ layer.key(x.float()).flatten(2)
        y = layer(x)
        assert scores.abs().max() > 4 * torch.finfo(torch.float16).max
        assert y.dtype == torch.float16 and relative_error(y, layer(x.float())) < 0.01


@pytest.mark.parametrize("side", ["G", "D"])
def test_a_gradient_beyond_float16_reaches_parameters_finite(side: str):
    G, D = networks(small())
    z, c, x = batch(6)
    with half_precision(torch.float16):
        loss = D(x, c).sum() if side == "D" else G(z, c).sum()
    (1e30 * loss).backward()
    for name, parameter in (D if side == "D" else G).named_parameters():
        assert parameter.grad.isfinite().all(), name


# ---- Errors ----


@pytest.mark.parametrize(("key", "value"), [("half_resolutions", -1), ("half_type", "float8")])
def test_values_that_cannot_be_built(key: str, value: object):
    with pytest.raises(ValueError, match=f"preset key {key} is {value!r}"):
        small(**{key: value})
