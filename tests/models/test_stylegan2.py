"""StyleGAN2 against published parameter counts, closed forms and the autograd Jacobian."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_expit

from leangan.models.stylegan2 import Backbone
from leangan.models.stylegan2.layers import Conv, Linear
from leangan.plugins.precision import half_precision
from leangan.runs.presets import presets

PRESETS = presets()
SMALL = {"z_dim": 8, "w_dim": 6, "mapping_layers": 2, "fmap_base": 16, "fmap_max": 4}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(resolution: int = 16, channels: int = 3, classes: int = 0, **keys) -> Backbone:
    return Backbone({**SMALL, **keys}, resolution, channels, classes)


def one_hot(labels: list[int], classes: int) -> torch.Tensor:
    return torch.eye(classes)[labels]


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ---- Networks ----


@pytest.mark.parametrize(
    ("preset", "resolution", "classes", "count_g", "count_d"),
    [
        ("cifar", 32, 0, 19_947_539, 20_720_641),
        ("cifar", 32, 10, 20_215_315, 20_988_416),
        ("cifarbaseline", 32, 0, 21_523_475, 21_507_073),
        ("diffaugment-cifar", 32, 0, 13_506_963, 13_918_849),
        ("paper256", 256, 0, 24_767_458, 24_001_089),
        ("diffaugment-ffhq", 256, 0, 24_767_458, 24_001_089),
        ("diffaugment-lowshot", 256, 0, 30_034_338, 28_864_129),
        ("paper512", 512, 0, 30_276_583, 28_982_849),
        ("stylegan2", 1024, 0, 30_370_060, 29_012_513),
        ("paper1024", 1024, 0, 30_370_060, 29_012_513),
    ],
)
def test_parameter_counts(preset: str, resolution: int, classes: int, count_g: int, count_d: int):
    with torch.device("meta"):
        backbone = Backbone(PRESETS[preset], resolution, channels=3, classes=classes)
        G, D = backbone.generator(), backbone.discriminator()
    assert (parameters(G), parameters(D)) == (count_g, count_d)


def test_discriminator_layers_are_registered_in_the_order_an_image_passes_them():
    modules = small().discriminator().named_modules()
    names = [name for name, layer in modules if isinstance(layer, Conv | Linear)]
    block = ["conv0", "conv1", "skip"]
    blocks = [f"blocks.{index}.{layer}" for index in range(2) for layer in block]
    assert names == ["from_rgb", *blocks, "conv", "dense", "output"]


def test_initial_layers_keep_unit_second_moment():
    x = torch.randn(512, 300)
    assert Linear(300, 400)(x).square().mean().item() == pytest.approx(1, rel=0.03)
    # Leaky ReLU of a unit Gaussian has second moment (1 + 0.2^2) / 2; the gain doubles it.
    assert Linear(300, 400, activate=True)(x).square().mean().item() == pytest.approx(1.04, rel=0.03)
    images = torch.randn(64, 40, 12, 12)
    interior = Conv(40, 50, 3)(images)[:, :, 1:-1, 1:-1]
    assert interior.square().mean().item() == pytest.approx(1.04, rel=0.03)


def test_learning_rates_are_equalised():
    """Stored weights have deviation 1 / lr_multiplier for any fan-in; outputs move with lr_multiplier."""
    for fan_in in (50, 500):
        slow = Linear(fan_in, 400, lr_multiplier=0.01)
        assert slow.weight.std().item() == pytest.approx(100, rel=0.03)
        assert slow.bias.abs().max().item() == 0
        assert Conv(fan_in, 40, 3).weight.std().item() == pytest.approx(1, rel=0.03)
        x, step = torch.randn(4, fan_in), 0.002 * torch.randn(400, fan_in).sign()
        before = slow(x)
        with torch.no_grad():
            slow.weight += step
        torch.testing.assert_close(slow(x) - before, 0.01 / fan_in**0.5 * x @ step.T, rtol=0.05, atol=1e-5)


def test_modulation_starts_at_one():
    G = small().generator()
    assert torch.equal(G.blocks[1].conv0.affine(torch.zeros(2, 6)), torch.ones(2, 4))
    assert G.blocks[1].conv0.noise_strength.item() == 0


# ---- Discriminator ----


def test_conditional_discriminator_is_a_projection():
    D = small(classes=3).discriminator()
    with torch.no_grad():
        for parameter in D.parameters():
            parameter.normal_()
    x, c = torch.randn(4, 3, 16, 16), one_hot([0, 1, 2, 1], 3)
    label = c @ D.mapping.embed.weight.T / math.sqrt(3) + D.mapping.embed.bias
    label = label / label.square().mean(dim=1, keepdim=True).sqrt()
    vector = D.features(x) @ D.output.weight.T / math.sqrt(4) + D.output.bias
    torch.testing.assert_close(D(x, c), (vector * label).sum(dim=1, keepdim=True) / math.sqrt(6))


def test_residual_block_is_the_scaled_sum_of_both_branches():
    block = small(8).discriminator().blocks[0]
    plain = small(8, d_architecture="orig").discriminator().blocks[0]
    plain.load_state_dict({k: v for k, v in block.state_dict().items() if not k.startswith("skip")})
    x = torch.randn(2, 4, 8, 8)
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    smooth = F.conv2d(x, torch.outer(taps, taps).expand(4, 1, 4, 4), stride=2, padding=1, groups=4)
    skip = torch.einsum("oi,nihw->nohw", block.skip.weight[:, :, 0, 0] / 2, smooth)
    torch.testing.assert_close(block(x), (plain(x) + skip) / math.sqrt(2))


def test_batch_mates_change_the_logit_through_the_minibatch_stddev():
    x = torch.randn(4, 3, 16, 16)
    changed = torch.cat([x[:1], 3 * x[1:]])
    D = small(mbstd_features=1).discriminator()
    assert abs(D(x, None)[0] - D(changed, None)[0]).item() > 1e-4
    D = small(mbstd_features=0).discriminator()
    torch.testing.assert_close(D(x, None)[0], D(changed, None)[0])


# ---- Losses and regularisers ----


def test_losses_are_logistic():
    backbone = small()
    d_real, d_fake = torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.5], [-3.0]])
    assert backbone.g_loss(d_fake).item() == pytest.approx(-log_expit([0.5, -3]).mean())
    expected = -log_expit([2, -1]).mean() - log_expit([-0.5, 3]).mean()
    assert backbone.d_loss(d_real, d_fake).item() == pytest.approx(expected)


def test_r1_of_a_linear_discriminator():
    """D(x) = a.x has gradient a everywhere, so R1 is gamma/2 |a|^2 and its derivative gamma a."""
    a = torch.randn(3, 4, 4, requires_grad=True)
    x = torch.randn(5, 3, 4, 4, requires_grad=True)
    r1 = small(r1_gamma=0.7).d_regularizer(x, (x * a).sum(dim=(1, 2, 3))[:, None])
    assert r1.item() == pytest.approx(0.35 * a.square().sum().item(), rel=1e-5)
    r1.backward()
    torch.testing.assert_close(a.grad, 0.7 * a.detach())


def test_path_length_against_the_jacobian(monkeypatch: pytest.MonkeyPatch):
    backbone = small(8, style_mixing=0.0, pl_weight=3.0, pl_decay=0.1, pl_batch_shrink=2)
    G = backbone.generator().double().eval()
    drawn = []
    randn_like = torch.randn_like
    monkeypatch.setattr(torch, "randn_like", lambda t: drawn.append(randn_like(t)) or drawn[-1])
    z = torch.randn(4, G.z_dim, dtype=torch.float64)
    penalty = backbone.g_regularizer(G, z, None)

    y = drawn[-1] / 8  # N(0, I / 64) over the 8 x 8 pixels
    assert y.shape == (2, 3, 8, 8)
    ws = G.styles(z[:2], None).detach()
    jacobian = torch.autograd.functional.jacobian(lambda ws: G.synthesis(ws, "const"), ws)
    pulled_back = torch.einsum("nchw,nchwmlk->nmlk", y, jacobian)
    pulled_back = torch.stack([pulled_back[n, n] for n in range(2)])
    lengths = pulled_back.square().sum(dim=2).mean(dim=1).sqrt()
    mean = 0.1 * lengths.mean()
    torch.testing.assert_close(G.pl_mean, mean)
    torch.testing.assert_close(penalty, 3 * (lengths - mean).square().mean())
    penalty.backward()
    assert G.blocks[1].conv1.weight.grad.abs().max() > 0 and G.const.grad.abs().max() > 0


def test_discriminator_differentiates_twice():
    D = small(8, fmap_max=2, classes=2).discriminator().double()
    names = [name for name, _ in D.named_parameters()]
    c = torch.eye(2, dtype=torch.float64)

    def call(x, *values):
        return torch.func.functional_call(D, dict(zip(names, values, strict=True)), (x, c))

    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(call, (x, *D.parameters()), fast_mode=True, atol=1e-4)


def test_generator_differentiates_twice():
    G = small(8, fmap_max=2).generator().double()
    names = [name for name, _ in G.named_parameters()]

    def call(ws, *values):
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(Synthesis(G), {f"G.{k}": v for k, v in state.items()}, (ws,))

    ws = torch.randn(2, G.num_ws, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(call, (ws, *G.parameters()), fast_mode=True, atol=1e-4)


class Synthesis(torch.nn.Module):
    """The synthesis network as a module of its own, for functional_call."""

    def __init__(self, G: torch.nn.Module) -> None:
        super().__init__()
        self.G = G

    def forward(self, ws: torch.Tensor) -> torch.Tensor:
        return self.G.synthesis(ws, "const")


def test_no_part_of_a_step_reads_a_value_back():
    """Tensors on the meta device have no values, so that a host that asks for one raises."""
    with torch.device("meta"):
        backbone = small(classes=3, half_resolutions=4, conv_clamp=256)
        G, D = backbone.generator(), backbone.discriminator()
        z, c, x_real = torch.randn(8, 8), torch.randn(8, 3), torch.randn(8, 3, 16, 16, requires_grad=True)
        with half_precision(torch.bfloat16):
            d_real, d_fake = D(x_real, c), D(G(z, c), c)
            loss = backbone.g_loss(d_fake) + backbone.d_loss(d_real, d_fake)
            (loss + backbone.d_regularizer(x_real, d_real) + backbone.g_regularizer(G, z, c)).backward()
    assert all(p.grad is not None for network in (G, D) for p in network.parameters())
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(loss.detach())


# ---- Errors ----


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"resolution": 24}, "resolution is 24"),
        ({"d_architecture": "skip"}, "d_architecture is 'skip'"),
        ({"r1_at": "fake"}, "r1_at is 'fake'"),
        ({"resolution": 64}, "fmap_base is 16, must be at least 32"),
    ],
)
def test_values_that_cannot_be_built(keys: dict, message: str):
    with pytest.raises(ValueError, match=message):
        small(**keys)
