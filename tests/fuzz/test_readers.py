"""Files that others wrote, damaged and hostile: each reader ends in a clear error, and within bounds of memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from leangan.core.project import ROOT
from tests.helpers.mutations import changed_json, damaged
from tests.helpers.readers import READERS, try_reading

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 40))
MEMORY_BYTES = 2 * 2**30  # more than the process has; the largest image that is read takes 1 GB on its way
JSON = ("labels", "rows", "submission", "spec")


@pytest.fixture(autouse=True)
def bounded_memory():
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(name: str, strategy, folder: Path) -> dict[str, int]:
    reader, seeds = READERS[name], READERS[name].seeds()
    ends = {"read": 0, "refused": 0}
    for seed in seeds:
        ends[try_reading(reader, seed, folder)] += 1

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy(seeds))
    def all_end_well(content: bytes) -> None:
        ends[try_reading(reader, content, folder)] += 1

    all_end_well()
    return ends


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_words(name, tmp_path):
    ends = fuzz(name, damaged, tmp_path)
    print(name, ends)
    assert ends["refused"] > 0


@pytest.mark.parametrize("name", JSON)
def test_other_values_are_read_or_refused_in_words(name, tmp_path):
    ends = fuzz(name, changed_json, tmp_path)
    print(name, ends)
    assert ends["refused"] > 0 and ends["read"] > 0


def test_damaged_lmdbs_are_read_or_refused_in_words():
    """Or, as they are mapped into memory, end the process that reads them, which the caller learns."""
    command = [sys.executable, "-m", "tests.helpers.damaged_lmdb", str(EXAMPLES)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ends = json.loads(ended.stdout)
    print("lmdb", ends)
    assert ends.get("unclear", 0) == 0 and ends.get("signal", 0) <= EXAMPLES / 50
    assert ends["read"] > 0 and ends["refused"] > 0
