"""Everything that is wrong with the images of a set, said at once: by kind, each kind with its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leangan.data.contracts import BrokenImage, DatasetError, Source

LISTED = 20  # images that are named; of a kind that begins later, one


class BrokenImages(DatasetError):
    """Several images that cannot be prepared: `lines` name them by kind, `summary` counts them."""

    def __init__(self, lines: Sequence[str], summary: str):
        super().__init__(lines, summary)
        self.lines, self.summary = lines, summary

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.lines])


def broken_images(source: Source, errors: Sequence[DatasetError], seen: int | None = None) -> DatasetError:
    """The error that stands for `errors`, one of each broken image of `source`; of `seen` images, if not of all."""
    if len(errors) == 1:
        return errors[0]
    looked_at = "" if seen is None else f" (of the first {seen} that were tried)"
    return BrokenImages(
        list(_lines(errors)),
        f"{source.name}: {len(errors)} of {len(source)} images cannot be prepared{looked_at}; when those named"
        " are mended or left out, the same command decodes only what has changed",
    )


def _lines(errors: Sequence[DatasetError]) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for error in errors:
        remedy, text = (
            (error.remedy, f"{error.where}: {error.found}") if isinstance(error, BrokenImage) else ("", error)
        )
        kinds.setdefault(remedy, []).append(" ".join(str(text).split()))
    left = LISTED
    for remedy, texts in kinds.items():
        named = texts[: max(1, left)]
        left -= len(named)
        yield from named
        if len(named) < len(texts):
            yield f"and {len(texts) - len(named)} more"
        if remedy:
            yield f"-> {remedy}"
