"""The suite's commands on small inputs: how each is called, and what it leaves that must not depend on accidents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from leangan.training import run


@dataclass(frozen=True)
class Inputs:
    """Files that commands only read: `folder` holds images/ and spec.json, `results` rows and results.csv."""

    folder: Path
    data: Path
    subset: Path
    results: Path
    config: str

    @property
    def spec(self) -> Path:
        return self.folder / "spec.json"

    def trained(self) -> Path:
        """A run directory with snapshots, made once."""
        run_dir = self.folder / "run"
        if not (run_dir / "train.json").exists():
            assert run.main([str(option) for option in train_options(self, run_dir)]) == 0
        return run_dir


@dataclass(frozen=True)
class Command:
    """`leangan <name>` with `options(inputs, out)` writes into the folder `out`, which `begin` fills first."""

    name: str
    options: Callable[[Inputs, Path], list[Any]]
    begin: Callable[[Inputs, Path], None] = lambda inputs, out: None


def prepare_options(inputs: Inputs, out: Path) -> list[Any]:
    return ["--dataset", "mine", "--path", inputs.folder / "images", "--jobs", 2, "--out", out / "mine-64.npy"]


def train_options(inputs: Inputs, out: Path) -> list[Any]:
    files = ["--spec", inputs.spec, "--data", inputs.data, "--subset", inputs.subset, "--run-dir", out]
    return [*files, "--device", "cpu", "--tick-kimg", 0.064, "--checkpoint-seconds", 0.05]


def features_options(inputs: Inputs, out: Path) -> list[Any]:
    network = ["--extractor", "efficientnet_lite0", "--device", "cpu"]
    return [*network, "--run-dir", inputs.trained(), "--n-fake", 48, "--out", out / "features-proxy.json"]


def collect_options(inputs: Inputs, out: Path) -> list[Any]:
    return ["--rows", inputs.results / "rows", "--out", out / "results.csv"]


def render_options(inputs: Inputs, out: Path) -> list[Any]:
    return ["--artefacts", "demo", "--config", inputs.config, "--results", out]


def results_without_pictures(inputs: Inputs, out: Path) -> None:
    shutil.copy(inputs.results / "results.csv", out)
    (out / "rows").symlink_to(inputs.results / "rows")


COMMANDS = {
    "prepare": Command("prepare", prepare_options),
    "train": Command("train", train_options),
    "features": Command("features", features_options),
    "collect": Command("collect", collect_options),
    "render": Command("render", render_options, results_without_pictures),
}


def left_by(out: Path) -> dict[str, Any]:
    """The files in `out` under their final names, without checkpoints and without wall times."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        if path.is_file() and not path.name.startswith(".") and name.parts[0] not in ("ckpt", "rows"):
            found[str(name)] = content(path)
    return found


def content(path: Path) -> Any:
    """A file's bytes; of a log, a result or features all but the times."""
    if path.name == "train.jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [{key: line[key] for key in line if key not in ("images_per_s", "seconds")} for line in lines]
    if path.name == "train.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "provenance"}
    if path.suffix == ".safetensors" and path.parent.name.startswith("features"):
        with safe_open(str(path), framework="np") as file:
            meta = {**json.loads(file.metadata()["meta"]), "seconds": None}
            return meta, {name: file.get_tensor(name).tobytes() for name in file.keys()}
    return path.read_bytes()
