"""The YAML files under `config/`, read and checked against `workflow/schemas/`."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from data.table import listed
from suite.errors import ConfigError, check_names, unknown_name

ROOT = Path(__file__).resolve().parent.parent

PAPER = "paper"
"""Among the artefacts of a configuration, and as a target of the workflow: all those of both papers."""

MAX_VALUES = 100_000
"""In one YAML file. Aliases can make millions of a few lines, or a list that holds itself."""


class Loader(yaml.SafeLoader):
    """Plain values only, with the numbers of YAML 1.2: 1e-3 and 2E8 are numbers, which YAML 1.1 takes for text."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@cache
def read(relative: str) -> Any:
    """The content of one YAML file, named from the project's root; ConfigError where it does not parse."""
    path = ROOT / relative
    try:
        return parse_yaml(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{relative} is missing.") from None
    except ValueError as error:
        raise ConfigError(f"{relative} is not valid YAML: {' '.join(str(error).split())}") from None


def parse_yaml(text: str | bytes) -> Any:
    """The plain values in `text`. Raises ValueError where it is no YAML or more than MAX_VALUES values."""
    try:
        content = yaml.load(text, Loader)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:  # PyYAML's own slips on odd tags among them
        raise ValueError(str(error)) from None
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list | tuple | set):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        if count + len(waiting) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values, aliases counted as what they stand for")
    return content


@cache
def validator(schema: str) -> Draft202012Validator:
    """The compiled schema `workflow/schemas/<schema>.schema.yaml`."""
    return Draft202012Validator(read(f"workflow/schemas/{schema}.schema.yaml"))


def check(value: Any, schema: str, where: str) -> None:
    """Raise ConfigError with key, value, what is allowed and the nearest match unless `value` fits `schema`."""
    error = best_match(validator(schema).iter_errors(value))
    if error is not None:
        raise _explain(error, where)


def _explain(error: ValidationError, where: str) -> ConfigError:
    key = ".".join(str(part) for part in error.absolute_path)
    schema: Any = error.schema
    stated: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(schema.get("properties"), dict):
        known = schema["properties"]
        extra = next(name for name in instance if name not in known)
        return unknown_name(
            "key", f"{key}.{extra}" if key else extra, [f"{key}.{k}" if key else k for k in known], where
        )
    if error.validator == "enum":
        return unknown_name(f"value for {key}:", instance, map(str, stated), where)
    if error.validator == "required":
        missing = [name for name in stated if name not in instance]
        return ConfigError(f"{where} lacks {', '.join(missing)}{f' under {key}' if key else ''}.")
    if error.validator == "type":
        allowed = stated
        if allowed == "array":
            return ConfigError(
                f"{key or where} = {instance!r} must be a list, such as [{instance}]. Change it in {where}."
            )
        allowed = " or ".join(allowed) if isinstance(allowed, list) else allowed
        return ConfigError(f"{key or where} = {instance!r} must be of type {allowed}. Change it in {where}.")
    return ConfigError(f"{key or where} = {instance!r} is not allowed: {error.message}. Change it in {where}.")


def typed(value: Any) -> Any:
    """`value` with its leaves as YAML reads them: Snakemake's --config leaves those of lists and mappings as text."""
    if isinstance(value, dict):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    if not isinstance(value, str):
        return value
    try:
        leaf = yaml.load(value, Loader)
    except yaml.YAMLError:
        return value
    return leaf if leaf is None or isinstance(leaf, int | float) else value


def of_the_papers(scale: str) -> list[str]:
    """What the target `paper` makes: the artefacts of both papers, or those that state a length for the scale.

    `papers` in config/scales.yaml says which.
    """
    names = [name for name in artefact_names() if name.startswith(("ada-", "diffaugment-"))]
    if read("config/scales.yaml")[scale]["papers"] == "all":
        return names
    return [name for name in names if scale in artefact(name).get("scales", {})]


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """`config` (config/config.yaml with the command line's overrides) after every name in it has been looked up.

    Among its artefacts, `paper` has become those that it stands for.
    """
    where = "config/config.yaml or --config"
    check(config, "config", where)
    if config["scale"] not in read("config/scales.yaml"):
        raise unknown_name("scale", config["scale"], read("config/scales.yaml"), where)
    check(read("config/scales.yaml")[config["scale"]], "scale", f"config/scales.yaml, {config['scale']}")
    names = [[name] if name != PAPER else of_the_papers(config["scale"]) for name in config["artefacts"]]
    images = list(map(int, config["images"]))  # the schema takes 24.0, too
    config = {**config, "artefacts": list(dict.fromkeys(itertools.chain(*names))), "images": images}
    for name in config["artefacts"]:
        artefact(name)
    for name, entry in config["datasets"].items():
        missing = [key for key in ("path", "resolution") if key not in entry]
        if missing and name not in listed():
            raise ConfigError(
                f"{where} lacks {', '.join(missing)} under datasets.{name}, which is no set of data/sources.csv."
            )
    return config


def configured(text: str) -> dict[str, Any]:
    """config/config.yaml with the keys in `text`, JSON or YAML, replaced, and checked. Raises ConfigError."""
    try:
        given = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"--config is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"--config is {given!r}, must hold keys of config/config.yaml, such as {{scale: demo}}.")
    return checked({**read("config/config.yaml"), **given})


def artefact_names() -> list[str]:
    """The names of all artefacts, sorted."""
    return sorted(path.stem for path in (ROOT / "config" / "artefacts").glob("*.yaml"))


def figure_names() -> list[str]:
    """The names of all figures: the files of report/figures/."""
    return sorted(path.stem for path in (ROOT / "report" / "figures").glob("*.py") if path.stem != "__init__")


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
