"""Memory of the device that does not suffice is recognised and said in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from leangan.core.out_of_memory import as_memory_error, is_out_of_memory
from leangan.core.project import ROOT
from leangan.plugins.fault import is_plugin_fault

TOO_MUCH = 2**50  # bytes


def test_an_allocation_that_is_too_large(device):
    with pytest.raises(RuntimeError) as caught:
        torch.empty(TOO_MUCH, dtype=torch.uint8, device=device)
    assert is_out_of_memory(caught.value) and not is_plugin_fault(caught.value)
    with pytest.raises(MemoryError) as named, as_memory_error():
        torch.empty(TOO_MUCH, dtype=torch.uint8, device=device)
    assert "\n" not in str(named.value) and ("GiB" in str(named.value) or str(TOO_MUCH) in str(named.value))


LIMITED = """
import torch

from leangan import cli

torch.cuda.set_per_process_memory_fraction(256 * 2**20 / torch.cuda.get_device_properties(0).total_memory)
cli.main(["train", *{options!r}])
"""


def test_a_run_that_does_not_fit_ends_with_one_line_and_no_result(card, make_spec, prepared, tmp_path):
    """The published networks in 256 MiB; a fault of the machine, not of the method."""
    spec = make_spec(of="cifar", resolution=16, hyper={"batch": 32})
    (tmp_path / "spec.json").write_text(spec.to_json())
    options = ["--spec", tmp_path / "spec.json", "--data", prepared[0], "--subset", prepared[1]]
    options += ["--run-dir", tmp_path / "run", "--device", "cuda"]
    code = LIMITED.format(options=list(map(str, options)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    last = process.stderr.strip().splitlines()[-1]
    assert process.returncode and "out of memory" in last.lower(), process.stderr
    assert not (tmp_path / "run" / "train.json").exists(), process.stderr
