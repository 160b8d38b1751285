"""What of a scale's runs goes into version control: spec, log and rows as they are, two pictures as small WebPs.

    leangan keep --scale hours

Writes, for each finished run in results/<scale>/rows (or those named), the WebP of the last snapshot and that of the
training images, or of the best snapshot where the training images are not ours to copy; all other pictures, and what is
rendered from rows, `.gitignore` keeps out. Names the runs that are left out, and ends with the git command to give.
Pictures that are written already stay as they are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError, unknown_name
from leangan.core.files import write_atomic
from leangan.core.project import check_checkout
from leangan.core.provenance import UNKNOWN
from leangan.core.spec import snapshot_name
from leangan.core.yaml_files import read
from leangan.data.known_sets import known_sets
from leangan.metrics.families import known_families
from leangan.results.collect import read_file
from leangan.results.measured_runs import failure
from leangan.results.sample_grids import KEPT_PX, read_picture, webp
from leangan.results.spec_file import NAME, SpecFile, read_spec
from leangan.runs.row import Provenance, Row

PICTURE_BYTES = 80_000
"""The most that one picture takes: with log and rows of a hundred kilobytes a run stays under 300."""

QUALITIES = range(90, -1, -10)
"""Tried from the first on until the picture fits. Only random noise in cells of KEPT_PX pixels needs the last."""

NOT_KEPT = {
    "smoke": "its numbers mean nothing",
    "demo": "`make reproduce` trains it, which rows in version control would keep it from",
}


def shrink(picture: Image.Image, resolution: int) -> bytes:
    """A grid of images of `resolution` pixels as a WebP of PICTURE_BYTES at most, its cells at most KEPT_PX wide.

    It keeps all cells. Cells of up to KEPT_PX pixels keep their size; larger ones become means over squares of pixels.
    """
    picture = picture.reduce(max(1, resolution // KEPT_PX))
    tries = (webp(picture, quality) for quality in QUALITIES)
    return next(content for content in tries if len(content) <= PICTURE_BYTES)


def second_picture(dataset: str, content: list[Row]) -> str | None:
    """The name of the second picture that is kept, after the last snapshot's, for a run with the rows `content`.

    Training images are copied only of sets that come with the installation, whose licence allows it. For other sets it
    is the picture of the snapshot that is best by the first metric with a value; None where no snapshot has a number.
    """
    known = known_sets().get(dataset)
    if known is not None and known.kind == "embedded":
        return "reals"
    judge = next((row for row in content if row.value is not None), None)
    if judge is None:
        return None
    points = ((row.kimg, row.value) for row in content if row.metric == judge.metric)
    values = {kimg: value for kimg, value in points if kimg is not None and value is not None}
    best = (max if known_families()[judge.family].higher_is_better else min)(values, key=values.__getitem__)
    return snapshot_name(round(best * 1000))


def write_pictures(samples: Path, second: str | None, resolution: int) -> None:
    """Write the WebPs of the last snapshot and of the `second` picture next to their PNGs, where there are any.

    A WebP that is newer than its PNG is left as it is. Where one is damaged (ConfigError), none is written.
    """
    sources = dict.fromkeys([*sorted(samples.glob("[0-9]*.png"))[-1:], *samples.glob(f"{second}.png")])
    targets = {source: source.with_suffix(".webp") for source in sources}
    new = [source for source, target in targets.items()
           if not target.exists() or target.stat().st_mtime < source.stat().st_mtime]  # fmt: skip
    for source, picture in [(source, read_picture(source)) for source in new]:
        write_atomic(targets[source], shrink(picture, resolution))


def reason_against(folder: Path, content: list[Row], stated: SpecFile | None) -> str | None:
    """Why the run in a folder, with these rows and this spec.json, does not go into version control; None: it does.

    A run that diverged or was skipped is a result, and so is one of which some metric has no value or failed. One of
    which none has a value would be trained and measured again in every clone. Raises ConfigError where a file is
    damaged.
    """
    if not content:
        return "it has no rows: it is not trained or not measured yet"
    if stated is not None:
        stated.check(content)
    failed = failure(content)
    if failed and failed.status == "error":
        return f"it ended with an error: {failed.reason}"
    if failed and failed.status == "skip":
        return None
    if failed is None and all(row.value is None for row in content):
        return f"no metric has a value: {content[0].reason}"
    for name in (NAME, "train.jsonl"):
        if not (folder / name).exists():
            return f"its {name} is missing: it is being trained again, or was only copied in part"
    return _without_commit(row.provenance for row in content)


def _without_commit(provenances: Iterable[Provenance]) -> str | None:
    for stated in provenances:
        if stated.dirty is not False or UNKNOWN in (stated.commit or UNKNOWN, *stated.earlier_commits):
            return "it was trained by code that no commit describes. Commit that code and train it again"
    return None


def tracked_bytes(folder: Path) -> int:
    """The size of what is tracked of a run."""
    kinds = (NAME, "*.jsonl", "samples/*.webp")
    return sum(path.stat().st_size for kind in kinds for path in folder.glob(kind))


def keep(folder: Path) -> str | None:
    """Write the pictures of the run in a folder of rows; or nothing, and give the reason against it."""
    try:
        files = [path for path in sorted(folder.glob("*.jsonl")) if path.name != "train.jsonl"]
        stated, content = read_spec(folder), [row for file in files for row in read_file(file)]
        reason = reason_against(folder, content, stated)
        if stated is not None and reason is None:
            write_pictures(folder / "samples", second_picture(stated.spec.dataset, content), stated.spec.resolution)
    except ConfigError as error:
        return str(error)
    return reason


def folders_of(scale: str, runs: list[str], results: Path) -> list[Path]:
    """The folders of the runs named, or of all that the scale has. Raises ConfigError where there is none."""
    if scale not in read("config/scales.yaml"):
        raise unknown_name("scale", scale, read("config/scales.yaml"), "--scale (make keep SCALE=...)")
    if scale in NOT_KEPT:
        raise ConfigError(f"Rows of the scale {scale} do not go into version control: {NOT_KEPT[scale]}.")
    of_scale = results / scale / "rows"
    known = {path.relative_to(of_scale).as_posix(): path for path in sorted(of_scale.glob("*/*")) if path.is_dir()}
    if not known:
        raise ConfigError(f"{of_scale} has no runs. Train some: snakemake --cores all all --config scale={scale}")
    for run in runs:
        if run not in known:
            raise unknown_name("run", run, known, "the command line")
    return [known[run] for run in dict.fromkeys(runs)] if runs else list(known.values())


def git_command(scale: Path, kept: list[Path], left_out: list[Path], chosen: bool) -> str:
    """What to type: the folder of the scale without the runs left out, or the runs that were chosen."""
    if chosen:
        return shlex.join(["git", "add", *map(Path.as_posix, kept)])
    return shlex.join(["git", "add", scale.as_posix(), *(f":(exclude){path.as_posix()}" for path in left_out)])


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "keep",
        "Write the small pictures of runs that go into version control.",
        reads="results/<scale>/rows.",
        writes="One or two WebPs per run in its samples/; the git command to give next is printed.",
    )
    parser.add_argument("--scale", required=True, help="a name in config/scales.yaml")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="<dataset>-<images>/<run>; left out: all of the scale")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    args = parser.parse_args(argv)
    check_checkout("leangan keep")
    folders = folders_of(args.scale, args.runs, args.results)
    reasons = {folder: keep(folder) for folder in folders}
    kept = [folder for folder, reason in reasons.items() if reason is None]
    for folder in kept:
        pictures = "" if list(folder.glob("samples/*.webp")) else ", without pictures"
        print(f"{_name(folder)}: {tracked_bytes(folder) / 1000:,.0f} kB{pictures}")
    print(f"{len(kept)} runs: {sum(map(tracked_bytes, kept)) / 1000:,.0f} kB")
    left_out = [folder for folder, reason in reasons.items() if reason is not None]
    for folder in left_out:
        print(f"left out: {_name(folder)}: {reasons[folder]}")
    if not kept:
        raise ConfigError(f"no run of the scale {args.scale} can go into version control.")
    print(f"Now: {git_command(args.results / args.scale, kept, left_out, bool(args.runs))}")


def _name(folder: Path) -> str:
    return "/".join(folder.parts[-2:])
