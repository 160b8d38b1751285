"""The hyper-parameters that StyleGAN2-ADA derives from the resolution and the number of GPUs (arXiv:2006.06676).

A preset row with the key `auto_gpus` leaves out the keys set here. `auto_gpus` is the number of GPUs the values are
derived from; the run itself may use any number.
"""

from __future__ import annotations

from typing import Any

from leangan.plugins.backbone import POSITIVE, REQUIRED, Key

KEYS = {"auto_gpus": Key(int, REQUIRED, "GPUs that the values left out are derived from", POSITIVE)}
"""The preset key that is read here."""


def derive(gpus: int, resolution: int) -> dict[str, Any]:
    """Preset keys for `gpus` GPUs and images of `resolution` pixels a side."""
    batch = max(min(gpus * min(4096 // resolution, 32), 64), gpus)
    lr = 0.0025 if resolution < 1024 else 0.002
    return {
        "batch": batch,
        "mbstd_group": min(batch // gpus, 4),
        "fmap_base": 8192 if resolution < 512 else 16384,
        "lr_g": lr,
        "lr_d": lr,
        "r1_gamma": 0.0002 * resolution**2 / batch,
        "ema_half_life_kimg": batch * 10 / 32,
    }


def resolve_auto(row: dict[str, Any], resolution: int) -> dict[str, Any]:
    """The preset `row` with concrete numbers: itself, or without `auto_gpus` and with what follows from it."""
    if "auto_gpus" not in row:
        return row
    # A key that the row sets itself stays.
    stated = {key: value for key, value in row.items() if key != "auto_gpus"}
    return {**derive(row["auto_gpus"], resolution), **stated}
