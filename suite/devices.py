"""How many devices train one run: as many as it may have and its batch and groups can be shared by."""

from __future__ import annotations

from typing import Any

from suite import registry
from suite.spec import RunSpec


def possible(settings: dict[str, Any], ranks: int) -> bool:
    """Whether `ranks` processes can share the batch, the groups within it and the path-length batch equally.

    `settings` are the keys of a preset with the backbone's defaults.
    """
    batch = settings["batch"]
    group = min(settings.get("mbstd_group", 1), batch)
    path_length_batch = max(batch // settings["pl_batch_shrink"], 1) if settings.get("pl_weight") else 0
    return batch % ranks == 0 and batch // ranks % group == 0 and path_length_batch % ranks == 0


def ranks(spec: RunSpec, devices: int) -> int:
    """The largest possible number of processes, one per device, up to `devices`."""
    backbone = registry.load("backbone", spec.backbone, "config/presets.yaml")
    if isinstance(backbone, registry.FailedImport):  # whose run ends by saying so
        return 1
    settings = {**{key: entry.default for key, entry in backbone.keys.items()}, **spec.hyper}
    return max(count for count in range(1, devices + 1) if possible(settings, count))
