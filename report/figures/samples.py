"""Generated images of each method beside training images: the best snapshot above, the final one below.

    python -m report.figures.samples --results results/demo/results.csv \\
        --artefact config/artefacts/demo.yaml --runs results/demo/runs --data resources/data/elpv-32.npy \\
        --subset resources/subsets/elpv-128-s0.json --out-png samples.png --out-svg samples.svg

Images are neither chosen nor sorted: the first ones of each grid, from the run with the lowest seed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report.artefact import Artefact, Column
from report.figures import command, style
from report.sample_grids import first_cells, grid_path, tile
from suite.errors import ConfigError

CELLS = 5
"""Images per side of a panel."""


def draw(artefact: Artefact, column: Column, runs_folder: str, training_images: np.ndarray) -> Figure:
    """Two rows of panels for one setting; `training_images` uint8 [2 * CELLS ** 2, C, H, W] come first."""
    runs = {
        method: done[0]
        for method in artefact.methods
        if (done := [run for run in column.of(method) if run.status == "done"])
    }
    resolution = int(column.setting["resolution"])
    panel_in = min(1.6, style.TEXT_IN / (len(runs) + 1))
    figure, axes = style.panels(2, len(runs) + 1, 2 * panel_in + 0.5, panel_in * (len(runs) + 1))
    for ax, images in zip([row[0] for row in axes], np.split(training_images, 2), strict=True):
        _show(ax, images)
    axes[0][0].set_title(f"training images\n({column.title})")
    for i, (method, run) in enumerate(runs.items(), 1):
        for row, kind in zip(axes, ("best", "final"), strict=True):
            kimg, value = getattr(run, f"{kind}_kimg"), getattr(run, kind)
            _show(row[i], first_cells(grid_path(runs_folder, run.run, kimg), resolution, CELLS))
            row[i].set_xlabel(f"{kind}: {column.metric.text(value)} at {kimg:g} kimg", fontsize=6)
        axes[0][i].set_title(artefact.methods[method])
    figure.supxlabel(f"numbers: {column.metric.label}{', a proxy, not FID' if column.proxy else ''}", fontsize=6.5)
    return figure


def _show(ax: Axes, images: np.ndarray) -> None:
    """`images` uint8 [N, C, H, W] as a square of CELLS x CELLS; an SVG keeps the original pixels."""
    ax.imshow(tile(images, CELLS), cmap="gray", vmin=0, vmax=255, interpolation="none")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def read_training_images(data: str | Path, subset: str | Path) -> np.ndarray:
    """The first 2 * CELLS ** 2 images of the subset, repeated where it is smaller: uint8 [N, C, H, W]."""
    indices = json.loads(Path(subset).read_text())["indices"]
    return np.load(data, mmap_mode="r")[np.resize(indices, 2 * CELLS**2)]


def main(argv: list[str] | None = None) -> None:
    options = command.parser("Generated images beside training images.")
    options.add_argument("--runs", required=True, metavar="FOLDER", help="results/<scale>/runs")
    options.add_argument("--data", required=True, metavar="NPY", help="resources/data/<name>-<px>.npy")
    options.add_argument("--subset", required=True, metavar="JSON", help="resources/subsets/<name>-<size>-s<seed>.json")
    options.add_argument("--column", help="the setting to draw, as the table names it (default: the first)")
    args = options.parse_args(argv)
    artefact, _ = command.load_artefact(args)
    titles = {column.title: column for column in artefact.main_columns}
    title = args.column or next(iter(titles))
    if title not in titles:
        raise ConfigError(f"--column {title!r} is no setting of {args.artefact}: {', '.join(titles)}.")
    figure = draw(artefact, titles[title], args.runs, read_training_images(args.data, args.subset))
    style.save(figure, args.out_png, args.out_svg)


if __name__ == "__main__":
    main()
