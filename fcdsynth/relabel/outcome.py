"""The verb plan outcome: what a round gave, beside what was expected of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import LedgerError
from fcdsynth.core.run import Run
from fcdsynth.ledger.records import RoundClosed
from fcdsynth.ledger.store import Ledger
from fcdsynth.relabel.budget.comparing import Planned, compare, got
from fcdsynth.relabel.budget.minutes import ASSUMED, fit_minutes, timed_reviews
from fcdsynth.relabel.budget.pages import PLAN

RESULT, PAGE = "outcome.json", "outcome.md"
ACTOR = "fcdsynth plan outcome"


def outcome(ledger: str, plan: str, out: str, close: bool = True) -> Path:
    """Tell what a planned round gave beside what the plan expected, and close the round.

    outcome.json and outcome.md say, by kind of work, the minutes planned and spent and what was
    changed; how many masks inspections changed against the expected number and its interval;
    planted errors found and missed; the share of wrong masks in the random audit; and the minutes
    that the next plan will reckon with. The round is closed in the ledger at the end, once.

    Args:
        ledger: The ledger's file.
        plan: Output folder of fcdsynth plan for that round.
        out: Folder to write.
        close: Whether the round is closed; false for a look while it goes on.

    Returns:
        The folder.

    Raises:
        LedgerError: If the ledger cannot be read or written, or holds no review of the round.
        SettingsError: If the plan was made without a ledger.
        RunError: If the plan cannot be read, or the folder holds something else.
    """
    planned = Planned.read(Path(plan))
    number = planned.number
    with Ledger.open(ledger) as opened:
        state = opened.state
        opening = state.planned.get(number)
        if opening is None or opening.rule != planned.record["rule"]:
            found_there = "no" if opening is None else "another plan's"
            raise LedgerError(
                ledger, f"{found_there} round {number}", f"the round that {plan} planned",
                "Give the ledger that the plan was made with.",
            )  # fmt: skip
        if not any(r.round == number for r in state.reviews.values()):
            raise LedgerError(
                f"round {number}", "no review of it", "the reviews of the plan's items",
                f"Record reviews with round {number}, then come back.",
            )  # fmt: skip
        run = Run(out, "plan outcome", {"ledger": ledger, "plan": plan, "close": close},
                  [Path(plan) / PLAN])  # fmt: skip
        if run.complete:
            return run.out
        found = compare(planned, state)
        found["minutes_law"] = fit_minutes(timed_reviews(state)).plain()
        closes = close and number not in state.closed
        found["closed"] = close or number in state.closed
        with run:
            text = json.dumps(found, indent=2)
            (run.folder / RESULT).write_text(text + "\n", encoding="utf-8")
            (run.folder / PAGE).write_text(_page(found), encoding="utf-8")
            if closes:
                opened.append(RoundClosed(number, state.minutes_of(number), got(found)), ACTOR)
    return run.out


def _page(found: Mapping[str, Any]) -> str:
    rows = [
        f"| {kind} | {r['planned_items']} | {r['reviewed']} | {r['planned_minutes']:.1f} | "
        f"{r['spent_minutes']:.1f} | {r['changed']} |"
        for kind, r in found["kinds"].items()
    ]
    seen, planted, audit = found["inspections"], found["planted"], found["audit"]
    done, whole = seen["expected_of_reviewed"], seen["expected_of_plan"]
    within = "within" if seen["within"] else "OUTSIDE"
    law = found["minutes_law"]
    minutes = [
        f"| {task} | {ASSUMED[task]:.1f} | {m:.1f} | {law['from'][task]} | {law['reviews'][task]} |"
        for task, m in law["typical_minutes"].items()
    ]
    return "\n".join([
        f"# Round {found['round']}",
        "",
        "Research software, not a medical device.",
        "",
        "| kind | planned items | reviewed | planned minutes | spent minutes | changed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        "*Changed*: a mask edited or rejected, a new mask drawn, a synthetic case accepted;",
        "planted errors are not among them.",
        "",
        f"Inspections: {seen['changed']} of {done['n']} masks changed; expected were "
        f"{done['changed']:.1f} (95 % {done['interval'][0]:.0f} to {done['interval'][1]:.0f}); "
        f"the number lies {within}. The whole plan, {whole['n']} masks, expected "
        f"{whole['changed']:.1f}.",
        "",
        f"Planted errors: {planted['found']} found, {planted['missed']} missed, of {planted['n']}.",
        "",
        f"Random audit: {audit['changed']} of {audit['n']} masks changed (95 % of the share "
        f"{audit['interval'][0]:.2f} to {audit['interval'][1]:.2f}).",
        "",
        f"Reviews that were not planned: {found['reviews_out_of_plan']} of {found['reviews']}.",
        "",
        "Typical minutes that the next plan reckons with (2.8 ml, one component):",
        "",
        "| kind | assumed at first | now | from | reviews |",
        "| --- | ---: | ---: | --- | ---: |",
        *minutes,
        "",
    ])  # fmt: skip
