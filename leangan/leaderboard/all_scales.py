"""Tables, figures and pages of every scale that has rows, from these rows alone: `snakemake figures`.

    leangan figures --config '{"scale": "demo"}' --results results

Of each results/<scale> it renders the artefacts that its rows belong to, under `--config` with the scale replaced, and
the scale's page; then results/page/, the page of all scales but smoke. Where the rows of a scale are broken, the other
scales are rendered all the same, and the command ends with an error that says what failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leangan.artefacts import render
from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.leaderboard import page
from leangan.results.collect import row_files
from leangan.results.published import FILE
from leangan.results.scale_notes import MEANINGLESS
from leangan.runs.config import add_config_option, artefact, artefact_names, check_config, leave_out, load_config
from leangan.runs.grid import expand
from leangan.runs.sections import Config

SUBMITTED = ROOT / "results" / "submitted"


def with_rows(config: Config, rows_dir: Path) -> list[str]:
    """The artefacts to render from the rows in a folder, under `config`.

    An artefact is rendered if it has all its rows there, if it is configured and has some, or if it has rows that no
    complete artefact shows. One that cannot be expanded is left out, as the log says; ConfigError if it is configured.
    """
    needed = {}
    for name in artefact_names():
        try:
            needed[name] = set(_files(name, config, rows_dir))
        except ConfigError as error:
            if name in config.artefacts:
                raise
            leave_out(name, str(error))
    there = {name: {file for file in files if file.is_file()} for name, files in needed.items()}
    shown = {file for name, files in there.items() if files == needed[name] for file in files}
    return [
        name
        for name, files in there.items()
        if files and (files == needed[name] or name in config.artefacts or files - shown)
    ]


def _files(name: str, config: Config, rows_dir: Path) -> list[Path]:
    """The files of rows that an artefact is rendered from."""
    return [rows_dir / spec.run_id / f"{artefact(name).protocol}.jsonl" for spec in expand(name, config)]


def render_scale(config: Config, folder: Path) -> None:
    """Tables and figures from the rows in results/<scale>, whatever the scale of `config`.

    Raises ConfigError as `artefacts.render` does.
    """
    config = check_config({**config.given(), "scale": folder.name})
    names = with_rows(config, folder / "rows")
    if names:
        print(f"{folder}: {', '.join(names)}", flush=True)
        render.main(["--artefacts", *names, "--config", json.dumps(config.given()), "--results", str(folder)])
    else:
        print(f"{folder}: no artefact has these rows under this configuration; they are on the page alone.", flush=True)


def write_page(rows_dirs: list[Path], folder: Path) -> None:
    """Write the leaderboard of these folders of rows into `folder`. Raises ConfigError as `page` does."""
    paths = ["--submitted", str(SUBMITTED), "--published", str(FILE), "--out", str(folder / "index.html")]
    page.main(["--rows", *map(str, rows_dirs), *paths])


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "figures",
        "Render tables, figures and pages of every scale that has rows. Trains nothing.",
        reads="results/*/rows.",
        writes="results/*/tables, figures and page; results/page with all scales but smoke.",
    )
    add_config_option(parser)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    args = parser.parse_args(argv)
    config = load_config(args.config)
    folders = [rows.parent for rows in sorted(args.results.glob("*/rows")) if row_files(rows)]
    nothing = f"{args.results}/*/rows hold no rows. Run snakemake first, or give another folder by --results."
    failed = [] if folders else [nothing]

    def attempt(what: Path, make: Callable[..., None], *arguments: Any) -> None:
        try:
            make(*arguments)
        except ConfigError as error:
            failed.append(f"{what}: {error}")

    for folder in folders:
        attempt(folder, render_scale, config, folder)
        attempt(folder / "page", write_page, [folder / "rows"], folder / "page")
    everything = args.results / "page"
    attempt(everything, write_page, [f / "rows" for f in folders if f.name != MEANINGLESS], everything)
    if failed:
        raise ConfigError(" ".join(failed))
