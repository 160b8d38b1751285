r"""Numbers measured by others: results/submitted/*.json, each row checked before it stands on the page.

    leangan submit check results/submitted
    leangan submit write --rows results/paper/rows/<run>/ada.jsonl \
        --by "A. Author" --url https://example.org/paper --out results/submitted/mine.json

`check` lists what is not accepted and why. `write` makes a submission from a file of rows. Both refuse rows of scale
smoke, whose numbers mean nothing. Measured rows state the sha256 of their snapshots, so a submission does, too.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError, check_names
from leangan.core.files import parse_json, write_atomic
from leangan.core.schemas import Number, Record, Text, parse
from leangan.core.spec import SCHEME
from leangan.core.yaml_files import read
from leangan.metrics.families import compared_with, known_families
from leangan.metrics.protocols import read_protocol
from leangan.results.metric_names import check_metric
from leangan.results.scale_notes import check_meaning
from leangan.runs import rows
from leangan.runs.row import Provenance, Row, UsedProtocol
from leangan.runs.rows import check_family


class Submission(Record):
    """One file of results/submitted/: numbers measured by others."""

    submitted_by: Annotated[str, Field(min_length=1, max_length=100)]
    """Who measured."""

    url: Annotated[str, Field(pattern="^https://[^ ]+$")]
    """Where the numbers are described."""

    rows: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """The rows, see claim.schema.yaml."""


class ClaimedProtocol(UsedProtocol):
    """The protocol of a submitted row."""

    extractor: str
    """The network that made features of the images."""

    library: Text
    """The package, with its version, whose numbers these are."""


class ClaimedProvenance(Provenance):
    """The provenance of a submitted row."""

    commit: Annotated[str, Field(pattern="^[0-9a-f]{7,40}$")]
    """The commit of the code."""

    device: Text
    """The name of the GPU or the processor."""

    time_utc: Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T")]
    """When training ended."""


class Claim(Row):
    """A row of a submission: it has a number, and states what rows of this project may leave open."""

    value: Number
    """The number."""

    n_fake: Annotated[int, Field(ge=1)]
    """How many images were generated."""

    protocol: ClaimedProtocol
    """How it was measured."""

    provenance: ClaimedProvenance
    """Where it comes from."""


def read_submissions(folder: Path) -> tuple[list[Claim], list[str]]:
    """(rows, rejections) of all files in `folder`; a rejection says in one line which row and why.

    A rejected row leaves the others of its file in place, and a broken file the other files.
    """
    accepted: dict[tuple, tuple[str, Claim]] = {}
    rejections = []
    for path in sorted(folder.glob("*.json")):
        try:
            submission = json.loads(path.read_bytes())
            parse(Submission, submission, str(path))
            parse_json(json.dumps({**submission, "rows": []}))
        except ConfigError as error:
            rejections.append(str(error))
            continue
        except (ValueError, RecursionError) as error:
            rejections.append(f"{path} is not valid JSON: {error}.")
            continue
        author = {"source": "submitted", "submitted_by": submission["submitted_by"], "url": submission["url"]}
        for number, content in enumerate(submission["rows"], 1):
            where = f"{path}, row {number}"
            try:
                claim = parse_claim({**content, **author}, where)
                key = claim.submitted_by, claim.run, claim.protocol.name, claim.metric, claim.kimg
                if key in accepted:
                    raise ConfigError(f"{where} repeats {accepted[key][0]}: {claim.metric} of {claim.run}.")
                accepted[key] = where, claim
            except ConfigError as error:
                rejections.append(str(error))
            except OverflowError as error:
                rejections.append(f"{where}: {error}.")
    return [claim for _, claim in accepted.values()], rejections


def parse_claim(content: dict[str, Any], where: str) -> Claim:
    """The row with this content.

    ConfigError unless it is complete and its number is what its protocol measures, at a scale where that has a meaning.
    """
    if isinstance(value := content.get("value"), float) and not math.isfinite(value):
        raise ConfigError(f"{where}: value is {value:g}, which is no result.")
    try:
        content = parse_json(json.dumps(content))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.") from None
    if (scheme := content.get("scheme", 1)) != SCHEME:
        raise ConfigError(
            f"{where}: its scheme is {scheme!r}, must be {SCHEME}. The same training has another id now: train and "
            "measure it again. A row written by hand only needs the new number."
        )
    check_family(content, where)
    row = parse(Claim, content, where)
    stated = row.protocol
    check_names("protocol", [stated.name], read("config/protocols.yaml"), where)
    protocol = read_protocol(stated.name)
    check_names(f"metric of protocol {stated.name}", [row.family], protocol.metrics, where)
    expected = {
        "protocol.extractor": (stated.extractor, protocol.extractor),
        "proxy": (row.proxy, protocol.proxy),
        "reference": (row.reference, compared_with(row.family, protocol.reference)),
    }
    for what, (given, wanted) in expected.items():
        if given != wanted:
            raise ConfigError(f"{where}: {what} is {given!r}, must be {wanted!r} under protocol {stated.name}.")
    check_metric(row, where)
    check_meaning(row, where)
    low, high = known_families()[row.family].limits
    if not low <= row.value <= high:
        raise ConfigError(f"{where}: {row.metric} is {row.value:g}, which lies outside {low} to {high}.")
    return row


def write(rows_file: Path, by: str, url: str, out: Path) -> None:
    """Write a submission with the rows of `rows_file`; ConfigError where one would not be accepted.

    Rows without a number are left out.
    """
    measured = (row.model_dump(mode="json", exclude_unset=True) for row in rows.read(rows_file) if row.status == "done")
    claims = [{**content, "source": "submitted"} for content in measured]
    submission = {"submitted_by": by, "url": url, "rows": claims}
    parse(Submission, submission, f"{rows_file} or the command line")
    for number, claim in enumerate(claims, 1):
        parse_claim(claim, f"{rows_file}, number {number}")
    write_atomic(out, json.dumps(submission, indent=1) + "\n")


def main(argv: list[str] | None = None) -> int:
    parser = command_parser(
        "submit",
        "Check or write numbers measured by others, for the leaderboard.",
        reads="check: the *.json of a folder. write: the rows (JSONL) of one run.",
        writes="check: a line for each row that is not accepted, then counts. write: the submission --out.",
        exit_codes={"1": "an error, described in one line, or a row that check does not accept"},
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="list what is not accepted; exit code 1 if there is any")
    checking.add_argument("folder", type=Path, help="folder of submissions: results/submitted")
    writing = commands.add_parser("write", help="make a submission from a file of rows")
    for each in (checking, writing):
        each.epilog, each.formatter_class = parser.epilog, parser.formatter_class
    writing.add_argument("--rows", type=Path, required=True, metavar="JSONL", help="rows of one run")
    writing.add_argument("--by", required=True, metavar="NAME", help="who measured")
    writing.add_argument("--url", required=True, help="https address of the paper or code")
    writing.add_argument("--out", type=Path, required=True, metavar="JSON", help="the submission to write")
    args = parser.parse_args(argv)
    if args.command == "write":
        write(args.rows, args.by, args.url, args.out)
        return 0
    if not args.folder.is_dir():
        raise ConfigError(f"there is no folder {args.folder}: name that of the submissions, results/submitted")
    accepted, rejections = read_submissions(args.folder)
    for rejection in rejections:
        print(f"not accepted: {rejection}")
    print(f"{len(accepted)} rows accepted, {len(rejections)} rejections")
    return 1 if rejections else 0
