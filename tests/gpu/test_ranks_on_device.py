"""Ranks on a GPU: one over NCCL, as torchrun starts it, and two that share a card over gloo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist

from leangan.core import distributed, ranks
from leangan.core.distributed import GradientAverage, joined_ranks
from leangan.core.project import ROOT
from leangan.training.loop import train
from tests.helpers.left_behind import CLOSE, difference, log, tensors
from tests.helpers.twins import random_reals
from tests.helpers.waiting import nowhere_waiting

LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""All ranks are on this machine, which need not have another network."""


def torchrun(count: int, *arguments: object) -> subprocess.CompletedProcess:
    """`count` processes that find the modules of the project and of its tests."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, *arguments]
    environment = {
        **os.environ,
        **LOOPBACK,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(list(map(str, command)), **options)


def test_one_rank_trains_a_run_and_ends_cleanly(device, make_spec, prepared, tmp_path):
    """ADA's controller sums over ranks on the device, also over one."""
    spec = make_spec("ada", total_kimg=0.064)
    (tmp_path / "spec.json").write_text(spec.to_json())
    options = ["--spec", tmp_path / "spec.json", "--data", prepared[0], "--subset", prepared[1]]
    options += ["--run-dir", tmp_path / "run", "--device", device.type, "--tick-kimg", 0.032]
    done = torchrun(1, "-m", "leangan", "train", *options)
    assert done.returncode == 0, done.stderr
    assert "destroy_process_group" not in done.stderr and "Traceback" not in done.stderr
    result = json.loads((tmp_path / "run" / "train.json").read_text())
    assert result["status"] == "done" and len(log(tmp_path / "run")) == 2
    assert len(result["snapshots"]) == 1


def test_two_ranks_on_one_device_train_what_one_process_trains(device, make_spec, tmp_path, measured):
    """All ranks hold the same bits; the losses are those of one process but for rounding."""
    hyper = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "mbstd_group": 4}
    plugins = [("ada", {"tune_kimg": 0.2, "interval": 2, "p": 0.5})]
    spec = make_spec(hyper=hyper, plugins=plugins, conditional=True, total_kimg=0.064)
    (tmp_path / "spec.json").write_text(spec.to_json())
    done = torchrun(2, ROOT / "tests/helpers/one_device_worker.py", device, tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (tensors(tmp_path / name) for name in ("rank0", "rank1"))
    assert first.keys() == second.keys() and len(first) > 100
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    train(spec, random_reals(spec, device), tmp_path / "alone", device, 0.008, 1e9, lambda: False)
    ours, expected = log(tmp_path / "rank0"), log(tmp_path / "alone")
    found = difference(ours, expected)
    measured(f"losses of two ranks and of one process differ by {found:.1e}")
    assert found < CLOSE and ours[-1]["p"] != 0.5


@contextmanager
def joined(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as the only rank, whatever happens within."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in {**variables, **LOOPBACK}.items():
        monkeypatch.setenv(name, str(value))
    try:
        with joined_ranks(torch.device("cuda", 0) if device.type == "cuda" else device):
            yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def test_gradients_are_exchanged_while_the_backward_pass_goes_on(device, monkeypatch):
    """One rank that counts itself as two: the sum over ranks is its own gradient, the mean the half."""
    layers = torch.nn.Sequential(*(torch.nn.Linear(256, 256) for _ in range(6))).to(device)
    x = torch.randn(64, 256, device=device)
    with joined(device, monkeypatch), monkeypatch.context() as patch:
        for module in (ranks, distributed):
            patch.setattr(module, "world_size", lambda: 2)
        patch.setattr(distributed, "BUCKET_BYTES", 2 * 4 * 256 * 256)
        average = GradientAverage([*layers.parameters(), torch.nn.Parameter(torch.ones(3, device=device))])
        loss = layers(x).square().mean()
        wanted = torch.autograd.grad(loss, list(layers.parameters()), retain_graph=True)
        for number in range(3):
            layers.zero_grad()
            # The first pass takes memory and makes constants.
            with nowhere_waiting(device if number else torch.device("cpu")):
                loss.backward(retain_graph=True)
                average.finish()
            torch.testing.assert_close([param.grad for param in layers.parameters()], [grad / 2 for grad in wanted])


def test_flags_travel_between_processors_while_the_device_is_at_work(device, monkeypatch):
    with joined(device, monkeypatch), monkeypatch.context() as patch:
        patch.setattr(distributed, "world_size", lambda: 2)
        with nowhere_waiting(device):
            assert distributed.on_any_rank(True, False) == [True, False]
