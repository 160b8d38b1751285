"""Pixel values of the rarer kinds of files, from closed form. Pillow does not write the files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from leangan.data import image
from leangan.data.colour_profile import is_srgb
from leangan.data.contracts import DatasetError
from tests.helpers.image_files import (
    BLACK_IS_ZERO,
    CIELAB,
    COLOUR,
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SEPARATED,
    WHITE_IS_ZERO,
    YCBCR,
    png,
    tiff,
    words,
)


def pixels(file: io.BytesIO, white: int | None = None) -> list[list[int]]:
    """The pixels of the only row."""
    made, _ = image.to_rgb(image.decode(file, "cat"), "cat", white)
    assert made.mode == "RGB"
    return np.asarray(made)[0].tolist()


def greys(file: io.BytesIO, white: int | None = None) -> list[int]:
    row = pixels(file, white)
    assert all(len(set(pixel)) == 1 for pixel in row)
    return [pixel[0] for pixel in row]


def facts(file: io.BytesIO, white: int | None = None) -> image.Facts:
    return image.to_rgb(image.decode(file, "cat"), "cat", white)[1]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (png(1, GREY, b"\x40", 4), [0, 255, 0, 0]),
        (png(2, GREY, b"\x1b", 4), [0, 85, 170, 255]),
        (png(4, GREY, b"\x01\xf8", 4), [0, 17, 255, 136]),
        (png(16, GREY, words(0, 257, 65535, order=">"), 3), [0, 1, 255]),
        (tiff(1, 1, BLACK_IS_ZERO, b"\x40"), [0, 255, 0, 0, 0, 0, 0, 0]),
        (tiff(1, 1, WHITE_IS_ZERO, b"\x40"), [255, 0, 255, 255, 255, 255, 255, 255]),
        (tiff(4, 1, WHITE_IS_ZERO, b"\x0f"), [255, 0]),
        (tiff(8, 1, WHITE_IS_ZERO, b"\x00\xfa"), [255, 5]),
        (tiff(16, 1, BLACK_IS_ZERO, words(0, 257, 65535)), [0, 1, 255]),
        (tiff(16, 1, BLACK_IS_ZERO, words(0, 257, 65535, order=">"), ">"), [0, 1, 255]),
        (tiff(16, 1, WHITE_IS_ZERO, words(0, 257, 65535)), [255, 254, 0]),
        (tiff(16, 1, BLACK_IS_ZERO, words(0, 32767), kind=2), [0, 127]),
        (tiff(32, 1, BLACK_IS_ZERO, struct.pack("<2I", 0, 65535)), [0, 255]),
        (tiff(12, 1, BLACK_IS_ZERO, b"\xff\xf8\x00"), [255, 128]),
        (tiff(8, 2, BLACK_IS_ZERO, b"\x07\xff", extra=2), [7]),
        (png(8, GREY_ALPHA, b"\x07\xff", 1), [7]),
        (png(16, GREY_ALPHA, words(0x0780, 0xFFFF, order=">"), 1), [7]),
    ],
)
def test_grey_of_any_depth(file, expected):
    assert greys(file) == expected
    assert "grey" in facts(file).done or "opaque" in facts(file).done


def test_twelve_bits_in_sixteen_are_scaled_by_what_is_white():
    values = (0, 1, 8, 9, 2048, 4094, 4095)
    exact = [round(value * 255 / 4095) for value in values]
    for file in (png(16, GREY, words(*values, order=">"), 7), tiff(16, 1, BLACK_IS_ZERO, words(*values))):
        assert greys(file, white=4095) == exact
        assert (facts(file).brightest, facts(file).done) == (4095, ("grey", "deep grey"))
    assert greys(tiff(16, 1, WHITE_IS_ZERO, words(*values)), white=4095) == [255 - value for value in exact]
    with pytest.raises(DatasetError, match="cat: grey value 4095 is above white; 4000 is white; state a larger value"):
        greys(tiff(16, 1, BLACK_IS_ZERO, words(*values)), white=4000)


def test_a_range_that_the_file_states_needs_no_word():
    packed = tiff(12, 1, BLACK_IS_ZERO, b"\x00\x10\x00")
    assert (facts(packed).brightest, facts(packed).done) == (0, ("grey", "12-bit grey"))
    assert facts(png(8, GREY, b"\x01", 1)).brightest == 0


@pytest.mark.parametrize(
    "file",
    [
        png(16, RGB, words(0x00FF, 0x0FFF, 0xFFFF, order=">"), 1),
        png(16, RGBA, words(0x00FF, 0x0FFF, 0xFFFF, 0xFFFF, order=">"), 1),
        tiff(16, 3, COLOUR, words(0x00FF, 0x0FFF, 0xFFFF)),
        tiff(16, 3, COLOUR, words(0x00FF, 0x0FFF, 0xFFFF, order=">"), ">"),
        tiff(16, 4, COLOUR, words(0x00FF, 0x0FFF, 0xFFFF, 0xFFFF), extra=2),
    ],
)
def test_of_sixteen_bits_of_colour_the_upper_eight_are_kept_and_that_is_said(file):
    assert pixels(file) == [[0, 15, 255]]
    assert "deep colour" in facts(file).done and facts(file).brightest == 65535


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (tiff(8, 4, SEPARATED, bytes([0, 255, 255, 0])), [255, 0, 0]),
        (tiff(8, 4, SEPARATED, bytes([0, 0, 0, 155])), [100, 100, 100]),
        (tiff(8, 4, SEPARATED, bytes([51, 0, 0, 102])), [round(255 * 0.8 * 0.6), 153, 153]),  # (1 - c)(1 - k)
        (tiff(16, 4, SEPARATED, words(0, 65535, 65535, 0)), [255, 0, 0]),
        (tiff(8, 3, YCBCR, bytes([128, 128, 128])), [128, 128, 128]),
        (tiff(8, 3, YCBCR, bytes([76, 85, 255])), [254, 0, 0]),  # y + 1.402 (cr - 128) and so on
        (tiff(8, 3, CIELAB, bytes([255, 0, 0])), [255, 255, 255]),
        (tiff(8, 3, CIELAB, bytes([0, 0, 0])), [0, 0, 0]),
        (tiff(8, 3, CIELAB, bytes([137, 0, 0])), [128, 128, 128]),  # L* = 53.7 is the grey 128 of sRGB
        (tiff(8, 4, COLOUR, bytes([10, 20, 30, 99]), extra=0), [10, 20, 30]),  # a sample without meaning
        (tiff(8, 4, COLOUR, bytes([10, 20, 30, 255]), extra=1), [10, 20, 30]),
    ],
)
def test_other_colour_spaces(file, expected):
    assert np.abs(np.array(pixels(file)[0]) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "HSV", "I;16B", "I;16L"])
def test_modes_that_only_other_readers_give(mode):
    colour = Image.new("RGB", (1, 1), (200, 100, 50))
    if mode == "PA":
        made = colour.convert("P", palette=Image.Palette.ADAPTIVE).convert("PA")
    elif mode.startswith("I;16"):
        made = Image.frombytes(mode, (1, 1), struct.pack(">H" if mode == "I;16B" else "<H", 25700))
    else:
        made = colour.convert({"La": "LA", "RGBa": "RGBA", "HSV": "HSV"}[mode]).convert(mode)
    rgb = image.to_rgb(made, "cat")[0].getpixel((0, 0))
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    expected = {"La": (grey,) * 3, "I;16B": (100,) * 3, "I;16L": (100,) * 3}.get(mode, (200, 100, 50))
    assert np.abs(np.array(rgb) - expected).max() <= (3 if mode == "HSV" else 0)


@pytest.mark.parametrize(
    ("file", "opaque"),
    [
        (png(8, GREY, b"\x05\x09", 2, tRNS=words(9, order=">")), False),
        (png(8, GREY, b"\x05\x09", 2, tRNS=words(7, order=">")), True),
        (png(2, GREY, b"\x1b", 4, tRNS=words(3, order=">")), False),
        (png(2, GREY, b"\x1a", 4, tRNS=words(3, order=">")), True),
        (png(1, GREY, b"\x40", 4, tRNS=words(1, order=">")), False),
        (png(16, GREY, words(128, 40000, order=">"), 2, tRNS=words(128, order=">")), False),
        (png(16, GREY, words(128, 40000, order=">"), 2, tRNS=words(129, order=">")), True),
        (png(8, RGB, b"\x01\x02\x03", 1, tRNS=words(1, 2, 3, order=">")), False),
        (png(8, RGB, b"\x01\x02\x03", 1, tRNS=words(3, 2, 1, order=">")), True),
        (png(16, RGB, words(258, 772, 1286, order=">"), 1, tRNS=words(258, 772, 1286, order=">")), False),
        (png(16, RGB, words(258, 772, 1286, order=">"), 1, tRNS=words(1, 3, 5, order=">")), True),
        (png(8, PALETTE, b"\x00\x01", 2, PLTE=bytes(range(6)), tRNS=b"\xff\x00"), False),
        (png(8, PALETTE, b"\x00\x00", 2, PLTE=bytes(range(6)), tRNS=b"\xff\x00"), True),
        (tiff(8, 4, COLOUR, bytes([10, 20, 30, 128]), extra=1), False),
        (tiff(8, 2, BLACK_IS_ZERO, b"\x07\x80", extra=2), False),
    ],
)
def test_transparent_is_what_a_pixel_is_not_what_a_file_could_hold(file, opaque):
    if opaque:
        assert "opaque" in facts(file).done
        assert image.to_rgb(image.decode(file, "cat"), "cat")[0].mode == "RGB"
    else:
        with pytest.raises(DatasetError, match="cat: has transparent pixels; put it on a background first"):
            pixels(file)


def test_a_transparent_grey_of_sixteen_bits_leaves_the_others_as_they_are():
    assert greys(png(16, GREY, words(128, 40000, order=">"), 2, tRNS=words(129, order=">"))) == [0, 156]
    assert greys(png(2, GREY, b"\x1a", 4, tRNS=words(3, order=">"))) == [0, 85, 170, 170]


def test_floats_have_no_range():
    for file in (tiff(32, 1, BLACK_IS_ZERO, struct.pack("<f", 0.5), kind=3),):
        with pytest.raises(DatasetError, match="cat: floating-point pixels have no known range; save it with 8 or 16"):
            pixels(file)
    with pytest.raises(DatasetError, match="cat: not a readable image .no format that is read.; save it anew"):
        pixels(tiff(32, 3, COLOUR, struct.pack("<3f", 0.5, 0, 1), kind=3))


def profile(
    red: tuple[float, float, float], green: tuple[float, float, float], blue: tuple[float, float, float]
) -> bytes:
    """The part of an ICC profile that states its primaries, X, Y and Z each."""
    tags, data = b"", b""
    for name, colour in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue)):
        tags += struct.pack(">4sII", name, 128 + 4 + 36 + len(data), 20)
        data += b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in colour))
    return bytes(128) + struct.pack(">I", 3) + tags + data


DISPLAY_P3 = profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB = profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def test_profiles_are_told_by_their_primaries():
    assert is_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert not is_srgb(DISPLAY_P3) and not is_srgb(ADOBE_RGB)
    assert not is_srgb(b"") and not is_srgb(DISPLAY_P3[:150]) and not is_srgb(b"\xff" * 200)


def test_images_with_another_profile_are_taken_as_they_are_and_counted():
    picture, file = Image.new("RGB", (1, 1), (200, 100, 50)), io.BytesIO()
    picture.save(file, "PNG", icc_profile=DISPLAY_P3)
    file.seek(0)
    assert pixels(file) == [[200, 100, 50]] and facts(file).done == ("profile",)
