"""What goes into version control: small pictures within their bound, refusals in words, and what git then tracks."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec, snapshot_name
from leangan.metrics.protocols import read_protocol
from leangan.results import keep
from leangan.results.sample_grids import grid_path, read_grid, reals_path
from leangan.runs.config import read_scale
from leangan.runs.rows import without_value
from tests.helpers.synthetic import KIMG, SPECS, images, lacking_row, row, spec, write_rows, write_spec

KILOBYTE = 1000
HOURS = read_scale("hours")


def noise(resolution: int, square: int) -> Image.Image:
    """A grid of 6 x 12 cells of random colours, each `square` pixels wide: what compresses worst."""
    cells = np.random.default_rng(0).integers(0, 256, (6 * resolution // square, 12 * resolution // square, 3))
    return Image.fromarray(cells.astype(np.uint8).repeat(square, 0).repeat(square, 1))


def noisy_run(folder: Path, resolution: int, square: int) -> RunSpec:
    """A run of the length of the scale hours in the folder `hours`: rows of every snapshot, log, pictures of noise."""
    families = read_protocol("proxy-test").metrics
    stated = dataclasses.replace(
        SPECS[0], resolution=resolution, total_kimg=HOURS.kimg, snapshot_kimg=HOURS.snapshot_kimg
    )
    snapshots = [nimg / 1000 for nimg in stated.snapshot_nimgs()]
    rows = [row("none", 0, family, kimg, 0.5, of=stated) for kimg in snapshots for family in families]
    write_rows(folder, [*rows])
    write_spec(folder, stated)
    of_run = folder / "rows" / stated.run_id
    (of_run / "train.jsonl").write_text(60 * (json.dumps({"as long as": "a line" + 300 * "."}) + "\n"))
    (of_run / "samples").mkdir()
    noise(resolution, square).save(of_run / "samples/reals.png", compress_level=1)
    for nimg in stated.snapshot_nimgs():
        (of_run / f"samples/{snapshot_name(nimg)}.png").hardlink_to(of_run / "samples/reals.png")
    return stated


@pytest.mark.parametrize("resolution, square", [(32, 1), (64, 1), (256, 4), (1024, 16)])
def test_a_run_of_hours_stays_under_300_kilobytes_even_with_pictures_of_noise(tmp_path, capsys, resolution, square):
    """Squares of colour that are one pixel each in the small picture: finer noise would be averaged away."""
    stated = noisy_run(tmp_path / "hours", resolution, square)
    keep.main(["--scale", "hours", "--results", str(tmp_path)])
    folder = tmp_path / "hours/rows" / stated.run_id
    assert sorted(path.name for path in folder.glob("samples/*.webp")) == ["000120.000.webp", "reals.webp"]
    files = [*folder.glob("*.json*"), *folder.glob("samples/*.webp")]
    assert len(files) == 5
    total = sum(path.stat().st_size for path in files)
    assert total < 300 * KILOBYTE
    assert f"{stated.run_id}: {total / KILOBYTE:.0f} kB\n1 runs: {total / KILOBYTE:.0f} kB\n" in capsys.readouterr().out
    for path in folder.glob("samples/*.png"):
        path.unlink()
    grid = read_grid(reals_path(folder.parents[1], stated.run_id), resolution)
    assert grid.shape == (6, 12, 3, min(resolution, 64), min(resolution, 64))


def smooth(resolution: int) -> np.ndarray:
    """A grid of 6 x 12 cells, float [H, W, 3]: coarse colours, another pattern in each cell."""
    coarse = np.random.default_rng(1).integers(0, 256, (12 * 4, 24 * 4, 3)).astype(np.uint8)
    size = (12 * resolution, 6 * resolution)
    return np.asarray(Image.fromarray(coarse[::2, ::2]).resize(size, Image.Resampling.BICUBIC), float)


@pytest.mark.parametrize("resolution, at_least_db", [(32, 32), (256, 36)])
def test_cells_look_as_they_did_or_are_means_of_squares_of_pixels(tmp_path, resolution, at_least_db):
    pixels = smooth(resolution)
    content = keep.shrink(Image.fromarray(pixels.astype(np.uint8)), resolution)
    (tmp_path / "g.webp").write_bytes(content)
    kept = read_grid(tmp_path / "g.webp", resolution).transpose(0, 3, 1, 4, 2).astype(float)
    factor = max(1, resolution // 64)
    means = pixels.astype(np.uint8).reshape(6 * resolution // factor, factor, 12 * resolution // factor, factor, 3)
    error = np.mean((kept.reshape(6 * resolution // factor, -1, 3) - means.mean((1, 3))) ** 2)
    assert 10 * np.log10(255**2 / error) > at_least_db


def test_the_png_of_training_goes_before_the_webp(tmp_path):
    samples = tmp_path / "r" / "samples"
    samples.mkdir(parents=True)
    assert grid_path(tmp_path, "r", 20.0) is reals_path(tmp_path, "r") is None
    (samples / "000020.000.webp").touch()
    assert grid_path(tmp_path, "r", 20.0) == samples / "000020.000.webp"
    (samples / "000020.000.png").touch()
    assert grid_path(tmp_path, "r", 20.0) == samples / "000020.000.png"
    assert grid_path(tmp_path, "r", 2.0) is None


@pytest.mark.parametrize(
    "dataset, family, kept",
    [
        ("elpv-mono", "fd", "reals"),
        ("cifar10", "fd", "000010.000"),  # 3 is the lowest distance
        ("mine", "recall", "000015.000"),  # 9 is the highest recall
    ],
)
def test_training_images_are_copied_only_of_sets_that_come_with_the_installation(dataset, family, kept):
    values = {5.0: 5.0, 10.0: 3.0, 15.0: 9.0, 20.0: 4.0}
    content = [row("none", 0, name, kimg, value) for name in (family, "kd") for kimg, value in values.items()]
    assert keep.second_picture(dataset, content) == kept


@pytest.fixture
def scale(demo, tmp_path, monkeypatch) -> Path:
    """results/paper, the current folder's: the made-up experiment with all its pictures."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo / "rows", "results/paper/rows")
    return Path("results/paper")


def states(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_second_call_changes_nothing_and_a_new_picture_is_taken(scale, capsys):
    keep.main(["--scale", "paper"])
    before, said = states(scale), capsys.readouterr().out
    keep.main(["--scale", "paper"])
    assert states(scale) == before and capsys.readouterr().out == said
    samples = scale / "rows" / SPECS[0].run_id / "samples"
    shutil.copy(samples / "000002.500.png", samples / "000020.000.png")
    os.utime(samples / "000020.000.png", (2e9, 2e9))
    keep.main(["--scale", "paper"])
    changed = {Path(path).name for path, state in states(scale).items() if before[path] != state}
    assert changed == {"000020.000.png", "000020.000.webp"}


def test_a_clone_keeps_what_it_has(scale, capsys):
    """Without a PNG nothing is written; a run that never had pictures is said to have none."""
    keep.main(["--scale", "paper"])
    for path in [*scale.rglob("*.png"), *(scale / "rows" / SPECS[0].run_id / "samples").glob("*.webp")]:
        path.unlink()
    before = states(scale)
    capsys.readouterr()
    keep.main(["--scale", "paper"])
    assert states(scale) == before
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if "without pictures" in line] == [
        SPECS[0].run_id
    ]


def replaced(folder: Path, **provenance) -> None:
    """Other provenance in all rows of a run."""
    path = folder / "proxy.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**x, "provenance": {**x["provenance"], **provenance}}) + "\n" for x in lines))


REFUSED = {
    "changed code": (lambda folder: replaced(folder, dirty=True), "trained by code that no commit describes"),
    "no checkout": (lambda folder: replaced(folder, commit=None, dirty=None), "trained by code that no commit"),
    "begun outside one": (lambda folder: replaced(folder, earlier_commits=["unknown"]), "code that no commit"),
    "not measured": (lambda folder: (folder / "proxy.jsonl").unlink(), "not trained or not measured yet"),
    "trained again": (lambda folder: (folder / "train.jsonl").unlink(), "its train.jsonl is missing"),
    "no spec": (lambda folder: (folder / "spec.json").unlink(), "its spec.json is missing"),
    "half a row": (lambda folder: (folder / "proxy.jsonl").write_text('{"run": '), "proxy.jsonl, line 1: not valid"),
    "half a picture": (
        lambda folder: (folder / "samples/reals.png").write_bytes(b"\x89PNG"),
        "reals.png is no whole picture",
    ),
    "half a spec": (lambda folder: (folder / "spec.json").write_text("{"), "spec.json is damaged"),
    "another run's spec": (
        lambda folder: shutil.copy(folder.parent / SPECS[1].run_id.split("/")[1] / "spec.json", folder),
        "belongs to run",
    ),
}


@pytest.mark.parametrize("damage, words", REFUSED.values(), ids=REFUSED)
def test_a_run_is_left_out_for_a_reason(scale, capsys, damage, words):
    folder = scale / "rows" / SPECS[0].run_id
    damage(folder)
    keep.main(["--scale", "paper"])
    said = capsys.readouterr().out
    assert f"{len(SPECS) - 1} runs: " in said and said.count("left out: ") == 1
    (line,) = (line for line in said.splitlines() if line.startswith(f"left out: {SPECS[0].run_id}: "))
    assert words in line
    assert not list(folder.glob("samples/*.webp"))
    assert said.splitlines()[-1] == (f"Now: git add results/paper ':(exclude)results/paper/rows/{SPECS[0].run_id}'")


def test_a_run_that_diverged_or_was_skipped_is_a_result_and_one_with_an_error_is_none(scale, capsys):
    ended = {"lecam": "diverged", "bcr": "skip", "zcr": "error"}
    for method, status in ended.items():
        of = spec(method)
        provenance = row("none", 0, "fd", 1.0, 1.0).provenance.model_dump(mode="json") if status == "diverged" else None
        write_rows(scale, [without_value(of, "proxy", status, "for a reason", provenance)])
    write_spec(scale, spec("lecam"))
    (scale / "rows" / spec("lecam").run_id / "train.jsonl").touch()
    keep.main(["--scale", "paper"])
    said = capsys.readouterr().out
    for method in ("lecam", "bcr"):
        assert any(line.startswith(f"{spec(method).run_id}: ") for line in said.splitlines())
    assert f"left out: {spec('zcr').run_id}: it ended with an error: for a reason" in said


def test_a_run_of_which_a_metric_has_no_value_or_failed_is_a_result(scale, capsys):
    for status in ("skip", "error"):
        rows = [lacking_row("none", 0, "fd", KIMG[0], "for a reason", status), row("none", 0, "recall", KIMG[0], 0.5)]
        write_rows(scale, rows)
        keep.main(["--scale", "paper"])
        assert f"{rows[0].run}: " in (said := capsys.readouterr().out) and f"left out: {rows[0].run}" not in said


def test_a_run_of_which_no_metric_has_a_value_is_left_out(scale, capsys):
    """A clone would train it again, since nothing there is taken for a number."""
    families = ("fd", "recall")
    rows = [lacking_row("none", 0, family, KIMG[0], f"{family} fails", "error") for family in families]
    write_rows(scale, rows)
    keep.main(["--scale", "paper"])
    assert f"left out: {rows[0].run}: no metric has a value: fd fails\n" in capsys.readouterr().out
    write_rows(scale, [lacking_row("none", 0, "fd", KIMG[0], "not finite", "diverged")])
    keep.main(["--scale", "paper"])
    assert f"left out: {rows[0].run}" not in capsys.readouterr().out


def test_the_best_picture_is_chosen_by_the_first_metric_that_has_a_value():
    content = [lacking_row("none", 0, "fd", kimg, "why") for kimg in (5.0, 10.0)]
    assert keep.second_picture("mine", content) is None
    content += [row("none", 0, "recall", kimg, kimg / 20) for kimg in (5.0, 10.0)]
    assert keep.second_picture("mine", content) == "000010.000"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--scale", "smoke"], "smoke do not go into version control: its numbers mean nothing"),
        (["--scale", "demo"], "demo do not go into version control: `make reproduce` trains it"),
        (["--scale", "papr"], "unknown scale 'papr'. Did you mean 'paper'?"),
        (["--scale", "day"], "results/day/rows has no runs. Train some: snakemake --cores all all --config scale=day"),
        (["--scale", "paper", "elpv-32/stylegan2-adda-s0-1"], "unknown run 'elpv-32/stylegan2-adda-s0-1'. Did you"),
    ],
)
def test_what_makes_no_sense_is_refused(scale, arguments, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.").replace("?", r"\?")):
        keep.main(arguments)


def test_where_nothing_can_be_kept_the_command_fails(tmp_path):
    write_spec(tmp_path / "day", SPECS[0])
    with pytest.raises(ConfigError, match="no run of the scale day can go into version control"):
        keep.main(["--scale", "day", "--results", str(tmp_path)])


def git(*arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()


def test_git_then_tracks_exactly_spec_log_rows_and_two_pictures_of_each_run_that_is_not_left_out(scale, capsys):
    shutil.copy(ROOT / ".gitignore", ".gitignore")
    git("init", "-q")
    left_out = SPECS[0].run_id
    replaced(scale / "rows" / left_out, dirty=True)
    for each in SPECS:
        folder = scale / "rows" / each.run_id
        for name in ("samples/strips.png", "samples/gradients-000020.000.png", "neighbours-proxy.png"):
            Image.new("L", (64, 64)).save(folder / name)
        for name in ("samples/.snakemake_timestamp", "spec.json.tmp", ".proxy.jsonl.x.leangan.tmp"):
            (folder / name).touch()
    for name in ("tables/demo.md", "tables/demo.csv", "figures/demo/curves.svg", "page/index.html", "logs/train.log"):
        (scale / name).parent.mkdir(parents=True, exist_ok=True)
        (scale / name).touch()
    (scale / "runs/x").mkdir(parents=True)
    (scale / "runs/x/train.json").touch()
    keep.main(["--scale", "paper"])
    subprocess.run(shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("Now: ")), check=True)
    files = ("spec.json", "train.jsonl", "proxy.jsonl", "samples/000020.000.webp", "samples/reals.webp")
    runs = [each.run_id for each in SPECS if each.run_id != left_out]
    assert set(git("ls-files")) == {f"results/paper/rows/{run}/{file}" for run in runs for file in files}
    # One run by its name.
    git("rm", "-rq", "--cached", ".")
    keep.main(["--scale", "paper", runs[0]])
    subprocess.run(shlex.split(capsys.readouterr().out.splitlines()[-1].removeprefix("Now: ")), check=True)
    assert set(git("ls-files")) == {f"results/paper/rows/{runs[0]}/{file}" for file in files}


def test_smoke_demo_and_the_page_of_all_scales_are_ignored_and_the_rest_of_results_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / ".gitignore", ".gitignore")
    git("init", "-q")
    rows = "rows/elpv-32/a/proxy.jsonl"
    ignored = [f"results/smoke/{rows}", f"results/demo/{rows}", "results/page/index.html", "results/day/results.csv"]
    tracked = ["results/README.md", "results/published/published.csv", "results/submitted/a.json"]
    tracked += [f"results/{scale}/{rows}" for scale in ("minutes", "hours", "day", "paper")]
    asked = subprocess.run(["git", "check-ignore", *ignored, *tracked], capture_output=True, text=True)
    assert asked.stdout.splitlines() == ignored


def test_kept_pictures_of_grey_images_stay_grey(tmp_path):
    cells = images(np.random.default_rng(0), 72)[:, 0].reshape(6, 12, 32, 32).transpose(0, 2, 1, 3).reshape(192, 384)
    (tmp_path / "g.webp").write_bytes(keep.shrink(Image.fromarray(cells), 32))
    grid = read_grid(tmp_path / "g.webp", 32).astype(int)
    assert np.ptp(grid, axis=2).max() <= 2
