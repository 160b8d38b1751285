"""Every artefact of config/artefacts end to end: its runs expand, rows are made up, its table and figures follow."""

from __future__ import annotations

import csv
import re
import shutil
import statistics
import subprocess
from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from leangan.artefacts import render
from leangan.artefacts.artefact import Artefact, load_artefact
from leangan.artefacts.table_formats import latex, markdown
from leangan.artefacts.tables import build_table, measure_table
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.metrics.families import known_families
from leangan.results.published import read_published
from leangan.results.table import read_results
from leangan.runs.config import artefact, artefact_names, configured, read_scale
from leangan.runs.grid import expand
from tests.helpers import made_up

PUBLISHED = ROOT / "results/published/published.csv"
EMBEDDED = {"datasets": {"elpv": {"resolution": 32}}}
FAILED = [None, ("diverged", "loss_d is nan at 12 kimg"), ("skip", "needs labels")]


@pytest.fixture(scope="module", autouse=True)
def cheap():
    """One grid of images for all runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_up, "grid", cache(made_up.grid))
        yield


def specs_of(name: str, scale: str, **changes) -> list[RunSpec]:
    return expand(name, configured(scale=scale, **changes))


def failing(specs: list[RunSpec]) -> dict[str, tuple[str, str] | None]:
    """One run that has not begun, one that diverged and one that was refused, where there are enough."""
    return dict(zip([spec.run_id for spec in specs[1::3]], FAILED, strict=False)) if len(specs) > 5 else {}


def load_made_up(name: str, specs: list[RunSpec], folder, scale: str) -> Artefact:
    results, reported = read_results(folder / "results.csv"), read_published(PUBLISHED)
    return load_artefact(name, artefact(name), specs, results, reported, read_scale(scale).fakes)


@pytest.mark.parametrize("name", artefact_names())
def test_table_and_figures_on_the_embedded_photographs(name, tmp_path):
    """Figures are drawn and not written: what test_render.py and test_sweeps.py write is written alike here."""
    own = {} if name == "ada-fig3" else EMBEDDED
    specs = specs_of(name, "demo", **own)
    failed = failing(specs)
    made_up.write(tmp_path, name, specs, "demo", failed)
    for picture in list((tmp_path / "rows").glob("*/*/samples/*.png")):
        other = "strips.png" if picture.stem == "reals" else f"gradients-{picture.name}"
        picture.with_name(other).hardlink_to(picture)
    content = load_made_up(name, specs, tmp_path, "demo")
    render.write_table(content, tmp_path / "rows", tmp_path / name)
    printed = (tmp_path / f"{name}.md").read_text()
    for status in {status[0] if status else "not yet run" for status in failed.values()}:
        assert status in printed
    assert "No run has finished" not in printed
    for kind, methods in artefact(name).figures.items():
        module, shown = render.figure_module(kind), content if methods is None else content.only(methods)
        axes = module.draw(shown, tmp_path / "rows").axes
        assert axes and any(ax.lines or ax.images for ax in axes), kind


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A function name -> (specs, those without numbers, numbers, table) of two seeds at the scale paper."""

    @cache
    def make(name: str):
        folder = tmp_path_factory.mktemp("results")
        specs = [spec for spec in specs_of(name, "paper") if spec.seed < 2]
        failed = failing(specs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(made_up, "write_run", lambda folder, spec: None)
            made_up.write(folder, name, specs, "paper", failed)
        content = replace(load_made_up(name, specs, folder, "paper"), training=[])
        numbers = measure_table(content, folder)
        return specs, failed, numbers.rename(columns={"quantity": "metric"}), build_table(content, numbers)

    return make


@pytest.mark.parametrize("name", artefact_names())
def test_numbers_of_the_table(name, planned):
    """Mean, deviation, n and difference in full precision against those of the made-up values."""
    specs, failed, numbers, _ = planned(name)
    families = artefact(name).layout.metrics
    judge = max if known_families()[families[0]].higher_is_better else min
    shared = ["dataset", "resolution", "images", "conditional", "backbone", "preset", "method"]
    runs: dict[tuple, list[RunSpec]] = {}
    for spec in specs:
        runs.setdefault(tuple(getattr(spec, key) for key in shared), []).append(spec)
    checked = 0
    for line in numbers.to_dict("records"):
        seeds = [spec for spec in runs.get(tuple(line[key] for key in shared), []) if spec.run_id not in failed]
        if not seeds:
            assert line["n"] == 0 and pd.isna(line["mean"])
            continue
        (family,) = (each for each in families if line["metric"].startswith(each + "5") or
                     line["metric"].startswith(each + "1"))  # fmt: skip
        values = []
        for spec in seeds:
            judged = [made_up.value(spec, families[0], i) for i in range(made_up.SNAPSHOTS)]
            at = judged.index(judge(judged)) if line["snapshot"] == "best" else made_up.SNAPSHOTS - 1
            values.append(made_up.value(spec, family, at))
        assert line["mean"] == pytest.approx(statistics.mean(values), rel=1e-9)
        assert line["n"] == len(seeds)
        if len(seeds) > 1:
            assert line["std"] == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-12)
        if line.get("published") == line.get("published") is not None:
            assert line["difference"] == pytest.approx(statistics.mean(values) - line["published"], rel=1e-9)
        checked += 1
    assert checked >= len(families) * 2 * (len(runs) - len(failed))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: texlive-latex-recommended has it")
def test_latex_of_every_artefact_compiles(planned, tmp_path):
    """In one document with the packages that the first line names; nothing is wider than the text."""
    texts = {name: latex(planned(name)[3]) for name in artefact_names()}
    (packages,) = {text.splitlines()[0].removeprefix("% ") for text in texts.values()}
    pages = [r"\documentclass{article}", packages, r"\begin{document}"]
    pages += [text + r"\clearpage" for text in texts.values()]
    (tmp_path / "all.tex").write_text("\n".join([*pages, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace").stdout
    assert f"({len(texts)} pages" in said, said[-2000:]
    assert not re.search(r"Overfull|Missing character|Float too large", said)


NOT_SHOWN = {
    "ada-fig11b-conditional": "BigGAN, MultiHinge and FQ-GAN are quoted there from other papers",
    "ada-fig11b-unconditional": "ProGAN and AutoGAN are quoted there from other papers",
}
"""Why some of the numbers that published.csv has of an artefact stand beside no cell of its table."""


def of_artefact(name: str) -> list[dict[str, str]]:
    """The lines of published.csv that the layout's `where` names, and of the artefact's metrics."""
    where = {key: value if isinstance(value, list) else [value] for key, value in
             artefact(name).layout.published.where.items()}  # fmt: skip
    with PUBLISHED.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if all(line[key] in where[key] for key in where)]
    if name == "diffaugment-table1":  # Table 4 lends it the two rows on all of CIFAR-10
        lines = [line for line in lines if (line["dataset"], line["train_images"]) == ("cifar10", "50000")]
    both = {"diffaugment-table5": "(from scratch)", "diffaugment-table5-transfer": "pre-trained"}
    if name in both:
        lines = [line for line in lines if both[name] in line["method"] + line["model"]]
    return lines


@pytest.mark.parametrize("name", [name for name in artefact_names() if artefact(name).layout.published])
def test_every_published_number_of_an_artefact_stands_in_its_table(name, tmp_path):
    """Without a single finished run; each that is not verified at its source is marked in all formats."""
    specs = specs_of(name, "paper")
    made_up.write(tmp_path, name, specs, "paper", {spec.run_id: None for spec in specs[1:]})
    content = load_made_up(name, specs[1:], tmp_path, "paper")
    numbers = measure_table(content, tmp_path / "rows")
    table = build_table(content, numbers)
    found = numbers[(numbers["snapshot"] == "best") & numbers["published"].notna()]
    lines = of_artefact(name)
    missing = len(lines) - len(found)
    assert missing == 0 or name in NOT_SHOWN, f"{missing} of {len(lines)} numbers are not shown"
    doubtful = sum(line["verified"] != "yes" for line in lines)
    assert name in NOT_SHOWN or (found["published_verified"] != "yes").sum() == doubtful
    assert set(numbers["status"]) <= {"not yet run", ""}
    marks = [cell for _, cells in table.rows for cell in cells if cell.note]
    unverified = [cell for cell in marks if "published, not verified" in table.notes[int(cell.note) - 1]]
    assert len(unverified) == (found["published_verified"] != "yes").sum()
    if unverified:
        number = unverified[0].note
        assert f"(note {number})" in markdown(table) and rf"\textsuperscript{{{number}}}" in latex(table)


def test_every_line_of_a_sweep_varies_in_one_argument_alone():
    swept = [name for name in artefact_names() if artefact(name).layout.sweep]
    assert {"ada-fig4", "ada-fig5", "ada-fig8b", "diffaugment-fig8-r1", "diffaugment-fig8-width"} <= set(swept)
    for name in swept:
        sweep, methods = artefact(name).layout.sweep, set()
        plugin, key = sweep.x.split(".")
        by_method = {spec.method: spec for spec in specs_of(name, "paper")}
        for members in sweep.lines.values():
            plugins = [dict(by_method[method].plugins) for method in members]
            if plugin != "preset":
                others = [{k: v for k, v in each[plugin].items() if k != key} for each in plugins]
                assert all(other == others[0] for other in others), (name, members)
                assert len({each[plugin][key] for each in plugins}) == len(members)
            assert len({tuple(each) for each in plugins}) == 1
            methods |= set(members)
        for members in sweep.levels.values():
            methods |= set(members)
        assert methods == {method for grid in artefact(name).grid for method in grid.method}, name
