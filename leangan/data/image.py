"""One image file -> uint8 RGB pixels, or an error that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from leangan.data.contracts import DatasetError

# Pillow opens more than these, among them PostScript, which it hands to an interpreter. JPEG includes MPO.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

MAX_PIXELS = 2**26  # 8192 x 8192; a small file can claim far more and fill the memory

# FFHQ at 256 px is published with box (area) filtering, LSUN with a Lanczos type: FIDs of the two differ.
RESIZE = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}


def decode(file: Path | BinaryIO, where: str) -> Image.Image:
    """Read one image as RGB, turned upright by its EXIF tag.

    Grey and palette images become RGB, CMYK is converted without a colour profile, 16-bit grey is
    scaled to 8 bits. An alpha channel is dropped when it is opaque; real transparency is an error,
    because the background would be ours to invent. Raises DatasetError naming `where`.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(
                    f"{where}: {image.width} x {image.height} pixels, more than {MAX_PIXELS} in all;"
                    " make it smaller first"
                )
            # Phones append a preview as a second frame (MPO); the first one is the photograph.
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":
                raise DatasetError(f"{where}: holds {frames} frames; save one frame per file")
            return to_rgb(ImageOps.exif_transpose(image), where)
    except (DatasetError, MemoryError):
        raise
    # On damaged files Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others.
    except Exception as error:
        raise DatasetError(f"{where}: not a readable image ({error})") from error


def to_rgb(image: Image.Image, where: str) -> Image.Image:
    """The image in mode RGB by the rules of `decode`."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise DatasetError(f"{where}: has transparent pixels; put it on a background first")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DatasetError(f"{where}: grey values beyond 16 bits; save it with 8 or 16 bits")
        image = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257
    if image.mode == "F":
        raise DatasetError(f"{where}: floating-point pixels have no known range; save it with 8 or 16 bits")
    return image.convert("RGB")


def fit(image: Image.Image, resolution: int, where: str, crop: bool, resize: str) -> np.ndarray:
    """An RGB image as uint8 [3, resolution, resolution].

    `crop` takes the central square first. `resize` ("box" or "lanczos") only ever makes images smaller:
    enlarged ones would lower the quality every metric compares with. Raises DatasetError.
    """
    if crop:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    width, height = image.size
    if width != height:
        raise DatasetError(f"{where}: {width} x {height} is not square; crop: true (--crop) takes the central square")
    if width < resolution:
        raise DatasetError(
            f"{where}: {width} x {height} is smaller than the resolution {resolution};"
            " ask for a lower resolution or leave the image out"
        )
    if width > resolution:
        image = image.resize((resolution, resolution), RESIZE[resize])
    # Plane by plane: a third of the time that np.asarray and a transposition take.
    planes = [np.frombuffer(image.tobytes("raw", band), dtype=np.uint8) for band in "RGB"]
    return np.stack(planes).reshape(3, resolution, resolution)
