"""Comparing: what a plan expected of a round, and what the ledger says it got."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statsmodels.stats.proportion import proportion_confint

from fcdsynth.core.errors import RunError, SettingsError
from fcdsynth.ledger.records import Reviewed
from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import TASKS
from fcdsynth.relabel.budget.belief import Belief, is_planted
from fcdsynth.relabel.budget.expected import expect
from fcdsynth.relabel.budget.pages import PLAN
from fcdsynth.relabel.budget.work import AUDIT, INSPECT, NEW, PLANTED, SYNTHETIC

CHANGED = ("edit", "reject")


@dataclass(frozen=True)
class Planned:
    """What plan.json says.

    Args:
        number: The round.
        items: The items, with their source.
        record: All of it.
    """

    number: int
    items: tuple[Mapping[str, Any], ...]
    record: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Planned:
        """Read an output folder of plan.

        Raises:
            RunError: If there is no whole plan.json.
            SettingsError: If it was planned without a ledger.
        """
        path = folder / PLAN
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            number, items = record["round"], tuple(record["items"])
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                str(path), f"{type(error).__name__}: {error}", "the file that plan wrote",
                "Give the output folder of fcdsynth plan.",
            ) from error  # fmt: skip
        if number is None:
            raise SettingsError(
                f"{path} round", "none", "a round that was planned with a ledger",
                "Run fcdsynth plan with --ledger, and review that round.",
            )  # fmt: skip
        return cls(int(number), items, record)


def compare(planned: Planned, state: State) -> dict[str, Any]:
    """Compare a round with its plan.

    Inspections count once a mask, by its last review; planted ones apart. As a round may end
    early, the expectation is told for the whole plan and again for the masks that were reviewed.

    Args:
        planned: The plan.
        state: What the ledger says.
    """
    reviews = [r for r in state.reviews.values() if r.round == planned.number]
    subject_of = {r.review: state.labels[r.label].subject for r in reviews}
    spent = state.minutes_of(planned.number)
    items = {item["subject"]: item for item in planned.items}
    kinds = {}
    for kind in TASKS:
        own = [r for r in reviews if r.task == kind]
        listed = [i for i in planned.items if i["kind"] == kind]
        if own or listed:
            real = [r for r in own if not is_planted(state, r)]
            last = {subject_of[r.review]: r for r in real}
            kinds[kind] = {
                "planned_items": len(listed),
                "reviewed": len({subject_of[r.review] for r in own}),
                "planned_minutes": round(sum(i["minutes"] for i in listed), 3),
                "spent_minutes": round(spent.get(kind, 0.0), 3),
                "changed": sum(_changed(r) for r in last.values()),
            }
    known = [r for r in reviews if subject_of[r.review] in items]
    return {
        "round": planned.number,
        "kinds": kinds,
        "inspections": _inspections(planned, state, reviews, subject_of),
        "planted": _planted(state, reviews),
        "audit": _audit(planned, state, reviews, subject_of),
        "reviews": len(reviews),
        "reviews_out_of_plan": len(reviews) - len(known),
    }


def got(found: Mapping[str, Any]) -> dict[str, float]:
    """What goes into the ledger: changes by kind, planted errors found and missed."""
    numbers = {kind: float(row["changed"]) for kind, row in found["kinds"].items()}
    planted = found["planted"]
    return numbers | {"planted found": float(planted["found"]),
                      "planted missed": float(planted["missed"])}  # fmt: skip


def _changed(review: Reviewed) -> bool:
    if review.task in (NEW, SYNTHETIC):  # a label is added, or a synthetic case admitted
        return review.after in (("accept", "edit") if review.task == NEW else ("accept",))
    return review.after in CHANGED


def _inspections(
    planned: Planned, state: State, reviews: list[Reviewed], subject_of: Mapping[str, str]
) -> dict[str, Any]:
    wanted = {i["subject"]: float(i["p_err"]) for i in planned.items
              if i["kind"] == INSPECT and i["source"] != PLANTED}  # fmt: skip
    last = {subject_of[r.review]: r for r in reviews
            if r.task == INSPECT and not is_planted(state, r)
            and subject_of[r.review] in wanted}  # fmt: skip
    told = planned.record["assumptions"]
    base = Belief(float(told["base_rate"]["value"]), worth=float(told["base_rate"]["worth"]))
    e = told["beliefs"]["reader_error"]
    errs = Belief(float(e["assumed"]), int(e["hits"]), int(e["observations"]))
    done = expect([wanted[s] for s in last], base, errs, int(planned.record["seed"]))
    changed = sum(_changed(r) for r in last.values())
    return {
        "expected_of_plan": planned.record["expected"]["inspections"],
        "expected_of_reviewed": done.plain(),
        "changed": changed,
        "within": bool(done.low <= changed <= done.high),
    }


def _planted(state: State, reviews: list[Reviewed]) -> dict[str, Any]:
    own = [r for r in reviews if is_planted(state, r)]
    missed = sum(r.after == "accept" for r in own)
    found = sum(r.after in CHANGED for r in own)
    low, high = proportion_confint(missed, missed + found, method="wilson") if own else (0.0, 1.0)
    return {"n": len(own), "found": found, "missed": missed,
            "missed_interval": [round(float(low), 4), round(float(high), 4)]}  # fmt: skip


def _audit(
    planned: Planned, state: State, reviews: list[Reviewed], subject_of: Mapping[str, str]
) -> dict[str, Any]:
    """Share of wrong masks among those drawn at random: what replaces an assumed base rate."""
    drawn = {i["subject"] for i in planned.items if i["source"] == AUDIT}
    last: dict[str, Reviewed] = defaultdict()
    for r in reviews:
        if r.task == INSPECT and subject_of[r.review] in drawn and not is_planted(state, r):
            last[subject_of[r.review]] = r
    n, hits = len(last), sum(_changed(r) for r in last.values())
    low, high = proportion_confint(hits, n, method="wilson") if n else (0.0, 1.0)
    return {"n": n, "changed": hits,
            "interval": [round(float(low), 4), round(float(high), 4)]}  # fmt: skip
