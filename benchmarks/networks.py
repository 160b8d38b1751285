"""Speed of a preset's networks: `python -m benchmarks.networks --preset tiny --resolution 32 --threads 2`.

Prints a Markdown table of milliseconds per call and images per second. A whole iteration is one G step, one D
step, both optimisers, the average of G, and the regularisers at their intervals.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch

from models.stylegan2 import Backbone
from suite.spec import presets


def seconds_per_call(call: Callable[[], None], device: torch.device, budget_s: float) -> float:
    """Median over the calls that fit in `budget_s`, three at least, after two that are not counted."""
    times: list[float] = []
    end = float("inf")
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        if len(times) == 2:
            end = time.perf_counter() + budget_s
    return sorted(times[2:])[(len(times) - 2) // 2]


def measure(
    preset: dict, resolution: int, channels: int, batch: int, device: torch.device, budget_s: float
) -> dict[str, float]:
    """Seconds per call of each part of an iteration."""
    backbone = Backbone(preset, resolution, channels, classes=0)
    G, D = backbone.generator().to(device), backbone.discriminator().to(device)
    average = copy.deepcopy(G).requires_grad_(False)
    adam_g = torch.optim.Adam(G.parameters(), lr=0.002, betas=(0.0, 0.99))
    adam_d = torch.optim.Adam(D.parameters(), lr=0.002, betas=(0.0, 0.99))
    x_real = torch.rand(batch, channels, resolution, resolution, device=device) * 2 - 1

    def latents() -> torch.Tensor:
        return torch.randn(batch, G.z_dim, device=device)

    def g_step() -> None:
        adam_g.zero_grad()
        D.requires_grad_(False)
        backbone.g_loss(D(G(latents(), None), None)).backward()
        D.requires_grad_(True)

    def d_step() -> None:
        adam_d.zero_grad()
        with torch.no_grad():
            x_fake = G(latents(), None)
        backbone.d_loss(D(x_real, None), D(x_fake, None)).backward()

    def r1() -> None:
        x = x_real.clone().requires_grad_()
        backbone.d_regularizer(x, D(x, None)).backward()

    def path_length() -> None:
        backbone.g_regularizer(G, latents(), None).backward()

    def update() -> None:
        for adam in (adam_g, adam_d):
            adam.step()
        with torch.no_grad():
            for mean, value in zip(average.parameters(), G.parameters(), strict=True):
                mean.lerp_(value, 0.01)

    g_step(), d_step()  # so that the optimisers have gradients to apply
    parts = {"G step": (g_step, 1), "D step": (d_step, 1), "update and EMA": (update, 1)}
    if backbone.d_reg_interval:
        parts["R1"] = (r1, backbone.d_reg_interval)
    if backbone.g_reg_interval:
        parts["path length"] = (path_length, backbone.g_reg_interval)
    seconds = {name: seconds_per_call(call, device, budget_s) for name, (call, _) in parts.items()}
    seconds["whole iteration"] = sum(seconds[name] / interval for name, (_, interval) in parts.items())
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--batch", type=int, help="default: the preset's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="time per part")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    preset = presets()[args.preset]
    batch = args.batch or preset["batch"]
    seconds = measure(preset, args.resolution, args.channels, batch, torch.device(args.device), args.seconds)
    print(f"{args.preset}, {args.resolution} px, batch {batch}, {args.device}, {args.threads} threads\n")
    print("| part | ms | images/s |\n| --- | ---: | ---: |")
    for name, value in seconds.items():
        print(f"| {name} | {value * 1e3:.1f} | {batch / value:.0f} |")


if __name__ == "__main__":
    main()
