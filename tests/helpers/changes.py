"""What a user may change in a finished project, by the words of the table in docs/run-identity.md."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.helpers import odd_place

Change = Callable[[Path], AbstractContextManager[tuple[str, ...]]]
"""Within it the project is changed; it gives what the command line gets besides."""


@contextmanager
def file_as(path: Path, content: bytes | None) -> Iterator[tuple[str, ...]]:
    """Within it the file has this content (None: it is gone); then it is what it was, its time included."""
    before = (path.read_bytes(), path.stat()) if path.exists() else None
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        yield ()
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before[0])
            os.utime(path, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))


def edited(name: str, before: str, after: str) -> Change:
    """One text of a file replaced by another."""

    def change(project: Path) -> AbstractContextManager[tuple[str, ...]]:
        text = (project / name).read_text()
        assert before in text, (name, before)
        return file_as(project / name, text.replace(before, after, 1).encode())

    return change


def given(*config: str) -> Change:
    """Values on the command line."""

    @contextmanager
    def change(project: Path) -> Iterator[tuple[str, ...]]:
        yield config

    return change


def own_set(**keys: object) -> list[str]:
    """The value on the command line for the set of one's own that the project has."""
    return odd_place.config(datasets={"blobs": {"path": odd_place.IMAGES, "resolution": 16, **keys}})


def overwritten(project: Path) -> AbstractContextManager[tuple[str, ...]]:
    """Other pixels in an image of a sub-folder, in a file of the same size."""
    folder = project / odd_place.IMAGES / "all"
    path, other = folder / "47.png", (folder / "00.png").read_bytes()
    assert len(other) == path.stat().st_size and other != path.read_bytes()
    return file_as(path, other)


def added(project: Path) -> AbstractContextManager[tuple[str, ...]]:
    folder = project / odd_place.IMAGES / "all"
    return file_as(folder / "48.png", (folder / "00.png").read_bytes())


def removed(project: Path) -> AbstractContextManager[tuple[str, ...]]:
    return file_as(project / odd_place.IMAGES / "all/47.png", None)


def submission(project: Path) -> AbstractContextManager[tuple[str, ...]]:
    return file_as(project / "results/submitted/mine.json", b"{}")


IMAGES = "images added, removed or overwritten, wherever in the folder"
ELSEWHERE = "device, threads, GPUs per run, runs per GPU, CUDA graphs, fused kernels, place of the Inception weights"
SHARED = "code that methods share: transforms, networks, loop, metrics, figures"
DEFAULT = "a hyper-parameter, or a default in the code"
LABEL = "a preset's citation"
TITLE = "a method's title or paper"
SOURCE = "another place, crop or resize of a data set"

CHANGES: list[tuple[str, Change]] = [
    ("nothing", given()),
    (
        ELSEWHERE,
        given(
            *("device=cpu", "threads=2", "devices_per_run=2", "runs_per_gpu=2", "cuda_graphs=false"),
            *("fused_kernels=true", "inception_weights=/moved/{to}/here"),
        ),
    ),
    ("a comment or docstring of a method", edited("augment/da.py", '"""', '"""Another word. ')),
    (SHARED, edited("leangan/training/loop.py", "import time\n", "import time\n\nUNUSED = 1\n")),
    ("the text of a protocol's source", edited("config/protocols.yaml", "quick on a CPU", "fast on a CPU")),
    ("another artefact", edited("config/artefacts/methods-demo.yaml", "title: ", "title: Again, ")),
    (LABEL, edited("config/presets.yaml", 'citation: "this project"', 'citation: "this very project"')),
    (TITLE, edited("augment/none.py", 'title = "Baseline"', 'title = "Base"')),
    ("a number in `results/published/published.csv`", edited("results/published/published.csv", ",9.59,", ",9.58,")),
    ("the layout of an artefact", edited("config/artefacts/demo.yaml", "recall]", "recall, precision]")),
    (
        "what papers say of an artefact's methods (`expectation`)",
        edited("config/artefacts/demo.yaml", "better: [diffaugment-tc, ada]", "better: [ada]"),
    ),
    ("a submission", submission),
    ("a metric or the evaluation seeds of a protocol", edited("config/protocols.yaml", "[fd, kd,", "[fd, fd_inf, kd,")),
    (DEFAULT, edited("config/presets.yaml", "r1_gamma:  0.05", "r1_gamma:  0.06")),
    (DEFAULT, edited("models/stylegan2/__init__.py", '"pl_decay": Key(float, 0.01', '"pl_decay": Key(float, 0.02')),
    ("TF32", given("arithmetic={tf32: true, half: bfloat16}")),
    ("the revision of a method or backbone", edited("augment/da.py", "revision = 1", "revision = 2")),
    ("the code of a method", edited("augment/da.py", "self.pipeline(x, ", "self.pipeline(-x, ")),
    (SOURCE, given(*own_set(resize="lanczos"))),
    (IMAGES, overwritten),
    (IMAGES, added),
    (IMAGES, removed),
    ("another method", given("methods=[diffaugment-ct]")),
]


def documented(table: str) -> dict[str, set[str]]:
    """What docs/run-identity.md says runs again, by change, from the text of its last table."""
    lines = re.findall(r"^\| (.+?) \| (.+?) \|$", table, flags=re.MULTILINE)
    jobs = {change: re.split(r"[:;]", what)[0] for change, what in lines if change not in ("you change", "---")}
    return {change: set() if what == "nothing" else set(what.split(", ")) for change, what in jobs.items()}
