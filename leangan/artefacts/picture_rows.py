"""Rows of pictures, each of one method in one setting: what figures of images share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.results.measured_runs import Run


@dataclass(frozen=True)
class PictureRow:
    """`pictures` side by side, each with the text below it; `label` is printed on the left."""

    label: str
    pictures: list[tuple[Image.Image, str]]


def first_runs(artefact: Artefact, settings: list[Column]) -> Iterator[tuple[str, Column, Run]]:
    """(label, setting, run) of each method in each setting: the run with the lowest seed."""
    for column in settings:
        for method, title in artefact.main_methods.items():
            for run in column.finished_runs(method)[:1]:
                yield (f"{title}\n{column.title}" if len(settings) > 1 else title), column, run


def picture_folder(rows_dir: Path, run: Run) -> Path:
    """The folder with the pictures of a run; `rows_dir` is results/<scale>/rows."""
    return rows_dir / run.run / "samples"


def first_middle_last(values: list) -> list:
    """These three, or fewer where there are not as many."""
    return [values[i] for i in dict.fromkeys((0, len(values) // 2, len(values) - 1))] if values else []


def draw(rows: list[PictureRow], aspect: float) -> Figure:
    """The figure. Pictures are `aspect` times as wide as high; large ones are scaled to print size."""
    columns = max(len(row.pictures) for row in rows)
    width_in = (style.TEXT_IN - 0.5) / columns
    figure, axes = style.panels(len(rows), columns, (width_in / aspect + 0.2) * len(rows))
    for axes_of_row, row in zip(axes, rows, strict=True):
        for ax, (picture, below) in zip(axes_of_row, row.pictures, strict=False):
            picture.thumbnail((round(width_in * style.DPI),) * 2, Image.Resampling.LANCZOS)
            style.picture(ax, picture)
            ax.set_xlabel(below, fontsize=6)
        for ax in axes_of_row[len(row.pictures) :]:
            ax.set_axis_off()
        axes_of_row[0].set_ylabel(row.label, fontsize=6.5)
    return figure
