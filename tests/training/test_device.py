"""A GPU that is asked for and cannot be used is an error that says why, not a run on the CPU."""

from __future__ import annotations

import pytest
import torch

from leangan.core.errors import ConfigError
from leangan.training.device import pick_device


@pytest.fixture
def unseen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "__version__", "2.12.1+given")


@pytest.mark.parametrize(
    "cuda, words",
    [
        (None, r"torch 2\.12\.1\+given is built for CPUs only: install a torch that is built for CUDA"),
        ("13.0", r"torch 2\.12\.1\+given is built for CUDA 13\.0\. .*driver may be too old: install a newer one"),
    ],
)
def test_a_gpu_that_torch_does_not_see_is_an_error_with_its_cause_and_cure(unseen, monkeypatch, cuda, words):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(ConfigError, match=rf"device cuda is asked for.*{words}.*device: cpu in config/config\.yaml"):
        pick_device("cuda")


def test_by_hand_auto_is_a_gpu_if_torch_sees_one(unseen, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda") and pick_device("cpu") == torch.device("cpu")


def test_each_process_has_the_gpu_of_its_rank_and_more_processes_than_gpus_are_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("cuda") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="torch sees 2"):
        pick_device("cuda")
