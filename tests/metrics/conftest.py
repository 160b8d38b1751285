"""Metrics and extractors that a test adds."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leangan.plugins import registry


@pytest.fixture
def add(tmp_path, monkeypatch) -> Callable[[str, str, str], Path]:
    """add("metric", name, source) makes a file where plugins of a kind are found, until the test ends."""
    made = []

    def added(kind: str, name: str, source: str) -> Path:
        package = importlib.import_module(registry.KINDS[kind][0])
        folder = tmp_path / f"more_{kind}s"
        if not folder.is_dir():
            folder.mkdir()
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        path = folder / f"{name}.py"
        path.write_text(source)
        made.append(f"{package.__name__}.{name}")
        importlib.invalidate_caches()
        registry.forget()
        return path

    yield added
    for module in made:
        sys.modules.pop(module, None)
    monkeypatch.undo()
    registry.forget()
