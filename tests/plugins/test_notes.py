"""What reaches the losses of a step from transforms and layers: notes, feature maps, D's last hidden layer."""

from __future__ import annotations

import copy

import pytest
import torch

from leangan.plugins import method
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.networks import build_networks
from leangan.plugins.notes import collected, note
from leangan.plugins.pair import add_around, add_before_bias
from leangan.training.trainer import Trainer
from tests.helpers.method_at_work import trainer_of

CPU = torch.device("cpu")


class Brightness(method.Method):
    """Adds a number to each image and notes it; layers of D note their mean. Keeps what its losses are given."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        self.apart, self.found = apart, {}

    def prepare(self, networks):
        networks.D.apart = self.apart
        networks.D.blocks.register_forward_hook(lambda blocks, inputs, y: note("means", y.mean((1, 2, 3))))

    def transform(self, x, role):
        shift = torch.randn(len(x), 1, 1, 1)
        note("shift", shift)
        return x + shift

    def d_loss(self, ctx):
        ctx.D(ctx.transform(ctx.x_real, "real"), None)  # another view, whose notes nobody wants
        self.found["D"] = ctx
        return 0.0

    def g_loss(self, ctx):
        self.found["G"] = ctx
        return 0.0


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("every", [1, 4])
def test_a_loss_finds_what_was_noted_of_its_own_images(make_spec, make_reals, apart, every):
    spec = make_spec(hyper={"r1_interval": every})
    method = Brightness(apart)
    steps = trainer_of(spec, method, make_reals())
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    d, g = method.found["D"], method.found["G"]
    for x, t, drawn in ((d.x_real, d.t_real, d.drawn_real), (d.x_fake, d.t_fake, d.drawn_fake)):
        (shift,) = drawn["shift"]
        torch.testing.assert_close(t, x + shift)
    (shift,) = g.drawn_fake["shift"]
    torch.testing.assert_close(g.t_fake, g.x_fake + shift)
    for noted in (d.noted_real, d.noted_fake):
        assert [len(means) for means in noted["means"]] == [8 if apart or every == 1 else 16]
        assert noted.keys() == {"means"}  # no draws of transforms
    assert [len(means) for means in g.noted_fake["means"]] == [8]


@pytest.mark.parametrize("preset", ["tiny", "tiny-biggan"])
def test_the_last_hidden_layer_is_that_of_the_images(make_spec, make_reals, preset):
    """In the pass that reals and fakes share, too."""
    torch.manual_seed(0)
    hyper = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2} if preset == "tiny-biggan" else {}
    D = Trainer(make_spec(hyper=hyper, of=preset), make_reals(), CPU).D.double().eval()
    real, fake = torch.randn(2, 8, 3, 16, 16).double()
    for x, (features, logits, _) in zip((real, fake), D.judge_both((real, None), (fake, None)), strict=True):
        torch.testing.assert_close(features, D.features(x))
        torch.testing.assert_close(logits, D.score(features, None))


def test_notes_of_a_call_within_a_call_go_to_both():
    note("lost", torch.zeros(()))
    with collected() as outer:
        note("a", torch.ones(()))
        with collected() as inner:
            note("a", torch.zeros(()))
    assert [float(value) for value in outer["a"]] == [1, 0] and [float(value) for value in inner["a"]] == [0]
    assert outer.keys() == inner.keys() == {"a"}


def test_feature_maps_are_those_of_named_layers_and_leave_no_hooks(make_spec):
    D = build_networks(make_spec(), 3, 0)[2]
    x = torch.randn(2, 3, 16, 16)
    with feature_maps(D, ["from_rgb", "blocks.0", "blocks"]) as maps:
        D.features(x)
    torch.testing.assert_close(maps["from_rgb"], D.from_rgb(x))
    torch.testing.assert_close(maps["blocks"], D.blocks(maps["from_rgb"]))
    assert maps["blocks.0"].shape[2:] == (8, 8)
    assert not any(layer._forward_hooks for layer in D.modules())
    with pytest.raises(AttributeError, match="stem"), feature_maps(D, ["stem"]):
        pass


def test_feature_maps_are_those_before_later_layers_change_them(make_spec):
    """BigGAN's last blocks are followed by a ReLU."""
    hyper = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2}
    D = build_networks(make_spec(hyper=hyper, of="tiny-biggan"), 3, 0)[2].eval()
    x = torch.randn(2, 3, 16, 16)
    with feature_maps(D, ["blocks"]) as maps:
        features = D.features(x)
    torch.testing.assert_close(maps["blocks"], D.blocks(x))
    assert maps["blocks"].min() < 0
    torch.testing.assert_close(features, maps["blocks"].clamp(min=0).sum((2, 3)))


@pytest.mark.parametrize("preset", ["tiny", "tiny-biggan"])
def test_functions_before_the_bias_follow_each_other(make_spec, preset):
    """For a layer that is linear but for its bias: bias + 3 (2 y + 1)."""
    hyper = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2} if preset == "tiny-biggan" else {}
    D = build_networks(make_spec(hyper=hyper, of=preset), 3, 0)[2].double().eval()
    layer = D.output if preset == "tiny" else D.blocks[0].conv1
    x = torch.randn(4, layer.weight.shape[1], *([] if preset == "tiny" else [16, 16])).double()
    with torch.no_grad():
        layer.bias.copy_(torch.randn_like(layer.bias))
    shape = (-1, *[1] * (x.ndim - 2))
    plain = layer(x) - (layer.bias * getattr(layer, "bias_gain", 1)).view(shape)
    add_before_bias(layer, lambda y: 2 * y + 1)
    add_before_bias(layer, lambda y: 3 * y)
    torch.testing.assert_close(
        layer(x), 3 * (2 * plain + 1) + (layer.bias * getattr(layer, "bias_gain", 1)).view(shape)
    )


@pytest.mark.parametrize("preset", ["tiny", "tiny-biggan"])
def test_functions_around_the_features_get_the_images_of_every_call(make_spec, preset):
    """The last one first; a copy of D goes by its own weights."""
    hyper = {"batch": 8, "g_maps": [8, 8, 8], "d_maps": [8, 16], "d_down": 2} if preset == "tiny-biggan" else {}
    D = build_networks(make_spec(hyper=hyper, of=preset), 3, 0)[2].double().eval()
    x, other = torch.randn(2, 8, 3, 16, 16).double()
    with torch.no_grad():
        plain = {factor: D.features(factor * x) for factor in (1, 2, 3)}
        scored = D.score(plain[2] + 1, None)
    add_around(D, "features", lambda features, x: features(2 * x))
    add_around(D, "features", lambda features, x: features(x) + 1)
    assert D.state_dict().keys() == copy.deepcopy(D).state_dict().keys()
    torch.testing.assert_close(D.features(x), plain[2] + 1)
    torch.testing.assert_close(D(x, None), scored)
    (f_x, d_x, _), _ = D.judge_both((x, None), (other, None))
    torch.testing.assert_close(f_x, plain[2] + 1)
    torch.testing.assert_close(d_x, scored)
    add_around(D, "features", lambda features, x: features(1.5 * x))
    torch.testing.assert_close(D.features(x), plain[3] + 1)
    twin = copy.deepcopy(D)
    with torch.no_grad():
        for param in D.parameters():
            param += torch.randn_like(param)
    torch.testing.assert_close(twin.features(x), plain[3] + 1)
    assert not torch.isclose(D.features(x), plain[3] + 1).all()


def test_a_function_around_the_call_gives_the_logits_and_the_last_look_the_hidden_layer(make_spec):
    D = build_networks(make_spec(), 3, 0)[2].double()
    x = torch.randn(8, 3, 16, 16).double()
    one, two = (D(factor * x, None) for factor in (1, 2))
    hidden = D.features(2 * x)
    add_around(D, "forward", lambda judge, x, c: 3 * judge(x, c) + judge(2 * x, c))
    torch.testing.assert_close(D(x, None), 3 * one + two)
    features, logits, _ = D.judge(x, None)
    torch.testing.assert_close(logits, 3 * one + two)
    torch.testing.assert_close(features, hidden)
    torch.testing.assert_close(D.features(2 * x), hidden)
