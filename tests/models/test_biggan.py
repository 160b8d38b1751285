"""BigGAN against published parameter counts, closed forms, torch's own attention and singular values."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leangan.models.biggan import Backbone
from leangan.models.biggan.layers import Attention, BatchNorm, ConvDown, ConvUp, initialized, spectral
from leangan.runs.presets import presets

PRESETS = presets()
SMALL = {"z_dim": 12, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16}
# The design for ImageNet at 128, narrow.
LARGE = {"g_maps": [16, 16, 16, 16, 16, 8], "d_maps": [8, 16, 16, 16, 16, 16], "d_down": 5, "attention_at": 64}
LARGE |= {"z_dim": 12, "hierarchical_z": True, "shared_dim": 6, "init": "orthogonal"}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(resolution: int = 16, channels: int = 3, classes: int = 0, **keys) -> Backbone:
    return Backbone({**SMALL, **keys}, resolution, channels, classes)


def one_hot(labels: list[int], classes: int) -> torch.Tensor:
    return torch.eye(classes)[labels]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ---- Networks ----


@pytest.mark.parametrize(
    ("preset", "resolution", "classes", "count_g", "count_d"),
    [
        ("biggan-cifar", 32, 10, 4_304_387, 4_207_361),
        ("biggan-imagenet128-100", 128, 1000, 70_433_988, 87_982_370),
    ],
)
def test_parameter_counts(
    preset: str, resolution: int, classes: int, count_g: int, count_d: int, monkeypatch: pytest.MonkeyPatch
):
    # Power iterations without numbers take long and add no parameters.
    monkeypatch.setattr("leangan.models.biggan.layers.spectral_norm", lambda layer, eps: layer)
    with torch.device("meta"):
        backbone = Backbone(PRESETS[preset], resolution, channels=3, classes=classes)
        G, D = backbone.generator(), backbone.discriminator()
    assert (parameters(G), parameters(D)) == (count_g, count_d)


def test_blocks_of_the_discriminator_against_their_definition():
    D = small().discriminator().eval()
    first, second, third = D.blocks
    x = images = torch.randn(2, 3, 16, 16)
    h = F.conv2d(x, first.conv0.weight, first.conv0.bias, padding=1).relu()
    h = F.conv2d(h, first.conv1.weight, first.conv1.bias, padding=1)
    x = F.avg_pool2d(h + F.conv2d(x, first.skip.weight, first.skip.bias), 2)
    h = F.conv2d(x.relu(), second.conv0.weight, second.conv0.bias, padding=1).relu()
    h = F.conv2d(h, second.conv1.weight, second.conv1.bias, padding=1)
    x = F.avg_pool2d(h + F.conv2d(x, second.skip.weight, second.skip.bias), 2)
    assert third.skip is None and x.shape[2:] == (4, 4)
    h = F.conv2d(x.relu(), third.conv0.weight, third.conv0.bias, padding=1).relu()
    x = x + F.conv2d(h, third.conv1.weight, third.conv1.bias, padding=1)
    torch.testing.assert_close(D.blocks(images), x, rtol=1e-4, atol=1e-4)


def test_discriminator_without_labels_is_the_sum_over_pixels_and_a_dense_layer():
    D = small().discriminator().eval()
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        hidden = D.blocks(x).clamp(min=0).sum((2, 3))
        torch.testing.assert_close(D(x, None), hidden @ D.output.weight.T + D.output.bias)


@pytest.mark.parametrize("size", [4, 10])
def test_convolutions_that_change_the_resolution_are_the_plain_two_steps(size: int):
    x = torch.randn(2, 5, size, size)
    down, up = ConvDown(5, 7, 3), ConvUp(5, 7, 3)
    plain = F.avg_pool2d(F.conv2d(x, down.weight, down.bias, padding=1), 2)
    torch.testing.assert_close(down(x), plain)
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(up(x), F.conv2d(repeated, up.weight, up.bias, padding=1))


def test_generator_block_against_its_definition():
    G = small().generator().eval()
    block, x = G.blocks[0], torch.randn(6, 16, 4, 4)

    def normalized(t):
        return (t - t.mean((0, 2, 3), keepdim=True)) / (t.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()

    def doubled(t):
        return t.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    h = F.conv2d(doubled(normalized(x).relu()), block.conv0.weight, block.conv0.bias, padding=1)
    h = F.conv2d(normalized(h).relu(), block.conv1.weight, block.conv1.bias, padding=1)
    skip = F.conv2d(doubled(x), block.skip.weight, block.skip.bias)
    torch.testing.assert_close(block(x, None), h + skip, rtol=1e-4, atol=1e-4)


def test_attention_against_torch():
    layer = Attention(16, "normal").eval()
    nn.init.constant_(layer.gamma, 0.7)
    x = torch.randn(2, 16, 8, 8)

    def rows(conv, pooled):
        y = torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], x)
        y = y.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)) if pooled else y
        return y.flatten(2).transpose(1, 2)

    query, key, value = rows(layer.query, False), rows(layer.key, True), rows(layer.value, True)
    assert query.shape == (2, 64, 2) and value.shape == (2, 16, 8)
    attended = F.scaled_dot_product_attention(query, key, value, scale=1.0) @ layer.output.weight[:, :, 0, 0].T
    torch.testing.assert_close(layer(x), x + 0.7 * attended.transpose(1, 2).view(2, 16, 8, 8))


def test_attention_starts_as_the_identity():
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(Attention(16, "orthogonal")(x), x)


def test_initial_weights():
    drawn = initialized(nn.Conv2d(64, 64, 3), "normal")
    assert drawn.weight.std().item() == pytest.approx(0.02, rel=0.02) and not drawn.bias.any()
    rows = initialized(nn.Conv2d(8, 16, 3), "orthogonal").weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(16), rtol=0, atol=1e-5)


# ---- Spectral normalisation ----


def test_every_weight_but_the_tables_of_g_has_spectral_norm_one():
    backbone = Backbone(LARGE, 128, 3, 5)
    for network, tables in ((backbone.generator(), {"embed"}), (backbone.discriminator(), set())):
        checked = 0
        for name, layer in network.named_modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            assert hasattr(layer, "parametrizations") == (name not in tables), name
            if name not in tables:
                nn.init.normal_(layer.parametrizations.weight.original)
                for _ in range(150):
                    _ = layer.train().weight
                largest = torch.linalg.svdvals(layer.eval().weight.flatten(1))[0].item()
                assert largest == pytest.approx(1, abs=0.01), name
                checked += 1
        assert checked > 20


def test_gains_and_biases_of_a_bare_label_are_tables():
    G = small(classes=3).generator()
    tables = [G.blocks[0].norm0.gain, G.blocks[0].norm0.bias]
    assert not any(hasattr(table, "parametrizations") for table in tables)


def test_one_power_iteration_per_training_pass_and_none_in_evaluation():
    layer = spectral(nn.Linear(6, 5), "normal")
    state = layer.parametrizations.weight[0]
    matrix, v = layer.parametrizations.weight.original.detach(), torch.randn(6)
    state._v.copy_(v / v.norm())
    u = F.normalize(matrix @ state._v, dim=0)
    v = F.normalize(matrix.T @ u, dim=0)
    x = torch.randn(3, 6)
    torch.testing.assert_close(layer(x), x @ (matrix / (u @ matrix @ v)).T + layer.bias)
    torch.testing.assert_close(state._u, u), torch.testing.assert_close(state._v, v)
    layer.eval()(x)
    torch.testing.assert_close(state._u, u, rtol=0, atol=0)


# ---- Batch normalisation ----


def test_conditional_batch_norm_by_hand():
    norm = BatchNorm(2, 3, normalized=False, init="normal", gain_offset=1.0, eval_statistics="running")
    gains, biases = torch.tensor([[0.5, -2, 0], [1, 0, 3]]), torch.tensor([[4.0, 5, 6], [7, 8, 9]])
    norm.gain.weight.data, norm.bias.weight.data = gains, biases
    x = torch.randn(4, 2, 3, 3) * 5 + 2
    labels = [0, 2, 1, 2]
    y = norm(x, one_hot(labels, 3))
    for channel in range(2):
        pixels = x[:, channel].double().numpy()
        for n, label in enumerate(labels):
            standard = (pixels[n] - pixels.mean()) / math.sqrt(pixels.var() + 1e-5)
            expected = (1 + gains[channel, label].item()) * standard + biases[channel, label].item()
            torch.testing.assert_close(y[n, channel].double(), torch.as_tensor(expected), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.mean, 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.var, 0.9 + 0.1 * x.var((0, 2, 3)))


def test_unconditional_norm_learns_gain_and_bias():
    norm = BatchNorm(2, 0, normalized=False, init="normal", gain_offset=0.0, eval_statistics="batch")
    x = torch.randn(8, 2, 4, 4) * 3 + 1
    assert norm(x).mean().item() == pytest.approx(0, abs=1e-5) and norm(x).std().item() == pytest.approx(1, rel=0.01)
    norm.gain.data, norm.bias.data = torch.tensor([2.0, 3.0]), torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(norm(x).mean((0, 2, 3)), norm.bias.data)
    torch.testing.assert_close(norm(x).std((0, 2, 3), correction=0), norm.gain.data, rtol=1e-4, atol=0)


def test_without_gain_offset_a_gain_is_its_projection():
    norm = BatchNorm(2, 3, normalized=False, init="normal", gain_offset=0.0, eval_statistics="batch")
    x = torch.randn(8, 2, 4, 4)
    spread = norm(x, one_hot([1] * 8, 3)).std((0, 2, 3), correction=0)
    torch.testing.assert_close(spread, norm.gain.weight[:, 1].abs().detach(), rtol=1e-4, atol=0)


@pytest.mark.parametrize(("statistics", "depends"), [("batch", True), ("running", False), ("standing", False)])
def test_batch_mates_matter_in_evaluation_with_batch_statistics_only(statistics: str, depends: bool):
    G = small(eval_statistics=statistics, standing_passes=2, classes=2).generator()
    G(torch.randn(8, 12), one_hot([0, 1] * 4, 2))
    G.eval().accumulate_standing(lambda n: one_hot([0] * n, 2))
    z, c = torch.randn(4, 12), one_hot([0, 1, 1, 0], 2)
    with torch.no_grad():
        change = (G(z, c)[0] - G(torch.cat([z[:1], 3 * z[1:]]), c)[0]).abs().max().item()
    assert (change > 1e-4) == depends and (depends or change < 1e-6)
    assert G.sampling_batch == (16 if depends else None)


def test_evaluation_leaves_the_networks_alone():
    for statistics in ("batch", "running", "standing"):
        G = small(eval_statistics=statistics).generator().eval()
        before = copy.deepcopy(G.state_dict())
        G(torch.randn(4, 12), None)
        assert all(torch.equal(before[k].nan_to_num(7), v.nan_to_num(7)) for k, v in G.state_dict().items())


def test_standing_statistics_are_means_over_fresh_batches():
    G = small(eval_statistics="standing", standing_passes=5, eval_batch=8, classes=3).generator()
    z = torch.randn(4, 12)
    assert G.eval()(z, one_hot([0] * 4, 3)).isnan().all(), "images without statistics must not pass for results"
    drawn, seen = [], []
    hook = G.norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))

    def labels(n: int) -> torch.Tensor:
        drawn.append(n)
        return one_hot([2] * n, 3)

    G.train().accumulate_standing(labels)
    hook.remove()
    assert drawn == [8] * 5 and G.training
    assert not torch.equal(seen[0], seen[1])
    means, variances = torch.stack([x.mean((0, 2, 3)) for x in seen]), torch.stack([x.var((0, 2, 3)) for x in seen])
    torch.testing.assert_close(G.norm.mean, means.mean(0))
    torch.testing.assert_close(G.norm.var, variances.mean(0))
    # The last layers of G, from the statistics just computed.
    x = torch.randn(2, 8, 16, 16)
    standard = (x - means.mean(0)[:, None, None]) / (variances.mean(0)[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(G.eval().norm(x), standard, rtol=1e-4, atol=1e-4)
    G.train()(z, one_hot([0] * 4, 3))
    torch.testing.assert_close(G.norm.mean, means.mean(0))


# ---- Labels and latents ----


def test_projection_of_the_label_by_hand():
    D = small(classes=3).discriminator().eval()
    with torch.no_grad():
        D.embed.parametrizations.weight.original.normal_()
        D.train()
        for _ in range(100):
            _ = D.embed.weight
        D.eval()
        x, c = torch.randn(4, 3, 16, 16), one_hot([0, 1, 2, 1], 3)
        table = D.embed.parametrizations.weight.original
        table = table / torch.linalg.svdvals(table)[0]
        hidden = D.features(x)
        logit = hidden @ D.output.weight.T + D.output.bias + (hidden * table.T[[0, 1, 2, 1]]).sum(1, keepdim=True)
        torch.testing.assert_close(D(x, c), logit, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keys", [{}, {"hierarchical_z": True, "shared_dim": 4}, {"shared_dim": 4}])
def test_label_and_latent_change_the_image(keys: dict):
    G = small(classes=3, eval_statistics="running", **keys).generator().eval()
    z = torch.randn(1, 12).expand(3, -1)
    a, b, again = G(z, one_hot([0, 1, 0], 3))
    assert (a - b).abs().max() > 1e-4 and torch.equal(a, again)
    assert (a - G(z + 1, one_hot([0, 1, 0], 3))[0]).abs().max() > 1e-4


def test_each_block_sees_its_own_part_of_a_hierarchical_latent():
    G = small(classes=3, hierarchical_z=True).generator()
    z, c = torch.arange(12.0)[None], one_hot([2], 3)
    first, *conditions = G.conditions(z, c)
    assert first.tolist() == [[0, 1, 2, 3]]
    assert [y.tolist() for y in conditions] == [[[4, 5, 6, 7, 0, 0, 1]], [[8, 9, 10, 11, 0, 0, 1]]]


# ---- Losses and derivatives ----


def test_losses_are_hinges():
    backbone = small()
    d_real, d_fake = torch.tensor([[2.0], [0.25], [-1.0]]), torch.tensor([[0.5], [-3.0], [-0.5]])
    assert backbone.d_loss(d_real, d_fake).item() == pytest.approx((0 + 0.75 + 2) / 3 + (1.5 + 0 + 0.5) / 3)
    assert backbone.g_loss(d_fake).item() == pytest.approx(1.0)


def test_discriminator_differentiates_twice():
    D = small(8, classes=2, g_maps=[4, 4], d_maps=[8, 8], d_down=1, attention_at=0).discriminator().double().eval()
    names = [name for name, _ in D.named_parameters()]
    c = torch.eye(2, dtype=torch.float64)

    def call(x, *values):
        return torch.func.functional_call(D, dict(zip(names, values, strict=True)), (x, c))

    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(call, (x, *D.parameters()), fast_mode=True, atol=1e-4)


@pytest.mark.parametrize("layer", [Attention(8, "normal"), BatchNorm(8, 0, False, "normal", 1.0, "batch")])
def test_layers_differentiate_twice(layer: nn.Module):
    layer = layer.double().eval()
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(layer, x, fast_mode=True)


# ---- Errors ----


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"resolution": 32}, "resolution is 32, but preset key g_maps .* of 16 px"),
        ({"resolution": 4, "g_maps": [4]}, "resolution is 4.* at least 8"),
        ({"d_down": 4}, "d_down is 4, must be at most 3"),
        ({"d_down": 3}, "d_down is 3.* leave 4 pixels of 16"),
        ({"attention_at": 12}, r"attention_at is 12, must be one of \(0, 8\)"),
        ({"hierarchical_z": True, "z_dim": 10}, "z_dim is 10, must be a multiple of 3"),
        ({"init": "uniform"}, "init is 'uniform'"),
        ({"eval_statistics": "moving"}, "eval_statistics is 'moving'"),
        ({"z_dims": 8}, "unknown preset key 'z_dims'. Did you mean 'z_dim'"),
    ],
)
def test_values_that_cannot_be_built(keys: dict, message: str):
    with pytest.raises(ValueError, match=message):
        small(**keys)
