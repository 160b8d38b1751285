"""StyleGAN2's networks with their types, for methods that read or change parts of them."""

from __future__ import annotations

from torch import nn

from leangan.models.stylegan2.discriminator import Discriminator
from leangan.models.stylegan2.generator import Generator


def generator(network: nn.Module) -> Generator:
    """Return G, checked to be StyleGAN2's generator.

    Raises TypeError for another backbone's generator. A method avoids that by
    `plugins.exclusion.other_backbone` in its `skip`.
    """
    if not isinstance(network, Generator):
        raise TypeError(f"G is {type(network).__name__} of {type(network).__module__}, not StyleGAN2's generator")
    return network


def discriminator(network: nn.Module) -> Discriminator:
    """Return D, checked to be StyleGAN2's discriminator. Raises TypeError for another backbone's."""
    if not isinstance(network, Discriminator):
        raise TypeError(f"D is {type(network).__name__} of {type(network).__module__}, not StyleGAN2's discriminator")
    return network
