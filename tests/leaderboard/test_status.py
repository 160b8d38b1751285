"""The table of what has been measured: its lines by hand-made rows, and the texts that hold it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import escape

from leangan.core.errors import ConfigError
from leangan.core.markers import between_markers
from leangan.core.project import ROOT
from leangan.core.spec import RunSpec
from leangan.core.yaml_files import read
from leangan.leaderboard import page, status
from leangan.leaderboard.progress import Progress, ProgressLine, progress_of
from leangan.plugins import registry
from leangan.results.published import FILE, read_published
from leangan.runs.config import artefact, artefact_names, configured
from leangan.runs.grid import expand
from tests.helpers.synthetic import row, write_rows, write_spec


@pytest.fixture(scope="module")
def papers() -> pd.DataFrame:
    return read_published(FILE)


def planned(name: str, scale: str, **config) -> list[RunSpec]:
    return expand(name, configured(scale=scale, **config))


def store(results: Path, scale: str, name: str, values: dict, newest: str = "2026-03-04", **changes) -> Path:
    """Rows of an artefact in results/<scale>/rows: `values` has those of the seeds by (method, images)."""
    protocol = artefact(name).protocol
    proxy = protocol == "proxy-test"
    for spec in changes.pop("specs", None) or planned(name, scale):
        of_seeds = values.get((spec.method, spec.images), [])
        if spec.seed >= len(of_seeds) or spec.dataset != "cifar10":
            continue
        day = newest if spec.seed == 0 else "2026-01-02"
        content = row(
            spec.method, 0, "fd" if proxy else "fid", spec.total_kimg, of_seeds[spec.seed], of=spec, proxy=proxy,
            n_fake=5000 if proxy else 10000, reference="test",
            protocol={"name": protocol, "extractor": "efficientnet_lite0" if proxy else "inception_v3"},
            provenance={"time_utc": f"{day}T03:04:05+00:00", **changes},
        )  # fmt: skip
        write_rows(results / scale, [content])
    return results / scale / "rows"


FEW = {
    ("none", 500): [98.0, 100.0, 102.0],
    ("diffaugment", 500): [80.0, 81.0, 82.0],
    ("da", 500): [88.0, 90.0, 92.0],
    ("ada", 500): [60.0, 61.0],
    ("none", 5000): [70.0],
}


def test_a_line_says_how_far_an_artefact_was_measured(tmp_path, papers):
    rows = store(tmp_path, "hours", "cifar10-few", FEW)
    found = progress_of([rows], papers)
    assert found.lines == [
        ProgressLine("cifar10-few", artefact("cifar10-few").title, "hours", "5 of 8",
                     "120 kimg, no published length", "1 to 3", "a processor", "2026-03-04",
                     "open (2 of 4, none against)")
    ]  # fmt: skip
    assert found.unmeasured == [name for name in artefact_names() if name != "cifar10-few"]
    total = len(artefact_names())
    assert found.rest == f"{total - 1} of {total} artefacts have no measured row yet."


def test_published_length_and_order_of_a_published_table(tmp_path, papers):
    """Table 4 has 6 pairs of numbers, for CIFAR-10 and CIFAR-100. Two are measured, one of them against the table.

    Of table 6, which shares runs with it, no number was published.
    """
    values = {("none", 5000): [40.0, 41.0], ("diffaugment", 5000): [20.0, 21.0],
              ("none", 10000): [20.0, 21.0], ("diffaugment", 10000): [30.0, 31.0]}  # fmt: skip
    rows = store(tmp_path, "paper", "diffaugment-table4-stylegan2", values)
    lines = {line.name: line for line in progress_of([rows], papers).lines}
    assert lines["diffaugment-table6-stylegan2"].agreement == "–"
    line = lines["diffaugment-table4-stylegan2"]
    kimg = read("config/presets.yaml")["diffaugment-cifar"]["kimg"]
    assert line.length == f"{kimg:,} kimg, 100 % of the published length"
    assert (line.measured, line.seeds, line.agreement) == ("4 of 12", "2", "no (1 of 6 against)")
    shorter = planned("diffaugment-table4-stylegan2", "paper", kimg=0.1 * kimg)
    assert all(spec.total_kimg == 0.1 * kimg for spec in shorter)
    other = store(tmp_path / "own", "paper", "diffaugment-table4-stylegan2", values, specs=shorter)
    assert progress_of([other], papers).lines == [], "runs of an own length are none of the artefact's"


def test_a_users_own_configuration_changes_nothing(tmp_path, papers, monkeypatch):
    found = progress_of([rows := store(tmp_path, "hours", "cifar10-few", FEW)], papers)
    own = {"images": [100], "methods": ["bcr"], "kimg": 3, "snapshot_kimg": 1,
           "datasets": {"mine": {"path": "mine", "resolution": 32}}}  # fmt: skip
    monkeypatch.setattr(
        "leangan.runs.config.read",
        lambda name: {**read(name), **own} if name == "config/config.yaml" else read(name),
    )
    assert progress_of([rows], papers) == found and found.lines


def test_one_line_for_each_scale_in_the_order_of_scales(tmp_path, papers):
    both = [store(tmp_path, scale, "cifar10-few", {("ada", 500): [9.0]}) for scale in ("paper", "minutes", "hours")]
    found = progress_of(both, papers)
    assert [line.scale for line in found.lines] == ["minutes", "hours", "paper"]
    total = len(artefact_names())
    assert f"{total - 1} of {total} artefacts" in found.rest
    assert progress_of([store(tmp_path, "hours", "cifar10-few", FEW).rename(tmp_path / "rows")], papers).lines == []


def test_runs_without_a_number_measure_no_cell(tmp_path, papers):
    rows = store(tmp_path, "hours", "cifar10-few", {("ada", 500): [9.0]})
    (file,) = rows.glob("*/*/*.jsonl")
    nothing = {"family": "", "metric": "", "kimg": None, "value": None, "status": "diverged", "reason": "nan"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **nothing}) + "\n")
    assert progress_of([rows], papers).lines == []


def test_rows_of_two_versions_of_the_code_say_so_and_stop_nothing(tmp_path, papers):
    rows = store(tmp_path, "hours", "cifar10-few", {("ada", 500): [9.0, 9.0]})
    for digit, file in zip("ab", sorted(rows.glob("*/*/*.jsonl")), strict=True):
        content = json.loads(file.read_text())
        content["provenance"]["methods"] = [{"name": "ada", "code_sha256": digit * 64, "home": "project"}]
        file.write_text(json.dumps(content) + "\n")
    (line,) = progress_of([rows], papers).lines
    assert line.measured == "–" and line.agreement.startswith("the rows do not fit together")


def test_runs_of_another_revision_are_counted_below_the_table(tmp_path, papers, monkeypatch):
    now = registry.require("method", "ada").revision
    rows = store(tmp_path, "hours", "cifar10-few", FEW)
    for spec in planned("cifar10-few", "hours"):
        if (rows / spec.run_id).is_dir():
            write_spec(tmp_path / "hours", spec)
    assert progress_of([rows], papers).outdated == 0
    monkeypatch.setattr(registry.require("method", "ada"), "revision", now + 1)
    found = progress_of([rows], papers)
    assert found.lines[0].measured == "4 of 8", "ADA's two runs are none of the artefact's"
    words = f"revision {now} of ada, now {now + 1}"
    assert found.rest.endswith(f". 2 stored runs are of other revisions than the present code trains: {words}.")
    monkeypatch.setattr(registry.require("method", "ada"), "revision", now)
    monkeypatch.setattr(registry.require("backbone", "stylegan2"), "revision", 1)
    found = progress_of([rows], papers)
    assert not found.lines and found.rest.startswith("No artefact has a measured row yet. 12 stored runs are of other")


def test_without_rows_it_says_so_in_one_sentence(tmp_path, papers, capsys):
    assert status.markdown(progress_of([], papers)) == "No artefact has a measured row yet.\n"
    status.main(["--results", str(tmp_path)])
    assert capsys.readouterr().out == "No artefact has a measured row yet.\n"
    assert Progress([ProgressLine("a", "A", "hours")], []).rest == "Every artefact has a measured row."


def test_rows_that_the_repository_does_not_keep_are_left_out(tmp_path, capsys):
    for scale in ("smoke", "demo"):
        store(tmp_path, scale, "cifar10-few", {("ada", 500): [9.0]})
    assert status.kept_rows(tmp_path) == []
    store(tmp_path, "hours", "cifar10-few", {("ada", 500): [9.0]})
    status.main(["--results", str(tmp_path)])
    heading, rule, line, _, rest = capsys.readouterr().out.splitlines()
    assert heading.startswith("| Artefact | Scale | Cells measured |") and rule == "| " + "--- | " * 7 + "--- |"
    title = artefact("cifar10-few").title
    assert line.startswith(
        f"| {title} (cifar10-few) | hours | 1 of 8 | 120 kimg, no published length | 1 | a processor |"
    )
    assert rest.endswith("have no measured row yet.")
    ignored = (ROOT / ".gitignore").read_text()
    assert all(f"results/{scale}/" in ignored.splitlines() for scale in status.NOT_KEPT)


def test_files_are_renewed_between_the_markers(tmp_path):
    store(tmp_path, "hours", "cifar10-few", FEW)
    texts = [tmp_path / "README.md", tmp_path / "status.md"]
    for text in texts:
        text.write_text("before\n<!-- status: begin -->\nold | table\n<!-- status: end -->\nafter\n")
    for _ in range(2):
        status.main(["--results", str(tmp_path), "--write", *map(str, texts)])
        for text in texts:
            content = text.read_text()
            assert content.startswith("before\n<!-- status: begin -->\n| Artefact |") and "old" not in content
            assert content.endswith(".\n<!-- status: end -->\nafter\n") and content.count("(cifar10-few)") == 1
    texts[1].write_text("no markers\n")
    before = texts[0].read_text()
    with pytest.raises(ConfigError, match=r"status\.md needs the lines <!-- status: begin -->"):
        status.main(["--results", str(tmp_path / "none"), "--write", *map(str, texts)])
    assert texts[0].read_text() == before


def committed_rows(folder: Path) -> Path:
    """results/<scale>/rows as in a fresh checkout: links to the files that git knows; all of them without git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--", "results/*/rows/*"],
                                cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ROOT / "results"
    for name in filter(None, listed.stdout.split("\0")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(ROOT / name)
    return folder / "results"


@pytest.mark.parametrize("name", ["README.md", "docs/status.md"])
def test_readme_and_guide_show_what_the_committed_rows_give(name, tmp_path, papers):
    table = status.markdown(progress_of(status.kept_rows(committed_rows(tmp_path)), papers))
    text = (ROOT / name).read_text()
    assert between_markers(text, "status", table, name) == text, "run make status"


def test_the_page_shows_the_same_lines(tmp_path, papers):
    rows = store(tmp_path, "hours", "cifar10-few", FEW)
    other = store(tmp_path, "paper", "cifar10-few", {("ada", 500): [9.0]})
    out = tmp_path / "page" / "index.html"
    for folders in ([rows, other], []):
        page.main(["--rows", *map(str, folders), "--published", str(FILE), "--out", str(out)])
        html, found = out.read_text(), progress_of(folders, papers)
        section = html.split('<h2 id="status">')[1].split("</section>")[0]
        assert section.count("<tr>") == (len(folders) + 1 if folders else 0)
        assert found.rest.split(",")[0] in section
        for line in found.lines:
            assert all(f">{escape(text)}</t" in section for text in line.cells), line
