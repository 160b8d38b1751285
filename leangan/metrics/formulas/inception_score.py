"""Inception Score (arXiv:1606.03498): exp E_x KL(p(y|x) || p(y)).

Both conventions are published: the mean and deviation over 10 splits, each with a p(y) of its own ("is"), and one
value over all images ("is_unsplit", the ImageNet numbers of arXiv:2006.10738), which is a little higher.
"""

from __future__ import annotations

from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

from leangan.core.errors import ConfigError
from leangan.metrics import base
from leangan.metrics.base import Family, Features, NoValue, Value

SPLITS = 10


class Metric(base.Metric):
    """Needs no reference set. Images are shuffled before they are split, with torch-fidelity's seed 2020.

    Fewer images than splits define the number without splits alone. That of one image is 1 whatever it shows.
    """

    families = (
        Family(
            name="is",
            title="IS",
            place=100,
            higher_is_better=True,
            bounds=(1, None),
            against="nothing",
            extractors=("inception_v3",),
        ),
        Family(
            name="is_unsplit",
            title="IS (no splits)",
            place=110,
            higher_is_better=True,
            bounds=(1, None),
            against="nothing",
            extractors=("inception_v3",),
        ),
    )
    minimum = 2
    of_logits = True

    def __init__(self, real: Features):
        pass

    def __call__(self, fake: Features) -> dict[str, Value | NoValue]:
        if fake.logits is None:
            raise ConfigError("metric 'is' needs class logits, which these features lack; extract them again")
        whole = Value(isc_features_to_metric(fake.logits, splits=1)[KEY_METRIC_ISC_MEAN])
        if len(fake) < SPLITS:
            return {"is": NoValue(f"{len(fake)} fakes; {SPLITS} splits need {SPLITS}"), "is_unsplit": whole}
        split = isc_features_to_metric(fake.logits, splits=SPLITS)
        return {"is": Value(split[KEY_METRIC_ISC_MEAN], split[KEY_METRIC_ISC_STD], "splits"), "is_unsplit": whole}
