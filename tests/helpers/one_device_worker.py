"""One of several ranks on one device, started by torchrun: python one_device_worker.py DEVICE FOLDER.

They exchange over gloo, since NCCL wants a GPU for each. Every rank writes what it holds to FOLDER/rankN.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from leangan.core.distributed import joined_ranks
from leangan.core.ranks import rank, world_size
from leangan.core.spec import RunSpec
from leangan.training import loop
from leangan.training.device import set_up
from tests.helpers.twins import random_reals


def main(device_name: str, folder: Path) -> None:
    device = torch.device(device_name)
    set_up(device, 1, tf32=False)
    join = dist.init_process_group
    dist.init_process_group = lambda *_, **__: join("gloo")
    spec = RunSpec.read(folder / "spec.json")
    with joined_ranks(device):
        assert world_size() == 2
        run_dir = folder / f"rank{rank()}"
        loop.rank = lambda: 0  # so that this rank writes, too
        outcome = loop.train(spec, random_reals(spec, device), run_dir, device, 0.008, 1e9, lambda: False)
    assert outcome.status == "done"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
