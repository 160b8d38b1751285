"""The backbone of docs/add-a-backbone.md, as a file that the registry finds and a preset."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import leangan.models
from leangan.core.project import ROOT
from leangan.plugins import registry
from leangan.runs.presets import presets

NAME, PRESET = "dcgan", "tiny-dcgan"


def block(language: str) -> str:
    """The only block of code of that language in the document."""
    text = (ROOT / "docs/add-a-backbone.md").read_text()
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return found


@contextmanager
def installed(folder: Path, source: str | None = None) -> Iterator[None]:
    """Within it, `folder` is one more place of backbones, with the document's file, or `source` in its place."""
    (folder / f"{NAME}.py").write_text(block("python") if source is None else source)
    (row,) = yaml.safe_load(block("yaml")).items()
    assert row[0] == PRESET
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leangan.models, "__path__", [*leangan.models.__path__, str(folder)])
        patch.setitem(presets(), *row)
        _forget()
        yield
    _forget()


def _forget() -> None:
    """Let the registry look anew."""
    sys.modules.pop(f"leangan.models.{NAME}", None)
    registry.forget()
