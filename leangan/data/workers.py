"""A function over many items on several processes: results in order, few of them in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_function: Callable[[Any], Any]  # that of this worker process


def ordered(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Generator[Result, None, None]:
    """function(item) of each item, in order, by `jobs` processes; by this one if one is enough.

    `function` is pickled once per process. At most 2 * jobs results exist ahead of the one that is consumed.
    An error of `function` surfaces at its item, whatever `jobs` is; a process that is killed raises
    BrokenProcessPool.
    """
    jobs = min(jobs, len(items))
    if jobs <= 1:
        yield from map(function, items)
        return
    # Spawned, not forked: the same on every system, and safe beside threads and open files.
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start, (function,))
    try:
        pending: deque[Future[Result]] = deque(pool.submit(_call, item) for item in items[: 2 * jobs])
        for item in items[2 * jobs :]:
            yield pending.popleft().result()
            pending.append(pool.submit(_call, item))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    # Ctrl-C ends workers without a traceback each.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker waits for work on a pipe that it holds itself, and would do so for ever after its parent is killed.
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


def _call(item: Any) -> Any:
    return _function(item)
