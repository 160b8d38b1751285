"""The lines of the leaderboard for the papers' numbers, from published.csv."""

from __future__ import annotations

from collections.abc import Iterable

from leangan.leaderboard.entry import Entry, short_id
from leangan.leaderboard.standing import Standing
from leangan.results.method_titles import key_of
from leangan.results.published import PublishedNumber


def published_entries(published: Iterable[PublishedNumber], measured: Iterable[Entry] = ()) -> list[Entry]:
    """One entry per line of published.csv; one that was not verified, or only quoted, is shown but not ranked.

    A method is spelled as in the `measured` entries, or else as in the first line that has it: "Baseline" of runs and
    "baseline" of papers are one method.
    """
    published = list(published)
    titles = [*(entry.method_title for entry in measured), *(line.method for line in published)]
    spelling: dict[str, str] = {}
    for title in titles:
        spelling.setdefault(key_of(title), title)
    return [_entry(line, spelling[key_of(line.method)]) for line in published]


def _entry(line: PublishedNumber, title: str) -> Entry:
    images, metric = line.train_images, line.metric
    facts = {
        "paper": line.paper,
        "place": line.artefact,
        "protocol": line.protocol,
        "class-conditional": line.conditional,
        "note": line.note,
        "taken from": line.source,
    }
    # Links to lines stay valid only with the words under which KID's ids were first given.
    words = metric.title.replace("×10³", "x1e3")
    keys = (line.paper, line.artefact, line.dataset, images, line.model, line.conditional, words, line.protocol)
    return Entry(
        id=short_id(*keys, line.method),
        source="published",
        standing=Standing("published", "published", not line.doubt, ("a published number",)),
        method=title,
        method_name=line.name,
        dataset=line.dataset,
        images=int(images) if images.isdigit() else None,
        images_text=f"{int(images):,}" if images.isdigit() else images,
        model=line.model,
        metric=metric.title,
        protocol=line.protocol,
        group=(line.dataset, images, line.protocol, metric.title),
        setting={"conditional": line.conditional, "artefact": line.artefact},
        higher_is_better=metric.higher_is_better,
        doubt=line.doubt,
        credit=line.paper,
        best=float(line.value),
        best_text=line.text,
        facts=[(label, text) for label, text in facts.items() if text],
        paper=line,
    )
