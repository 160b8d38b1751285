"""What you need to know about a new card, in the few minutes you have: `make gpu MINUTES=9`.

Runs the blocks of benchmarks/gpu/blocks.py one after the other, each under its own time limit: tests against the CPU,
speed, a profile, fakes to FID, and short trainings of as many images as the time that is left allows. A block that
fails or takes too long stops none of the others, and everything is written as it comes, so that the session can be
interrupted at any time. It ends with one table and one archive in results/gpu/. docs/gpu.md says how to read them.
"""

from __future__ import annotations

import argparse
import math
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks.gpu.block import GRACE_SECONDS, INTERRUPTIONS, KILL_SECONDS, Block, Result, run, uninterrupted
from benchmarks.gpu.blocks import PYTHON, Options, blocks, names
from benchmarks.gpu.summary import pack, summary
from benchmarks.gpu.trainings import options_of
from leangan.core.errors import ConfigError, check_names, exit_on_user_error
from leangan.core.project import ROOT
from leangan.core.provenance import package_version

ENDING_SECONDS = GRACE_SECONDS + KILL_SECONDS + 10
"""What is kept of the time to end the last block and to write table and archive."""

OPEN_SHARE = 0.3
"""The part of the time that is kept for the blocks without a limit of their own, the trainings."""

LEAST_SHARE = 0.5
"""A block is begun if at least so much of its limit is left."""


def session(minutes: float, chosen: list[str], options: Options, folder: Path) -> list[Result]:
    """Run the `chosen` blocks within `minutes`, writing the table after each; any of INTERRUPTIONS ends it early.

    Blocks that do not fit are skipped, so that little time goes to the first ones and to the trainings.
    """
    members = [block for block in blocks(options) if block.name in chosen]
    end = time.monotonic() + 60 * minutes - ENDING_SECONDS
    kept = OPEN_SHARE * 60 * minutes if any(block.seconds is None for block in members) else 0.0
    results: list[Result] = []
    started = time.monotonic()
    try:
        for block in members:
            started = time.monotonic()
            left = end - started
            limit = left if block.seconds is None else min(block.seconds, left - kept)
            results.append(attempt(block, folder, limit))
            (folder / "summary.md").write_text(summary(folder, results, options))
            say(f"  {results[-1].status} after {results[-1].seconds:.0f} s {results[-1].detail}")
    except KeyboardInterrupt:
        block = members[min(len(results), len(members) - 1)]
        results.append(Result(block.name, block.question, "stopped", "interrupted", time.monotonic() - started))
    (folder / "summary.md").write_text(summary(folder, results, options))
    return results


def attempt(block: Block, folder: Path, limit: float) -> Result:
    """How `block` ended, under a limit in seconds; an error of this program is its failure, too."""
    if limit <= 0 or limit < LEAST_SHARE * (block.seconds or 0):
        return Result(block.name, block.question, "skipped", f"{max(limit, 0):.0f} s are left for it")
    say(f"{block.name}: {block.question} (at most {limit:.0f} s)")
    try:
        return run(block, folder, limit, ROOT)
    except Exception as error:
        return Result(block.name, block.question, "failed", f"{type(error).__name__}: {error}")


def say(text: str) -> None:
    """Print a line, if the terminal is still there."""
    with suppress(OSError):
        print(text, flush=True)


def not_installed() -> list[str]:
    """The packages of pyproject.toml that this Python lacks; blocks that need them will fail."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], "pytest", "pytest-xdist"]
    for extra in ("data", "demo", "metrics", "report", "workflow"):
        wanted += extras[extra]
    names = [match[0] for requirement in wanted if (match := re.match(r"[A-Za-z0-9_.-]+", requirement))]
    return [name for name in names if package_version(name) is None]


def session_name(device: str) -> str:
    """A folder name of the card and the time. Raises ConfigError where torch sees no GPU."""
    name = "CPU"
    if device == "cuda":
        # In a process of its own: this one would hold a context on the card, and memory.
        asked = (
            "import sys, torch\n"
            "from leangan.core.errors import exit_on_user_error\n"
            "from leangan.training.device import pick_device\n"
            "with exit_on_user_error(): print(torch.cuda.get_device_name(pick_device('cuda')))"
        )
        found = subprocess.run([PYTHON, "-c", asked], capture_output=True, text=True, cwd=ROOT)
        if found.returncode:
            said = (found.stderr.strip().splitlines() or ["no word from torch"])[-1]
            raise ConfigError(f"{said.removeprefix('error: ')} DEVICE=cpu tries the command in tiny sizes.")
        name = found.stdout.strip()
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{slug}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="time for everything (9)")
    parser.add_argument("--blocks", nargs="+", metavar="NAME", help=f"only these of {', '.join(names('cuda'))}")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys of config/config.yaml for the trainings"
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: tiny sizes, to try the command")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu", help="folder of all sessions")
    args = parser.parse_args(argv)
    if not (math.isfinite(args.minutes) and 60 * args.minutes > ENDING_SECONDS):
        raise ConfigError(f"MINUTES (--minutes) is {args.minutes:g}, must be a number above {ENDING_SECONDS / 60:g}")
    check_names("block", args.blocks or [], names(args.device), f"BLOCKS (--blocks) on device {args.device}")
    options = options_of(args.device, args.config)
    name = session_name(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(args.out / ".lock", timeout=0):
            return held(args, options, args.out / name)
    except Timeout:
        raise ConfigError(f"another session is at work in {args.out}; both would measure each other's load") from None


def held(args: argparse.Namespace, options: Options, folder: Path) -> int:
    """The session itself; 0 where every block was done."""
    folder.mkdir()
    if missing := not_installed():
        say(f"not installed: {', '.join(missing)}; blocks that need them will fail")
    for way in INTERRUPTIONS:
        signal.signal(way, interrupt)
    results = session(args.minutes, args.blocks or names(args.device), options, folder)
    with uninterrupted():
        archive = pack(folder, options)
        say(f"\n{(folder / 'summary.md').read_text()}\nArchive: {archive}")
    return int(any(result.status != "done" for result in results))


if __name__ == "__main__":
    with exit_on_user_error():
        sys.exit(main())
