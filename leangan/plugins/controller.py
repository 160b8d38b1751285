"""What sets p: feedback loops from D's overfitting (arXiv:2006.06676, sec. 3.1), and a schedule without feedback.

Both measures of overfitting are 0 when there is none and 1 when it is complete:

    r_t = E[sign(D(train))]
    r_v = (E[D(train)] - E[D(held out)]) / (E[D(train)] - E[D(fake)])

with E over what D has seen since the last change of p. All state lies in buffers and is summed over ranks, so
that all get one p. A step is arithmetic on the device, with nothing read back to the host.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leangan.core.ranks import sum_over_ranks, world_size
from leangan.core.spec import RunSpec
from leangan.plugins.method import Method, Networks


class Controller(nn.Module):
    """Raises p while r_t lies above the target and lowers it while below.

    Every `interval` D steps, p += sign(r_t - target) * images / (tune_kimg * 1000), where `images` is the
    number of reals D has seen since the last change, so that p needs `tune_kimg` thousand images to go from
    0 to 1 whatever the batch. p never falls below 0 and has no upper bound; probabilities derived from it
    saturate at 1. r_t is the mean over the interval, not smoothed any further.

    Args:
        target: r_t that is aimed at, in [-1, 1].
        interval: D steps between two changes of p.
        tune_kimg: thousands of reals in which p can move by 1; the paper uses 500, and 100 for transfer.
        p: initial value.
    """

    measure, lowest = "r_t", -1
    published_target = 0.6  # arXiv:2006.06676, sec. 3.1
    summed = 1  # kinds of logits that are summed: of the reals
    p: Tensor
    r: Tensor  # at the last change of p; NaN before the first
    steps: Tensor  # since the last change of p, like the sums
    sums: Tensor  # per kind: sum and count

    def __init__(
        self, target: float = published_target, interval: int = 4, tune_kimg: float = 500, p: float = 0.0
    ) -> None:
        super().__init__()
        if not self.lowest <= target <= 1:
            raise ValueError(f"target is {target}; {self.measure} lies in [{self.lowest}, 1]: change `target`")
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
        self.register_buffer("r", torch.tensor(float("nan")))
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("sums", torch.zeros(self.summed, 2))

    def prepare(self, spec: RunSpec) -> None:
        """Takes what it must know of the run; a feedback loop needs nothing."""

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor) -> None:
        """Takes the logits of this rank's images in a D step."""
        self._add(0, d_real.sign())
        self.steps += 1
        signs, reals = self.sums[0]
        self._move(signs / reals, reals)

    def observe_validation(self, d_valid: Tensor) -> None:
        """Takes the logits of this rank's held-out images; r_t does without them."""

    def log(self) -> dict[str, float]:
        """p and, once p could change, the measure at that time."""
        r = float(self.r)
        return {"p": float(self.p)} | ({} if r != r else {self.measure: r})

    def _add(self, first: int, *batches: Tensor) -> None:
        """Adds values of all ranks to the sums of the kinds `first`, `first` + 1, ..."""
        sums = torch.stack(
            [torch.stack([x.sum(dtype=self.sums.dtype), self.sums.new_full((), x.numel())]) for x in batches]
        )
        self.sums[first : first + len(batches)] += sum_over_ranks(sums)

    def _move(self, r: Tensor, images: Tensor) -> None:
        """Changes p and begins a new interval, if this one is over."""
        due = self.steps >= self.interval
        self.p.copy_(torch.where(due, self._next(r, images), self.p))
        self.r.copy_(torch.where(due, r, self.r))
        self.steps.masked_fill_(due, 0)
        self.sums.masked_fill_(due, 0)

    def _next(self, r: Tensor, images: Tensor) -> Tensor:
        """p after an interval with the measure r over so many reals."""
        change = torch.sign(r - self.target) * images / (self.tune_kimg * 1000)
        return (self.p + change).clamp(min=0)


class ValidationController(Controller):
    """The same by r_v, which compares training images with held-out ones D never learns from.

    p changes with the first held-out logits after `interval` D steps. `target` lies in [0, 1], like r_v.

    r_v is clamped to [0, 1]: what lies beyond is noise of a small batch. Where D does not rate its training
    images above the fakes, the quotient means nothing, and diverges on the way there. Such a D separates
    nothing, by heart or otherwise, so r_v is taken as 0 and p falls.
    """

    measure, lowest = "r_v", 0
    published_target = 0.5  # arXiv:2006.06676, sec. 3.1
    summed = 3  # reals, fakes, held-out reals

    def __init__(
        self, target: float = published_target, interval: int = 4, tune_kimg: float = 500, p: float = 0.0
    ) -> None:
        super().__init__(target, interval, tune_kimg, p)

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor) -> None:
        self._add(0, d_real, d_fake)
        self.steps += 1

    @torch.no_grad()
    def observe_validation(self, d_valid: Tensor) -> None:
        self._add(2, d_valid)
        train, fake, validation = (self.sums[:, 0] / self.sums[:, 1]).unbind()
        r_v = torch.where(train > fake, (train - validation) / (train - fake), 0).clamp(0, 1)
        self._move(r_v, self.sums[0, 1])


class LinearController(Controller):
    """Raises p in proportion to the images shown to D so far, from 0 to the target, whatever D says:

        p = target * images so far / images of the whole run

    Every `interval` D steps p takes its new value (arXiv:2106.04566, as the authors' release has it). r_t is measured
    and logged, and changes nothing. `tune_kimg` and the initial p have no effect.
    """

    seen: Tensor  # reals of all ranks so far

    def __init__(
        self,
        target: float = Controller.published_target,
        interval: int = 4,
        tune_kimg: float = 500,
        p: float = 0.0,
    ) -> None:
        if not 0 <= target <= 1:
            raise ValueError(f"target is {target}; p at the end of the run lies in [0, 1]: change `target`")
        super().__init__(target, interval)
        self.register_buffer("seen", torch.tensor(0))

    def prepare(self, spec: RunSpec) -> None:
        self.total_nimg = spec.total_nimg

    @torch.no_grad()
    def observe(self, d_real: Tensor, d_fake: Tensor) -> None:
        self.seen += len(d_real) * world_size()
        super().observe(d_real, d_fake)

    def _next(self, r: Tensor, images: Tensor) -> Tensor:
        return self.target * self.seen / self.total_nimg


class ControlledMethod(Method):
    """A method whose strength p the module `controller` steers: it hears what D says, and its values are logged."""

    controller: Controller

    def prepare(self, networks: Networks) -> None:
        self.controller.prepare(networks.spec)

    def observe(self, d_real: Tensor, d_fake: Tensor, cur_nimg: int) -> None:
        self.controller.observe(d_real, d_fake)

    def observe_validation(self, d_valid: Tensor, cur_nimg: int) -> None:
        self.controller.observe_validation(d_valid)

    def log(self) -> dict[str, float]:
        return self.controller.log()
