"""Damaged LMDBs, each read in a process of its own: `python -m tests.helpers.damaged_lmdb COUNT` prints the ends.

An LMDB is mapped into memory, so that damage may end the process with a signal; nothing in it can be executed.
"""

from __future__ import annotations

import collections
import io
import json
import os
import random
import sys
import tempfile
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.readers.lsun_lmdb import LsunLmdb


def whole() -> bytes:
    """The file of an LMDB with three images."""
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(png, "PNG")
    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder, map_size=2**20) as environment, environment.begin(write=True) as transaction:
            for number in range(3):
                transaction.put(f"key{number}".encode(), png.getvalue())
        return Path(folder, "data.mdb").read_bytes()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """`content` with one to six places overwritten, flipped or cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data))
        match rng.randrange(8):
            case 0:
                del data[max(place, 1) :]
            case 1 | 2 | 3:
                data[place] ^= 1 << rng.randrange(8)
            case 4 | 5:
                data[place : place + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case _:
                data[place : place + 8] = rng.randbytes(8)
    return bytes(data)


def read(folder: Path) -> str:
    try:
        source = LsunLmdb("mine", folder, "free")
        for index in range(min(len(source), 16)):
            source.image(index)
    except DatasetError:
        return "refused"
    except Exception:
        return "unclear"
    return "read"


ENDS = ("read", "refused", "unclear")


def main(count: int) -> None:
    content, rng, ends = whole(), random.Random(0), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            one = Path(folder, str(number))
            one.mkdir()
            (one / "data.mdb").write_bytes(damaged(content, rng))
            pid = os.fork()
            if pid == 0:
                os._exit(ENDS.index(read(one)))
            _, status = os.waitpid(pid, 0)
            ends["signal" if os.WIFSIGNALED(status) else ENDS[os.WEXITSTATUS(status)]] += 1
    print(json.dumps(ends))


if __name__ == "__main__":
    main(int(sys.argv[1]))
