"""Errors a user can cause, the sentence that offers the nearest known name, and how a program ends with one."""

from __future__ import annotations

import difflib
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class Reported(Exception):
    """An error whose message tells a user everything: a command ends with it in one line."""


class ConfigError(Reported, ValueError):
    """A wrong name or value in the configuration; the message says what is allowed and where to change it."""


LISTS = {
    "artefact": "config/artefacts",
    "data set": "leangan/data/sources.csv and leangan/data/readers",
    "method": "config/methods.yaml, augment and method_folders",
    "plugin": "augment and method_folders",
    "preset": "config/presets.yaml",
}
"""Where all names of a kind can be read."""

MANY = 20
"""Of more names than these an error gives the nearest alone, if LISTS says where the others are."""


def unknown_name(what: str, name: str, known: Iterable[str], where: str) -> ConfigError:
    """The error for `name`, which is no `what`: the nearest names, all or where they are, and the place."""
    known = sorted(known)
    if what in LISTS and len(known) > MANY:
        said = f"{did_you_mean(name, known, 3)} The {len(known)} known ones are in {LISTS[what]}."
    else:
        said = f"{did_you_mean(name, known)} Known: {', '.join(known) or 'none'}."
    return ConfigError(f"unknown {what} {name!r}.{said} Change it in {where}.")


def did_you_mean(name: str, known: Iterable[str], most: int = 2) -> str:
    """A sentence, after a space, that offers the known names nearest to `name`; "" if none is near."""
    close = difflib.get_close_matches(str(name), sorted(known), n=most, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def check_names(what: str, names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise the error of `unknown_name` for the first of `names` that is not known."""
    for name in names:
        if name not in known:
            raise unknown_name(what, name, known, where)


def printable(text: str) -> str:
    """The text with control characters, and bytes of a file name that are no text, as escapes."""
    return "".join(ascii(sign)[1:-1] if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text)


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The first `most` of `names`, and how many more there are: "a, b, c and 7 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@contextmanager
def exit_on_user_error(*kinds: type[Exception]) -> Iterator[None]:
    """A program within ends with one line and exit code 1 on a Reported, one of `kinds` or a fault of the machine.

    Such a fault is a disk that is full or cannot be written, a GPU that fails, or memory that does not suffice; the
    same command continues after it.
    """
    try:
        yield
    except BrokenPipeError:  # who read our output has ended: no error
        raise
    except OSError as error:
        sys.exit(f"error: {_flat(error)}; once that is mended, the same command continues")
    except MemoryError as error:
        detail = f" ({_flat(error)})" if str(error) else ""
        sys.exit(f"error: out of memory{detail}; where there is more of it, the same command continues")
    except Exception as error:
        if not isinstance(error, (Reported, *kinds)):
            raise
        sys.exit(f"error: {_flat(error)}")


def _flat(error: Exception) -> str:
    return " ".join(str(error).splitlines())
