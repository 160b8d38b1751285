"""Coverage-guided fuzzing of one reader with Atheris, beyond what pytest runs: `pip install atheris`, then

    PYTHONPATH=. python tests/fuzz/guided.py image -runs=20000

Options after the name go to libFuzzer, as do folders with files to start from; the reader's own seeds are among them.
An input that does anything but be read or refused in words is written to ./crash-<digest>.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import atheris

MEMORY_BYTES = 3 * 2**30

with atheris.instrument_imports(include=["leangan", "PIL", "yaml", "json", "zipfile", "tarfile", "pickle"]):
    from tests.helpers.readers import READERS, try_reading


def main() -> None:
    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as working, tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(READERS[name].seeds()):
            Path(corpus, str(number)).write_bytes(seed)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES,) * 2)
        options = ["-timeout=20", "-rss_limit_mb=6000", "-max_len=65536", *sys.argv[2:], corpus]
        atheris.Setup(
            [sys.argv[0], *options], lambda content: try_reading(READERS[name], content, Path(working)) and None
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
