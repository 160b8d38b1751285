"""What a file of config/artefacts/ holds: every key with its type and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from leangan.core.schemas import Distinct, Omissible, Positive, Record, Sha256, Text
from leangan.core.spec import SUBSET_DEFAULTS
from leangan.runs.sections import Conditional, Count, Resolution

Names = Annotated[list[Text], Field(min_length=1)]


def _listed(value: Any) -> Any:
    """One grid as a list of one."""
    return value if isinstance(value, list) else [value]


def _by_name(entries: Any) -> Any:
    """Figures by name, each with the methods that it draws; a name alone draws all of them."""
    if not isinstance(entries, list):
        return entries
    pairs = [entry if isinstance(entry, dict) else {entry: None} for entry in entries]
    return {name: methods for pair in pairs for name, methods in pair.items()}


class Grid(Record):
    """Values of which every combination is trained."""

    title: Text = ""
    """Heading of the grid's methods in table and figures. Either every grid of an artefact has one or none."""

    dataset: Names
    """Data sets: rows of leangan/data/sources.csv."""

    resolution: Annotated[list[Resolution], Field(min_length=1)]
    """Sides of the images in pixels."""

    images: Annotated[list[Count], Field(min_length=1)]
    """Training-set sizes. Twice the images of a known set means all of them with their mirror images."""

    preset: Names
    """Hyper-parameters: entries of config/presets.yaml ([presets.md](presets.md)), or auto, by resolution and device
    ([your-data.md](your-data.md#which-preset))."""

    method: Names
    """Methods: entries of config/methods.yaml or files of augment/."""


class Expectation(Record):
    """The order of methods that a paper states or draws."""

    better: Annotated[Names, Distinct()]
    """Methods of the grid that the papers put first."""

    worse: Annotated[Names, Distinct()]
    """Methods of the grid that they put behind those."""

    source: Text
    """Where the papers say so."""


class NetworkFile(Record):
    """A file with networks."""

    file: str
    """Its path, from the project's root."""

    sha256: Sha256
    """Its digest, which is part of the run's id where the path is not."""


class Start(Record):
    """Networks that a run starts from."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    checkpoint: Omissible[NetworkFile] = None
    """A checkpoint of training, which has all three networks."""

    G: Omissible[NetworkFile] = None
    """Weights of G."""

    D: Omissible[NetworkFile] = None
    """Weights of D."""

    G_ema: Omissible[NetworkFile] = None
    """Weights of G's average; G starts from them too if `G` is left out."""


class ScalePart(Record):
    """An artefact's own settings at one scale: lengths that replace config/scales.yaml's, and parts of its grids."""

    kimg: Positive | None = None
    """Training length in place of the scale's, in thousands of images shown to D; null: the preset's."""

    snapshot_kimg: Positive | None = None
    """Distance between snapshots in place of the scale's; null: the preset's."""

    dataset: Omissible[Names] = None
    """The data sets of the grids that the scale has. Left out: all."""

    images: Omissible[Annotated[list[Count], Field(min_length=1)]] = None
    """The training-set sizes that the scale has. Left out: all."""

    method: Omissible[Names] = None
    """The methods that the scale has. Left out: all."""

    method_args: dict[str, dict[str, Any]] = {}
    """Arguments by plugin at this scale, in place of the artefact's for the same plugin."""


class PublishedPart(Record):
    """Which numbers of results/published/published.csv are printed next to the measured ones."""

    where: dict[str, str | int | list[str | int]] = {}
    """Values of columns of published.csv that the numbers have; of a list, one of them."""

    methods: dict[str, str]
    """What published.csv calls the methods, by their names here."""

    datasets: dict[str, str] = {}
    """What published.csv calls the data sets, by their names here. Left out: the same."""


class Sweep(Record):
    """What the figure `sweep` draws: the best distance over one argument."""

    x: Annotated[str, Field(pattern=r"^[^.]+\.[^.]+$")]
    """The argument: `<plugin>.<argument>` such as `da.p`, or `preset.<key>` (of a list its first entry)."""

    label: Text = ""
    """Text below the x axis. Left out: `x`."""

    scale: Literal["linear", "log"] = "linear"
    """Scale of the x axis."""

    lines: dict[str, list[str]]
    """The methods of each line, by its label."""

    levels: dict[str, list[str]] = {}
    """Horizontal lines by label, each at the best mean of its methods."""

    panels: Literal["settings", "lines"] = "settings"
    """Whether each setting (data set, size, preset) or each line has a panel."""


class Layout(Record):
    """What table and figures show."""

    caption: Text = ""
    """Text before the generated sentences about protocol and seeds. Left out: the title."""

    metrics: list[Text] = []
    """Metric families, one group of columns each. The first chooses the best snapshot of a run for all of them. Left
    out: all that were measured."""

    training: list[Text] = []
    """More columns, from the training log (leangan/results/training_log.py has their names). Only where the grids have
    titles."""

    published: Omissible[PublishedPart] = None
    """The paper's numbers, printed next to the measured ones. Only where the grids have no titles."""

    sweep: Omissible[Sweep] = None
    """What the figure `sweep` draws."""


class ArtefactConfig(Record):
    """One table with its figures, and the runs that it is made from."""

    title: Text
    """Heading of the table, and its caption unless the layout has one."""

    paper: str = ""
    """Paper, and the table or figure there."""

    grid: Annotated[list[Grid], BeforeValidator(_listed, Grid | Annotated[list[Grid], Field(min_length=1)])]
    """What to train: every combination of the grid's values, once for each seed of the scale. A list of grids is
    several of these; their titles group the methods in table and figures."""

    start: Omissible[Start] = None
    """Networks that every run starts from, unless its method says so itself: a checkpoint, or one or more of the
    others, which are arguments of augment/transfer.py. Left out: random networks. Runs on sets of your own start from
    random networks, too."""

    protocol: str
    """How the runs are measured: an entry of config/protocols.yaml."""

    conditional: Conditional = False
    """Whether the networks learn the classes of the images; auto: if the set has two classes or more."""

    subset_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the order in which training images are drawn."""

    subset_rule: Literal["permutation", "first", "balanced"] = SUBSET_DEFAULTS["subset_rule"]
    """Which images of the set are trained on: the first of a random order, the first of the set, or equally many of
    each class (leangan/data/subset.py)."""

    validation_images: Annotated[int, Field(ge=0)] = SUBSET_DEFAULTS["validation_images"]
    """How many of the images that follow in that order are held out."""

    method_args: dict[str, dict[str, Any]] = {}
    """Arguments by plugin, for every method of the grid that has it as a part."""

    scales: dict[str, ScalePart] = {}
    """Settings of the artefact at some scales, by the scale's name."""

    layout: Layout = Layout()
    """What table and figures show."""

    expectation: Omissible[Expectation] = None
    """What the papers say of methods of the grid where they print no number for it: each of `better` is better than
    each of `worse`, in every column, by the first metric. The status table and the caption say whether the runs
    agree."""

    figures: Annotated[
        dict[str, list[str] | None],
        BeforeValidator(
            _by_name,
            Annotated[
                list[str | Annotated[dict[str, Names], Field(min_length=1, max_length=1)]],
                Distinct(),
            ],
        ),
    ] = {}
    """Figures, by names of files in leangan/artefacts/figures/, alone or with the methods to draw:
    `samples: [none, ada]`."""

    def at(self, scale: str) -> ScalePart:
        """The artefact's settings at a scale."""
        return self.scales.get(scale, ScalePart())
