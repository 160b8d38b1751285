"""What leaderboard.json says: one line for each line of the page. workflow/schemas/ has the schema made of it."""

from __future__ import annotations

from typing import Annotated, Literal, get_origin

from pydantic import ConfigDict, Field

from leangan.core.schemas import Number, Record, Sha256

Rank = Annotated[int, Field(ge=1)]


class Measurement(Record):
    """A run under one metric, at the snapshot of the line's `value_kimg`."""

    metric: str
    """The metric's title, whose unit all values have."""

    name: str
    """Its full name: fid50k_full."""

    higher_is_better: bool
    """Whether higher values are better."""

    value: Number | None
    """At the best snapshot of the run; null: the metric has none there."""

    final_value: Number | None
    """At the last snapshot; null: the metric has none there."""

    curve: list[Annotated[list[Number], Field(min_length=2, max_length=2)]]
    """[[kimg, value], ...]."""


class Sample(Record):
    """A picture next to the page."""

    caption: str
    """What it shows."""

    file: Annotated[str, Field(pattern="^samples/.+[.]webp$")]
    """Its file, from the page's folder."""


class Line(Record):
    """One line of the page: a run under one label and protocol, or a published number."""

    model_config = ConfigDict(
        json_schema_extra={
            # A full reproduction was measured here and lacks nothing.
            "if": {"properties": {"ranking": {"const": "full"}}},
            "then": {
                "properties": {
                    "source": {"const": "measured"},
                    "level": {"const": "full"},
                    "shortfalls": {"maxItems": 0},
                }
            },
        }
    )

    id: Annotated[str, Field(pattern="^[0-9a-f]{10}$")]
    """Stable: the page opens this line at index.html#row=<id>."""

    source: Literal["measured", "published", "submitted"]
    """Where the number comes from."""

    credit: str | None
    """Whose number it is, where it was not measured here: the paper or the submitter."""

    ranking: Literal["full", "reduced", "proxy", "submitted", "published"]
    """The ranking that the line belongs to. Lines of different rankings are never ranked together."""

    rank: Rank | None
    """Its place among the `rank_of` lines of one data set, number of images, protocol and metric; null: not ranked."""

    rank_of: Rank | None
    """How many these are."""

    level: Literal["full", "reduced", "proxy", "published"]
    """What the line would be if it had been measured here."""

    shortfalls: list[str]
    """What it lacks to be a full reproduction."""

    status: Literal["done", "skip", "diverged", "error"]
    """What became of the run."""

    reason: str | None
    """Why there is no number: of the run, or, if its status is done, of some of its metrics."""

    doubt: str | None
    """Why a number is not ranked."""

    method: str
    """The method's title. It tells runs of other settings, data, code or arithmetic apart."""

    dataset: str
    """With its resolution, elpv 32 px; of published numbers as the paper names it."""

    images: int | None
    """Training images; null where a paper gives no plain number."""

    images_text: str
    """The same in print."""

    model: str
    """Backbone and preset; of published numbers as the paper names it."""

    metric: str
    """The metric's title, whose unit all values have: "KID ×10³" is a thousand times the KID."""

    higher_is_better: bool
    """Whether higher values are better."""

    protocol: str
    """The protocol's name; of published numbers what the paper says of it."""

    value: Number | None
    """At the best snapshot, chosen by this metric itself."""

    value_text: str
    """The same in print."""

    value_kimg: Number | None
    """Where in training that was."""

    final_value: Number | None
    """At the last snapshot."""

    kimg: Number | None
    """Training length in thousands of images shown to D."""

    published_kimg: Number | None
    """The same of the paper."""

    share_of_published_length: Number | None
    """The one over the other."""

    scale: str | None
    """The scale of a run measured here, an entry of config/scales.yaml. The numbers of smoke mean nothing."""

    seed: int | None
    """The training seed."""

    setting: Sha256 | None
    """The digest of everything the run was trained with except its seed. Lines of one setting and `method` are seeds of
    one mean."""

    command: str | None
    """The command that makes the line again."""

    facts: dict[str, str]
    """Protocol and provenance by label: extractor, its sha256, commit, device, or the paper and its table."""

    measurements: list[Measurement]
    """Every metric of the run."""

    samples: list[Sample]
    """Pictures next to the page."""


class Leaderboard(Record):
    """leaderboard.json next to the page: the leaderboard as data. docs/leaderboard.md tells more."""

    version: Literal[1]
    """Rises when a field changes its meaning or goes; fields may be added."""

    rankings: dict[str, str]
    """The titles of the rankings."""

    rows: list[Line]
    """All lines, in the page's order."""


NESTED = tuple(name for name, field in Line.model_fields.items() if get_origin(field.annotation) in (list, dict))
"""The fields that hold lists or mappings, which a table leaves out."""
