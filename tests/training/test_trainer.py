"""Order, schedules and optimiser settings of the G and D steps against the published ones."""

import copy

import pytest
import torch
from torch import nn

from leangan.augment import spectral_norm
from leangan.plugins.method import Method
from leangan.plugins.pair import Discriminator
from leangan.training.ema import Ema
from leangan.training.loop import train
from leangan.training.reals import Reals
from leangan.training.trainer import NotApplicable, Player, Trainer, adam


def test_adam_with_a_lazy_regulariser_has_the_published_corrections():
    hyper = {"betas": [0.0, 0.99], "eps": 1e-5}
    param = [nn.Parameter(torch.zeros(1))]
    g = adam(param, 0.0025, hyper, reg_interval=4).param_groups[0]
    assert g["eps"] == 1e-5 and g["lr"] == pytest.approx(0.0025 * 0.8) and g["betas"] == (0.0, pytest.approx(0.99**0.8))
    d = adam(param, 0.0025, hyper, reg_interval=16).param_groups[0]
    assert d["lr"] == pytest.approx(0.0025 * 16 / 17) and d["betas"][1] == pytest.approx(0.99 ** (16 / 17))
    for every in (0, 1):
        assert adam(param, 0.0025, hyper, every).param_groups[0]["lr"] == 0.0025


def test_each_network_has_its_own_learning_rate_and_correction(make_spec, make_reals):
    spec = make_spec(hyper={"lr_g": 0.003, "lr_d": 0.001, "r1_interval": 4, "pl_weight": 2.0, "pl_interval": 2})
    steps = Trainer(spec, make_reals(), torch.device("cpu"))
    for player, network, lr in ((steps.g_player, steps.G, 0.003 * 2 / 3), (steps.d_player, steps.D, 0.001 * 4 / 5)):
        (group,) = player.optimizer.param_groups
        assert group["lr"] == pytest.approx(lr)
        assert list(map(id, group["params"])) == list(map(id, network.parameters()))


FOREIGN = {"fused": False, "foreach": True, "capturable": True, "lr": 0.7, "betas": (0.5, 0.6), "eps": 0.1}


def as_of_another_device(optimizer_state: dict, **settings) -> dict:
    """The state with other `settings` in its groups and the step counts of another kernel, in float64."""
    state = copy.deepcopy(optimizer_state)
    for group in state["param_groups"]:
        group.update(settings)
    for moments in state["state"].values():
        moments["step"] = moments["step"].double()
    return state


def test_a_checkpoint_brings_moments_and_no_settings_of_the_optimizer(make_spec, make_reals):
    def iterations(steps: Trainer, numbers: range) -> None:
        for iteration in numbers:
            torch.manual_seed(iteration)
            steps.g_step(8 * iteration, iteration)
            steps.d_step(8 * iteration, iteration)

    torch.manual_seed(0)
    undisturbed, restarted = (Trainer(make_spec(), make_reals(), torch.device("cpu")) for _ in range(2))
    iterations(undisturbed, range(3))
    state = copy.deepcopy(undisturbed.state_dict())
    for name in ("opt_g", "opt_d"):
        state[name] = as_of_another_device(state[name], **FOREIGN)
    restarted.load_state_dict(state)
    players = ("g_player", "d_player")
    for own, other in [(getattr(undisturbed, each).optimizer, getattr(restarted, each).optimizer) for each in players]:
        (before,), (after,) = own.param_groups, other.param_groups
        assert {**before, "params": None} == {**after, "params": None}
        assert {moments["step"].dtype for moments in other.state.values()} == {torch.float32}
    for steps in (undisturbed, restarted):
        iterations(steps, range(3, 6))
    for network in ("G", "D"):
        wanted, found = (getattr(steps, network).state_dict() for steps in (undisturbed, restarted))
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_the_step_count_of_a_checkpoint_lies_in_float32_where_the_parameter_does():
    """Fused kernels want it there; written by others, it lies in the memory of the host."""
    hyper = {"betas": [0.0, 0.99], "eps": 1e-8}
    written = adam([nn.Parameter(torch.ones(2))], 0.1, hyper, 0)
    written.param_groups[0]["params"][0].grad = torch.ones(2)
    written.step()
    elsewhere = adam([nn.Parameter(torch.ones(2, device="meta"))], 0.1, hyper, 0)
    elsewhere.load_state_dict(as_of_another_device(written.state_dict(), fused=None))
    (moments,) = elsewhere.state.values()
    assert moments["step"].device.type == "meta" and moments["step"].dtype == torch.float32


def test_a_checkpoint_of_other_networks_is_refused():
    written = adam([nn.Parameter(torch.ones(2))], 0.1, {"betas": [0.0, 0.99], "eps": 1e-8}, 0)
    own = adam([nn.Parameter(torch.ones(2)) for _ in range(2)], 0.1, {"betas": [0.0, 0.99], "eps": 1e-8}, 0)
    with pytest.raises(ValueError, match="group"):
        own.load_state_dict(written.state_dict())


def test_a_player_moves_only_its_own_parameters_and_never_the_frozen():
    free, frozen, other = (nn.Parameter(torch.ones(1)) for _ in range(3))
    frozen.requires_grad_(False)
    player = Player([free, frozen], 0.1, {"betas": [0.0, 0.99], "eps": 1e-8}, 0)
    other.requires_grad_(False)
    player.step(lambda: (free * frozen * other).sum())
    assert free.item() == pytest.approx(0.9) and frozen.item() == 1 and other.item() == 1
    assert other.grad is None and frozen.grad is None and not free.requires_grad


class Recorder(Method):
    """Notes every call in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list = []

    def transform(self, x, role):
        self.calls.append(role)
        return x

    def mix(self, x_real, x_fake):
        self.calls.append("mix")
        return x_real

    def d_loss(self, ctx):
        assert ctx.x_real.shape == ctx.x_fake.shape and ctx.d_real.shape == ctx.d_fake.shape
        assert not ctx.x_fake.requires_grad
        self.calls.append("d_loss")
        return 0.0

    def g_loss(self, ctx):
        assert ctx.x_fake.requires_grad and ctx.reals()[0].shape == ctx.x_fake.shape
        self.calls.append("g_loss")
        return 0.0

    def observe(self, d_real, d_fake, cur_nimg):
        assert not d_real.requires_grad and not d_fake.requires_grad
        self.calls.append(("observe", cur_nimg))

    def observe_validation(self, d_valid, cur_nimg):
        assert d_valid.shape == (8, 1) and not d_valid.requires_grad
        self.calls.append(("observe_validation", cur_nimg))


def steps_with(make_spec, make_reals, method, **hyper):
    torch.manual_seed(0)
    steps = Trainer(make_spec(hyper=hyper), make_reals(), torch.device("cpu"))
    steps.method = method
    return steps


def test_hooks_are_called_once_each_in_the_published_order(make_spec, make_reals):
    method = Recorder()
    steps = steps_with(make_spec, make_reals, method, r1_interval=0)
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    assert method.calls == ["fake_g", "g_loss", "mix", "real", "fake_d", "d_loss", ("observe", 0)]


@pytest.mark.parametrize("every, expected", [(0, []), (1, [0, 1, 2, 3, 4]), (4, [0, 4])])
def test_r1_is_taken_at_its_interval(make_spec, make_reals, every, expected):
    steps = steps_with(make_spec, make_reals, Recorder(), r1_interval=every)
    taken = []
    for iteration in range(5):
        steps.d_step(0, iteration)
        if "r1" in steps.tally.means():
            taken.append(iteration)
        steps.tally.clear()
    assert taken == expected


class Losses:
    """A player that notes the losses of its steps and does not move."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def step(self, loss):
        value = loss()
        self.taken.append(value.item())
        return value.detach()


class Tagged(Method):
    """Makes of each image one of a value that tells its role, and notes what it hears."""

    def transform(self, x, role):
        return 0 * x + {"real": 1, "fake_d": -1, "fake_g": -2}[role]

    def observe(self, d_real, d_fake, cur_nimg):
        self.heard = {"real": d_real, "fake": d_fake}


class OneFeature(Discriminator):
    def score(self, features, c):
        return features


class Mean(OneFeature):
    def features(self, x):
        return x.mean((1, 2, 3))[:, None]


def test_the_method_hears_logits_of_reals_and_of_fakes_and_the_log_has_both(make_spec, make_reals):
    steps = steps_with(make_spec, make_reals, Tagged(), r1_interval=0)
    steps.D, steps.g_player, steps.d_player = Mean(), Losses(), Losses()
    steps.g_step(0, 0)
    steps.d_step(0, 0)
    assert torch.equal(steps.method.heard["real"], torch.ones(8, 1))
    assert torch.equal(steps.method.heard["fake"], -torch.ones(8, 1))
    means = steps.tally.means()
    assert (means["d_real"], means["d_fake"]) == (1, -1)
    right = {"accuracy_real": 1, "accuracy_fake_d": 1, "accuracy_fake_g": 1}
    assert {name: means[name] for name in right} == right


@pytest.mark.parametrize("every", [1, 4])
def test_a_lazy_regulariser_is_weighted_by_its_interval(make_spec, make_reals, every):
    """In every step it is part of the loss; every k-th step it is a loss of its own, times k."""

    class Slope(OneFeature):
        def features(self, x):
            return 0.01 * x.sum((1, 2, 3))[:, None]

    def losses(**hyper) -> tuple[list[float], list[float]]:
        steps = steps_with(make_spec, make_reals, Method(), **hyper)
        steps.D, steps.g_player, steps.d_player = Slope(), Losses(), Losses()
        steps.backbone.g_regularizer = lambda G, z, c: torch.tensor(0.25)
        torch.manual_seed(1)
        steps.d_step(0, 0)
        steps.g_step(0, 0)
        return steps.g_player.taken, steps.d_player.taken

    regularised = losses(r1_interval=every, r1_gamma=2.0, pl_weight=2.0, pl_interval=every)
    r1 = 2.0 / 2 * 0.01**2 * 3 * 16 * 16
    for taken, plain, value in zip(regularised, losses(r1_gamma=0.0, pl_weight=0.0), (0.25, r1), strict=True):
        (loss,) = plain
        assert taken == pytest.approx([loss + value] if every == 1 else [loss, 4 * value], rel=1e-5)


def pairs(x: torch.Tensor, c: torch.Tensor) -> list[tuple[bytes, int]]:
    """Images with their labels, in an order that depends on them alone."""
    return sorted((image.numpy().tobytes(), int(label.argmax())) for image, label in zip(x.detach(), c, strict=True))


def test_every_image_goes_to_the_discriminator_with_its_own_label(make_spec, make_reals):
    torch.manual_seed(0)
    steps = Trainer(
        make_spec(hyper={"r1_interval": 1}, conditional=True), make_reals(conditional=True), torch.device("cpu")
    )
    lazy = Trainer(
        make_spec(hyper={"r1_interval": 4}, conditional=True), make_reals(conditional=True), torch.device("cpu")
    )
    for one in (steps, lazy):
        made, seen, G = [], [], one.G
        one.G = lambda z, c, G=G, made=made: made.append((G(z, c), c)) or made[-1][0]
        one.G.z_dim = G.z_dim
        one.D.register_forward_pre_hook(lambda D, inputs, seen=seen: seen.append(inputs))
        real = one.data.batch(8, 8)
        one.d_step(8, 0)
        assert len(made) == 1 and len(seen) == 2 and not torch.equal(real[1], made[0][1])
        shown = [real, made[0]] if one is steps else [real, made[0], real]  # a lazy R1 shows the reals again
        if one is lazy:
            assert [len(x) for x, _ in seen] == [16, 8]
        assert pairs(*map(torch.cat, zip(*seen, strict=True))) == pairs(*map(torch.cat, zip(*shown, strict=True)))
        made.clear(), seen.clear()
        one.g_step(8, 1)
        (((x, c),), ((wanted_x, wanted_c),)) = seen, made
        assert torch.equal(x, wanted_x) and torch.equal(c, wanted_c)


def test_an_iteration_is_a_g_step_its_average_and_d_steps_on_fresh_reals(make_spec, make_reals, tmp_path, monkeypatch):
    calls = []

    def note(owner, name, what):
        original = getattr(owner, name)

        def noted(self, *args):
            calls.append((what, *[arg for arg in args if isinstance(arg, int)]))
            return original(self, *args)

        monkeypatch.setattr(owner, name, noted)

    for owner, name, what in ((Trainer, "g_step", "G"), (Ema, "update", "average"), (Trainer, "d_step", "D")):
        note(owner, name, what)
    note(Trainer, "validate", "held out")
    note(Reals, "batch", "reals")
    spec = make_spec(hyper={"d_steps": 2}, total_kimg=0.032, snapshot_kimg=0.032)
    train(spec, make_reals(), tmp_path, torch.device("cpu"), 0.032, 1e9, lambda: False)
    one = [("G", 0, 0), ("reals", 0, 8), ("average", 0, 16), ("D", 0, 0), ("D", 8, 0), ("reals", 8, 8)]
    two = [("G", 16, 1), ("reals", 16, 8), ("average", 16, 16), ("D", 16, 1), ("D", 24, 1), ("reals", 24, 8)]
    assert calls == [*one, ("held out", 16, 0), *two, ("held out", 32, 1)]


class Halve(Method):
    def transform(self, x, role):
        return x / 2


@pytest.mark.parametrize("r1_at, factor", [("real", 0.25), ("augmented", 1.0)])
def test_r1_gradient_is_taken_at_the_stated_image(make_spec, make_reals, r1_at, factor):
    """With T(x) = x / 2, the gradient at the un-augmented real is half that at the augmented, its square a quarter."""

    class Linear(nn.Module):
        def forward(self, x, c):
            return 3 * x.sum((1, 2, 3))[:, None]

    gamma = 2.0
    steps = steps_with(make_spec, make_reals, Halve(), r1_interval=1, r1_at=r1_at, r1_gamma=gamma)
    steps.D = Linear()
    x = steps.data.batch(0, 4)[0]
    at, t, _ = steps._transformed_reals(x, with_gradient=True)
    penalty = steps._regularizer(at, t, None, steps.D(t, None))
    assert penalty.item() == pytest.approx(factor * gamma / 2 * 9 * x[0].numel(), rel=1e-6)


@pytest.mark.parametrize("needed, interval", [(True, 4), (False, 15)])
def test_held_out_reals_pass_the_transform_at_their_interval_and_leave_no_trace(
    make_spec, make_reals, monkeypatch, needed, interval
):
    torch.manual_seed(0)
    # A D that a pass in training mode changes: it takes a step of power iteration.
    with monkeypatch.context() as patch:
        patch.setattr(spectral_norm.Method, "needs_validation", needed)
        steps = Trainer(make_spec("spectral_norm"), make_reals(), torch.device("cpu"))
    steps.method = method = Recorder()
    before = {name: value.clone() for name, value in steps.D.state_dict().items()}
    for iteration in range(2 * interval):
        steps.validate(8 * iteration, iteration)
    assert steps.D.training
    assert all(torch.equal(before[name], now) for name, now in steps.D.state_dict().items())
    x, D = steps.data.validation_batch(0, 16)[0], steps.D.eval()
    with torch.no_grad():
        expected = torch.cat([D(x[:8], None), D(x[8:16], None)]).mean()
    assert method.calls == ["real", ("observe_validation", 0), "real", ("observe_validation", 8 * interval)]
    assert steps.tally.means()["d_valid"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_method_that_learns_from_held_out_images_is_refused_without_enough(make_spec, make_reals):
    spec = make_spec(hyper={"batch": 20}, plugins=[("ada", {"heuristic": "rv"})])
    with pytest.raises(NotApplicable, match="^it needs a batch of 20 held-out images; the run holds out 16$"):
        Trainer(spec, make_reals(), torch.device("cpu"))


@pytest.mark.parametrize("features", [1, 0])
def test_one_pass_over_reals_and_fakes_gives_the_logits_of_two(make_spec, make_reals, features):
    """With the minibatch standard deviation, which must not compare a real with a fake."""
    torch.manual_seed(0)
    spec = make_spec(hyper={"mbstd_group": 4, "mbstd_features": features}, conditional=True)
    steps = Trainer(spec, make_reals(conditional=True), torch.device("cpu"))
    D = steps.D.double()
    for number in (4, 8, 12):
        sets = [
            (torch.randn(number, 3, 16, 16).double(), torch.eye(2).double()[torch.arange(number) % 2]) for _ in "rf"
        ]
        passes = []
        hook = D.register_forward_pre_hook(lambda D, inputs, passes=passes: passes.append(len(inputs[0])))
        both = D.judge_both(*sets)
        hook.remove()
        assert passes == [2 * number]
        for found, (x, c) in zip(both, sets, strict=True):
            torch.testing.assert_close(found[:2], D.judge(x, c)[:2], rtol=1e-10, atol=1e-12)
    mixed = torch.cat([sets[0][0], sets[1][0]])
    plain = D(mixed, torch.cat([sets[0][1], sets[1][1]]))[:12]
    assert torch.allclose(plain, both[0][1]) != bool(features)  # without the order, groups would mix


def test_a_batch_smaller_than_a_group_takes_two_passes(make_spec, make_reals):
    torch.manual_seed(0)
    D = Trainer(make_spec(hyper={"mbstd_group": 8}), make_reals(), torch.device("cpu")).D
    real, fake = torch.randn(2, 4, 3, 16, 16)
    found = D.judge_both((real, None), (fake, None))
    for judged, x in zip(found, (real, fake), strict=True):
        assert torch.equal(judged.logits, D(x, None))
