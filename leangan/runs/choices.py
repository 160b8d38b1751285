"""What `auto` stands for: the preset that fits resolution and device, and whether the networks learn classes.

Both are settled before a run has an id, which names the preset and the choice themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from leangan.core.visible_gpus import uses_gpus
from leangan.data.outline import Outline, outline, why_unconditional
from leangan.runs.sections import AUTO, Conditional, Config


@dataclass(frozen=True)
class Choice:
    """A preset that `auto` takes, and why, for the plan."""

    preset: str
    reason: str


ON_CPU = Choice("tiny-batch16", "a network that a CPU trains, made for 32 px")
SMALL_ON_GPU = Choice("cifar", "ADA's settings for CIFAR-10, tuned at 32 px")
ON_GPU = Choice("auto-1gpu", "what ADA's authors take for a new set, by its resolution")
LARGE_ON_CPU = Choice(ON_GPU.preset, f"{ON_GPU.reason}: on a CPU it takes weeks, use a GPU or 32 px")

SMALL = 32
"""The resolution up to which a GPU takes the settings for CIFAR-10."""

MOST_ON_CPU = 64
"""The resolution up to which a CPU takes the network for CPUs: above it layers would have 3 maps and less, or none."""


def auto_preset(resolution: int, device: str) -> Choice:
    """The preset for images of `resolution` pixels where the configuration has this `device`.

    The number of GPUs changes nothing, so that a run stays the same on one and on several.
    """
    if not uses_gpus(device):
        return ON_CPU if resolution <= MOST_ON_CPU else LARGE_ON_CPU
    return SMALL_ON_GPU if resolution <= SMALL else ON_GPU


def choose_preset(name: str, resolution: int, config: Config) -> str:
    """The preset that `name` means at a resolution."""
    return auto_preset(resolution, config.device).preset if name == AUTO else name


def choose_conditional(stated: Conditional, dataset: str, resolution: int, config: Config) -> bool:
    """Whether runs on a set learn its classes; with `auto` not where nothing is known of the set."""
    if isinstance(stated, bool):
        return stated
    known = outline_of(dataset, resolution, config)
    return known.classes is not None and why_unconditional(dataset, known) is None


def outline_of(dataset: str, resolution: int, config: Config) -> Outline:
    """What is known of a set under a configuration."""
    return outline(dataset, resolution, config.path_of(dataset))
