"""The rule of which numbers of processes can train a run, against the conditions written out by hand."""

from __future__ import annotations

import pytest

from leangan.core.errors import ConfigError
from leangan.launching import devices


def stylegan2(make_spec, **hyper):
    return make_spec(hyper={"batch": 24, "mbstd_group": 4, "pl_weight": 2.0, "pl_batch_shrink": 2, **hyper})


def test_batch_groups_and_path_length_batch_are_shared_equally(make_spec):
    """24 images in groups of 4, of which the path length takes 12: 1, 2, 3 and 6 are left of 24's divisors."""
    counts = [count for count in range(1, 25) if devices.why_not_shared(stylegan2(make_spec), count) is None]
    assert counts == [1, 2, 3, 6]
    # Each condition alone, the others lifted: divisors of 24; of 24 / 8; of 24 // 5.
    for lifted, expected in (
        ({"mbstd_group": 1, "pl_weight": 0.0}, [1, 2, 3, 4, 6, 8, 12, 24]),
        ({"mbstd_group": 8, "pl_weight": 0.0}, [1, 3]),
        ({"mbstd_group": 8, "mbstd_features": 0, "pl_weight": 0.0}, [1, 2, 3, 4, 6, 8, 12, 24]),
        ({"mbstd_group": 1, "pl_batch_shrink": 5}, [1, 2, 4]),
    ):
        spec = stylegan2(make_spec, **lifted)
        assert [count for count in range(1, 25) if devices.why_not_shared(spec, count) is None] == expected


@pytest.mark.parametrize(
    ("hyper", "ranks", "message"),
    [
        ({}, 5, "batch of 24 images cannot be shared equally by 5 ranks; start torchrun with another --nproc-per-node"),
        ({}, 12, "batch of 2 images on each of 12 ranks is not a multiple of the minibatch-stddev group of 4"),
        ({"mbstd_group": 1}, 24, "path-length batch of 12 images cannot be shared equally by 24 ranks"),
        ({"mbstd_group": 5}, 1, "batch of 24 images is not a multiple of the minibatch-stddev group of 5; change"),
    ],
)
def test_a_refusal_names_the_numbers_and_where_to_change_them(make_spec, hyper, ranks, message):
    with pytest.raises(ConfigError, match=f"^the {message}.*config/presets.yaml"):
        devices.check_ranks(stylegan2(make_spec, **hyper), ranks)


@pytest.mark.parametrize("present, taken", [(1, 1), (2, 2), (3, 3), (5, 3), (6, 6), (8, 6)])
def test_as_many_devices_are_taken_as_can_share_the_run(make_spec, present, taken):
    assert devices.most_ranks(stylegan2(make_spec), present) == taken


def test_a_batch_in_broken_groups_leaves_one_device_whose_run_says_so(make_spec):
    assert devices.most_ranks(stylegan2(make_spec, mbstd_group=5), 8) == 1
