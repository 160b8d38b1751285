"""Evaluation protocols: how many fakes, against which reals, on which features. See config/protocols.yaml."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from leangan.core.errors import unknown_name
from leangan.core.schemas import Distinct, Record, Text, parse
from leangan.core.yaml_files import read
from leangan.metrics.extractor_facts import find_extractor, is_published
from leangan.metrics.families import check_extractor, check_families

FILE = "config/protocols.yaml"


class ProtocolEntry(Record):
    """How runs are measured. Numbers under different protocols do not compare."""

    extractor: Text
    """What turns images into features, a file of leangan/metrics/extractors/: inception_v3, clean_inception (the same
    network behind clean-fid's resizing) or a proxy, efficientnet_lite0. shape_attributes measures drawn shapes without
    a network."""

    fakes: Annotated[int, Field(ge=1)]
    """Generated images. A scale may ask for fewer, and the metrics' names change with it."""

    reference: Literal["full", "train", "test"]
    """What they are compared with: the whole prepared set (never the subset trained on, never mirrored), the images
    trained on, or the test split, which is another data set (split_of in leangan/data/sources.csv)."""

    metrics: Annotated[list[Text], Field(min_length=1), Distinct()]
    """Metric families of the files of leangan/metrics/formulas/ ([metrics.md](metrics.md)). inception_v3: fid, fid_inf,
    kid, is, is_unsplit. clean_inception: clean_fid, clean_fid_inf, clean_kid. A proxy: fd, fd_inf, kd. Any network:
    precision, recall, and with full or train also copying and nn_ratio. shape_attributes: leak_orientation, leak_hue,
    leak_scale."""

    statistics: Literal["batch", "running", "standing"] | None = None
    """Statistics that the norms of the generator use, of BigGAN batch, running or standing. A generator with others is
    refused. Left out: what its preset says."""

    eval_seeds: Annotated[int, Field(ge=1)] = 1
    """How often each snapshot is measured, each time with other fakes. A row then holds mean and sample deviation of
    these, which is another deviation than that over training seeds."""

    source: Text
    """Where the protocol was published, or "this project", and what else its numbers depend on."""


class Protocol(ProtocolEntry):
    """One entry of config/protocols.yaml, with its name."""

    name: Text
    """Its key in the file."""

    @property
    def proxy(self) -> bool:
        """Whether its numbers are no published metric."""
        return not is_published(self.extractor)


@cache
def read_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises ConfigError for an unknown name or a wrong entry."""
    entries = read(FILE)
    if name not in entries:
        raise unknown_name("protocol", name, entries, "config/artefacts/*.yaml or --protocol")
    entry = parse(ProtocolEntry, entries[name], f"{FILE}, {name}")
    return Protocol(name=name, **entry.given())


def check_protocol(protocol: Protocol) -> None:
    """Raise ConfigError where the protocol names an extractor or a metric that there is none of, or no such pair."""
    where = f"{FILE}, {protocol.name}"
    find_extractor(protocol.extractor)
    check_families(protocol.metrics, where)
    for family in protocol.metrics:
        check_extractor(family, protocol.extractor, f"metrics or extractor in {where}")
