"""Which commit made a number, and whether that commit describes the code that did."""

from __future__ import annotations

import subprocess

import pytest

from leangan.core import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with one committed method and a README, at which provenance looks."""
    for name in ("augment/ada.py", "README.md", "results/paper/rows/a.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_clean_checkout_is_described_by_its_commit(checkout):
    head = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert provenance.commit() == (head, False)


@pytest.mark.parametrize(
    "name, dirty",
    [
        ("augment/mine.py", True),  # a method as the tutorial says, not committed yet
        ("augment/ada.py", True),
        ("config/methods.yaml", True),
        ("Snakefile", True),
        ("README.md", False),
        ("notes.txt", False),
        ("results/paper/rows/b.jsonl", False),
    ],
)
def test_a_new_or_changed_file_counts_where_numbers_depend_on_it(checkout, name, dirty):
    (checkout / name).parent.mkdir(exist_ok=True, parents=True)
    (checkout / name).write_text("2\n")
    assert provenance.commit()[1] is dirty


def test_without_a_checkout_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    assert provenance.commit() == (None, None)


def test_every_folder_of_code_counts():
    """A package that is added to the project is added here."""
    root = provenance.CHECKOUT
    packages = {path.parent.name for path in root.glob("*/__init__.py")} - {"benchmarks", "leangan", "tests"}
    rooms = {path.parent.name for path in root.glob("leangan/*/__init__.py")}
    assert packages <= set(provenance.CODE)
    assert rooms - {"artefacts", "leaderboard", "planning", "results"} == set(provenance.ROOMS)
    assert all((root / name).exists() for name in provenance.CODE)
