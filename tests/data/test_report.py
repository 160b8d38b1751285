"""What a preparation says of a set, and keeps in its description."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from leangan.core.errors import ConfigError
from leangan.data import prepare as module
from leangan.data.contracts import DatasetError, open_dataset
from leangan.data.fingerprint import fingerprint
from leangan.data.prepare import main, prepare
from leangan.data.readers.folder import Folder
from leangan.data.report import sentence
from leangan.data.subset import main as subset_main
from leangan.planning import plan
from leangan.runs.config import configured
from tests.helpers.image_files import RGB, png


def noise(seed: int, height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.RandomState(seed).randint(0, 255, (height, width, 3)).astype(np.uint8))


@pytest.fixture
def varied(tmp_path):
    """Nine images in two classes, each of another kind; two are copies of others."""
    root = tmp_path / "varied"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 3
    noise(0, 8, 8).save(root / "cat" / "0.png")
    noise(0, 8, 8).save(root / "cat" / "1.bmp")  # the same pixels in another file
    noise(1, 8, 8).convert("L").save(root / "cat" / "2.png")
    noise(2, 8, 8).convert("P").save(root / "cat" / "3.png")
    noise(3, 8, 8).convert("RGBA").save(root / "cat" / "4.png")
    noise(4, 16, 24).save(root / "cat" / "5.png")
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(root / "dog" / "0.png")
    noise(5, 8, 8).save(root / "dog" / "1.png", exif=exif)
    noise(5, 8, 8).transpose(Image.Transpose.ROTATE_180).save(root / "dog" / "2.png")
    return root


SAID = (
    "pets: 9 images of 8 x 8 to 24 x 16 at 8 px, 2 classes (cat 6, dog 3); 2 grey, 1 with a palette, 1 with an alpha"
    " channel that was opaque, 1 with 16 bits of grey, 65,535 of which is white, 1 turned upright by EXIF, 1 cropped to"
    " the central square, 1 made smaller; 2 exact copies of others"
)

PREPARATION = {
    "done": {
        "grey": 2, "palette": 1, "opaque": 1, "deep grey": 1, "turned": 1, "cropped": 1, "resized": 1
    },
    "smallest": [8, 8],
    "largest": [24, 16],
    "copies": 2,
    "left_out": {},
}  # fmt: skip


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_line_says_what_was_done(varied, tmp_path, monkeypatch, capsys, jobs):
    monkeypatch.setattr(module, "PIECE_BYTES", 192)
    options = ["--dataset", "pets", "--path", str(varied), "--resolution", "8", "--crop", "--jobs", jobs]
    main([*options, "--out", str(tmp_path / "pets-8.npy")])
    assert capsys.readouterr().out.splitlines()[-1] == SAID
    meta = json.loads((tmp_path / "pets-8.json").read_text())
    assert meta["preparation"] == PREPARATION and sentence(meta) == SAID


def test_counts_are_the_same_after_an_interruption(varied, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE_BYTES", 192)
    source, out, asked = Folder("pets", varied, "free"), tmp_path / "pets-8.npy", []

    def image(index):
        asked.append(index)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return Folder.image(source, index)

    source.image = image
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, 8, crop=True)
    assert prepare(source, out, 8, crop=True)["preparation"] == PREPARATION
    assert asked == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8]


def test_files_that_a_source_leaves_out_are_counted_and_the_first_are_named(varied, tmp_path):
    source = Folder("pets", varied, "free")
    source.left_out = {"hidden": [".a", ".b", ".c", ".d", ".e"], "not images": ["n\udce4.txt"]}
    meta = prepare(source, tmp_path / "pets-8.npy", 8, crop=True)
    assert meta["preparation"]["left_out"] == {"hidden": [5, ".a", ".b", ".c"], "not images": [1, r"n\udce4.txt"]}
    assert sentence(meta).endswith(
        "; left out 5 (hidden): .a, .b, .c and 2 more; left out 1 (not images): n\\udce4.txt"
    )


def described(counts: list[int], **changes) -> dict:
    labels = [label for label, number in enumerate(counts) for _ in range(number)]
    names = [f"c{label}" for label in range(len(counts))]
    nothing = {"done": {}, "smallest": [8, 8], "largest": [8, 8], "copies": 0, "left_out": {}}
    meta = {"name": "x", "resolution": 8, "count": len(labels), "labels": labels, "class_names": names}
    return {**meta, "preparation": nothing, **changes}


EARLIER = "prepared by an earlier version, which recorded nothing else"


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (described([3, 1]), "x: 4 images at 8 px, 2 classes (c0 3, c1 1); no copies"),
        (described([4] * 10), "x: 40 images at 8 px, 10 classes of 4 images each; no copies"),
        (described([4, 1, 2, 9, 3, 5, 6]), "x: 30 images at 8 px, 7 classes (c1 1 to c3 9); no copies"),
        (described([2], labels=None), "x: 2 images at 8 px, no classes; no copies"),
        (described([1], preparation=None), f"x: 1 image at 8 px, 1 class (c0 1); {EARLIER}"),
    ],
)
def test_the_line_is_short_whatever_the_set(meta, said):
    assert sentence(meta) == said


def test_arrays_of_earlier_versions_stay_valid(varied, tmp_path):
    meta = prepare(Folder("pets", varied, "free"), tmp_path / "pets-8.npy", 8, crop=True)
    (tmp_path / "pets-8.json").write_text(
        json.dumps({key: value for key, value in meta.items() if key not in ("preparation", "white")})
    )
    assert len(open_dataset(tmp_path / "pets-8.npy").images) == 9


@pytest.mark.parametrize(("size", "said"), [(9, "pets: 2 of 9 training images are exact copies of others\n"), (1, "")])
def test_copies_among_the_images_of_a_subset_are_said(varied, tmp_path, capsys, size, said):
    prepare(Folder("pets", varied, "free"), tmp_path / "pets-8.npy", 8, crop=True)
    capsys.readouterr()
    options = ["--data", str(tmp_path / "pets-8.npy"), "--size", str(size), "--seed", "0", "--rule", "first"]
    subset_main([*options, "--validation", "0", "--out", str(tmp_path / "subset.json")])
    assert capsys.readouterr().out == said


def test_the_plan_shows_what_is_prepared(varied, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    changes = {"datasets": {"pets": {"path": str(varied), "resolution": 8, "crop": True}}, "images": [4]}
    config = configured(artefacts=["own-images"], scale="smoke", **changes)
    assert not any(line.startswith("prepared: ") for line in plan.describe(config))
    out = tmp_path / "resources/data/pets-8.npy"
    prepare(Folder("pets", varied, "free"), out, 8, crop=True, fingerprint=fingerprint(varied))
    assert [line for line in plan.describe(config) if line.startswith("prepared: ")] == [f"prepared: {SAID}"]
    (shown,) = plan.summary(config)["prepared"]
    assert shown == {"name": "pets", "resolution": 8, "count": 9, "preparation": PREPARATION, "said": SAID}
    (varied / "cat/more.png").write_bytes(b"")
    assert not plan.summary(config)["prepared"], "it is to be prepared again"


# Grey values of more than 8 bits


@pytest.fixture
def deep(tmp_path):
    """Images with 12 bits in files of 16, one of them with 4095, and one with 8 bits."""
    root = tmp_path / "deep"
    root.mkdir()
    for i, top in enumerate((1000, 4095, 0)):
        values = np.linspace(0, top, 64).astype(np.uint16).reshape(8, 8)
        Image.fromarray(values).save(root / f"{i}.png")
    Image.fromarray(np.full((8, 8), 100, np.uint8)).save(root / "9.png")
    return root


def test_twelve_bits_in_sixteen_are_refused_with_the_value_that_was_found(deep, tmp_path):
    source, out = Folder("scans", deep, "free"), tmp_path / "scans.npy"
    with pytest.raises(
        DatasetError,
        match="^scans: none of its 16-bit images .grey. has a value above 4095, .* nearly black; say which value is"
        " white, with white: 4095 of the set .--white 4095., or 65535 if they are so dark$",
    ):
        prepare(source, out)
    assert not out.exists()
    meta = prepare(source, out, white=4095)
    exact = np.round(np.linspace(0, 4095, 64).astype(int) * 255 / 4095).reshape(8, 8)
    images = open_dataset(out).images
    assert np.array_equal(images[1], np.stack([exact] * 3)) and (images[3] == 100).all()
    assert meta["white"] == 4095 and "3 with 16 bits of grey, 4,095 of which is white" in sentence(meta)
    prepare(source, out, white=65535)
    assert open_dataset(out).images[1].max() == 16  # 4095 / 257


def test_dark_colours_of_sixteen_bits_are_refused_too(tmp_path, deep):
    (deep / "1.png").unlink()
    (deep / "0.png").write_bytes(png(16, RGB, np.full(8 * 3, 4000, ">u2").tobytes(), 8, 8).getvalue())
    with pytest.raises(DatasetError, match="16-bit images .colour. has a value above 4095, .*save them with 8 bits"):
        prepare(Folder("scans", deep, "free"), tmp_path / "scans.npy", white=4095)
    prepare(Folder("scans", deep, "free"), tmp_path / "scans.npy", white=65535)


@pytest.mark.parametrize("white", [0, 65536])
def test_white_has_sixteen_bits(deep, tmp_path, white):
    with pytest.raises(ConfigError, match=f"white {white} must lie in .1, 65535. .--white"):
        prepare(Folder("scans", deep, "free"), tmp_path / "scans.npy", white=white)
