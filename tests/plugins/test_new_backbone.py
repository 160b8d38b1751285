"""docs/add-a-backbone.md followed to the letter: its one file and its preset are trained, pictured and measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from leangan.metrics.fakes import Fakes
from leangan.plugins.check import HookError
from leangan.plugins.registry import load
from leangan.plugins.trial import try_hooks
from leangan.runs.grid import refusal
from leangan.training.loop import train
from leangan.training.snapshot import load_generator
from tests.helpers import example_backbone

CPU = torch.device("cpu")


@pytest.fixture
def example(tmp_path_factory) -> Iterator[None]:
    with example_backbone.installed(tmp_path_factory.mktemp("models")):
        yield


@pytest.fixture
def spec_of(make_spec, example):
    """A function (plugins by name) -> a run of the document's preset."""
    return lambda **plugins: make_spec(plugins=list(plugins.items()), of=example_backbone.PRESET)


@pytest.mark.parametrize(
    "plugins",
    [{}, {"diffaugment": {}}, {"ada": {"tune_kimg": 1}}, {"auxiliary_rotation": {}}],
    ids=["none", "diffaugment", "ada", "auxiliary_rotation"],
)
def test_it_trains_with_methods_that_the_contract_suffices_for(spec_of, make_reals, tmp_path, plugins):
    spec = spec_of(**plugins)
    assert refusal(spec) is None
    try_hooks(spec, make_reals(), CPU)
    outcome = train(spec, make_reals(), tmp_path, CPU, 0.064, 1e9, lambda: False)
    assert (outcome.status, outcome.cur_nimg) == ("done", 128)
    snapshots = sorted((tmp_path / "snapshots").glob("*.safetensors"))
    assert len(snapshots) == 2
    G = load_generator(snapshots[-1])
    images = torch.cat(list(Fakes(G, 40, None, 0, CPU).blocks()))
    assert images.shape == (40, 3, 16, 16) and images.float().std() > 0
    for picture in (tmp_path / "samples").glob("*.png"):
        assert np.asarray(Image.open(picture)).std() > 0, picture.name
    assert {"000000.128.png", "strips.png", "gradients-000000.128.png"} <= {
        each.name for each in (tmp_path / "samples").iterdir()
    }


def test_a_method_may_freeze_the_layers_that_it_offers(spec_of, make_reals):
    from leangan.training.trainer import Trainer

    steps = Trainer(spec_of(freeze_d={"layers": 2}), make_reals(), CPU)
    before = [layer.weight.clone() for layer in steps.D.layers()]
    steps.d_step(0, 0)
    moved = [not torch.equal(layer.weight, old) for layer, old in zip(steps.D.layers(), before, strict=True)]
    assert moved == [False, False, True, True]


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("shallow_mapping", "it needs a mapping network from z to w (part mapping)"),
        ("pagan", "it needs layers of D that a method may add to before the bias (part before_bias)"),
        ("spectral_norm", "it needs layers of D with an equalised learning rate (part equalised)"),
        ("scale_shift", "it needs layers of G that w modulates (part styled_layers)"),
    ],
)
def test_a_method_that_needs_more_is_refused(spec_of, method, words):
    assert refusal(spec_of(**{method: {}})) == ("skip", f"{words}, which the backbone 'dcgan' does not offer")


def test_logits_of_another_shape_are_named_before_training(make_spec, make_reals, tmp_path):
    """[N] in place of [N, 1] would be broadcast in a loss of differences."""
    source = example_backbone.block("python").replace("x = self.output(features)", "x = self.output(features)[:, 0]")
    with example_backbone.installed(tmp_path, source):
        spec = make_spec(of=example_backbone.PRESET)
        with pytest.raises(HookError, match=r"dcgan.py, line \d+: forward gave logits of shape \[8\], must be \[8, 1"):
            try_hooks(spec, make_reals(), CPU)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("class Backbone(backbone.Backbone)", "class Backbone(object)", "must derive from leangan.plugins.backbone"),
        ("def g_loss", "def generator_loss", "lacks g_loss, see leangan/plugins/backbone.py"),
        ('frozenset({"d_layers"})', 'frozenset({"d_layer"})', "parts names d_layer; parts are d_layers, before_bias"),
    ],
)
def test_a_class_that_is_no_backbone_says_why(make_spec, tmp_path, old, new, reason):
    source = example_backbone.block("python")
    assert old in source
    with example_backbone.installed(tmp_path, source.replace(old, new)):
        assert reason in load("backbone", "dcgan").reason
        status, said = refusal(make_spec(of=example_backbone.PRESET, hyper={}))
        assert status == "error" and reason in said
