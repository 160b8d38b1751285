"""Two ranks train what one process trains, up to rounding; they stop, fail and continue together."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Timer
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from filelock import FileLock

from leangan.core import distributed, ranks
from leangan.core.distributed import LostRank
from leangan.core.project import ROOT
from leangan.metrics import extraction
from leangan.metrics.base import Features
from leangan.training import checkpoint, log, loop
from leangan.training import reals as reals_module
from leangan.training import run as command
from leangan.training.loop import train
from leangan.training.reals import Reals
from tests.helpers import rank_worker
from tests.helpers.rank_processes import assert_close, exit_code, launch, tensors

CPU = torch.device("cpu")


def final_state(run_dir: Path) -> dict[str, torch.Tensor]:
    return tensors(checkpoint.load_latest(run_dir / "ckpt", CPU))


def reals(conditional: bool = False, mirror: bool = False, side: int = 16) -> dict:
    """Arguments of Reals: 24 random images to train on and 16 held out, of two classes where conditional."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 3, side, side), dtype=np.uint8), rng.integers(0, 2, 40)
    train, validation = list(range(24)), list(range(24, 40))
    return {
        **{"images": images, "labels": labels if conditional else None, "classes": 2},
        **{"train": train, "validation": validation, "mirror": mirror, "seed": 0},
    }


@pytest.fixture(scope="module")
def runs(make_spec) -> dict[str, tuple]:
    """(spec, arguments of Reals) by name: what must be exact, what must diverge, what must be refused."""
    full = {"style_mixing": 0.9, "pl_weight": 2.0, "pl_interval": 4, "noise_inputs": True}

    small = {"z_dim": 8, "g_maps": [16, 16, 8], "d_maps": [8, 16, 16], "d_down": 2, "eval_batch": 16, "batch": 8}
    narrow = {"z_dim": 8, "g_width": 2, "d_width": 1}

    def spec(method: str = "none", hyper: dict | None = None, **changes):
        return make_spec(method, hyper={**full, **(hyper or {})}, **{"total_kimg": 0.096, **changes})

    fast = {"tune_kimg": 0.2, "interval": 2, "p": 0.5}
    ada = ("ada", fast)
    return {
        "conditional": (spec(hyper={"d_steps": 2}, conditional=True), reals(conditional=True, mirror=True)),
        "diffaugment": (spec("diffaugment"), reals()),
        "ada": (spec(plugins=[ada], conditional=True), reals(conditional=True)),
        "ada-double": (spec(plugins=[ada], total_kimg=0.2, conditional=True), reals(conditional=True)),
        "biggan-double": (
            make_spec("diffaugment", of="tiny-biggan", hyper=small, conditional=True, total_kimg=0.4),
            reals(conditional=True),
        ),
        "fastgan-double": (
            make_spec("fastgan", of="tiny-fastgan", resolution=32, hyper=narrow, conditional=True, total_kimg=0.064),
            reals(conditional=True, side=32),
        ),
        "continued": (spec(plugins=[ada], total_kimg=0.064), reals()),
        "ada-bcr-double": (spec(plugins=[ada, ("bcr", {"reach": 1 / 8})], total_kimg=0.064), reals()),
        "diverging": (spec(hyper={"lr_d": 1e30, "lr_g": 1e30}), reals()),
        "odd-batch": (spec(hyper={"batch": 9, "mbstd_group": 3}), reals()),
        "groups": (spec(hyper={"mbstd_group": 8}), reals()),
        "path": (spec(hyper={"pl_batch_shrink": 8}), reals()),
    }


EXACT = [
    "conditional",
    "diffaugment",
    "ada",
    "ada-double",
    "biggan-double",
    "fastgan-double",
    "continued",
    "ada-bcr-double",
]


@pytest.fixture(scope="module")
def two_ranks(runs, tmp_path_factory) -> Path:
    """A folder with what each of two ranks left of each run; of `continued`, one process did the first half."""
    out = tmp_path_factory.mktemp("two-ranks")
    spec, arguments = runs["continued"]
    calls = iter(range(1, 100))
    half = train(spec, Reals(**arguments, device=CPU), out / "half", CPU, 0.032, 1e9, lambda: next(calls) > 4)
    assert half.status == "interrupted" and half.cur_nimg == 32
    for rank in (0, 1):
        shutil.copytree(out / "half", out / f"rank{rank}" / "continued")
    for rank, process in enumerate(launch(2, out / "errors", rank_worker.train_all, runs, out)):
        assert exit_code(process, 300) == 0, (out / "errors" / f"rank{rank}").read_text()
    return out


@pytest.mark.parametrize("name", EXACT)
def test_two_ranks_train_what_one_process_trains(runs, two_ranks, tmp_path, name):
    """R1, path length, style mixing, noise inputs, minibatch stddev, EMA and the log included; `continued` from one
    process's checkpoint, those in float64 over 25 iterations.

    BigGAN's biases before a norm have no gradient but rounding, of which Adam makes whole steps in float32. In float64
    they stay below 1e-8, and all the rest agrees to 1e-12.
    """
    spec, arguments = runs[name]
    with rank_worker.precision_of(name):
        assert train(spec, Reals(**arguments, device=CPU), tmp_path, CPU, 0.032, 1e9, lambda: False).status == "done"
    one, two = final_state(tmp_path), final_state(two_ranks / "rank0" / name)
    assert_close(one, two, *((1e-12, 1e-8) if name.endswith(rank_worker.DOUBLE) else ()))
    lines = [(folder / "train.jsonl").read_text().splitlines() for folder in (tmp_path, two_ranks / "rank0" / name)]
    for a, b in zip(*lines, strict=True):
        a, b = json.loads(a), json.loads(b)
        same = a.keys() - {"seconds", "images_per_s"}
        assert {k: b[k] for k in same} == pytest.approx({k: a[k] for k in same}, rel=1e-4, abs=1e-6)
    for key in one:
        if key.endswith("controller.p"):
            assert torch.equal(one[key], two[key]) and one[key.removesuffix("p") + "r"].isfinite(), "it never moved"


@pytest.mark.parametrize("name", EXACT)
def test_ranks_hold_the_same_bits(two_ranks, name):
    first, second = (final_state(two_ranks / rank / name) for rank in ("rank0", "rank1"))
    assert all(torch.equal(first[key], second[key]) for key in first if not first[key].isnan().any())


def test_ranks_diverge_and_refuse_together(two_ranks):
    first, second = (json.loads((two_ranks / f"{rank}.json").read_text()) for rank in ("rank0", "rank1"))
    assert first == second
    assert first["diverging"].startswith("diverged") and "not finite between" in first["diverging"]
    assert first["odd-batch"].startswith("ConfigError the batch of 9 images cannot be shared equally by 2 ranks")
    assert first["groups"].startswith("ConfigError the batch of 4 images on each of 2 ranks is not a multiple of the")
    assert first["path"].startswith("ConfigError the path-length batch of 1 images cannot be shared equally by 2 ranks")


@pytest.fixture
def as_rank(monkeypatch):
    """A function (rank, world) that makes this process believe to be that one."""

    def become(rank: int, world: int) -> None:
        for module in (ranks, distributed, reals_module, extraction, command):
            monkeypatch.setattr(module, "rank", lambda: rank)
            monkeypatch.setattr(module, "world_size", lambda: world)

    return become


def test_gradients_set_out_while_the_backward_pass_goes_on(as_rank, monkeypatch):
    """Two equal ranks: each exchange doubles what is sent, and the mean is what one process has."""
    as_rank(0, 2)
    monkeypatch.setattr(distributed, "BUCKET_BYTES", 4 * 8 * 8)
    layers = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(4)))
    first, missing = layers[0].weight, []

    def exchange(flat: torch.Tensor, async_op: bool):
        assert async_op
        missing.append(first.grad is None)
        flat.mul_(2)
        return Mock()

    monkeypatch.setattr(distributed.dist, "all_reduce", exchange)
    average = distributed.GradientAverage([*layers.parameters(), torch.nn.Parameter(torch.ones(3))])
    loss = layers(torch.randn(5, 8)).square().mean()
    wanted = torch.autograd.grad(loss, list(layers.parameters()), retain_graph=True)
    for _ in range(2):
        layers.zero_grad()
        loss.backward(retain_graph=True)
        average.finish()
        torch.testing.assert_close([param.grad for param in layers.parameters()], list(wanted))
    assert missing == 2 * [True, True, True, False]


@pytest.mark.parametrize(
    "error, becomes",
    [
        (RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:27"), LostRank),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), torch.AcceleratorError),
    ],
)
def test_an_exchange_that_fails_has_lost_a_rank_unless_the_own_gpu_failed(as_rank, monkeypatch, error, becomes):
    as_rank(0, 2)
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda flat, async_op: Mock(wait=Mock(side_effect=error)))
    weight = torch.nn.Parameter(torch.ones(2))
    average = distributed.GradientAverage([weight])
    weight.sum().backward()
    with pytest.raises(becomes):
        average.finish()


@pytest.mark.parametrize("name", ["cuda:1", "cpu"])
def test_a_rank_is_bound_to_its_gpu_and_waits_for_a_stated_time(monkeypatch, name):
    """`device_id` must be a GPU in torch 2.11; with it nccl connects at once, and to this GPU."""
    device, join = torch.device(name), Mock()
    monkeypatch.setattr(distributed.dist, "init_process_group", join)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", Mock())
    for variable in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(variable, "1")
    with distributed.joined_ranks(device):
        pass
    (backend,), options = join.call_args
    assert options == {"timeout": timedelta(minutes=30), "device_id": device if device.type == "cuda" else None}
    assert backend == ("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")


@pytest.fixture
def owner(tmp_path, monkeypatch) -> Iterator[FileLock]:
    """Another call that trains in tmp_path, for ten seconds at most."""
    monkeypatch.setattr(command, "TRY_SECONDS", 0.05)
    guard = FileLock(tmp_path / ".lock", thread_local=False)
    guard.acquire()
    end = Timer(10, guard.release)
    end.start()
    yield guard
    end.cancel()
    guard.release()


def test_ranks_agree_again_and_again_while_another_call_has_the_lock(as_rank, monkeypatch, tmp_path, caplog, owner):
    """A collective operation gives up after half an hour, the owner of a lock may train for days."""
    as_rank(0, 2)
    agreed = []

    def agree(held: bool, stopped: bool) -> list[bool]:
        agreed.append(held)
        if len(agreed) == 4:
            owner.release()
        return [held, stopped]

    monkeypatch.setattr(command, "on_any_rank", agree)
    with command.lock(tmp_path, lambda: False) as held:
        assert held and agreed == [False] * 4 + [True]
        assert (tmp_path / ".owner").read_text() == str(os.getpid())
        assert not owner_can_have_it(owner)
    assert owner_can_have_it(owner)
    assert caplog.text.count("waiting for it to end") == 1


def owner_can_have_it(guard: FileLock) -> bool:
    try:
        with guard.acquire(timeout=0):
            return True
    except TimeoutError:
        return False


def test_another_rank_waits_without_the_lock_until_rank_0_has_it(as_rank, monkeypatch, tmp_path):
    as_rank(1, 2)
    answers = iter([[False, False], [False, False], [True, False]])
    monkeypatch.setattr(command, "on_any_rank", lambda held, stopped: next(answers))
    with command.lock(tmp_path / "run", lambda: False) as held:
        assert held and not next(answers, None) and not (tmp_path / "run").exists()


def test_a_call_that_is_told_to_stop_waits_no_longer(tmp_path, owner):
    told = iter([False, False, True])
    with command.lock(tmp_path, lambda: next(told)) as held:
        assert not held and not (tmp_path / ".owner").exists()


def test_numbers_of_an_exchange_that_lost_a_rank_are_no_divergence(runs, tmp_path, monkeypatch):
    """An exchange that was broken off may leave anything."""
    exchanged = []
    monkeypatch.setattr(log.Tally, "means", lambda self: exchanged.append(self) or {"loss_g": float("nan")})

    def agree(*flags: bool) -> list[bool]:
        if exchanged:
            raise LostRank("gone")
        return list(flags)

    monkeypatch.setattr(loop, "on_any_rank", agree)
    spec, arguments = runs["ada"]
    with pytest.raises(LostRank):
        train(spec, Reals(**arguments, device=CPU), tmp_path, CPU, 0.032, 1e9, lambda: False)


def draws(n: int) -> list[torch.Tensor]:
    """Every way to draw for n images, in several layouts, and decisions for the whole batch in between."""
    torch.manual_seed(0)
    images = torch.zeros(n, 3, 8, 8)
    last = images.to(memory_format=torch.channels_last)
    drawn = [torch.rand(n, 4), torch.randn((n,)), torch.rand(size=(n, 2)), torch.randint(5, (n, 3))]
    drawn += [torch.randint(2, 9, (n,)), torch.randint(2, 9, size=(n,)), torch.randn(torch.Size([n, 5]))]
    drawn += [torch.randn_like(images), torch.randn_like(last), torch.rand_like(last[:, :1])]
    drawn += [torch.randint_like(images, 7), torch.randn_like(torch.zeros(4, n).T)]
    drawn += [torch.empty(n, 3).uniform_(-1, 1), torch.empty(n, 3).normal_(1, 2)]
    return [
        *drawn,
        torch.rand(()).expand(n),
        torch.randint(1, 9, ()).expand(n),
        torch.randn(n, 20, dtype=torch.float64),
    ]


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_draw_the_rows_of_one_process(as_rank, world):
    whole = draws(8)
    for rank in range(world):
        as_rank(rank, world)
        with distributed.drawing_own_rows():
            for mine, all_rows in zip(draws(8 // world), whole, strict=True):
                assert torch.equal(mine, all_rows[rank::world])


def test_all_ranks_draw_alike_what_is_drawn_for_the_whole_batch(as_rank):
    """Tensors with dimensions too, and permutations; what follows is drawn by rows again, as in one process."""

    def drawn(n: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        torch.manual_seed(0)
        with ranks.drawing_alike():
            alike = [torch.rand(6), torch.randn_like(torch.zeros(2, 3)), torch.randperm(5)]
        return alike, torch.rand(n, 2)

    whole, rows = drawn(8)
    for rank in range(2):
        as_rank(rank, 2)
        with distributed.drawing_own_rows():
            alike, own = drawn(4)
        assert all(torch.equal(a, b) for a, b in zip(alike, whole, strict=True))
        assert torch.equal(own, rows[rank::2])


def test_the_batches_of_all_ranks_are_that_of_one_process(as_rank):
    data = Reals(**reals(conditional=True, mirror=True), device=CPU)
    whole = [data.batch(16, 8), data.validation_batch(12, 8)]
    for rank in range(4):
        as_rank(rank, 4)
        for (x, c), (all_x, all_c) in zip([data.batch(16, 8), data.validation_batch(12, 8)], whole, strict=True):
            assert torch.equal(x, all_x[rank::4]) and torch.equal(c, all_c[rank::4])


def test_features_of_reals_are_shared_out_and_gathered(as_rank, monkeypatch):
    """10 images in batches of 4 on 4 ranks, the last of which has none; the messages are kept here."""
    images, mail = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), {}
    monkeypatch.setattr(extraction.dist, "recv", lambda x, source: x.copy_(mail[source]))
    for rank in (3, 2, 1, 0):
        as_rank(rank, 4)
        monkeypatch.setattr(extraction.dist, "send", lambda x, to, rank=rank: mail.update({rank: x}))
        whole = extraction.real_features(lambda x: Features(x.flatten(1)), images, None, 4, CPU, "")
    assert sorted(mail) == [1, 2] and whole.logits is None
    assert whole.pooled.flatten().tolist() == list(range(10))


@pytest.mark.parametrize("draw", [torch.randperm, torch.nn.Dropout(0.5), torch.bernoulli, torch.Tensor.bernoulli_])
def test_draws_that_cannot_be_shared_are_refused(as_rank, draw):
    as_rank(1, 2)
    with distributed.drawing_own_rows(), pytest.raises(RuntimeError, match="cannot be shared by 2 ranks.*torch.rand"):
        draw(8 if draw is torch.randperm else torch.ones(8))


def arguments(spec, prepared, run_dir: Path) -> list[str]:
    run_dir.mkdir(exist_ok=True)
    (run_dir / "spec.json").write_text(spec.to_json())
    options = ["--spec", run_dir / "spec.json", "--data", prepared[0], "--subset", prepared[1], "--run-dir", run_dir]
    options += ["--device", "cpu", "--tick-kimg", "0.064", "--checkpoint-seconds", "0.1"]
    return list(map(str, options))


def wait_for_checkpoint(run_dir: Path, alive: Callable[[], bool]) -> None:
    limit = time.monotonic() + 300
    while not list(run_dir.glob("ckpt/*.pt")):
        assert alive(), f"ended early, see {run_dir}"
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.01)


def test_sigterm_on_one_rank_stops_both_and_one_process_continues(make_spec, prepared, tmp_path):
    # Long enough to be stopped on the way. In float64, since 30 iterations amplify rounding.
    spec = make_spec("ada", total_kimg=0.24, snapshot_kimg=0.12)
    runs, errors = tmp_path / "runs", tmp_path / "errors"
    runs.mkdir()
    whole, cut = arguments(spec, prepared, runs / "whole"), arguments(spec, prepared, runs / "cut")
    first, second = launch(2, errors, rank_worker.run_in_double, cut)
    wait_for_checkpoint(runs / "cut", lambda: first.is_alive() and second.is_alive())
    os.kill(second.pid, signal.SIGTERM)
    assert [exit_code(process, 60) for process in (first, second)] == [128 + signal.SIGTERM] * 2
    assert "the same command continues it" in (errors / "rank0").read_text()
    assert not (errors / "rank1").read_text()
    with rank_worker.double_precision():
        assert command.main(whole) == command.main(cut) == 0
    assert_close(final_state(runs / "whole"), final_state(runs / "cut"), relative=1e-9, absolute=1e-12)
    names = [sorted(str(p.relative_to(d)) for p in d.rglob("*.*") if p.suffix != ".pt") for d in runs.iterdir()]
    assert names[0] == names[1]


def is_left_alone(message: str, run_dir: Path) -> bool:
    """Whether rank 1 says why it ended and how the run goes on, and nothing claims that the run is done."""
    lost, advice = "error: rank 1 lost contact with another", "continues from the last checkpoint"
    return lost in message and advice in message and not (run_dir / "train.json").exists()


def test_a_rank_that_dies_ends_the_others_with_a_message(make_spec, prepared, tmp_path):
    run_dir, errors = tmp_path / "run", tmp_path / "errors"
    options = arguments(make_spec(total_kimg=1000), prepared, run_dir)
    first, second = launch(2, errors, rank_worker.run_command, options)
    wait_for_checkpoint(run_dir, lambda: first.is_alive() and second.is_alive())
    first.kill()
    assert exit_code(second, 90) == 1
    assert is_left_alone((errors / "rank1").read_text(), run_dir)


@pytest.mark.long
def test_torchrun_ends_when_a_rank_dies(make_spec, prepared, tmp_path):
    run_dir = tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["-m", "leangan", "train", *arguments(make_spec(total_kimg=1000), prepared, run_dir)]
    torchrun = subprocess.Popen([*launcher, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_checkpoint(run_dir, lambda: torchrun.poll() is None)
        os.kill(int((run_dir / ".owner").read_text()), signal.SIGKILL)
        assert torchrun.wait(90) != 0
        message = torchrun.stderr.read()
    finally:
        torchrun.terminate()
    assert is_left_alone(message, run_dir)
