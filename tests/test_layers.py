"""The packages of leangan have an order, which leangan/__init__.py states: each imports only those above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import leangan
from leangan.core.project import ROOT

FOLDERS = {"augment": ROOT / "augment", "models": ROOT / "models"}
"""Packages that are not below leangan/ in a checkout."""


def order() -> list[str]:
    """The packages in the order that the docstring of leangan states."""
    assert leangan.__doc__
    lines = re.findall(r"^    ([a-z, ]+?)  +\S", leangan.__doc__, flags=re.MULTILINE)
    return [name for line in lines for name in line.split(", ")]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    return sorted(FOLDERS.get(package, ROOT / "leangan" / package).rglob("*.py"))


def test_every_package_has_its_place_in_the_order():
    found = {path.parent.name for path in ROOT.glob("leangan/*/__init__.py")}
    assert sorted(order()) == sorted(found | FOLDERS.keys())
    assert all(files(package) for package in order())


def test_a_package_imports_only_those_above_it():
    names = order()
    wrong = []
    for place, package in enumerate(names):
        for path in files(package):
            for module in imported(path):
                top, _, rest = module.partition(".")
                if top == "leangan" and rest.split(".")[0] not in names[: place + 1]:
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_no_package_knows_the_engine_the_tests_or_the_benchmarks():
    for package in order():
        for path in files(package):
            tops = {module.split(".")[0] for module in imported(path)}
            assert not tops & {"snakemake", "tests", "benchmarks"}, path


NAMED = {"leangan/training/run.py", "leangan/training/networks.py"}
"""What continues from a parent's checkpoint takes it from the method `transfer`."""


def test_plugins_are_found_and_not_named():
    """No package imports a method or backbone by name; augment/ and models/ import their own parts."""
    plugins = ("leangan.augment.", "leangan.models.")
    found = {
        str(path.relative_to(ROOT))
        for package in order()
        if package not in FOLDERS
        for path in files(package)
        if any(f"{module}.".startswith(plugins) for module in imported(path))
    }
    assert found == NAMED


def test_metrics_and_extractors_are_found_and_not_named():
    """They import each other alone; what computes, prints and plans finds them by the names of their files."""
    folders = tuple(ROOT / "leangan/metrics" / name for name in ("formulas", "extractors"))
    prefixes = ("leangan.metrics.formulas.", "leangan.metrics.extractors.")
    outside = [path for package in order() for path in files(package) if not path.is_relative_to(folders[0])]
    outside = [path for path in outside if not path.is_relative_to(folders[1])]
    assert len(outside) > 100
    assert not [path for path in outside if any(f"{module}.".startswith(prefixes) for module in imported(path))]


def test_the_floor_is_small():
    """What everything builds on fits into one's head."""
    lines = sum(len(path.read_text().splitlines()) for path in files("core"))
    assert lines < 0.12 * sum(len(path.read_text().splitlines()) for package in order() for path in files(package))
