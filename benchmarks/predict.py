"""Images/s to expect of an H200: `python -m benchmarks.predict`.

A model of a few constants makes seconds of what an iteration asks for (`benchmarks.calls`). The first table holds it
against what a card has shown, the second says what it expects of the code as it is. It needs no GPU. See docs/gpu.md.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from benchmarks.calls import FILTERS, Cost, parts, per_iteration
from benchmarks.gpu.length import lines
from leangan.core.errors import exit_on_user_error
from leangan.core.project import ROOT
from leangan.runs.methods import method_preset
from leangan.runs.presets import preset_at

MEASURED = ROOT / "results" / "gpu" / "nvidia-h200-20261127-230551"
"""The measurement that the constants are from, of an H200 on 2026-11-27 at commit 23ba7b9: lines of speed, and what an
iteration of the code at that commit asked for."""

PEAK = {"16 bits": 775e12, "TF32": 400e12, "float32": 50e12}
"""Operations per second of the fastest convolution or product by type. Measured."""

REACHED = {"16 bits": 0.7, "TF32": 0.7, "float32": 0.9}
"""The share of it that all of them reach. Assumed."""

BANDWIDTH = 3.9e12
"""Bytes per second that element-wise passes move. Assumed: 80 % of the data sheet's number."""

FILTERING = {"depthwise": 0.065e12, "means": 1.5e12, "fused": 3 * BANDWIDTH}
"""Bytes per second of the low-pass filters, by how they are computed.

As cuDNN's depthwise convolutions of channels_last maps: from the profile of `cifar` with ADA, if the changes of layout
and the indexed kernel are theirs, 27 ms for 1.75 GB. As means over 2 x 2 pixels: assumed. A fused kernel moves a third
of the bytes of these, assumed to be at BANDWIDTH.
"""

SMALL_KERNEL = 1.8e-6
"""Seconds that a kernel takes in addition: the profile's 6,166 kernels on small tensors took 1.7 us each."""

NETWORK_CALL, METHOD_CALL = 25e-6, 14e-6
"""Seconds of the host for an eager call of the networks, which autograd records and differentiates, and of what a
method adds. Fitted to the lines with 16-bit layers."""

OVERLAP = 3
"""How well host and GPU work at the same time: the exponent of the norm that adds their seconds. Fitted; without end
the longer of both would count alone."""

FUSED_PASSES, FUSED_CALLS = 0.6, 0.85
"""What fused kernels leave of the bytes of element-wise passes and of the calls. Assumed."""


class Line(NamedTuple):
    """A run to predict; `goal` is in images/s."""

    preset: str
    method: str
    resolution: int
    tf32: bool
    goal: float | None


GOALS = (
    Line("cifar", "none", 32, False, None),
    Line("cifar", "ada", 32, False, 3 * 1470),
    Line("diffaugment-cifar", "diffaugment", 32, False, 3 * 1350),
    Line("diffaugment-cifar", "diffaugment", 32, True, 3 * 1350),
    Line("diffaugment-cifar-16bit", "diffaugment", 32, False, None),
    Line("paper256", "none", 256, False, 2 * 380),
    Line("paper256", "ada", 256, False, 2 * 365),
    Line("paper256", "ada", 256, True, 2 * 365),
    Line("biggan-cifar", "diffaugment", 32, False, None),
    Line("biggan-cifar", "diffaugment", 32, True, None),
    Line("biggan-cifar-16bit", "diffaugment", 32, False, None),
)
"""Goals are multiples of what the authors' PyTorch code of StyleGAN2-ADA is estimated to do on the same card, from its
operations."""


def gpu_seconds(cost: Cost, tf32: bool, filters: str) -> dict[str, float]:
    """Seconds of the GPU for `cost`, by what they go to; `filters` is one of FILTERING."""
    fused = filters == "fused"
    type32 = "TF32" if tf32 else "float32"
    operations = {"16 bits": cost.flop16, type32: cost.flop32}
    return {
        "products": sum(count / (REACHED[kind] * PEAK[kind]) for kind, count in operations.items()),
        "filters": cost.filtered / FILTERING[filters],
        "passes": cost.moved * (FUSED_PASSES if fused else 1) / BANDWIDTH,
        "small kernels": cost.calls * (FUSED_CALLS if fused else 1) * SMALL_KERNEL,
    }


def eager_seconds(whole: Cost, networks: Cost, tf32: bool, filters: str) -> float:
    """Seconds of an eager iteration that asks for `whole`, of which the `networks` without the method are a part."""
    host = NETWORK_CALL * networks.calls + METHOD_CALL * (whole.calls - networks.calls)
    gpu = sum(gpu_seconds(whole, tf32, filters).values())
    return (host**OVERLAP + gpu**OVERLAP) ** (1 / OVERLAP)


def check(folder: Path) -> list[str]:
    """The model held against the lines of a measurement, as a table and a sentence."""
    entries = {(entry["preset"], entry["method"]): entry for entry in lines(folder / "calls.jsonl")}
    table = ["| preset | method | type | measured, images/s | by the model | |", "| --- | --- | --- |" + " ---: |" * 3]
    errors = []
    for line in lines(folder / "speed.jsonl"):
        entry, plain = entries[line["preset"], line["method"]], entries[line["preset"], "none"]
        tf32 = "TF32 on" in line["setting"]
        rate = entry["images"] / eager_seconds(cost_in(entry), cost_in(plain), tf32, "depthwise")
        errors.append(rate / line["images_per_s"] - 1)
        kind = f"{line['dtype']}, TF32" if tf32 else line["dtype"]
        shown = [
            line["preset"],
            line["method"],
            kind,
            f"{line['images_per_s']:.0f}",
            f"{rate:.0f}",
            f"{errors[-1]:+.0%}",
        ]
        table.append("| " + " | ".join(shown) + " |")
    sizes = [abs(error) for error in errors]
    return [*table, "", f"Mean error {mean(sizes):.0%}, the largest {max(sizes):.0%}."]


def cost_in(entry: dict[str, Any]) -> Cost:
    """The cost that a line of calls.jsonl holds."""
    return Cost(**{field.name: entry[field.name] for field in fields(Cost)})


def predicted(line: Line) -> str:
    """A row of the table of what is expected; without fused kernels where the backbone has none."""
    preset, method, resolution, tf32, goal = line
    stated = preset_at(preset, resolution, "GOALS", method_preset(method))
    images = stated.hyper["batch"] * stated.hyper["d_steps"]
    networks, whole = (per_iteration(parts(preset, name, resolution)) for name in ("none", method))
    graphs = ["means", "fused"] if stated.backbone in FILTERS else ["means"]
    seconds = [gpu_seconds(whole, tf32, filters) for filters in graphs]
    rates = [images / eager_seconds(whole, networks, tf32, "means"), *(images / sum(each.values()) for each in seconds)]
    heavier = "16 bits" if networks.flop16 > networks.flop32 else "TF32" if tf32 else "float32"
    share = rates[-1] / images * (networks.flop16 + networks.flop32) / PEAK[heavier]
    kind = f"{heavier}, TF32" if tf32 and heavier == "16 bits" else heavier
    shown = [f"{rate:.0f}" for rate in rates] + [""] * (3 - len(rates))
    ms = [" / ".join(f"{1000 * each[name]:.1f}" for each in seconds) for name in seconds[0]]
    cells = [preset, method, kind, f"{whole.calls:.0f}", *shown, f"{share:.0%}", f"{goal:.0f}" if goal else "", *ms]
    return "| " + " | ".join(cells) + " |"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__.splitlines()[0])
    parser.add_argument("--measured", type=Path, default=MEASURED, help="a folder with speed.jsonl and calls.jsonl")
    args = parser.parse_args(argv)
    print("\n".join(check(args.measured)) + "\n")
    columns = ["preset", "method", "type", "calls", "eager", "graphs", "and fused kernels", "of peak", "goal"]
    columns += [f"{name}, ms" for name in ("products", "filters", "passes", "small kernels")]
    print("| " + " | ".join(columns) + " |")
    print("| --- | --- | --- |" + " ---: |" * (len(columns) - 3), flush=True)
    for line in GOALS:
        print(predicted(line), flush=True)
    return 0


if __name__ == "__main__":
    with exit_on_user_error(ValueError):
        sys.exit(main())
