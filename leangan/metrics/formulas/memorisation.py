"""Does a generator copy its training images? Nearest neighbours in feature space, three samples (arXiv:2004.05675).

FID and its kind compare with the training images themselves, or with images like them, and reward a copy. Here the
distance of each fake to its nearest training image is compared with the same distance of real images that the run
was not trained on: what an honest new image has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leangan.core.errors import ConfigError
from leangan.metrics import base
from leangan.metrics.base import Family, Features, NoValue, Value
from leangan.metrics.nearest import nearest, originals

MOST = 10_000
"""Held-out images and fakes beyond this number are left out; the standard error of `copying` is then below 0.005."""


class Metric(base.Metric):
    """`copying`: the probability that a fake lies nearer to its nearest training image than a held-out image lies to
    its own (the Mann-Whitney statistic): 1/2 for a generator as new as the data, 1 for one that copies, below 1/2
    where fakes are worse than unseen photographs. `nn_ratio`: the fakes' median distance over the held-out images'.

    Held out are reals that the run was not trained on. Where it was trained on all of them, each training image is
    held out in turn. Copies of one real count as one image, trained on if one of them was: an image at distance
    0 from its own copy says nothing about novelty. Fakes are not mirrored before they are compared; a mirrored copy
    lies farther than a copy, and nearer than other images.
    """

    families = (
        Family(
            name="copying",
            title="Copying",
            place=140,
            digits=3,
            bounds=(0, 1),
            against="training images",
            signs_of_copying=True,
        ),
        Family(
            name="nn_ratio",
            title="Distance ratio",
            place=150,
            higher_is_better=True,
            digits=3,
            bounds=(0, None),
            against="training images",
            signs_of_copying=True,
        ),
    )
    minimum = 2

    def __init__(self, real: Features):
        if real.trained is None:
            raise ConfigError(
                "metrics 'copying' and 'nn_ratio' need the run's training images among the reference: give --subset and"
                " a protocol with reference full or train, or take them out of its metrics in config/protocols.yaml"
            )
        original = originals(real.pooled).cpu()
        trained = torch.tensor([*dict.fromkeys(original[real.trained].tolist())])
        self.train = real.pooled[trained]
        unseen = original == torch.arange(len(real))
        unseen[trained] = False
        if unseen.any():
            distances, _ = nearest(real.pooled[subsample(unseen.nonzero()[:, 0])], self.train)
        elif len(trained) == 1:
            raise NoValue(f"the {len(real)} real images are copies of one, which leaves none to hold out")
        else:
            own = subsample(torch.arange(len(self.train))).to(self.train.device)
            distances, _ = nearest(self.train[own], self.train, own)
        self.held_out = distances.sort().values

    def __call__(self, fake: Features) -> dict[str, Value]:
        distances, _ = nearest(fake.pooled[:MOST], self.train)
        # Of the held-out images, the share that lie farther; a tie counts half.
        below, up_to = (torch.searchsorted(self.held_out, distances, right=right) for right in (False, True))
        farther = 1 - (below + up_to).double().mean() / (2 * len(self.held_out))
        ratio = distances.double().median() / self.held_out.double().median()
        return {"copying": Value(float(farther)), "nn_ratio": Value(float(ratio))}


def subsample(x: Tensor) -> Tensor:
    """At most MOST rows of x, chosen at random: prepared sets are often sorted by class."""
    return x if len(x) <= MOST else x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:MOST]]
