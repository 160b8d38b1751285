"""The networks of StyleGAN2, for methods that change or read parts of them."""

from __future__ import annotations

from torch import nn

from models.stylegan2_discriminator import Discriminator
from models.stylegan2_generator import Generator


def generator(network: nn.Module) -> Generator:
    """G as StyleGAN2's. Raises TypeError for that of another backbone; `augment.exclusion.other_backbone` skips it."""
    if not isinstance(network, Generator):
        raise TypeError(f"G is {type(network).__name__} of {type(network).__module__}, not StyleGAN2's generator")
    return network


def discriminator(network: nn.Module) -> Discriminator:
    """The same for D."""
    if not isinstance(network, Discriminator):
        raise TypeError(f"D is {type(network).__name__} of {type(network).__module__}, not StyleGAN2's discriminator")
    return network
