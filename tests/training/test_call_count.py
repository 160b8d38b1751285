"""What a training iteration may ask of a GPU, in calls of operations that have a kernel.

On a GPU a run is bound by the host, which pays for each call, and inside a CUDA graph every small kernel still takes
its time. A number below is what an iteration called when the line was written. Another one fails the test, which prints
the line to put in its place: a smaller one so that the gain is kept, a larger one so that nobody adds calls unawares.

Counted on the meta device, StyleGAN2 at full width: layers of one width share products, so widths decide the calls.
BigGAN's widest networks take seconds to initialise. Its widths are an eighth, on which its calls do not depend.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.calls import parts, per_iteration
from leangan.runs.presets import presets

CALLS = {
    ("cifar", 32, "none"): 1225,
    ("cifar", 32, "ada"): 1575,
    ("cifarbaseline", 32, "none"): 1718,
    ("paper256", 256, "none"): 2824,
    ("paper256", 256, "ada"): 3500,
    ("auto-1gpu", 32, "none"): 1619,
    ("diffaugment-cifar", 32, "none"): 1553,
    ("diffaugment-cifar", 32, "diffaugment"): 1721,
    ("diffaugment-lowshot", 256, "none"): 2510,
    ("biggan-cifar", 32, "none"): 2818,
    ("biggan-cifar", 32, "diffaugment"): 3281,
    ("advaug-biggan-cifar", 32, "none"): 5645,
    ("biggan-imagenet128-100", 128, "none"): 4505,
    ("fastgan-256", 256, "none"): 3806,
    ("fastgan-256", 256, "fastgan"): 4356,
}
"""(preset, pixels, method) -> calls an iteration, regularisers at their intervals."""

MORE, LESS = 1.02, 0.9
"""What a count may be of its number: versions of torch differ by some calls, a tenth less asks for a new number."""

OF_NUMBERS = set(
    """auto_gpus batch citation ema_half_life_kimg ema_ramp ema_start_kimg fmap_base fmap_max kimg lr_d lr_g
    mbstd_group mirror r1_gamma snapshot_kimg""".split()
)
"""Keys of a preset that change numbers and sizes, not the calls."""


def narrowed(preset: str, divisor: int) -> dict[str, Any]:
    """Keys that divide the widths of BigGAN and FastGAN; none for StyleGAN2."""
    row = presets()[preset]
    if row["backbone"] == "fastgan":
        return {key: row[key] // divisor for key in ("g_width", "d_width")}
    if row["backbone"] != "biggan":
        return {}
    return {"batch": 50, **{maps: [width // divisor for width in row[maps]] for maps in ("g_maps", "d_maps")}}


def calls(preset: str, resolution: int, method: str, replaced: dict[str, Any]) -> float:
    classes = 10 if "imagenet" in preset else 0
    return per_iteration(parts(preset, method, resolution, classes, replaced=replaced)).calls


@pytest.mark.parametrize("preset, resolution, method", CALLS)
def test_calls_are_as_many_as_they_were(preset, resolution, method):
    found = calls(preset, resolution, method, narrowed(preset, 8))
    known = CALLS[preset, resolution, method]
    assert LESS * known < found < MORE * known, f'the line is now ("{preset}", {resolution}, "{method}"): {found:.0f},'


def test_the_calls_of_biggan_do_not_depend_on_width():
    of = "biggan-imagenet128-100", 128, "none"
    assert calls(*of, narrowed(of[0], 4)) == pytest.approx(CALLS[of], abs=0.5)


def structure(preset: str) -> dict[str, Any]:
    """What shapes the calls of a preset at a resolution."""
    row = {key: value for key, value in presets()[preset].items() if key not in OF_NUMBERS}
    return {key: len(value) if key.endswith("_maps") else value for key, value in row.items()}


def test_every_published_preset_is_counted_or_has_the_networks_of_one_that_is():
    counted = [structure(preset) for preset, _, method in CALLS if method == "none"]
    published = [name for name, row in presets().items() if row["citation"].startswith("arXiv")]
    assert len(published) > 20
    assert [name for name in published if structure(name) not in counted] == []
