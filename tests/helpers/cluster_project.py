"""A copy of the project with one artefact of one run, for workflows that run elsewhere than on this machine's cores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from leangan.core.project import ROOT

ARTEFACT = {
    "title": "One run",
    "paper": "none",
    "grid": {"dataset": ["procedural"], "resolution": [16], "images": [24], "preset": ["tiny"], "method": ["ada"]},
    "protocol": "proxy",
    "layout": {"metrics": ["fd"]},
    "figures": ["curves"],
}
CONFIG = ("--config", "scale=smoke", "artefacts=[one]")


class Project:
    """A tree of its own, whose Snakemake can be started and waited for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns(
            ".venv", ".git", ".snakemake", "__pycache__", "resources", "demo", "smoke", "hours", ".*_cache"
        )
        shutil.copytree(ROOT, folder, ignore=ignored)
        (folder / "config/artefacts/one.yaml").write_text(yaml.safe_dump(ARTEFACT))
        scales = yaml.safe_load((folder / "config/scales.yaml").read_text())
        scales["smoke"] |= {"kimg": 3.072, "snapshot_kimg": 1.536}
        (folder / "config/scales.yaml").write_text(yaml.safe_dump(scales))

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen:
        command = [Path(sys.executable).with_name("snakemake"), *arguments]
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *arguments: object, **environment: str) -> tuple[int, str]:
        """(exit code, what was said) of a Snakemake that ran to its end."""
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=600)
        return process.returncode, said
