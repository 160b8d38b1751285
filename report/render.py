"""Tables and figures of artefacts, from stored rows alone.

    python -m report.render --artefacts demo --config '{"scale": "demo"}' --results results/demo

Reads results.csv (of report.collect) and rows/ in the folder of results, and writes there
tables/<artefact>.md|csv|tex and figures/<artefact>-<figure>.png|svg|pdf for each of the artefact's `figures:`. A figure
whose log or pictures are missing or damaged is an error at the end, when all others are written.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from types import ModuleType

import yaml

from report import grouped_tables, style, tables
from report.artefact import Artefact, load
from report.published import read_published
from report.results import read_results
from report.table_formats import latex, markdown
from suite import registry
from suite.config import ROOT, artefact, checked, figures_of, read
from suite.errors import ConfigError, one_line
from suite.files import write_atomic
from suite.spec import expand

PUBLISHED = ROOT / "results" / "published" / "published.csv"


def figure(name: str) -> ModuleType:
    """The module of a figure; `suite.config.artefact` has seen that there is one."""
    return import_module(f"report.figures.{name}")


def write_table(content: Artefact, rows: Path, stem: Path) -> None:
    """<stem>.md, .tex and, in full precision, .csv."""
    if content.groups:
        numbers = grouped_tables.measured(content, rows)
        table = grouped_tables.build(content, numbers)
    else:
        numbers = tables.measured(content)
        table = tables.build(content, numbers)
        numbers = numbers.drop(columns="column")
    write_atomic(f"{stem}.md", markdown(table))
    write_atomic(f"{stem}.tex", latex(table))
    write_atomic(f"{stem}.csv", numbers.to_csv(index=False, lineterminator="\n"))


def write_figure(drawing: ModuleType, content: Artefact, rows: Path, stem: Path) -> None:
    """<stem>.png, .svg and .pdf; where no run has numbers and the figure needs one, a figure that says so."""
    if content.main_columns or getattr(drawing, "WITHOUT_RUNS", False):
        drawn = drawing.draw(content, rows)
    else:
        drawn = style.message("No run of this artefact has finished.")
    style.save(drawn, stem)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the tables and figures of artefacts.")
    parser.add_argument("--artefacts", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--config", default="{}", help="JSON or YAML with the keys of config/config.yaml to replace")
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER", help="results/<scale>")
    args = parser.parse_args(argv)
    config = checked({**read("config/config.yaml"), **yaml.safe_load(args.config)})
    registry.search(config["method_folders"])
    drawings = {
        (name, kind): (figure(kind), methods)
        for name in args.artefacts
        for kind, methods in figures_of(artefact(name)).items()
    }
    results, reported = read_results(args.results / "results.csv"), read_published(PUBLISHED)
    fakes = read("config/scales.yaml")[config["scale"]]["fakes"]
    contents = {
        name: load(name, artefact(name), expand(name, config), results, reported, fakes) for name in args.artefacts
    }
    for name, content in contents.items():
        write_table(content, args.results / "rows", args.results / "tables" / name)
    lacking = []
    for (name, kind), (drawing, methods) in drawings.items():
        chosen = contents[name] if methods is None else contents[name].only(methods)
        try:
            write_figure(drawing, chosen, args.results / "rows", args.results / "figures" / f"{name}-{kind}")
        except ConfigError as error:
            lacking.append(f"{name}-{kind}: {error}")
    if lacking:
        raise ConfigError("All other figures are written. " + " ".join(lacking))


if __name__ == "__main__":
    with one_line():
        main()
