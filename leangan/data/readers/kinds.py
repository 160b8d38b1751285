"""What kind of file one is: by its name where that is usual for images, else by its first bytes."""

from __future__ import annotations

import re

SUFFIXES = frozenset({
    ".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
})  # fmt: skip
"""Files of these names are images: a set of 100,000 is listed without opening them, and decoding tells of others."""

HEAD = 32
"""As many bytes at the start of a file tell its kind."""

# Reasons why a file is left out; for a picture of a kind that is not read, the kind is one.
HIDDEN = "hidden or left by a system"
OTHER = "not images"

# Those of `data.image.FORMATS`. "BM" and "P5" also begin texts, so that more of their headers is looked at.
_IMAGE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II[*+]\0|MM\0[*+]|P[1-6]\s+[#\d]"
    rb"|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    re.DOTALL,
)

# Kinds that are not read: what such files begin with, and their suffixes.
_OTHER_KINDS = {
    "AVIF images": (rb".{4}ftypavi[fs]", ".avif .avifs"),
    "HEIC images": (rb".{4}ftyp(?:hei|hev|mif1|msf1)", ".heic .heif .hif"),
    "JPEG XL images": (rb"\xff\n|\0\0\0\x0cJXL ", ".jxl"),
    "JPEG 2000 images": (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", ".j2c .j2k .jp2 .jpf .jpx"),
    "TGA, DICOM and HDR images": (rb"#\?RADIANCE|v/1\x01|P[Ff]\n", ".dcm .exr .hdr .pfm .tga"),
    "Photoshop images": (rb"8BPS", ".psb .psd"),
    "drawings": (rb"\s*<svg\s|%!PS|%PDF", ".ai .eps .pdf .ps .svg .svgz"),
    "videos": (
        rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]",
        ".avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv",
    ),
}
_MARKS = {kind: re.compile(mark, re.DOTALL) for kind, (mark, _) in _OTHER_KINDS.items()}
_KIND_OF = {suffix: kind for kind, (_, suffixes) in _OTHER_KINDS.items() for suffix in suffixes.split()}

# Most begin as TIFFs do, of which Pillow would read the small preview.
_RAW = frozenset(".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srw".split())


def is_named_as_image(name: str) -> bool:
    """Whether the suffix is a usual one of images."""
    return _suffix(name) in SUFFIXES


def why_not(name: str, head: bytes) -> str | None:
    """Why a file is not read whose name does not say that it is an image; None if it is one by its first `HEAD` bytes.

    Pictures of a kind that is not read are told from files that are none (`OTHER`). AVIF is such a kind although newer
    versions of Pillow read it: a set must have the same images under all of them.
    """
    kind: str | None = "cameras' raw files"
    if _suffix(name) not in _RAW:
        if _IMAGE.match(head):
            return None
        kind = next((kind for kind, mark in _MARKS.items() if mark.match(head)), _KIND_OF.get(_suffix(name)))
    return f"{kind}, which are not read; save them as PNG or JPEG" if kind else OTHER


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"
