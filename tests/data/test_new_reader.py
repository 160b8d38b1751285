"""A data set with a reader of its own is one file, found by its name; one in a known form is a line of the table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.core.project import ROOT
from leangan.data import prepare, readers
from leangan.data.contracts import DatasetError, open_dataset
from leangan.data.known_sets import TABLE, _read, known_sets, locate
from leangan.data.open_source import open_source
from leangan.runs.config import configured

READER = '''
"""Images as one array, *.stack."""

import numpy as np
from PIL import Image

from leangan.data.contracts import Source
from leangan.data.forms import Form


class Stack(Source):
    def __init__(self, name, path, licence):
        self.name, self.path, self.licence, self.origin = name, path, licence, f"stack {path.name}"
        self.images = np.fromfile(path, dtype=np.uint8).reshape(-1, 8, 8, 3)

    def __len__(self):
        return len(self.images)

    def image(self, index):
        return Image.fromarray(self.images[index])


def open_set(row, path):
    return Stack(row.name, path / "all.stack", row.licence)
'''
ROWS = 'ROWS = [{"name": "stars", "count": 3, "classes": 0, "licence": "CC0", "note": "the folder with all.stack"}]\n'
FORM = 'FORM = Form("a stack", lambda path: path.suffix == ".stack", Stack)\n'


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder that readers are looked for in, too; the working directory is above it."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(own)])
    monkeypatch.chdir(tmp_path)
    _read.cache_clear()
    yield own
    sys.modules.pop("leangan.data.readers.stack", None)
    _read.cache_clear()


@pytest.fixture
def images(tmp_path) -> np.ndarray:
    """Three images [3, 8, 8, 3], which lie where a row without `location` has them looked for."""
    content = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    place = tmp_path / "resources/sources/stars/all.stack"
    place.parent.mkdir(parents=True)
    content.tofile(place)
    return content


def prepared(out: Path, *options: str) -> np.ndarray:
    """What `leangan prepare` makes: uint8 [N, H, W, 3]."""
    prepare.main([*options, "--out", str(out), "--jobs", "1"])
    return open_dataset(out).images.transpose(0, 2, 3, 1)


def test_one_file_is_a_data_set(folder, images, tmp_path):
    (folder / "stack.py").write_text(READER + ROWS)
    np.testing.assert_array_equal(prepared(tmp_path / "stars-8.npy", "--dataset", "stars"), images)
    row = known_sets()["stars"]
    assert (row.kind, row.location, row.count, row.classes, row.url) == ("stack", "resources/sources/stars", 3, 0, "")
    images[:2].tofile(tmp_path / row.location / "all.stack")
    with pytest.raises(DatasetError, match="stars: 2 images, the published set has 3"):
        prepared(tmp_path / "fewer-8.npy", "--dataset", "stars")


def test_the_file_of_the_documents(folder, images, tmp_path):
    """docs/data.md, but for the number of its charts."""
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), flags=re.DOTALL)
    assert '"count": 3000' in source
    (folder / "stack.py").write_text(source.replace('"count": 3000', '"count": 3'))
    np.save(tmp_path / "resources/sources/stars/charts.npy", images)
    np.testing.assert_array_equal(prepared(tmp_path / "stars-8.npy", "--dataset", "stars"), images)


def test_a_line_of_the_table_names_the_reader(folder, images, tmp_path):
    (folder / "stack.py").write_text(READER)
    table = tmp_path / "sources.csv"
    header = TABLE.read_text().splitlines()[0]
    table.write_text(f"{header}\nmoons,stack,resources/sources/stars,,,,3,,0,,box,,CC0,all.stack\n")
    source = open_source("moons", table=table)
    assert (source.name, source.licence, source.expected.count) == ("moons", "CC0", 3)
    np.testing.assert_array_equal(np.stack([np.asarray(source.image(i)) for i in range(3)]), images)


def test_a_form_is_recognised_wherever_it_lies(folder, images, tmp_path):
    path = tmp_path / "resources/sources/stars/all.stack"
    with pytest.raises(DatasetError, match=r"all.stack: holds no images .*; give a folder of images .* or a ZIP$"):
        open_source("mine", path)
    (folder / "stack.py").write_text(READER + FORM)
    np.testing.assert_array_equal(prepared(tmp_path / "mine-8.npy", "--dataset", "mine", "--path", str(path)), images)


def test_an_image_folder_is_read_as_such_whatever_else_is_known(folder, tmp_path):
    """A form of folders that are no folders of images is asked before that of any folder."""
    (folder / "stack.py").write_text(READER + FORM.replace('path.suffix == ".stack"', '(path / "all.stack").exists()'))
    place = tmp_path / "pictures"
    place.mkdir()
    Image.new("RGB", (8, 8), (7, 0, 0)).save(place / "a.png")
    assert type(open_source("mine", place)).__name__ == "Folder"
    (place / "all.stack").write_bytes(b"")
    with pytest.raises(OSError):
        open_source("mine", place)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('ROWS = [{"name": "elpv", "licence": "", "note": ""}]', "stack.py, row 'elpv': there is a set of this name"),
        ('ROWS = [{"name": "stars", "cont": 3}]', "stack.py, row 'stars': does not fit the header .*cont"),
        ('ROWS = [{"name": "stars", "count": "many"}]', "stack.py, row 'stars': does not fit the header .*many"),
        ('ROWS = [{"name": "stars", "crop": 1.5}]', "stack.py, row 'stars': .*crop is 1.5, must be yes, no or empty"),
        ('ROWS = [{"name": "stars", "first": "true"}]', "row 'stars': .*first is 'true', must be yes, no or empty"),
        ("ROWS = [dict(name=NAME)]", "stack.py: ROWS must be a list of dicts, written out"),
        ("ROWS = 3", "stack.py: ROWS must be a list of dicts"),
        ("class Broken(:", r"stack.py: SyntaxError: .*stack.py, line 25"),
    ],
)
def test_rows_that_do_not_fit_are_named_where_their_set_is_asked_for(folder, rows, message):
    (folder / "stack.py").write_text(READER + rows + "\n")
    name = "elpv" if "elpv" in rows else "stars"
    with pytest.raises((ConfigError, DatasetError), match=message):
        locate(name)
    if 'name":' in rows:  # a path does not make another set of it
        with pytest.raises(DatasetError, match=message):
            locate(name, folder)
    assert "cifar10" in known_sets() and locate("procedural") is None


@pytest.mark.parametrize(("value", "meant"), [(True, True), ("yes", True), (False, False), ("no", False), ("", False)])
def test_crop_and_first_are_booleans_or_words(folder, value, meant):
    (folder / "stack.py").write_text(READER + f'ROWS = [{{"name": "stars", "crop": {value!r}, "first": {value!r}}}]\n')
    assert (known_sets()["stars"].crop, known_sets()["stars"].first) == (meant, meant)


def test_a_configuration_with_a_set_that_is_not_read_says_why(folder):
    (folder / "stack.py").write_text("class Broken(:\n")
    with pytest.raises(ConfigError, match="lacks resolution under datasets.stars.* Not read: .*stack.py: SyntaxError"):
        configured(datasets={"stars": {"path": "x"}})


def test_a_reader_that_is_none_offers_the_nearest(folder, images, tmp_path):
    (folder / "stack.py").write_text(READER + ROWS.replace('"count"', '"kind": "stak", "count"'))
    with pytest.raises(ConfigError, match="unknown reader 'stak'. Did you mean 'stack'"):
        open_source("stars")


def test_a_reader_that_does_not_parse_is_named(folder, images, tmp_path):
    (folder / "stack.py").write_text("class Broken(:\n")
    (folder / "rows.py").write_text(ROWS.replace('"count"', '"kind": "stack", "count"'))
    with pytest.raises(ConfigError, match=r"unknown reader 'stack'.* Not read: .*stack.py: SyntaxError.*line 1\)\.$"):
        open_source("stars")


def test_a_damaged_reader_of_other_sets_is_no_hindrance(folder, tmp_path):
    (folder / "broken.py").write_text("class Broken(:\n")
    (folder / "alien.py").write_text("import no_such_module\ndef open_set(row, path): ...\nFORM = no_such_module\n")
    (folder / "formless.py").write_text("FORM = 3\n")
    assert len(open_source("procedural")) == 1024
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert len(open_source("mine", tmp_path)) == 1
    (tmp_path / "all.stack").touch()
    with pytest.raises(DatasetError) as error:
        open_source("mine", tmp_path / "all.stack")
    for words in ("broken.py: SyntaxError", "alien.py: ModuleNotFoundError: No module named", "formless.py: TypeError"):
        assert words in str(error.value)


def test_images_are_read_without_the_packages_of_the_extras(tmp_path):
    """A folder and a ZIP, with every module of the extras `data` and `demo` away."""
    Image.new("RGB", (8, 8), (7, 0, 0)).save(tmp_path / "a.png")
    code = f"""
import sys
for module in ("lmdb", "google", "google_crc32c", "torchvision", "elpv_dataset"):
    sys.modules[module] = None
from leangan.data.forms import forms
from leangan.data.known_sets import known_sets
from leangan.data.open_source import open_source
assert len(forms()[0]) >= 4 and not forms()[1] and "cifar10" in known_sets()
print(open_source("mine", {str(tmp_path)!r}).image(0).getpixel((0, 0)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "(7, 0, 0)\n", done.stderr
