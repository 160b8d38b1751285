"""The benchmark counts, times and names what it says, checked against sums done by hand."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from benchmarks import iteration, peak, setting
from benchmarks.__main__ import line, main, preset_key
from benchmarks.iteration import (
    SECTIONS,
    Iterations,
    kinds,
    measure,
    measure_line,
    seconds_per_cycle,
    useful_operations,
)
from benchmarks.peak import Operations, Shape
from benchmarks.stopwatch import Stopwatch
from leangan.launching.launch import KEEP_MEMORY

CPU = torch.device("cpu")


class Parts:
    """A section that works 3 s, in the middle of which another works 2 s and perhaps says what it is."""

    def __init__(self) -> None:
        self.now = 0.0

    def outer(self) -> None:
        self.now += 1
        self.inner()
        self.now += 2

    def inner(self) -> None:
        self.now += 2
        self.special()

    def special(self) -> None:
        self.now += 0.5


def test_time_is_charged_to_the_innermost_section():
    parts = Parts()
    watch = Stopwatch(CPU, clock=lambda: parts.now)
    watch.attach(parts, "outer", "outer")
    watch.attach(parts, "inner", "inner")
    parts.now += 7  # outside of any
    parts.outer()
    parts.inner()
    assert watch.seconds == {"outer": 3.0, "inner": 5.0}


def test_a_section_is_renamed_from_its_beginning():
    parts = Parts()
    watch = Stopwatch(CPU, clock=lambda: parts.now)
    watch.attach(parts, "outer", "outer")
    watch.attach(parts, "inner", "inner")
    watch.rename_at(parts, "special", "special")
    parts.outer()
    assert watch.seconds == {"outer": 3.0, "special": 2.5}


def test_operations_of_a_convolution_and_its_backward_pass():
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    weight = torch.randn(6, 4, 3, 3, requires_grad=True)
    once = 2 * 2 * 8 * 8 * 4 * 6 * 9  # multiply and add, samples, pixels, channels in and out, taps
    with Operations() as operations:
        y = F.conv2d(x, weight, padding=1)
        F.conv2d(y, torch.randn(1, 6, 3, 3), stride=2)
        with_stride = operations.total - once
        y.sum().backward()
    assert with_stride == 2 * 2 * 3 * 3 * 6 * 9
    assert operations.total == 3 * once + with_stride
    assert operations.convolutions == {Shape(x.shape, weight.shape, torch.float32): once}


def test_the_peak_is_the_rate_of_the_fastest_convolution(monkeypatch):
    """Two shapes in two memory layouts take 4, 2, 8 and 5 s, of 1 and 3 times the operations."""
    small, large = (Shape(torch.Size((n, 16, 8, 8)), torch.Size((16, 16, 3, 3)), torch.float32) for n in (1, 3))
    seconds, called = iter([4.0, 2.0, 8.0, 5.0]), []
    monkeypatch.setattr(peak, "fastest_call", lambda call, device, limit: called.append(call().shape) or next(seconds))
    once = 2 * 64 * 16 * 16 * 9
    assert peak.measured_peak(Counter({large: 7, small: 5}), CPU, seconds=0.05) == 3 * once / 2
    assert called == [large.x, large.x, small.x, small.x]


def test_a_line_of_the_table():
    iterations = Iterations("tiny", "ada", 16, 3, 2, batch=4, device=CPU)
    assert iterations.cycle == 16
    m = measure(iterations, seconds=0.1)
    assert m.dtype == "float32" and m.images_per_s > 0 and m.memory_bytes > 0
    assert tuple(m.shares) == SECTIONS and sum(m.shares.values()) == pytest.approx(1)
    assert min(m.shares[name] for name in ("data", "augment", "G step", "D step", "R1", "optimiser")) > 0
    assert m.shares["path length"] == 0
    assert m.operations > 0 and m.peak > 0


def test_a_cycle_is_made_of_a_few_kinds_of_iterations():
    """Something is due every 6 iterations, two things every 4; by hand."""
    assert kinds([6, 4, 4]) == {0: 1, 1: 8, 4: 2, 6: 1}
    assert kinds([1, 0, 4]) == {0: 1, 1: 3}


def test_the_time_of_a_cycle_is_that_of_its_kinds(monkeypatch):
    """Iterations of 1 s, of which the first of a cycle takes 5 s more."""
    iterations = Iterations("tiny", "none", 16, 3, 0, batch=4, device=CPU)
    now = [0.0]
    monkeypatch.setattr(iteration.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(iterations, "iterate", lambda i: now.__setitem__(0, now[0] + 1 + 5 * (i == 0)))
    assert iterations.kinds == {0: 1, 1: 15}
    for seconds in (0.1, 60):
        assert seconds_per_cycle(iterations, seconds) == pytest.approx(6 + 15)


def test_the_clock_starts_after_the_capture_and_parts_are_counted_as_they_are_written():
    iterations = Iterations("tiny", "none", 16, 3, 0, batch=4, device=CPU)
    recorded = []

    def record(work):
        recorded.append(work)
        return lambda: None

    iterations.run_as(record)
    iterations.warm_up()
    assert len(recorded) == len(iterations.trainer.parts) == 4  # G, D, D with R1, the held-out batch
    m = measure(iterations, 0.1, record)
    assert len(recorded) == 8 and m.operations > 0 and m.shares["R1"] > 0
    written = measure(iterations, 0.1)
    assert len(recorded) == 8 and written.operations == m.operations


def test_operations_of_the_method_are_not_counted_as_useful():
    """DA multiplies every image by resampling matrices; the networks are those of the baseline."""
    plain, augmented = (
        Iterations("tiny", method, 16, 3, 0, 4, CPU, replaced={"r1_interval": 2}) for method in ("none", "da-geom-1.0")
    )
    method = augmented.trainer.method
    assert useful_operations(augmented).total == useful_operations(plain).total
    assert augmented.trainer.method is method
    with Operations() as all_of_them:
        augmented.run()
    assert all_of_them.total > useful_operations(plain).total


@pytest.fixture
def pretended_gpu(monkeypatch):
    """A machine on which torch sees a GPU, and the flags of torch.backends as they are afterwards."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("set_device", "Stream", "set_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *args: None)
    threads = torch.get_num_threads()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=True):
        before = torch.backends.cuda.matmul.allow_tf32
        yield
        torch.backends.cuda.matmul.allow_tf32 = before
    torch.set_num_threads(threads)


@pytest.mark.parametrize("tf32", [False, True])
def test_a_benchmark_computes_on_a_gpu_as_training_does(pretended_gpu, monkeypatch, tf32):
    """torch by itself rounds the factors of convolutions to 10 bits and does not look for the fastest algorithm."""
    reached = []

    def stop(*args, **kwargs):
        reached.append((torch.backends.cudnn.benchmark, setting.tf32_state()))
        raise KeyboardInterrupt

    monkeypatch.setattr(iteration, "Iterations", stop)
    images = dict.fromkeys(("resolution", "channels", "classes", "batch"))
    args = argparse.Namespace(device="cuda", threads=1, tf32=tf32, fused_kernels="off", half=None, set=[], **images)
    with pytest.raises(KeyboardInterrupt):
        measure_line("tiny", "none", args)
    assert reached == [(True, "on" if tf32 else "off")]


def test_tf32_for_convolutions_alone_is_named(pretended_gpu):
    assert setting.tf32_state() == "on for convolutions alone"  # what torch does by itself


def test_a_line_that_cannot_be_measured_leaves_the_others(monkeypatch, capsys, tmp_path):
    def measured(function, preset, method, args):
        if method == "ada":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return iteration.Measurement("float32", 100.0, dict.fromkeys(SECTIONS, 0.0), 2**20, 1e9, 2e11)

    monkeypatch.setattr("benchmarks.__main__.in_fresh_process", measured)
    out = tmp_path / "lines.jsonl"
    assert main(["--method", "ada", "none", "--device", "cpu", "--out", str(out)]) == 1
    failed, done = capsys.readouterr().out.splitlines()[-2:]
    assert failed == "| tiny | ada | failed: CUDA out of memory. |"
    assert done.endswith("| 1 | 1 | 200 | 50% |")  # MiB, GFLOP per image, peak GFLOP/s, 1e9 * 100 / 2e11
    assert [json.loads(text)["method"] for text in out.read_text().splitlines()] == ["none"]


def test_the_type_column_says_where_tf32_was_used():
    m = iteration.Measurement("float32", 100.0, dict.fromkeys(SECTIONS, 0.0), 2**20, 1e9, 2e11)
    assert "| float32 |" in line("tiny", "none", m, tf32=False)
    assert "| float32, TF32 |" in line("tiny", "none", m, tf32=True)


def test_operations_per_image_of_the_tiny_preset_are_those_of_its_layers():
    """G's forward pass at 16 px with 64, 48, 24 maps at 4, 8, 16: each layer's by hand, per image."""
    iterations = Iterations("tiny", "none", 16, 3, 0, batch=4, device=CPU)
    G = iterations.trainer.G.eval()
    with torch.no_grad(), Operations() as operations:
        G(torch.randn(4, 64), None, noise_mode="const")
    dense = 2 * 64 * 64  # two layers of the mapping network
    styles = 64 * (64 + 64 + 64 + 48 + 48 + 48 + 24 + 24)  # affine layers: conv1, to_rgb; conv0, conv1, to_rgb twice
    demodulation = 64 * 64 + 64 * 48 + 48 * 48 + 48 * 24 + 24 * 24
    convolutions = 9 * (64 * 64 * 16 + 64 * 48 * 16 + 48 * 48 * 64 + 48 * 24 * 64 + 24 * 24 * 256)
    to_rgb = 3 * (64 * 16 + 48 * 64 + 24 * 256)
    fir = 16 * (48 * 64 + 24 * 256 + 3 * 16 + 3 * 64)  # after each up-sampling convolution; on the image, by input
    assert operations.total / 4 == 2 * (dense + styles + demodulation + convolutions + to_rgb + fir)


def test_replaced_keys_of_the_preset_reach_the_networks():
    replaced = dict(map(preset_key, ["fmap_base=128", "fmap_max=20", "r1_gamma=0", "mbstd_features=0"]))
    steps = Iterations("tiny", "none", 16, 3, 0, batch=4, device=CPU, replaced=replaced).trainer
    assert [block.conv1.weight.shape[0] for block in steps.G.blocks] == [20, 20, 16]
    assert steps.backbone.d_reg_interval == 0


def test_a_key_without_a_value_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="'fmap_max' is not KEY=VALUE"):
        preset_key("fmap_max")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variable is one of glibc")
def test_kept_memory_is_not_fetched_from_the_kernel_again():
    """Ten buffers of 64 MiB one after the other: page faults for less than one of them instead of for all."""
    code = (
        "import resource as r\n"
        "for _ in range(10): b'x' * 2**26\n"
        "print(r.getrusage(r.RUSAGE_SELF).ru_minflt * r.getpagesize())"
    )
    fetched = [
        int(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
        for env in ({**os.environ, "GLIBC_TUNABLES": ""}, {**os.environ, **KEEP_MEMORY})
    ]
    assert fetched[0] > 10 * 2**26 > 5 * fetched[1]
