"""The YAML files under `config/`, read as the records of `runs/sections.py` and `runs/artefact_sections.py`."""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

from leangan.core.errors import ConfigError, check_names, unknown_name
from leangan.core.project import PACKAGE, project_file
from leangan.core.schemas import parse
from leangan.core.yaml_files import parse_yaml, read
from leangan.data.known_sets import known_sets, sets_not_read
from leangan.data.outline import check_source
from leangan.plugins import registry
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.presets import presets
from leangan.runs.sections import AUTO, Config, Scale

logger = logging.getLogger("runs")

PAPER = "paper"
"""Among the artefacts of a configuration, and as a target of the workflow: all those of both papers."""

CONFIG = "config/config.yaml or --config"
"""Where the values of a configuration come from, for messages."""


@cache
def read_scale(name: str) -> Scale:
    """The entry `name` of config/scales.yaml. Raises ConfigError for an unknown name or a wrong entry."""
    entries = read("config/scales.yaml")
    if name not in entries:
        raise unknown_name("scale", name, entries, CONFIG)
    return parse(Scale, entries[name], f"config/scales.yaml, {name}")


def paper_artefacts(scale: str) -> list[str]:
    """What the target `paper` makes: the artefacts of both papers, or those that state a length for the scale.

    `papers` in config/scales.yaml says which.
    """
    names = [name for name in artefact_names() if name.startswith(("ada-", "diffaugment-"))]
    if read_scale(scale).papers == "all":
        return names
    return [name for name in names if name in readable_artefacts() and scale in artefact(name).scales]


def check_config(content: dict[str, Any]) -> Config:
    """`content` (config/config.yaml with the command line's overrides) after every name in it has been looked up.

    Among its artefacts, `paper` has become those that it stands for.
    """
    config = parse(Config, content, CONFIG)
    read_scale(config.scale)
    names = [[name] if name != PAPER else paper_artefacts(config.scale) for name in config.artefacts]
    config = config.model_copy(update={"artefacts": list(dict.fromkeys(itertools.chain(*names)))})
    for name in config.artefacts:
        artefact(name)
    if config.preset is not None:
        check_names("preset", [config.preset], [*presets(), AUTO], CONFIG)
    for name, entry in config.datasets.items():
        missing = [key for key in ("path", "resolution") if getattr(entry, key) is None]
        if missing and name not in known_sets():
            raise ConfigError(
                f"{CONFIG} lacks {', '.join(missing)} under datasets.{name}, which is no set of"
                f" leangan/data/sources.csv.{sets_not_read()}"
            )
    return config


def source_faults(config: Config) -> Iterator[str]:
    """A line for each data set whose path in `config` leads to no images, see `data.outline.check_source`."""
    for name, entry in config.datasets.items():
        if (path := config.path_of(name)) is not None:
            try:
                check_source(name, entry.resolution, path, CONFIG)
            except ConfigError as error:
                yield str(error)


def check_sources(config: Config) -> None:
    """Raise ConfigError with the first of `source_faults`."""
    for fault in source_faults(config):
        raise ConfigError(fault)


def configured(**changes: Any) -> Config:
    """config/config.yaml with these keys replaced, and checked. Raises ConfigError."""
    return check_config({**read("config/config.yaml"), **changes})


def load_config(text: str) -> Config:
    """config/config.yaml with the keys in `text`, JSON or YAML, replaced, and checked. Raises ConfigError.

    From then on, methods are found in its `method_folders`, too.
    """
    try:
        given = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"--config is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"--config is {given!r}, must hold keys of config/config.yaml, such as {{scale: demo}}.")
    config = check_config({**read("config/config.yaml"), **given})
    registry.search(config.method_folders)
    return config


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add --config, whose text is for `load_config`."""
    parser.add_argument("--config", default="{}", help="JSON or YAML with the keys of config/config.yaml to replace")


def artefact_names() -> list[str]:
    """The names of all artefacts, sorted. Hidden files, which editors and file systems leave, are none.

    A file with braces in its name, which the workflow takes for wildcards, is left out, as the log says.
    """
    names = sorted(path.stem for path in project_file("config/artefacts").glob("[!.]*.yaml"))
    braced = [name for name in names if {"{", "}"} & set(name)]
    for name in braced:
        leave_out(name, "the name of an artefact has no braces. Rename the file.")
    return [name for name in names if name not in braced]


@cache
def readable_artefacts() -> list[str]:
    """The names of those whose files can be read. The log names each other one, and its fault."""
    found = []
    for name in artefact_names():
        try:
            artefact(name)
        except ConfigError as error:
            leave_out(name, str(error))
        else:
            found.append(name)
    return found


@cache
def leave_out(name: str, fault: str) -> None:
    """Log, once, that what is made of all artefacts goes on without this one."""
    file = f"config/artefacts/{name}.yaml"
    logger.warning("%s is left out: %s", file, fault)


def figure_names() -> list[str]:
    """The names of all figures: the files of leangan/artefacts/figures/."""
    return sorted(path.stem for path in (PACKAGE / "artefacts" / "figures").glob("[!_.]*.py"))


@cache
def artefact(name: str) -> ArtefactConfig:
    """The checked content of `config/artefacts/<name>.yaml`."""
    if name not in artefact_names():
        raise unknown_name(
            "artefact", name, [*artefact_names(), PAPER], "config/config.yaml or --config artefacts=[...]"
        )
    where = f"config/artefacts/{name}.yaml"
    content = parse(ArtefactConfig, read(where), where)
    if content.protocol not in read("config/protocols.yaml"):
        raise unknown_name("protocol", content.protocol, read("config/protocols.yaml"), where)
    check_names("scale", content.scales, read("config/scales.yaml"), f"scales of {where}")
    check_names("figure", content.figures, figure_names(), f"figures of {where}")
    _check_expectation(content, where)
    return content


def _check_expectation(content: ArtefactConfig, where: str) -> None:
    """Raise ConfigError unless `expectation` sets methods of the grid against others of it, and nothing else does."""
    if content.expectation is None:
        return
    known = {method for grid in content.grid for method in grid.method}
    better, worse = content.expectation.better, content.expectation.worse
    check_names("method", better, known, f"expectation.better of {where}")
    check_names("method", worse, known - set(better), f"expectation.worse of {where}")
    if content.layout.published is not None:
        raise ConfigError(
            f"{where}: published numbers say themselves which is better. Leave out `expectation` or `layout.published`."
        )
