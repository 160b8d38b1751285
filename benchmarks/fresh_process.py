"""A measurement in a process of its own, which keeps its memory as the suite's jobs do (`leangan.launching.launch`)."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from leangan.launching.launch import KEEP_MEMORY

T = TypeVar("T")


def in_fresh_process(measure: Callable[..., T], *args: object) -> T:
    """What `measure(*args)` gives in a fresh process; all three must be picklable, its exceptions come through."""
    os.environ.update(KEEP_MEMORY)  # glibc reads it when the process starts
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *args).result()
