"""Which numbers may be ranked against which: the one place where a leaderboard row gets its standing.

A rank among full reproductions is a claim that a published set-up was repeated, so everything that is less has a
ranking of its own or none. Papers' numbers are never ranked beside measured ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leangan.core.yaml_files import read
from leangan.metrics.families import compared_with
from leangan.metrics.protocols import read_protocol
from leangan.runs.config import read_scale
from leangan.runs.row import Row

RANKINGS = {
    "full": "Full reproductions",
    "reduced": "Reduced runs",
    "proxy": "Proxy metrics",
    "submitted": "Submitted by others",
    "published": "Published numbers",
}
"""The rankings in the page's order, each a table of its own."""


@dataclass(frozen=True)
class Standing:
    """`ranking` is a key of RANKINGS. `level` is what the row would be if measured here: full, reduced or proxy.
    `ranked`: whether it has a rank there.

    `shortfalls` says in words what it lacks to be a full reproduction; `share` is its training length as a share of
    the published one, None where no length was published.
    """

    ranking: str
    level: str
    ranked: bool
    shortfalls: tuple[str, ...] = ()
    share: float | None = None


def standing(
    source: str,
    *,
    done: bool,
    proxy: bool,
    kimg: float | None,
    published_kimg: float | None,
    departures: Sequence[str] = (),
    unranked: str = "",
) -> Standing:
    """The standing of a number measured here or submitted (`source`).

    It has a rank if its run is `done`, unless the run's method trains by the features that it is measured in, as
    `unranked` says (of `results.judges`).

    It is a full reproduction if it was measured here, without a proxy, under the protocol as stated and by committed
    code (no `departures`), after at least the published training length less one line of the log. `kimg` is the length
    of the training (planned, where the run did not finish), `published_kimg` that of the paper.
    """
    shortfalls = ["a proxy metric, not FID"] if proxy else []
    if kimg is None or not published_kimg:
        share = None
        shortfalls.append("no published training length to compare with")
    else:
        share = kimg / published_kimg
        if kimg < published_kimg - read_scale("paper").tick_kimg:
            shortfalls.append(f"trained for {percent(share)} of the published length")
    shortfalls += departures
    level = "proxy" if proxy else "reduced" if shortfalls else "full"
    return Standing(
        level if source == "measured" else "submitted", level, done and not unranked, tuple(shortfalls), share
    )


def percent(share: float) -> str:
    """A share in print: 0.08 %, 99 %, 1,040 %. Less than all of it is never 100 %."""
    if share >= 1:
        return f"{100 * share:,.0f} %"
    return f"{min(round(100 * share), 99)} %" if share >= 0.1 else f"{100 * share:.2g} %"


def find_departures(row: Row) -> list[str]:
    """In words, how a row departs from its protocol, from published arithmetic or from a commit."""
    found = []
    used, of = row.protocol, row.provenance
    if used.name not in read("config/protocols.yaml"):
        found.append(f"a protocol that config/protocols.yaml does not have: {used.name}")
    elif row.family:
        protocol = read_protocol(used.name)
        reference = compared_with(row.family, protocol.reference)
        if row.n_fake is not None and row.n_fake < protocol.fakes:
            found.append(f"{row.n_fake:,} generated images in place of {protocol.fakes:,}")
        if used.extractor != protocol.extractor or (reference and row.reference != reference):
            found.append(f"another extractor or reference set than protocol {used.name} has")
        if (used.eval_seeds or 1) < protocol.eval_seeds:
            found.append(f"fewer than {protocol.eval_seeds} evaluations")
    if of.tf32 or used.tf32:
        found.append("float32 factors rounded to 10 bits (TF32), which no published run did")
    if of.dirty or of.commit is None:
        found.append("code that no commit describes")
    if of.earlier_commits:
        found.append("trained under several commits")
    return found + [
        f"a method from outside this project: {method.name} ({method.home})"
        for method in of.methods
        if method.home != "project"
    ]
