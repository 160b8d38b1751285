"""The figures of leaks, gradients and interpolations, drawn from made-up numbers and pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.artefacts.artefact import Artefact, load_artefact
from leangan.artefacts.figures import gradients, leak, strips
from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec, snapshot_name
from leangan.results.sample_grids import read_grid
from leangan.results.table import read_results
from leangan.runs.config import artefact, configured
from leangan.runs.grid import expand
from tests.helpers.made_up import kimgs, write

CONFIG = configured(scale="demo", methods=[], datasets={}, images=[])


def made(folder: Path, name: str, failed: dict | None = None) -> tuple[Artefact, list[RunSpec]]:
    """The artefact with a number for every run but those in `failed`, by method."""
    specs = expand(name, CONFIG)
    missing = {spec.run_id: failed[spec.method] for spec in specs if spec.method in (failed or {})}
    write(folder, name, specs, "demo", missing)
    layout = artefact(name).layout.model_copy(update={"published": None})
    content = artefact(name).model_copy(update={"layout": layout})
    return load_artefact(name, content, specs, read_results(folder / "results.csv")), specs


def test_leak_rates_stand_at_their_p(tmp_path):
    drawn, _specs = made(tmp_path, "ada-fig3", {"da-color-0.4": ("diverged", "not finite"), "da-scale-0.2": None})
    figure = leak.draw(drawn, tmp_path / "rows")
    assert [ax.get_title() for ax in figure.axes] == ["Leaked orientation", "Leaked hue", "Leaked scale"]
    for ax, column in zip(figure.axes, drawn.columns, strict=True):
        lines = {line.get_label(): line for line in ax.lines}
        (baseline,) = column.finished_runs("none")
        assert set(lines["no augmentation"].get_ydata()) == {baseline.final}
        for label, group in (("isotropic scaling", "scale"), ("90-degree rotations", "rotate90")):
            x, y = lines[label].get_data()
            assert list(x) == [p for p in (0.2, 0.4, 0.6, 0.8, 0.9, 1.0) if (group, p) != ("scale", 0.2)]
            assert list(y) == [column.finished_runs(f"da-{group}-{p}")[0].final for p in x]
        assert list(lines["colour transforms"].get_xdata()) == [0.2, 0.6, 0.8, 0.9, 1.0]


def test_the_legend_of_leak_rates_names_only_what_is_drawn(tmp_path):
    none_of_colour = {f"da-color-{p}": None for p in (0.2, 0.4, 0.6, 0.8, 0.9, "1.0")}
    drawn, _ = made(tmp_path, "ada-fig3", none_of_colour)
    (legend,) = leak.draw(drawn, tmp_path / "rows").legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert sorted(labels) == ["90-degree rotations", "isotropic scaling", "no augmentation"]


def test_augmentation_and_p_come_from_the_arguments():
    strengths = {spec.method: leak.strength(spec) for spec in expand("ada-fig3", CONFIG)}
    assert strengths.pop("none") is None
    for method, (augmentation, p) in strengths.items():
        assert re.fullmatch(rf"da-{augmentation}-{p}", method)
    # Another artefact's methods: two plugins, a controller, no p given.
    others = {spec.method: leak.strength(spec) for spec in expand("ada-fig7", CONFIG)}
    assert set(others.values()) == {None}


def write_pictures(folder: Path, specs: list[RunSpec]) -> None:
    """Per snapshot images and gradients, all of one shade: 10 plus the snapshot's number; strips of 77."""
    for spec in specs:
        px, samples = spec.resolution, folder / "rows" / spec.run_id / "samples"
        for number, kimg in enumerate(kimgs(spec)):
            picture = Image.fromarray(np.full((2 * px, 8 * px), 10 + number, np.uint8))
            picture.save(samples / f"gradients-{snapshot_name(round(kimg * 1000))}.png")
        Image.fromarray(np.full((6 * px, 12 * px), 77, np.uint8)).save(samples / "strips.png")


def shade(ax) -> int:
    return int(np.asarray(ax.images[0].get_array()).min())


def test_gradients_show_the_first_the_middle_and_the_last_snapshot(tmp_path):
    drawn, specs = made(tmp_path, "demo", {"da": ("skip", "of no use")})
    write_pictures(tmp_path, specs[:2] + specs[3:])
    figure = gradients.draw(drawn, tmp_path / "rows")
    lines = [figure.axes[i : i + 3] for i in range(0, len(figure.axes), 3)]
    assert [line[0].get_ylabel() for line in lines] == ["Baseline", "DiffAugment", "ADA"]
    at = kimgs(specs[0])
    for line in lines:
        assert [shade(ax) for ax in line] == [10, 12, 13]
        assert [ax.get_xlabel() for ax in line] == [f"{kimg:g} kimg" for kimg in (at[0], at[2], at[3])]


def test_strips_have_a_line_per_method(tmp_path):
    drawn, specs = made(tmp_path, "demo", {"ada": ("diverged", "not finite")})
    write_pictures(tmp_path, specs[:3])
    figure = strips.draw(drawn, tmp_path / "rows")
    assert [ax.get_ylabel() for ax in figure.axes] == ["Baseline", "DiffAugment", "DA"]
    for ax in figure.axes:
        picture = ax.images[0].get_array()
        # Two of the six strips, 12 images and 11 white lines between them.
        assert picture.shape[:2] == (2 * 32 + 1, 12 * 32 + 11) and shade(ax) == 77


def test_half_a_picture_is_named(tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "grid.png")
    assert read_grid(tmp_path / "grid.png", 32).shape == (2, 2, 1, 32, 32)
    whole = (tmp_path / "grid.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"GIF", b""):
        (tmp_path / "grid.png").write_bytes(content)
        with pytest.raises(ConfigError, match=r"grid\.png is no whole picture"):
            read_grid(tmp_path / "grid.png", 32)


@pytest.mark.parametrize("draw, what", [(gradients.draw, "gradients"), (strips.draw, "interpolations")])
def test_runs_without_pictures_are_said_to_have_none(tmp_path, draw, what):
    drawn, _ = made(tmp_path, "demo")
    assert what in draw(drawn, tmp_path / "rows").texts[0].get_text()
