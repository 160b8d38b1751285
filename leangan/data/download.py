"""Fetch the one file that a known set comes in.

    leangan download --dataset cifar10 --out cifar-10-python.tar.gz

From the address in sources.csv, compared with its MD5 where the row knows one. The file appears under its name only
when it is whole.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from leangan.core.command_line import command_parser
from leangan.core.errors import ConfigError
from leangan.core.files import sha256
from leangan.data.contracts import DatasetError
from leangan.data.known_sets import TABLE, known_sets, unknown_set

TIMEOUT_S = 60  # without an answer; behind some firewalls there never is one


def download(name: str, out: Path, table: Path = TABLE) -> None:
    """Write the file of the known set `name` to `out`. Raises ConfigError for a set that has no address, and
    DatasetError, saying what to fetch by hand, when it cannot be had or is another file than expected.
    """
    from torchvision.datasets.utils import check_integrity, download_url  # imports torch

    rows = known_sets(table)
    if name not in rows:
        raise unknown_set(name, table)
    row = rows[name]
    if not row.url:
        raise ConfigError(f"{name}: is not downloaded (no url in leangan/data/sources.csv). Needed: {row.note}")
    by_hand = f"fetch it by other means and put it at {out}"
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        part = Path(folder, out.name)
        try:
            download_url(row.url, folder, out.name)
        except (OSError, RuntimeError) as error:  # URLError and a time-out are OSErrors
            raise DatasetError(f"{name}: cannot download {row.url} ({error}); {by_hand}") from error
        if row.md5 and not check_integrity(part, row.md5):
            raise DatasetError(f"{name}: {row.url} gave another file than the one with MD5 {row.md5}; {by_hand}")
        os.replace(part, out)
    print(f"{out}: SHA-256 {sha256(out)}")


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "download",
        "Download the file that a known data set comes in.",
        reads="The address and the MD5 in leangan/data/sources.csv.",
        writes="--out; its SHA-256 is printed.",
    )
    parser.add_argument("--dataset", required=True, help="a name in leangan/data/sources.csv")
    parser.add_argument("--out", required=True, type=Path, help="file to write; its name does not matter")
    args = parser.parse_args(argv)
    socket.setdefaulttimeout(TIMEOUT_S)
    download(args.dataset, args.out)
