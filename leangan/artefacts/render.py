"""Tables and figures of artefacts, from stored rows alone.

    leangan render --artefacts demo --config '{"scale": "demo"}' --results results/demo

It reads rows/ in the folder of results: for each artefact, the existing rows of its runs. In the same folder it writes
tables/<artefact>.md|csv|tex and figures/<artefact>/<figure>.png|svg|pdf for each of the artefact's `figures:`, and
removes the artefact's other figures. Data sets that replace the artefact's own are part of these names, as in
tables/own-images-flowers.md. If an artefact's rows do not fit together, or the log or pictures of a figure are
missing or damaged, it raises an error after everything else is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from leangan.artefacts import style
from leangan.artefacts.artefact import Artefact, load_artefact
from leangan.artefacts.table_formats import latex, markdown
from leangan.artefacts.tables import build_table, measure_table
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import write_atomic
from leangan.results.collect import read_rows
from leangan.results.published import FILE, PublishedNumber, read_published
from leangan.runs.asked import asked
from leangan.runs.config import add_config_option, artefact, load_config, read_scale
from leangan.runs.grid import expand
from leangan.runs.sections import Config


def figure_module(name: str) -> ModuleType:
    """The module of a figure; `runs.config.artefact` has seen that there is one."""
    return import_module(f"leangan.artefacts.figures.{name}")


def write_table(content: Artefact, rows_dir: Path, stem: Path) -> None:
    """<stem>.md, .tex and, in full precision, .csv."""
    numbers = measure_table(content, rows_dir)
    table = build_table(content, numbers)
    write_atomic(f"{stem}.md", markdown(table))
    write_atomic(f"{stem}.tex", latex(table))
    write_atomic(f"{stem}.csv", numbers.to_csv(index=False, lineterminator="\n"))


def write_figure(drawing: ModuleType, content: Artefact, rows_dir: Path, stem: Path) -> None:
    """<stem>.png, .svg and .pdf; where no run has numbers and the figure needs one, a figure that says so."""
    draws_without_runs = getattr(drawing, "WITHOUT_RUNS", False)  # an optional part of `leangan.artefacts.figures`
    if content.main_columns or draws_without_runs:
        drawn = drawing.draw(content, rows_dir)
    else:
        lacking = "a value of its first metric" if any(c.lacks_a_value for c in content.first_columns) else "finished"
        drawn = style.message(f"No run of this artefact has {lacking}.")
    style.save(drawn, stem)


def remove_other_figures(folder: Path, kinds: Iterable[str]) -> None:
    """Make the folder of an artefact's figures, and remove all figures except `kinds` from it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {f"{kind}.{ending}" for kind in kinds for ending in style.ENDINGS}
    for path in folder.iterdir():
        if path.suffix[1:] in style.ENDINGS and path.name not in kept:
            path.unlink()


def load_from_rows(name: str, config: Config, rows_dir: Path, reported: list[PublishedNumber]) -> Artefact:
    """The artefact under `config` with its rows in the folder `rows_dir`; `reported` has all published numbers."""
    content, specs = asked(artefact(name), config), expand(name, config)
    rows = read_rows(specs, content.protocol, rows_dir)
    return load_artefact(name, content, specs, rows, reported, read_scale(config.scale).fakes)


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "render",
        "Render tables and figures of artefacts from stored rows. Trains nothing.",
        reads="--results: rows/ with the logs and pictures of the runs.",
        writes="tables/ and figures/ of the artefacts, below --results.",
    )
    parser.add_argument("--artefacts", nargs="+", required=True, metavar="NAME", help="files of config/artefacts/")
    add_config_option(parser)
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<scale>")
    args = parser.parse_args(argv)
    config = load_config(args.config)
    figures = {name: asked(artefact(name), config).figures for name in args.artefacts}
    drawings = {kind: figure_module(kind) for kinds in figures.values() for kind in kinds}
    rows_dir, reported = args.results / "rows", read_published(FILE)
    if not rows_dir.is_dir():
        raise ConfigError(f"{rows_dir} is missing. Run snakemake first.")
    lacking = []
    for name in args.artefacts:
        try:
            content = load_from_rows(name, config, rows_dir, reported)
        except ConfigError as error:
            lacking.append(f"{name}: {error}")
            continue
        written = config.output_name(name)
        write_table(content, rows_dir, args.results / "tables" / written)
        folder = args.results / "figures" / written
        remove_other_figures(folder, figures[name])
        for kind, methods in figures[name].items():
            chosen = content if methods is None else content.only(methods)
            try:
                write_figure(drawings[kind], chosen, rows_dir, folder / kind)
            except ConfigError as error:
                lacking.append(f"{name}/{kind}: {error}")
    if lacking:
        raise ConfigError("All other tables and figures are written. " + " ".join(lacking))
