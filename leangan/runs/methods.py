"""Methods by name: the plugins behind an entry of config/methods.yaml, with all their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from leangan.core.errors import ConfigError, check_names, unknown_name
from leangan.core.schemas import Omissible, Record, Text
from leangan.core.yaml_files import read
from leangan.plugins import registry
from leangan.plugins.arguments import WHERE, bind, parameters_of
from leangan.runs.sections import Count

PRESET = "preset"
"""The part of an entry in config/methods.yaml that is no plugin: keys of the preset that the method replaces."""

Plugins = list[tuple[str, dict[str, Any]]]


class ParentRun(Record):
    """The run whose networks another one starts from, as the argument `run` of `transfer` names it."""

    method: Text
    """Its method: an entry of config/methods.yaml or a file of augment/."""

    dataset: Omissible[Text] = None
    """Its data set. Left out: that of the run which starts from it, as for the other keys."""

    images: Omissible[Count] = None
    """Its number of training images."""

    preset: Omissible[Text] = None
    """Its preset."""


def check_methods(names: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first of `names`, which were given in `where`, that is no method.

    A method is an entry of config/methods.yaml or a file of augment/, of a method folder or of a package.
    """
    check_names("method", names, {*read("config/methods.yaml"), *registry.names("method")}, where)


def method_parts(
    name: str,
    overrides: dict[str, dict[str, Any]] | None = None,
    where: str = "config/config.yaml or --config methods=[...]",
) -> Plugins:
    """The plugins behind a method's name, in order, with the arguments that it and `overrides`, by plugin, give them.

    Raises ConfigError for an unknown name, which was given in `where`.
    """
    check_methods([name], where)
    named = read("config/methods.yaml")
    parts = []
    for plugin, args in _stated(name, named.get(name, [name])):
        if plugin == PRESET:
            continue
        if plugin not in registry.names("method"):
            raise unknown_name("plugin", plugin, registry.names("method"), f"config/methods.yaml, entry {name!r}")
        parts.append((plugin, {**args, **(overrides or {}).get(plugin, {})}))
    return parts


def _stated(name: str, entry: Any) -> Plugins:
    """The parts of an entry of config/methods.yaml; ConfigError where it is not written as one."""
    parts: dict[str, dict[str, Any]] = {}
    for part in entry if isinstance(entry, list) else [None]:
        pairs = [(part, None)] if isinstance(part, str) else list(part.items()) if isinstance(part, dict) else []
        if len(pairs) != 1 or not isinstance(pairs[0][1], dict | None):
            raise ConfigError(
                f"config/methods.yaml, entry {name!r}: {part or entry!r} is not a part of a method. An entry is a "
                "list such as [bcr, ada: {target: 0.6}], each part a method of augment/ or `preset`."
            )
        plugin, given = pairs[0]
        if plugin in parts:
            raise ConfigError(f"config/methods.yaml, entry {name!r}: the part {plugin!r} comes twice. Name it once.")
        parts[plugin] = given or {}
    return list(parts.items())


def check_argument_names(name: str, given: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for an argument that a plugin does not have; its runs report a plugin that cannot be used."""
    plugin = registry.load("method", name)
    if not isinstance(plugin, registry.FailedImport):
        check_names(f"argument of method {name!r}", given, parameters_of(plugin), where)


def bind_all(parts: Plugins, where: str = WHERE) -> Plugins:
    """The plugins with all their arguments, defaults filled in.

    Raises ConfigError for an argument that cannot be, to be changed in `where`. A plugin that cannot be used keeps the
    arguments it was given; its runs report why.
    """
    return [(name, _bound(name, given, where)) for name, given in parts]


def _bound(name: str, given: dict[str, Any], where: str) -> dict[str, Any]:
    plugin = registry.load("method", name)
    if isinstance(plugin, registry.FailedImport):
        return given
    try:
        return bind(name, plugin, given, where)
    except ValueError as error:
        if not given:  # a fault of the plugin itself, reported by its runs: see `runs.grid.refusal`
            return given
        raise ConfigError(str(error)) from None


def method_plugins(name: str, overrides: dict[str, dict[str, Any]] | None = None) -> Plugins:
    """The plugins behind a method's name with all their arguments, `overrides` by plugin among them."""
    return bind_all(method_parts(name, overrides))


@cache
def _built(plugin: Any, arguments: str) -> Any:
    """An instance of the plugin's class with these arguments (JSON)."""
    return plugin(**json.loads(arguments))


def build_method(name: str, arguments: dict[str, Any]) -> Any:
    """The plugin as a run would have it, to be asked and not to be changed. An error that it raises comes through."""
    plugin: Any = registry.load("method", name)
    return _built(plugin, json.dumps(arguments))


def title_of(name: str, plugins: Plugins) -> str:
    """What tables call a method: the titles of its plugins, or its name where one of them cannot be built."""
    try:
        return " + ".join(build_method(plugin, arguments).title for plugin, arguments in plugins)
    except Exception:  # which refuses the run with the reason, see `runs.grid`
        return name


def method_preset(name: str) -> dict[str, Any]:
    """The preset keys that the method's entry in config/methods.yaml replaces, in its part `preset`."""
    return dict(_stated(name, read("config/methods.yaml").get(name, []))).get(PRESET, {})
