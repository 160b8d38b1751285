"""Published numbers, made up."""

from __future__ import annotations

import csv
import io
from typing import Any

from leangan.results.published import PublishedNumber

USUAL = {
    "paper": "P", "artefact": "Table 1", "dataset": "toy", "train_images": "128", "model": "StyleGAN2",
    "method": "plain", "name": "", "conditional": "no", "family": "fid", "protocol": "fid10k: 10k fakes",
    "fakes": 10000, "reference": None, "value": "12.5", "std": None, "std_verified": None, "note": "", "source": "here",
    "quoted": "no", "verified": "yes",
}  # fmt: skip


def number(**changes: Any) -> PublishedNumber:
    """A published number that differs from the usual one in `changes`."""
    return PublishedNumber(**{**USUAL, **changes})


def csv_text(*numbers: PublishedNumber) -> str:
    """The text of a published.csv with these numbers."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PublishedNumber.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(each.model_dump() for each in numbers)
    return text.getvalue()
