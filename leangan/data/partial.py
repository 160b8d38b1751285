"""A large file written in pieces, so that an interruption costs no more than the piece it falls into.

Beside the target lie, until it is finished, `.<name>.partial` with the content so far and `.<name>.journal`: one
line that identifies the work, then the SHA-256 of the content at the end of each piece. A piece counts when its line
is complete and agrees, so that neither a killed process nor pages lost with the power leave a trace in the result.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from leangan.core.errors import ConfigError
from leangan.core.files import attach_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where the pieces of a partial file belong. Any process may write one, in any order."""

    path: Path
    start: int
    piece_bytes: int

    def write(self, index: int, piece: bytes | memoryview) -> None:
        """Write piece `index`."""
        with attach_path(self.path), self.path.open("r+b") as file:
            file.seek(self.start + index * self.piece_bytes)
            file.write(piece)


class Partial:
    """Context in which `target` grows: `header`, then pieces of `piece_bytes` each, the last one may be shorter.

    They are written to `places` and taken over in order by `accept`. `work` identifies the content, in one line.
    Pieces of the same work are kept (`pieces` of them, already in `digest`, the running SHA-256 without the header),
    other work is removed. Raises ConfigError where another process writes the same target.
    """

    def __init__(self, target: Path, work: str, header: bytes, piece_bytes: int):
        self.target = target
        self.pieces = 0
        self.digest = hashlib.sha256()
        self._data = target.with_name(f".{target.name}.partial")
        self._journal = target.with_name(f".{target.name}.journal")
        self._lock = FileLock(target.with_name(f".{target.name}.lock"))
        self._work, self._header = work, header
        self.places = Places(self._data, len(header), piece_bytes)

    def __enter__(self) -> Partial:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigError(f"{self.target}: another process is writing it; wait until it ends or end it") from error
        recorded = self._recorded()
        if not recorded:
            self.discard()
            with attach_path(self.target):
                self._data.write_bytes(self._header)
                self._journal.write_bytes(_line(self._work))
        self._data_file = self._data.open("r+b", buffering=0)  # a buffer would not see what others write
        self._journal_file = self._journal.open("r+b")
        self._accept(recorded)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._data_file.close()
            self._journal_file.close()
        finally:  # on a full disk closing fails as writing did
            Path(self._lock.lock_file).unlink(missing_ok=True)  # while it is held, or another's would go
            self._lock.release()

    def _recorded(self) -> list[bytes]:
        """Lines of the journal, the first of them `work`; none where there is nothing to continue."""
        if self._journal.is_file() and self.target.is_file() and not self._data.is_file():
            os.replace(self.target, self._data)  # finished, but not what follows it: `discard` was not reached
        if not self._data.is_file() or not self._journal.is_file():
            return []
        lines = self._journal.read_bytes().splitlines(keepends=True)
        if lines[:1] != [_line(self._work)]:
            logger.warning("%s: source or arguments have changed since the interruption; starts over", self.target)
            return []
        return lines

    def _accept(self, recorded: list[bytes]) -> None:
        """Take over the pieces that are as recorded, up to the first that is not, and cut off the rest."""
        self._data_file.seek(len(self._header))
        journal_end, data_end = len(_line(self._work)), len(self._header)
        for line in recorded[1:]:
            piece = self._data_file.read(self.places.piece_bytes)
            digest = self.digest.copy()
            digest.update(piece)
            if line != _line(digest.hexdigest()):
                break
            self.digest = digest
            self.pieces += 1
            journal_end, data_end = journal_end + len(line), data_end + len(piece)
        for file, end in ((self._journal_file, journal_end), (self._data_file, data_end)):
            file.seek(end)
            file.truncate()

    def accept(self) -> None:
        """Take over the next piece, which has been written to its place."""
        self.digest.update(self._data_file.read(self.places.piece_bytes))
        self.pieces += 1
        with attach_path(self.target):
            self._journal_file.write(_line(self.digest.hexdigest()))
            self._journal_file.flush()

    def finish(self) -> None:
        """Give the file its name. Until `discard` the work is not over, and a next call takes the file back."""
        with attach_path(self.target):
            os.fsync(self._data_file.fileno())
        os.replace(self._data, self.target)

    def discard(self) -> None:
        """Remove what there is of a file that has no name yet, and the record of the work."""
        self._journal.unlink(missing_ok=True)
        self._data.unlink(missing_ok=True)


def _line(text: str) -> bytes:
    return f"{text}\n".encode()
