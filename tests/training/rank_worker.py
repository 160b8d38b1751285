"""Trains the runs of a file as one of several ranks; each rank writes what it holds to a folder of its own.

`python tests/training/rank_worker.py RUNS OUT`, with RANK, WORLD_SIZE, ... in the environment as torchrun sets them.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import torch

from models.ranks import rank
from training import loop
from training.distributed import joined_ranks
from training.reals import Reals

torch.set_num_threads(1)


def main(runs: Path, out: Path) -> None:
    device = torch.device("cpu")
    outcomes = {}
    with joined_ranks(device):
        number = rank()
        loop.rank = lambda: 0  # so that this rank writes, too
        for name, (spec, reals) in pickle.loads(runs.read_bytes()).items():
            run_dir = out / f"rank{number}" / name
            try:
                outcome = loop.train(spec, Reals(**reals, device=device), run_dir, device, 0.032, 1e9, lambda: False)
                outcomes[name] = f"{outcome.status} {outcome.reason}"
            except ValueError as error:
                outcomes[name] = f"{type(error).__name__} {error}"
    (out / f"rank{number}.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
