"""A row: one number of one snapshot of one run, how it was measured and where it comes from; or why there is none.

It is a line of results/<scale>/rows/<run>/<protocol>.jsonl (leangan/runs/rows.py) and of results.csv
(leangan/results/table.py). Fields that a row does not state are not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from leangan.core.schemas import NonNegative, Number, Omissible, Positive, Record, Sha256, Text

Count = Annotated[int, Field(ge=1)]


class MethodCode(Record):
    """A plugin of the run's method, by its code."""

    name: Text
    """The plugin."""

    code_sha256: Sha256
    """The digest of its code without comments."""

    home: Annotated[str, Field(pattern="^(project|folder|package [^ ]+ [^ ]+)$")]
    """Where it comes from: this project, a folder of the user's, or a package with its version."""


class UsedProtocol(Record):
    """The protocol as it was carried out."""

    name: str
    """Its name in config/protocols.yaml."""

    extractor: str | None
    """The network that made features of the images."""

    extractor_sha256: str | None
    """The digest of its weights."""

    input_px: int | None
    """The width of the images that it was given."""

    resize: str | None
    """How they were brought to that width."""

    library: str | None
    """The package, with its version, whose numbers these are."""

    tf32: bool = False
    """Whether features were computed with factors rounded to 10 bits, of fakes and reals alike."""

    statistics: Text | None = None
    """What the norms of the generator used, of BigGAN batch, running or standing."""

    eval_seeds: Omissible[Count] = None
    """How many times the snapshot was measured."""

    @classmethod
    def planned(cls, name: str, extractor: str | None = None) -> UsedProtocol:
        """A protocol by which nothing has been measured yet."""
        return cls(name=name, extractor=extractor, extractor_sha256=None, input_px=None, resize=None, library=None)


class Provenance(Record):
    """What the run was trained by, on and from."""

    commit: str | None
    """The commit of the code."""

    dirty: bool | None
    """Whether the code differed from the commit."""

    torch: str | None
    """The version of torch."""

    device: str | None
    """The name of the GPU or the processor."""

    earlier_commits: tuple[str, ...] = ()
    """Other commits under which the run was trained before an interruption."""

    seconds: Number | None
    """How long training took."""

    images_per_s: Number | None
    """Real images shown to D per second of training."""

    time_utc: str | None
    """When training ended."""

    tf32: bool | None = None
    """Whether float32 factors were rounded to 10 bits on the device."""

    half_type: Literal["bfloat16", "float16", "none"] | None = None
    """The type of 16-bit layers, as used on the device."""

    dataset_sha256: Sha256 | None = None
    """The digest of all images of the data set."""

    class_labels_sha256: Sha256 | None = None
    """The digest of their labels, of a conditional run."""

    subset_digest: str | None = None
    """The digest of the choice of training images."""

    parent_sha256: Sha256 | None = None
    """The digest of the checkpoint that training started from."""

    methods: tuple[MethodCode, ...] = ()
    """The method's plugins."""


@dataclass(frozen=True)
class Comparable:
    """What must agree before two values of a metric may share a column, a mean or a ranking."""

    protocol: UsedProtocol
    n_real: int | None
    n_fake: int | None
    reference: str | None
    proxy: bool

    def values(self) -> dict[str, Any]:
        """All of it by the names of the columns of results.csv."""
        of_protocol = {f"protocol.{key}": value for key, value in self.protocol}
        return {**of_protocol, **{key: value for key, value in vars(self).items() if key != "protocol"}}


_WHERE_DONE = {"value": {"type": "number"}, "kimg": {"type": "number"}, "reason": {"type": "null"}}
_WHERE_FAILED = {"value": {"type": "null"}, "reason": {"type": "string", "minLength": 1}}


def _rule(key: str, values: list[str], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {key: {"enum": values}}}, "then": then}


class Row(Record):
    """One line of results/<scale>/rows/<run>/<protocol>.jsonl: one number of one snapshot of one run."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                _rule("status", ["done"], {"properties": _WHERE_DONE}),
                _rule("status", ["skip", "diverged", "error"], {"properties": _WHERE_FAILED}),
                _rule("source", ["measured"], {"required": ["setting"], "properties": {"setting": {"type": "string"}}}),
            ]
        }
    )

    scheme: Literal[2]
    """The version of what a run's id covers, SCHEME of leangan/core/spec.py."""

    run: Annotated[str, Field(pattern="^[^/]+/[^/]+$")]
    """The run's id."""

    setting: Sha256 | None = None
    """The digest of everything the run was trained with except its seed; null: not stated, of submitted rows."""

    dataset: str
    """The data set."""

    images: Count
    """How many images the run trained on."""

    resolution: Annotated[int, Field(ge=4)]
    """Width and height of the images in pixels."""

    conditional: bool
    """Whether G and D are told the classes of the images."""

    backbone: str
    """The backbone."""

    preset: str
    """The name of the preset."""

    method: str
    """Its name in the configuration."""

    method_title: str
    """What tables called the method when the row was written; spec.json in the same folder has the present title."""

    seed: Annotated[int, Field(ge=0)]
    """The seed of training."""

    kimg: NonNegative | None
    """Thousands of images shown to D before the snapshot."""

    total_kimg: Omissible[Positive] = None
    """The same of the whole training, as planned."""

    published_kimg: NonNegative | None = None
    """The length of training in the paper that the preset repeats; null: no paper does."""

    family: str
    """The metric without number of fakes, reference and extractor: fid; "" in a row without a metric."""

    metric: str
    """Its full name, which states these: fid50k_full (leangan/metrics/families.py); "" in a row without a metric."""

    value: Number | None
    """The number; null: there is none, for `reason`."""

    spread: NonNegative | None
    """The standard deviation that belongs to it."""

    spread_over: Text | None = None
    """What the spread is over: "evaluation seeds", or what the metric says, such as "splits" or "subsets". It is never
    over training seeds, which are rows of their own."""

    n_real: Count | None
    """How many reals the fakes were compared with."""

    n_fake: Count | None
    """How many images were generated."""

    reference: Literal["full", "train", "test"] | None
    """Which reals these are; null: the number is of the fakes alone."""

    proxy: bool
    """Whether the number is no published metric and must not be set against published ones."""

    protocol: UsedProtocol
    """How it was measured."""

    provenance: Provenance
    """Where it comes from."""

    status: Literal["done", "skip", "diverged", "error"]
    """done, or why there is no number: skip, the run makes no sense or the images define no value of this metric;
    diverged; error, a plugin failed. A row without a metric says it of the run, any other one of the metric alone."""

    reason: str | None
    """Why there is no number."""

    source: Literal["measured", "submitted"]
    """Measured here, or submitted by others; papers' numbers are in published.csv."""

    snapshot_sha256: Omissible[Sha256] = None
    """The digest of the snapshot."""

    submitted_by: Omissible[Text] = None
    """Who measured a submitted row."""

    url: Omissible[str] = None
    """Where that is described."""

    @property
    def comparable(self) -> Comparable:
        """How the number was measured."""
        return Comparable(self.protocol, self.n_real, self.n_fake, self.reference, self.proxy)
