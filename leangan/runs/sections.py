"""What config/config.yaml and config/scales.yaml hold: every key with its type and meaning."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from leangan.core.schemas import COMMENT, Distinct, Omissible, Positive, Record, Text

SIDES = [8, 16, 32, 64, 128, 256, 512, 1024]

Resolution = Annotated[
    int,
    WithJsonSchema(
        {"type": "integer", "enum": SIDES, COMMENT: f"a power of two from {SIDES[0]} to {SIDES[-1]}"},
        mode="validation",
    ),
]
"""Side of square images in pixels."""

Count = Annotated[int, Field(ge=1)]

Size = Annotated[
    Count | Literal["all"],
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": 2**53,
            "pattern": "^all$",
            COMMENT: "a whole number from 1 up, or all",
        },
        mode="validation",
    ),
]
"""Number of training images; all: as many as the set has."""

NAME = "lower-case letters and digits, with single - or _ between them, such as my-flowers"

Name = Annotated[str, Field(pattern="^[a-z0-9]+([_-][a-z0-9]+)*$", json_schema_extra={COMMENT: NAME})]
"""What may name a data set: lower-case letters, digits, - and _ between them."""

AUTO = "auto"
"""In place of a preset or of `conditional`: chosen for the data set, see `leangan.runs.choices`."""

Conditional = Literal["auto", True, False]
"""Whether networks learn the classes of the images; auto: if these have at least two."""


class OwnDataset(Record):
    """Images of your own, or a known set with another path or preparation."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    path: Omissible[Text] = None
    """A folder of images, a folder of class folders, a ZIP with an optional dataset.json, or another form of
    [data.md](data.md). It starts at the project's folder unless it is absolute; `~` is the home folder."""

    resolution: Omissible[Resolution] = None
    """Side of the images in pixels, after scaling."""

    crop: Omissible[bool] = None
    """Whether images that are not square lose all but their central square; without it they are an error. A known set
    is cropped as published unless this says otherwise."""

    resize: Omissible[Literal["box", "lanczos"]] = None
    """Filter that scales images down. Left out: that of the set's publication, box for sets of your own."""

    white: Omissible[Annotated[int, Field(ge=1, le=65535)]] = None
    """Which value of grey images with 16 bits is white, such as 4095 where a camera used 12 of them. Left out: 65535,
    and images that use less than half of that are an error."""


class Arithmetic(Record):
    """How GPUs compute."""

    tf32: bool
    """Whether GPUs may round float32 factors to 10 bits, several times faster where presets compute in 32 bits. The
    published numbers were trained without."""

    half: Literal["bfloat16", "float16", "none"]
    """16-bit type of presets that compute their highest resolutions in 16 bits; none computes them in 32. The published
    runs used float16, as GPUs older than Ampere must. On a CPU all layers compute in 32 bits."""


class Config(Record):
    """What to make, on which data and on which devices."""

    artefacts: Annotated[list[Text], Field(min_length=1), Distinct()]
    """What to make: names of files in config/artefacts/, each one table or figure with its runs. `paper` means
    all artefacts of both papers that the scale has."""

    scale: str
    """How long and how carefully: an entry of config/scales.yaml."""

    methods: Annotated[list[Text], Distinct()]
    """Methods to add to those that every artefact compares: names of config/methods.yaml, or of files in augment/ or in
    `method_folders`."""

    only_methods: Annotated[list[Text], Distinct()]
    """Methods to compare in place of those of every artefact; an empty list keeps theirs. Those of `methods` are added
    to these, too."""

    method_folders: Annotated[list[Text], Distinct()]
    """Folders of your own with methods, one file each as in augment/."""

    datasets: dict[Name, OwnDataset]
    """Image sets by name. Those with a resolution replace the sets of the artefacts, whose tables and figures then have
    the names of these sets in theirs. A set that is not in leangan/data/sources.csv needs `path` and `resolution`. A
    known set may omit `resolution`; its path and preparation still apply."""

    images: Annotated[list[Size], Distinct()]
    """Training-set sizes in place of the artefacts' own; an empty list keeps theirs. `all` is the size of the set. A
    size that the set does not have is a row that says so."""

    preset: Text | None
    """Hyper-parameters in place of the artefacts' own: an entry of config/presets.yaml, or auto, by resolution and
    device ([your-data.md](your-data.md#which-preset)). null keeps theirs."""

    conditional: Conditional | None
    """Whether the networks learn the classes of the images, in place of what the artefacts say: true, false, or auto,
    if the set has two classes or more. null keeps theirs."""

    kimg: Positive | None
    """Training length in thousands of images shown to D. It replaces the scale's, and null keeps that. A run of another
    length is another run."""

    snapshot_kimg: Positive | None
    """Distance between the snapshots that are measured, in the same unit. It replaces the scale's, and null keeps
    that."""

    inception_weights: str | None
    """Where the Inception weights of 2015 are: the file weights-inception-2015-12-05-6726825d.pth (for Clean-FID
    inception-2015-12-05.pt), or a folder with both. null: torch's cache folder, else a download. Only protocols that
    compute FID, KID or IS need them."""

    device: Literal["auto", "cuda", "cpu"]
    """Where training and features run; auto means GPUs if nvidia-smi lists one."""

    arithmetic: Arithmetic
    """How GPUs compute. It is part of every run's id: runs of another arithmetic are other runs
    ([run-identity.md](run-identity.md))."""

    cuda_graphs: bool
    """Whether a GPU runs each step of training as a CUDA graph, where the run's method allows it: the same numbers up
    to rounding, and faster, since the processor no longer launches every kernel. The log of a run says whether it does.
    It is not part of a run's id: a run may be continued either way."""

    fused_kernels: bool
    """Whether a GPU runs StyleGAN2's low-pass filters, and what follows its convolutions, by Triton kernels, which read
    each map once: the same numbers up to rounding. Off until a card has shown that it pays; `make gpu` measures it.
    Triton needs a C compiler at run time. Where that is missing, the log says so and the plain operations go on. It is
    not part of a run's id."""

    devices_per_run: Count
    """How many GPUs train one run, and measure it, together. Where a preset's batch or groups cannot be shared by so
    many, the next smaller number takes the run, so that it stays as published ([distributed.md](distributed.md)).
    `--resources gpu=N` says how many there are for all runs. On a CPU: processes, each with `threads` of its own."""

    runs_per_gpu: Count
    """How many runs may share a GPU, since a small one does not fill a large card. `--resources gpu=2` then trains up
    to twice as many at once, on as many `--cores`. A run on several GPUs does not share them. On one machine only: a
    cluster gives each job its own GPUs."""

    threads: Count
    """CPU threads of each process that trains or measures. Runs side by side use two cores better than one run with
    two threads."""

    def path_of(self, dataset: str) -> str | None:
        """Where a data set is, as far as the configuration says."""
        path = self.datasets[dataset].path if dataset in self.datasets else None
        return path and os.path.expanduser(path)

    @property
    def own_sets(self) -> dict[str, int]:
        """The resolutions of the data sets that replace those of the artefacts, by name."""
        return {name: own.resolution for name, own in self.datasets.items() if own.resolution is not None}

    def output_name(self, artefact: str) -> str:
        """What tables and figures of an artefact are called: by the data sets, too, that replace its own."""
        return f"{artefact}-{'+'.join(self.own_sets)}" if self.own_sets else artefact


class Scale(Record):
    """How long runs train and how carefully they are measured; null keeps what is published."""

    kimg: Positive | None
    """Training length in thousands of images shown to D; null: the preset's."""

    snapshot_kimg: Positive | None
    """Distance between the snapshots that are measured; null: the preset's."""

    tick_kimg: Positive
    """Distance between two lines of train.jsonl, and between checkpoints."""

    fakes: Count | None
    """Generated images per measurement; null: the protocol's."""

    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), Distinct()]
    """Training seeds, one run each."""

    papers: Literal["all", "stated"]
    """What `snakemake paper` makes: all artefacts of both papers, or those that state a length for the scale under
    `scales`, with the part of their grid that they name there."""
