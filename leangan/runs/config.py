"""The YAML files under `config/`, read and checked against `workflow/schemas/`."""

from __future__ import annotations

import argparse
import itertools
from functools import cache
from typing import Any

from leangan.core.errors import ConfigError, check_names, unknown_name
from leangan.core.project import PACKAGE, project_file
from leangan.core.schemas import check
from leangan.core.yaml_files import parse_yaml, read
from leangan.data.known_sets import known_sets
from leangan.plugins import registry

PAPER = "paper"
"""Among the artefacts of a configuration, and as a target of the workflow: all those of both papers."""


def paper_artefacts(scale: str) -> list[str]:
    """What the target `paper` makes: the artefacts of both papers, or those that state a length for the scale.

    `papers` in config/scales.yaml says which.
    """
    names = [name for name in artefact_names() if name.startswith(("ada-", "diffaugment-"))]
    if read("config/scales.yaml")[scale]["papers"] == "all":
        return names
    return [name for name in names if scale in artefact(name).get("scales", {})]


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """`config` (config/config.yaml with the command line's overrides) after every name in it has been looked up.

    Among its artefacts, `paper` has become those that it stands for.
    """
    where = "config/config.yaml or --config"
    check(config, "config", where)
    if config["scale"] not in read("config/scales.yaml"):
        raise unknown_name("scale", config["scale"], read("config/scales.yaml"), where)
    check(read("config/scales.yaml")[config["scale"]], "scale", f"config/scales.yaml, {config['scale']}")
    names = [[name] if name != PAPER else paper_artefacts(config["scale"]) for name in config["artefacts"]]
    images = list(map(int, config["images"]))  # the schema takes 24.0, too
    config = {**config, "artefacts": list(dict.fromkeys(itertools.chain(*names))), "images": images}
    for name in config["artefacts"]:
        artefact(name)
    for name, entry in config["datasets"].items():
        missing = [key for key in ("path", "resolution") if key not in entry]
        if missing and name not in known_sets():
            raise ConfigError(
                f"{where} lacks {', '.join(missing)} under datasets.{name}, which is no set of"
                " leangan/data/sources.csv."
            )
    return config


def load_config(text: str) -> dict[str, Any]:
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
    registry.search(config["method_folders"])
    return config


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add --config, whose text is for `load_config`."""
    parser.add_argument("--config", default="{}", help="JSON or YAML with the keys of config/config.yaml to replace")


def artefact_names() -> list[str]:
    """The names of all artefacts, sorted."""
    return sorted(path.stem for path in project_file("config/artefacts").glob("*.yaml"))


def figure_names() -> list[str]:
    """The names of all figures: the files of leangan/artefacts/figures/."""
    return sorted(path.stem for path in (PACKAGE / "artefacts" / "figures").glob("*.py") if path.stem != "__init__")


def grids(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The grids of an artefact, which may have one or a list of them."""
    return content["grid"] if isinstance(content["grid"], list) else [content["grid"]]


def figures_of(content: dict[str, Any]) -> dict[str, list[str] | None]:
    """The figures of an artefact's `content`, each with the methods it draws (None: all of them)."""
    entries = [entry if isinstance(entry, dict) else {entry: None} for entry in content.get("figures", [])]
    return {name: methods for entry in entries for name, methods in entry.items()}


@cache
def artefact(name: str) -> dict[str, Any]:
    """The checked content of `config/artefacts/<name>.yaml`."""
    if name not in artefact_names():
        raise unknown_name(
            "artefact", name, [*artefact_names(), PAPER], "config/config.yaml or --config artefacts=[...]"
        )
    where = f"config/artefacts/{name}.yaml"
    content = read(where)
    check(content, "artefact", where)
    if content["protocol"] not in read("config/protocols.yaml"):
        raise unknown_name("protocol", content["protocol"], read("config/protocols.yaml"), where)
    check_names("scale", content.get("scales", {}), read("config/scales.yaml"), f"scales of {where}")
    check_names("figure", figures_of(content), figure_names(), f"figures of {where}")
    if "expectation" in content:
        _check_expectation(content, where)
    return content


def _check_expectation(content: dict[str, Any], where: str) -> None:
    """Raise ConfigError unless `expectation` sets methods of the grid against others of it, and nothing else does."""
    known = {method for grid in grids(content) for method in grid["method"]}
    better, worse = (content["expectation"][key] for key in ("better", "worse"))
    check_names("method", better, known, f"expectation.better of {where}")
    check_names("method", worse, known - set(better), f"expectation.worse of {where}")
    if "published" in content.get("layout", {}):
        raise ConfigError(
            f"{where}: published numbers say themselves which is better. Leave out `expectation` or `layout.published`."
        )
