"""How the commands of `leangan` describe themselves: options, what they read and write, and how they end.

Every command is a function `main(argv) -> int | None` in the module that does its work. It raises what goes wrong;
`leangan.cli` ends the process.
"""

from __future__ import annotations

import argparse
import textwrap

EXIT_CODES = """\
exit codes:
  0    done
  1    an error, described in one line; correct it and run the same command again
  2    the options are wrong
  130  interrupted; the same command continues
"""


def command_parser(name: str, does: str, reads: str, writes: str, exit_codes: str = "") -> argparse.ArgumentParser:
    """The parser of the command `leangan <name>`. `--help` says what it does, reads and writes, and how it ends.

    Args:
        name: the command, as it is typed.
        does: one sentence.
        reads: input files; options are described where they are added.
        writes: output files and what is printed.
        exit_codes: lines for exit codes beyond the common ones, such as "143  stopped by SIGTERM".
    """
    extra = "".join(f"  {line.strip()}\n" for line in exit_codes.splitlines() if line.strip())
    return argparse.ArgumentParser(
        prog=f"leangan {name}",
        description=does,
        epilog=f"reads:\n{_indented(reads)}\nwrites:\n{_indented(writes)}\n{EXIT_CODES}{extra}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _indented(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  ") + "\n"
