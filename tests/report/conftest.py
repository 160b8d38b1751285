from __future__ import annotations

from pathlib import Path

import pytest
import synthetic


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """A complete results/<scale> folder, see synthetic.py."""
    return synthetic.write_demo(tmp_path_factory.mktemp("project") / "results" / synthetic.SCALE)
