"""Jobs of real processes take their own GPUs, or places on shared ones, wait for them and leave them when they end."""

from __future__ import annotations

import select
import subprocess
from collections import Counter

import pytest

from leangan.core.visible_gpus import named_by_environment, usable

A, B, C = (f"GPU-{digit * 8}-5b1d-90b1-96d4-e66fa77d3ddc" for digit in "abc")
A1, A2, C1 = (f"MIG-{digit * 8}-d1f2-5f0a-8f5b-0812b597ae69" for digit in "123")

MIXED = f"""\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: {A})
  MIG 3g.40gb     Device  0: (UUID: {A1})
  MIG 1c.3g.40gb  Device  1: (UUID: {A2})
GPU 1: NVIDIA GeForce RTX 3090 (UUID: {B})
GPU 2: NVIDIA A100-SXM4-80GB (UUID: {C})
  MIG 7g.80gb     Device  0: (UUID: {C1})
"""
TWO = f"GPU 0: NVIDIA A100-SXM4-80GB (UUID: {A})\nGPU 1: NVIDIA A100-SXM4-80GB (UUID: {B})\n"
ONE = f"GPU 0: NVIDIA A100-SXM4-80GB (UUID: {A})\n"


def gpus_of(job: subprocess.Popen) -> list[str]:
    """The GPUs that a job says it has, as soon as it runs."""
    assert select.select([job.stdout], [], [], 30)[0], "the job does not start"
    line = job.stdout.readline().strip()
    assert line, job.stderr.read()
    return line.split(",")


def waits(*jobs: subprocess.Popen) -> bool:
    """Whether none of the jobs starts within a second."""
    return not select.select([job.stdout for job in jobs], [], [], 1.2)[0]


def end(job: subprocess.Popen) -> None:
    job.communicate(timeout=30)
    assert job.returncode == 0


# ---- Which GPUs are there ----


@pytest.mark.parametrize(
    "listing, expected",
    [
        (MIXED, [A1, A2, B, C1]),
        (TWO, [A, B]),
        # Drivers before 470.
        (f"GPU 0: A100-SXM4-40GB (UUID: {A})\n  MIG 1g.5gb Device 0: (UUID: MIG-{A}/7/0)\n", [f"MIG-{A}/7/0"]),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake sure that it runs.\n",
            [],
        ),
        ("No devices were found\n", []),
        (f"Unable to determine the device handle for gpu 0000:41:00.0: Unknown Error\nGPU 1: T4 (UUID: {B})\n", [B]),
        ("", []),
    ],
)
def test_cards_without_instances_and_the_instances_of_the_others_are_usable(listing, expected):
    assert usable(listing) == expected


@pytest.mark.parametrize(
    "text, expected",
    [("2,0", ["2", "0"]), (f"{A},{A1}", [A, A1]), ("", []), ("-1", []), ("NoDevFiles", []), ("0,-1,1", ["0"])],
)
def test_cuda_visible_devices_is_read_as_cuda_does(monkeypatch, text, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    assert named_by_environment() == expected


def test_jobs_take_cards_and_instances_by_their_uuids(start):
    first = [start(1, listing=MIXED) for _ in range(4)]
    assert sorted(gpu for job in first for gpu in gpus_of(job)) == sorted([A1, A2, B, C1])
    fifth = start(1, listing=MIXED)
    assert waits(fifth)
    first[2].kill()
    assert len(gpus_of(fifth)) == 1


def test_a_job_on_several_gpus_takes_no_instances(start):
    cards = MIXED + f"GPU 3: NVIDIA GeForce RTX 3090 (UUID: {A}0)\n"
    assert sorted(gpus_of(start(2, listing=cards))) == sorted([B, f"{A}0"])


def test_two_calls_share_no_only_gpu(start):
    """Its UUID is the same for both, unlike a number that a scheduler gives."""
    first, second = start(1, listing=ONE), start(1, listing=ONE)
    ready, _, _ = select.select([first.stdout, second.stdout], [], [], 30)
    one, other = (first, second) if first.stdout in ready else (second, first)
    assert gpus_of(one) == [A] and waits(other)
    end(one)
    assert gpus_of(other) == [A]


# ---- Whole GPUs ----


def test_jobs_side_by_side_have_different_gpus_and_wait_for_free_ones(start):
    first, second = start(2, "0,1,2,3,4"), start(2, "0,1,2,3,4")
    theirs = [set(gpus_of(job)) for job in (first, second)]
    assert len(theirs[0]) == len(theirs[1]) == 2 and not theirs[0] & theirs[1]
    third = start(2, "0,1,2,3,4")
    assert waits(third), "one GPU is free, it asked for two"
    first.kill()
    given = set(gpus_of(third))
    assert len(given) == 2 and not given & theirs[1]


@pytest.mark.parametrize(
    "places, visible, listing",
    [(1, "0", TWO), (2, "4,7", TWO), (0, "0,1", TWO), (3, "0,1", TWO), (0, None, TWO), (3, None, TWO), (1, None, "")],
)
def test_a_job_that_was_given_its_gpus_is_left_alone(start, places, visible, listing):
    """By SLURM, say, whose jobs on one machine may all see their GPU as number 0. Fewer than it needs torch reports."""
    jobs = [start(places, visible, listing=listing) for _ in range(2)]
    assert {job.stdout.readline().strip() for job in jobs} == {str(visible)}


def test_jobs_that_each_have_one_gpu_and_want_two_come_one_after_the_other(start):
    holders = [start(1, listing=TWO) for _ in range(2)]
    assert {gpu for job in holders for gpu in gpus_of(job)} == {A, B}
    pair = [start(2, listing=TWO) for _ in range(2)]
    assert waits(*pair)
    for job in holders:
        end(job)
    (ready, *_), _, _ = select.select([job.stdout for job in pair], [], [], 30)
    one, other = sorted(pair, key=lambda job: job.stdout is not ready)
    assert sorted(gpus_of(one)) == [A, B] and waits(other)
    end(one)
    assert sorted(gpus_of(other)) == [A, B]


def test_a_job_that_needs_less_does_not_pass_one_that_waits_for_several(start):
    first = start(1, listing=TWO)
    gpus_of(first)
    several = start(2, listing=TWO)
    assert "waiting for 2 of the GPUs" in several.stderr.readline()
    later = start(1, listing=TWO)
    assert waits(later), "a GPU is free, but the other job came first"
    end(first)
    assert sorted(gpus_of(several)) == [A, B] and waits(later)
    end(several)
    assert len(gpus_of(later)) == 1


def test_jobs_with_other_gpus_do_not_wait_in_line(start):
    gpus_of(start(2, "0,1,2"))
    assert waits(start(2, "0,1,2"))
    assert gpus_of(start(1, "3,4")) == ["3"]


# ---- Places on shared GPUs ----


def test_places_are_shared_out_exhausted_and_freed_by_kill(start):
    jobs = [start(1, listing=TWO, runs_per_gpu=2) for _ in range(2)]
    assert {gpu for job in jobs for gpu in gpus_of(job)} == {A, B}, "the emptiest card comes first"
    more = [start(1, listing=TWO, runs_per_gpu=2) for _ in range(2)]
    theirs = [*map(gpus_of, more)]
    assert Counter(gpu for gpus in theirs for gpu in gpus) == {A: 1, B: 1}
    fifth = start(1, listing=TWO, runs_per_gpu=2)
    assert waits(fifth)
    more[0].kill()
    assert gpus_of(fifth) == theirs[0]


@pytest.mark.parametrize("visible, listing", [("0", ""), (None, ONE)])
def test_an_only_gpu_has_no_more_jobs_than_places(start, visible, listing):
    jobs = [start(1, visible, 2, listing=listing) for _ in range(2)]
    assert [gpus_of(job) for job in jobs] == 2 * [[visible or A]]
    third = start(1, visible, 2, listing=listing)
    assert waits(third)
    end(jobs[1])
    assert gpus_of(third) == [visible or A]


def test_a_job_on_whole_gpus_has_them_to_itself(start):
    shared = start(1, listing=TWO, runs_per_gpu=2)
    (its,) = gpus_of(shared)
    whole = start(2, listing=TWO, runs_per_gpu=2)  # two places: one GPU
    assert gpus_of(whole) == [{A: B, B: A}[its]]
    assert gpus_of(start(1, listing=TWO, runs_per_gpu=2)) == [its]
    both = start(4, listing=TWO, runs_per_gpu=2)
    end(whole)
    assert waits(both), "two jobs share the other GPU"


def test_a_job_that_shares_with_nobody_takes_no_gpu_that_others_share(start):
    """Two calls of the workflow, each with its own runs_per_gpu."""
    (shared,) = gpus_of(start(1, listing=TWO, runs_per_gpu=3))
    (own,) = gpus_of(start(1, listing=TWO, runs_per_gpu=1))
    assert {shared, own} == {A, B}
    waiting = start(1, listing=TWO, runs_per_gpu=1)
    assert waits(waiting), "a place is free, but no GPU"
    waiting.kill()
    assert gpus_of(start(1, listing=TWO, runs_per_gpu=3)) == [shared]


def test_many_jobs_at_once_never_exceed_the_places(launch, tmp_path):
    text = """
import os, time
def note(change):
    with open("notes", "a") as file:
        file.write(f"{change}1 {os.environ['CUDA_VISIBLE_DEVICES']}\\n")
note("+"); time.sleep(0.3); note("-")
"""
    jobs = [launch(["--places", places, "--runs-per-gpu", 2, "job"], text, listing=TWO) for places in 3 * (1, 4, 1)]
    assert [job.wait(60) for job in jobs] == 9 * [0]
    running: Counter[str] = Counter()
    for line in (tmp_path / "notes").read_text().splitlines():
        change, devices = line.split()
        whole = 2 if "," in devices else 1
        running.update({device: int(change) * whole for device in devices.split(",")})
        assert max(running.values()) <= 2
    assert not any(running.values())


@pytest.mark.parametrize(
    "options, words",
    [
        (["--places", 3, "--runs-per-gpu", 2], "--places is 3, must be 1 or a multiple of --runs-per-gpu, 2"),
        (["--runs-per-gpu", 0], "--runs-per-gpu is 0, must be at least 1"),
        (["--places", 2, "--runs-per-gpu", 2, "--ranks", 2], "2 processes need a GPU each, the job has 1"),
        (["--places", 1, "--ranks", 4], "raise N of --resources gpu=N, or lower devices_per_run"),
    ],
)
def test_places_that_cannot_be_are_one_line(launch, options, words):
    job = launch([*options, "job"], listing=TWO)
    assert job.wait(30) == 1
    (line,) = job.stderr.read().splitlines()
    assert line.startswith("error: ") and words in line
