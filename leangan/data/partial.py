"""The rows of a large array, kept from one call to the next, so that no row is made twice.

Until the target is finished, two files are kept next to it. `.<name>.partial` has the rows so far, in the order in
which they were made. `.<name>.journal` has one line that says how rows are made, then a line for each piece of rows
that were written together: the stamps of what they were made from, a note on each, and a SHA-256 of all that. A piece
counts when its line is complete and agrees, so that neither a killed process nor pages lost with the power leave a
trace in the result.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from leangan.core.errors import ConfigError
from leangan.core.files import attach_path

logger = logging.getLogger(__name__)

FINISHED = b"finished\n"


@dataclass(frozen=True)
class Places:
    """Where the rows of a partial file belong. Any process may write some, in any order."""

    path: Path
    start: int
    row_bytes: int

    def write(self, first: int, rows: memoryview) -> None:
        """Write rows from number `first` on."""
        with attach_path(self.path), self.path.open("r+b") as file:
            file.seek(self.start + first * self.row_bytes)
            file.write(rows)


class Kept(NamedTuple):
    """A row that is there: its number in the partial file, and the note on it."""

    row: int
    note: Any


class Partial:
    """Context in which `target` is made: a header of `start` bytes, then rows of `row_bytes` each.

    Rows are written to `places` from number `written` on and taken over by `accept`; `kept` has those that are there,
    by their stamps. `work` says in one line how rows are made; those made in another way are removed. Raises
    ConfigError where another process writes the same target.
    """

    def __init__(self, target: Path, work: str, start: int, row_bytes: int):
        self.target = target
        self.written = 0
        self.kept: dict[str, Kept] = {}
        self._notes: dict[str, Any] = {}  # each once: most images of a set have the same
        self._data = target.with_name(f".{target.name}.partial")
        self._journal = target.with_name(f".{target.name}.journal")
        self._ordered = target.with_name(f".{target.name}.ordered")
        self._lock = FileLock(target.with_name(f".{target.name}.lock"))
        self._first_line = f"{work}\n".encode()
        self.places = Places(self._data, start, row_bytes)

    def __enter__(self) -> Partial:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(f"{self.target}: another process is writing it; wait until it ends or end it") from error
        self._ordered.unlink(missing_ok=True)
        recorded = self._recorded()
        if not recorded:
            self.discard()
            with attach_path(self.target):
                self._data.write_bytes(bytes(self.places.start))
                self._journal.write_bytes(self._first_line)
        self._journal_file = self._journal.open("r+b")
        self._take_over(recorded[1:])
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._journal_file.close()
        finally:  # on a full disk closing fails as writing did
            Path(self._lock.lock_file).unlink(missing_ok=True)  # while it is held, or another's would go
            self._lock.release()

    def _recorded(self) -> list[bytes]:
        """Lines of the journal, the first of them `work`; none where there is nothing to continue."""
        if not self._journal.is_file():
            return []
        lines = self._journal.read_bytes().splitlines(keepends=True)
        if lines[-1:] == [FINISHED] and self.target.is_file() and not self._data.is_file():
            os.replace(self.target, self._data)  # finished, but not what follows it: `discard` was not reached
        if not self._data.is_file():
            return []
        if lines[:1] != [self._first_line]:
            logger.warning("%s: was begun with other arguments; starts over", self.target)
            return []
        return lines

    def _take_over(self, recorded: list[bytes]) -> None:
        """Take over the pieces that are as recorded, up to the first that is not, and cut off the rest."""
        journal_end = len(self._first_line)
        with self._data.open("r+b") as data:
            data.seek(self.places.start)
            for line in recorded:
                digest, _, text = line.decode(errors="replace").partition(" ")
                try:
                    entries = json.loads(text)
                    content = data.read(len(entries) * self.places.row_bytes)
                except (ValueError, TypeError):
                    break
                if digest != _digest(hashlib.sha256(content).hexdigest(), text):
                    break
                self._add(entries)
                journal_end += len(line)
            data.truncate(self.places.start + self.written * self.places.row_bytes)
        self._journal_file.truncate(journal_end)
        self._journal_file.seek(journal_end)

    def _add(self, entries: list[tuple[str, Any]]) -> None:
        for row, (stamp, note) in enumerate(entries, start=self.written):
            if note is not None:
                self.kept[stamp] = Kept(row, self._notes.setdefault(str(note), note))
        self.written += len(entries)

    def accept(self, stamps: Sequence[str], notes: Sequence[Any], sha256: str) -> None:
        """Take over the rows from `written` on, which have been written to their places.

        Args:
            stamps: what each was made from.
            notes: what to keep of it, as JSON; None for a row that could not be made.
            sha256: of the rows, in hexadecimal.
        """
        entries = list(zip(stamps, notes, strict=True))
        text = json.dumps(entries, separators=(",", ":")) + "\n"
        with attach_path(self.target):
            self._journal_file.write(f"{_digest(sha256, text)} {text}".encode())
            self._journal_file.flush()
        self._add(entries)

    def rows(self, stamps: Sequence[str]) -> Iterator[bytes]:
        """The rows that were made from `stamps`, one after the other."""
        with self._data.open("rb") as data:
            for stamp in stamps:
                data.seek(self.places.start + self.kept[stamp].row * self.places.row_bytes)
                yield data.read(self.places.row_bytes)

    def is_ordered(self, stamps: Sequence[str]) -> bool:
        """Whether the rows of `stamps`, with those still to make, lie in this order and no others with them."""
        missing = iter(range(self.written, self.written + len(stamps)))
        places = [self.kept[stamp].row if stamp in self.kept else next(missing) for stamp in stamps]
        return places == list(range(len(stamps))) and self.written <= len(stamps)

    def finish(self, header: bytes, stamps: Sequence[str]) -> None:
        """Give the file its name: `header`, of the length announced, and the rows of `stamps` in this order.

        Until `discard` the work is not over, and a next call takes the file back.
        """
        with attach_path(self.target):
            ordered = self.is_ordered(stamps)
            finished = self._data if ordered else self._ordered
            with finished.open("r+b" if ordered else "wb") as file:
                file.write(header)
                if not ordered:
                    file.writelines(self.rows(stamps))
                file.flush()
                os.fsync(file.fileno())
            if ordered:
                self._journal_file.write(FINISHED)
                self._journal_file.flush()
            os.replace(finished, self.target)

    def discard(self) -> None:
        """Remove what there is of a file that has no name yet, and the record of the work."""
        self._journal.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)
        self._ordered.unlink(missing_ok=True)


def _digest(sha256: str, text: str) -> str:
    """What the journal says of a piece: a digest of its rows, given as their SHA-256, and of what is noted of them."""
    return hashlib.sha256(f"{sha256} {text}".encode()).hexdigest()
