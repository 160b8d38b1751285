"""A snapshot holds what its generator is built from: loading asks for the files of no other methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.data.contracts import Dataset
from leangan.models.stylegan2 import Backbone
from leangan.plugins import registry
from leangan.plugins.networks import build_networks
from leangan.plugins.pair import Generator
from leangan.training.run import load_reals
from leangan.training.snapshot import HEADER, load_generator, save_generator
from tests.helpers.method_at_work import run_of

OF_GENERATOR = {"minegan", "shallow_mapping"}
"""The methods of the suite without which a G has other layers; scale/shift only says which of them learn."""

HEAD = """
import torch
from torch import nn

from leangan.plugins import method


class Method(method.Method):
    def prepare(self, networks):
        """


class Kind:
    channels, classes, class_names = 3, 0, ()


@pytest.fixture
def others(tmp_path, monkeypatch) -> Iterator[Callable[[str], Path]]:
    """A function (body of `prepare`) that makes `theirs` a method of a folder, and returns its file."""
    monkeypatch.setenv(registry.FOLDERS, "")

    def write(body: str) -> Path:
        (tmp_path / "methods").mkdir()
        file = tmp_path / "methods" / "theirs.py"
        file.write_text(HEAD + body + "\n")
        registry.search([str(file.parent)])
        return file

    yield write
    monkeypatch.undo()
    registry.forget()


def written(path: Path, spec: RunSpec) -> Generator:
    """The generator of a new run after it has been written to a file."""
    torch.manual_seed(0)
    _, G, _, method = build_networks(spec, 3, 0)
    save_generator(path, G, spec, Kind(), 8, plugins=method.of_generator)
    return G.eval()


def assert_same_images(G: Generator, other: Generator) -> None:
    z, images = torch.randn(2, G.z_dim), []
    for each in (G, other):
        torch.manual_seed(1)
        with torch.no_grad():
            images.append(each(z, None))
    assert torch.equal(*images)


def rewrite(path: Path, change: Callable[[dict], None]) -> None:
    """Change the header of a snapshot."""
    with safe_open(str(path), framework="pt") as file:
        header, tensors = json.loads(file.metadata()[HEADER]), {key: file.get_tensor(key) for key in file.keys()}
    change(header)
    save_file(tensors, path, {HEADER: json.dumps(header)})


@pytest.mark.parametrize("name", registry.names("method"))
def test_the_plugins_that_change_g_are_known_and_enough(name, make_spec, tmp_path):
    spec = run_of(name, make_spec)
    if isinstance(spec, str):
        pytest.skip(spec)
    G = written(tmp_path / "G.safetensors", spec)
    with safe_open(str(tmp_path / "G.safetensors"), framework="pt") as file:
        stated = json.loads(file.metadata()[HEADER])["plugins"]
    assert set(stated) == OF_GENERATOR & {plugin for plugin, _ in spec.plugins}
    assert_same_images(G, load_generator(tmp_path / "G.safetensors"))


@pytest.mark.parametrize("body", ["pass", "networks.D.extra = nn.Linear(2, 2)", "networks.G.requires_grad_(False)"])
def test_a_method_that_leaves_g_as_it_is_may_be_gone(others, body, make_spec, tmp_path):
    file = others(body)
    G = written(tmp_path / "G.safetensors", make_spec("theirs"))
    file.unlink()
    registry.forget()
    assert_same_images(G, load_generator(tmp_path / "G.safetensors"))


@dataclass(slots=True)
class Slots:
    gain: int = 1


def add_what_no_state_holds(monkeypatch) -> None:
    """Give each new G a plain object, one of slots, a buffer that is not saved and a tensor that is no buffer."""
    generator = Backbone.generator

    def extended(self) -> Generator:
        G = generator(self)
        G.settings, G.slots = {"noise": SimpleNamespace(gain=1)}, Slots()
        G.settings["noise"].back = G
        G.register_buffer("filter", torch.ones(3), persistent=False)
        G.unsaved = torch.ones(3)
        return G

    monkeypatch.setattr(Backbone, "generator", extended)


@pytest.mark.parametrize(
    "body",
    [
        "networks.G.extra = nn.Linear(2, 2)",
        "networks.G.register_forward_hook(lambda G, inputs, x: -x)",
        "networks.G.mapping.layers[0].gain_of_mine = 2.0",
        "networks.G = nn.Sequential(networks.G)",
        "del networks.G.mapping.layers[0]",
        "G = networks.G; G.__class__ = type('Other', (type(G),), {'forward': lambda self, z, c: -z})",
        "networks.G.settings['noise'].gain = 2",
        "networks.G.slots.gain = 2",
        "networks.G.filter.mul_(2)",
        "networks.G.unsaved.mul_(2)",
    ],
)
def test_a_method_that_changes_g_is_asked_for_by_name(others, body, make_spec, tmp_path, monkeypatch):
    add_what_no_state_holds(monkeypatch)
    file, spec = others(body), make_spec("theirs")
    _, G, _, method = build_networks(spec, 3, 0)
    assert method.of_generator == ["theirs"]
    save_generator(tmp_path / "G.safetensors", G, spec, Kind(), 8, plugins=method.of_generator)
    load_generator(tmp_path / "G.safetensors")
    file.unlink()
    registry.forget()
    with pytest.raises(ConfigError, match="the generator of .*G.safetensors cannot be built: unknown method 'theirs'"):
        load_generator(tmp_path / "G.safetensors")


def test_a_method_that_is_there_is_used_even_if_its_change_was_not_seen(others, make_spec, tmp_path):
    """A change of a class, which all networks share, leaves each as it was."""
    others("type(networks.G).changed = True")
    spec = make_spec("theirs")
    _, G, _, method = build_networks(spec, 3, 0)
    assert method.of_generator == []
    save_generator(tmp_path / "G.safetensors", G, spec, Kind(), 8, plugins=method.of_generator)
    del type(G).changed
    assert load_generator(tmp_path / "G.safetensors").changed
    del type(G).changed


def test_a_method_that_fails_to_import_is_missed_only_where_it_changed_g(others, make_spec, tmp_path):
    file, spec = others("pass"), make_spec("theirs")
    G = written(tmp_path / "G.safetensors", spec)
    file.write_text("import no_such_module\n" + HEAD + "pass\n")
    registry.forget()
    assert_same_images(G, load_generator(tmp_path / "G.safetensors"))
    rewrite(tmp_path / "G.safetensors", lambda header: header.update(plugins=["theirs"]))
    with pytest.raises(ConfigError, match="cannot be built: .*theirs.py failed to import"):
        load_generator(tmp_path / "G.safetensors")


def test_a_snapshot_of_an_earlier_version_is_built_with_all_plugins(make_spec, tmp_path):
    spec = make_spec(plugins=[("shallow_mapping", {"layers": 1}), ("da", {})])
    G = written(tmp_path / "G.safetensors", spec)

    def earlier(header: dict) -> None:
        del header["plugins"], header["class_names"]

    rewrite(tmp_path / "G.safetensors", earlier)
    loaded = load_generator(tmp_path / "G.safetensors")
    assert_same_images(G, loaded)
    assert loaded.class_names == []


@pytest.mark.parametrize("conditional, names", [(True, ["cat", "dog"]), (False, [])])
def test_the_names_of_the_classes_are_those_of_the_set(make_spec, make_reals, tmp_path, conditional, names):
    spec, made = make_spec(conditional=conditional), make_reals(conditional=True)
    images, labels = made.train.take(torch.arange(24).numpy()).numpy(), made.labels.numpy()
    dataset = Dataset(images, labels, {"classes": 2, "class_names": ["cat", "dog"]})
    data = load_reals(spec, dataset, {"indices": list(range(24)), "validation": []}, torch.device("cpu"))
    _, G, _, _ = build_networks(spec, 3, data.classes)
    save_generator(tmp_path / "G.safetensors", G, spec, data, 8)
    assert load_generator(tmp_path / "G.safetensors").class_names == names
