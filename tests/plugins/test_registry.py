"""Plugins are found by listing a folder; one that fails to import harms no other."""

import json
import subprocess
import sys

import pytest

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.plugins import registry
from leangan.runs.cells import cells
from leangan.runs.config import configured

GOOD = "from leangan.plugins.method import Method as Base\nclass Method(Base):\n    title = 'Good'\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project without methods: its folder of methods, under a package name of its own."""
    package = tmp_path / "plugins_under_test"
    package.mkdir()
    monkeypatch.setitem(registry.KINDS, "method", ("plugins_under_test", "Method"))
    monkeypatch.syspath_prepend(tmp_path)
    registry.forget()
    yield package
    for name in [name for name in sys.modules if name.startswith("plugins_under_test")]:
        del sys.modules[name]
    registry.forget()


def test_a_plugin_is_a_file_and_a_folder_or_a_name_with_an_underscore_is_none(folder):
    (folder / "good.py").write_text(GOOD)
    (folder / "_helper.py").write_text("def helper(): pass\n")
    (folder / "pipeline").mkdir()
    (folder / "pipeline/__init__.py").write_text("class Method: pass\n")
    (folder / "broken.py").write_text("import no_such_module\nclass Method: pass\n")
    (folder / "typo.py").write_text("class Method:\n    def f(:\n")
    assert registry.names("method") == ["broken", "good", "typo"]
    assert registry.load("method", "good").__name__ == "Method"


def test_a_file_without_the_class_is_named_when_it_is_asked_for(folder):
    (folder / "library.py").write_text("def helper(): pass\n")
    reason = registry.load("method", "library").reason
    assert reason == f"{folder}/library.py has no class Method. Begin the name of a file that others import with _."


def test_a_failed_import_says_why_and_where(folder):
    (folder / "broken.py").write_text("\nimport no_such_module\nclass Method: pass\n")
    (folder / "typo.py").write_text("class Method:\n    def f(:\n")
    broken = registry.load("method", "broken")
    assert isinstance(broken, registry.FailedImport)
    assert "No module named 'no_such_module'" in broken.reason and "broken.py, line 2" in broken.reason
    assert (
        "SyntaxError" in registry.load("method", "typo").reason
        and "typo.py, line 2" in registry.load("method", "typo").reason
    )


def test_an_unknown_name_offers_the_nearest(folder):
    (folder / "lecam.py").write_text("class Method: pass\n")
    with pytest.raises(ConfigError, match="unknown method 'lecan'. Did you mean 'lecam'"):
        registry.load("method", "lecan")


def test_a_failed_import_or_a_skip_is_a_refused_cell_and_the_others_run(folder):
    (folder / "none.py").write_text(GOOD)
    (folder / "diffaugment.py").write_text("raise OSError('no disk')\nclass Method: pass\n")
    (folder / "da.py").write_text(
        GOOD
        + "    def __init__(self, p): super().__init__()\n"
        + "    @classmethod\n    def skip(cls, spec): return 'needs labels'\n"
    )
    (folder / "ada.py").write_text(
        GOOD
        + "    def __init__(self, categories, target, tune_kimg): super().__init__()\n"
        + "    @classmethod\n    def skip(cls, spec): return 1 / 0\n"
    )
    refused = {
        cell.spec.method: cell.refused for cell in cells(configured(artefacts=["first-minutes"]))["first-minutes"]
    }
    assert refused["none"] is None
    assert refused["da"] == ("skip", "needs labels")
    assert refused["ada"] == (
        "error", "skip of method 'ada' raised ZeroDivisionError: division by zero (ada.py, line 6)"
    )  # fmt: skip
    assert refused["diffaugment"][0] == "error" and "no disk" in refused["diffaugment"][1]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function (package, entry point, source) that installs a package with one module and one entry point."""

    def installed(package: str, entry: str, source: str) -> None:
        site = tmp_path / "site"
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[leangan.methods]\n{entry}\n")
        (site / f"{package}.py").write_text(source)
        monkeypatch.syspath_prepend(site)

    return installed


@pytest.mark.parametrize("entry", ["theirs = theirs_package", "theirs = theirs_package:Method"])
def test_a_package_brings_methods_by_its_entry_points(folder, install, monkeypatch, entry):
    monkeypatch.delitem(sys.modules, "theirs_package", raising=False)
    (folder / "good.py").write_text(GOOD)
    install("theirs_package", entry, GOOD.replace("Good", "Theirs"))
    assert registry.names("method") == ["good", "theirs"] and "theirs" not in registry.names("backbone")
    assert registry.load("method", "theirs").title == "Theirs"


def test_a_package_that_fails_is_named_and_one_that_takes_a_name_twice_too(folder, install):
    (folder / "good.py").write_text(GOOD)
    (folder / "other.py").write_text(GOOD)
    install("first_package", "broken = first_package", "import no_such_module\n")
    install("second_package", "good = second_package", GOOD)
    broken, good = registry.load("method", "broken"), registry.load("method", "good")
    assert "first_package of package first_package failed to import: ModuleNotFoundError" in broken.reason
    assert f"'good' is defined twice, by {folder}/good.py and second_package" in good.reason
    assert registry.load("method", "other").title == "Good"


MINE = """from layers_of_mine import GAIN
from leangan.plugins.method import Method as Base
class Method(Base):
    title = "Mine"
    paper = "unpublished"
    def transform(self, x, role): return GAIN * x
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of the user's own with one method, which imports another file of that folder."""
    monkeypatch.delenv(registry.FOLDERS, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE)
    (folder / "layers_of_mine.py").write_text("GAIN = 0.5\n")
    yield folder
    for name in ("layers_of_mine", "method_folder_mine"):
        sys.modules.pop(name, None)
    monkeypatch.undo()
    registry.forget()


def test_a_folder_of_ones_own_holds_methods_and_no_backbones(own):
    registry.search([str(own)])
    assert "mine" in registry.names("method") and "layers_of_mine" not in registry.names("method")
    assert "mine" not in registry.names("backbone")
    assert registry.load("method", "mine")().transform(4.0, "real") == 2.0
    registry.search([])
    assert "mine" not in registry.names("method")


def test_a_folder_that_is_missing_or_takes_a_name_is_refused(own):
    with pytest.raises(ConfigError, match=r"there is no folder .*/absent to find methods in. Change method_folders in"):
        registry.search([str(own / "absent")])
    (own / "ada.py").write_text(MINE)
    with pytest.raises(ConfigError, match=r"own/ada.py: the name 'ada' is taken by augment/ada.py. Rename the file"):
        registry.search([str(own)])


def test_a_file_of_ones_own_that_fails_or_breaks_the_contract_harms_no_other(own):
    (own / "broken.py").write_text("\nimport no_such_module\nclass Method: pass\n")
    (own / "foreign.py").write_text("class Method: pass\n")
    registry.search([str(own)])
    assert "own/broken.py failed to import: ModuleNotFoundError" in registry.load("method", "broken").reason
    foreign = registry.load("method", "foreign").reason
    assert "own/foreign.py, line 1: class Method must derive from leangan.plugins.method.Method" in foreign
    assert registry.load("method", "mine").title == "Mine"


def test_a_method_of_ones_own_is_a_cell_that_trains_and_is_known_by_its_digest(own, make_spec, prepared, tmp_path):
    """By the same command as any other, in a program that learns of the folder from the one that starts it."""
    registry.search([str(own)])
    asked = configured(artefacts=["first-minutes"], methods=["mine"])
    (cell,) = [each for each in cells(asked)["first-minutes"] if each.spec.method == "mine"]
    assert cell.refused is None and cell.spec.plugins == [("mine", {})]
    spec = make_spec("mine", total_kimg=0.016)
    (tmp_path / "spec.json").write_text(spec.to_json())
    command = ["--spec", tmp_path / "spec.json", "--data", prepared[0], "--subset", prepared[1], "--device", "cpu"]
    process = subprocess.run(
        [sys.executable, "-m", "leangan", "train", *map(str, command), "--run-dir", tmp_path / "runs" / spec.run_id],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "runs" / spec.run_id / "train.json").read_text())
    assert (result["status"], result["method_title"]) == ("done", "Mine")
    assert result["origin"]["methods"] == {"mine": registry.code_digest("mine")}
    (recorded,) = result["provenance"]["methods"]
    assert recorded == {"name": "mine", "code_sha256": registry.code_digest("mine"), "home": "folder"}


def test_a_methods_home_and_its_code_are_known_wherever_it_comes_from(own, install, monkeypatch):
    """Comments, docstrings and layout do not count; a constant does."""
    monkeypatch.delitem(sys.modules, "theirs_package", raising=False)
    install("theirs_package", "theirs = theirs_package", GOOD)
    registry.search([str(own)])
    names = ("ada", "mine", "theirs")
    assert [registry.find_home(name) for name in names] == ["project", "folder", "package theirs_package 1.0"]
    before = registry.code_digest("mine")
    (own / "mine.py").write_text('"""What it does."""\n# why\n' + MINE.replace("GAIN * x", "(GAIN * x)  # as it is"))
    registry.search([str(own)])
    assert registry.code_digest("mine") == before
    (own / "mine.py").write_text(MINE.replace("GAIN * x", "2 * GAIN * x"))
    registry.search([str(own)])
    assert registry.code_digest("mine") != before
    # What the method imports from its folder counts, what lies there besides does not.
    (own / "mine.py").write_text(MINE)
    (own / "other.py").write_text("unused = 1\n")
    registry.search([str(own)])
    assert registry.code_digest("mine") == before
    (own / "layers_of_mine.py").write_text("GAIN = 0.25\n")
    registry.search([str(own)])
    assert registry.code_digest("mine") != before
    assert len({registry.code_digest(name) for name in names}) == 3
    # So does every file of a package that it imports from there.
    (own / "blocks").mkdir()
    (own / "blocks" / "filters.py").write_text("TAPS = 4\n")
    (own / "mine.py").write_text("import blocks.filters\n" + MINE)
    registry.search([str(own)])
    before = registry.code_digest("mine")
    (own / "blocks" / "filters.py").write_text("TAPS = 8\n")
    registry.search([str(own)])
    assert registry.code_digest("mine") != before


@pytest.mark.parametrize("taken", ["json", "leangan", "math"])
def test_a_helper_that_python_would_find_elsewhere_is_refused(own, taken):
    """The method would otherwise run with another module than the one that its digest covers."""
    (own / f"{taken}.py").write_text("GAIN = 1\n")
    (own / "mine.py").write_text(f"import {taken}\n" + MINE)
    registry.search([str(own)])
    reason = registry.load("method", "mine").reason
    assert f"it imports '{taken}', which to Python is " in reason and str(own / "mine.py") in reason
