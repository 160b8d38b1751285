"""README's table of the demo holds what the tracked rows and logs give."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from statistics import mean, stdev

import pytest

from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.runs.config import load_config
from leangan.runs.grid import expand

README = (ROOT / "README.md").read_text()
METHODS = ["none", "diffaugment-tc", "da", "ada"]
ROWS = ROOT / "results" / "hours" / "rows"
FROM_KIMG = 10
EARLIER = re.findall(r"`(\w+)`", "".join(re.findall(r"Those of (.*?) are of revision 0", README)))
"""Methods whose numbers are those of earlier code, as README tells its readers."""


def lines(spec: RunSpec, file: str) -> list[dict]:
    """Those of the run, or of the one of revision 0 where README says so."""
    if spec.method in EARLIER:
        spec = replace(spec, revisions={})
    return [json.loads(line) for line in (ROWS / spec.run_id / file).read_text().splitlines()]


def logged(spec: RunSpec, key: str) -> float:
    """Mean over the log from FROM_KIMG on."""
    return mean(line[key] for line in lines(spec, "train.jsonl") if line["kimg"] > FROM_KIMG)


def last(spec: RunSpec, family: str) -> float:
    """A metric of the last snapshot."""
    found = [row for row in lines(spec, "proxy.jsonl") if row["metric"].startswith(f"{family}2k_")]
    return max(found, key=lambda row: row["kimg"])["value"]


def r_v(spec: RunSpec) -> float:
    real, held_out, fake = (logged(spec, key) for key in ("d_real", "d_valid", "d_fake"))
    return (real - held_out) / (real - fake)


NUMBERS = {
    "r_v, overfitting": r_v,
    "training images that": lambda spec: 100 * logged(spec, "accuracy_real"),
    "held-out photographs that": lambda spec: 100 * logged(spec, "accuracy_held_out"),
    "precision": lambda spec: last(spec, "precision"),
    "recall": lambda spec: last(spec, "recall"),
    "FD to all": lambda spec: last(spec, "fd"),
    "KD": lambda spec: last(spec, "kd"),
}


@pytest.mark.parametrize("heading", NUMBERS)
def test_numbers_of_the_demo(heading):
    (row,) = re.findall(rf"^\| {heading}.*", README, flags=re.MULTILINE)
    printed = re.findall(r"([\d.]+) ± ([\d.]+)", row)
    specs = expand("demo", load_config('{"scale": "hours"}'))
    assert len(printed) == len(METHODS)
    for method, numbers in zip(METHODS, printed, strict=True):
        values = [NUMBERS[heading](spec) for spec in specs if spec.method == method]
        assert len(values) == 3
        for text, value in zip(numbers, (mean(values), stdev(values)), strict=True):
            digits = len(text.partition(".")[2])
            assert text == f"{value:.{digits}f}", method
