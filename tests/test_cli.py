"""The command `leangan`: what it offers, what each command says of itself, and how it ends."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from leangan import cli
from leangan.core.distributed import LostRank
from leangan.core.errors import ConfigError
from leangan.core.project import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def ended(*arguments: str) -> object:
    """The exit code of a command, or the message with which it exits with status 1."""
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    return end.value.code


@pytest.fixture
def command(monkeypatch):
    """A function (main) that makes it the command `mine`."""

    def make(main) -> None:
        monkeypatch.setitem(cli.COMMANDS, "mine", cli.Command("leangan.mine", "does mine"))
        monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(main=main))

    return make


def raising(error: BaseException):
    def main(_: list[str]) -> None:
        raise error

    return main


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_says_what_it_reads_and_writes_and_how_it_ends(name, capsys):
    assert ended(name, "--help") in (0, None)
    said = capsys.readouterr().out
    assert said.startswith(f"usage: leangan {name} ")
    for part in (
        "\nreads:\n  ",
        "\nwrites:\n  ",
        "\nexit codes:\n  0    ",
        "\n  1    an error",
        "\n  2    ",
        "\n  130  ",
    ):
        assert part in said
    assert max(map(len, said.split("\nreads:")[1].splitlines())) <= 82


def test_the_overview_has_every_command_once(capsys):
    assert ended("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in cli.COMMANDS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert line.endswith(command.does)


def test_without_arguments_it_says_what_there_is(capsys):
    assert ended() == 0
    assert "usage: leangan COMMAND" in capsys.readouterr().out


def test_an_unknown_command_offers_the_nearest(capsys):
    assert ended("trian") == 2
    assert (
        capsys.readouterr().err
        == "error: there is no command 'trian'. Did you mean 'train'? `leangan --help` lists them.\n"
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_says_what_it_is(name, monkeypatch):
    """Looks at the parser that the command makes, at the moment when it is to parse."""
    seen = []

    def parse(parser: argparse.ArgumentParser, *_: object) -> None:
        seen.append(parser)
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    assert ended(name) == 130
    (parser,) = seen
    parsers = [parser]
    for action in parser._actions:
        parsers += (action.choices or {}).values() if isinstance(action, argparse._SubParsersAction) else []
    for each in parsers:
        for action in each._actions:
            assert action.help or action.choices, f"leangan {name}: {action.option_strings or action.dest}"
        assert "reads:\n" in (each.epilog or "")


def test_who_reads_the_output_may_stop(tmp_path):
    """`leangan plan --json | head -1`: no error, no traceback."""
    command = (
        f"{sys.executable} -m leangan plan --json --config '{{artefacts: [diffaugment-table4-stylegan2]}}' | head -1"
    )
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "{\n" and done.stderr == ""


def test_wrong_options_end_with_2(capsys):
    assert ended("plan", "--jsno") == 2
    assert "--jsno" in capsys.readouterr().err


@pytest.mark.parametrize("code", [None, 0, 1, 143])
def test_a_command_ends_with_its_own_code(command, code):
    command(lambda _: code)
    assert ended("mine") == code


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("p is 2;\nallowed is 1"), "error: p is 2; allowed is 1"),
        (LostRank("rank 0 lost contact"), "error: rank 0 lost contact"),
        (OSError(28, "No space left on device", "x"), "No space left on device: 'x'; once that is mended"),
        (MemoryError("8 GiB"), "error: out of memory (8 GiB)"),
        (RuntimeError("CUDA error: out of memory\nmore"), "error: out of memory (CUDA error: out of memory)"),
        (
            RuntimeError("CUDA error: unspecified launch failure\nmore"),
            "error: CUDA error: unspecified launch failure;",
        ),
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(command, error, words):
    command(raising(error))
    said = str(ended("mine"))
    assert words in said and "\n" not in said


def test_an_interruption_is_no_error(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert ended("mine") == 130
    assert "the same command continues" in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["mine"])


@pytest.mark.parametrize(
    ("module", "extra"), [("matplotlib.pyplot", "report"), ("lmdb", "data"), ("elpv_dataset", "demo")]
)
def test_a_missing_package_names_the_extra_that_has_it(command, module, extra):
    command(raising(ModuleNotFoundError(f"No module named {module!r}", name=module)))
    said = str(ended("mine"))
    assert f"`leangan mine` (does mine) needs the module {module.split('.')[0]!r}" in said and said.endswith(
        f"pip install '.[{extra}]'"
    )


def test_a_missing_module_of_our_own_is_a_fault_of_the_program(command):
    command(raising(ModuleNotFoundError("No module named 'leangan.mine'", name="leangan.mine")))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["mine"])


def test_the_modules_of_each_extra_are_those_of_pyproject():
    """What pip installs for an extra is what an error would say it has."""
    distributions = {
        module: {name.replace("_", "-").lower() for name in names} for module, names in packages_distributions().items()
    }
    for extra, modules in cli.EXTRAS.items():
        stated = {Requirement(text).name for text in EXTRAS[extra]}
        for module in modules:
            assert stated & distributions[module], f"{module} does not come with the extra {extra}"
        named = {name for module in modules for name in distributions[module]}
        others = {name for others in cli.EXTRAS.values() for module in others for name in distributions[module]}
        assert {name for name in stated if not name.startswith("snakemake-")} <= named | others


def test_every_command_has_a_main():
    for command in cli.COMMANDS.values():
        assert callable(import_module(command.module).main)


def test_python_m_leangan_is_the_same(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "leangan", "subset", "--data", str(tmp_path / "no.npy"), "--size", "1", "--seed", "0",
         "--out", "x"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
