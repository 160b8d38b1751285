"""The families of all metrics, and the full name of a number.

They are read from the files of leangan/metrics/formulas/ without running these. A file that cannot be read makes its
own families unknown and no others.
"""

from __future__ import annotations

from collections.abc import Iterable

from leangan.core.code import code_sha256
from leangan.core.errors import ConfigError, unknown_name
from leangan.core.project import show_path
from leangan.metrics.base import Family
from leangan.metrics.extractor_facts import is_named, is_published
from leangan.plugins import registry
from leangan.plugins.facts import read_facts


@registry.remembered
def _read() -> tuple[dict[str, tuple[Family, ...]], list[str]]:
    """({metric: its families}, what is wrong with the files of the others)."""
    found, faults = {}, []
    for metric in registry.names("metric"):
        try:
            families = read_facts("metric", metric, ["families"], records={"Family": Family})["families"]
            if not isinstance(families, tuple) or not all(isinstance(each, Family) for each in families):
                file = show_path(registry.file_of("metric", metric))
                raise ConfigError(f"{file}: families of class Metric must be a tuple: (Family(...), ).")
            found[metric] = families
        except ConfigError as error:
            faults.append(str(error))
    return found, faults


@registry.remembered
def known_families() -> dict[str, Family]:
    """All families by name, in the order of columns.

    Where two files state one name, its numbers can be read and printed, but not computed, see `metric_of`.
    """
    found: dict[str, Family] = {}
    for families in _read()[0].values():
        for family in families:
            found.setdefault(family.name, family)
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


def metric_of(family: str) -> str:
    """The name of the metric that reports a known family, which is the name of its file.

    Raises ConfigError where two files state the family, because the number could be from either.
    """
    metrics = [metric for metric, families in _read()[0].items() if family in {each.name for each in families}]
    if len(metrics) > 1:
        files = " and ".join(show_path(registry.file_of("metric", metric)) for metric in metrics)
        raise ConfigError(f"the metric {family!r} is defined twice, by {files}: rename or remove one.")
    return metrics[0]


def code_of_metrics(families: Iterable[str]) -> dict[str, str]:
    """The digests of the code of the metrics that report these families, by their names. Raises as `metric_of`."""
    return {name: code_sha256([registry.file_of("metric", name)]) for name in map(metric_of, families)}


def fewest_images(family: str) -> int:
    """The fewest reals and fakes that define the numbers of a family. Raises as `metric_of`."""
    return read_facts("metric", metric_of(family), [], ["minimum"]).get("minimum", 1)


def check_families(names: Iterable[str], where: str, what: str = "metric") -> None:
    """Raise ConfigError for the first of `names` that is no family. It also says which files could not be read."""
    for name in names:
        if name not in known_families():
            raise ConfigError(" ".join([str(unknown_name(what, name, known_families(), where)), *_read()[1]]))


def goes_with(family: str, extractor: str) -> bool:
    """Whether a number of the family may be computed from the features of an extractor."""
    return known_families()[family].goes_with(extractor)


def check_extractor(family: str, extractor: str, where: str = "metrics or extractor in config/protocols.yaml") -> None:
    """Raise ConfigError where a number would have a name that belongs to other extractors.

    `where` is what to change.
    """
    check_families([family], "config/protocols.yaml")
    if not goes_with(family, extractor):
        instead = " or ".join(known_families()[family].extractors) or "another extractor"
        raise ConfigError(
            f"metric {family!r} does not go with extractor {extractor!r}, but with {instead}; change {where}"
        )


def is_published_name(family: str) -> bool:
    """Whether the name is for extractors whose numbers can be compared with published ones, as FID, KID and IS are."""
    return any(map(is_published, known_families()[family].extractors))


def is_of_training_images(family: str) -> bool:
    """Whether it compares with the training images, whatever the protocol's reference."""
    return known_families()[family].against == "training images"


def is_sign_of_copying(family: str) -> bool:
    """Whether it looks for copies of training images."""
    return known_families()[family].signs_of_copying


def compared_with(family: str, reference: str) -> str | None:
    """The images behind a number under a protocol whose reference is `reference`; None: the fakes alone."""
    return {"reference": reference, "training images": "train", "nothing": None}[known_families()[family].against]


def metric_name(family: str, n_fake: int, reference: str, extractor: str) -> str:
    """The full name of a number, which states its protocol: fid50k_full, is50k, fd1k_full_efficientnet_lite0.

    `reference` is the split the fakes are compared with (full, test or train). Raises ConfigError as
    `check_extractor` does.
    """
    check_extractor(family, extractor)
    parts = f"{family}{fakes_text(n_fake)}", compared_with(family, reference), named_extractor(family, extractor)
    return "_".join(part for part in parts if part)


def fakes_text(n_fake: int) -> str:
    """The number of generated images as names have it: 50k, 500."""
    return f"{n_fake // 1000}k" if n_fake % 1000 == 0 else str(n_fake)


def named_extractor(family: str, extractor: str) -> str | None:
    """The extractor that name and title of a number state; None where they leave it out."""
    own = is_published(extractor) and extractor in known_families()[family].extractors
    return extractor if is_named(extractor) and not own else None
