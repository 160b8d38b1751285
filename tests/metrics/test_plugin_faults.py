"""A metric or an extractor that cannot be used says so with file and line, and harms no other; tables need no torch."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.metrics.base import Features
from leangan.metrics.compute import metric_classes
from leangan.metrics.extractor_facts import find_extractor, is_published, title_of
from leangan.metrics.families import known_families, metric_name
from leangan.metrics.loading import load_extractor
from leangan.metrics.protocols import Protocol
from leangan.metrics.values import Missing, against_reals, measure
from leangan.plugins.registry import file_of
from leangan.results.published import FILE, read_published

METRIC = """
from leangan.metrics import base
from leangan.metrics.base import Family, Value

class Metric(base.Metric):
    families = (
        Family(name="mine", title="Mine"),
    )
    def __init__(self, real): pass
    def __call__(self, fake): return {}
"""


def protocol(*metrics: str, extractor: str = "efficientnet_lite0") -> Protocol:
    return Protocol(name="p", extractor=extractor, fakes=1000, reference="full", metrics=list(metrics), source="test")


@pytest.mark.parametrize(
    "change, said",
    [
        (("class Metric", "class Metric(:\n"), r"mine.py, line 5: "),
        (("class Metric", "class Mine"), r"mine.py has no class Metric\. Begin the name of a file that others"),
        (("    families =", "    family ="), r"mine.py, line 5: class Metric does not set families\."),
        (
            ('"Mine"', 'TITLE + "!"'),
            r"mine.py, line 7: families of class Metric must be written in plain values \(constants, tuples, Family\(",
        ),
        (('title="Mine"', 'titel="Mine"'), r"mine.py, line 7: .* unexpected keyword argument 'titel'\."),
        (
            ('title="Mine"', 'title="Mine", against="reals"'),
            r"line 7: .*'reals', must be one of \('reference', 'training images', 'nothing'\)\.",
        ),
        (('name="mine"', 'name="mine2"'), r"line 7: .*'mine2', must be of lower-case letters and underscores\."),
        (('title="Mine"),\n', 'title="Mine")\n'), r"mine.py: families of class Metric must be a tuple"),
    ],
)
def test_families_that_cannot_be_read_are_unknown(add, change, said):
    add("metric", "mine", METRIC.replace(*change))
    assert "mine" not in known_families() and len(known_families()) >= 18
    assert list(metric_classes(protocol("fd", "precision"))) == ["fid", "precision_recall"]
    with pytest.raises(ConfigError, match=rf"unknown metric 'mine'.* in config/protocols.yaml, p\. .*{said}"):
        metric_classes(protocol("fd", "mine"))


def test_a_file_that_fails_to_import_is_named_by_the_protocol_that_needs_it(add):
    """Tables know its families all the same."""
    add("metric", "mine", "import no_such_module\n" + METRIC)
    assert known_families()["mine"].title == "Mine"
    assert metric_classes(protocol("fd"))
    with pytest.raises(ConfigError, match=r"mine.py failed to import: ModuleNotFoundError: .* \(mine.py, line 1\)"):
        metric_classes(protocol("mine"))


def test_a_family_of_two_files_is_refused_where_it_is_measured(add):
    """Published numbers of it are read, and the other families of both files are measured."""
    add("metric", "dup", METRIC.replace("    )\n", '        Family(name="fid", title="Mine"),\n    )\n', 1))
    assert any(line.family == "fid" for line in read_published(FILE))
    assert list(metric_classes(protocol("fd", "mine"))) == ["fid", "dup"]
    with pytest.raises(ConfigError, match=r"'fid' is defined twice, by .*dup.py and leangan/metrics/formulas/fid.py: "):
        metric_classes(protocol("fid", extractor="inception_v3"))


def test_a_metric_for_other_extractors_is_refused_before_anything_is_computed(add):
    add("metric", "mine", METRIC.replace('title="Mine"', 'title="Mine", extractors=("inception_v3", "other")'))
    with pytest.raises(ConfigError, match="'mine' does not go with .*, but with inception_v3 or other;"):
        metric_classes(protocol("mine"))
    assert metric_name("mine", 1000, "full", "inception_v3") == "mine1k_full"


@pytest.mark.parametrize(
    "gives, said",
    [
        ("{}", "gave values of nothing, must be of mine"),
        ('{"mine": Value(1.0), "fd": Value(2.0)}', "gave values of mine, fd, must be of mine"),
        ('{"mine": 1.0}', "gave float for mine, must give a Value or a NoValue"),
        ("Value(1.0)", "gave Value, must give a dict of Value"),
        ('{"mine": Value(None)}', "gave Value(value=None, spread=None, over=None) for mine, must hold a float, "),
        (
            '{"mine": Value(1.0, -1.0, "splits")}',
            "gave Value(value=1.0, spread=-1.0, over='splits') for mine, must hold",
        ),
        ('{"mine": Value(1.0, 1.0, 7)}', "gave Value(value=1.0, spread=1.0, over=7) for mine, must hold"),
    ],
)
def test_a_metric_gives_values_of_its_own_families_and_no_others(add, gives, said):
    """Another metric's would replace that one's."""
    add("metric", "mine", METRIC.replace("return {}", f"return {gives}"))
    features = Features(torch.zeros(4, 3))
    (metric,) = metric_classes(protocol("mine")).values()
    found = measure(against_reals(metric, features), features)
    assert isinstance(found, Missing) and found.status == "error"
    assert f"mine.py, line 5: __call__ {said}" in found.reason


@pytest.mark.parametrize(
    "change, said",
    [
        (
            ("class Metric(base.Metric)", "class Metric"),
            r"line 5: class Metric must derive from leangan.metrics.base.M",
        ),
        (("def __call__(self, fake)", "def call(self, fake)"), "line 5: lacks __call__, see leangan/metrics/base.py"),
        (("(self, real)", "(self)"), "line 9: __init__ must take self, real"),
        (("(self, fake)", "(self, fake, more)"), "line 10: __call__ must take self, fake"),
    ],
)
def test_a_class_that_is_no_metric_is_refused_before_anything_is_computed(add, change, said):
    add("metric", "mine", METRIC.replace(*change))
    with pytest.raises(ConfigError, match=f"mine.py, {said}"):
        metric_classes(protocol("mine"))


EXTRACTOR = """
from leangan.metrics import base

class Extractor(base.Extractor):
    title = "Mine"
    floats = 8
    published = True

    @staticmethod
    def load(weights, sha256):
        raise NotImplementedError
"""


def test_an_extractor_with_published_numbers_gives_its_own_families_their_short_names(add):
    add("extractor", "mine", EXTRACTOR)
    add("metric", "mine", METRIC.replace('title="Mine"', 'title="Mine", extractors=("mine",)'))
    assert metric_name("mine", 1000, "full", "mine") == "mine1k_full"
    assert metric_name("precision", 1000, "full", "mine") == "precision1k_full_mine"
    assert not protocol("mine", extractor="mine").proxy
    with pytest.raises(ConfigError, match="'fd' does not go with extractor 'mine'"):
        metric_name("fd", 1000, "full", "mine")


@pytest.mark.parametrize("named, name", [("True", "fd1k_full_mine"), ("False", "fd1k_full")])
def test_names_leave_out_an_extractor_that_says_so(add, named, name):
    add("extractor", "mine", EXTRACTOR.replace("published = True", f"named = {named}"))
    assert metric_name("fd", 1000, "full", "mine") == name


def test_comments_do_not_make_another_extractor_of_one_without_weights(add):
    source = file_of("extractor", "shape_attributes").read_text()
    add("extractor", "commented", source.replace("    @staticmethod", "    # A comment.\n    @staticmethod"))
    add("extractor", "changed", source.replace("0.2 * coverage", "0.1 * coverage"))
    digests = [load_extractor(name).sha256 for name in ("shape_attributes", "commented", "changed")]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    "change, said",
    [
        (("    floats = 8\n", ""), "mine.py, line 4: class Extractor does not set floats"),
        (
            ("floats = 8", "floats = 2 * 4"),
            r"mine.py, line 6: floats of class Extractor must be written in plain values",
        ),
        (("    title", "   title"), "mine.py, line 6: unexpected indent"),
    ],
)
def test_an_extractor_that_cannot_be_read_harms_no_other(add, change, said):
    add("extractor", "mine", EXTRACTOR.replace(*change))
    assert is_published("inception_v3") and find_extractor("efficientnet_lite0").floats == 1280
    with pytest.raises(ConfigError, match=said):
        find_extractor("mine")


def test_an_extractor_that_fails_to_import_says_where(add):
    add("extractor", "mine", "import no_such_module\n" + EXTRACTOR)
    assert title_of("mine") == "Mine"
    with pytest.raises(ConfigError, match=r"mine.py failed to import: .*'no_such_module' \(mine.py, line 1\)"):
        load_extractor("mine")


@pytest.mark.parametrize(
    "change, said",
    [
        (("class Extractor(base.Extractor)", "class Extractor"), "line 4: class Extractor must derive from "),
        (("    @staticmethod\n    def load(", "    def load(self, "), "line 9: load must take weights, sha256"),
        (("def load(", "def loads("), "line 4: lacks load, see "),
        (("raise NotImplementedError", "return None, '0' * 64"), "line 9: load gave NoneType, must give a network"),
        (("raise NotImplementedError", "return 7"), r"line 9: load gave 7, must give \(network, sha256\)"),
    ],
)
def test_a_class_that_is_no_extractor_is_refused(add, change, said):
    add("extractor", "mine", EXTRACTOR.replace(*change))
    with pytest.raises(ConfigError, match=f"mine.py, {said}"):
        load_extractor("mine")


NETWORK = """
import torch

class Mine(torch.nn.Module):
    def forward(self, images):
        x = images.float().mean(3).flatten(1)
        return (x,)
"""


@pytest.mark.parametrize(
    "gives, said",
    [
        ("x", "Tensor, must give (pooled,) or (pooled, logits)"),
        ("(x, x, x)", "a tuple of 3, must give (pooled,) or (pooled, logits)"),
        ("(x, None)", "logits of type NoneType, must be a tensor"),
        ("(x[0],)", "pooled float32 [8], must be float32 [2, D]"),
        ("(x[:1],)", "pooled float32 [1, 8], must be float32 [2, D]"),
        ("(x.double(),)", "pooled float64 [2, 8], must be float32 [2, D]"),
    ],
)
def test_features_are_what_the_contract_says(add, gives, said):
    """The rows of a tensor of two would pass for features and logits."""
    source = EXTRACTOR.replace("raise NotImplementedError", "return Mine(), '0' * 64")
    add("extractor", "mine", source + NETWORK.replace("(x,)", gives))
    with pytest.raises(ConfigError, match=r"mine.py, line 15: forward gave " + re.escape(said)):
        load_extractor("mine")(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_an_extractor_of_old_rows_is_a_proxy_under_its_own_name():
    assert title_of("vgg_of_1987") == "vgg_of_1987" and not is_published("vgg_of_1987")
    with pytest.raises(ConfigError, match="unknown extractor 'vgg_of_1987'. .* in config/protocols.yaml"):
        find_extractor("vgg_of_1987")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_a_library_that_is_not_installed_is_named_with_its_extra():
    """Where a plugin imports it, as where a command does."""
    done = run("""
import sys
sys.modules["torch_fidelity"] = None  # which Python takes for a module that is not there
from leangan.cli import main
main("features --extractor inception_v3 --data x.npy --out x.safetensors --device cpu".split())
""")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "needs the module 'torch_fidelity', which is in the extra metrics" in done.stderr


def test_words_for_print_need_neither_torch_nor_what_computes():
    done = run("""
import sys
import leangan.artefacts.render, leangan.leaderboard.page
from leangan.results.metric_names import Metric
assert Metric("kid", 50000, "full", "inception_v3").text(0.0123) == "12.30"
assert Metric("fd", 1000, "full", "efficientnet_lite0").label == "FD (EfficientNet-Lite0)"
print(sorted({"torch", "scipy", "torch_fidelity", "cleanfid", "torchvision"} & sys.modules.keys()))
""")
    assert done.stdout == "[]\n", done.stdout + done.stderr
