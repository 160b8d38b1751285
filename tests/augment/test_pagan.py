"""PA-GAN's bits against their law and the parity of a sum (arXiv:1901.10422)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from leangan.augment.pagan import Method
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.trainer import Trainer


class Recorder(torch.nn.Module):
    """In the place of the dense layer: keeps the bits and adds nothing."""

    def forward(self, bits):
        self.bits = bits
        return bits.new_zeros(len(bits), 1)


@pytest.mark.parametrize(
    "p, probabilities",
    [
        (0.0, [0] * 16),
        (0.2, [0.5] * 3 + [0.2] + [0] * 12),  # 3.2 bits: the fourth has faded in by 0.2 / 0.5
        (1.0, [0.5] * 16),
    ],
)
def test_bits_come_into_use_one_after_the_other(p, probabilities):
    torch.manual_seed(0)
    method = Method(p=p)
    method.dense, method.gain = Recorder(), 1.0
    n = 4000
    assert method.inject(torch.zeros(n, 1, 2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    ones = method.dense.bits.sum(dim=0).int().tolist()
    for count, probability in zip(ones, probabilities, strict=True):
        assert binomtest(count, n, probability).pvalue > 1e-4 if probability else count == 0
    parity = method.dense.bits.double().numpy().sum(axis=1)
    np.testing.assert_array_equal(method.sign[:, 0].numpy(), (-1.0) ** parity)


def test_an_odd_number_of_ones_turns_the_logit(make_spec):
    torch.manual_seed(0)
    _, _, D, method = build_networks(make_spec(plugins=[("pagan", {"p": 1.0})]), 3, 0)
    plain = build_networks(make_spec(), 3, 0)[2]
    plain.load_state_dict(D.state_dict())
    pagan = method.methods["pagan"]
    x = torch.randn(16, 3, 16, 16)
    with torch.no_grad():
        pagan.dense.weight.zero_()
    logits = D(x, None)
    assert {-1.0, 1.0} == set(pagan.sign.flatten().tolist())
    torch.testing.assert_close(logits, pagan.sign * plain(x, None))


def test_bits_shift_from_rgb_before_its_activation(make_spec):
    torch.manual_seed(0)
    _, _, D, method = build_networks(make_spec(plugins=[("pagan", {"p": 1.0})]), 3, 0)
    pagan, x = method.methods["pagan"], torch.randn(5, 3, 16, 16)
    y = D.from_rgb(x)
    torch.manual_seed(3)
    y = D.from_rgb(x)
    torch.manual_seed(3)
    bits = (torch.rand(5, 16) < 0.5).float()
    shift = bits @ pagan.dense.weight.T / 4  # 1/sqrt(16), the equalised learning rate
    linear = torch.einsum("oi,nihw->nohw", D.from_rgb.weight[:, :, 0, 0], x) / 3**0.5
    expected = 2**0.5 * torch.nn.functional.leaky_relu(linear + shift[:, :, None, None], 0.2)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


def test_target_is_095_and_the_dense_layer_learns_once_bits_are_in_use(make_spec, make_reals):
    torch.manual_seed(0)
    plugins = [("pagan", {"p": 0.5, "interval": 1, "tune_kimg": 1})]
    steps = Trainer(make_spec(plugins=plugins), make_reals(), torch.device("cpu"))
    pagan = steps.method.methods["pagan"]
    before = pagan.dense.weight.detach().clone()
    steps.d_step(0, 0)
    assert pagan.controller.target == 0.95
    assert pagan.log()["p"] == pytest.approx(0.5 - 8 / 1000)  # an untrained D has r_t far below
    used = (pagan.dense.weight != before).any(dim=0)
    assert used[:8].sum() >= 6 and not used[8:].any()


@pytest.mark.parametrize("other", ["ada", "adaptive_dropout"])
def test_alternatives_exclude_it(make_spec, other):
    assert refusal(make_spec(plugins=[("pagan", {}), (other, {})]))[0] == "skip"
    assert refusal(make_spec(plugins=[("pagan", {})])) is None
