"""Whether a colour profile is that of sRGB, by the colours of its primaries."""

from __future__ import annotations

import functools
import struct

# X, Y, Z of red, green and blue as profiles state them, adapted to D50 (IEC 61966-2-1 and the ICC's own profile).
SRGB = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}

TOLERANCE = 0.003  # profiles of sRGB differ in the fourth digit, Adobe RGB and Display P3 in the second


@functools.lru_cache(maxsize=64)  # the images of a set share few
def is_srgb(profile: bytes) -> bool:
    """Whether an ICC profile has sRGB's primaries; False for one of another kind, or one that is damaged.

    The curve is not compared. No library reads the profile: it comes from a file that others wrote.
    """
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        places = dict(struct.unpack_from(">4sI", profile, 132 + 12 * tag) for tag in range(min(count, 100)))
        found = {tag: [part / 65536 for part in struct.unpack_from(">3i", profile, places[tag] + 8)] for tag in SRGB}
    except (struct.error, KeyError):
        return False
    return all(abs(a - b) < TOLERANCE for tag in SRGB for a, b in zip(found[tag], SRGB[tag], strict=True))
