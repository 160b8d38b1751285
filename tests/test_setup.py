"""Installation files agree with each other and with the README."""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from leangan.core.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked() -> dict[str, list[tuple[str, str]]]:
    """{package: [(version, the lines of its entry)]} of requirements.lock."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        name, number = re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry).groups()
        found.setdefault(name.lower(), []).append((number, entry))
    return found


def requirements_of(extra: str) -> list[Requirement]:
    """What an extra installs, with that of the extras that it names."""
    found = []
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == PROJECT["name"]:
            found += [each for named in requirement.extras for each in requirements_of(named)]
        else:
            found.append(requirement)
    return found


def test_the_lock_holds_every_requirement_in_range_with_hashes_and_no_address():
    lock = locked()
    for requirement in [*map(Requirement, PROJECT["dependencies"]), *requirements_of("dev")]:
        assert requirement.name in lock, f"{requirement.name} is missing: run make lock"
        for number, _ in lock[requirement.name]:
            assert requirement.specifier.contains(number), f"{requirement.name} {number}: run make lock"
    for entries in lock.values():
        assert all("--hash=sha256:" in entry for _, entry in entries)
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "index" not in text


def test_the_environment_holds_every_requirement_in_range():
    for requirement in [*map(Requirement, PROJECT["dependencies"]), *requirements_of("all")]:
        number = version(requirement.name)
        assert requirement.specifier.contains(number, prereleases=True), f"{requirement.name} {number} is installed"


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv" or not (ROOT / ".venv/installed").exists(),
    reason="this environment was not installed from requirements.lock by make",
)
def test_the_environment_of_make_is_the_locked_one():
    lock = locked()
    for name in {each.name for each in [*map(Requirement, PROJECT["dependencies"]), *requirements_of("all")]}:
        assert version(name).split("+")[0] in [number for number, _ in lock[name]], f"{name}: run make test"


def test_conda_users_get_the_python_and_the_packages_of_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    *conda, pip = environment["dependencies"]
    # Everything comes from pyproject.toml through pip; conda adds no version of its own but Python's.
    assert [entry.split()[0] for entry in conda] == ["python", "pip"]
    assert SpecifierSet(conda[0].removeprefix("python").strip()) == SpecifierSet(PROJECT["requires-python"])
    assert pip == {"pip": ["-e .[all]"]}


def test_the_commands_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {"reproduce", "test", "lint"} <= set(targets)
    used = set(re.findall(r"^make ([a-z-]+)", readme, flags=re.MULTILINE))
    assert {"reproduce", "test"} <= used <= set(targets)


DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "results/README.md", *sorted(ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_files_that_a_document_links_exist(document):
    for path in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / path).exists(), path


def test_the_files_that_documents_and_code_name_exist():
    """Paths in the project's own words, as `leangan/core/spec.py` or config/scales.yaml."""
    tops = "augment|benchmarks|config|docs|leangan|models|profiles|tests|workflow"
    code = [path for top in ("augment", "leangan", "models", "benchmarks") for path in ROOT.glob(f"{top}/**/*.py")]
    others = [*ROOT.glob("workflow/**/*.smk"), *ROOT.glob("config/**/*.yaml"), ROOT / "Makefile", ROOT / "Snakefile"]
    documents = [path for path in DOCS if path.name != "CHANGELOG.md"]
    for document in [*code, *others, *documents]:
        for path in re.findall(rf"(?<![\w./-])((?:{tops})/[\w./-]+\.(?:py|smk|yaml|csv|md))\b", document.read_text()):
            known = (ROOT / path).exists() or path in OF_THE_READERS_OWN
            assert known, f"{document.relative_to(ROOT)} names {path}"


OF_THE_READERS_OWN = {"augment/adaptive_noise.py", "augment/mine.py", "augment/instance_noise.py", "augment/name.py",
                      "models/dcgan.py", "leangan/artefacts/figures/bars.py"}  # fmt: skip
"""Files of examples, which a reader makes."""


def test_the_functions_of_the_architecture_are_where_it_says():
    text = " ".join((ROOT / "docs/architecture.md").read_text().split())
    named = re.findall(r"`(\w+)` \(`((?:leangan|augment|models)/[\w/]+\.py)`", text)
    assert len(named) > 20
    for name, path in named:
        assert re.search(rf"^ *(def|class) {name}\b", (ROOT / path).read_text(), flags=re.MULTILINE), f"{name}, {path}"


def test_continuous_integration_checks_and_then_reproduces():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert "set -euo pipefail" in lines
    commands = [line for line in lines if line.startswith("time ")]
    assert commands[:3] == ["time make lint", "time make test", "time make reproduce"]
    assert [command for command in commands[3:] if "tests/cluster" in command]


def test_the_types_of_every_package_are_checked():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["packages"] == ["leangan", "benchmarks"] and settings["check_untyped_defs"]
    lint = (ROOT / "Makefile").read_text().split("\nlint: ")[1].split("\n\n")[0]
    assert "$(BIN)/python -m mypy\n" in lint and '"$$PWD/models" "$$PWD/augment" .venv/types/leangan' in lint


def test_every_package_is_in_the_wheel():
    """A folder that is added to the project is added to pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"leangan": "leangan", **settings["package-dir"]}
    for name in settings["packages"]:
        parent = max((each for each in folders if f"{name}.".startswith(f"{each}.")), key=len)
        assert Path(ROOT, folders[parent], *name.removeprefix(parent).split(".")[1:]).is_dir(), name
    packages = {path.parent for top in ("leangan", "augment", "models") for path in ROOT.glob(f"{top}/**/__init__.py")}
    names = {".".join(path.relative_to(ROOT).parts) for path in packages}
    assert {name if name.startswith("leangan") else f"leangan.{name}" for name in names} <= set(settings["packages"])
