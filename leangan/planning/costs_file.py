"""What config/costs.yaml holds, published costs of training and measuring: every key with its type and meaning."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import Field

from leangan.core.schemas import Positive, Record, Text, parse
from leangan.core.yaml_files import read

FILE = "config/costs.yaml"


class TrainingCost(Record):
    """How long one source says that training takes."""

    device: Text
    """The device that was measured. A time on several devices is taken as so many device-hours."""

    source: Text
    """Where the time was published, and how it was converted."""

    presets: Annotated[list[Text], Field(min_length=1)]
    """Presets that it holds for."""

    seconds_per_kimg: dict[int, Positive]
    """Seconds per thousand images shown to D on one device, by resolution."""


class MeasuringCost(Record):
    """How long it takes to make images and measure them once."""

    device: Text
    """The device that was measured."""

    source: Text
    """Where the time was published."""

    extractors: Annotated[list[Text], Field(min_length=1)]
    """Extractors that it holds for."""

    fakes: Annotated[int, Field(ge=1)]
    """Images that it was measured with."""

    minutes: dict[int, Positive]
    """Minutes by resolution. Resolutions in between use the next larger entry."""


class Costs(Record):
    """Published costs of presets that no stored row has measured yet."""

    training: list[TrainingCost]
    """Training, one entry for each source and kind of network."""

    measuring: MeasuringCost
    """Measuring."""


@cache
def read_costs() -> Costs:
    """The content of config/costs.yaml. Raises ConfigError where it is not as described here."""
    return parse(Costs, read(FILE), FILE)
