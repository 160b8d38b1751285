"""Plugin discovery: a plugin is a file in the folder of its kind, with a class of a fixed name.

Methods are the files of `augment/`, backbones the files and folders of `models/`, metrics and extractors the files of
`leangan/metrics/formulas/` and `leangan/metrics/extractors/`. Methods also come from folders of the user's own
(`method_folders` of config/config.yaml) and from installed packages, which name them in the entry-point group
`leangan.methods`. Listing costs nothing; a file is imported only when its class is asked for, so that building the DAG
stays quick. A plugin that fails to import or breaks the contract does not harm the others.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeVar

from leangan.core.code import code_sha256, imported_modules
from leangan.core.errors import ConfigError, unknown_name
from leangan.core.project import ROOT, show_path
from leangan.core.yaml_files import read

KINDS = {
    "method": ("leangan.augment", "Method"),
    "backbone": ("leangan.models", "Backbone"),
    "metric": ("leangan.metrics.formulas", "Metric"),
    "extractor": ("leangan.metrics.extractors", "Extractor"),
}
"""The package that each kind of plugin is in, and the class that each of them defines."""

PATTERNS = {
    "method": ["[!_]*.py"],
    "backbone": ["[!_]*.py", "[!_]*/__init__.py"],
    "metric": ["[!_]*.py"],
    "extractor": ["[!_]*.py"],
}
"""The files of that package that are plugins."""

WHERE = "config/methods.yaml or --config methods=[...]"
"""Where methods are named, unless the caller knows better."""

GROUPS = {"method": "leangan.methods"}
"""The entry-point groups of kinds that packages may add to; an entry point is a module or the class in it."""

T = TypeVar("T")

FOLDERS = "LEANGAN_METHOD_FOLDERS"
"""The environment variable that tells the programs of a workflow about folders given on its command line."""


@dataclass(frozen=True)
class FailedImport:
    """Stands for a plugin that cannot be used: its import raised `cause`, or its class breaks the contract."""

    name: str
    reason: str
    traceback: str
    cause: Exception | None = None


_REMEMBERED: list[_lru_cache_wrapper[Any]] = []


def remembered(function: Callable[..., T]) -> _lru_cache_wrapper[T]:
    """`functools.cache` until `forget`, for what follows from the files of plugins."""
    _REMEMBERED.append(cache(function))
    return _REMEMBERED[-1]


def forget() -> None:
    """Look for plugins, and read them, once more when they are next asked for."""
    for cached in _REMEMBERED:
        cached.cache_clear()


def _defines(path: Path, class_name: str) -> bool:
    """Whether the file defines the class at top level; a file that does not parse counts, so that it is reported."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError):
        return True
    return any(isinstance(node, ast.ClassDef) and node.name == class_name for node in tree.body)


def search(folders: list[str]) -> None:
    """Find methods in these folders, too, here and in the programs that this one starts.

    A relative path starts at the project's root. ConfigError for a folder that does not exist and for a file that has
    the name of another method.
    """
    paths = [str(ROOT / Path(folder).expanduser()) for folder in folders]
    for path in paths:
        if os.pathsep in path:
            raise ConfigError(
                f"method_folders: {path} has {os.pathsep!r} in its path, which separates folders; link it."
            )
    os.environ[FOLDERS] = os.pathsep.join(paths)
    forget()
    _found("method")


def method_folders() -> list[Path]:
    """The folders that `search` was given, by this program or the one that started it, else those of the config."""
    if FOLDERS in os.environ:
        return [Path(folder) for folder in os.environ[FOLDERS].split(os.pathsep) if folder]
    return [ROOT / Path(folder).expanduser() for folder in read("config/config.yaml").get("method_folders", [])]


def _of_project(kind: str) -> list[EntryPoint]:
    """The project's own plugins of a kind, sorted by name. No file is read."""
    package, _ = KINDS[kind]
    folders = map(Path, import_module(package).__path__)
    files = [path for folder in folders for pattern in PATTERNS[kind] for path in folder.glob(pattern)]
    names = sorted({path.parent.name if path.stem == "__init__" else path.stem for path in files})
    return [EntryPoint(name, f"{package}.{name}", "") for name in names]


def _files(folder: Path, class_name: str) -> list[Path]:
    """The files of one of the user's folders that define the class; the others there are for these to import."""
    return [path for path in sorted(folder.glob("[!_]*.py")) if _defines(path, class_name)]


@remembered
def _found(kind: str) -> dict[str, list[EntryPoint | Path]]:
    """Where each plugin of a kind comes from, by name: a file of the project or of a package, or one by its path."""
    found: dict[str, list[EntryPoint | Path]] = {entry.name: [entry] for entry in _of_project(kind)}
    for entry in entry_points(group=GROUPS[kind]) if kind in GROUPS else ():
        found.setdefault(entry.name, []).append(entry)
    for own in method_folders() if kind == "method" else ():
        where = "Change method_folders in config/config.yaml or --config."
        if not own.is_dir():
            raise ConfigError(f"there is no folder {own} to find methods in. {where}")
        for path in _files(own, KINDS[kind][1]):
            if path.stem in found:
                taken = _origin(found[path.stem][0])
                raise ConfigError(f"{path}: the name {path.stem!r} is taken by {taken}. Rename the file. {where}")
            found[path.stem] = [path]
    return found


def _import(path: Path) -> type:
    """The class in a file of one of the user's folders. The file may import its neighbours by their names."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    _check_helpers(path)
    name = f"method_folder_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec and spec.loader, "a file that ends in .py has a loader"
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, KINDS["method"][1])


def _check_helpers(path: Path) -> None:
    """Raise ImportError if the file `path` imports a neighbour whose name Python resolves to another module.

    The folder is the last that Python looks in: names of installed packages and of folders before it come first.
    """
    for helper in {_top(file, path.parent) for file in _with_siblings(path)[1:]}:
        spec = find_spec(helper)
        assert spec, "its folder is on Python's path"
        # A folder without __init__.py has no origin.
        taken = spec.origin or next(iter(spec.submodule_search_locations or ()))
        if not Path(taken).is_relative_to(path.parent):
            raise ImportError(f"it imports {helper!r}, which to Python is {taken}; rename the one beside {path}")


def _top(file: Path, folder: Path) -> str:
    """The name by which a file in `folder`, or in a package there, is imported."""
    return file.relative_to(folder).parts[0].removesuffix(".py")


def find_home(name: str) -> str:
    """Where a method comes from: "project", "folder" (one of the user's own) or "package NAME VERSION"."""
    entry = _found("method")[name][0]
    if isinstance(entry, Path):
        return "folder"
    return f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "project"


@remembered
def code_digest(name: str) -> str:
    """The digest of a method's code (`core.code`). Raises ConfigError if the code cannot be read.

    For a method of the project the digest covers its file; the commit describes the rest. In a folder it also covers
    the files that the method imports from there, in a package all files: no commit of this project describes them.
    """
    entry = _found("method")[name][0]
    try:
        return code_sha256(_with_siblings(entry) if isinstance(entry, Path) else _module_files(entry))
    except (OSError, ImportError) as error:
        raise ConfigError(f"the code of method {name!r}, {_origin(entry)}, cannot be read: {error}.") from None


def _with_siblings(path: Path) -> list[Path]:
    """The file, followed by the files of its folder that it imports, directly or indirectly, sorted by name.

    If it imports a package from the folder, all files of that package count.
    """
    found, waiting = {path}, [path]
    while waiting:
        for name in imported_modules(waiting.pop()):
            package = path.with_name(name)
            siblings = package.rglob("*.py") if package.is_dir() else [path.with_name(f"{name}.py")]
            new = {sibling for sibling in siblings if sibling.is_file()} - found
            found |= new
            waiting += new
    return [path, *sorted(found - {path})]


def _module_files(entry: EntryPoint) -> list[Path]:
    """The file of a project's method, or all files of the package that a method comes from."""
    if not entry.dist:
        return [_file_of(entry)]
    top = find_spec(entry.module.split(".")[0])
    if top is None or top.origin is None:
        raise ImportError(f"{entry.module} is not a module of Python files")
    folders = top.submodule_search_locations
    return sorted(Path(folders[0]).rglob("*.py")) if folders else [Path(top.origin)]


def _file_of(entry: EntryPoint) -> Path:
    """The file of one of the project's own plugins."""
    spec = find_spec(entry.module)
    assert spec and spec.origin, "it was listed as a file"
    return Path(spec.origin)


def _origin(entry: EntryPoint | Path) -> str:
    """The file or the package of a plugin, for messages."""
    if isinstance(entry, Path):
        return str(entry)
    return f"{entry.module} of package {entry.dist.name}" if entry.dist else show_path(_file_of(entry))


def names(kind: str) -> list[str]:
    """The names of all plugins of a kind ("method", "backbone", ...), without importing them."""
    return sorted(_found(kind))


def file_of(kind: str, name: str) -> Path:
    """The file of one of the project's own plugins, which is not imported."""
    (entry,) = _found(kind)[name]
    return entry if isinstance(entry, Path) else _file_of(entry)


@remembered
def load(kind: str, name: str, where: str = WHERE) -> type[Any] | FailedImport:
    """The plugin's class, or a FailedImport; ConfigError with the nearest names where there is no such plugin."""
    if name not in _found(kind):
        raise unknown_name(kind, name, names(kind), where)
    entry, *others = _found(kind)[name]
    if others:
        origins = " and ".join(map(_origin, [entry, *others]))
        return FailedImport(name, f"{kind} {name!r} is defined twice, by {origins}: rename or remove one.", "")
    try:
        plugin = _import(entry) if isinstance(entry, Path) else entry.load()
        if inspect.ismodule(plugin):
            class_name = KINDS[kind][1]
            if not hasattr(plugin, class_name):
                advice = "Begin the name of a file that others import with _."
                return FailedImport(name, f"{_origin(entry)} has no class {class_name}. {advice}", "")
            plugin = getattr(plugin, class_name)
        if kind == "method":
            from leangan.plugins.check import objection  # imports torch, which listing does without

            if fault := objection(plugin, name):
                return FailedImport(name, fault, "")
        if kind == "backbone":
            from leangan.plugins.check import backbone_objection

            if fault := backbone_objection(plugin):
                return FailedImport(name, fault, "")
        return plugin
    except Exception as error:
        return FailedImport(name, f"{_origin(entry)} failed to import: {explain(error)}", traceback.format_exc(), error)


def require(kind: str, name: str, where: str = WHERE) -> type[Any]:
    """The plugin's class; ConfigError where there is no such plugin or it cannot be used."""
    plugin = load(kind, name, where)
    if isinstance(plugin, FailedImport):
        raise ConfigError(plugin.reason) from plugin.cause
    return plugin


def explain(error: Exception) -> str:
    """The error in one line, with the file and line that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    file, line = last.filename, last.lineno
    if isinstance(error, SyntaxError):
        file, line = error.filename or file, error.lineno or line
    return f"{type(error).__name__}: {error} ({Path(file).name}, line {line})"
