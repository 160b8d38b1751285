"""Transfer: training starts from the networks of an earlier run (arXiv:2006.06676, fig. 9; arXiv:1805.01677)."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from leangan.augment.minegan import MINER
from leangan.core.errors import ConfigError
from leangan.core.files import read_json, sha256
from leangan.plugins import method
from leangan.plugins.method import Networks

PARTS = ("G", "D", "G_ema")


class Method(method.Method):
    """Starts G, D and G's average from stored weights instead of random ones; all of them are trained on.

    The weights come from a run or from files.

    A run: `run` is the id of another run of the suite, the parent, which is trained first. An artefact or
    config/methods.yaml names it by `{method: name}`, with `images`, `dataset` or `preset` where they differ from this
    run's. This run starts from the parent's last checkpoint. The parent's spec is part of this run's identity.

    Files: each is `{file: path, sha256: digest}`, and the digest is part of the run's identity. `checkpoint` is a file
    in the `ckpt` folder of a run and holds all three networks. `G`, `D` and `G_ema` are snapshots (*.safetensors) of a
    run or written by `leangan released`. If only one of G and G_ema is given, both start from it.

    A network without a source keeps its random weights. Resolution, classes and the preset's networks must be those of
    the source.

    Transfer in arXiv:2006.06676 also has ADA at `tune_kimg` 100 and no `ema_ramp`.
    """

    title = "Transfer"
    paper = "arXiv:1805.01677, arXiv:2006.06676"
    capturable = True
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

    @classmethod
    def resolve(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with G and G_ema filled in from each other: one of them trains the same as both."""
        given = {key: value or None for key, value in arguments.items()}
        return {**given, "G": given["G"] or given["G_ema"], "G_ema": given["G_ema"] or given["G"]}


def last_checkpoint(parent: Path | None, run: str | None = None) -> dict[str, str]:
    """The last checkpoint of the run in the folder `parent`, as {file, sha256}.

    Raises ConfigError if there is no folder, if it holds another run than `run` (None: any run is accepted), if its run
    has not been trained, and if its checkpoint is missing. Raises RuntimeError if its training ended without networks:
    the run that starts from it then has no result either.
    """
    if parent is None:
        raise ConfigError("this run starts from the networks of another: give the folder of that one by --parent-run")
    result = parent / "train.json"
    if not result.exists():
        raise ConfigError(f"{result} is missing: train the run that this one starts from, or ask snakemake for both")
    trained = read_json(result)
    if run not in (None, trained["run"]):
        raise ConfigError(f"{parent} holds run {trained['run']}, but this run starts from {run}: change --parent-run")
    if trained["status"] != "done":
        raise RuntimeError(f"{trained['run']}, which it starts from, is {trained['status']}")
    path = max((parent / "ckpt").glob("*.pt"), default=None)
    if path is None:
        raise ConfigError(
            f"{trained['run']}, which this run starts from, has no checkpoint in {parent / 'ckpt'}: train it again "
            f"(delete {parent} and run the same command)"
        )
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
