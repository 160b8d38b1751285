"""Rows, logs and samples of the planned runs of any artefact, made up: nothing is trained."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from leangan.core.spec import RunSpec, snapshot_name
from leangan.metrics.families import compared_with, known_families
from leangan.metrics.protocols import read_protocol
from leangan.results.table import to_csv
from leangan.runs.config import artefact, read_scale
from leangan.runs.row import Row
from leangan.runs.rows import without_value
from tests.helpers.synthetic import row

SNAPSHOTS = 4
"""Per run; at the third of them the distances are least."""


def kimgs(spec: RunSpec) -> list[float]:
    return [spec.total_kimg * (i + 1) / SNAPSHOTS for i in range(SNAPSHOTS)]


def value(spec: RunSpec, family: str, snapshot: int) -> float:
    """A plausible number, another one for each run: falls with the training set, then rises when D overfits."""
    chance = int(hashlib.sha256(f"{spec.method} {spec.images}".encode()).hexdigest()[:4], 16) / 0xFFFF
    of_seed = int(spec.digest[:4], 16) / 0xFFFF
    weak = "none" in dict(spec.plugins)
    distance = 3 + (4000 if weak else 900) * (0.6 + chance) * spec.images**-0.6 * (1 + 0.1 * of_seed)
    distance *= 1 + 0.8 * math.exp(-snapshot) + (0.3 if weak else 0.05) * max(0, snapshot - 2)
    printed = known_families()[family]
    if family in ("precision", "recall"):
        return 2 / distance
    if printed.higher_is_better:
        return 30 / distance
    return {"kid": distance / 5000}.get(family, distance if printed.log_axis else 2 / distance)


def measured_rows(spec: RunSpec, name: str, scale: str) -> list[Row]:
    """The rows of a run that ended well: every family of the artefact at every snapshot."""
    content, protocol = artefact(name), read_protocol(artefact(name).protocol)
    fakes = read_scale(scale).fakes or protocol.fakes
    stated = {"name": protocol.name, "extractor": protocol.extractor}
    likes = [
        row(spec.method, spec.seed, family, 0.0, 0.0, of=spec, protocol=stated, proxy=protocol.proxy, n_fake=fakes,
            reference=compared_with(family, protocol.reference))
        for family in content.layout.metrics
    ]  # fmt: skip
    return [
        like.model_copy(update={"kimg": kimg, "value": value(spec, like.family, i)})
        for like in likes
        for i, kimg in enumerate(kimgs(spec))
    ]


def write(folder: Path, name: str, specs: list[RunSpec], scale: str, failed: dict[str, tuple[str, str] | None]) -> None:
    """results.csv with the rows of `specs`; rows/ with the logs and samples of those that have numbers.

    `failed` maps run ids to (status, reason), or None for a run that has not begun.
    """
    table = []
    for spec in specs:
        if spec.run_id not in failed:
            table += measured_rows(spec, name, scale)
            write_run(folder / "rows" / spec.run_id, spec)
        elif failed[spec.run_id]:
            table.append(without_value(spec, artefact(name).protocol, *failed[spec.run_id]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.csv").write_text(to_csv(table))


def write_run(folder: Path, spec: RunSpec) -> None:
    """train.jsonl of 18 ticks, a grid of 12 x 6 flat images per snapshot and one of training images."""
    (folder / "samples").mkdir(parents=True, exist_ok=True)  # a run of two labels comes twice
    weak, plugins = "none" in dict(spec.plugins), dict(spec.plugins)
    heuristic = "r_v" if plugins.get("ada", {}).get("heuristic") == "rv" else "r_t"
    ticks = [
        {
            "kimg": spec.total_kimg * at,
            "seconds": 1000 * at,
            "d_real": 0.3 + at,
            "d_fake": -0.3 - at,
            "d_valid": 0.3 + at * (1 - (2 if weak else 0.4) * at) if spec.validation_images else None,
            "accuracy_real": 0.7 + 0.2 * at,
            "accuracy_fake_d": 0.6 + 0.3 * at,
            "accuracy_fake_g": 0.5 - 0.2 * at,
            **({"p": plugins["da"].get("p", 0.3)} if "da" in plugins else {}),
            **({"p": at * (0.2 + 0.1 * (spec.images < 5000)), heuristic: 0.9 * at} if "ada" in plugins else {}),
        }
        for at in (i / 18 for i in range(1, 19))
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(tick) + "\n" for tick in ticks))
    for picture in [*(snapshot_name(round(kimg * 1000)) for kimg in kimgs(spec)), "reals"]:
        (folder / "samples" / f"{picture}.png").write_bytes(grid(spec.resolution))


def grid(resolution: int) -> bytes:
    """Grey images, each of its own shade."""
    cells = np.arange(72, dtype=np.uint8).reshape(6, 12) * 3 + 20
    buffer = io.BytesIO()
    Image.fromarray(cells.repeat(resolution, 0).repeat(resolution, 1)).save(buffer, "PNG")
    return buffer.getvalue()
