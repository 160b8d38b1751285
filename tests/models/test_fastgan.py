"""FastGAN against counted parameters, numpy's and scipy's convolutions, closed forms and singular values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from scipy.special import expit
from torch import Tensor, nn

from leangan.models.fastgan import Backbone
from leangan.models.fastgan.discriminator import DownBlock
from leangan.models.fastgan.layers import Excitation, UpBlock
from leangan.plugins.notes import collected
from leangan.runs.presets import preset_at
from tests.helpers.steps import step_of_d

SMALL = {"z_dim": 12, "g_width": 8, "d_width": 4, "excitation_factor": 4}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def without_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spectral norms divide by numbers that these tests would have to know."""
    monkeypatch.setattr("leangan.models.biggan.layers.spectral_norm", lambda layer, eps: layer)


def small(resolution: int = 32, classes: int = 0, **keys) -> Backbone:
    return Backbone({**SMALL, **keys}, resolution, 3, classes)


def published(resolution: int) -> tuple[nn.Module, nn.Module]:
    with torch.device("meta"):
        backbone = Backbone(preset_at("fastgan-256", resolution, "this test").hyper, resolution, 3, 0)
        return backbone.generator(), backbone.discriminator()


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolved(x: Tensor, weight: Tensor, stride: int = 1, padding: int = 0) -> np.ndarray:
    """x [N, I, H, W] correlated with the weight [O, I, h, w]."""
    x, weight = np.pad(x.detach().numpy(), [(0, 0), (0, 0), *[(padding, padding)] * 2]), weight.detach().numpy()
    maps = [[sum(correlate2d(c, k, "valid") for c, k in zip(n, o, strict=True)) for o in weight] for n in x]
    return np.array(maps)[:, :, ::stride, ::stride]


def normalised(x: np.ndarray, norm: nn.Module) -> np.ndarray:
    """Batch norm with the statistics of the batch, and its gains and biases."""
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    gain, bias = (each.detach().numpy()[:, None, None] for each in (norm.gain, norm.bias))
    return gain * (x - mean) / np.sqrt(var + 1e-5) + bias


def gated(x: np.ndarray) -> np.ndarray:
    """GLU: the first half of the maps by the sigmoid of the second."""
    a, b = np.split(x, 2, axis=1)
    return a * expit(b)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def approx(x: np.ndarray):
    return pytest.approx(x, rel=1e-3, abs=1e-5)


# ---- Layers ----


def excited(source: Tensor, excitation: nn.Module) -> np.ndarray:
    """The factor of each map: pooled to 4 x 4, 4 x 4 convolution, x sigmoid(x), 1 x 1 convolution, sigmoid."""
    pooled = source.unflatten(2, (4, -1)).unflatten(4, (4, -1)).mean(dim=(3, 5))
    h = convolved(pooled, excitation.conv0.weight)
    return expit(convolved(torch.from_numpy(h * expit(h)), excitation.conv1.weight))


def test_excitation(without_norms):
    excitation, source = Excitation(3, 5), 5 * torch.randn(2, 3, 12, 12)
    nn.init.normal_(excitation.conv1.weight)
    factors = excitation(source).detach()
    assert factors.shape == (2, 5, 1, 1) and factors.std() > 0.01
    assert factors.numpy() == approx(excited(source, excitation))


def test_a_block_of_one_convolution(without_norms):
    block, x = UpBlock(3, 2, 8), torch.randn(2, 3, 4, 4)
    nn.init.normal_(block.norm0.bias)
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = gated(normalised(convolved(doubled, block.conv0.weight, padding=1), block.norm0))
    assert block(x).detach().numpy() == approx(expected)


def test_a_deep_block_with_noise_and_excitation(without_norms):
    block = UpBlock(3, 2, 8, deep=True, excited_by=5)
    with torch.no_grad():
        block.noise0.strength.fill_(0.3)
        block.noise1.strength.fill_(-0.2)
    x, source = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    torch.manual_seed(1)
    y = block(x, source)
    torch.manual_seed(1)
    noise = [torch.randn(2, 1, 8, 8).numpy() for _ in range(2)]
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    h = convolved(doubled, block.conv0.weight, padding=1) + 0.3 * noise[0]
    h = gated(normalised(h, block.norm0)).astype(np.float32)
    h = convolved(torch.from_numpy(h), block.conv1.weight, padding=1) - 0.2 * noise[1]
    expected = gated(normalised(h, block.norm1)) * excited(source, block.excitation)
    assert y.detach().numpy() == approx(expected)
    fixed = block(x, source, fixed_noise=True)
    assert torch.equal(fixed, block(x, source, fixed_noise=True)) and not torch.allclose(fixed, y)


def test_a_halving_block_is_the_mean_of_two_paths(without_norms):
    block, x, source = DownBlock(3, 4, excited_by=2), torch.randn(2, 3, 8, 8), torch.randn(2, 2, 8, 8)
    h = leaky(normalised(convolved(x, block.conv0.weight, stride=2, padding=1), block.norm0))
    h = convolved(torch.from_numpy(h.astype(np.float32)), block.conv1.weight, padding=1)
    h = leaky(normalised(h, block.norm1))
    pooled = x.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))
    skip = leaky(normalised(convolved(pooled, block.skip.weight), block.norm_skip))
    expected = (h + skip) / 2 * excited(source, block.excitation)
    assert block(x, source).detach().numpy() == approx(expected)


def test_every_weight_has_a_largest_singular_value_of_1():
    """By the filters of its outputs, also in the first layer of G, a transposed convolution from 1 x 1 to 4 x 4."""
    backbone = small(64, classes=2)
    for network in (backbone.generator(), backbone.discriminator()):
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
        assert len(layers) > 12
        for layer in layers:
            assert layer.bias is None
            for _ in range(100):
                weight = layer.weight.detach()
            outputs_first = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
            assert np.linalg.norm(outputs_first.flatten(1).numpy(), 2) == pytest.approx(1, rel=0.02)


# ---- G ----


def counted_g(resolution: int) -> int:
    """The parameters of G by the table of its release, with 64 maps at 128 px and latents of length 256."""
    maps = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32, 512: 16, 1024: 8}
    count = 256 * 2 * maps[4] * 16 + 2 * 2 * maps[4]  # convolution, gains and biases
    for number in range(3, int(math.log2(resolution)) + 1):
        i, o = maps[2 ** (number - 1)], maps[2**number]
        count += 9 * i * 2 * o + 2 * 2 * o
        if number % 2:  # 8, 32, 128, 512 px: the second convolution, and two strengths of noise
            count += 9 * o * 2 * o + 2 * 2 * o + 2
    for low, high in ((4, 64), (8, 128), (16, 256), (32, 512)):
        if high <= resolution:
            count += 16 * maps[low] * maps[high] + maps[high] ** 2
    return count + 9 * maps[resolution] * 3


def counted_d(resolution: int) -> int:
    """The same for D, with 64 maps at 64 px; only from 256 pixels up are there five blocks."""
    maps = {1024: None, 512: 8, 256: 16, 128: 32, 64: 64, 32: 128, 16: 256, 8: 512}
    entry = {256: 9 * 3 * 16, 512: 16 * 3 * 16, 1024: 16 * 3 * 8 + 16 * 8 * 16 + 2 * 16}[resolution]
    count = entry
    for side in (128, 64, 32, 16, 8):
        i, o = maps[2 * side], maps[side]
        count += (16 * i * o) + (9 * o * o) + (i * o) + 3 * 2 * o
    for low, high in ((256, 32), (128, 16), (64, 8)):
        count += 16 * maps[low] * maps[high] + maps[high] ** 2
    count += 512 * 1024 + 2 * 1024 + 16 * 1024  # to one logit a place
    for i, o in ((32, 64), (64, 128), (128, 256)):  # the view of 128 pixels
        count += 16 * i * o + 2 * o
    return count + 16 * 3 * 32 + 16 * 256


@pytest.mark.parametrize("resolution", [256, 512, 1024])
def test_parameter_counts(without_norms, resolution: int):
    G, D = published(resolution)
    assert (parameters(G), parameters(D)) == (counted_g(resolution), counted_d(resolution))


@pytest.mark.parametrize("factor, expected", [(16, {64: 4}), (4, {16: 4, 32: 8, 64: 16})])
def test_which_maps_excite_which(factor: int, expected: dict[int, int]):
    G = small(64, excitation_factor=factor).generator()
    found = {}
    for side, block in zip(G.sides, G.blocks, strict=True):
        if block.excitation:
            block.excitation.register_forward_pre_hook(
                lambda _, source, side=side: found.update({side: source[0].shape[2]})
            )
    image = G(torch.randn(2, 12), None)
    assert found == expected and image.abs().max() < 1
    assert [block.conv1 is not None for block in G.blocks] == [True, False, True, False]


def test_noise_is_drawn_for_each_image_and_fixed_where_images_are_rendered():
    G = small().generator().eval()
    with torch.no_grad():
        for block in G.blocks[::2]:
            block.noise0.strength.fill_(0.5)
    z = torch.randn(1, 12).expand(4, -1)
    with torch.no_grad():
        a, b, rendered = G(z, None), G(z, None), G.render(z, None)
        assert not torch.allclose(a, b) and not torch.allclose(a[0], a[1])
        assert torch.equal(rendered, G.render(z, None))
        torch.testing.assert_close(rendered[0], rendered[1])


@pytest.mark.parametrize("statistics, batch", [("batch", 16), ("running", None)])
def test_whether_images_depend_on_each_other_in_evaluation(statistics: str, batch: int | None):
    G = small(eval_statistics=statistics).generator()
    assert G.sampling_batch == batch
    z = torch.randn(4, 12)
    G(z, None)
    first = G.eval()(z, None)[:2]
    assert torch.allclose(first, G(z[:2], None), atol=1e-5) == (statistics == "running")


# ---- D ----


def test_which_maps_excite_which_in_d():
    """What enters block k and block k + 2's output, with as many maps as the release says."""
    D = small(256).discriminator()
    found = []
    for block in D.blocks:
        if block.excitation:
            block.excitation.register_forward_hook(lambda _, x, y: found.append((x[0].shape[2], y.shape[1])))
    D(torch.randn(2, 3, 256, 256), None)
    width = {32: 8, 16: 16, 8: 32}
    assert found == [(256, width[32]), (128, width[16]), (64, width[8])]
    assert len(D.blocks) == 5 and [len(small(side).discriminator().blocks) for side in (32, 64, 128)] == [2, 3, 4]


def test_logits_are_means_over_places(without_norms):
    """5 x 5 windows of the maps of either view, one convolution each."""
    D = small().discriminator()
    for output in D.outputs:
        nn.init.normal_(output.weight)
    x = torch.randn(2, 3, 32, 32)
    features = D.features(x)
    image, view = features[:, : 64 * 64].unflatten(1, (64, 8, 8)), features[:, 64 * 64 :].unflatten(1, (16, 8, 8))
    places = [convolved(maps, output.weight) for maps, output in zip((image, view), D.outputs, strict=True)]
    assert [each.shape for each in places] == [(2, 1, 5, 5), (2, 1, 5, 5)]
    expected = np.concatenate([each.reshape(2, 25) for each in places], axis=1).mean(1, keepdims=True)
    assert D(x, None).detach().numpy() == approx(expected)


def test_the_second_view_is_the_image_averaged_down():
    D = small(256).discriminator().eval()
    seen = []
    D.small.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    board = 1 - 2 * ((torch.arange(256)[:, None] + torch.arange(256)) % 2)
    D(board.float().expand(1, 3, -1, -1), None)
    assert seen[0].shape == (1, 3, 128, 128) and not seen[0].any()


def test_a_label_moves_all_places_alike():
    D = small(classes=3).discriminator().eval()
    x, c = torch.randn(1, 3, 32, 32).expand(3, -1, -1, -1), torch.eye(3)
    with collected() as notes:
        D(x, c)
    noted = notes["places"][0]
    moved = noted - noted[:1]
    assert noted.shape == (3, 50) and moved[1:].abs().min() > 1e-4
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
    assert noted.std(dim=1).min() > 0


def test_reals_and_fakes_take_a_pass_each():
    """Batch norm would show D how the two kinds differ on average."""
    D = small().discriminator()
    real, fake = torch.randn(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    alone = small().discriminator()
    alone.load_state_dict(D.state_dict())
    of_real, of_fake = D.judge_both((real, None), (fake, None))
    torch.testing.assert_close((of_real.logits, of_fake.logits), (alone(real, None), alone(fake, None)))


def test_held_out_images_are_judged_as_those_that_d_learns_from():
    """By the statistics of their batch: after many passes of other images, too."""
    D = small().discriminator()
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        for _ in range(20):
            D(-torch.rand(4, 3, 32, 32), None)
        before = D(x, None)
        torch.testing.assert_close(D.eval()(x, None), before, rtol=1e-3, atol=1e-3)


# ---- Losses ----


def test_losses_by_hand():
    backbone = small()
    d_real, d_fake = torch.tensor([[2.0], [0.9], [0.5]]), torch.tensor([[-2.0], [-0.9], [1.5]])
    torch.manual_seed(3)
    loss = backbone.d_loss(d_real, d_fake).item()
    torch.manual_seed(3)
    u, v = (0.8 + 0.2 * torch.rand(3, 1).numpy() for _ in range(2))
    expected = np.maximum(0, u - d_real.numpy()).mean() + np.maximum(0, v + d_fake.numpy()).mean()
    assert loss == pytest.approx(expected)
    assert backbone.g_loss(d_fake).item() == pytest.approx((2 + 0.9 - 1.5) / 3)


def test_the_hinge_lies_between_0_8_and_1():
    backbone, zeros = small(), torch.zeros(10_000, 1)
    assert backbone.d_loss(zeros + 1, zeros - 1).item() == 0
    assert backbone.d_loss(zeros, zeros).item() == pytest.approx(2 * 0.9, abs=2e-3)
    half = backbone.d_loss(zeros + 0.9, zeros - 9).item()  # E max(0, U(-0.1, 0.1))
    assert half == pytest.approx(0.025, abs=1e-3)


def test_the_hinge_is_one_of_places():
    """A real of which one half looks real beyond doubt and the other does not still has something to learn."""
    backbone = small()
    places = torch.tensor([[5.0] * 25 + [-1.0] * 25])
    mean = places.mean(dim=1, keepdim=True)
    ctx = step_of_d(d_real=mean, d_fake=-mean, noted_real={"places": [places]}, noted_fake={"places": [-places]})
    assert backbone.d_loss(mean, -mean).item() == 0
    assert backbone.d_adversarial(ctx).item() == pytest.approx(2 * (0.9 + 1) / 2, abs=0.05)
    assert backbone.d_adversarial(step_of_d(d_real=mean, d_fake=-mean, noted_real={}, noted_fake={})).item() == 0


# ---- Values that it refuses ----


@pytest.mark.parametrize(
    ("resolution", "keys", "words"),
    [
        (48, {}, "resolution is 48, must be a power of two from 32 to 1024"),
        (16, {}, "resolution is 16, must be a power of two from 32 to 1024"),
        (1024, {"g_width": 7}, "preset key g_width is 7, must be 8 or more at 1024 px"),
        (256, {"d_width": 3}, "preset key d_width is 3, must be 4 or more at 256 px"),
        (1024, {"d_width": 7}, "preset key d_width is 7, must be 8 or more at 1024 px"),
        (32, {"eval_statistics": "standing"}, "preset key eval_statistics is 'standing', must be one of"),
        (32, {"excitation_factor": 3}, "preset key excitation_factor is 3, must be one of"),
    ],
)
def test_what_cannot_be_built_says_why(resolution: int, keys: dict, words: str):
    with pytest.raises(ValueError, match=words):
        small(resolution, **keys)


@pytest.mark.parametrize("resolution", [512, 1024])
def test_the_narrowest_networks_of_large_images_work(resolution: int):
    backbone = small(resolution, g_width=8, d_width=8)
    with torch.no_grad():
        image = backbone.generator()(torch.randn(1, 12), None)
        assert image.shape == (1, 3, resolution, resolution)
        assert backbone.discriminator()(image, None).shape == (1, 1)
