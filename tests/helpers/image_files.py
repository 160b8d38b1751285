"""Image files written sample by sample, without Pillow."""

from __future__ import annotations

import io
import struct
import zlib

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types of PNG

WHITE_IS_ZERO, BLACK_IS_ZERO, COLOUR, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 5, 6, 8  # photometric interpretations of TIFF


def png(bits: int, kind: int, row: bytes, width: int, height: int = 1, **chunks: bytes) -> io.BytesIO:
    """A PNG whose rows are all the same packed samples."""
    parts = {"IHDR": struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0), **chunks}
    parts |= {"IDAT": zlib.compress((b"\0" + row) * height), "IEND": b""}
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in parts.items():
        named = name.encode() + data
        content += struct.pack(">I", len(data)) + named + struct.pack(">I", zlib.crc32(named))
    return io.BytesIO(content)


def tiff(
    bits: int, samples: int, photometric: int, row: bytes, order: str = "<", kind: int = 1, extra: int | None = None
) -> io.BytesIO:
    """A TIFF of one row of packed samples; `kind` 1 is unsigned, 2 signed, 3 float; `extra` 1 and 2 are alpha."""
    width = len(row) * 8 // (bits * samples)
    tags = {256: [width], 257: [1], 258: [bits] * samples, 259: [1], 262: [photometric], 277: [samples], 278: [1]}
    tags |= {339: [kind] * samples} | ({} if extra is None else {338: [extra]})
    entries, beyond = {}, b""
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    for tag, values in tags.items():
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            place, beyond = start + len(beyond), beyond + packed
            packed = struct.pack(f"{order}I", place)
        entries[tag] = struct.pack(f"{order}HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    entries[273] = struct.pack(f"{order}HHII", 273, 4, 1, start + len(beyond))
    entries[279] = struct.pack(f"{order}HHII", 279, 4, 1, len(row))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(entries))
    return io.BytesIO(head + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4) + beyond + row)


def words(*values: int, order: str = "<") -> bytes:
    """Samples of 16 bits; PNG has them in the order `>`."""
    return struct.pack(f"{order}{len(values)}H", *values)
