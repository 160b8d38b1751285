"""The workflow on a real SLURM of one node: pre-emption, a node's crash, and what a failed job says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.cluster_project import CONFIG
from tests.helpers.slurm_node import SlurmNode, slurm_node, wait_for, why_not

pytestmark = [pytest.mark.long, pytest.mark.skipif(why_not() is not None, reason=f"no SLURM: {why_not()}")]

# No accounting here, so squeue tells how jobs ended; poll sooner than a cluster would like.
ON_SLURM = ("--workflow-profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue")
SOON = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")


@pytest.fixture(scope="module")
def cluster():
    with ExitStack() as stack:
        try:
            node = stack.enter_context(slurm_node())
        except OSError as error:  # a time that ran out among them
            pytest.skip(f"SLURM's daemons do not come up on this machine: {error}")
        yield node


def job_of(cluster: SlurmNode, comment: str) -> str:
    """The number of the job whose comment, the plugin's name for it, begins so; empty where there is none."""
    lines = [line.split() for line in cluster("squeue", "-h", "--states=all", "-o", "%i %k").splitlines()]
    return next((number for number, name in lines if name.startswith(comment)), "")


def details(cluster: SlurmNode, job: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in cluster("scontrol", "show", "job", job).split() if "=" in word)


def start_now(cluster: SlurmNode, job: str) -> None:
    """SLURM lets requeued jobs wait two minutes; these start at once, among them `job`."""
    wait_for(lambda: details(cluster, job)["JobState"] == "PENDING", "the job to be requeued")
    for waiting in cluster("squeue", "-h", "--states=PENDING", "-o", "%i").split():
        cluster("scontrol", "update", f"JobId={waiting}", "StartTime=now")
    wait_for(lambda: details(cluster, job)["JobState"] == "RUNNING", "the requeued job to run")


def kimg(log: Path) -> list[float]:
    return [json.loads(line)["kimg"] for line in log.read_text().splitlines()] if log.exists() else []


def test_a_run_survives_preemption_and_a_crash_of_its_node_and_leaves_the_same_bytes(cluster, new_project):
    project = new_project()
    workflow = project.start(*ON_SLURM, *SOON, "--set-resources", "train:gpu=1", *CONFIG)
    try:
        wait_for(lambda: job_of(cluster, "rule_train") or workflow.poll() is not None, "the training job", 600)
        job = job_of(cluster, "rule_train")
        asked = details(cluster, job)
        assert asked["TresPerJob"] == "gres:gpu:1" and asked["Requeue"] == "1"
        assert asked["TimeLimit"] == "1-00:00:00" and asked["MinMemoryNode"] == "4000M"

        runs = project.folder / "results/smoke/runs/procedural-24"
        wait_for(lambda: list(runs.glob("*/train.jsonl")) and kimg(next(runs.glob("*/train.jsonl"))), "steps", 300)
        run = next(runs.iterdir())
        assert not list(run.glob("ckpt/*.pt"))
        cluster("sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
        wait_for(lambda: details(cluster, job)["Restarts"] == "1", "the pre-emption")
        wait_for(lambda: not cluster.job_processes(), "the job and its rival to end")
        (checkpoint,) = run.glob("ckpt/*.pt")
        stopped_at = int(checkpoint.name.split("-")[0]) / 1000
        assert 0 < stopped_at < 3.072

        start_now(cluster, job)
        wait_for(lambda: max(kimg(run / "train.jsonl")) > stopped_at + 0.2, "it to continue", 300)
        cluster.crash_node()
        cluster.reboot_node()
        start_now(cluster, job)

        said, _ = workflow.communicate(timeout=600)
        assert workflow.returncode == 0, said
        assert int(details(cluster, job)["Restarts"]) >= 2
    finally:
        if workflow.poll() is None:
            workflow.kill()
            print(workflow.communicate()[0])

    # One job for the data, one for the reference, one for training, one for measuring; the rest ran where it was asked.
    assert set(cluster("squeue", "-h", "--states=all", "-p", "main", "-o", "%k").splitlines()) == {
        "rule_data_prepare_subset",
        "rule_reference_features_wildcards_procedural_16_full_efficientnet_lite0",
        f"rule_train_wildcards_procedural-24_{run.name}",
        f"rule_measure_wildcards_procedural-24_{run.name}_proxy",
    }
    assert (project.folder / "results/smoke/page/index.html").exists()

    undisturbed = project.folder / "undisturbed"
    data = {"--data": "data/procedural-16.npy", "--subset": "subsets/procedural-16-24-s0.json"}
    options = [word for name, file in data.items() for word in (name, f"resources/{file}")]
    subprocess.run(
        [sys.executable, "-m", "leangan", "train", "--spec", run / "spec.json", "--run-dir", undisturbed, *options]
        + ["--tick-kimg", "0.128"],
        cwd=project.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    snapshots = sorted(file.name for file in (undisturbed / "snapshots").iterdir())
    assert snapshots == ["000001.536.safetensors", "000003.072.safetensors"]
    for name in snapshots:
        assert (run / "snapshots" / name).read_bytes() == (undisturbed / "snapshots" / name).read_bytes()
    assert kimg(run / "train.jsonl") == kimg(undisturbed / "train.jsonl")


def test_a_failed_job_is_tried_again_and_its_logs_are_named_and_shown(cluster, new_project):
    project = new_project()
    (project.folder / "broken").mkdir()
    (project.folder / "broken/a.png").write_bytes(b"no image")
    config = (*CONFIG, "datasets={broken: {path: broken, resolution: 16}}")
    started = time.time()
    target = "resources/data/broken-16.npy"
    code, said = project.finish(*ON_SLURM, *SOON, "--retries", "1", target, *config)
    assert code != 0 and not (project.folder / target).exists()
    assert "broken/a.png" in said, "the job's own log"
    assert "resources/logs/prepare-broken-16.log" in said and ".snakemake/slurm_logs/" in said
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(started))
    ended = [
        state
        for submitted, state, name in map(
            str.split, cluster("squeue", "-h", "--states=all", "-o", "%V %T %k").splitlines()
        )
        if submitted >= since and name.startswith("rule_")
    ]
    assert ended == ["FAILED", "FAILED"]
