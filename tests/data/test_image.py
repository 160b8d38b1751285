"""Decoding and fitting single images."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from leangan.data import image
from leangan.data.contracts import DatasetError

RED = np.zeros((4, 4, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def rgb(file: io.BytesIO | Image.Image, white: int | None = None, where: str = "cat.png") -> np.ndarray:
    """The pixels that a file, or an image of another origin, becomes, uint8 [H, W, 3]."""
    decoded = image.decode(file, where) if isinstance(file, io.BytesIO) else file
    made, _ = image.to_rgb(decoded, where, white)
    assert made.mode == "RGB"
    return np.asarray(made)


def done(file: io.BytesIO, white: int | None = None) -> tuple[str, ...]:
    return image.to_rgb(image.decode(file, "cat.png"), "cat.png", white)[1].done


@pytest.mark.parametrize(
    ("mode", "said"), [("RGB", ()), ("P", ("palette",)), ("CMYK", ("cmyk",)), ("RGBA", ("opaque",)), ("L", ("grey",))]
)
def test_colour_modes_become_rgb(mode, said):
    picture = Image.fromarray(RED).convert(mode)
    file = encoded(picture, "TIFF" if mode == "CMYK" else "PNG")
    assert np.array_equal(rgb(file), np.full((4, 4, 3), 76) if mode == "L" else RED)  # 0.299 of red is grey
    assert done(file) == said


def test_sixteen_bits_scale_to_eight():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = rgb(encoded(Image.fromarray(values)))
    assert np.array_equal(decoded[:, :, 0], np.round(values / 65535 * 255))
    assert (decoded == decoded[:, :, :1]).all()


def test_grey_beyond_sixteen_bits_and_floats_have_no_known_range():
    for values in (np.array([[70000]], np.int32), np.array([[-1]], np.int32), np.array([[0.5]], np.float32)):
        with pytest.raises(DatasetError, match="cat.tif: .*save it with 8 or 16 bits"):
            rgb(encoded(Image.fromarray(values), "TIFF"), where="cat.tif")


def test_printers_jpeg_becomes_rgb():
    decoded = rgb(encoded(Image.fromarray(RED).convert("CMYK"), "JPEG", quality=100))
    assert np.abs(decoded.astype(int) - RED).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animations_are_an_error(kind):
    frames = [Image.fromarray(RED), Image.fromarray(255 - RED)]
    with pytest.raises(DatasetError, match="cat: holds 2 frames"):
        image.decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), "cat")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_half_a_file_is_no_image(kind):
    noise = np.random.RandomState(0).randint(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), kind).getvalue()
    with pytest.raises(DatasetError, match="cat: not a readable image"):
        image.decode(io.BytesIO(whole[: len(whole) // 2]), "cat")


def test_a_small_file_cannot_fill_the_memory():
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 2e4
    with pytest.raises(DatasetError, match="cat.png: 9000 x 9000 pixels, more than"):
        image.decode(bomb, "cat.png")


def test_real_transparency_is_an_error_that_names_the_file():
    picture = Image.fromarray(RED).convert("RGBA")
    picture.putpixel((1, 1), (255, 0, 0, 10))
    with pytest.raises(DatasetError, match="cat.png.*transparent"):
        rgb(encoded(picture))


UPRIGHT = [
    lambda stored: stored,
    lambda stored: stored[:, ::-1],
    lambda stored: stored[::-1, ::-1],
    lambda stored: stored[::-1],
    lambda stored: stored.swapaxes(0, 1),
    lambda stored: stored[::-1].swapaxes(0, 1),
    lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    lambda stored: stored[:, ::-1].swapaxes(0, 1),
]
"""By the number of the tag, from 1: what its words make of stored rows and columns ("0th row is the right side, 0th
column the top" is 6)."""


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_images_upright(kind, orientation):
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8], stored[:8, 8:16] = 255, 128  # a corner and, beside it in the row, a darker square
    exif = Image.Exif()
    exif[0x0112] = orientation
    exact = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 100}, "WEBP": {"lossless": True}}[kind]
    file = encoded(Image.fromarray(stored), kind, exif=exif, **exact)
    upright = UPRIGHT[orientation - 1](stored)
    assert rgb(file).shape == upright.shape
    assert np.abs(rgb(file).astype(int) - upright).max() <= (2 if kind == "JPEG" else 0)
    assert ("turned" in done(file)) == (orientation != 1)


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_broken_files_are_errors_that_name_the_file(cut):
    noise = np.random.RandomState(0).randint(0, 255, (32, 32, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise)).getvalue()
    with pytest.raises(DatasetError, match="cat.png: not a readable image"):
        image.decode(io.BytesIO(whole[:cut]), "cat.png")


def test_images_that_claim_too_many_pixels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(image, "MAX_PIXELS", 15)
    with pytest.raises(DatasetError, match="4 x 4 pixels, more than 15"):
        image.decode(encoded(Image.fromarray(RED)), "a")


def test_box_filter_is_the_mean_over_the_area():
    pixels = np.random.RandomState(0).randint(0, 255, (8, 8, 3)).astype(np.uint8)
    fitted = image.fit(Image.fromarray(pixels), 2, "a", crop=False, resize="box")
    means = pixels.reshape(2, 4, 2, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert fitted.shape == (3, 2, 2)
    assert np.abs(fitted - means).max() <= 1  # Pillow rounds after each axis


@pytest.mark.parametrize("height, width, rows, columns", [(4, 7, (0, 4), (1, 5)), (7, 4, (1, 5), (0, 4))])
def test_crop_takes_the_central_square_without_resampling(height, width, rows, columns):
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    fitted = image.fit(Image.fromarray(pixels), 4, "a", crop=True, resize="box")
    assert np.array_equal(fitted, pixels[slice(*rows), slice(*columns)].transpose(2, 0, 1))


@pytest.mark.parametrize(("size", "message"), [((6, 4), "not square"), ((3, 3), "smaller than")])
def test_images_that_do_not_fit(size, message):
    with pytest.raises(DatasetError, match=f"cat.png.*{message}"):
        image.fit(Image.new("RGB", size), 4, "cat.png", crop=False, resize="box")
