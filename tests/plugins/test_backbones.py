"""What every backbone in `models/` must hold; a new file is tested here without a line of test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leangan.launching.devices import why_not_shared
from leangan.plugins.backbone import LOOP_KEYS, PARTS, REQUIRED, RUN_KEYS, SHARED_KEYS, Backbone, read_preset
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.registry import FailedImport, load, names
from leangan.runs.presets import preset_at, presets
from tests.helpers import example_backbone

SMALL_BIGGAN = {"z_dim": 12, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16}
WIDE_BIGGAN = {"g_maps": [16, 16, 16, 16, 16, 8], "d_maps": [8, 16, 16, 16, 16, 16], "d_down": 5, "attention_at": 64}
VARIANTS = {
    "stylegan2": [(16, {"fmap_base": 16, "fmap_max": 4, "d_architecture": kind}) for kind in ("orig", "resnet")],
    "biggan": [
        (16, {**SMALL_BIGGAN, "attention_at": 0}),
        (32, {**SMALL_BIGGAN, "g_maps": [8] * 4, "d_maps": [8] * 4, "attention_at": 16}),
        # The design for ImageNet at 128, narrow.
        (128, {**WIDE_BIGGAN, "z_dim": 12, "hierarchical_z": True, "shared_dim": 6, "init": "orthogonal"}),
    ],
    # With excitation in D, and with the factor of the paper.
    "fastgan": [(64, {"g_width": 4, "d_width": 2, "eval_statistics": "running"}), (64, {"excitation_factor": 16})],
}
"""Other designs than that of the tiny preset: resolution, changed keys."""

CASES = [
    pytest.param(name, resolution, changes, id=f"{name}-{number}")
    for name in [*names("backbone"), example_backbone.NAME]
    for number, (resolution, changes) in enumerate([(32, {}), *VARIANTS.get(name, [])])
]

Make = Callable[..., Backbone]


@pytest.fixture(scope="module", autouse=True)
def example(tmp_path_factory) -> Iterator[None]:
    with example_backbone.installed(tmp_path_factory.mktemp("models")):
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def tiny(name: str) -> str:
    """The preset of a backbone that is small enough to be built in every test."""
    return next(preset for preset, row in presets().items() if row["backbone"] == name and preset.startswith("tiny"))


def loaded(name: str) -> type[Backbone]:
    cls = load("backbone", name)
    assert not isinstance(cls, FailedImport), cls.traceback or cls.reason
    return cls


def tiny_keys(name: str) -> dict[str, Any]:
    """The keys of that preset for images of 32 pixels."""
    return preset_at(tiny(name), 32, "this test").hyper


def at_32(name: str, classes: int = 5) -> Backbone:
    """The backbone at its tiny preset, for RGB images of 32 pixels."""
    return loaded(name)(tiny_keys(name), 32, 3, classes)


@pytest.fixture
def make(request) -> Make:
    """A function (channels, classes) -> the backbone of a case."""
    name, resolution, changes = request.param
    hyper = preset_at(tiny(name), resolution, "this test", changes).hyper
    return lambda channels=3, classes=0: loaded(name)(hyper, resolution, channels, classes)


@pytest.fixture(params=[*names("backbone"), example_backbone.NAME])
def name(request) -> str:
    return request.param


every_case = pytest.mark.parametrize("make", [pytest.param(c.values, id=c.id) for c in CASES], indirect=True)


def labels(count: int, classes: int) -> Tensor | None:
    return torch.eye(classes)[[3] * count] if classes else None


def noisy(network: nn.Module) -> nn.Module:
    """Every parameter moved, so that none is at a start where it has no effect."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


# ---- Networks ----


@every_case
@pytest.mark.parametrize(("channels", "classes"), [(3, 5), (1, 0)])
@pytest.mark.parametrize("batch", [1, 4])
def test_shapes_and_gradients(make, channels: int, classes: int, batch: int):
    backbone = make(channels, classes)
    G, D = backbone.generator(), backbone.discriminator()
    side = backbone.resolution
    assert (G.c_dim, G.resolution, G.channels) == (classes, side, channels)
    assert (D.resolution, D.channels) == (side, channels)
    c = labels(batch, classes)
    x = G(torch.randn(batch, G.z_dim), c)
    assert x.shape == (batch, channels, side, side) and x.dtype == torch.float32 and x.std() > 0
    logits = D(x, c)
    assert logits.shape == (batch, 1)
    logits.sum().backward()
    for key, parameter in [*G.named_parameters(), *D.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


@every_case
def test_logits_are_the_score_of_the_features(make):
    D = noisy(make(classes=5).discriminator()).eval()
    x, c = torch.randn(4, 3, D.resolution, D.resolution), torch.eye(5)[[0, 1, 2, 1]]
    features = D.features(x)
    assert features.shape == (4, D.width)
    torch.testing.assert_close(D.score(features, c), D(x, c))
    assert not torch.allclose(D.score(features, c.roll(1, 0)), D(x, c), atol=1e-5), "labels do not matter"
    head = D.head(4)
    assert head(features).shape == (4, 4) and any(parameter.requires_grad for parameter in head.parameters())


@every_case
def test_d_can_be_differentiated_twice(make):
    """As R1 does: the gradient by the images, by D's weights."""
    D = make().discriminator()
    x = torch.randn(2, 3, D.resolution, D.resolution, requires_grad=True)
    (grad,) = torch.autograd.grad(D(x, None).sum(), x, create_graph=True)
    assert grad.flatten(1).any(1).all()
    grad.square().sum().backward()
    second = [parameter.grad for parameter in D.parameters() if parameter.grad is not None]
    assert all(each.isfinite().all() for each in second) and any(each.any() for each in second)


def test_networks_are_what_their_tensors_say(name):
    """A state that was loaded gives the images and logits of the networks that it was taken from."""
    backbone = at_32(name)
    outputs = []
    networks = [(noisy(backbone.generator()), noisy(backbone.discriminator()))]
    networks.append((backbone.generator(), backbone.discriminator()))
    for other, network in zip(networks[1], networks[0], strict=True):
        other.load_state_dict(network.state_dict())
    z, x, c = torch.randn(4, networks[0][0].z_dim), torch.randn(4, 3, 32, 32), labels(4, 5)
    for G, D in networks:
        torch.manual_seed(1)
        outputs.append((G.eval()(z, c), D.eval()(x, c)))
    assert all(map(torch.equal, *outputs))


def test_a_conditional_network_needs_labels(name):
    backbone = at_32(name)
    G, D = backbone.generator(), backbone.discriminator()
    for call in (lambda: G(torch.randn(2, G.z_dim), None), lambda: D(torch.randn(2, 3, 32, 32), None)):
        with pytest.raises((ValueError, TypeError, RuntimeError)):
            call()


def test_what_is_rendered_of_a_latent_is_the_image(name):
    backbone = at_32(name)
    G, c = backbone.generator(), labels(4, 5)
    G.accumulate_standing(lambda count: labels(count, 5))
    z = torch.randn(4, G.eval().z_dim)
    torch.testing.assert_close(G.render(G.latent(z, c), c), G(z, c))


# ---- Losses ----


def test_losses_pull_logits_apart(name):
    """D's falls where it rates a real higher and a fake lower, G's where D rates its fakes higher."""
    backbone = at_32(name, classes=0)
    d_real, d_fake = torch.zeros(4, 1, requires_grad=True), torch.zeros(4, 1, requires_grad=True)
    real, fake = torch.autograd.grad(backbone.d_loss(d_real, d_fake), (d_real, d_fake))
    (of_g,) = torch.autograd.grad(backbone.g_loss(d_fake), d_fake)
    assert (real < 0).all() and (fake > 0).all() and (of_g < 0).all()


def test_regularisers_are_scalars_with_gradients(name):
    backbone = at_32(name)
    G, D, c = backbone.generator(), backbone.discriminator(), labels(4, 5)
    penalties = []
    if backbone.g_reg_interval:
        penalties.append((G, backbone.g_regularizer(G, torch.randn(4, G.z_dim), c)))
    if backbone.d_reg_interval:
        x = torch.randn(4, 3, 32, 32, requires_grad=True)
        penalties.append((D, backbone.d_regularizer(x, D(x, c))))
    for network, penalty in penalties:
        assert penalty.ndim == 0 and penalty.isfinite()
        penalty.backward()
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


# ---- Keys ----


def test_keys_are_its_own_and_their_defaults_fit(name):
    cls = loaded(name)
    assert not cls.keys.keys() & {*LOOP_KEYS, *RUN_KEYS}
    for name, key in cls.keys.items():
        assert key.meaning, name
        if key.default is not REQUIRED:
            assert read_preset({name: key.default}, {name: key}) == {name: key.default}
    kinds = {**dict.fromkeys(SHARED_KEYS, str), "mapping_layers": int, "r1_gamma": float}
    assert all(cls.keys[key].kind is kind for key, kind in kinds.items() if key in cls.keys)


def test_keys_that_it_derives_are_explained(name):
    """docs/presets.md prints it."""
    derives = loaded(name).derive.__func__ is not Backbone.derive.__func__
    assert bool(loaded(name).derivation) == derives


def test_no_other_key_is_accepted(name):
    hyper = tiny_keys(name)
    key = next(iter({**loaded(name).keys, **LOOP_KEYS}))
    with pytest.raises(ValueError, match=f"unknown preset key '{key}s'. Did you mean '{key}'"):
        loaded(name)({**hyper, f"{key}s": 1}, 32, 3, 0)


def test_one_form_stays_as_it_is(name):
    """What a run's identity is made of: read and resolved once more, it is the same."""
    hyper = tiny_keys(name)
    keys = {**LOOP_KEYS, **loaded(name).keys}
    assert loaded(name).resolve(read_preset(hyper, keys)) == hyper


def test_the_tiny_preset_trains_on_one_device_and_others_that_share_its_batch(name, make_spec):
    spec = make_spec(of=tiny(name), resolution=32)
    groups, batches = loaded(name).rank_constraints(spec.hyper)
    assert all(isinstance(each, int) and each > 0 for each in [*groups.values(), *batches.values()])
    assert why_not_shared(spec, 1) is None
    batch = spec.hyper["batch"]
    for ranks in (ranks for ranks in range(1, batch + 1) if batch % ranks == 0):
        broken = [key for key, images in groups.items() if batch // ranks % images]
        broken += [key for key, images in batches.items() if images % ranks]
        reason = why_not_shared(spec, ranks)
        assert reason is None if not broken else reason and broken[0] in reason


# ---- Parts ----


def with_part(part: str) -> list[str]:
    return [name for name in names("backbone") if part in loaded(name).parts]


def built(name: str) -> tuple[nn.Module, nn.Module]:
    backbone = at_32(name)
    return backbone.generator(), backbone.discriminator()


def test_every_part_is_described_and_offered():
    assert all(PARTS.values()) and all(with_part(part) for part in PARTS)


@pytest.mark.parametrize("name", [*with_part("d_layers"), example_backbone.NAME])
def test_layers_of_d_are_in_the_order_an_image_passes_them(name):
    _, D = built(name)
    layers, passed = D.layers(), []
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, number=number: passed.append(number))
    D.score(D.features(torch.randn(4, 3, 32, 32)), labels(4, 5))
    assert passed == list(range(len(layers)))
    assert layers[0].weight.shape[1] == 3 and layers[-1].weight.shape[1] == D.width


@pytest.mark.parametrize("name", with_part("before_bias"))
def test_a_method_adds_to_a_layer_before_its_bias(name):
    """What is cut out there leaves of each layer the activation of its bias."""
    _, D = built(name)
    of_blocks = [getattr(block, each) for block in getattr(D, "blocks", ()) for each in ("conv0", "conv1", "skip")]
    layers = D.layers() if "d_layers" in loaded(name).parts else [layer for layer in of_blocks if layer is not None]
    assert layers
    for number, layer in enumerate(layers):
        given = []
        hook = layer.register_forward_hook(lambda _, inputs, y, given=given: given.append(y))
        layer.before_bias = torch.zeros_like
        D(torch.randn(4, 3, 32, 32), labels(4, 5))
        layer.before_bias = None
        hook.remove()
        (y,) = given
        assert torch.equal(y, torch.zeros_like(y)), f"layer {number} begins with a bias of zero"


@pytest.mark.parametrize("name", with_part("blocks"))
def test_blocks_of_d_end_in_its_last_feature_maps(name):
    G, D = built(name)
    x = torch.randn(4, 3, 32, 32)
    with feature_maps(D, ["blocks", *(f"blocks.{number}" for number in range(len(D.blocks)))]) as maps:
        D.features(x)
    assert torch.equal(maps["blocks"], maps[f"blocks.{len(D.blocks) - 1}"])
    assert maps["blocks"].ndim == 4 and maps["blocks"].shape[1] == D.maps
    for block in D.blocks:
        assert all(isinstance(layer, torch.nn.Module) for layer in (block.conv0, block.conv1))
        assert block.skip is None or isinstance(block.skip, torch.nn.Module)
    assert isinstance(G.blocks, torch.nn.ModuleList)


@pytest.mark.parametrize("name", with_part("equalised"))
def test_learning_rates_of_d_are_equalised(name):
    _, D = built(name)
    for layer in D.layers():
        fan_in = math.prod(layer.weight.shape[1:])
        assert layer.weight_gain == pytest.approx(layer.bias_gain / math.sqrt(fan_in))
        assert layer.weight.std().item() == pytest.approx(1, rel=0.4)


@pytest.mark.parametrize("name", with_part("mapping"))
def test_the_mapping_network_has_the_layers_of_its_key(name):
    G, _ = built(name)
    assert len(G.mapping.layers) == tiny_keys(name)["mapping_layers"]
    c = labels(4, 5)
    w = G.mapping(torch.randn(4, G.z_dim), c)
    assert w.shape[0] == 4 and not torch.allclose(w[0], w[1])


@pytest.mark.parametrize("name", with_part("styled_layers"))
def test_styled_layers_have_scales_of_w_and_shifts(name):
    G, _ = built(name)
    assert G.styled_layers()
    for layer in G.styled_layers():
        assert layer.bias.shape == (layer.weight.shape[0],) and layer.affine.weight.shape[0] == layer.weight.shape[1]
