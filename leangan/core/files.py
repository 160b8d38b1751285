"""Reading and writing files so that a reader, a crash or a full disk never meets half of one; and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leangan.core.errors import ConfigError

TEMPORARY = ".leangan.tmp"

ABANDONED_S = 3600.0  # a temporary file that has not grown for so long belongs to a killed process


def write_atomic(path: str | Path, data: str | bytes) -> None:
    """Write `data` to a temporary name beside `path`, flush it to disk, then rename: all of it or nothing.

    An OSError names `path`. Temporary files that killed processes left in the folder are removed.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    with attach_path(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_temporaries(path.parent, ABANDONED_S)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@contextlib.contextmanager
def attach_path(path: str | Path) -> Iterator[None]:
    """An OSError from within is one of `path`: those of writing to an open file do not say which one it was."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_temporaries(folder: Path, age_s: float) -> None:
    """Remove the temporary files of `write_atomic` in `folder` that have not grown for `age_s` seconds."""
    for temporary in folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - temporary.stat().st_mtime >= age_s:
                temporary.unlink()


def parse_json(text: str | bytes) -> Any:
    r"""`text` as JSON that every later reader and writer can take.

    Raises ValueError for anything else: numbers that are not finite or no 64-bit integers, half a character
    (\ud800), nesting beyond what Python follows.
    """
    try:
        parsed = json.loads(text.decode() if isinstance(text, bytes) else text, parse_int=_integer)
        json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return parsed


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"{digits[:20]} is no 64-bit integer")
    return int(digits)


def read_json(path: str | Path) -> dict[str, Any]:
    """The object in a JSON file of ours. Raises ConfigError where it is none; OSError where it cannot be read."""
    try:
        content = parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: not valid JSON ({error}). Delete it and run the same command.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is damaged: it holds no object. Delete it and run the same command.")
    return content


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
