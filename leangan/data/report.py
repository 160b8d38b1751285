"""What preparation found and did: counted for the description of the array, and said in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leangan.core.errors import printable
from leangan.data.image import Facts

DONE = {
    "grey": "grey",
    "palette": "with a palette",
    "cmyk": "in CMYK",
    "other colours": "in CIELAB, YCbCr or HSV",
    "opaque": "with an alpha channel that was opaque",
    "deep grey": "with 16 bits of grey, {white:,} of which is white",
    "12-bit grey": "with 12 bits of grey",
    "deep colour": "with 16 bits of each colour, whose upper 8 are kept",
    "turned": "turned upright by EXIF",
    "cropped": "cropped to the central square",
    "resized": "made smaller",
    "profile": "with a colour profile other than sRGB, taken as they are",
}
"""What is done to images, in the order in which it is said. The keys stand in `data.image.Facts`."""

CLASSES_LISTED = 6

NAMED = 3
"""How many of the files that are left out for one reason are named."""


def count(facts: Iterable[Facts], copies: int, left_out: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The key `preparation` of a description.

    `done`: how many images by key of DONE. `smallest` and `largest`: [width, height] by area, before cropping.
    `copies`: how many equal an earlier image in every prepared pixel. `left_out`: by the reason, how many files and
    the first names.
    """
    done: Counter[str] = Counter()
    sizes: set[tuple[int, int]] = set()
    for each in facts:
        done.update(each.done)
        sizes.add((each.width, each.height))
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return {
        "done": {key: done[key] for key in DONE if done[key]},
        "smallest": list(by_area[0]),
        "largest": list(by_area[-1]),
        "copies": copies,
        "left_out": {reason: [len(names), *map(printable, names[:NAMED])] for reason, names in left_out.items()},
    }


def copies_in(images: Iterable[bytes]) -> int:
    """How many of some prepared images equal an earlier one in every pixel."""
    seen, number = set(), 0
    for image in images:
        seen.add(hash(image))
        number += 1
    return number - len(seen)


def sentence(meta: Mapping[str, Any]) -> str:
    """A prepared set in one line, from its description (see `data.contracts.Dataset`)."""
    preparation = meta.get("preparation")
    head = f"{meta['name']}: {count_images(meta['count'])}"
    if preparation is None:
        earlier = "prepared by an earlier version, which recorded nothing else"
        return f"{head} at {meta['resolution']} px, {_classes(meta)}; {earlier}"
    side = meta["resolution"]
    sizes = [preparation["smallest"], preparation["largest"]]
    before = " to ".join(dict.fromkeys(f"{width} x {height}" for width, height in sizes))
    head += "" if sizes == [[side, side]] * 2 else f" of {before}"
    parts = [f"{head} at {side} px, {_classes(meta)}"]
    white = meta.get("white") or 65535
    done = [f"{number:,} {DONE[key].format(white=white)}" for key, number in preparation["done"].items() if key in DONE]
    parts += [", ".join(done)] if done else []
    copies = preparation["copies"]
    parts.append(f"{copies:,} exact {'copy' if copies == 1 else 'copies'} of others" if copies else "no copies")
    parts += [_left_out(reason, *files) for reason, files in preparation["left_out"].items()]
    return "; ".join(parts)


def _left_out(reason: str, number: int, *names: str) -> str:
    more = number - len(names)
    what, _, _remedy = reason.partition(";")
    return f"left out {number:,} ({what}): {', '.join(names)}" + (f" and {more:,} more" if more else "")


def count_images(number: int) -> str:
    """1 image; 1,000 images."""
    return f"{number:,} image{'s' * (number != 1)}"


def _classes(meta: Mapping[str, Any]) -> str:
    if meta["labels"] is None:
        return "no classes"
    held = Counter(meta["labels"])
    counts = [(held[label], name) for label, name in enumerate(meta["class_names"])]
    title = f"{len(counts):,} class{'es' * (len(counts) != 1)}"
    ends, joint = counts, ", "
    if len(counts) > CLASSES_LISTED:
        by_number = sorted(counts, key=lambda each: each[0])
        ends, joint = [by_number[0], by_number[-1]], " to "
        if ends[0][0] == ends[1][0]:
            return f"{title} of {count_images(ends[0][0])} each"
    return f"{title} ({joint.join(f'{name} {number:,}' for number, name in ends)})"
