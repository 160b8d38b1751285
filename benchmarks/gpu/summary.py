"""What is left of a session on a card: one text with all tables, and one archive."""

from __future__ import annotations

import tarfile
from pathlib import Path

from benchmarks.gpu.block import Result
from benchmarks.gpu.blocks import Options
from leangan.core.project import ROOT
from leangan.core.provenance import commit


def summary(folder: Path, results: list[Result], options: Options) -> str:
    """What each block has printed, and last the table of all blocks, as Markdown."""
    head, dirty = commit()
    lines = [f"# {folder.name}", "", f"commit {head or 'unknown'}{', modified' if dirty else ''}"]
    for result in results:
        done = result.status == "done"
        table = ROOT / "results" / options.scale / "tables" / f"{options.output}.md"
        if result.name == "trainings" and done and table.exists():
            printed = table.read_text().splitlines()
        else:
            printed = shown(folder / f"{result.name}.log", done)
        if any(printed):
            lines += ["", f"## {result.name}: {result.question}", "", *printed]
    lines += ["", "## Blocks", "", "| block | question | result | s |", "| --- | --- | --- | ---: |"]
    for result in results:
        outcome = f"{result.status}: {result.detail}" if result.detail else result.status
        lines.append(f"| {result.name} | {result.question} | {outcome} | {result.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def shown(log: Path, complete: bool) -> list[str]:
    """What a summary shows of a block's log: its tables with the line that describes their setting.

    Where there is none, or the block is not `complete`, also the last lines.
    """
    text = printed_lines(log)
    tables = [number for number, line in enumerate(text) if line.startswith("|")]
    setting = [line for line in text[: tables[0]] if line.startswith("torch ")] if tables else []
    ending = [] if tables and complete else last_lines(text)
    return [*setting, "", *(text[number] for number in tables), "", *ending]


def last_lines(text: list[str]) -> list[str]:
    """The errors in a log and its end, as a block of code."""
    filled = [line for line in text if line.strip()]
    last = [*[line for line in filled[:-5] if line.startswith("error:")][-3:], *filled[-5:]]
    return ["```", *last, "```"] if last else []


def printed_lines(log: Path) -> list[str]:
    """A block's log without its first line, the command."""
    return log.read_text(errors="replace").splitlines()[1:] if log.exists() else []


def pack(folder: Path, options: Options) -> Path:
    """An archive of the session's folder and of what the trainings left, without their networks."""
    archive = folder.with_name(f"{folder.name}.tar.gz")
    made = ROOT / "results" / options.scale
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, folder.name)
        for path in (made / "rows", made / "tables", made / "figures", *unfinished(made / "runs")):
            if path.exists():
                file.add(path, f"{options.scale}/{path.relative_to(made)}")
    return archive


def unfinished(runs: Path) -> list[Path]:
    """Logs and pictures of runs that were cut off; a finished run has its own with its rows."""
    folders = [path.parent for path in runs.glob("*/*/spec.json") if not path.with_name("train.json").exists()]
    return [folder / name for folder in folders for name in ("train.jsonl", "samples")]
