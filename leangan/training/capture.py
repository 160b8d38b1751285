"""Parts of an iteration as CUDA graphs: each runs as it is written a few times, is then captured, and replayed after.

A replay queues a thousand kernels by one call, where eager execution pays microseconds of Python for each. The parts
read and write the same tensors either way: parameters, moments, buffers and sums stay where they are, and fresh images
are copied into those of the capture. `training.purity` says whether a run allows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from torch import Tensor

from leangan.core.cuda_graph import Recorder, Replay, noted_waits
from leangan.core.out_of_memory import is_out_of_memory
from leangan.training.log import Tally

logger = logging.getLogger(__name__)

WARM_UP = 2
"""Calls before the capture. The first makes what is made at first use: moments, constants, cuDNN's choices. The last
shows whether the part waits for the GPU, which no graph can hold."""


class Part:
    """A part of an iteration, `function(cur_nimg, *tensors)`, which returns nothing.

    record: makes the replay of captured work, see `core.cuda_graph`; None: the part always runs as it is written.
    """

    def __init__(self, name: str, function: Callable[..., None], tally: Tally, record: Recorder | None) -> None:
        self.name, self.function, self.tally, self.record = name, function, tally, record
        self.reset()

    def reset(self) -> None:
        """Forget the capture: the tensors of the state have been replaced."""
        self.calls = 0
        self.replay: Replay | None = None
        self.counts: dict[str, int] = {}

    def __call__(self, cur_nimg: int, *tensors: Tensor | None) -> None:
        if self.replay is None and self.record is not None and self.calls >= WARM_UP:
            self._capture(self.record, cur_nimg, tensors)
        if self.replay is None:
            self.calls += 1
            self._run(cur_nimg, tensors)
            return
        self.replay(*tensors)
        self.tally.count(self.counts)

    def _run(self, cur_nimg: int, tensors: tuple[Tensor | None, ...]) -> None:
        if self.record is None or self.calls != WARM_UP:
            self.function(cur_nimg, *tensors)
            return
        with noted_waits() as waits:
            self.function(cur_nimg, *tensors)
        if waits:
            self._stay_eager(f"it waits for the GPU in {waits[0]}")

    def _stay_eager(self, reason: str) -> None:
        self.record = None
        logger.warning("%s runs without a CUDA graph, which is slower: %s", self.name, reason)

    def _capture(self, record: Recorder, cur_nimg: int, tensors: tuple[Tensor | None, ...]) -> None:
        before = dict(self.tally.counts)
        try:
            self.replay = Replay(record, partial(self.function, cur_nimg), *tensors)
        except RuntimeError as error:  # too little memory for graph and eager execution, or what no graph can hold
            self._stay_eager("too little memory" if is_out_of_memory(error) else str(error).partition("\n")[0])
        # A replay adds to the sums, but runs no Python that would count.
        self.counts = {name: count - before.get(name, 0) for name, count in self.tally.counts.items()}
        self.tally.counts = before
