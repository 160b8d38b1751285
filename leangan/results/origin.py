"""What a run was trained on and with: data, code and arithmetic, as its rows state them.

A setting names data and methods; the origin says what these names stood for. Runs are seeds of one mean only if setting
and origin agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from leangan.runs.row import Row

DATA, CLASSES, IMAGES, CODE = "data", "class labels", "training images", "code of "
TF32, HALF = "TF32", "16-bit layers"
"""The keys of an origin; CODE is followed by the name of a method."""

DIGITS = 8
"""How much of a digest is printed."""

Origin = Mapping[str, str]


def origin_of(row: Row) -> dict[str, str]:
    """The origin that a row states; empty if it states none.

    DATA, CLASSES (conditional runs), IMAGES and CODE with a method's name have digests, TF32 is on or off, HALF is
    bfloat16, float16 or none.
    """
    of = row.provenance
    stated = {
        DATA: of.dataset_sha256,
        CLASSES: of.class_labels_sha256,
        IMAGES: of.subset_digest,
        **{f"{CODE}{method.name}": method.code_sha256 for method in of.methods},
        TF32: None if of.tf32 is None else "on" if of.tf32 else "off",
        HALF: of.half_type,
    }
    return {key: value for key, value in stated.items() if value is not None}


def differing_keys(origins: Iterable[Origin]) -> list[str]:
    """The keys for which two origins state different values, in the order in which they are first stated."""
    values: dict[str, set[str]] = {}
    for origin in origins:
        for key, value in origin.items():
            values.setdefault(key, set()).add(value)
    return [key for key, stated in values.items() if len(stated) > 1]


def in_words(key: str, value: str) -> str:
    """One entry of an origin in print: "data 1a2b3c4d", "TF32 on", "16-bit layers in bfloat16"."""
    if key == HALF:
        return f"no {HALF}" if value == "none" else f"{HALF} in {value}"
    return f"{key} {value if key == TF32 else value[:DIGITS]}"
