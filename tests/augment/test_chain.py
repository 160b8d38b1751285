"""CHAIN against its equations in numpy (arXiv:2404.00521)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from leangan.augment.chain import Method
from leangan.core import ranks
from leangan.plugins.networks import build_networks
from leangan.plugins.notes import collected
from leangan.runs.grid import refusal
from leangan.runs.methods import method_plugins
from leangan.training import loop
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import SMALL_BIGGAN, trainer_of
from tests.helpers.steps import step_of_d
from tests.helpers.twins import Notes

CPU = torch.device("cpu")
EPS = 1e-5
HYPER = {"tiny": {}, "tiny-biggan": SMALL_BIGGAN}
LAYERS = ("conv0", "conv1", "skip")


def maps(seed: int = 0) -> np.ndarray:
    """Maps [6, 4, 3, 5] whose means and sizes differ, the third the smallest."""
    rng = np.random.default_rng(seed)
    return rng.normal([[[0.5]], [[-2.0]], [[0.1]], [[0.0]]], [[[1.0]], [[2.0]], [[0.3]], [[4.0]]], (6, 4, 3, 5))


def root_mean_square(y: np.ndarray, gain: float = 1.0) -> np.ndarray:
    return np.sqrt((y**2).mean((0, 2, 3)) / gain**2 + EPS)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_maps_that_are_drawn_are_brought_to_the_least_size_and_others_stay(p, gain):
    y = maps()
    torch.manual_seed(0)
    with collected() as noted:
        found = Method(p=p).normalize(torch.from_numpy(gain * y), gain).numpy() / gain
    torch.manual_seed(0)
    drawn = (torch.rand(6, 4) < p).numpy()[:, :, None, None]
    assert p in (0, 1) or 0 < drawn.mean() < 1
    size = root_mean_square(y)[:, None, None]
    np.testing.assert_allclose(found, np.where(drawn, y / size * size[2], y), rtol=1e-12)
    (mean,) = noted["chain"]
    np.testing.assert_allclose(mean.numpy(), y.mean((0, 2, 3)), rtol=1e-12)


def test_each_map_of_each_image_is_drawn_on_its_own():
    torch.manual_seed(0)
    y = torch.ones(400, 8, 2, 2) * torch.arange(1.0, 9)[:, None, None]
    drawn = Method(p=0.3).normalize(y, 1.0) < 1.5
    assert torch.equal(drawn, drawn[:, :, :1, :1].expand_as(drawn))
    drawn = drawn[:, 1:, 0, 0]  # the first map has the least size already
    assert binomtest(int(drawn.sum()), drawn.numel(), 0.3).pvalue > 1e-3
    together = int((drawn[:, 0] & drawn[:, 1]).sum()), int((drawn[::2, 3] & drawn[1::2, 3]).sum())
    assert binomtest(together[0], 400, 0.09).pvalue > 1e-3 and binomtest(together[1], 200, 0.09).pvalue > 1e-3


def test_the_least_size_passes_no_gradient_and_the_sizes_do():
    """With a the gradient of the output and m the least size, a constant:

    d/dy_c = m (a_c / psi_c - y_c sum(a_c y_c) / (n psi_c^3)), also of the map that has this size.
    """
    y, a = maps(), maps(1)
    x = torch.from_numpy(y).requires_grad_()
    (Method(p=1.0).normalize(x, 1.0) * torch.from_numpy(a)).sum().backward()
    size, n = root_mean_square(y)[:, None, None], y.size / 4
    sums = (a * y).sum((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(x.grad.numpy(), size[2] * (a / size - y * sums / (n * size**3)), rtol=1e-9)


def test_derivatives_of_both_orders():
    """Against finite differences; the least size is set by a map that does not move, since it counts as a constant."""
    torch.manual_seed(0)
    still = torch.full((2, 1, 2, 1), 0.01, dtype=torch.float64)

    def normalized(y: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(1)
        return Method(p=0.6).normalize(torch.cat([y, still], 1), 1.0)[:, :3]

    y = torch.randn(2, 3, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(normalized, y) and torch.autograd.gradgradcheck(normalized, y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sizes_of_16_bit_maps_are_computed_in_32(dtype):
    """The square of 300 is beyond float16."""
    y = torch.from_numpy(maps()).to(dtype) * torch.tensor([300, 1, 1, 1], dtype=dtype)[:, None, None]
    out = Method(p=1.0).normalize(y, 1.0)
    assert out.dtype == dtype
    wide = y.double().numpy()
    size = root_mean_square(wide)[:, None, None]
    np.testing.assert_allclose(out.double().numpy(), wide / size * size[2], rtol=2 * torch.finfo(dtype).eps)


def test_a_single_image_and_flat_maps_stay_finite():
    method = Method(p=1.0)
    for y in (torch.randn(1, 4, 1, 1), torch.zeros(3, 4, 2, 2)):
        y.requires_grad_()
        out = method.normalize(y, 1.0)
        (slope,) = torch.autograd.grad(out.sum(), y)
        assert out.isfinite().all() and slope.isfinite().all()


def test_the_loss_is_the_sum_of_squared_means_of_all_convolutions_and_both_kinds():
    means = [torch.tensor(values, requires_grad=True) for values in ([1.0, -2.0], [3.0], [0.5, 0.0])]
    ctx = step_of_d(noted_real={"chain": means[:1]}, noted_fake={"chain": means[1:]})
    loss = Method(weight=20, p=0.25, p0=0.1).d_loss(ctx)
    assert loss.item() == pytest.approx(20 * 0.35 * (1 + 4 + 9 + 0.25))
    loss.backward()
    torch.testing.assert_close(means[0].grad, 20 * 0.35 * 2 * torch.tensor([1.0, -2.0]))


# ---- In D ----


def convolved(name: str, layer: torch.nn.Module, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """The maps of a layer without bias, gain and activation, from its input x and its output."""
    if not hasattr(layer, "bias_gain"):  # BigGAN's gives them with its bias
        return out - layer.bias[:, None, None]
    weight = layer.weight / (layer.weight[0].numel() ** 0.5)
    if name == "conv0":
        return F.conv2d(x, weight, padding=1)
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64
    channels = x.shape[1]
    x = F.conv2d(x, tent.expand(channels, 1, 4, 4), padding=2 if name == "conv1" else 1, groups=channels)
    return F.conv2d(x, weight, stride=2) if name == "conv1" else F.conv2d(x[:, :, ::2, ::2], weight)


@pytest.mark.parametrize("preset, hyper", [("tiny", {}), ("tiny", {"r1_interval": 1}), ("tiny-biggan", SMALL_BIGGAN)])
def test_means_count_in_the_adversarial_loss_of_d_and_nowhere_else(make_spec, make_reals, preset, hyper):
    """Its losses with and without weight, in a step in which the lazy R1 and G's regulariser are due."""
    spec = make_spec(hyper={**hyper, **({"pl_weight": 2.0} if preset == "tiny" else {})}, of=preset)
    losses, passes = {}, {}
    for weight in (0.0, 20.0):
        steps = trainer_of(spec, Method(weight=weight, p0=0.1), make_reals())
        for i, block in enumerate(steps.D.blocks):
            for name in LAYERS:
                if layer := getattr(block, name):
                    keep = passes.setdefault((i, name), [])
                    keep.clear()
                    layer.register_forward_hook(
                        lambda layer, inputs, out, name=name, keep=keep: keep.append(
                            convolved(name, layer, inputs[0].detach(), out.detach()).mean((0, 2, 3))
                        )
                    )
        steps.g_player, steps.d_player = g, d = Notes(steps.g_player), Notes(steps.d_player)
        torch.manual_seed(2)
        steps.g_step(0, iteration=0)
        for kept in passes.values():
            kept.clear()
        steps.d_step(0, iteration=0)
        losses[weight] = g.losses, d.losses
    (g_without, d_without), (g_with, d_with) = losses.values()
    assert g_with == g_without
    assert d_with[1:] == d_without[1:] and len(d_with) == (2 if spec.hyper.get("r1_interval") == 4 else 1)
    means = torch.cat([mean for kept in passes.values() for mean in kept[:2]])
    assert (d_with[0] - d_without[0]).item() == pytest.approx(20 * 0.1 * means.square().sum().item(), rel=1e-3)


@pytest.mark.parametrize("preset", HYPER)
@pytest.mark.parametrize("blocks", [None, [2], [1, 2]])
def test_convolutions_of_the_chosen_blocks_have_it(make_spec, preset, blocks):
    spec = make_spec(hyper=HYPER[preset], of=preset, plugins=[("chain", {"blocks": blocks})])
    D = build_networks(spec, 3, 0)[2]
    found = {name for name, layer in D.named_modules() if getattr(layer, "before_bias", None)}
    expected = {
        f"blocks.{i}.{layer}"
        for i, block in enumerate(D.blocks)
        for layer in LAYERS
        if (blocks is None or i + 1 in blocks) and getattr(block, layer) is not None
    }
    assert found == expected and D.apart


@pytest.mark.parametrize("preset", HYPER)
def test_d_is_as_it_was_without_strength_and_images_depend_on_each_other_with_it(make_spec, preset):
    def judged(p: float, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        hyper = {**HYPER[preset], **({"mbstd_group": 1} if preset == "tiny" else {})}
        D = build_networks(make_spec(hyper=hyper, of=preset, plugins=[("chain", {"p": p})]), 3, 0)[2]
        D.load_state_dict(build_networks(make_spec(hyper=hyper, of=preset), 3, 0)[2].state_dict())
        D.eval()
        torch.manual_seed(1)
        return D(x, None).detach()

    torch.manual_seed(2)
    x = torch.randn(8, 3, 16, 16)
    torch.testing.assert_close(judged(0.0, x)[:4], judged(0.0, x[:4]), rtol=1e-4, atol=1e-5)
    whole, half = judged(1.0, x), judged(1.0, x[:4])
    assert not torch.allclose(whole[:4], half, rtol=1e-3) and not torch.allclose(whole, judged(0.0, x), rtol=1e-3)
    assert judged(1.0, x[:1]).isfinite().all()


# ---- The strength ----


def test_p_follows_the_smoothed_signs_by_fixed_steps_within_0_and_1():
    rng = np.random.default_rng(0)
    method = Method(p=0.0, step=0.2, decay=0.9, target=0.5, warm_up=5)
    s, p, seen = 0.0, 0.0, []
    for step in range(60):
        d_real = rng.normal(3 if step < 30 else -1, 1, (8, 1))
        method.observe(torch.from_numpy(d_real).float(), torch.full((8, 1), torch.nan), 8 * step)
        if step >= 5:
            s = 0.9 * s + 0.1 * np.sign(d_real).mean()
            p = min(max(p + 0.2 * np.sign(s - 0.5), 0), 1)
        seen.append(p)
        assert method.log() == pytest.approx({"p": p, "r_t": s}, abs=1e-5)
    assert {0, 1} < {round(value, 6) for value in seen} and not any(seen[:5])


def test_the_first_step_after_the_warm_up_moves_p_and_the_average():
    """The average starts from 0 then, so that p falls at first, however long D has overfitted: 0.9^7 < 1 - 0.5."""
    method, overfitted = Method(warm_up=20, p=0.5), torch.ones(4, 1)
    for _ in range(20):
        method.observe(overfitted, -overfitted, 0)
        assert method.log() == {"p": 0.5, "r_t": 0}
    for step in range(1, 10):
        method.observe(overfitted, -overfitted, 0)
        p = 0.5 - 0.001 * step if step < 7 else 0.494 + 0.001 * (step - 6)
        assert method.log() == pytest.approx({"p": p, "r_t": 1 - 0.9**step}, abs=1e-6)


# ---- In a run ----


@pytest.mark.parametrize("others", [["ada"], ["diffaugment"], ["ada", "lecam"]])
@pytest.mark.parametrize("preset", HYPER)
def test_it_trains_with_others(make_spec, make_reals, preset, others):
    plugins = [*((name, {"p": 0.5} if name == "ada" else {}) for name in others), ("chain", {"p": 0.5, "warm_up": 0})]
    spec = make_spec(plugins=plugins, hyper=HYPER[preset], of=preset)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(), CPU)
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
        steps.validate(8 * iteration, iteration)
    assert abs(float(steps.method.methods["chain"].controller.p) - 0.5) > 5e-4
    assert all(param.isfinite().all() for network in (steps.G, steps.D) for param in network.parameters())
    assert ("chain.p" in steps.method.log()) == ("ada" in others)


def test_the_picture_that_one_rank_makes_asks_no_other(make_spec, make_reals, tmp_path, monkeypatch):
    """Its D takes the means of the images at hand; a sum over ranks would wait for ever."""
    worlds = []

    def save_gradients(*arguments, **named) -> None:
        with pytest.MonkeyPatch.context() as two_ranks:
            two_ranks.setattr(ranks.dist, "is_initialized", lambda: True)
            two_ranks.setattr(ranks.dist, "get_world_size", lambda: 2)
            two_ranks.setattr(ranks.dist, "all_reduce", None)
            worlds.append(ranks.world_size())
            assert Method(p=1.0).normalize(torch.randn(2, 3, 4, 4), 1.0).isfinite().all()

    monkeypatch.setattr(loop, "save_gradients", save_gradients)
    loop.train(make_spec("chain"), make_reals(), tmp_path, CPU, 0.064, 1e9, lambda: False)
    assert worlds == [1, 1]


def test_what_makes_no_sense_is_refused(make_spec):
    wasserstein = {"adversarial_loss": "wasserstein", "r1_gamma": 0.0}
    spec = make_spec(plugins=[("wgan_gp", {}), ("chain", {})], hyper=wasserstein)
    assert "slope at each image alone" in refusal(spec)[1]
    spec = make_spec(plugins=[("relativistic", {}), ("chain", {})], hyper={"r1_gamma": 0.0})
    assert "'chain' goes by the sign of D's logits" in refusal(spec)[1]
    with pytest.raises(ValueError, match=r"blocks has 3; D has blocks 1 to 2: change the method's `blocks`"):
        build_networks(make_spec(plugins=[("chain", {"blocks": [1, 3]})]), 3, 0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"p0": -0.1}, "p0 is -0.1; it must not be negative"),
        ({"p": 1.5}, "p is 1.5; it is a probability"),
        ({"step": 0.0}, "step is 0.0; it must be positive"),
        ({"decay": 1.0}, "decay is 1.0; 0 <= decay < 1"),
        ({"warm_up": -1}, "warm_up is -1; 0 or more"),
        ({"target": 2.0}, "target is 2.0; r_t lies in"),
        ({"blocks": []}, "blocks is \\[\\]; one block or more"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Method(**arguments)


RELEASE = {  # github.com/MaxwellYaoNi/CHAIN, FastGANDBig/train.py
    "weight": 20,  # lambda
    "target": 0.5,  # tau
    "step": 0.001,  # of p, per D step
    "decay": 0.9,  # of the average of r_t
    "warm_up": 5000,  # D steps
    "blocks": None,  # all five of its D: 12345 in the README's command
    "p": 0,  # during the warm-up
}

ANY_SET, ABOUT_100_IMAGES = 0, 0.1  # p0 by default, and in the README for sets of about 100 images

ENTRIES = {
    "chain": (["chain"], ANY_SET),
    "chain-lowshot": (["chain"], ABOUT_100_IMAGES),
    "ada-chain": (["ada", "chain"], ANY_SET),
    "diffaugment-chain": (["diffaugment", "chain"], ANY_SET),
    "diffaugment-chain-lowshot": (["diffaugment", "chain"], ABOUT_100_IMAGES),
    "diffaugment-lecam-chain-biggan": (["diffaugment", "lecam", "chain"], ANY_SET),
}


@pytest.mark.parametrize("entry, expected", ENTRIES.items())
def test_entries_have_the_constants_of_the_release(entry, expected):
    names, p0 = expected
    plugins = dict(method_plugins(entry))
    assert list(plugins) == names
    assert plugins["chain"] == {**RELEASE, "p0": p0}


def test_blocks_in_another_order_are_the_same_run():
    assert Method.resolve({"blocks": [2, 1, 2]}) == {"blocks": [1, 2]}
