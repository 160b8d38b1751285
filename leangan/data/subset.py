"""Which images a run trains on, stored as an index list.

    leangan subset --data elpv-32.npy --size 250 --seed 0 --out elpv-250-s0.json
    leangan subset --published subsets

A rule puts all images of the set into one order; a subset is the beginning of it, so that smaller subsets lie inside
larger ones, and held-out validation images follow. The second line writes the index lists of both papers, which
need no image: those of subsets.csv, after comparing each with its digest there.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from leangan.core.command_line import command_parser
from leangan.core.errors import unknown_name
from leangan.core.files import write_atomic
from leangan.data.contracts import Dataset, DatasetError, open_dataset
from leangan.data.report import copies_in

DEFAULT_VALIDATION = 500

PUBLISHED = Path(__file__).with_name("subsets.csv")

RULES = ("permutation", "first", "balanced")


def order(rule: str, count: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """All `count` indices in the order of a rule.

    permutation: NumPy's RandomState(seed).permutation; ADA's sets with seed 123 (arXiv:2006.06676), and with seed 0
    DiffAugment's BigGAN sets (arXiv:2006.10738), since RandomState(0).choice without replacement begins alike.
    first: as the set itself; DiffAugment's StyleGAN2 sets.
    balanced: the permutation, merged so that each class has its share of any beginning to within one image.
    """
    if rule not in RULES:
        raise unknown_name("subset rule", rule, RULES, "subset_rule of the artefact (--rule)")
    if rule == "first":
        return np.arange(count)
    if not 0 <= seed < 2**32:
        raise DatasetError(f"subset seed {seed} must lie in [0, 2^32)")
    shuffled = np.random.RandomState(seed).permutation(count)
    if rule == "permutation":
        return shuffled
    if labels is None:
        raise DatasetError("subset rule 'balanced' needs a data set with class labels (subset_rule of the artefact)")
    position = np.empty(count)
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(position, kind="stable")]


def choose(
    count: int,
    size: int,
    seed: int,
    n_validation: int | None = None,
    rule: str = "permutation",
    labels: np.ndarray | None = None,
    mirrored: bool = False,
) -> dict[str, Any]:
    """Indices into a set of `count` images: {size, seed, rule, mirrored, indices, validation}.

    `n_validation` held-out images, default min(size, 500), fewer when the set has no more. `labels` int64 [count],
    for the rule `balanced`. `mirrored`: `size` counts each image and its mirrored copy, which the training makes
    (preset key `mirror`), so that half as many are listed. Raises DatasetError when the set is too small.
    """
    listed, odd = divmod(size, 2) if mirrored else (size, 0)
    if not 1 <= listed <= count or odd:
        most = f"[1, {count}]: the data set has {count} images" if not mirrored else f"the even numbers to {2 * count}"
        raise DatasetError(f"subset size {size} must lie in {most}")
    if n_validation is None:
        n_validation = min(listed, DEFAULT_VALIDATION)
    if n_validation < 0:
        raise DatasetError(f"number of validation images {n_validation} must not be negative")
    chosen = order(rule, count, seed, labels)[: listed + n_validation].tolist()
    return {
        "size": size,
        "seed": seed,
        "rule": rule,
        "mirrored": mirrored,
        "indices": chosen[:listed],
        "validation": chosen[listed:],
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
        raise DatasetError(f"{path}: not a subset file ({error!r}); run `leangan subset`") from error
    if not belongs:
        raise DatasetError(
            f"{path}: is a subset of other data than {dataset.meta['name']} at"
            f" {dataset.meta['resolution']} px as it is now; run `leangan subset` again"
        )
    return subset


def published(table: Path = PUBLISHED) -> list[dict[str, Any]]:
    """The index lists of both papers, one for each row of subsets.csv: {dataset, source, sha256, ...of choose}.

    sha256 is that of the JSON text of `indices`. Raises DatasetError where a list is not the one of its row.
    """
    subsets = []
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            count, size, seed, n_validation = (int(row[key]) for key in ("count", "size", "seed", "validation"))
            chosen = choose(count, size, seed, n_validation, row["rule"], mirrored=size > count)
            found = hashlib.sha256(json.dumps(chosen["indices"]).encode()).hexdigest()
            if found != row["sha256"]:
                raise DatasetError(
                    f"{table}: the {size} images of {row['dataset']} have digest {found}, not {row['sha256']}; is"
                    f" NumPy {np.__version__} another generator?"
                )
            subsets.append({"dataset": row["dataset"], "source": row["source"], "sha256": found, **chosen})
    return subsets


def main(argv: list[str] | None = None) -> None:
    parser = command_parser(
        "subset",
        "Choose the images that a run trains on.",
        reads="--data: a prepared set (leangan prepare).",
        writes="--out: the index list of training and held-out images, with a digest. --published: the papers' lists.",
    )
    parser.add_argument("--published", type=Path, metavar="FOLDER", help="write the papers' index lists, nothing else")
    parser.add_argument("--data", type=Path, help="prepared data set (*.npy)")
    parser.add_argument("--size", type=int, help="number of training images")
    parser.add_argument("--seed", type=int, help="which order the rule permutation takes")
    parser.add_argument("--rule", choices=RULES, default="permutation", help="order of the set, default %(default)s")
    parser.add_argument("--validation", type=int, help="held-out images (default: size, 500 at most)")
    parser.add_argument("--mirrored", action="store_true", help="size counts each image and its mirrored copy")
    parser.add_argument("--out", type=Path, help="*.json")
    args = parser.parse_args(argv)
    required = ("data", "size", "seed", "out")
    if args.published is None and (missing := [f"--{key}" for key in required if getattr(args, key) is None]):
        parser.error(f"give {', '.join(missing)}, or --published alone")
    if args.published is not None:
        for subset in published():
            name = f"{subset['dataset']}-{subset['size']}-{subset['rule']}-s{subset['seed']}.json"
            write_atomic(args.published / name, json.dumps(subset) + "\n")
        return
    dataset = open_dataset(args.data)
    meta = dataset.meta
    chosen = choose(meta["count"], args.size, args.seed, args.validation, args.rule, dataset.labels, args.mirrored)
    subset = {
        "dataset": meta["name"],
        "resolution": meta["resolution"],
        **chosen,
        "digest": digest(meta["sha256"], chosen["indices"]),
    }
    write_atomic(args.out, json.dumps(subset) + "\n")
    # Where the whole set has none, neither has a part of it. Arrays of earlier versions do not say.
    if meta.get("preparation", {}).get("copies", 1):
        copies = copies_in(dataset.images[index].tobytes() for index in chosen["indices"])
        if copies:
            print(
                f"{meta['name']}: {copies:,} of {len(chosen['indices']):,} training images are exact copies of others"
            )
