"""How far each artefact has been measured at each scale, and whether it agrees with the papers, from stored rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leangan.artefacts import agreement
from leangan.artefacts.artefact import load_artefact
from leangan.artefacts.captions import span
from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.core.yaml_files import read
from leangan.leaderboard.measured_entries import scale_of
from leangan.leaderboard.standing import percent
from leangan.plugins.revisions import in_words, other_revisions
from leangan.results.collect import read_rows, row_files
from leangan.results.measured_runs import seeds_of
from leangan.results.published import PublishedNumber
from leangan.results.spec_file import read_spec
from leangan.runs.config import artefact, artefact_names, configured, leave_out
from leangan.runs.grid import expand
from leangan.runs.row import Row

PLAIN: dict[str, Any] = {"methods": [], "datasets": {}, "images": [], "kimg": None, "snapshot_kimg": None}
"""What of the configuration makes runs beyond those that an artefact states for a scale."""

HEADINGS = ("Artefact", "Scale", "Cells measured", "Length", "Seeds", "Device", "Newest run", "The papers' order")


@dataclass(frozen=True)
class ProgressLine:
    """One artefact at one scale, in words. A cell is a method in a setting, and measured if one run of it is."""

    name: str
    title: str
    scale: str
    measured: str = "–"
    length: str = "–"
    seeds: str = "–"
    device: str = "–"
    newest: str = "–"
    agreement: str = "–"

    @property
    def cells(self) -> list[str]:
        """Under HEADINGS."""
        title = f"{self.title} ({self.name})"
        return [title, self.scale, self.measured, self.length, self.seeds, self.device, self.newest, self.agreement]


@dataclass(frozen=True)
class Progress:
    """`lines` by artefact, then scale; `unmeasured` names the artefacts that have none.

    `outdated` counts runs with rows in whose place the present code trains others; `revisions` says what has changed.
    """

    lines: list[ProgressLine]
    unmeasured: list[str]
    outdated: int = 0
    revisions: str = ""

    @property
    def rest(self) -> str:
        """How many artefacts have no measured row, and what of the stored runs does not count."""
        if not self.outdated:
            return self._without_rows()
        runs = "1 stored run is" if self.outdated == 1 else f"{self.outdated} stored runs are"
        return f"{self._without_rows()} {runs} of other revisions than the present code trains: {self.revisions}."

    def _without_rows(self) -> str:
        if not self.lines:
            return "No artefact has a measured row yet."
        if not self.unmeasured:
            return "Every artefact has a measured row."
        count, total = len(self.unmeasured), len(self.unmeasured) + len({line.name for line in self.lines})
        return f"{count} of {total} artefacts have no measured row yet."


def progress_of(rows_dirs: Iterable[Path], reported: list[PublishedNumber]) -> Progress:
    """That of all artefacts by the rows in `rows_dirs` (results/<scale>/rows); `reported` is of read_published.

    Counted runs are those that the artefacts state for the scale, in the arithmetic of config/config.yaml. Those with
    other methods, data, sizes or lengths from the command line are not. A folder of a scale that config/scales.yaml
    does not have is left out. Raises ConfigError where a file of rows is broken.
    """
    scales = list(read("config/scales.yaml"))
    known = sorted(
        (folder for folder in rows_dirs if scale_of(folder) in scales), key=lambda f: scales.index(scale_of(f))
    )
    names = artefact_names()
    found = [line for name in names for folder in known if (line := _line(name, folder, reported)) is not None]
    with_lines = {line.name for line in found}
    outdated = _outdated(known)
    revisions = {name: numbers for others in outdated for name, numbers in others.items()}
    return Progress(found, [name for name in names if name not in with_lines], len(outdated), in_words(revisions))


def _outdated(rows_dirs: Iterable[Path]) -> list[dict[str, tuple[int, int]]]:
    """The `other_revisions` of each run with rows there that has any."""
    runs = sorted({file.parent for folder in rows_dirs for file in row_files(folder)})
    specs = [stated.spec for run in runs if (stated := read_spec(run)) is not None]
    return [others for spec in specs if (others := other_revisions(spec, *spec.ancestors()))]


def _line(name: str, rows_dir: Path, reported: list[PublishedNumber]) -> ProgressLine | None:
    """None where no run has a number, or where the artefact cannot be expanded, as the log says."""
    scale = scale_of(rows_dir)
    try:
        content, specs = artefact(name), expand(name, configured(**PLAIN, scale=scale))
    except ConfigError as error:
        leave_out(name, str(error))
        return None
    rows = read_rows(specs, content.protocol, rows_dir)
    if not rows:
        return None
    try:
        loaded = load_artefact(name, content, specs, rows, reported)
        agrees = agreement.summary(agreement.claims(loaded))
    except ConfigError:  # columns that would mix protocols or origins
        mixed = "the rows do not fit together; rendering the artefact says why"
        return ProgressLine(name, content.title, scale, agreement=mixed)
    cells = [
        column.runs_of(method) for column in loaded.first_columns for method in loaded.methods if column.runs_of(method)
    ]
    done = [[run for run in cell if run.status == "done"] for cell in cells]
    measured = [cell for cell in done if cell]
    if not measured:
        return None
    runs = {run.run for cell in measured for run in cell}
    device, newest = _device_and_day([row for row in rows if row.run in runs])
    return ProgressLine(
        name=name,
        title=loaded.title,
        scale=scale,
        measured=f"{len(measured)} of {len(cells)}",
        length=_length([spec for spec in specs if spec.run_id in runs]),
        seeds=span(sorted(map(seeds_of, measured))),
        device=device,
        newest=newest,
        agreement=agrees,
    )


def _length(specs: list[RunSpec]) -> str:
    """Training lengths, and their share of the published ones: "6,000 kimg, 12 % to 24 % of the published length"."""
    published = [(spec.total_kimg / kimg) for spec in specs if (kimg := spec.labels.published_kimg)]
    shares = " to ".join(dict.fromkeys(map(percent, (min(published), max(published))))) if published else ""
    length = span(sorted(spec.total_kimg for spec in specs))
    return f"{length} kimg, {f'{shares} of the published length' if shares else 'no published length'}"


def _device_and_day(rows: list[Row]) -> tuple[str, str]:
    """The devices of these rows, and the day on which the newest of their runs was trained (UTC)."""
    devices = {row.provenance.device for row in rows if row.provenance.device}
    newest = max((row.provenance.time_utc for row in rows if row.provenance.time_utc), default="–")
    return ", ".join(sorted(devices)) or "–", newest[:10]
