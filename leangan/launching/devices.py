"""How many devices can train one run, as a rule that planning, a user's command and the training itself go by."""

from __future__ import annotations

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.plugins import registry


def why_not_shared(spec: RunSpec, ranks: int) -> str | None:
    """Why `ranks` processes cannot train the run, naming the numbers; None where they can.

    Each of them needs an equal part of the batch. The backbone may ask for more (`Backbone.rank_constraints`): that
    this part comes in whole groups, which a single process needs, too, and that further batches can be shared. Methods
    may ask for whole groups as well (`Method.rank_groups`).
    """
    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):  # whose run ends by saying so
        return None
    batch = spec.hyper["batch"]
    own_batch = batch // ranks
    groups, batches = backbone.rank_constraints(spec.hyper)
    for name, arguments in spec.plugins:
        if not isinstance(plugin := registry.load("method", name), registry.FailedImport):
            groups = groups | plugin.rank_groups(arguments)
    if batch % ranks:
        return f"the batch of {batch} images cannot be shared equally by {ranks} ranks"
    for name, group in groups.items():
        if own_batch % group:
            each = f"{own_batch} images on each of {ranks} ranks" if ranks > 1 else f"{batch} images"
            return f"the batch of {each} is not a multiple of the {name} of {group}"
    for name, images in batches.items():
        if images % ranks:
            return f"the {name} of {images} images cannot be shared equally by {ranks} ranks"
    return None


def check_ranks(spec: RunSpec, ranks: int) -> None:
    """Raise ConfigError where `ranks` processes cannot train the run."""
    if reason := why_not_shared(spec, ranks):
        other = "start torchrun with another --nproc-per-node or " if ranks > 1 else ""
        raise ConfigError(f"{reason}; {other}change preset {spec.preset!r} in config/presets.yaml")


def most_ranks(spec: RunSpec, devices: int) -> int:
    """The largest possible number of processes, one per device, up to `devices`; 1 where none is."""
    return max((count for count in range(1, devices + 1) if why_not_shared(spec, count) is None), default=1)
