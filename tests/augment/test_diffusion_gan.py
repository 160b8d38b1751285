"""Diffusion-GAN against the equations of arXiv:2206.02262, by numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from leangan.augment.diffusion_gan import Method
from leangan.core.errors import ConfigError
from leangan.plugins.networks import build_networks
from leangan.plugins.notes import collected
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer

CPU = torch.device("cpu")


def kept(T: int, beta_end: float = 0.02) -> np.ndarray:
    """a_0, ..., a_T of a diffusion of T steps."""
    return np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, beta_end, T))])


def seen(method: Method, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What D, which is not told t, sees of images x, and t of each."""
    with collected() as notes:
        y = method.features_of_diffused(lambda y: y, x)
    (t,) = notes["t"]
    return y.numpy(), t.numpy()


@pytest.mark.parametrize("law", ["priority", "uniform"])
@pytest.mark.parametrize("p, T", [(0.0, 10), (0.05, 60)])
def test_half_of_the_images_are_clean_and_the_others_follow_the_law(law, p, T):
    torch.manual_seed(0)
    n, steps = 40_000, np.arange(1, T + 1)
    t = Method(law=law, p=p).steps_of(n).numpy()
    weights = steps if law == "priority" else np.ones(T)
    expected = np.concatenate([[n / 2], n / 2 * weights / weights.sum()])
    assert chisquare(np.bincount(t, minlength=T + 1), expected).pvalue > 1e-3


def test_the_last_step_is_t_max_and_never_beyond():
    torch.manual_seed(0)
    t = Method(p=7.0).steps_of(100_000)
    assert t.min() == 0 and t.max() == 1000


@pytest.mark.parametrize("p, T, beta_end", [(0.0, 10, 0.02), (0.25, 258, 0.01)])  # 10 + 247.5, rounded to even
def test_an_image_keeps_its_share_and_gets_the_rest_as_noise(p, T, beta_end):
    torch.manual_seed(0)
    method = Method(p=p, beta_end=beta_end, condition=False)
    x = torch.randn(500, 3, 8, 8)
    y, t = seen(method, x)
    a = kept(T, beta_end)[t][:, None, None, None]
    assert t.max() <= T and float(method.length()) == T
    np.testing.assert_array_equal(y[t == 0], x.numpy()[t == 0])
    noise = ((y - np.sqrt(a) * x.numpy()) / np.sqrt(1 - a + (a == 1)))[t > 0]
    assert kstest(noise[::3].flatten() / 0.05, "norm").pvalue > 1e-3
    # As much of each image, however far it is diffused: a wrong a_t leaves some of x in the noise.
    assert abs(np.vdot(noise, x.numpy()[t > 0]) / noise.size) < 4 * 0.05 / np.sqrt(noise.size)


def test_r_t_moves_T_from_10_to_1000_in_100_kimg_and_back_at_once():
    method, sure = Method(), torch.ones(64, 1)
    lengths = []
    for iteration in range(1600):  # 102,400 images
        method.observe(sure, -sure, 64 * iteration)
        lengths.append(method.log()["T"])
    # p rises by 256 / 100,000 every 4 iterations.
    assert lengths[2:4] == [10, 10 + round(990 * 0.00256)]
    assert lengths[799] == 10 + round(990 * 200 * 0.00256)
    assert lengths[-1] == 1000 and method.log()["p"] == 1 and method.log()["r_t"] == 1
    for _ in range(4):
        method.observe(-sure, sure, 0)
    assert method.log()["T"] == 10 + round(990 * (1 - 0.00256))


def test_r_t_below_06_lowers_p():
    method = Method(p=0.5)
    for _ in range(4):
        method.observe(torch.tensor([[1.0]] * 7 + [[-1.0]] * 3), torch.zeros(10, 1), 0)  # r_t is 0.4
    assert method.log()["p"] == pytest.approx(0.5 - 40 / 100_000)


@pytest.mark.parametrize("classes", [0, 4])
def test_the_output_weighs_hidden_units_by_the_noise_level(make_spec, classes):
    """With noise left out, what D sees of x is known: sqrt(a_t) x."""
    torch.manual_seed(0)
    spec = make_spec(plugins=[("diffusion_gan", {"noise_std": 0.0, "p": 0.3})], conditional=bool(classes))
    _, _, D, method = build_networks(spec, 3, classes)
    plain = build_networks(make_spec(conditional=bool(classes)), 3, classes)[2]
    plain.load_state_dict(D.state_dict())
    first, second = method.methods["diffusion_gan"].weights
    for layer in (first, second):
        torch.nn.init.normal_(layer.bias)
    x, c = torch.randn(16, 3, 16, 16), torch.eye(4)[torch.arange(16) % 4] if classes else None
    with torch.no_grad(), collected() as notes:
        logits = D(x, c)
        a = torch.from_numpy(kept(10 + round(0.3 * 990))).float()[notes["t"][0]][:, None]
        hidden = plain.features(a.sqrt()[:, :, None, None] * x).numpy()
    level = np.sqrt(1 - a.numpy())
    w1, b1, w2, b2 = (t.detach().numpy() for t in (first.weight, first.bias, second.weight, second.bias))
    y = level @ w1.T + b1
    y = np.sqrt(2) * np.where(y > 0, y, 0.2 * y)
    weighed = torch.from_numpy(hidden * (1 + y @ w2.T / np.sqrt(plain.width) + b2)).float()
    with torch.no_grad():
        torch.testing.assert_close(logits, plain.score(weighed, c), rtol=1e-4, atol=1e-4)
    assert len(set(level.flatten().tolist())) > 5


def test_without_condition_d_has_no_weights_of_t_and_says_so(make_spec):
    spec = make_spec(plugins=[("diffusion_gan", {"condition": False})])
    _, _, _, method = build_networks(spec, 3, 0)
    assert not list(method.parameters()) and method.title == "Diffusion-GAN (t hidden)"


def test_each_image_of_a_step_has_its_t_and_the_slope_of_its_own_share():
    """Of D(y) = <w, y>, the gradient at the image before is sqrt(a_t) w: R1's, and what G learns from."""
    torch.manual_seed(0)
    method, w = Method(p=1.0, condition=False), torch.randn(3, 4, 4)
    x = torch.randn(32, 3, 4, 4, requires_grad=True)
    with collected() as notes:
        logits = method.features_of_diffused(lambda y: (y * w).sum((1, 2, 3)), x)
    (slope,) = torch.autograd.grad(logits.sum(), x)
    share = np.sqrt(kept(1000))[notes["t"][0].numpy()]
    np.testing.assert_allclose(slope.numpy(), share[:, None, None, None] * w.numpy(), rtol=1e-3)


@pytest.mark.parametrize("entry", ["ada-diffusion-gan", "diffaugment-diffusion-gan"])
def test_images_are_diffused_after_augmentation_in_every_pass(make_spec, make_reals, monkeypatch, entry):
    torch.manual_seed(0)
    steps = Trainer(make_spec(entry), make_reals(), CPU)
    diffusion = steps.method.methods["diffusion_gan"]
    assert float(diffusion.length()) == 10
    contexts, drawn, steps_of, into_d = [], [], diffusion.steps_of, []
    diffusion.noise_std = 0.0
    steps.D.from_rgb.register_forward_pre_hook(lambda layer, inputs: into_d.append(inputs[0]))
    monkeypatch.setattr(diffusion, "steps_of", lambda images: drawn.append(steps_of(images)) or drawn[-1])
    for hook in ("g_loss", "d_loss"):
        monkeypatch.setattr(steps.method, hook, lambda ctx: contexts.append(ctx) or 0.0)
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    steps.validate(0, 0)
    # G's step, both kinds in D's, R1 over the reals, held-out images.
    assert [len(t) for t in drawn] == [8, 16, 8, 8]
    g, d = contexts
    assert torch.equal(g.noted_fake["t"][0], drawn[0]) and torch.equal(d.noted_fake["t"][0], drawn[1])
    a = torch.from_numpy(kept(10)).float()[drawn[0]][:, None, None, None]
    torch.testing.assert_close(into_d[0], a.sqrt() * g.t_fake)
    assert all(np.isfinite(value) for value in steps.tally.means().values())


def test_entries_have_the_settings_of_table_5():
    ((_, ffhq),) = method_plugins("diffusion-gan-ffhq")
    assert (ffhq["law"], ffhq["t_max"], ffhq["target"], ffhq["noise_std"]) == ("uniform", 500, 0.8, 0.05)
    ((_, hidden),) = method_plugins("diffusion-gan-hidden")
    assert not hidden["condition"] and (hidden["law"], hidden["t_max"], hidden["target"]) == ("priority", 1000, 0.6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beta_start": 0.5, "beta_end": 0.1}, "beta_start is 0.5 and beta_end 0.1; 0 <= beta_start"),
        ({"beta_end": 1.0}, "beta_end 1.0"),
        ({"t_min": 20, "t_max": 10}, "t_min is 20 and t_max 10"),
        ({"t_min": 0, "t_max": 0}, "t_max 0"),
        ({"noise_std": -1.0}, "noise_std is -1.0"),
    ],
)
def test_what_is_no_diffusion_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Method(**arguments)


def test_an_unknown_law_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="priority"):
        Method(law="prioriti")
