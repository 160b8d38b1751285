"""One image file -> uint8 RGB pixels and what was done to it, or an error that names the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leangan.data.colour_profile import is_srgb
from leangan.data.contracts import BrokenImage, DatasetError

# Pillow opens more than these, among them PostScript, which it hands to an interpreter. JPEG includes MPO.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

MAX_PIXELS = 2**26  # 8192 x 8192; a small file can claim far more and fill the memory

# FFHQ at 256 px is published with box (area) filtering, LSUN with a Lanczos type: FIDs of the two differ.
RESIZE = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}

UNREADABLE = "save it anew or leave it out"

# Tags of TIFF and EXIF.
BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION = 258, 262, 274

# What is done to an image of a mode, by Pillow's name.
DONE_BY_MODE = {
    **dict.fromkeys(("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"), "grey"),
    **dict.fromkeys(("P", "PA"), "palette"),
    "CMYK": "cmyk",
    **dict.fromkeys(("LAB", "YCbCr", "HSV"), "other colours"),
}


class Stored(NamedTuple):
    """What only the file tells of an image: bits of a sample, whether 0 is white, whether EXIF turned it upright."""

    bits: int = 8
    zero_is_white: bool = False
    turned: bool = False


class Facts(NamedTuple):
    """What an image was before it was prepared: its size upright, and what was done to it (keys of `report.DONE`).

    `brightest` is its largest value where that has 16 bits, of which perhaps not all are used; else 0.
    """

    width: int
    height: int
    brightest: int
    done: tuple[str, ...]


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Whatever Pillow raises within is a BrokenImage."""
    try:
        yield
    except (DatasetError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BrokenImage(where, "not a readable image (no format that is read)", UNREADABLE) from error
    # On damaged files Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others.
    except Exception as error:
        raise BrokenImage(where, f"not a readable image ({error})", UNREADABLE) from error


def decode(file: Path | BinaryIO, where: str) -> Image.Image:
    """Read one image, turned upright by its EXIF tag, in the mode that it has. Raises BrokenImage naming `where`."""
    with _readable(where), Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BrokenImage(
                where, f"{image.width} x {image.height} pixels, more than {MAX_PIXELS} in all", "make it smaller first"
            )
        # Phones append a preview as a second frame (MPO); the first one is the photograph.
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise BrokenImage(where, f"holds {frames} frames", "save one frame per file")
        bits, tags = _bits(image), getattr(image, "tag_v2", {})
        stored = Stored(bits, tags.get(PHOTOMETRIC) == 0, image.getexif().get(ORIENTATION, 1) in range(2, 9))
        image.load()  # turns a TIFF upright by itself
        if stored.turned:
            ImageOps.exif_transpose(image, in_place=True)
        if "transparency" in image.info:
            image.info["transparency"] = _to_eight_bits(image.mode, bits, image.info["transparency"])
        image.info["stored"] = stored
        return image


def _bits(image: Image.Image) -> int:
    """How many bits a sample of an opened image has in its file, as far as Pillow tells."""
    if image.format == "TIFF":
        return image.tag_v2.get(BITS_PER_SAMPLE, (1,))[0]  # type: ignore[attr-defined]
    if image.format == "PNG":
        deep = re.search(r";(2|4|16)B?$", str(image.tile[0][3])) if image.tile else None  # type: ignore[attr-defined]
        return int(deep[1]) if deep else 8
    return 8


def _to_eight_bits(mode: str, bits: int, transparent):
    """The transparent colour of a PNG as Pillow compares it with pixels: it leaves it in the file's bits."""
    if mode == "L" and bits < 8:
        return transparent * 255 // (2**bits - 1)
    if mode == "RGB" and bits == 16:
        return tuple(value >> 8 for value in transparent)
    return transparent


def to_rgb(image: Image.Image, where: str, white: int | None = None) -> tuple[Image.Image, Facts]:
    """An image of `decode`, or of any other origin, in mode RGB.

    Grey and palette images become RGB, CMYK is converted without a colour profile, others as Pillow does. Grey values
    of more than 8 bits are scaled so that `white`, by default the largest number of so many bits, becomes 255; of
    colours with 16 bits Pillow gives the upper 8. An alpha channel is dropped when it is opaque; real transparency is
    an error, because the background would be ours to invent. Raises BrokenImage naming `where`.
    """
    stored = image.info.get("stored", Stored())
    profile = image.info.get("icc_profile")
    done = [DONE_BY_MODE[image.mode]] if image.mode in DONE_BY_MODE else []
    brightest = 0
    if stored.turned:
        done.append("turned")
    if profile and not is_srgb(profile):
        done.append("profile")
    with _readable(where):
        deep = image.mode == "I" or image.mode.startswith("I;16")
        if deep:
            values = np.asarray(image).astype(np.int64)
            used = stored.bits if 8 < stored.bits < 16 else 16
            largest = _check_range(values, where, white)
            brightest = largest if used == 16 else 0
            if "transparency" in image.info:
                done.append("opaque")
                _check_opaque(where, not (values == image.info["transparency"]).any())
            done.append("12-bit grey" if used == 12 and white is None else "deep grey")
            top = white or 2**used - 1
            eight = (values * 255 + top // 2) // top
            image = Image.fromarray((255 - eight if stored.zero_is_white else eight).astype(np.uint8))
        elif image.has_transparency_data:
            done.append("opaque")
            # Pillow converts premultiplied grey to nothing else.
            image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            _check_opaque(where, image.getchannel("A").getextrema() == (255, 255))
        elif image.mode == "F":
            raise BrokenImage(where, "floating-point pixels have no known range", "save it with 8 or 16 bits")
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        if stored.bits == 16 and not deep:
            done.append("deep colour")
            brightest = int(np.asarray(rgb).max()) * 256 + 255  # the lower 8 bits are not known
    return rgb, Facts(*image.size, brightest, tuple(done))


def _check_range(values: np.ndarray, where: str, white: int | None) -> int:
    """The largest of some grey values. Raises BrokenImage where they do not lie in [0, white]."""
    lowest, brightest = int(values.min()), int(values.max())
    if lowest < 0 or brightest > 65535:
        raise BrokenImage(where, "grey values beyond 16 bits", "save it with 8 or 16 bits")
    if white is not None and brightest > white:
        raise BrokenImage(where, f"grey value {brightest} is above white", f"{white} is white; state a larger value")
    return brightest


def _check_opaque(where: str, opaque: bool) -> None:
    if not opaque:
        raise BrokenImage(where, "has transparent pixels", "put it on a background first")


def fit(image: Image.Image, resolution: int, where: str, crop: bool, resize: str) -> np.ndarray:
    """An RGB image as uint8 [3, resolution, resolution].

    `crop` takes the central square first. `resize` ("box" or "lanczos") only ever makes images smaller:
    enlarged ones would lower the quality every metric compares with. Raises BrokenImage.
    """
    if crop:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    width, height = image.size
    if width != height:
        raise BrokenImage(where, f"{width} x {height} is not square", "crop: true (--crop) takes the central square")
    if width < resolution:
        raise BrokenImage(
            where,
            f"{width} x {height} is smaller than the resolution {resolution}",
            "ask for a lower resolution or leave the image out",
        )
    if width > resolution:
        image = image.resize((resolution, resolution), RESIZE[resize])
    # Plane by plane: a third of the time that np.asarray and a transposition take.
    planes = [np.frombuffer(image.tobytes("raw", band), dtype=np.uint8) for band in "RGB"]
    return np.stack(planes).reshape(3, resolution, resolution)
