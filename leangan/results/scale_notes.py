"""What the numbers of a scale are worth, in words made from config/scales.yaml, and which of them are worth nothing."""

from __future__ import annotations

from leangan.core.errors import ConfigError
from leangan.core.yaml_files import read
from leangan.runs.config import read_scale
from leangan.runs.row import Row

MEANINGLESS = "smoke"
"""The scale that shows that every step runs. Its numbers mean nothing: the page of all scales leaves them out."""


def describe(scale: str) -> str:
    """How long the runs of a scale train and how they are measured; empty for a name that no scale has."""
    if scale not in read("config/scales.yaml"):
        return ""
    known = read_scale(scale)
    length = "the published length" if known.kimg is None else f"{known.kimg:,.9g} kimg (thousand images shown to D)"
    fakes = "the protocol's number of" if known.fakes is None else f"{known.fakes:,}"
    seeds = f"{len(known.seeds)} {'seed' if len(known.seeds) == 1 else 'seeds'}"
    return f"training of {length} unless the artefact states otherwise, {fakes} generated images, {seeds}"


def check_meaning(row: Row, where: str) -> None:
    """Raise ConfigError for a number from no more training or generated images than scale smoke has."""
    smoke = read_scale(MEANINGLESS)
    for key, given, none in (("n_fake", row.n_fake, smoke.fakes), ("total_kimg", row.total_kimg, smoke.kimg)):
        if given is not None and none is not None and given <= none:
            raise ConfigError(
                f"{where}: {key} is {given:g}. Numbers from {none:g} or less mean nothing, as those of scale "
                f"{MEANINGLESS}. Train and measure again at scale paper (--config scale=paper), and submit those rows."
            )
