"""The examples of docs/metrics.md: two new files and a protocol; tests/workflow/test_additions.py runs them."""

from __future__ import annotations

import json
import re

import pytest
import torch
import yaml

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.yaml_files import read
from leangan.metrics.base import Features, Value
from leangan.metrics.families import known_families
from leangan.metrics.protocols import read_protocol
from leangan.plugins import registry
from leangan.results.submitted import parse_claim
from leangan.runs.rows import line_of
from tests.helpers.synthetic import row

GUIDE = (ROOT / "docs/metrics.md").read_text()
METRIC, EXTRACTOR = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
(PROTOCOL,) = re.findall(r"^```yaml\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def followed(add, monkeypatch):
    """Both files and the entry of config/protocols.yaml are there."""
    add("metric", "coverage", METRIC)
    add("extractor", "thumbnails", EXTRACTOR)
    for name, entry in yaml.safe_load(PROTOCOL).items():
        monkeypatch.setitem(read("config/protocols.yaml"), name, entry)
    read_protocol.cache_clear()
    yield
    read_protocol.cache_clear()


def test_a_submitted_number_keeps_to_the_bounds_of_the_file(followed):
    of = {"name": "thumbnails", "extractor": "thumbnails"}
    claim = json.loads(line_of(row("none", 0, "coverage", 20.0, 0.5, protocol=of, source="submitted")))
    assert claim["metric"] == "coverage1k_full_thumbnails"
    assert parse_claim(claim, "here").value == 0.5
    with pytest.raises(ConfigError, match="is 1.5, which lies outside 0 to 1"):
        parse_claim({**claim, "value": 1.5}, "here")


def test_the_number_of_the_example(followed):
    """Reals on a line, 1 apart: the fifth nearest lies 3 away, so that a fake among them covers itself and 2 a side."""
    coverage = registry.require("metric", "coverage", "here")(Features(torch.arange(20.0)[:, None]))
    assert coverage(Features(torch.tensor([[10.0]]))) == {"coverage": Value(5 / 20)}


def test_columns_stand_where_the_files_say(followed):
    order = list(known_families())
    assert order.index("recall") < order.index("coverage") < order.index("copying")
