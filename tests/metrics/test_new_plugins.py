"""The examples of docs/metrics.md, followed to the letter: two new files and a protocol become a table and a page."""

from __future__ import annotations

import re

import pytest
import torch
import yaml

from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.captions import caption
from leangan.artefacts.table_formats import markdown
from leangan.artefacts.tables import build_table, measure_table
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.yaml_files import read
from leangan.leaderboard import page
from leangan.leaderboard.measured_entries import measured_entries
from leangan.metrics import features, measure
from leangan.metrics.base import Features, Value
from leangan.metrics.families import known_families
from leangan.plugins import registry
from leangan.results.collect import flatten, to_csv
from leangan.results.submitted import check_claim
from leangan.results.table import parse_results
from leangan.runs import rows
from leangan.training import run

GUIDE = (ROOT / "docs/metrics.md").read_text()
METRIC, EXTRACTOR = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
(PROTOCOL,) = re.findall(r"^```yaml\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)

CONTENT = {
    "title": "Thumbnails",
    "grid": {"dataset": ["procedural"], "images": [24], "preset": ["tiny"], "method": ["none"], "seed": [0]},
    "protocol": "thumbnails",
}


@pytest.fixture
def followed(add, monkeypatch):
    """Both files and the entry of config/protocols.yaml are there."""
    add("metric", "coverage", METRIC)
    add("extractor", "thumbnails", EXTRACTOR)
    for name, entry in yaml.safe_load(PROTOCOL).items():
        monkeypatch.setitem(read("config/protocols.yaml"), name, entry)


def test_a_run_is_measured_printed_and_shown(followed, make_spec, prepared, tmp_path, monkeypatch):
    spec = make_spec(total_kimg=0.064)
    run_dir, out = tmp_path / "run", tmp_path / "rows.jsonl"
    run_dir.mkdir()
    (run_dir / "spec.json").write_text(spec.to_json())
    data = ["--data", str(prepared[0]), "--subset", str(prepared[1]), "--run-dir", str(run_dir), "--device", "cpu"]
    assert run.main(["--spec", str(run_dir / "spec.json"), *data]) == 0
    real = f"{tmp_path}/real.safetensors"
    features.main(["--extractor", "thumbnails", "--data", str(prepared[0]), "--device", "cpu", "--out", real])
    measure.main(["--protocol", "thumbnails", *data, "--real", real, "--n-fake", "50", "--out", str(out)])

    measured = rows.read(out)
    names = ["fd50_full_thumbnails", "coverage50_full_thumbnails"]
    assert [row["metric"] for row in measured] == names
    assert all(row["proxy"] and row["status"] == "done" for row in measured)
    stated = measured[1]["protocol"]
    assert (stated["extractor"], stated["input_px"], stated["resize"]) == ("thumbnails", 8, "mean")
    assert stated["library"] == "leangan.metrics.extractors.thumbnails"
    claim = {**measured[1], "source": "submitted", "submitted_by": "A", "url": "https://example.org"}
    check_claim(claim, "here")
    with pytest.raises(ConfigError, match="is 1.5, which lies outside 0 to 1"):
        check_claim({**claim, "value": 1.5}, "here")

    monkeypatch.setitem(measured[1], "value", 0.8125)
    results = parse_results(to_csv([flatten(row) for row in measured]), "here")
    content = load_artefact("mine", CONTENT, [spec], results)
    assert [column.metric.family for column in content.columns] == ["fd", "coverage"]
    assert "8-px thumbnails features at 8 px (mean)" in caption(content)
    table = markdown(build_table(content, measure_table(content, tmp_path)))
    assert "Coverage (8-px thumbnails) ↑" in table and "0.812" in table

    for label, of_metric in zip(("FD", "Coverage"), (results, results[results["metric"] == names[1]]), strict=True):
        assert f"{label} (8-px thumbnails)" in page.render(measured_entries(of_metric, tmp_path), "mine")


def test_the_number_of_the_example(followed):
    """Reals on a line, 1 apart: the fifth nearest lies 3 away, so that a fake among them covers itself and 2 a side."""
    coverage = registry.require("metric", "coverage", "here")(Features(torch.arange(20.0)[:, None]))
    assert coverage(Features(torch.tensor([[10.0]]))) == {"coverage": Value(5 / 20)}


def test_columns_stand_where_the_files_say(followed):
    order = list(known_families())
    assert order.index("recall") < order.index("coverage") < order.index("copying")
