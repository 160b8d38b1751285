"""Generator of BigGAN (arXiv:1809.11096, appendix B, fig. 15 and 16): residual, each block conditioned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leangan.models.biggan.layers import Attention, BatchNorm, Conv, ConvUp, initialized, spectral
from leangan.plugins import pair
from leangan.plugins.precision import cast, compute_dtype


class GeneratorBlock(nn.Module):
    """[N, in, H, W] -> [N, out, 2H, 2W]: norm, ReLU, upsampling, convolution, norm, ReLU, convolution; and a skip.

    The norm that follows removes every bias here. They are kept as published; their gradients are rounding errors,
    which Adam turns into a random walk without effect. `half`: the block's 16-bit type.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: partial[BatchNorm],
        init: str,
        attention: bool,
        half: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.in_half = half
        self.norm0 = norm(in_channels)
        self.conv0 = spectral(ConvUp(in_channels, out_channels, 3), init)
        self.norm1 = norm(out_channels)
        self.conv1 = spectral(Conv(out_channels, out_channels, 3, padding=1), init)
        self.skip = spectral(Conv(in_channels, out_channels, 1), init)
        self.attention = Attention(out_channels, init) if attention else None

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        # The type of a parameter as stored: to read a normalised weight is a step of its spectral norm.
        x = cast(x, compute_dtype(next(self.parameters()), self.in_half))
        h = self.conv0(F.relu(self.norm0(x, y), inplace=True))
        h = self.conv1(F.relu(self.norm1(h, y), inplace=True))
        # A 1 x 1 convolution and nearest-neighbour upsampling commute; this order costs a quarter.
        h = h + F.interpolate(self.skip(x), scale_factor=2)
        return h if self.attention is None else self.attention(h)


class Generator(pair.Generator):
    """G(z, c) -> images [N, channels, resolution, resolution] in [-1, 1]; resolution is 4 * 2^(len(maps) - 1).

    maps: feature maps at 4, 8, 16 pixels and so on.
    hierarchical_z: z is cut into one part for the first layer and one for each block; otherwise all of it goes into
        the first layer and no block sees it.
    shared_dim: length of the label embedding that all blocks share; 0: each has its own gain and bias per class.
    attention_at: the resolution at which attention follows the block; 0: none.
    half: 16-bit types by resolution; the block that gives this resolution computes in it, its attention included.
    sampling_batch: in evaluation the images depend on this many in a batch (None: each only on its own z and c).
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        maps: list[int],
        z_dim: int,
        hierarchical_z: bool,
        shared_dim: int,
        attention_at: int,
        half: dict[int, torch.dtype],
        init: str,
        gain_offset: float,
        eval_statistics: str,
        eval_batch: int,
        standing_passes: int,
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.c_dim = classes
        self.resolution = 4 * 2 ** (len(maps) - 1)
        self.channels = channels
        self.hierarchical_z = hierarchical_z
        self.eval_statistics = eval_statistics
        self.eval_batch = eval_batch
        self.standing_passes = standing_passes
        self.sampling_batch = eval_batch if eval_statistics == "batch" else None

        part = z_dim // len(maps) if hierarchical_z else z_dim
        shared = bool(classes and shared_dim)
        condition_dim = (part if hierarchical_z else 0) + (shared_dim if shared else classes)
        # Embedding tables are not normalised: those shared, nor the gains and biases that a bare label looks up.
        normalized = shared or hierarchical_z
        plain = partial(BatchNorm, init=init, gain_offset=gain_offset, eval_statistics=eval_statistics)
        norm = partial(plain, condition_dim=condition_dim, normalized=normalized)
        self.embed = initialized(nn.Linear(classes, shared_dim, bias=False), init) if shared else None
        sizes = [4 * 2**k for k in range(1, len(maps))]
        self.dense = spectral(nn.Linear(part, maps[0] * 4**2), init)
        self.blocks = nn.ModuleList(
            GeneratorBlock(i, o, norm, init, attention=attention_at == size, half=half.get(size))
            for size, (i, o) in zip(sizes, pairwise(maps), strict=True)
        )
        self.norm = plain(maps[-1], condition_dim=0, normalized=False)
        self.to_rgb = spectral(Conv(maps[-1], channels, 3, padding=1), init)

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        first, *conditions = self.conditions(z, c)
        x = self.dense(first).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for block, y in zip(self.blocks, conditions, strict=True):
            x = block(x, y)
        x = cast(x, next(self.parameters()).dtype)
        return torch.tanh(self.to_rgb(F.relu(self.norm(x), inplace=True)))

    def conditions(self, z: Tensor, c: Tensor | None) -> list[Tensor | None]:
        """The input of the first layer, then the condition of each block [N, condition_dim]."""
        if not self.c_dim:
            c = None
        elif c is None:
            raise ValueError(f"this network is conditional: pass c, one-hot [N, {self.c_dim}], not None")
        elif self.embed is not None:
            c = self.embed(c)
        if not self.hierarchical_z:
            return [z, *[c] * len(self.blocks)]
        first, *parts = z.chunk(len(self.blocks) + 1, dim=1)
        return [first, *[part if c is None else torch.cat([part, c], dim=1) for part in parts]]

    @torch.no_grad()
    def accumulate_standing(self, random_labels: Callable[[int], Tensor | None]) -> None:
        """Gather standing statistics (arXiv:1809.11096, appendix B); nothing where `eval_statistics` are others.

        From `standing_passes` batches of `eval_batch` images with fresh z; `random_labels(n)` gives the one-hot
        labels [n, classes] of a batch, None where G is unconditional.
        """
        if self.eval_statistics != "standing":
            return
        norms = [module for module in self.modules() if isinstance(module, BatchNorm)]
        device, training = next(self.parameters()).device, self.training
        self.eval()
        for norm in norms:
            assert norm.mean is not None and norm.var is not None
            norm.mean.zero_()
            norm.var.zero_()
        for number in range(1, self.standing_passes + 1):
            for norm in norms:
                norm.accumulate = number
            self(torch.randn(self.eval_batch, self.z_dim, device=device), random_labels(self.eval_batch))
        for norm in norms:
            norm.accumulate = 0
        self.train(training)
