"""Plugins are found by listing a folder; one that fails to import harms no other."""

import sys

import pytest

from suite import config, registry
from suite.errors import ConfigError
from suite.plan import cells

GOOD = "from augment.base import Method as Base\nclass Method(Base):\n    title = 'Good'\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project without methods: its folder of methods, under a package name of its own."""
    package = tmp_path / "plugins_under_test"
    package.mkdir()
    (tmp_path / "models").symlink_to(config.ROOT / "models")
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setitem(registry.KINDS, "method", ("plugins_under_test", "Method"))
    monkeypatch.syspath_prepend(tmp_path)
    registry._found.cache_clear()
    registry.load.cache_clear()
    yield package
    for name in [name for name in sys.modules if name.startswith("plugins_under_test")]:
        del sys.modules[name]
    registry._found.cache_clear()
    registry.load.cache_clear()


def test_a_plugin_is_a_file_that_defines_the_class(folder):
    (folder / "good.py").write_text(GOOD)
    (folder / "library.py").write_text("def helper(): pass\n")
    (folder / "base.py").write_text("class Method: pass\n")
    (folder / "broken.py").write_text("import no_such_module\nclass Method: pass\n")
    (folder / "typo.py").write_text("class Method:\n    def f(:\n")
    assert registry.names("method") == ["broken", "good", "typo"]
    assert registry.load("method", "good").__name__ == "Method"


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
    (folder / "da.py").write_text(GOOD + "    @classmethod\n    def skip(cls, spec): return 'needs labels'\n")
    (folder / "ada.py").write_text(GOOD + "    @classmethod\n    def skip(cls, spec): return 1 / 0\n")
    refused = {cell.spec.method: cell.refused for cell in cells(config.read("config/config.yaml"))["demo"]}
    assert refused["none"] is None
    assert refused["da"] == ("skip", "needs labels")
    assert refused["ada"] == (
        "error", "skip of method 'ada' raised ZeroDivisionError: division by zero (ada.py, line 5)"
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
    assert "'good' is defined twice, by plugins_under_test/good.py and second_package" in good.reason
    assert registry.load("method", "other").title == "Good"
