"""How the commands of `leangan` describe themselves: options, what they read and write, and how they end.

Every command is a function `main(argv) -> int | None` in the module that does its work. It raises what goes wrong;
`leangan.cli` ends the process.
"""

from __future__ import annotations

import argparse
import textwrap

EXIT_CODES = {
    "0": "done",
    "1": "an error, described in one line; correct it and run the same command again",
    "2": "the options are wrong",
    "130": "interrupted; the same command continues",
}


def command_parser(
    name: str, does: str, reads: str, writes: str, exit_codes: dict[str, str] | None = None
) -> argparse.ArgumentParser:
    """The parser of the command `leangan <name>`. `--help` says what it does, reads and writes, and how it ends.

    Args:
        name: the command, as it is typed.
        does: one sentence.
        reads: input files; each option is described where it is added.
        writes: output files and what is printed.
        exit_codes: what codes mean beyond EXIT_CODES, or in place of what these say.
    """
    meanings = {**EXIT_CODES, **(exit_codes or {})}
    codes = "".join(f"  {code:<5}{meanings[code]}\n" for code in sorted(meanings, key=lambda code: (len(code), code)))
    return argparse.ArgumentParser(
        prog=f"leangan {name}",
        description=does,
        epilog=f"reads:\n{_indented(reads)}\nwrites:\n{_indented(writes)}\nexit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _indented(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  ") + "\n"
