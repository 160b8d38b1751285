"""One broken file among config/artefacts harms nobody who does not ask for it, and is named to who does."""

import shutil

import numpy as np
import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.core.yaml_files import read
from leangan.leaderboard.all_scales import with_rows
from leangan.leaderboard.progress import progress_of
from leangan.runs.cells import Runs, cells
from leangan.runs.config import artefact, artefact_names, configured, leave_out, readable_artefacts

SOUND = """
title: Shown
grid: {{dataset: [elpv], resolution: [32], images: [32], preset: [{preset}], method: [{method}]}}
protocol: {protocol}
figures: [{figure}]
"""
RIGHT = {"preset": "tiny", "method": "none", "protocol": "proxy", "figure": "curves"}
REMEMBERED = (read, artefact, readable_artefacts, leave_out)


def changed(**wrong: str) -> bytes:
    return SOUND.format(**{**RIGHT, **wrong}).encode()


BROKEN = {
    "method": (changed(method="nonne"), "unknown method 'nonne'. Did you mean 'none'"),
    "preset": (changed(preset="tinny"), "unknown preset 'tinny'. Did you mean 'tiny'"),
    "protocol": (changed(protocol="proxi"), "unknown protocol 'proxi'. Did you mean 'proxy'"),
    "figure": (changed(figure="curvs"), "unknown figure 'curvs'. Did you mean 'curves'"),
    "key": (changed() + b"titel: A", "unknown key 'titel'. Did you mean 'title'"),
    "yaml": (b"title: [1, 2", "is not valid YAML"),
    "bytes": (np.random.default_rng(0).bytes(300), "is not valid YAML"),
    "empty": (b"", "must hold names with their values"),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two sound artefacts, and a function that adds a broken one of this content."""
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("artefacts"))
    folder = tmp_path / "config/artefacts"
    folder.mkdir()
    for name in ("demo", "first-minutes"):
        shutil.copy(ROOT / f"config/artefacts/{name}.yaml", folder)
    monkeypatch.setattr("leangan.core.project.ROOT", tmp_path)
    for remembered in REMEMBERED:
        remembered.cache_clear()
    yield lambda content: (folder / "broken.yaml").write_bytes(content)
    for remembered in REMEMBERED:
        remembered.cache_clear()


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_not_asked_for_is_left_out_with_a_warning_and_what_is_names_the_file(project, kind, caplog):
    content, words = BROKEN[kind]
    project(content)
    config = configured(artefacts=["demo"])
    assert cells(config).keys() == {"demo"}
    assert not caplog.messages
    runs = Runs(config)
    assert runs.expandable() == ["demo", "first-minutes"] == [n for n in readable_artefacts() if n != "broken"]
    with pytest.raises(ConfigError, match="no artefact has the run"):
        runs.find("elpv-1/stylegan2-none-s0-12345678")
    (warned,) = caplog.messages
    assert warned.startswith("config/artefacts/broken.yaml is left out: ") and words in warned
    with pytest.raises(ConfigError, match="config/artefacts/broken.yaml") as error:
        cells(configured(artefacts=["broken"]))
    message = str(error.value)
    assert words in message and "\n" not in message and len(message) < 600


def test_tables_status_and_page_go_on_without_it(project, tmp_path, caplog):
    project(BROKEN["method"][0])
    rows = tmp_path / "results/demo/rows"
    assert with_rows(configured(artefacts=["demo"]), rows) == []
    assert progress_of([rows], []).unmeasured == ["broken", "demo", "first-minutes"]
    assert len(caplog.messages) == 1 and "config/artefacts/broken.yaml is left out" in caplog.text
    with pytest.raises(ConfigError, match="config/artefacts/broken.yaml"):
        with_rows(configured(artefacts=["broken"]), rows)


def test_files_that_editors_and_file_systems_leave_are_no_artefacts(project, tmp_path, caplog):
    folder = tmp_path / "config/artefacts"
    (folder / "._demo.yaml").write_bytes(b"\0\5\26\7")
    (folder / ".#demo.yaml").symlink_to("nobody@nowhere")
    assert artefact_names() == ["demo", "first-minutes"]
    shutil.copy(folder / "demo.yaml", folder / "demo (1).yaml")
    shutil.copy(folder / "demo.yaml", folder / "a{b}.yaml")
    assert artefact_names() == ["demo", "demo (1)", "first-minutes"]
    assert "config/artefacts/a{b}.yaml is left out: the name of an artefact has no braces" in caplog.text


def test_a_file_that_cannot_be_read_is_named(project, tmp_path):
    (tmp_path / "config/artefacts/broken.yaml").mkdir()
    with pytest.raises(ConfigError, match="^config/artefacts/broken.yaml cannot be read: Is a directory"):
        artefact("broken")
