"""Where the time of a training iteration goes: every moment is charged to the innermost section that runs."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds by section. A section is one call of a function that `attach` has replaced."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device, self._clock = device, clock
        self._open: list[list[Any]] = []  # [name, seconds of its own] of every section that has not ended
        self._since = clock()

    def attach(self, owner: Any, attribute: str, section: str) -> None:
        """From now on, calls of `owner.attribute` are a section."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._charge()
            self._open.append([section, 0.0])
            try:
                return function(*args, **kwargs)
            finally:
                self._charge()
                name, seconds = self._open.pop()
                self.seconds[name] += seconds

        setattr(owner, attribute, timed)

    def rename_at(self, owner: Any, attribute: str, section: str) -> None:
        """From now on, a call of `owner.attribute` gives the section it happens in another name."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def renaming(*args: Any, **kwargs: Any) -> Any:
            self._open[-1][0] = section
            return function(*args, **kwargs)

        setattr(owner, attribute, renaming)

    def _charge(self) -> None:
        synchronize(self._device)
        now = self._clock()
        if self._open:
            self._open[-1][1] += now - self._since
        self._since = now
