"""The order of images and the random streams are functions of the position alone."""

from collections import Counter

import numpy as np
import torch

from leangan.training.sampler import EpochSampler, seed_step, step_seed


def test_every_pass_shows_each_image_once_in_a_fresh_order():
    sampler = EpochSampler(10, seed=3)
    passes = sampler.draw(0, 40).reshape(4, 10)
    for one in passes:
        assert sorted(one) == list(range(10))
    assert len({tuple(one) for one in passes}) == 4


def test_draws_do_not_depend_on_how_the_sequence_is_cut_or_where_it_starts():
    whole = EpochSampler(7, seed=1).draw(0, 60)
    cut = EpochSampler(7, seed=1)
    assert np.array_equal(np.concatenate([cut.draw(s, 12) for s in range(0, 60, 12)]), whole)
    assert np.array_equal(EpochSampler(7, seed=1).draw(23, 20), whole[23:43])
    assert not np.array_equal(EpochSampler(7, seed=2).draw(0, 60), whole)


def test_the_order_is_uniform_over_permutations():
    sampler = EpochSampler(3, seed=0)
    counts = Counter(tuple(one) for one in sampler.draw(0, 3 * 6000).reshape(-1, 3))
    expected = 1000
    chi_square = sum((counts[p] - expected) ** 2 / expected for p in counts)
    assert len(counts) == 6 and chi_square < 20.5  # 99.9 % quantile of chi-square with 5 degrees of freedom


def test_step_streams_are_repeatable_and_different():
    def draw(seed, nimg):
        seed_step(seed, nimg)
        return torch.randn(8)

    assert torch.equal(draw(0, 64), draw(0, 64))
    assert not torch.equal(draw(0, 64), draw(0, 96)) and not torch.equal(draw(0, 64), draw(1, 64))
    assert len({step_seed("a", i) for i in range(1000)}) == 1000


def test_mirroring_shows_each_image_and_its_mirror_once_per_pass(make_reals):
    reals = make_reals(mirror=True)
    count = len(reals.train)
    shown = torch.cat([reals.batch(start, 8)[0] for start in range(0, 2 * count, 8)])
    originals = reals.first(count)[0].float() / 127.5 - 1
    wanted = Counter(x.numpy().tobytes() for x in torch.cat([originals, originals.flip(3)]))
    assert Counter(x.contiguous().numpy().tobytes() for x in shown) == wanted


def test_labels_stay_with_their_images_and_random_ones_follow_the_training_set(make_reals):
    reals = make_reals(conditional=True)
    x, c = reals.batch(0, 24)
    by_image = {image.numpy().tobytes(): label for image, label in zip(*reals.first(24), strict=True)}
    shown = ((x + 1) * 127.5).round().to(torch.uint8)
    assert all(torch.equal(by_image[image.numpy().tobytes()], label) for image, label in zip(shown, c, strict=True))
    torch.manual_seed(0)
    share = reals.random_labels(4000)[:, 1].mean()
    assert abs(share - reals.labels.float().mean()) < 4 * 0.5 / 4000**0.5
