"""DynamicD against smaller networks, and its draws against their law (arXiv:2209.09897 and its authors' release)."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from leangan.augment.dynamicd import Method
from leangan.models.stylegan2.discriminator import Discriminator
from leangan.models.stylegan2.layers import Mapping
from leangan.plugins.method import Networks
from leangan.plugins.precision import half_precision
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer

MAPS = {16: 8, 8: 12, 4: 16}
FIRST_ONES = {"start": 0.5, "end": 0.5, "keep": 0, "random": False}


def new_d(maps=MAPS, architecture="resnet", mbstd=1, classes=0, **more) -> Discriminator:
    mapping = Mapping(0, classes, 8, 0, 1.0) if classes else None
    return Discriminator(mapping, 8, max(maps), 3, maps, architecture, 4, mbstd, **more)


def prepared(make_spec, D: Discriminator, total_kimg: float = 0.064, **arguments) -> Method:
    """A method that has prepared D, whose biases are no longer 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in D.parameters():
            parameter.normal_()
    method = Method(**arguments)
    method.prepare(Networks(G=None, D=D, spec=make_spec(total_kimg=total_kimg)))
    return method


def part_of(large: torch.Tensor, small: torch.Tensor) -> torch.Tensor:
    """The corner of `large` that has the shape of `small`."""
    return large[tuple(map(slice, small.shape))]


@pytest.mark.parametrize("architecture", ["resnet", "orig"])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_first_half_of_all_channels_is_a_d_of_half_the_width(make_spec, architecture, classes):
    """Gradients of both orders included; what is left out learns nothing, but for biases, which reach nothing."""
    D = new_d(architecture=architecture, mbstd=0, classes=classes)
    prepared(make_spec, D, **FIRST_ONES)
    half = new_d({r: n // 2 for r, n in MAPS.items()}, architecture, mbstd=0, classes=classes)
    half.load_state_dict({name: part_of(D.state_dict()[name], small) for name, small in half.state_dict().items()})
    x, c = torch.randn(4, 3, 16, 16), F.one_hot(torch.arange(4) % 3, 3).float() if classes else None
    seen = []
    for network in (D, half):
        x = x.detach().requires_grad_()
        logits = network(x, c)
        (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        (logits.sum() + slope.square().sum()).backward()
        seen.append((logits, slope, {name: each.grad for name, each in network.named_parameters()}))
    (logits, slope, gradients), (small_logits, small_slope, small_gradients) = seen
    torch.testing.assert_close(logits, small_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(slope, small_slope, rtol=1e-3, atol=1e-4)
    for name, small in small_gradients.items():
        scale = small.abs().max().item()
        torch.testing.assert_close(part_of(gradients[name], small), small, rtol=1e-3, atol=1e-4 * scale)
        rest = gradients[name].clone()
        part_of(rest, small).zero_()
        assert not rest.any(), name


def weights_in_use(layer) -> tuple[set[int], set[int], float]:
    """(outputs, inputs, gain) of a layer after a pass; all weights between them have the gain, the others 0."""
    gain = layer.weight_gain.flatten(1)
    outputs, inputs = gain.any(1), gain.any(0)
    (value,) = gain[outputs][:, inputs].unique()
    return set(outputs.nonzero().flatten().tolist()), set(inputs.nonzero().flatten().tolist()), value.item()


def test_counts_and_gain_of_every_layer(make_spec):
    """f = 0.7 of 3, 8, 12 and 16 channels; the layer after the kept ones has all its inputs, D all its outputs."""
    D = new_d(mbstd=2)
    prepared(make_spec, D, start=0.7, end=0.7, keep=2)
    kept = {name: D.get_submodule(name).weight_gain for name in ("from_rgb", "blocks.0.conv0")}
    D(torch.randn(4, 3, 16, 16), None)
    assert all(D.get_submodule(name).weight_gain is gain for name, gain in kept.items())
    expected = {  # outputs and inputs in use, gain times sqrt(fan-in)
        "blocks.0.conv1": (8, 8, 9, 1.0),
        "blocks.0.skip": (8, 5, 1, math.sqrt(0.5)),
        "blocks.1.conv0": (8, 8, 9, math.sqrt(2)),
        "blocks.1.conv1": (11, 8, 9, 1.0),
        "blocks.1.skip": (11, 8, 1, math.sqrt(0.5)),
        "conv": (11, 11 + 2, 9, math.sqrt(2)),
        "dense": (11, 11 * 16, 1, math.sqrt(2)),
        "output": (1, 11, 1, 1.0),
    }
    for name, (fan_out, fan_in, kernel, gain) in expected.items():
        outputs, inputs, value = weights_in_use(D.get_submodule(name))
        assert (len(outputs), len(inputs)) == (fan_out, fan_in), name
        assert value == pytest.approx(gain / math.sqrt(fan_in * kernel)), name


def test_maps_of_the_deviation_and_pixels_of_a_map_stay_together(make_spec):
    D = new_d(mbstd=2)
    prepared(make_spec, D, start=0.25, end=0.25)
    for _ in range(5):
        D(torch.randn(4, 3, 16, 16), None)
        assert weights_in_use(D.conv)[1] >= {16, 17}
        pixels = weights_in_use(D.dense)[1]
        maps = {pixel // 16 for pixel in pixels}
        assert len(maps) == 4 and pixels == {16 * k + i for k in maps for i in range(16)}


@pytest.mark.parametrize(
    "resolution, architecture, keep, first, takes_all",
    [
        (256, "resnet", 9, "blocks.2.skip", True),
        (256, "resnet", 4, "blocks.1.conv0", True),
        (256, "orig", 9, "blocks.4.conv0", True),
        (32, "resnet", 9, "blocks.2.skip", True),
        (32, "orig", 9, "conv", False),  # the release's last three layers always change
        (32, "resnet", 10, "conv", False),
        (32, "resnet", 99, "conv", False),
        (32, "orig", 0, "from_rgb", True),
    ],
)
def test_which_layers_change(make_spec, resolution, architecture, keep, first, takes_all):
    sizes = [2**k for k in range(2, resolution.bit_length())]
    D = new_d(dict.fromkeys(sizes, 4), architecture)
    prepared(make_spec, D, start=0.5, end=0.5, keep=keep)
    D(torch.randn(2, 3, resolution, resolution), None)
    names = [name for name, layer in D.named_modules() if hasattr(layer, "weight_gain")]
    changed = [name for name in names if isinstance(D.get_submodule(name).weight_gain, torch.Tensor)]
    assert changed == names[names.index(first) :]
    layer = D.get_submodule(first)
    assert (len(weights_in_use(layer)[1]) == layer.weight.shape[1]) is takes_all


def test_every_choice_of_channels_is_as_likely():
    torch.manual_seed(0)
    method = Method(start=0.5, end=0.5)
    chosen = Counter(tuple(method.in_use(6).nonzero().flatten().tolist()) for _ in range(2000))
    assert len(chosen) == math.comb(6, 3) and all(len(each) == 3 for each in chosen)
    assert chisquare(list(chosen.values())).pvalue > 1e-3


def test_at_least_one_channel_is_in_use():
    assert Method(start=0.1).in_use(5).sum() == 1 and Method(start=0.1, random=False).in_use(5).tolist() == [
        1,
        0,
        0,
        0,
        0,
    ]


def test_inputs_are_drawn_apart_from_the_outputs_below_and_anew_at_each_pass(make_spec):
    D = new_d()
    prepared(make_spec, D, start=0.5, end=0.5, keep=0)
    x, common, passes = torch.randn(4, 3, 16, 16), [], set()
    for _ in range(200):
        D(x, None)
        below, above = weights_in_use(D.conv)[0], weights_in_use(D.dense)[1]
        common.append(len(below & {pixel // 16 for pixel in above}))
        passes.add(tuple(sorted(below)))
    # Of 8 inputs of 16, 4 on average are among the 8 outputs below, with the hypergeometric law's variance 16 / 15.
    assert abs(sum(common) / 200 - 4) < 4 * math.sqrt(16 / 15 / 200)
    assert len(passes) > 190


@pytest.mark.parametrize("start, end", [(1.0, 0.5), (0.5, 1.0)])
def test_the_width_follows_the_images_so_far_every_4_d_steps(make_spec, start, end):
    method = prepared(make_spec, new_d(), total_kimg=0.8, start=start, end=end)
    logits = torch.zeros(8, 1)
    for step in range(1, 101):
        method.observe(logits, logits, 0)
        width = start + (end - start) * (step - step % 4) / 100
        assert method.log() == {"width": pytest.approx(width, abs=1e-6)}
        assert abs(method.in_use(512).sum().item() - 512 * width) < 1
    assert method.log()["width"] == end


def test_the_images_of_all_ranks_count(make_spec, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    method = prepared(make_spec, new_d(), total_kimg=0.128)
    for _ in range(4):
        method.observe(torch.zeros(8, 1), torch.zeros(8, 1), 0)
    assert method.log()["width"] == pytest.approx(1 - 0.5 * 64 / 128)


def test_reals_and_fakes_are_seen_by_different_parts_of_d(make_spec, make_reals):
    """In D's step, where the lazy regulariser draws once more, and once in G's."""
    steps = Trainer(make_spec(plugins=[("dynamicd", {"start": 0.5})]), make_reals(), torch.device("cpu"))
    used = []
    steps.D.conv.register_forward_hook(lambda layer, inputs, output: used.append((len(output), layer.weight_gain)))
    steps.d_step(0, 0)
    steps.g_step(8, 1)
    assert [images for images, _ in used] == [8, 8, 8, 8]
    assert not any(torch.equal(a[1], b[1]) for i, a in enumerate(used) for b in used[:i])
    fixed = Trainer(make_spec(plugins=[("dynamicd", FIRST_ONES)]), make_reals(), torch.device("cpu"))
    assert not fixed.D.apart


@pytest.mark.parametrize("other", ["ada", "diffaugment", "lecam", "freeze_d", "adaptive_dropout"])
def test_it_trains_together_with(make_spec, make_reals, other):
    arguments = {"layers": 2} if other == "freeze_d" else {"p": 0.5} if "ada" in other else {}
    plugins = [("transfer", {"run": "an-earlier-one"}), (other, arguments), ("dynamicd", {"start": 0.5, "keep": 2})]
    spec = make_spec(plugins=plugins)
    assert refusal(spec) is None
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    before = {name: value.clone() for name, value in steps.D.named_parameters()}
    for iteration in range(2):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    assert all(value.isfinite().all() for value in steps.D.parameters())
    still = {name for name, value in steps.D.named_parameters() if torch.equal(value, before[name])}
    assert still == (
        {"from_rgb.weight", "from_rgb.bias", "blocks.0.conv0.weight", "blocks.0.conv0.bias"}
        if other == "freeze_d"
        else set()
    )


def test_networks_of_runs_without_it_fit(make_spec):
    D = new_d()
    prepared(make_spec, D, start=0.5)
    assert D.state_dict().keys() == new_d().state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_blocks_with_16_bits_take_the_same_channels(make_spec, dtype):
    D = new_d(half={16: dtype, 8: dtype}, clamp=256.0)
    prepared(make_spec, D, start=0.5, keep=0)
    x, outputs = torch.randn(4, 3, 16, 16), []
    for kind in (torch.float32, dtype):
        torch.manual_seed(1)
        with half_precision(kind):
            outputs.append(D(x, None))
    scale = outputs[0].abs().max().item()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=0.05 * scale)


@pytest.mark.parametrize("wrong", [{"start": 0.0}, {"start": 1.5}, {"end": -0.5}, {"keep": -1}])
def test_wrong_values_are_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value}; .* allowed: change the method's `{name}`"):
        Method(**wrong)


def test_where_it_makes_no_sense(make_spec):
    assert refusal(make_spec(plugins=[("dynamicd", {})])) is None
    assert "1/sqrt(fan-in)" in refusal(make_spec(plugins=[("spectral_norm", {}), ("dynamicd", {})]))[1]
    assert "which the backbone 'biggan'" in refusal(make_spec(plugins=[("dynamicd", {})], of="tiny-biggan"))[1]
