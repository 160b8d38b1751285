"""Where the project's files are, in a checkout and in an installed package."""

from __future__ import annotations

import pytest

from leangan.core import project
from leangan.core.errors import ConfigError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package: no checkout around it, called from a folder of the user's."""
    monkeypatch.setattr(project, "CHECKOUT", None)
    monkeypatch.setattr(project, "PACKAGE", tmp_path / "site-packages/leangan")
    monkeypatch.setattr(project, "ROOT", tmp_path / "user")
    return tmp_path


@pytest.mark.parametrize(
    "name, packaged",
    [
        ("config/scales.yaml", "config/scales.yaml"),
        ("config/artefacts/demo.yaml", "config/artefacts/demo.yaml"),
        ("config/artefacts", "config/artefacts"),
        ("workflow/schemas/row.schema.yaml", "schemas/row.schema.yaml"),
        ("results/published/published.csv", "published/published.csv"),
    ],
)
def test_the_defaults_are_in_the_package_or_at_the_root(name, packaged, package, monkeypatch):
    assert project.project_file(name) == package / "site-packages/leangan" / packaged
    monkeypatch.setattr(project, "CHECKOUT", package)
    assert project.project_file(name) == package / "user" / name


@pytest.mark.parametrize(
    "name", ["results/demo/rows", "configuration/x.yaml", "workflow/rules/train.smk", "augment/ada.py"]
)
def test_everything_else_is_the_users(name, package):
    assert project.project_file(name) == package / "user" / name


def test_every_packaged_folder_is_one_of_the_project():
    assert project.CHECKOUT is not None
    for folder in project.PACKAGED:
        assert (project.CHECKOUT / folder).is_dir()


def test_what_needs_a_checkout_is_refused_without_one(package):
    with pytest.raises(ConfigError, match=r"^leangan keep needs a checkout .*site-packages/leangan\. Clone"):
        project.check_checkout("leangan keep")


def test_in_a_checkout_nothing_is_refused():
    project.check_checkout("leangan keep")


def test_files_of_the_project_are_named_from_its_root(tmp_path):
    assert project.show_path(project.ROOT / "augment/ada.py") == "augment/ada.py"
    assert project.show_path(str(tmp_path / "mine.py")) == str(tmp_path / "mine.py")
    assert project.show_path(f"{project.ROOT}-other/mine.py") == f"{project.ROOT}-other/mine.py"
