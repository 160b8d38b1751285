"""Transfer: training starts from the networks of an earlier run (arXiv:2006.06676, fig. 9; arXiv:1805.01677)."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from augment import base
from augment.base import Networks
from augment.minegan import MINER
from suite.errors import ConfigError
from suite.files import sha256

PARTS = ("G", "D", "G_ema")


class Method(base.Method):
    """Starts G, D and G's average from stored weights instead of random ones; all of them are trained on.

    Either `run`, another run of the suite, the parent, which is then trained first. An artefact or config/methods.yaml
    names it by `{method: name}`, with `images`, `dataset` or `preset` where they differ from this run's; the argument
    is its id. Its end is the start of this run, and its specification a part of this one's identity.

    Or files, each `{file: path, sha256: digest}`, where the digest makes the weights part of the run's identity:
    `checkpoint`, a file in the `ckpt` folder of a run, which holds all three networks, or snapshots (*.safetensors),
    one each, of a run or written by `python -m models.released`. Of G and G_ema one is enough: it starts both.
    A network without a source keeps its random weights. Resolution, classes and the preset's networks must be those of
    the source.

    Transfer in arXiv:2006.06676 also has ADA at `tune_kimg` 100 and no `ema_ramp`.
    """

    title = "Transfer"
    paper = "arXiv:1805.01677, arXiv:2006.06676"
    quick = {"checkpoint": {"file": "run/ckpt/earlier.pt", "sha256": "0" * 64}}

    def __init__(
        self,
        run: str | None = None,
        checkpoint: dict[str, str] | None = None,
        G: dict[str, str] | None = None,
        D: dict[str, str] | None = None,
        G_ema: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        snapshots = {"G": G or G_ema, "D": D, "G_ema": G_ema or G}
        if [bool(run), bool(checkpoint), any(snapshots.values())].count(True) != 1:
            raise ValueError("transfer needs either `run`, `checkpoint` or one or more of G, D, G_ema: name its source")
        self.run = run
        sources = dict.fromkeys(PARTS, checkpoint) if checkpoint else snapshots
        self.sources = {part: source for part, source in sources.items() if source}
        for part, source in self.sources.items():
            if set(source) != {"file", "sha256"}:
                raise ValueError(f"the source of {part} is {source}; allowed is {{file: path, sha256: digest}}")

    def initialize(self, networks: Networks) -> None:
        sources = dict.fromkeys(PARTS, last_checkpoint(networks.parent, self.run)) if self.run else self.sources
        for part, source in sources.items():
            network, tensors = getattr(networks, part), read(source, part)
            # A miner that the earlier run was without starts anew.
            own = {name: value for name, value in network.state_dict().items() if name.startswith(MINER)}
            try:
                network.load_state_dict({**own, **tensors})
            except RuntimeError as error:
                reason = " ".join(str(error).split()[:40])
                raise ConfigError(
                    f"{source['file']} does not fit {part} of this run: {reason} ... Preset, resolution, classes and "
                    "methods that change the networks must be those of the earlier run"
                ) from None


def last_checkpoint(parent: Path | None, run: str | None = None) -> dict[str, str]:
    """The end of the run in the folder `parent`, a file with its digest.

    Raises ConfigError where no folder was given, where it holds another run than `run` (None: any will do) and where
    its run has not been trained. Raises RuntimeError where it has been and gave no networks: then the run that starts
    from it gives no number either.
    """
    if parent is None:
        raise ConfigError("this run starts from the networks of another: give the folder of that one by --parent-run")
    result = parent / "train.json"
    if not result.exists():
        raise ConfigError(f"{result} is missing: train the run that this one starts from, or ask snakemake for both")
    trained = json.loads(result.read_text())
    if run not in (None, trained["run"]):
        raise ConfigError(f"{parent} holds run {trained['run']}, but this run starts from {run}: change --parent-run")
    if trained["status"] != "done":
        raise RuntimeError(f"{trained['run']}, which it starts from, is {trained['status']}")
    path = max((parent / "ckpt").glob("*.pt"))
    return {"file": str(path), "sha256": sha256(path)}


def read(source: dict[str, str], part: str) -> dict[str, Tensor]:
    """The tensors of network `part` in a checkpoint or snapshot; ConfigError where its digest is another."""
    path = Path(source["file"])
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != source["sha256"]:
        raise ConfigError(
            f"{path} has sha256 {digest}, the method asks for {source['sha256']}: another file, or change `sha256` "
            "in config/methods.yaml"
        )
    if path.suffix == ".safetensors":
        return safetensors.torch.load(content)
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state["ema"] if part == "G_ema" else state["steps"][part]
