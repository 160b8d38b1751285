"""The networks that come with the repository: what their card says, and that the demo's runs start from them."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.data.image import fit
from leangan.data.open_source import open_source
from leangan.metrics.fakes import Fakes
from leangan.metrics.loading import load_extractor
from leangan.plugins.networks import build_networks
from leangan.runs.config import artefact, load_config
from leangan.runs.grid import expand
from leangan.runs.methods import bind_all
from leangan.training import loop
from leangan.training.reals import Reals

CPU = torch.device("cpu")
FOLDER = ROOT / "models/pretrained/elpv-poly-32"
FILES = {part: FOLDER / f"{part}.safetensors" for part in ("G_ema", "D")}


@pytest.fixture(scope="module")
def demo():
    """The demo's run without augmentation."""
    return next(spec for spec in expand("demo", load_config("{}")) if spec.method == "none")


@pytest.fixture(scope="module")
def networks(demo):
    """The shipped G_ema and D in the networks of the demo's preset; a tensor too many or too few is an error."""
    _, G, D, _ = build_networks(demo, channels=3, classes=0)
    G.load_state_dict(load_file(FILES["G_ema"]))
    D.load_state_dict(load_file(FILES["D"]))
    return G.eval(), D.eval()


def tensors(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def first(monkeypatch):
    """The networks of a run before its first step: G and D when that begins, G's average before its first update."""
    seen: dict[str, dict[str, torch.Tensor]] = {}

    class Recorded(loop.Trainer):
        def g_step(self, *args) -> None:
            seen.setdefault("G", tensors(self.G))
            seen.setdefault("D", tensors(self.D))
            super().g_step(*args)

    class Ema(loop.Ema):
        def update(self, *args) -> None:
            seen.setdefault("G_ema", tensors(self.module))
            super().update(*args)

    monkeypatch.setattr(loop, "Trainer", Recorded)
    monkeypatch.setattr(loop, "Ema", Ema)
    return seen


def run(spec, folder) -> dict:
    """The state in the checkpoint of `spec` after training on one batch of random images."""
    images = np.random.default_rng(0).integers(0, 256, (32, 3, 32, 32), dtype=np.uint8)
    data = Reals(images, None, 0, list(range(32)), [], True, 0, CPU)
    short = replace(spec, total_kimg=0.016, snapshot_kimg=0.016)
    assert loop.train(short, data, folder, CPU, 0.016, 0.0, lambda: False).status == "done"
    return torch.load(max(folder.glob("ckpt/*.pt")), weights_only=True)


def test_the_files_are_those_that_the_demo_asks_for_and_small():
    start = artefact("demo").start.given()
    assert start.keys() == FILES.keys()
    for part, path in FILES.items():
        assert ROOT / start[part]["file"] == path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == start[part]["sha256"]
        assert path.stat().st_size < 1_000_000


def test_the_card_names_the_run_that_made_them():
    """A change of the preset or of the artefact demo-source would make the card's commands make something else."""
    (source,) = expand("demo-source", load_config("{scale: demo}"))
    card = (FOLDER / "README.md").read_text()
    assert re.findall(r"--run-dir (\S+)", card) == [f"results/demo/runs/{source.run_id}"]
    assert f"{source.total_kimg:g} kimg in batches of {source.hyper['batch']}" in card
    assert f"preset `{source.preset}`" in card and f"all {source.images:,} poly" in card
    assert (source.dataset, source.plugins, source.validation_images) == ("elpv-poly", [("none", {})], 0)


def test_source_and_demo_are_the_same_networks(demo):
    (source,) = expand("demo-source", load_config("{scale: demo}"))
    assert (source.backbone, source.hyper, source.resolution) == (demo.backbone, demo.hyper, demo.resolution)


@pytest.mark.parametrize("method", ["none", "ada"])
def test_a_run_of_the_demo_is_at_its_start_what_the_files_hold(method, first, tmp_path):
    """Before the first step, bit for bit; after it G has moved and its average hardly."""
    spec = next(spec for spec in expand("demo", load_config("{}")) if spec.method == method)
    after = run(spec, tmp_path)
    G_ema, D = load_file(FILES["G_ema"]), load_file(FILES["D"])
    for part, stored in (("G", G_ema), ("G_ema", G_ema), ("D", D)):
        assert first[part].keys() == stored.keys()
        assert all(torch.equal(first[part][name], value) for name, value in stored.items())
    assert not torch.equal(after["steps"]["G"]["const"], G_ema["const"])
    torch.testing.assert_close(after["ema"]["const"], G_ema["const"], rtol=0, atol=0.01)


def test_an_edited_file_under_the_same_name_is_refused_by_its_digest(demo, tmp_path):
    copies = {part: Path(shutil.copy(path, tmp_path)) for part, path in FILES.items()}
    (transfer, args), *others = demo.plugins
    placed = {"G_ema": {**args["G_ema"], "file": str(copies["G_ema"])}, "D": {**args["D"], "file": str(copies["D"])}}
    spec = replace(demo, plugins=bind_all([(transfer, placed), *others]))
    assert spec.run_id == demo.run_id
    run(spec, tmp_path / "copied")
    content = bytearray(copies["D"].read_bytes())
    content[-1] ^= 1  # in a weight: the file loads as before
    copies["D"].write_bytes(content)
    load_file(copies["D"])
    with pytest.raises(ConfigError, match=rf"^{copies['D']} has sha256 \w{{64}}, .* asks for {args['D']['sha256']}: "):
        run(spec, tmp_path / "edited")


def test_the_generator_draws_polycrystalline_cells_and_the_discriminator_knows_them(networks):
    """Mean features of 16 images lie near those of polycrystalline photographs and far from monocrystalline ones."""
    G, D = networks
    source = open_source("elpv")

    def photographs(kind: str) -> torch.Tensor:
        some = np.flatnonzero(source.labels == source.class_names.index(kind))[::15]
        return torch.from_numpy(np.stack([fit(source.image(i), 32, "elpv", crop=False, resize="box") for i in some]))

    mono, poly = photographs("mono"), photographs("poly")
    fakes = Fakes(G, 16, None, 0, CPU).make(0)
    extractor = load_extractor("efficientnet_lite0")
    drawn, to_mono, to_poly = (extractor(images).pooled.mean(0) for images in (fakes, mono, poly))
    assert (drawn - to_poly).norm() < 0.75 * (drawn - to_mono).norm()
    noise = torch.randint(256, poly.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        real, other = (D(images.float() / 127.5 - 1, None).mean() for images in (poly, noise))
    assert real > other + 1
