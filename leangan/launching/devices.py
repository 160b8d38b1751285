"""How many devices can train one run, as a rule that planning, a user's command and the training itself go by."""

from __future__ import annotations

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.plugins import registry


def why_not_shared(spec: RunSpec, ranks: int) -> str | None:
    """Why `ranks` processes cannot train the run, naming the numbers; None where they can.

    Each of them needs an equal part of the batch, in whole groups of the minibatch standard deviation, and of the
    path-length batch. A single process needs whole groups, too.
    """
    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):  # whose run ends by saying so
        return None
    hyper = spec.hyper
    batch = hyper["batch"]
    own_batch = batch // ranks
    if batch % ranks:
        return f"the batch of {batch} images cannot be shared equally by {ranks} ranks"
    group = min(hyper["mbstd_group"], batch) if hyper.get("mbstd_features") else 1
    if own_batch % group:
        each = f"{own_batch} images on each of {ranks} ranks" if ranks > 1 else f"{batch} images"
        return f"the batch of {each} is not a multiple of the minibatch-stddev group of {group}"
    path_length_batch = max(batch // hyper["pl_batch_shrink"], 1) if hyper.get("pl_weight") else 0
    if path_length_batch % ranks:
        return f"the path-length batch of {path_length_batch} images cannot be shared equally by {ranks} ranks"
    return None


def check_ranks(spec: RunSpec, ranks: int) -> None:
    """Raise ConfigError where `ranks` processes cannot train the run."""
    if reason := why_not_shared(spec, ranks):
        other = "start torchrun with another --nproc-per-node or " if ranks > 1 else ""
        raise ConfigError(f"{reason}; {other}change preset {spec.preset!r} in config/presets.yaml")


def most_ranks(spec: RunSpec, devices: int) -> int:
    """The largest possible number of processes, one per device, up to `devices`; 1 where none is."""
    return max((count for count in range(1, devices + 1) if why_not_shared(spec, count) is None), default=1)
