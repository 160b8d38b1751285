"""Plugins are found by listing a folder; one that fails to import harms no other."""

import sys

import pytest

from suite import config, registry
from suite.errors import ConfigError
from suite.plan import cells


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty project whose augment/ folder is `plugins`, under a package name of its own."""
    package = tmp_path / "plugins_under_test"
    package.mkdir()
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    monkeypatch.setitem(registry.KINDS, "method", ("plugins_under_test", "Method"))
    monkeypatch.syspath_prepend(tmp_path)
    registry.names.cache_clear()
    registry.load.cache_clear()
    yield package
    for name in [name for name in sys.modules if name.startswith("plugins_under_test")]:
        del sys.modules[name]
    registry.names.cache_clear()
    registry.load.cache_clear()


def test_a_plugin_is_a_file_that_defines_the_class(folder):
    (folder / "good.py").write_text("class Method: pass\n")
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
    (folder / "none.py").write_text("class Method:\n    @classmethod\n    def skip(cls, spec): return None\n")
    (folder / "diffaugment.py").write_text("raise OSError('no disk')\nclass Method: pass\n")
    (folder / "da.py").write_text("class Method:\n    @classmethod\n    def skip(cls, spec): return 'needs labels'\n")
    (folder / "ada.py").write_text((folder / "none.py").read_text())
    refused = {cell.spec.method: cell.refused for cell in cells(config.read("config/config.yaml"))["demo"]}
    assert refused["none"] is None and refused["ada"] is None
    assert refused["da"] == ("skip", "needs labels")
    assert refused["diffaugment"][0] == "error" and "no disk" in refused["diffaugment"][1]
