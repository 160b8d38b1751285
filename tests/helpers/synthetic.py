"""A made-up results folder: the runs of the artefact demo x 8 snapshots with curves, logs and samples, no training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leangan.core.schemas import parse
from leangan.core.spec import RunSpec, snapshot_name
from leangan.core.yaml_files import read
from leangan.metrics.families import metric_name
from leangan.results.collect import main as collect
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.config import artefact, configured
from leangan.runs.grid import expand
from leangan.runs.row import Row
from leangan.runs.rows import identity, line_of

SCALE = "paper"  # the scale with several seeds
CONFIG = configured(scale=SCALE, methods=[], datasets={}, images=[])
METHODS = {"none": "baseline", "diffaugment-tc": "DiffAugment", "da": "DA", "ada": "ADA"}


def with_title(spec: RunSpec) -> RunSpec:
    """The spec with the title of METHODS, or with its method's name."""
    title = METHODS.get(spec.method, spec.method)
    return dataclasses.replace(spec, labels=dataclasses.replace(spec.labels, title=title))


SPECS = [with_title(spec) for spec in expand("demo", CONFIG)]
SEEDS = sorted({spec.seed for spec in SPECS})
KIMG = [2.5 * i for i in range(1, 9)]
PX = 32
ARTEFACT = {
    "title": "Few images, with and without augmentation",
    "grid": read("config/artefacts/demo.yaml")["grid"],
    "protocol": "proxy",
    "layout": {"metrics": ["fd", "precision", "recall"]},
}


def content_of(**changes: Any) -> ArtefactConfig:
    """ARTEFACT with these keys replaced."""
    return parse(ArtefactConfig, {**ARTEFACT, **changes}, "config/artefacts/demo.yaml")


def with_figures(*names: str) -> Callable[[str], ArtefactConfig]:
    """What `artefact` gives, with these figures in place of its own."""
    return lambda name: artefact(name).model_copy(update={"figures": dict.fromkeys(names)})


def spec(method: str, seed: int = 0, preset: str | None = None, **changes: Any) -> RunSpec:
    """A run of the artefact demo, or one like it of another method, seed, preset's name or field."""
    planned = {each.method: each for each in SPECS}
    like = planned.get(method) or dataclasses.replace(SPECS[0], plugins=[(method, {})])
    labels = dataclasses.replace(like.labels, method=method, preset=preset or like.preset)
    return with_title(dataclasses.replace(like, **{"seed": seed, "labels": labels, **changes}))


def row(
    method: str,
    seed: int,
    family: str,
    kimg: float | None,
    value: float | None,
    of: RunSpec | None = None,
    protocol: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    **changes: Any,
) -> Row:
    """One row of the run `of` or the one that `spec` gives.

    `changes` replace fields; `protocol` and `provenance` are fields of these that are not the usual ones.
    """
    content = {
        **identity(of or spec(method, seed), METHODS.get(method, method)),
        "kimg": kimg,
        "family": family,
        "value": value,
        "spread": None,
        "n_real": 2624,
        "n_fake": 1000,
        "reference": "full",
        "proxy": True,
        "protocol": {
            "name": "proxy",
            "extractor": "efficientnet_lite0",
            "extractor_sha256": "ab" * 32,
            "input_px": 96,
            "resize": "bicubic",
            "library": "torch-fidelity 0.4.0",
            **(protocol or {}),
        },
        "provenance": {
            "commit": "0" * 40,
            "dirty": False,
            "torch": "2.15.0",
            "device": "a processor",
            "seconds": 321.5,
            "images_per_s": 62.2,
            "time_utc": "2026-01-02T03:04:05+00:00",
            **(provenance or {}),
        },
        "status": "done",
        "reason": None,
        "source": "measured",
        **changes,
    }
    stated = content["n_fake"], content["reference"], content["protocol"]["extractor"]
    return parse(Row, {"metric": metric_name(family, *stated) if family else "", **content}, "a made-up row")


def failed_row(method: str, seed: int, status: str, reason: str, **changes: Any) -> Row:
    """The row of a run without a number."""
    return row(method, seed, "", None, None, status=status, reason=reason, **changes)


def lacking_row(method: str, seed: int, family: str, kimg: float, reason: str, status: str = "skip") -> Row:
    """The row of a metric that has no value for a snapshot."""
    return row(method, seed, family, kimg, None, status=status, reason=reason)


def distance(method: str, seed: int, kimg: float) -> float:
    """Falls, then rises again for the baseline, which overfits."""
    floor, overfits = {"none": (150, 6), "diffaugment-tc": (95, 0.5), "da": (110, 1), "ada": (105, 0.2)}[method]
    trend = floor + 260 * np.exp(-kimg / 3.5) + overfits * max(0, kimg - 7)
    return trend + 6 * seed + 3 * np.sin(kimg + seed)


def measured_rows() -> list[Row]:
    """All rows of the made-up experiment."""
    rows = []
    for method in METHODS:
        for seed in SEEDS:
            for kimg in KIMG:
                fd = distance(method, seed, kimg)
                rows.append(row(method, seed, "fd", kimg, fd))
                rows.append(row(method, seed, "kd", kimg, fd / 800, spread=0.01))
                rows.append(row(method, seed, "precision", kimg, min(0.9, 60 / fd)))
                rows.append(row(method, seed, "recall", kimg, min(0.5, 20 / fd)))
    return rows


def write_rows(folder: Path, rows: list[Row]) -> list[Path]:
    """One JSONL file per run and protocol, as measuring leaves them."""
    files: dict[Path, list[str]] = {}
    for content in rows:
        path = folder / "rows" / content.run / f"{content.protocol.name}.jsonl"
        files.setdefault(path, []).append(line_of(content))
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return list(files)


def write_spec(folder: Path, spec: RunSpec, *others: RunSpec, config: dict[str, Any] | None = None) -> Path:
    """rows/<run>/spec.json as the workflow writes it, with the labels of `others` as well."""
    path = folder / "rows" / spec.run_id / "spec.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [each.labels for each in (spec, *others)]
    path.write_text(spec.to_json(labels, config or {"scale": folder.name}))
    return path


def write_run(folder: Path, method: str, seed: int) -> None:
    """train.jsonl and the sample grids of one run."""
    rng = np.random.default_rng([seed, *method.encode()])
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(1, 41):
        kimg = i * 0.5
        leak = {"none": 0.25, "diffaugment-tc": 0.06, "da": 0.04, "ada": 0.05}[method] * kimg
        noise = rng.normal(0, 0.06, 4)
        line = {
            "cur_nimg": int(kimg * 1000),
            "kimg": kimg,
            "loss_g": 1.2 + noise[3],
            "loss_d": 0.9 - 0.02 * leak,
            "r1": 0.1,
            "d_real": 0.3 + leak + noise[0],
            "d_fake": -0.3 - leak + noise[1],
            "d_valid": 0.25 - 0.5 * leak + noise[2] if method != "da" else None,
            "images_per_s": 60.0,
            "seconds": kimg * 16,
        }
        if method in ("da", "ada"):
            line["p"] = 0.3 if method == "da" else min(0.45, 0.03 * kimg)
            line["r_t"] = float(np.clip(0.2 + 0.05 * kimg + noise[3] / 2, -1, 0.66))
        lines.append(json.dumps(line))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    for kimg in KIMG:
        write_grid(
            folder / "samples" / f"{snapshot_name(round(kimg * 1000))}.png",
            images(rng, 72, blur=max(1, int(6 - kimg / 3))),
        )
    write_grid(folder / "samples" / "reals.png", images(np.random.default_rng(0), 72))


def images(rng: np.random.Generator, count: int, blur: int = 1) -> np.ndarray:
    """Grey cells with dark bars: uint8 [count, 1, PX, PX]."""
    x = np.tile(np.linspace(150, 190, PX), (count, PX, 1)) + rng.normal(0, 8, (count, PX, PX))
    for cell in x:
        for bar in rng.integers(4, PX - 4, 3):
            cell[:, bar : bar + blur] -= 70 / blur
    return np.clip(x, 0, 255).astype(np.uint8)[:, None]


def write_grid(path: Path, cells: np.ndarray, columns: int = 12) -> None:
    """Images [N, 1, PX, PX] side by side as one PNG."""
    grid = cells[:, 0].reshape(-1, columns, PX, PX).transpose(0, 2, 1, 3).reshape(-1, columns * PX)
    Image.fromarray(grid).save(path)


def write_demo(folder: Path, extra: list[Row] = ()) -> Path:
    """results/<scale> with rows, their specs and results.csv. Returns `folder`."""
    write_rows(folder, [*measured_rows(), *extra])
    for each in SPECS:
        write_spec(folder, each)
        write_run(folder / "rows" / each.run_id, each.method, each.seed)
    collect(["--rows", str(folder / "rows"), "--out", str(folder / "results.csv")])
    return folder
