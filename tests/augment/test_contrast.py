"""Momentum copies and the queue of InsGen and FakeCLR against what is known of them (arXiv:1911.05722)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from leangan.augment._contrast import MomentumCopy, Queue
from leangan.augment.insgen import Method
from leangan.plugins.feature_maps import feature_maps
from leangan.plugins.method import Networks
from leangan.plugins.networks import build_networks
from leangan.runs.grid import refusal
from leangan.training.purity import why_not_captured
from leangan.training.trainer import Trainer
from tests.helpers.contrast import Colored, Linear, prepared, weights
from tests.helpers.method_at_work import SMALL_BIGGAN

CPU = torch.device("cpu")
BOTH = ["insgen", "fakeclr"]


# ---- The momentum copy ----


def test_it_follows_step_by_step_and_leaves_the_network_alone():
    torch.manual_seed(0)
    network, x = nn.Linear(2, 3).double(), torch.randn(4, 2).double()
    copy = MomentumCopy(network, momentum=0.9)
    expected, before = weights(network.state_dict()), network(x)
    assert torch.equal(copy(network, x), before)
    with torch.no_grad():
        for param in network.parameters():
            param += 1
    for step in (1, 2):
        copy.follow(network)
        gone = 1 - 0.9**step
        for name, own in copy.tensors().items():
            np.testing.assert_allclose(own.numpy(), expected[name] + gone, rtol=1e-12)
    W, b = expected["weight"] + gone, expected["bias"] + gone
    np.testing.assert_allclose(copy(network, x).numpy(), x.numpy() @ W.T + b, rtol=1e-12)
    assert not copy(network, x).requires_grad and list(copy.parameters()) == []
    np.testing.assert_allclose(network.weight.detach().numpy(), expected["weight"] + 1)
    copy.begin(network)
    assert torch.equal(copy(network, x), network(x))


def test_a_spectral_norm_of_the_copy_follows_the_copy(make_spec):
    """By its own power iterations; those of D are no part of it, nor D's vectors changed."""
    torch.manual_seed(0)
    D = build_networks(make_spec(hyper=SMALL_BIGGAN, of="tiny-biggan"), 3, 0)[2].double()
    copy, x = MomentumCopy(D, momentum=0.5).double(), torch.randn(2, 3, 16, 16).double()
    with torch.no_grad():
        for param in D.parameters():
            param += 0.3 * torch.randn_like(param)
    before = {name: tensor.clone() for name, tensor in D.state_dict().items()}
    copy.follow(D)
    for _ in range(300):
        with feature_maps(D, ["blocks.0.conv1"]) as maps:
            copy(D, x, None)
    assert all(torch.equal(tensor, before[name]) for name, tensor in D.state_dict().items())
    own = copy.tensors()
    for name in [name for name in own if name.endswith("weight.original")]:
        stem = name.removesuffix("original")
        matrix = own[name].flatten(1).numpy()
        norm = own[f"{stem}0._u"].numpy() @ matrix @ own[f"{stem}0._v"].numpy()
        assert norm == pytest.approx(np.linalg.svd(matrix, compute_uv=False)[0], rel=1e-3)
    assert maps["blocks.0.conv1"].isfinite().all()


def test_what_other_methods_attached_to_d_acts_in_the_copy_and_is_there_once(make_spec):
    """A deep copy of D would hold another controller, whose p stays, in no checkpoint."""
    plugins = [("adaptive_dropout", {"p": 0.0}), ("insgen", {})]
    D, method = build_networks(make_spec(plugins=plugins), 3, 0)[2:]
    insgen, x = method.methods["insgen"], torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        plain = insgen.d_features(D, x)
        torch.testing.assert_close(insgen.key_features(D, x, None), plain)
        method.methods["adaptive_dropout"].controller.p.fill_(1.0)
        assert (insgen.key_features(D, x, None) - plain).abs().max() > 0.1
    assert sum(name.endswith("controller.p") for name in method.state_dict()) == 1


@pytest.mark.parametrize("name", BOTH)
def test_it_is_d_after_all_other_methods_prepared_and_initialised(make_spec, name):
    for before in ("pagan", "spectral_norm", "adaptive_dropout", "ada", "lecam", "transfer"):
        run = {"run": "an-earlier-one"} if before == "transfer" else {}
        assert refusal(make_spec(plugins=[(before, run), (name, {})])) is None
        late = refusal(make_spec(plugins=[(name, {}), (before, run)]))
        if before in ("ada", "lecam"):
            assert late is None
        else:
            assert f"name '{name}' after '{before}'" in late[1]


def test_the_two_are_alternatives(make_spec):
    for plugins in (BOTH, BOTH[::-1]):
        assert "alternatives" in refusal(make_spec(plugins=[(name, {}) for name in plugins]))[1]


def test_a_run_begins_with_a_copy_of_the_weights_it_starts_from(make_spec):
    method, networks = prepared(Method(), make_spec)
    own, theirs = method.key_D.tensors(), networks.D.state_dict()
    assert not torch.equal(own["blocks.0.weight"], theirs["blocks.0.weight"])
    method.initialize(networks)
    assert torch.equal(own["blocks.0.weight"], theirs["blocks.0.weight"])


# ---- The queue ----


def test_the_oldest_entries_give_way():
    torch.manual_seed(0)
    queue = Queue(size=5).double()
    at_first = queue.entries.clone()
    torch.testing.assert_close(at_first.norm(dim=1), torch.ones(5).double())
    kept = list(at_first.numpy())
    batches = [torch.randn(2, 128).double() for _ in range(4)]
    arrived = [0] * 5
    for step, batch in enumerate(batches):
        queue.add(batch)
        for row, entry in enumerate(batch.numpy()):
            kept[(2 * step + row) % 5] = entry
            arrived[(2 * step + row) % 5] = step + 1
        np.testing.assert_array_equal(queue.entries.numpy(), np.stack(kept))
        assert queue.arrived.tolist() == arrived
    assert arrived == [3, 4, 4, 2, 3]


def test_a_queue_shorter_than_a_batch_holds_the_first_of_it():
    torch.manual_seed(0)
    queue = Queue(size=3)
    for number in (1, 2):
        batch = torch.randn(4, 128)
        queue.add(batch)
        assert torch.equal(queue.entries, batch[:3]) and queue.arrived.tolist() == [number] * 3


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "images, mirror, length", [(2000, True, 200), (2000, False, 100), (39, True, 2), (39, False, 1), (8, True, 1)]
)
def test_its_length_is_a_part_of_the_training_images(make_spec, name, images, mirror, length):
    """That of all images, without a fraction, twice where they are mirrored (default_queue_size of the releases)."""
    method = build_networks(make_spec(plugins=[(name, {})], images=images, hyper={"mirror": mirror}), 3, 0)[3]
    lengths = {key: len(value) for key, value in method.state_dict().items() if key.endswith("queue.entries")}
    assert set(lengths.values()) == {length}
    assert len(lengths) == (2 if name == "insgen" else 1)


# ---- Both methods ----


@pytest.mark.parametrize("augmentation, name", [("ada", "insgen"), ("diffaugment", "fakeclr")])
def test_with_augmentation_steps_can_be_captured_and_move_what_is_theirs(make_spec, make_reals, augmentation, name):
    spec = make_spec(plugins=[(augmentation, {}), (name, {"momentum": 0.5})])
    assert why_not_captured(spec, 3, 0) is None
    steps = Trainer(spec, make_reals(), CPU)
    method = steps.method.methods[name]
    states = [weights(method.state_dict())]
    for step in (lambda: steps.g_step(0, 1), lambda: steps.d_step(0, 1), lambda: steps.g_step(8, 2)):
        step()
        states.append(weights(method.state_dict()))
    changed = [{key for key, value in a.items() if not np.array_equal(value, b[key])} for a, b in pairwise(states)]
    assert changed[0] == set(), "before the first D step the copy of D is D"
    # In D's step heads learn, which their copies follow before, and queues take a batch. In G's, copies follow.
    assert {".".join(key.split(".")[1:3]) for key in changed[1]} == {
        *("head.0", "head.2", "queue.entries", "queue.arrived", "queue.batches")
    }
    assert {key.partition("/")[0] for key in changed[2] if not key.startswith("key_D.")} == {
        *("fake.key_head.0", "fake.key_head.2")
    }
    for key, value in steps.D.named_parameters():
        own = method.key_D.tensors()[key].numpy()
        np.testing.assert_allclose(
            own, (states[0][f"key_D.{key.replace('.', '/')}"] + value.detach().numpy()) / 2, atol=1e-6
        )


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"noise": -1.0}, "noise is -1.0; 0 or more"),
        ({"queue": 2.0}, "queue is 2.0; 0 <= queue <= 1"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
        ({"momentum": 1.0}, "momentum is 1.0; 0 <= momentum < 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        Method(**arguments)


def test_maps_may_have_16_bits_and_no_part_of_d_behind_them_counts(make_spec):
    method = Method()
    D = Linear()
    method.prepare(Networks(Colored(), D, make_spec()))
    D.blocks.register_forward_hook(lambda layer, inputs, maps: maps.bfloat16())
    x = torch.randn(4, 3, 4, 4)
    found = method.d_features(D, x)
    W = D.blocks[0].weight[:, :, 0, 0].detach().numpy()
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach().numpy(), x.numpy().mean((2, 3)) @ W.T, atol=0.02)
