"""DiffAugment: differentiable augmentation of everything D sees (arXiv:2006.10738, sec. 3).

Every image is changed with probability 1, reals and fakes by the same law, with fresh random numbers at
each call; the operations run in the order in which the policy names them. Each notes what it drew, as numbers in
[0, 1] (`plugins.notes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from leangan.core.errors import check_names
from leangan.plugins import method
from leangan.plugins.method import ROLES, Role
from leangan.plugins.notes import note


def color(x: Tensor) -> Tensor:
    """Brightness + U(-0.5, 0.5), then saturation x U(0, 2), then contrast x U(0.5, 1.5).

    Saturation scales the deviation from the pixel's channel mean, contrast that from the image's mean.
    """
    drawn = torch.rand(len(x), 3, 1, 1, 1, dtype=x.dtype, device=x.device)
    note("color", drawn.flatten(1))
    brightness, saturation, contrast = drawn.unbind(1)
    x = x + (brightness - 0.5)
    gray = x.mean(1, keepdim=True)
    x = gray + (x - gray) * (2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def translation(x: Tensor) -> Tensor:
    """Shift by whole pixels, each axis uniform in [-size/8, size/8]; what comes in from outside is zero."""
    n, channels, height, width = x.shape
    row, row_inside, down = _shifted(n, height, x.device)
    col, col_inside, right = _shifted(n, width, x.device)
    note("translation", torch.cat([down, right], dim=1))
    index = row[:, :, None] * width + col[:, None, :]
    inside = row_inside[:, :, None] & col_inside[:, None, :]
    shifted = x.flatten(2).gather(2, index.view(n, 1, -1).expand(-1, channels, -1)).view_as(x)
    return shifted * inside[:, None]


def cutout(x: Tensor) -> Tensor:
    """Zero a square of half the image's side; its centre is uniform, so part of it may lie outside."""
    n, _, height, width = x.shape
    rows, row = _covered(n, height, x.device)
    cols, col = _covered(n, width, x.device)
    note("cutout", torch.cat([row, col], dim=1))
    return x * ~(rows[:, :, None] & cols[:, None, :])[:, None]


OPERATIONS = {"color": color, "translation": translation, "cutout": cutout}

DRAWN = {"color": 3, "translation": 2, "cutout": 2}
"""How many numbers each operation draws for an image, and notes."""


def operations(policy: str) -> list[str]:
    """The names of the operations in a comma-separated policy, in its order."""
    return [name.strip() for name in policy.split(",") if name.strip()]


class Method(method.Method):
    """DiffAugment with the given policy: any of color, translation, cutout, comma-separated, in any order.

    An empty policy changes nothing. An unknown operation or role raises a ValueError that names the nearest one.

    Args:
        policy: the operations.
        roles: which images are augmented. Sec. 3.1 of the paper warns of two choices other than all: the reals
            only, whose augmentations G learns to draw, and D's step only (real, fake_d), where D learns nothing
            of the images that it judges for G. The log shows the latter: D is right about what it learns from
            (accuracy_real, accuracy_fake_d) and wrong about the fakes of G's step (accuracy_fake_g).
    """

    title = "DiffAugment"
    paper = "arXiv:2006.10738"
    constants = "paper"
    capturable = True

    def __init__(self, policy: str = "color,translation,cutout", roles: Sequence[Role] = ROLES) -> None:
        super().__init__()
        self.policy = operations(policy)
        check_names("operation", self.policy, OPERATIONS, "the method's `policy`")
        self.roles = list(roles)
        check_names("role", self.roles, ROLES, "the method's `roles`")
        if set(self.roles) != set(ROLES):
            self.title = f"DiffAugment ({', '.join(self.roles)} only)"

    def transform(self, x: Tensor, role: Role) -> Tensor:
        for name in self.policy if role in self.roles else ():
            x = OPERATIONS[name](x)
        return x

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the policy without spaces, and each role once in the order of ROLES.

        The policy keeps its order, in which the operations run.
        """
        roles = [role for role in ROLES if role in arguments["roles"]]
        return {**arguments, "policy": ",".join(operations(arguments["policy"])), "roles": roles}


def _rounded(size: float) -> int:
    """Nearest whole number, halves up: Python's `round` would take 12.5 pixels to 12 and 13.5 to 14."""
    return int(size + 0.5)


def _shifted(n: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Source index of each pixel of a randomly shifted axis and whether it lies inside, both [N, size]; the shift as a
    share of its range, [N, 1].
    """
    reach = _rounded(size / 8)
    drawn = torch.randint(0, 2 * reach + 1, (n, 1), device=device)
    source = torch.arange(-reach, size - reach, device=device) + drawn
    return source.clamp(0, size - 1), (source >= 0) & (source < size), drawn / (2 * reach)


def _covered(n: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Whether the hole covers each pixel of an axis, bool [N, size]; its centre as a share of its range, [N, 1].

    The centre of an odd hole is one of `size` pixels, that of an even hole one of `size` + 1 pixel borders.
    """
    side = _rounded(size / 2)
    last = size - side % 2
    centre = torch.randint(0, last + 1, (n, 1), device=device)
    start = centre - side // 2
    pixel = torch.arange(size, device=device)
    return (pixel >= start) & (pixel < start + side), centre / last
