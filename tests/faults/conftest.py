from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers import fault_commands as commands


@pytest.fixture(scope="session")
def inputs(prepared, make_spec, tmp_path_factory) -> commands.Inputs:
    """What the commands read: images, a prepared set, a run that has ended, rows."""
    from tests.helpers import synthetic

    folder = tmp_path_factory.mktemp("inputs")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(700):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i:03d}.png", compress_level=1)
    spec = make_spec("ada", total_kimg=0.32, snapshot_kimg=0.08)
    (folder / "spec.json").write_text(spec.to_json())
    results = synthetic.write_demo(folder / "results" / synthetic.SCALE)
    return commands.Inputs(folder, *prepared, results, json.dumps(synthetic.CONFIG.given()))
