"""What you need to know about a new card, in the few minutes you have: `make gpu MINUTES=9`.

Runs the blocks of benchmarks/gpu/blocks.py one after the other, each under its own time limit: tests against the CPU,
speed, a profile, fakes to FID, and short trainings of as many images as the time that is left allows. A block that
fails or takes too long stops none of the others, and everything is written as it comes, so that the session can be
interrupted at any time. It ends with one table and one archive in results/gpu/. docs/gpu.md says how to read them.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gpu.block import GRACE_SECONDS, KILL_SECONDS, Block, Result, run
from benchmarks.gpu.blocks import PYTHON, Options, blocks, names
from benchmarks.gpu.summary import pack, summary
from suite.config import ROOT
from suite.errors import ConfigError, check_names, one_line
from suite.provenance import package_version

ENDING_SECONDS = GRACE_SECONDS + KILL_SECONDS + 10
"""What is kept of the time to end the last block and to write table and archive."""

OPEN_SHARE = 0.4
"""The part of the time that is kept for the blocks without a limit of their own, the trainings."""

LEAST_SHARE = 0.5
"""A block is begun if at least so much of its limit is left."""


def session(minutes: float, chosen: list[str], options: Options, folder: Path) -> list[Result]:
    """Run the `chosen` blocks within `minutes`, writing the table after each; ends early on Ctrl-C or SIGTERM.

    Blocks that do not fit are skipped, so that little time goes to the first ones and to the trainings.
    """
    members = [block for block in blocks(options) if block.name in chosen]
    end = time.monotonic() + 60 * minutes - ENDING_SECONDS
    kept = OPEN_SHARE * 60 * minutes if any(block.seconds is None for block in members) else 0.0
    results: list[Result] = []
    try:
        for block in members:
            left = end - time.monotonic()
            limit = left if block.seconds is None else min(block.seconds, left - kept)
            results.append(attempt(block, folder, limit))
            (folder / "summary.md").write_text(summary(folder, results, options))
            print(f"  {results[-1].status} after {results[-1].seconds:.0f} s {results[-1].detail}", flush=True)
    except KeyboardInterrupt:
        block = members[len(results)] if len(results) < len(members) else members[-1]
        results.append(Result(block.name, block.question, "stopped", "interrupted"))
    (folder / "summary.md").write_text(summary(folder, results, options))
    return results


def attempt(block: Block, folder: Path, limit: float) -> Result:
    """How `block` ended, under a limit in seconds; an error of this program is its failure, too."""
    if limit <= 0 or limit < LEAST_SHARE * (block.seconds or 0):
        return Result(block.name, block.question, "skipped", f"{max(limit, 0):.0f} s are left for it")
    print(f"{block.name}: {block.question} (at most {limit:.0f} s)", flush=True)
    try:
        return run(block, folder, limit, ROOT)
    except Exception as error:
        return Result(block.name, block.question, "failed", f"{type(error).__name__}: {error}")


def not_installed() -> list[str]:
    """The packages of pyproject.toml that this Python lacks; blocks that need them will fail."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], "pytest", "pytest-xdist"]
    names = [match[0] for requirement in wanted if (match := re.match(r"[A-Za-z0-9_.-]+", requirement))]
    return [name for name in names if package_version(name) is None]


def session_name(device: str) -> str:
    """A folder name of the card and the time."""
    name = "CPU"
    if device == "cuda":
        # In a process of its own: this one would hold a context on the card, and memory.
        asked = "import torch; print(torch.cuda.get_device_name())"
        found = subprocess.run([PYTHON, "-c", asked], capture_output=True, text=True)
        if found.returncode:
            raise ConfigError(f"torch sees no GPU: {found.stderr.strip().splitlines()[-1]}. Try with --device cpu.")
        name = found.stdout.strip()
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{slug}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="time for everything")
    parser.add_argument("--blocks", nargs="+", metavar="NAME", help="only these; see benchmarks/gpu/blocks.py")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys of config/config.yaml for the trainings"
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: tiny sizes, to try the command")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu", help="folder of all sessions")
    args = parser.parse_args(argv)
    if args.minutes <= 0:
        raise ConfigError(f"--minutes is {args.minutes:g}, must be positive")
    tiny = args.device == "cpu"
    options = Options(args.device, *(("smoke", "demo") if tiny else ("minutes", "first-minutes")), args.config)
    check_names("block", args.blocks or [], names(args.device), "--blocks")
    folder = args.out / session_name(args.device)
    folder.mkdir(parents=True)
    if missing := not_installed():
        print(f"not installed: {', '.join(missing)}; blocks that need them will fail", flush=True)
    signal.signal(signal.SIGTERM, interrupt)
    results = session(args.minutes, args.blocks or names(args.device), options, folder)
    for way in (signal.SIGTERM, signal.SIGINT):
        signal.signal(way, signal.SIG_IGN)  # until the archive is complete
    print(f"\n{(folder / 'summary.md').read_text()}\n{pack(folder, options)}")
    return int(any(result.status != "done" for result in results))


if __name__ == "__main__":
    with one_line():
        sys.exit(main())
