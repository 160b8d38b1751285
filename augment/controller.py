"""The feedback loop that sets p from D's overfitting (arXiv:2006.06676, sec. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Controller(nn.Module):
    """Raises p while r_t = E[sign(D(real))] lies above the target and lowers it while below.

    Every `interval` D steps, p += sign(r_t - target) * images / (tune_kimg * 1000), where `images` is the
    number of reals D has seen since the last change, so that p needs `tune_kimg` thousand images to go from
    0 to 1 whatever the batch. p never falls below 0 and has no upper bound; probabilities derived from it
    saturate at 1. r_t is the mean over the interval, not smoothed any further.

    All state lies in buffers. A step is arithmetic on the device, with nothing read back to the host.

    Args:
        target: r_t that is aimed at, in [-1, 1].
        interval: D steps between two changes of p.
        tune_kimg: thousands of reals in which p can move by 1; the paper uses 500, and 100 for transfer.
        p: initial value.
    """

    p: Tensor
    r_t: Tensor  # of the last complete interval; NaN before the first
    steps: Tensor
    sign_sum: Tensor
    sign_count: Tensor

    def __init__(self, target: float = 0.6, interval: int = 4, tune_kimg: float = 500, p: float = 0.0) -> None:
        super().__init__()
        if not -1 <= target <= 1:
            raise ValueError(f"target is {target}; r_t lies in [-1, 1]: change `target`")
        if interval < 1:
            raise ValueError(f"interval is {interval}; 1 or more D steps are allowed: change `interval`")
        if tune_kimg <= 0:
            raise ValueError(f"tune_kimg is {tune_kimg}; it must be positive: change `tune_kimg`")
        if p < 0:
            raise ValueError(f"p is {p}; it must not be negative: change `p`")
        self.target = target
        self.interval = interval
        self.tune_kimg = tune_kimg
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("r_t", torch.tensor(float("nan")))
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("sign_sum", torch.tensor(0.0))
        self.register_buffer("sign_count", torch.tensor(0.0))

    @torch.no_grad()
    def observe(self, d_real: Tensor) -> None:
        """Takes the logits of this rank's reals in a D step; ranks are summed, so that all get one p."""
        sign_sum = d_real.sign().sum(dtype=self.sign_sum.dtype)
        seen = torch.stack([sign_sum, torch.full_like(sign_sum, d_real.numel())])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(seen)
        self.sign_sum += seen[0]
        self.sign_count += seen[1]
        self.steps += 1

        due = self.steps % self.interval == 0
        r_t = self.sign_sum / self.sign_count
        change = torch.sign(r_t - self.target) * self.sign_count / (self.tune_kimg * 1000)
        self.p.copy_(torch.where(due, (self.p + change).clamp(min=0), self.p))
        self.r_t.copy_(torch.where(due, r_t, self.r_t))
        self.sign_sum.masked_fill_(due, 0)
        self.sign_count.masked_fill_(due, 0)

    def log(self) -> dict[str, float]:
        """p and, once an interval is complete, r_t of the last one."""
        r_t = float(self.r_t)
        return {"p": float(self.p)} | ({} if r_t != r_t else {"r_t": r_t})
