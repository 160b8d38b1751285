"""The caption of an artefact's table: what its numbers are, in sentences that its rows make true."""

from __future__ import annotations

from collections.abc import Sequence

from leangan.artefacts import agreement
from leangan.artefacts.artefact import Artefact
from leangan.artefacts.columns import Column
from leangan.metrics.extractor_facts import title_of
from leangan.results.measured_runs import seeds_of

ACCURACY = (
    "D right: the share of images that D puts on the right side of 0, as it sees them, over the last quarter of the run"
)


def caption(artefact: Artefact) -> str:
    """The layout's caption, then what the numbers are: protocol, averaging, training length, agreement with papers."""
    sentences = [artefact.caption.rstrip(". ") + "."]
    columns = [column for column in artefact.columns if any(map(column.finished_runs, artefact.methods))]
    if columns:
        sentences += _measured_sentences(artefact, columns)
    else:
        lacking = "a value of these metrics" if any(column.lacks_a_value for column in artefact.columns) else "finished"
        sentences.append(f"No run has {lacking}.")
    sentences += agreement.sentences(artefact)
    presets: dict[str, list[str]] = {artefact.methods[spec.method]: [] for spec in artefact.specs}
    for spec in artefact.specs:
        known = presets[artefact.methods[spec.method]]
        known += [spec.preset] if spec.preset not in known else []
    if any(" / " in column.setting["preset"] for column in artefact.columns):
        own = "; ".join(f"{title}: {', '.join(names)}" for title, names in presets.items())
        sentences.append(f"Presets differ between methods, {own}.")
    if any(
        artefact.published_line(column, method) is not None
        for column in artefact.columns
        for method in artefact.methods
    ):
        sentences.append("Difference: best minus published.")
        lengths = sorted({spec.labels.full_kimg for spec in artefact.specs})
        if any(spec.total_kimg < spec.labels.full_kimg for spec in artefact.specs):
            sentences.append(f"The published runs are longer, {span(lengths)} kimg.")
    if any(key.startswith("accuracy") for key in artefact.training):
        sentences.append(f"{ACCURACY}.")
    return " ".join(sentences)


def _measured_sentences(artefact: Artefact, columns: list[Column]) -> list[str]:
    runs = [column.finished_runs(method) for column in columns for method in artefact.methods]
    seeds = sorted({seeds_of(of_method) for of_method in runs if of_method})
    kimg = sorted({run.final_kimg for of_method in runs for run in of_method})
    judge = artefact.columns[0].metric
    extreme = "highest" if judge.higher_is_better else "lowest"
    unranked = any(artefact.unranked(column, method) for column in columns for method in artefact.methods)
    others = "every other ranked method" if unranked else "every other"
    return [
        *protocol_sentences(columns),
        "One seed." if seeds == [1] else f"Mean ± sample standard deviation over {span(seeds)} seeds.",
        (
            f"Best: the snapshot of each run with the {extreme} {judge.label}; "
            f"final: the last one, after {span(kimg)} kimg (thousands of images shown to D)."
        ),
        *([f"Bold: ahead of {others} by more than the sum of both deviations."] if seeds[-1] > 1 else []),
    ]


def span(numbers: Sequence[float]) -> str:
    """A list of sorted numbers in words: "3" or "1 to 3"."""
    return " to ".join(f"{number:,.9g}" for number in dict.fromkeys((numbers[0], numbers[-1])))


def protocol_sentences(columns: list[Column]) -> list[str]:
    """How the values were computed, one sentence per protocol; each says whether its metrics are proxies."""
    labels: dict[str, list[str]] = {}
    for column in columns:
        known = labels.setdefault(_protocol_words(column), [])
        if column.metric.label not in known:
            known.append(column.metric.label)
    return [f"{', '.join(of_protocol)}: {words}." for words, of_protocol in labels.items()]


def _protocol_words(column: Column) -> str:
    measured, protocol = column.measured, column.measured.protocol
    sets = {"full": "the full set", "test": "the test set", "train": "the training images"}
    against = f" against {sets[measured.reference]}" if measured.reference else ""
    reals = f" ({measured.n_real:,} images)" if against and measured.n_real is not None else ""
    extractor = title_of(column.metric.extractor)
    size = f" at {protocol.input_px} px ({protocol.resize})" if protocol.input_px else ""
    seeds = protocol.eval_seeds or 1
    return (
        ("a proxy, not FID; " if column.proxy else "")
        + f"{measured.n_fake:,} generated images{against}{reals}, {extractor} features{size}"
        + (" in TF32" if protocol.tf32 else "")
        + f", {protocol.library}, protocol {protocol.name!r}"
        + (f", generators with {protocol.statistics} statistics" if protocol.statistics else "")
        + (f", each value the mean of {seeds} evaluations" if seeds > 1 else "")
    )
