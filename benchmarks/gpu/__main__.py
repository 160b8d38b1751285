"""Everything a new card has to answer, in the minutes one has: `make gpu MINUTES=9`.

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
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gpu.block import Result, run
from benchmarks.gpu.blocks import PYTHON, Options, blocks, names
from suite.config import ROOT
from suite.errors import ConfigError, check_names, one_line
from suite.provenance import commit

ENDING_SECONDS = 10
"""What is kept of the time for the table and the archive."""


def session(minutes: float, chosen: list[str], options: Options, folder: Path) -> list[Result]:
    """Run the `chosen` blocks within `minutes`, writing the table after each; ends early on Ctrl-C or SIGTERM."""
    end = time.monotonic() + 60 * minutes - ENDING_SECONDS
    results: list[Result] = []
    for block in blocks(options):
        if block.name not in chosen:
            continue
        limit = min(block.share * 60 * minutes, end - time.monotonic())
        if limit <= 0:
            results.append(Result(block.name, block.question, "skipped", "no time is left", 0.0))
            continue
        print(f"{block.name}: {block.question} (at most {limit:.0f} s)", flush=True)
        try:
            results.append(run(block, folder, limit, ROOT))
        except KeyboardInterrupt:
            results.append(Result(block.name, block.question, "stopped", "interrupted", 0.0))
            break
        finally:
            (folder / "summary.md").write_text(summary(folder, results, options))
        print(f"  {results[-1].status} after {results[-1].seconds:.0f} s {results[-1].detail}", flush=True)
    return results


def summary(folder: Path, results: list[Result], options: Options) -> str:
    """What each block has printed, and last the table of all blocks, as Markdown."""
    head, dirty = commit()
    lines = [f"# {folder.name}", "", f"commit {head or 'unknown'}{', modified' if dirty else ''}"]
    for result in results:
        printed = shown(folder / f"{result.name}.log")
        if result.name == "trainings":
            table = ROOT / "results" / options.scale / "tables" / f"{options.artefact}.md"
            printed = table.read_text().splitlines() if result.status == "done" and table.exists() else printed
        if printed:
            lines += ["", f"## {result.name}: {result.question}", "", *printed]
    lines += ["", "## Blocks", "", "| block | question | result | s |", "| --- | --- | --- | ---: |"]
    for result in results:
        outcome = f"{result.status}: {result.detail}" if result.detail else result.status
        lines.append(f"| {result.name} | {result.question} | {outcome} | {result.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def shown(log: Path) -> list[str]:
    """What a summary shows of a block's log: a table with the line that describes its setting, or its last lines."""
    text = log.read_text(errors="replace").splitlines()[1:] if log.exists() else []
    tables = [number for number, line in enumerate(text) if line.startswith("|")]
    if tables:
        setting = [line for line in text[: tables[0]] if line.startswith("torch ")]
        return [*setting, "", *(text[number] for number in tables)]
    last = [line for line in text if line.strip()][-3:]
    return ["```", *last, "```"] if last else []


def pack(folder: Path, options: Options) -> Path:
    """An archive of the session's folder and of what the trainings left, without their networks."""
    archive = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, folder.name)
        for part in ("rows", "tables", "figures"):
            if (made := ROOT / "results" / options.scale / part).is_dir():
                file.add(made, f"{options.scale}/{part}")
    return archive


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
    signal.signal(signal.SIGTERM, interrupt)
    results = session(args.minutes, args.blocks or names(args.device), options, folder)
    print(f"\n{(folder / 'summary.md').read_text()}\n{pack(folder, options)}")
    return int(any(result.status != "done" for result in results))


if __name__ == "__main__":
    with one_line():
        sys.exit(main())
