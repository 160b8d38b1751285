"""A run by hand on images whose classes it cannot learn ends with the reason before anything is trained."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.data import subset
from leangan.data.open_source import open_source
from leangan.data.prepare import prepare
from leangan.training.run import open_images


@pytest.mark.parametrize(
    "labels, reason",
    [
        ([0, 0, 0, 1], None),
        ([0, 0, 0, 0], "the images of mine are all of one class"),
        (None, "the images of mine have no labels"),
    ],
)
def test_a_conditional_run_needs_two_classes(tmp_path, make_spec, labels, reason):
    (tmp_path / "mine").mkdir()
    for i in range(4):
        Image.fromarray(np.full((16, 16, 3), i, np.uint8)).save(tmp_path / f"mine/{i}.png")
    if labels is not None:
        stated = {"labels": [[f"{i}.png", label] for i, label in enumerate(labels)]}
        (tmp_path / "mine/dataset.json").write_text(json.dumps(stated))
    data, chosen = tmp_path / "mine-16.npy", tmp_path / "subset.json"
    prepare(open_source("mine", tmp_path / "mine"), data, 16)
    subset.main(["--data", str(data), "--size", "3", "--seed", "0", "--out", str(chosen)])
    spec = make_spec(dataset="mine", images=3, conditional=True)
    if reason is None:
        assert len(open_images(spec, data, chosen)[1]["indices"]) == 3
        return
    with pytest.raises(ConfigError, match=f"{reason}. Say conditional: false in"):
        open_images(spec, data, chosen)
    assert open_images(make_spec(dataset="mine", images=3), data, chosen)
