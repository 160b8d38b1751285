"""Layers of BigGAN (arXiv:1809.11096, appendix B): spectral normalisation, batch normalisation, self-attention.

Each computes in the type of the maps it is given. Their parameters stay float32 and enter through `precision.cast`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from leangan.core.ranks import mean_over_ranks_with_gradient, world_size
from leangan.plugins.precision import cast

SN_EPS = 1e-8
BN_EPS = 1e-5
BN_MOMENTUM = 0.1


def normal_(weight: Tensor) -> Tensor:
    """Fill `weight` from N(0, 0.02^2)."""
    return nn.init.normal_(weight, std=0.02)


INITS: dict[str, Callable[[Tensor], Tensor]] = {"normal": normal_, "orthogonal": nn.init.orthogonal_}


def initialized(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, init: str) -> nn.Module:
    """`layer` with its weight drawn by INITS[init] and its bias zero.

    Filters are channels_last, as the maps are: otherwise each convolution copies them to that layout.
    """
    INITS[init](layer.weight)
    if layer.weight.ndim == 4:
        layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def spectral(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, init: str) -> nn.Module:
    """`layer`, initialised, whose weight is divided by its largest singular value (arXiv:1802.05957).

    One step of power iteration in every forward pass in training mode, none in evaluation.
    """
    return spectral_norm(initialized(layer, init), eps=SN_EPS)


def box_filtered(weight: Tensor, divisor: int) -> Tensor:
    """[O, I, 3, 3] -> [O, I, 4, 4]: the kernel that filters with `weight`, then sums 2 x 2 pixels over `divisor`."""
    return F.avg_pool2d(F.pad(weight, (1, 1, 1, 1)), kernel_size=2, stride=1, divisor_override=divisor)


class Conv(nn.Conv2d):
    """Convolution with stride 1, [N, in, H, W] -> [N, out, H, W]."""

    before_bias: Callable[[Tensor], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else cast(self.bias, x.dtype)
        if self.before_bias is None:
            return self.filtered(x, bias)
        x = self.before_bias(self.filtered(x, None))
        return x if bias is None else x + bias[:, None, None]

    def filtered(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution of x, plus the bias of its type."""
        return F.conv2d(x, cast(self.weight, x.dtype), bias, padding=self.padding)


class ConvDown(Conv):
    """3 x 3 convolution, then 2 x 2 average pooling, [N, in, H, W] -> [N, out, H/2, W/2].

    Both are linear, so one 4 x 4 kernel at every second pixel does it in 16 multiplications instead of 36.
    """

    def filtered(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, cast(box_filtered(self.weight, divisor=4), x.dtype), bias, stride=2, padding=1)


class ConvUp(Conv):
    """Nearest-neighbour upsampling by 2, then 3 x 3 convolution, [N, in, H, W] -> [N, out, 2H, 2W], as one kernel."""

    def filtered(self, x: Tensor, bias: Tensor | None) -> Tensor:
        # Repeating pixels sums over 2 x 2 where pooling averages. A transposed convolution scatters its kernel, hence
        # the flip that makes it the usual correlation, and takes it as [I, O, 4, 4].
        weight = self.weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)
        kernel = cast(box_filtered(weight.flip(2, 3), divisor=1), x.dtype)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


class BatchNorm(nn.Module):
    """x [N, channels, H, W] with zero mean and unit variance per map, then a gain and a bias per map.

    They are learned as such (`condition_dim` 0), or linear in a condition y [N, condition_dim], a pair per sample
    (arXiv:1707.00683): gain = gain_offset + A y, bias = B y, with A and B spectrally normalised if `normalized`.

    In training the statistics are those of the whole batch, over all ranks. In evaluation they are, by
    `eval_statistics`: "batch", those of the batch at hand; "running", moving averages of training, which are those of
    G itself and not of its average; "standing", what `accumulate` passes have gathered, nan before the first one so
    that no image passes for a result.

    For 16-bit maps the statistics are float32 on a GPU, where torch's kernels compute them so. On a CPU torch rounds
    them to 16 bits where none are stored. The second derivative of torch's batch norm rounds them on both.
    """

    gain: nn.Module | nn.Parameter
    bias: nn.Module | nn.Parameter
    mean: Tensor | None
    var: Tensor | None

    def __init__(
        self,
        channels: int,
        condition_dim: int,
        normalized: bool,
        init: str,
        gain_offset: float,
        eval_statistics: str,
    ) -> None:
        super().__init__()
        self.condition_dim = condition_dim
        self.gain_offset = gain_offset
        self.eval_statistics = eval_statistics
        self.accumulate = 0
        if condition_dim:
            layer = spectral if normalized else initialized
            self.gain = layer(nn.Linear(condition_dim, channels, bias=False), init)
            self.bias = layer(nn.Linear(condition_dim, channels, bias=False), init)
        else:
            self.gain = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
        stored = eval_statistics != "batch"
        mean, var = (torch.nan, torch.nan) if eval_statistics == "standing" else (0.0, 1.0)
        self.register_buffer("mean", torch.full((channels,), mean) if stored else None)
        self.register_buffer("var", torch.full((channels,), var) if stored else None)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        gain, bias = (part[None] if isinstance(part, Tensor) else part(y) for part in (self.gain, self.bias))
        if self.condition_dim:
            gain = self.gain_offset + gain
        gain, bias = (cast(part, x.dtype)[:, :, None, None] for part in (gain, bias))
        return torch.addcmul(bias, self.standardize(x), gain)

    def standardize(self, x: Tensor) -> Tensor:
        """x with the mean of each map subtracted, divided by its standard deviation."""
        if self.training and world_size() > 1:
            return self.standardize_over_ranks(x)
        if self.accumulate:
            # The k-th pass counts 1/k: the mean over all passes of means and (unbiased) variances.
            return F.batch_norm(x, self.mean, self.var, training=True, momentum=1 / self.accumulate, eps=BN_EPS)
        from_batch = self.training or self.eval_statistics == "batch"
        stored = self.eval_statistics == "running" or not from_batch
        mean, var = (self.mean, self.var) if stored else (None, None)
        return F.batch_norm(x, mean, var, training=from_batch, momentum=BN_MOMENTUM, eps=BN_EPS)

    def standardize_over_ranks(self, x: Tensor) -> Tensor:
        """The same with the statistics of all ranks' images; every rank has as many."""
        wide = cast(x, torch.promote_types(x.dtype, torch.float32))
        var, mean = (t.double() for t in torch.var_mean(wide, dim=(0, 2, 3), correction=0))
        mean, second_moment = mean_over_ranks_with_gradient(torch.stack([mean, var + mean.square()]))
        var = second_moment - mean.square()
        if self.eval_statistics == "running":
            assert self.mean is not None and self.var is not None
            count = x.numel() // x.shape[1] * world_size()
            self.mean.lerp_(mean.detach().to(self.mean.dtype), BN_MOMENTUM)
            self.var.lerp_((var.detach() * count / (count - 1)).to(self.var.dtype), BN_MOMENTUM)
        scale = (var + BN_EPS).rsqrt()
        shift = -mean * scale
        shift, scale = (t.to(wide.dtype)[:, None, None] for t in (shift, scale))
        return cast(torch.addcmul(shift, wide, scale), x.dtype)


class NormInDiscriminator(BatchNorm):
    """Batch norm with a learned gain and bias per map, by the statistics of the batch of all ranks in evaluation, too.

    Only then can the logits of held-out images be compared with those that D learns from.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 0, normalized=False, init="normal", gain_offset=1.0, eval_statistics="batch")

    def train(self, mode: bool = True) -> NormInDiscriminator:
        return super().train(True)


class Attention(nn.Module):
    """x + gamma * self-attention(x), x [N, channels, H, W] (arXiv:1805.08318, sec. 3).

    Queries and keys have channels / 8 features, values channels / 2; keys and values are max-pooled by 2. Scores
    are not scaled. gamma starts at 0. Written out, since torch's fused attention does not differentiate twice.
    Scores and softmax are float32 at least: float16 ends where two vectors of length 256 meet, bfloat16 rounds a score
    of 100 by up to 1/4.
    """

    def __init__(self, channels: int, init: str) -> None:
        super().__init__()
        self.query = spectral(Conv(channels, channels // 8, 1, bias=False), init)
        self.key = spectral(Conv(channels, channels // 8, 1, bias=False), init)
        self.value = spectral(Conv(channels, channels // 2, 1, bias=False), init)
        self.output = spectral(Conv(channels // 2, channels, 1, bias=False), init)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        key = F.max_pool2d(self.key(x), 2).flatten(2)
        value = F.max_pool2d(self.value(x), 2).flatten(2)
        query, key = (cast(t, torch.promote_types(x.dtype, torch.float32)) for t in (query, key))
        weights = cast(torch.softmax(query.transpose(1, 2) @ key, dim=2), x.dtype)
        attended = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + cast(self.gamma, x.dtype) * self.output(attended)
