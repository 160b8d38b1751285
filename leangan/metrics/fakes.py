"""The fakes of a measurement: the same images however many are made at once and on however many devices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leangan.core.cuda_graph import Recorder, Replay, noted_waits, recorder_on
from leangan.core.pixels import to_uint8
from leangan.plugins.pair import Generator
from leangan.training.sampler import step_seed

BLOCK = 32
"""Images that one call of the generator makes, unless it has a batch size of its own for evaluation."""


class NotFinite(ValueError):
    """A generator gave images that are no numbers."""


Draw = Callable[[Tensor, Tensor | None], Tensor]

SAME = 0.01
"""Mean difference of images in 256 levels up to which they are the same but for rounding."""


def _tell(why: str) -> None:
    print(f"fakes are made without a CUDA graph, more slowly: {why}", file=sys.stderr)


class Fakes:
    """`count` images of `G`: averaged weights, no truncation, rounded to 8 bits.

    What image i shows follows from G, the labels, `seed` and i. Latents and labels are drawn for all images at once;
    the generator's own noise is drawn block by block, each from a seed of its own. `labels`, int64 [N], is the
    training set's, from which the fakes' are drawn; None: unconditional. Each call of the generator makes `block`
    images; the default is the generator's own batch size for evaluation, else BLOCK. The noise on a GPU differs from
    that on a CPU.

    With a `recorder`, by default on a GPU, whole blocks are made by replays of G's work: the GPU would wait for Python
    most of the time, as a block is small.
    """

    def __init__(
        self,
        G: Generator,
        count: int,
        labels: np.ndarray | None,
        seed: int,
        device: torch.device,
        block: int | None = None,
        recorder: Recorder | None = None,
    ):
        random = torch.Generator().manual_seed(seed)
        self.z = torch.randn(count, G.z_dim, generator=random).to(device)
        self.c = None
        if labels is not None:
            drawn = torch.randint(len(labels), (count,), generator=random)
            self.c = F.one_hot(torch.from_numpy(labels)[drawn].to(device), G.c_dim).float()
        self.G, self.seed = G, seed
        self.block = block or G.sampling_batch or BLOCK
        self._finite = torch.ones((), dtype=torch.bool, device=device)
        self._recorder = recorder or recorder_on(device)
        self._replay: Draw | None = None

    def __len__(self) -> int:
        return len(self.z)

    @torch.inference_mode()
    def make(self, number: int) -> Tensor:
        """Block `number` as uint8 [n, C, H, W] on the device."""
        part = slice(number * self.block, (number + 1) * self.block)
        z, c = self.z[part], None if self.c is None else self.c[part]
        seed = step_seed("fakes", self.seed, number)
        torch.manual_seed(seed)
        if len(z) < self.block:
            return self._draw(z, c)
        if self._replay:
            return self._replay(z, c)
        if self._recorder is None:
            return self._draw(z, c)
        with noted_waits() as waits:
            images = self._draw(z, c)
        if waits:
            _tell(f"G waits for the GPU in {waits[0]}")
        else:
            self._replay = self._record(self._recorder, z, c, images, seed)
        self._recorder = None
        return images

    def _draw(self, z: Tensor, c: Tensor | None) -> Tensor:
        x = self.G(z, c)
        self._finite &= x.isfinite().all()
        return to_uint8(x)

    def _record(self, recorder: Recorder, z: Tensor, c: Tensor | None, images: Tensor, seed: int) -> Draw | None:
        """`_draw` by replays, which has made `images` of z, c and `seed` once more; None where that cannot be had.

        Images would be others if G drew numbers in Python. A kernel that adds in any order may round a few otherwise.
        """
        made = torch.empty_like(images)
        try:
            replay = Replay(recorder, lambda z, c: made.copy_(self._draw(z, c)), z, c)

            def drawn(z: Tensor, c: Tensor | None) -> Tensor:
                replay(z, c)
                return made.clone()  # the next replay writes over it

            torch.manual_seed(seed)
            if (drawn(z, c).float() - images.float()).abs().mean() < SAME:
                return drawn
            _tell("it makes other images")
        except RuntimeError as error:
            _tell(str(error).partition("\n")[0])
        return None

    def blocks(self, first: int = 0, step: int = 1) -> Iterator[Tensor]:
        """The blocks `first`, `first + step`, ...; raises NotFinite at the end, as a GPU is not waited for before."""
        for number in range(first, -(-len(self) // self.block), step):
            yield self.make(number)
        if not self._finite:
            raise NotFinite("the generator's images are not finite")

    def images(self, indices: list[int]) -> Tensor:
        """The images of these numbers, uint8 [n, C, H, W] on the CPU."""
        blocks = {number: self.make(number).cpu() for number in {i // self.block for i in indices}}
        return torch.stack([blocks[i // self.block][i % self.block] for i in indices])
