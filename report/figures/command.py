"""The command line that all figures share."""

from __future__ import annotations

import argparse

from report.artefact import Artefact, load
from report.results import read_results


def parser(description: str) -> argparse.ArgumentParser:
    """Options for the artefact, the results, and the files to write; a figure may add its own."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--results", required=True, metavar="CSV")
    options.add_argument("--artefact", required=True, metavar="YAML")
    options.add_argument("--methods", nargs="*", default=[], help="methods beside those of the artefact's grid")
    options.add_argument("--images", nargs="*", default=[], type=int, help="training-set sizes instead of the grid's")
    options.add_argument("--out-png", required=True)
    options.add_argument("--out-svg", required=True)
    return options


def load_artefact(args: argparse.Namespace) -> tuple[Artefact, list[str]]:
    """The artefact, and the names of all methods in the results (for their colours)."""
    results = read_results(args.results)
    artefact = load(args.artefact, results, tuple(args.methods), tuple(args.images))
    return artefact, sorted(results["method"].unique())
