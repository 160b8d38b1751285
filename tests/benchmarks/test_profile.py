"""The profile counts every microsecond once."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.profile import table, timed


def event(key: str, device: DeviceType, count: int, on_device: float, on_cpu: float = 0.0, note: bool = False):
    return SimpleNamespace(
        key=key,
        device_type=device,
        count=count,
        self_device_time_total=on_device,
        self_cpu_time_total=on_cpu,
        is_user_annotation=note,
    )


def test_on_a_gpu_kernels_are_counted_and_not_the_operations_that_launched_them():
    events = [
        event("aten::conv2d", DeviceType.CPU, 2, on_device=300.0, on_cpu=40.0),
        event("gemm|kernel", DeviceType.CUDA, 2, on_device=300.0),
        event("add_kernel", DeviceType.CUDA, 5, on_device=700.0),
        event("Optimizer.step", DeviceType.CUDA, 1, on_device=1000.0, note=True),
    ]
    entries = timed(events, on_gpu=True)
    assert [(entry.name, entry.calls) for entry in entries] == [("add_kernel", 5), ("gemm|kernel", 2)]
    assert table(entries, rows=1, wall=0.002).splitlines()[2:] == [
        "| add_kernel | 5 | 0.70 | 35.0% |",
        "| all | 7 | 1.00 | 50.0% |",
    ]
    assert "gemm/kernel" in table(entries, rows=2, wall=0.002)


def test_on_a_cpu_operations_are_counted_without_those_they_call():
    x = torch.randn(300, 300)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(3):
            torch.nn.functional.linear(x, x)
    entries = {entry.name: entry for entry in timed(profiler.key_averages(), on_gpu=False)}
    assert entries["aten::linear"].calls == 3
    product = max(entries.values(), key=lambda entry: entry.seconds)
    assert product.name in ("aten::mm", "aten::addmm") and product.seconds > entries["aten::linear"].seconds
