"""The lines of the leaderboard for the papers' numbers, from published.csv."""

from __future__ import annotations

import pandas as pd

from leangan.leaderboard.entry import Entry, short_id
from leangan.leaderboard.standing import Standing, published_doubt
from leangan.metrics.families import known_families
from leangan.results.published import FAMILY, std_text

NAMES = {"baseline": "none", "diffaugment": "diffaugment", "da": "da", "ada": "ada"}
"""Our names of methods by the papers' own, which a note in brackets may follow: "baseline (StyleGAN2)"."""


def published_entries(published: pd.DataFrame) -> list[Entry]:
    """One entry per line of published.csv; one that was not verified, or only quoted, is shown but not ranked."""
    entries = []
    for line in published.to_dict("records"):
        images, doubt = line["train_images"], published_doubt(line)
        std = std_text(line)
        facts = {
            "paper": line["paper"],
            "place": line["artefact"],
            "protocol": line["protocol"],
            "class-conditional": line["conditional"],
            "note": "" if line["spread"] == std else line["spread"],
            "taken from": line["source"],
        }
        keys = ("paper", "artefact", "dataset", "train_images", "model", "conditional", "metric", "protocol", "method")
        scale = known_families()[FAMILY[line["metric"]]].scale if line["metric"] in FAMILY else 1.0
        entries.append(
            Entry(
                id=short_id(*(line[key] for key in keys)),
                source="published",
                standing=Standing("published", "published", not doubt, ("a published number",)),
                method=line["method"],
                method_name=NAMES.get(line["method"].lower().split(" (")[0], ""),
                dataset=line["dataset"],
                images=int(images) if images.isdigit() else None,
                images_text=f"{int(images):,}" if images.isdigit() else images,
                model=line["model"],
                metric=line["metric"].replace("x1e3", "×10³"),
                protocol=line["protocol"],
                group=(line["dataset"], images, line["protocol"], line["metric"]),
                setting={"conditional": line["conditional"], "artefact": line["artefact"]},
                higher_is_better=line["metric"].startswith("IS"),
                doubt=doubt,
                credit=line["paper"],
                best=None if pd.isna(line["number"]) else line["number"] * scale,
                best_text=f"{line['value']} {std}".strip(),
                std_text=std,
                facts=[(label, text) for label, text in facts.items() if text],
            )
        )
    return entries
