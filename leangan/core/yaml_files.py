"""Reading YAML: plain values only, numbers as in YAML 1.2, and no more of them than MAX_VALUES."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml
from yaml.composer import ComposerError

from leangan.core.errors import ConfigError
from leangan.core.project import project_file

MAX_VALUES = 100_000
"""In one YAML file. Aliases can make millions of a few lines, or a list that holds itself."""


class Loader(yaml.SafeLoader):
    """Plain values only, with the numbers of YAML 1.2: 1e-3 and 2E8 are numbers, which YAML 1.1 takes for text.

    A key that comes twice in one mapping is an error, as YAML says; PyYAML would take the last one without a word.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise ComposerError(None, None, f"the key {key.value!r} comes twice", key.start_mark)
                seen.add((key.tag, key.value))
        return node


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@cache
def read(relative: str) -> Any:
    """The content of one YAML file, named from the project's root; ConfigError where it is no mapping of names."""
    try:
        content = parse_yaml(project_file(relative).read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{relative} is missing.") from None
    except OSError as error:
        raise ConfigError(f"{relative} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{relative} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{relative} holds {content!r}, must hold names with their values, as in `name: value`.")
    return content


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


def parse_leaves(value: Any) -> Any:
    """`value` with its leaves as YAML reads them: Snakemake's --config leaves those of lists and mappings as text."""
    if isinstance(value, dict):
        return {key: parse_leaves(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [parse_leaves(entry) for entry in value]
    if not isinstance(value, str):
        return value
    try:
        leaf = yaml.load(value, Loader)
    except yaml.YAMLError:
        return value
    return leaf if leaf is None or isinstance(leaf, int | float) else value
