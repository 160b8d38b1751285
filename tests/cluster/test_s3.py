"""Two machines that share a leaderboard through an S3 server: both end with all rows, nothing is overwritten."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leangan.core.project import ROOT
from leangan.core.spec import SCHEME
from leangan.results import collect

BUCKET = "s3://lab/leangan"
ROW = {
    **{"scheme": SCHEME, "setting": "ab" * 32},
    **{"dataset": "elpv", "images": 32, "resolution": 32, "conditional": False, "backbone": "stylegan2", "seed": 0},
    **{"preset": "tiny", "method": "none", "method_title": "none", "total_kimg": 24, "published_kimg": None},
    **{"kimg": 6.0, "family": "fd", "metric": "fd1k_full_efficientnet_lite0", "spread": None},
    **{"n_real": 2624, "n_fake": 1000, "reference": "full"},
    **{"proxy": True, "status": "done", "reason": None, "source": "measured"},
    "protocol": dict.fromkeys(["extractor_sha256", "input_px", "resize", "library"])
    | {"name": "proxy", "extractor": "efficientnet_lite0"},
    "provenance": dict.fromkeys(["commit", "dirty", "torch", "device", "seconds", "images_per_s", "time_utc"]),
}

pytestmark = pytest.mark.long


def row(run: str, value: float) -> str:
    return json.dumps({**ROW, "run": run, "value": value}) + "\n"


class Machine:
    """A tree with what sharing needs, and its calls."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        for name in ("workflow/share.smk", "config/config.yaml", "profiles/default/config.yaml"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    def write(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def share(self, direction: str, *config: str) -> subprocess.CompletedProcess:
        command = [Path(sys.executable).with_name("snakemake"), "-s", "workflow/share.smk", "--cores", "2", direction]
        command += ["--storage-s3-endpoint-url", self.address, "--config", "scale=paper", *config]
        keys = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "someone", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret"}
        return subprocess.run(
            list(map(str, command)), cwd=self.folder, env={**os.environ, **keys}, capture_output=True, text=True
        )

    def files(self, folder: str) -> dict[str, bytes]:
        found = (path for path in (self.folder / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


def test_two_machines_end_with_the_same_rows_and_lose_none(tmp_path, server):
    ours, theirs = Machine(tmp_path / "a", server), Machine(tmp_path / "b", server)
    rows = "results/paper/rows/elpv-32"
    ours.write(f"{rows}/none-s0-11111111/proxy.jsonl", row("elpv-32/none-s0-11111111", 50.0))
    ours.write(f"{rows}/both-s0-33333333/proxy.jsonl", row("elpv-32/both-s0-33333333", 30.0))
    ours.write(f"{rows}/none-s0-11111111/samples/0006.000.png", bytes(range(256)))
    ours.write(f"{rows}/none-s0-11111111/.proxy.jsonl.x7", "half a row")
    theirs.write(f"{rows}/ada-s0-22222222/proxy.jsonl", row("elpv-32/ada-s0-22222222", 40.0))
    theirs.write(f"{rows}/both-s0-33333333/proxy.jsonl", row("elpv-32/both-s0-33333333", 31.0))
    ours.write("resources/data/elpv-32.npy", b"\x93NUMPY" + bytes(1000))
    mine, others = ours.files("results"), theirs.files("results")

    for machine, direction in ((ours, "push"), (theirs, "push"), (ours, "pull"), (theirs, "pull")):
        done = machine.share(direction, f"bucket={BUCKET}")
        assert done.returncode == 0, done.stdout + done.stderr

    del mine[f"{rows}/none-s0-11111111/.proxy.jsonl.x7"]
    union = {**others, **mine}
    assert {**ours.files("results"), **mine} == ours.files("results"), "own files are as they were"
    assert {**theirs.files("results"), **others} == theirs.files("results")
    assert set(theirs.files("results")) == set(union)
    values = {}
    for machine in (ours, theirs):
        collected = collect.collect([machine.folder / "results/paper/rows"])
        values[machine] = {row.run: row.value for row in collected}
    shared = {"elpv-32/none-s0-11111111": 50.0, "elpv-32/ada-s0-22222222": 40.0}
    assert values[ours] == {**shared, "elpv-32/both-s0-33333333": 30.0}
    assert values[theirs] == {**shared, "elpv-32/both-s0-33333333": 31.0}

    # A third machine gets each run from the machine that was first, and the data when it asks for it.
    third = Machine(tmp_path / "c", server)
    for machine, direction, what in ((third, "pull", "rows"), (ours, "push", "data"), (third, "pull", "data")):
        done = machine.share(direction, f"bucket={BUCKET}", f"what={what}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert third.files("results") == union
    assert third.files("resources/data") == ours.files("resources/data")


@pytest.mark.parametrize("config", [("bucket=lab/leangan",), (f"bucket={BUCKET}", "what=everything")])
def test_a_wrong_setting_is_named(tmp_path, config):
    done = Machine(tmp_path / "a", "http://127.0.0.1:9").share("push", *config)
    assert done.returncode != 0 and config[-1].split("=")[1] in done.stdout + done.stderr
    assert "--config" in done.stdout + done.stderr
