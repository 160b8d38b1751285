"""Which images a run trains on: nested random subsets, stored as index lists.

    python -m data.subset --data elpv-32.npy --size 250 --seed 0 --out elpv-250-s0.json

A subset is the first `size` entries of one permutation per seed, as in ADA's data sets (arXiv:2006.06676,
where the seed is 123), so smaller subsets lie inside larger ones; held-out validation images follow.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from data.base import Dataset, DatasetError, open_dataset
from suite.files import write_atomic

DEFAULT_VALIDATION = 500


def choose(count: int, size: int, seed: int, n_validation: int | None = None) -> dict[str, Any]:
    """Indices into a set of `count` images: {size, seed, indices, validation}.

    `n_validation` held-out images, default min(size, 500), fewer when the set has no more. Raises
    DatasetError when `size` is not in [1, count].
    """
    if not 1 <= size <= count:
        raise DatasetError(f"subset size {size} must lie in [1, {count}]: the data set has {count} images")
    if n_validation is None:
        n_validation = min(size, DEFAULT_VALIDATION)
    if n_validation < 0:
        raise DatasetError(f"number of validation images {n_validation} must not be negative")
    if not 0 <= seed < 2**32:
        raise DatasetError(f"subset seed {seed} must lie in [0, 2^32)")
    order = np.random.RandomState(seed).permutation(count).tolist()
    return {
        "size": size,
        "seed": seed,
        "indices": order[:size],
        "validation": order[size : size + n_validation],
    }


def digest(dataset_sha256: str, indices: list[int]) -> str:
    """SHA-256 that names these images: of the data set's digest and the indices."""
    return hashlib.sha256(json.dumps([dataset_sha256, indices]).encode()).hexdigest()


def read_subset(path: str | Path, dataset: Dataset) -> dict[str, Any]:
    """The stored subset `path` of `dataset`. Raises DatasetError when it belongs to other data."""
    try:
        subset = json.loads(Path(path).read_text(encoding="utf-8"))
        belongs = subset["digest"] == digest(dataset.meta["sha256"], subset["indices"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: not a subset file ({error!r}); run `python -m data.subset`") from error
    if not belongs:
        raise DatasetError(
            f"{path}: is a subset of other data than {dataset.meta['name']} at"
            f" {dataset.meta['resolution']} px as it is now; run `python -m data.subset` again"
        )
    return subset


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Choose the images a run trains on.")
    parser.add_argument("--data", required=True, type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--size", required=True, type=int, help="number of training images")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--validation", type=int, help="held-out images (default: size, 500 at most)")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args(argv)
    try:
        meta = open_dataset(args.data).meta
        chosen = choose(meta["count"], args.size, args.seed, args.validation)
    except DatasetError as error:
        raise SystemExit(f"error: {error}") from error
    subset = {
        "dataset": meta["name"],
        "resolution": meta["resolution"],
        **chosen,
        "digest": digest(meta["sha256"], chosen["indices"]),
    }
    write_atomic(args.out, json.dumps(subset) + "\n")


if __name__ == "__main__":
    main()
