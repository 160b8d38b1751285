"""Numbers that rank no run: those in the features of a network by which the run's own method trains (`Method.judges`).

G learns to please that network, so that a distance in its features falls without better images. Tables, figures, the
papers' order and the leaderboard all ask `why_unranked`.
"""

from __future__ import annotations

from collections.abc import Iterable

from leangan.core.errors import ConfigError
from leangan.core.spec import RunSpec
from leangan.metrics.extractor_facts import title_of
from leangan.plugins.facts import judges_of
from leangan.runs.methods import method_parts
from leangan.runs.row import Row


def why_unranked(plugins: Iterable[str], extractor: str | None) -> str:
    """Why a number in the features of `extractor` does not rank a run with these plugins; "" where it does."""
    judging = [plugin for plugin in dict.fromkeys(plugins) if extractor and extractor in judges_of(plugin)]
    if not judging or extractor is None:
        return ""
    return f"trained by features of {title_of(extractor)} ({', '.join(judging)}), in which this number is measured"


def plugins_of_spec(spec: RunSpec) -> list[str]:
    """The plugins of a run and of those that it starts from."""
    return [name for each in (spec, *spec.ancestors()) for name, _ in each.plugins]


def plugins_of_row(row: Row) -> list[str]:
    """The plugins that a row states, else those that its method's name stands for here; none for an unknown name."""
    if row.provenance.methods:
        return [method.name for method in row.provenance.methods]
    try:
        return [name for name, _ in method_parts(row.method)]
    except ConfigError:
        return []
