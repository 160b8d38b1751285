"""What a target of the workflow asks for: a rule, an artefact by its name, or a file of results/ and resources/."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from leangan.core.errors import ConfigError, did_you_mean, unknown_name
from leangan.runs.config import PAPER, artefact_names, paper_artefacts
from leangan.runs.sections import Config

FROM_ROWS = ("figures", "leaderboard", "plan")
"""Rules that take what lies there, or run a command that reads the configuration itself."""

RENDERED = ("tables", "figures")
"""Folders of results/<scale> whose files are called after artefacts."""

OF_RUNS = ("rows", "runs", "logs")
"""Folders of results/<scale> with a folder for each run."""


def artefacts_of(target: str, config: Config) -> list[str]:
    """The artefacts whose runs a target is made from, but for a target that is of one run or of data.

    Whatever is made from all rows, such as the page, is made from the artefacts that the configuration asks for.
    """
    if target in artefact_names():
        return [target]
    if target == PAPER:
        return paper_artefacts(config.scale)
    if target in FROM_ROWS:
        return []
    match PurePosixPath(target).parts:
        case ["resources", *_]:
            return []
        case ["results", _, folder, file, *_] if folder in RENDERED:
            stems = (file, PurePosixPath(file).stem)
            return [name for name in artefact_names() if config.output_name(name) in stems]
        case ["results", _, folder, *_] if folder in OF_RUNS:
            return []
    return config.artefacts


def run_of(target: str) -> str | None:
    """The id of the run that a file belongs to."""
    match PurePosixPath(target).parts:
        case ["results", _, folder, setting, run, *_] if folder in OF_RUNS:
            return f"{setting}/{run}"
    return None


def check_target(target: str, rules: Collection[str], config: Config) -> None:
    """Raise ConfigError, with the nearest names, for a target that is none of `rules` and no file that could be made.

    `rules` are those that can be asked for by their names, one for each artefact among them. Files that exist are left
    to the engine, as are those whose names do not say what they are.
    """
    if target in rules or Path(target).exists():
        return
    match PurePosixPath(target).parts:
        case [name]:
            others = ", ".join(sorted(set(rules) - set(artefact_names())))
            raise ConfigError(
                f"unknown artefact {name!r}.{did_you_mean(name, rules)} Targets are the {len(artefact_names())} files "
                f"of config/artefacts, by their names without extension, and {others}."
            )
        case ["results", scale, *_] if scale != config.scale:
            raise ConfigError(
                f"{target} is of scale {scale!r}, this call of scale {config.scale!r}. Add --config scale={scale}"
            )
        case ["results", _, folder, file, *_] if folder in RENDERED and not artefacts_of(target, config):
            raise unknown_name("artefact", PurePosixPath(file).stem, artefact_names(), "the command line")
