"""The model of a GPU adds what it says, and is held against what a card has measured."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import predict
from benchmarks.calls import Cost
from benchmarks.predict import MEASURED, Line, check, eager_seconds, gpu_seconds, predicted


def test_seconds_of_the_gpu_by_hand():
    cost = Cost(calls=1000, flop16=542.5e12, flop32=45e12, filtered=0.065e12, moved=3.9e12)
    plain = gpu_seconds(cost, tf32=False, filters="depthwise")
    assert plain == pytest.approx({"products": 2, "filters": 1, "passes": 1, "small kernels": 0.0018})
    fused = gpu_seconds(cost, tf32=True, filters="fused")
    parts = {"products": 1 + 45 / 280, "filters": 1 / 180, "passes": 0.6, "small kernels": 0.00153}
    assert fused == pytest.approx(parts)


def test_the_longer_of_host_and_gpu_counts_most():
    networks = Cost(calls=2000)
    host, gpu = 2000 * 25e-6 + 1000 * 14e-6, 3000 * 1.8e-6
    assert eager_seconds(Cost(calls=3000), networks, False, "means") == pytest.approx(host, rel=1e-3)
    busy = Cost(calls=3000, moved=3.9e12 * (host - gpu))  # host and GPU alike: the cube root of two
    assert eager_seconds(busy, networks, False, "means") == pytest.approx(2 ** (1 / 3) * host)


def test_an_error_is_that_of_the_predicted_rate(tmp_path):
    entry = {"preset": "p", "method": "none", "images": 10, "calls": 4e4, "convolutions": 0}
    entry.update(dict.fromkeys(("flop16", "flop32", "filtered", "moved"), 0))
    (tmp_path / "calls.jsonl").write_text(json.dumps(entry) + "\n")
    line = {"preset": "p", "method": "none", "dtype": "bfloat16", "images_per_s": 8.0, "setting": "TF32 off"}
    (tmp_path / "speed.jsonl").write_text(json.dumps(line) + "\n")
    table = check(tmp_path)  # a second of the host, 0.07 of the GPU
    assert table[2] == "| p | none | bfloat16 | 8 | 10 | +25% |"
    assert table[-1] == "Mean error 25%, the largest 25%."


def test_the_model_fits_what_a_card_has_measured():
    *_, last = check(MEASURED)
    average, largest = map(int, re.findall(r"(\d+)%", last))
    assert average <= 8 and largest <= 20


def test_a_prediction_counts_the_code_as_it_is(monkeypatch):
    costs = {"none": Cost(calls=1000, flop16=300e12), "ada": Cost(calls=2000, flop16=325.5e12)}
    monkeypatch.setattr(predict, "per_iteration", lambda name: costs[name])
    monkeypatch.setattr(predict, "parts", lambda preset, method, resolution: method)
    cells = predicted(Line("cifar", "ada", 32, False, 4410)).strip("| ").split(" | ")
    rate = 64 / (0.6 + 2000 * 1.8e-6)
    assert cells[:4] == ["cifar", "ada", "16 bits", "2000"]
    assert float(cells[5]) == pytest.approx(rate, rel=0.01)
    assert cells[7] == f"{300 / 775 / (0.6 + 0.85 * 2000 * 1.8e-6):.0%}" and cells[8] == "4410"


def test_biggan_has_no_fused_kernels(monkeypatch):
    monkeypatch.setattr(predict, "parts", lambda preset, method, resolution: {})
    monkeypatch.setattr(predict, "per_iteration", lambda found: Cost(calls=1000, flop32=45e12, moved=3.9e12))
    row = predicted(Line("biggan-cifar", "none", 32, False, None))
    share = f"{45 / 50 / 2.0018:.0%}"
    assert row == f"| biggan-cifar | none | float32 | 1000 | 100 | 100 |  | {share} |  | 1000.0 | 0.0 | 1000.0 | 1.8 |"
