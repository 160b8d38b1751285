"""Contrastive learning in D with momentum copies and a queue (MoCo, arXiv:1911.05722), for methods to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from leangan.core.ranks import whole_batch
from leangan.core.spec import RunSpec
from leangan.plugins import method
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.method import DStep, GStep, Networks
from leangan.plugins.pair import Discriminator
from leangan.plugins.precision import cast

KEY_LENGTH = 128


class MomentumCopy(nn.Module):
    """The weights of a network a little while ago: k <- momentum k + (1 - momentum) q (arXiv:1911.05722, eq. 2).

    The copy holds tensors only, and the network itself is called with them. So whatever other methods have attached to
    the network acts in both and exists once. Buffers of the network, such as the vectors of a spectral norm, are moved
    by the copy's own calls: a power iteration follows the copy's weights.
    """

    def __init__(self, network: nn.Module, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        for name, tensor in network.state_dict().items():
            self.register_buffer(name.replace(".", "/"), tensor.clone())

    def tensors(self) -> dict[str, Tensor]:
        """The copied tensors by the names that they have in the network."""
        return {name.replace("/", "."): tensor for name, tensor in self.named_buffers()}

    @torch.no_grad()
    def forward(self, network: nn.Module, *inputs: Any) -> Any:
        """The output of the network with the tensors of the copy."""
        return functional_call(network, self.tensors(), inputs)

    @torch.no_grad()
    def begin(self, network: nn.Module) -> None:
        """Copy the network as it is now."""
        theirs = network.state_dict()
        for name, own in self.tensors().items():
            own.copy_(theirs[name])

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Move the parameters one step towards those of the network."""
        own, theirs = self.tensors(), dict(network.named_parameters())
        torch._foreach_lerp_([own[name] for name in theirs], list(theirs.values()), 1 - self.momentum)


class Queue(nn.Module):
    """The last `size` unit vectors of the batches, which have the same length; the first ones are random.

    A batch replaces the oldest entries. Where a batch is longer than the queue, the queue holds the first of it.
    """

    entries: Tensor
    arrived: Tensor  # the number of the batch with which each entry came, from 1; random entries have 0
    batches: Tensor  # how many have come

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("entries", F.normalize(torch.randn(size, KEY_LENGTH), dim=1))
        self.register_buffer("arrived", torch.zeros(size, dtype=torch.long))
        self.register_buffer("batches", torch.tensor(0))

    @torch.no_grad()
    def add(self, entries: Tensor) -> None:
        """Takes this rank's entries [N, KEY_LENGTH] and those of all other ranks."""
        size = len(self.entries)
        kept = whole_batch(entries)[:size]
        places = (self.batches * len(kept) + torch.arange(len(kept), device=kept.device)) % size
        self.batches.add_(1)
        self.entries.index_copy_(0, places, kept)
        self.arrived.index_copy_(0, places, self.batches.expand(len(kept)))


class Contrast(nn.Module):
    """A loss that tells instances apart, with a head on D's maps, the head's momentum copy, and a queue.

    D's maps of two views of an image are averaged over pixels. The head maps the first to a unit vector q. The copy of
    the head maps the second to a unit vector k. The queue holds entries n_i of other images. With temperature t the
    loss is

        E -log( exp(q k / t) / (exp(q k / t) + sum_i exp((q n_i + m_i) / t)) )

    No gradient passes k and n_i, as in MoCo. The head has two dense layers with ReLU between them. Its copy moves each
    time that the loss is computed, in steps of D and of G.

    Args:
        width: of D's maps, and of the head's hidden layer.

    `raised` gives the m_i of the queue, one number or [size]. They are 0 here; a method may replace it.
    """

    raised: Callable[[Queue], Tensor | float] = staticmethod(lambda queue: 0.0)

    def __init__(self, width: int, queue: Queue, temperature: float, momentum: float) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, KEY_LENGTH))
        self.key_head = MomentumCopy(self.head, momentum)
        self.queue = queue
        self.temperature = temperature

    def keys(self, features: Tensor) -> Tensor:
        """The unit vectors that the copy of the head makes of D's averaged maps [N, width], without gradient."""
        return F.normalize(self.key_head(self.head, features), dim=1)

    def loss(self, query: Tensor, key: Tensor) -> Tensor:
        """The loss for D's averaged maps [N, width] of two views of each image. The copy of the head moves first."""
        self.key_head.follow(self.head)
        q = F.normalize(self.head(query), dim=1)
        same = (q * self.keys(key)).sum(dim=1, keepdim=True)
        others = q @ self.queue.entries.clone().T + self.raised(self.queue)  # the queue moves before the backward pass
        logits = torch.cat([same, others], dim=1) / self.temperature
        return (logits.logsumexp(dim=1) - logits[:, 0]).mean()

    def learn(self, query: Tensor, key: Tensor, entry: Tensor) -> Tensor:
        """The same in a D step. Then the queue takes the keys of D's averaged maps `entry`."""
        loss = self.loss(query, key)
        self.queue.add(self.keys(entry))
        return loss


class ContrastMethod(method.Method):
    """A method in which D and G learn to tell fakes apart, with a momentum copy of D.

    `prepare` makes the `Contrast` of fakes, `fake`. A method may make others with `contrast`.
    """

    capturable = True
    needs = frozenset({"blocks"})

    def __init__(
        self, fake_weight: float, g_weight: float, noise: float, queue: float, temperature: float, momentum: float
    ) -> None:
        super().__init__()
        if noise < 0:
            raise ValueError(f"noise is {noise}; 0 or more is allowed: change the method's `noise`")
        if not 0 <= queue <= 1:
            raise ValueError(f"queue is {queue}; 0 <= queue <= 1 is allowed: change the method's `queue`")
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}; it must be positive: change the method's `temperature`")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; 0 <= momentum < 1 is allowed: change the method's `momentum`")
        self.fake_weight = fake_weight
        self.g_weight = g_weight
        self.noise = noise
        self.queue = queue
        self.temperature = temperature
        self.momentum = momentum

    def prepare(self, networks: Networks) -> None:
        self.key_D = MomentumCopy(networks.D, self.momentum)
        self.fake = self.contrast(networks)

    def initialize(self, networks: Networks) -> None:
        self.key_D.begin(networks.D)

    def contrast(self, networks: Networks) -> Contrast:
        """A head for D's maps with a queue as long as the run asks for, and at least one entry."""
        views = 2 if networks.spec.hyper["mirror"] else 1
        queue = Queue(max(int(self.queue * networks.spec.images) * views, 1))
        return Contrast(networks.D.maps, queue, self.temperature, self.momentum)

    def near(self, z: Tensor) -> Tensor:
        """Latents near z [N, z_dim]."""
        raise NotImplementedError

    def d_features(self, D: Discriminator, x: Tensor) -> Tensor:
        """D's last maps of images x, averaged over pixels [N, width]."""
        with feature_maps(D, ["blocks"]) as maps:
            features = D.features(x)
        return pooled(maps["blocks"], features.dtype)

    def key_features(self, D: Discriminator, x: Tensor, c: Tensor | None) -> Tensor:
        """The same from the momentum copy of D, without gradient."""
        with feature_maps(D, ["blocks"]) as maps:
            logits = self.key_D(D, x, c)
        return pooled(maps["blocks"], logits.dtype)

    def fake_views(self, ctx: DStep) -> tuple[Tensor, Tensor]:
        """D's averaged maps [N, width] of the fakes, and those of D's copy for fakes from latents nearby."""
        with torch.no_grad():
            x_near = ctx.transform(ctx.G(self.near(ctx.z), ctx.c_fake), "fake_d")
        return self.d_features(ctx.D, ctx.t_fake), self.key_features(ctx.D, x_near, ctx.c_fake)

    def g_loss(self, ctx: GStep) -> Tensor:
        with torch.no_grad():
            other_view = ctx.transform(ctx.x_fake, "fake_g")
        query, key = self.d_features(ctx.D, ctx.t_fake), self.key_features(ctx.D, other_view, ctx.c_fake)
        return self.g_weight * self.fake.loss(query, key)

    def after_g_step(self, networks: Networks, cur_nimg: int) -> None:
        self.key_D.follow(networks.D)


def pooled(maps: Tensor, dtype: torch.dtype) -> Tensor:
    """The mean [N, K] over pixels of maps [N, K, H, W]. The maps may have 16 bits; the mean has the given type."""
    return cast(maps, dtype).mean(dim=(2, 3))


def without_the_other(spec: RunSpec) -> str | None:
    """The reason where the run `spec` has both methods of this file."""
    if {"insgen", "fakeclr"} <= dict(spec.plugins).keys():
        return "InsGen and FakeCLR are alternatives (arXiv:2207.08630): FakeCLR changes InsGen's loss of fakes"
    return None
