"""The labelled facts that an opened row of the page shows: protocol and provenance."""

from __future__ import annotations

from collections.abc import Iterator

from leangan.results.table import flatten
from leangan.runs.row import Row

LABELS = {
    "submitted_by": "submitted by",
    "url": "described at",
    "run": "run",
    "n_fake": "generated images",
    "n_real": "reference images",
    "reference": "reference set",
    "protocol.extractor": "extractor",
    "protocol.extractor_sha256": "extractor's sha256",
    "protocol.input_px": "extractor's input (px)",
    "protocol.resize": "resize",
    "protocol.library": "metric library",
    "provenance.dataset_sha256": "data set's sha256",
    "provenance.class_labels_sha256": "class labels' sha256",
    "provenance.subset_digest": "digest of the training images",
    "provenance.parent_sha256": "sha256 of the networks it started from",
    "provenance.commit": "commit",
    "provenance.dirty": "changes beyond the commit",
    "provenance.torch": "torch",
    "provenance.device": "device",
    "provenance.seconds": "training (s)",
    "provenance.images_per_s": "images per second",
    "provenance.time_utc": "trained at (UTC)",
}


def facts_of(row: Row, snapshots: dict[str, str]) -> list[tuple[str, str]]:
    """Label and text of what a row says of its protocol and provenance.

    `snapshots` has the sha256 of the run's "best" and "final" snapshot.
    """
    stated = flatten(row.model_dump())
    facts = [(label, _text(stated[key])) for key, label in LABELS.items() if stated[key] not in (None, "")]
    if earlier := row.provenance.earlier_commits:
        facts.append(("begun under", ", ".join(earlier)))
    return [*facts, *_arithmetic(row), *_methods(row), *_snapshots(snapshots)]


def _text(value: str | float | bool) -> str:
    """A value in print. The one flag is whether code was changed."""
    if isinstance(value, bool):
        return "yes" if value else "none"
    return value if isinstance(value, str) else f"{value:,.9g}"


def _arithmetic(row: Row) -> Iterator[tuple[str, str]]:
    tf32, half = row.provenance.tf32, row.provenance.half_type
    if tf32 is not None and half is not None:
        layers = "no 16-bit layers" if half == "none" else f"16-bit layers in {half}"
        yield "training arithmetic", f"float32, TF32 {'on' if tf32 else 'off'}; {layers}"
    if row.protocol.tf32:
        yield "features", "computed in TF32"


def _methods(row: Row) -> Iterator[tuple[str, str]]:
    for method in row.provenance.methods:
        yield f"method {method.name}", f"{method.home}, code's sha256 {method.code_sha256}"


def _snapshots(digests: dict[str, str]) -> Iterator[tuple[str, str]]:
    if len(set(digests.values())) == 1:
        yield "snapshot's sha256", next(iter(digests.values()))
    else:
        for kind, digest in digests.items():
            yield f"{kind} snapshot's sha256", digest
