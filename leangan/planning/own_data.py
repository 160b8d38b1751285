"""What the plan says of data sets: what images of one's own are, and what `auto` has chosen for a set, and why."""

from __future__ import annotations

from collections.abc import Iterator, Set

from leangan.data.report import count_images
from leangan.metrics.families import fewest_images, known_families
from leangan.metrics.protocols import read_protocol
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.asked import asked
from leangan.runs.cells import Cell
from leangan.runs.choices import auto_preset, choose_conditional, outline_of
from leangan.runs.config import artefact
from leangan.runs.sections import AUTO, Config


def describe_sets(members_of: dict[str, list[Cell]], config: Config) -> Iterator[str]:
    """A line for each set of one's own and for each that something was chosen for, by artefacts with their cells."""
    for name, members in members_of.items():
        content = asked(artefact(name), config)
        for dataset, resolution in dict.fromkeys((cell.spec.dataset, cell.spec.resolution) for cell in members):
            facts = [*_images(dataset, resolution, config), *_choices(content, dataset, resolution, config)]
            trained = {cell.spec.images for cell in members if cell.spec.dataset == dataset and not cell.refused}
            facts += _too_few(content, outline_of(dataset, resolution, config).count, trained)
            if facts:
                yield f"{dataset} at {resolution} px: {'; '.join(facts)}"


def _images(dataset: str, resolution: int, config: Config) -> Iterator[str]:
    """How many images a set of one's own has, and in how many classes."""
    known = outline_of(dataset, resolution, config)
    if config.path_of(dataset) is None or known.count is None:
        return
    images = count_images(known.count)
    classes = {0: "without labels", 1: "all of one class"}
    yield images if known.classes is None else f"{images}, {classes.get(known.classes, f'{known.classes} classes')}"


def _too_few(content: ArtefactConfig, count: int | None, trained: Set[int]) -> Iterator[str]:
    """Which metrics have no value, since the reals are a set of `count` images, or `trained` of it, by the protocol."""
    protocol = read_protocol(content.protocol)
    sizes = {"full": {count} if count is not None else set(), "train": trained}.get(protocol.reference, set())
    for family in protocol.metrics:
        known, needed = known_families()[family], fewest_images(family)
        if known.against != "nothing" and any(size < needed for size in sizes):
            yield f"no {known.title}: it needs {needed} images or more"


def _choices(content: ArtefactConfig, dataset: str, resolution: int, config: Config) -> Iterator[str]:
    """What `auto` stands for in the artefact."""
    if any(AUTO in grid.preset for grid in content.grid):
        chosen = auto_preset(resolution, config.device)
        yield f"preset {chosen.preset}, {chosen.reason}"
    if content.conditional == AUTO:
        learns = choose_conditional(AUTO, dataset, resolution, config)
        unknown = outline_of(dataset, resolution, config).classes is None
        without = "nothing is known of its classes" if unknown else "fewer than two classes"
        yield "class-conditional" if learns else f"unconditional: {without}"
