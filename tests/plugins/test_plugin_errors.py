"""A method that breaks the contract is named with hook, file and line before training; methods that keep it pass."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from leangan.plugins import registry
from leangan.plugins.check import HookError
from leangan.plugins.registry import FailedImport
from leangan.plugins.trial import try_hooks
from leangan.training import run as command

HEAD = (
    "import torch\nfrom leangan.plugins.method import Method as Base\n\n\nclass Method(Base):\n    title = 'Mine'\n\n"
)
"""Seven lines; what follows begins in line 8."""


@pytest.fixture
def write_method(tmp_path, monkeypatch):
    """A function (body) that makes `mine` a method with these hooks, from a file mine.py outside the project."""
    package = tmp_path / "hooks_under_test"
    package.mkdir()
    monkeypatch.setitem(registry.KINDS, "method", (package.name, "Method"))
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        registry.forget()
        for name in [name for name in sys.modules if name.startswith(package.name)]:
            del sys.modules[name]

    def write(body: str) -> Path:
        forget()
        (package / "mine.py").write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
        return package / "mine.py"

    yield write
    forget()


@pytest.mark.parametrize(
    "body, words",
    [
        ("def transform(self, x):\n    return x", ["line 8: transform(self, x) is called as transform(self, x, role)"]),
        ("\ndef d_loss(self, ctx, weight):\n    return 0", ["line 9: d_loss", "is called as d_loss(self, ctx)"]),
        ("def skip(self, spec):\n    return None", ["line 8: skip(self, spec) is called as skip(spec)"]),
        ("def resolve(self, arguments):\n    return {}", ["line 8: resolve", "called as resolve(arguments)"]),
        ("log = {}", ["log is {}, must be a function"]),
    ],
)
def test_a_wrong_signature_is_refused_when_the_dag_is_built(write_method, body, words):
    file = write_method(body)
    plugin = registry.load("method", "mine")
    assert isinstance(plugin, FailedImport) and str(file) in plugin.reason
    for word in words:
        assert word in plugin.reason


def test_a_class_of_another_base_is_refused(write_method):
    file = write_method("pass")
    file.write_text("from torch import nn\n\n\nclass Method(nn.Module):\n    pass\n")
    reason = registry.load("method", "mine").reason
    assert "mine.py, line 4: class Method must derive from leangan.plugins.method.Method" in reason


@pytest.mark.parametrize(
    "body, words",
    [
        ("judges = 'efficientnet_lite0'", "judges is 'efficientnet_lite0', must be a tuple of names of extractors"),
        ("judges = ['efficientnet_lite0']", "judges is ['efficientnet_lite0'], must be a tuple"),
        ("judges = (5,)", "judges is (5,), must be a tuple"),
        ("judges = ('efficientnet', 'inception_v3')", "judges names efficientnet; extractors are clean_inception, "),
        (
            "judges = tuple(['inception_v3'])",
            "judges is ('inception_v3',), but its file, read without running it, says (); write judges = ",
        ),
        (
            "judges = ()\njudges += ('inception_v3',)",
            "judges is ('inception_v3',), but its file, read without running it, says (); write judges = ",
        ),
    ],
)
def test_judges_that_tables_cannot_read_are_refused(write_method, body, words):
    file = write_method(body)
    plugin = registry.load("method", "mine")
    assert isinstance(plugin, FailedImport) and plugin.reason.startswith(f"{file}, line 5: {words}")


def test_a_method_that_derives_from_one_with_judges_states_them_anew(write_method):
    file = write_method("pass")
    inherits = "from leangan.augment import projected\n\n\nclass Method(projected.Method):\n"
    file.write_text(f"{inherits}    title = 'Mine'\n")
    reason = registry.load("method", "mine").reason
    assert "line 4: judges is ('efficientnet_lite0',), but its file" in reason and "says ()" in reason
    assert reason.endswith("write judges = ('efficientnet_lite0',) in the body of its class Method")
    write_method("pass").write_text(f"{inherits}    judges = ('efficientnet_lite0',)\n")
    assert registry.load("method", "mine").judges == ("efficientnet_lite0",)


def test_defaults_and_further_optional_arguments_are_no_fault(write_method):
    write_method(
        "def transform(self, x, role, strength=1.0):\n    return x\ndef mix(self, *images):\n    return images[0]"
    )
    assert registry.load("method", "mine").title == "Mine"


@pytest.mark.parametrize(
    "signature, returned, words",
    [
        (
            "transform(self, x, role)",
            "x[..., ::2]",
            ["returned images of shape [8, 3, 16, 8], must keep [8, 3, 16, 16]"],
        ),
        ("transform(self, x, role)", "x.double()", ["returned images of dtype torch.float64, must keep torch.float32"]),
        ("transform(self, x, role)", "None", ["returned NoneType"]),
        ("transform(self, x, role)", "x.detach() * 2", ["cuts the gradient", "'real'"]),
        ("transform(self, x, role)", "x.detach() if role == 'fake_g' else x", ["cuts the gradient", "'fake_g'"]),
        ("transform(self, x, role)", "x.add_(1)", ["raised RuntimeError", "in-place"]),
        ("mix(self, x_real, x_fake)", "x_real.mean(1)", ["returned images of shape [8, 16, 16]"]),
        ("d_loss(self, ctx)", "ctx.d_real.square()", ["returned shape [8, 1], must return a scalar"]),
        ("d_loss(self, ctx)", "1 + ctx.d_real.square().mean().item()", ["returned", "without a gradient"]),
        ("g_loss(self, ctx)", "9 + ctx.D(ctx.x_fake.detach(), None).mean()", ["returned", "without a gradient"]),
        ("d_adversarial(self, ctx, loss)", "loss - ctx.d_real", ["returned shape [8, 1], must return a scalar"]),
        ("g_adversarial(self, ctx, loss)", "loss.detach()", ["returned", "without a gradient"]),
        (
            "d_regularizer(self, loss, t_real, c_real, penalty)",
            "loss + t_real.square()",
            ["returned shape [8, 3, 16, 16], must return a scalar"],
        ),
        ("observe(self, d_real, d_fake, cur_nimg)", "self.p", ["raised AttributeError"]),
        ("log(self)", "{'p': torch.ones(())}", ["returned p of type Tensor, must be a float"]),
    ],
)
def test_a_hook_that_returns_something_else_is_named(write_method, make_spec, make_reals, signature, returned, words):
    file = write_method(f"def {signature}:\n    return {returned}")
    with pytest.raises(HookError) as error:
        try_hooks(make_spec("mine"), make_reals(), torch.device("cpu"))
    line = 9 if "raised" in words[0] else 8
    assert str(error.value).startswith(f"{file}, line {line}: {signature.split('(')[0]} {words[0]}")
    assert all(word in str(error.value) for word in words)


def test_no_grad_around_a_transform_is_found(write_method, make_spec, make_reals):
    write_method("@torch.no_grad()\ndef transform(self, x, role):\n    return x * 2")
    with pytest.raises(HookError, match="line 8: transform cuts the gradient from D to the images of role 'real'"):
        try_hooks(make_spec("mine"), make_reals(), torch.device("cpu"))


def test_the_fault_is_the_reason_of_the_run_and_no_training_happens(write_method, make_spec, prepared, tmp_path):
    write_method("def transform(self, x, role):\n    return x.detach() * 2")
    spec, run_dir = make_spec("mine"), tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "spec.json").write_text(spec.to_json())
    arguments = ["--spec", run_dir / "spec.json", "--data", prepared[0], "--subset", prepared[1], "--run-dir", run_dir]
    assert command.main([*map(str, arguments), "--device", "cpu"]) == 0
    result = json.loads((run_dir / "train.json").read_text())
    assert result["status"] == "error" and result["nimg"] == 0
    assert "mine.py, line 8: transform cuts the gradient" in result["reason"]
    assert not (run_dir / "train.jsonl").exists()


@pytest.mark.parametrize("name", registry.names("method"))
@pytest.mark.parametrize("conditional", [False, True])
def test_every_method_passes_the_trial(make_spec, make_reals, name, conditional):
    cls = registry.load("method", name)
    spec = make_spec(name, plugins=[(name, cls.quick)], conditional=conditional)
    if reason := cls.skip(spec):
        pytest.skip(reason)
    try_hooks(spec, make_reals(conditional=conditional), torch.device("cpu"))
