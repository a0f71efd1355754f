"""Pages: the files that plan leaves.

The list is what a reader sees, so it says nothing that tells a suspected mask from an audited or
a planted one: no source, and of inspections neither probability, cause nor gain. All of that is in
plan.json and planted.json, which whoever plans keeps from the readers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.relabel.budget.choose import Choice
from fcdsynth.relabel.budget.work import INSPECT, PLANTED, Work
from fcdsynth.relabel.planting.spec import MIXES

LIST, PLAN, SEALED = "plan.csv", "plan.json", "planted.json"
COLUMNS = (
    "order", "kind", "subject", "label", "cause", "minutes", "minutes_from", "p", "gain", "roi",
    "may", "reason",
)  # fmt: skip
# An error that leaves no mask at all would give itself away.
_NOT_HIDDEN = "missed"


def write_list(path: Path, choice: Choice) -> None:
    """Write the list in the order in which it is to be worked through."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for order, item in enumerate(choice.items, start=1):
            hidden = item.kind == INSPECT
            figures = [f"{item.p_change:.4f}", f"{item.gain:.4f}", f"{item.roi:.5f}"]
            writer.writerow(
                [order, item.kind, item.subject, item.label, "" if hidden else item.cause]
                + [f"{item.minutes:.2f}", item.minutes_from]
                + ([""] * 3 if hidden else figures)
                + [item.may, item.reason]
            )


def write_planted(path: Path, choice: Choice, seed: int) -> None:
    """Write which items are copies with a planted error: subject, error and seed of each."""
    rng = np.random.default_rng([seed, 13])
    mix = {error: share for error, share in MIXES["realistic"].items() if error != _NOT_HIDDEN}
    shares = np.array(list(mix.values())) / sum(mix.values())
    planted = [
        {"order": order, "subject": item.subject, "error": str(rng.choice(list(mix), p=shares)),
         "seed": int(rng.integers(2**31))}
        for order, item in enumerate(choice.items, start=1) if item.source == PLANTED
    ]  # fmt: skip
    text = json.dumps({"keep from readers": True, "planted": planted}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def write_plan(path: Path, choice: Choice, record: Mapping[str, Any]) -> None:
    """Write everything else: totals, expectations, assumptions, and the items with their source."""
    items = [_plain(order, item) for order, item in enumerate(choice.items, start=1)]
    text = json.dumps({**record, "items": items}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(order: int, item: Work) -> dict[str, Any]:
    return {
        "order": order, "kind": item.kind, "subject": item.subject, "label": item.label,
        "source": item.source, "cause": item.cause, "p_err": item.p_err,
        "p_change": round(item.p_change, 5), "gain": round(item.gain, 5),
        "p_harm": round(item.p_harm, 5), "harm": round(item.harm, 5),
        "minutes": round(item.minutes, 4), "minutes_from": item.minutes_from,
        "roi": round(item.roi, 6), "may": item.may,
    }  # fmt: skip
