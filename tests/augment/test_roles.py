"""DiffAugment on some of the images only, and what D's accuracy says of it (arXiv:2006.10738, sec. 3.1)."""

from __future__ import annotations

import pytest
import torch

from leangan.augment import diffaugment
from leangan.augment.diffaugment import Method
from leangan.plugins.method import ROLES
from leangan.plugins.pair import Discriminator
from leangan.runs.methods import method_plugins
from leangan.training.trainer import Trainer

ROWS = {"diffaugment-reals": {"real"}, "diffaugment-d": {"real", "fake_d"}, "diffaugment": set(ROLES)}


@pytest.mark.parametrize("row, augmented", ROWS.items())
def test_only_images_of_its_roles_are_augmented(row, augmented):
    ((plugin, arguments),) = method_plugins(row)
    assert plugin == "diffaugment"
    method, x = Method(**arguments), torch.rand(4, 3, 16, 16)
    changed = {role for role in ROLES if not torch.equal(method.transform(x, role), x)}
    assert changed == augmented


def test_an_unknown_role_names_the_nearest():
    with pytest.raises(ValueError, match="'fake'.*Did you mean 'fake_"):
        Method(roles=["real", "fake"])


def test_titles_tell_them_apart():
    assert Method().title == Method(roles=["fake_g", "real", "fake_d"]).title == "DiffAugment"
    assert Method(roles=["real"]).title == "DiffAugment (real only)"


class SeesBlack(Discriminator):
    """D(x, c): +1 where the middle of the image is black, else -1."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        black = (x[:, :, 8, 8] == 0).all(1, keepdim=True)
        return torch.where(black, 1.0, -1.0) + 0 * x.sum()

    def score(self, features: torch.Tensor, c: torch.Tensor | None) -> torch.Tensor:
        return features


@pytest.mark.parametrize("row, augmented", ROWS.items())
def test_accuracy_is_that_of_each_role(make_spec, make_reals, monkeypatch, row, augmented):
    """D calls the images real that were cut out of, so its accuracy tells who was."""
    monkeypatch.setattr(diffaugment, "OPERATIONS", {"cutout": cut_middle})
    spec = make_spec(plugins=[("diffaugment", {"policy": "cutout", "roles": list(augmented)})])
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    steps.D = SeesBlack()
    monkeypatch.setattr(steps.d_player, "step", lambda loss: loss())
    for iteration in range(1, 3):
        steps.g_step(8 * iteration, iteration)
        steps.d_step(8 * iteration, iteration)
    steps.validate(16, steps.validation_interval)
    means = steps.tally.means()
    assert means["accuracy_held_out"] == means["accuracy_real"]  # seen alike
    accuracies = {role: means[f"accuracy_{role}"] for role in ROLES}
    assert accuracies == {role: float((role in augmented) == (role == "real")) for role in ROLES}


def cut_middle(x: torch.Tensor) -> torch.Tensor:
    """The image with a black middle."""
    x = x.clone()
    x[:, :, 8, 8] = 0
    return x
