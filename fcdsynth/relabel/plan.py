"""The verb plan: share out a fixed number of expert minutes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.ledger.records import RoundPlanned, SubjectAdded
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.words import TASKS, Rank
from fcdsynth.relabel.budget import candidates
from fcdsynth.relabel.budget.belief import Belief, Beliefs, read_beliefs
from fcdsynth.relabel.budget.choose import Choice, ChoiceSettings, choose
from fcdsynth.relabel.budget.expected import Expected, expect
from fcdsynth.relabel.budget.gains import LearningCurve, fit_curve
from fcdsynth.relabel.budget.inputs import (
    Failure,
    Row,
    read_base,
    read_curve,
    read_failures,
    read_queue,
)
from fcdsynth.relabel.budget.looks import last_failures, seen_enough
from fcdsynth.relabel.budget.minutes import fit_minutes, timed_reviews
from fcdsynth.relabel.budget.pages import (
    LIST,
    PLAN,
    SEALED,
    write_list,
    write_plan,
    write_planted,
)
from fcdsynth.relabel.budget.work import INSPECT, PLANTED, Work
from fcdsynth.relabel.tables import QUEUE, SUMMARY

ACTOR = "fcdsynth plan"


def plan(
    queue: str,
    out: str,
    minutes: float = 120.0,
    ledger: str | None = None,
    cohort: str | None = None,
    failures: str | None = None,
    curve: str | None = None,
    reader: str = "",
    evidence_rank: int = 2,
    floor: float = 0.05,
    audit: float = 0.1,
    planted: float = 0.05,
    second_looks: float = 0.5,
    most: int = 0,
    seed: int = 0,
) -> Path:
    """Share out a fixed number of expert minutes over all that experts could do.

    Five kinds of work compete in one currency, expected gain less expected harm per minute:
    outlining new cases, inspecting old masks, judging synthetic cases, deciding disagreements,
    and looking into repeated failures. Every kind that has work gets a floor; a tenth of the
    inspections is drawn at random, some are copies with a planted error. plan.csv is the list for
    the reader; it does not tell which item is which. plan.json and planted.json do, with minutes,
    expectations, stops and all that was assumed: keep them from readers. With a ledger, a round is
    opened in it at the end; close it with ``fcdsynth plan outcome``.

    Args:
        queue: Folder written by fcdsynth flag with the rule learned; only its p_err is used.
        out: Output folder.
        minutes: Expert minutes that there are.
        ledger: The ledger's file; minutes, error rate and shares are refitted from its reviews.
        cohort: Folder or table of a cohort with candidates: patients without a mask, and
            synthetic patients.
        failures: Table subject,kind,times of places where detectors fail again and again; those
            in the ledger count too.
        curve: Table n,metric of a learning curve; assumed when not given.
        reader: Pseudonym of the reader; all readers of the ledger together when empty.
        evidence_rank: What the reviews rest on: 1 a blinded MRI read, 2 an MRI read with report,
            3 intracranial EEG or concordant PET, 4 histology. Masks that stand too far above it
            are left out.
        floor: Least share of the minutes for every kind that has work.
        audit: Share of the inspections that are drawn at random.
        planted: Share of the inspections that are copies with a planted error, from ten on.
        second_looks: Most share of the minutes for labels that exist, while others have work.
        most: Most items in all, against fatigue; 0 for no limit.
        seed: Seed of audit, planted errors and order.

    Returns:
        The output folder.

    Raises:
        SettingsError: If the queue has no calibrated probability, or a setting is out of range.
        CohortError: If a table cannot be read.
        LedgerError: If the ledger cannot be read or written.
        RunError: If the output folder was made otherwise.
    """
    settings = {name: value for name, value in locals().items() if name != "out"}
    ChoiceSettings(minutes, floor, audit, planted, second_looks, most)
    if evidence_rank not in set(Rank):
        raise SettingsError("evidence_rank", str(evidence_rank), "0 to 4", "Change it.")
    if reader and not ledger:
        raise SettingsError("reader", reader, "a ledger that knows the reader",
                            "Give --ledger, or leave the reader out.")  # fmt: skip
    folder = Path(queue)
    rows = read_queue(folder)
    table = Cohort.read(cohort) if cohort else None
    told = list(read_failures(Path(failures))) if failures else []
    fitted = fit_curve(read_curve(Path(curve))) if curve else LearningCurve()
    inputs = [folder / QUEUE, *(Path(p) for p in (failures, curve) if p)]
    inputs += [folder / SUMMARY] if (folder / SUMMARY).is_file() else []
    if cohort:
        inputs.append(Path(cohort) if Path(cohort).suffix == ".csv" else Path(cohort) / TABLE)
    with Ledger.open(ledger) if ledger else nullcontext() as opened:
        state = opened.state if opened else State()
        if opened and reader and reader not in state.readers:
            raise SettingsError("reader", reader, f"one of {', '.join(sorted(state.readers))}",
                                "Name a reader of the ledger, or none.")  # fmt: skip
        run = Run(out, "plan", settings, inputs, seed)
        if run.complete:
            return run.out
        rule = f"greedy by gain per minute; {run.out.name} {run.key[:12]}"
        number, is_new = _number(state, rule)
        known = last_failures(opened) if opened else {}
        told += [Failure(f.subject, f.kind, f.times) for f in known.values()
                 if f.cause == "unknown"]  # fmt: skip
        setting = candidates.Setting(
            read_beliefs(state, [f.cause for f in known.values()], reader),
            fit_minutes(timed_reviews(state)), fitted, state, reader, evidence_rank,
            seen_enough(opened, number) if opened else {},
        )  # fmt: skip
        errs = setting.beliefs.reader_errs
        work, left_out, labelled = _work(rows, table, told, setting)
        choice = choose(work, ChoiceSettings(minutes, floor, audit, planted, second_looks, most,
                                             errs.mean, seed))  # fmt: skip
        base = read_base(folder)
        real = [w for w in choice.of(INSPECT) if w.source != PLANTED]
        expected = expect([w.p_err or 0.0 for w in real], base, errs, seed)
        with run:
            write_list(run.folder / LIST, choice)
            write_planted(run.folder / SEALED, choice, seed)
            record = {
                "round": number if opened else None,
                "rule": rule,
                "minutes": _minutes(choice, minutes),
                "expected": _expected(choice, expected, errs),
                "next": _next(choice.next_item),
                "stops": choice.stops,
                "left_out": left_out,
                "assumptions": _assumptions(setting, base, labelled, opened is not None),
                "seed": seed,
            }
            write_plan(run.folder / PLAN, choice, record)
            if opened and is_new:
                opened.append(_round(number, choice, expected, rule), ACTOR)
    return run.out


def _number(state: State, rule: str) -> tuple[int, bool]:
    """Number of the round, and whether it must still be written into the ledger.

    A round without its folder is of a run that was stopped just before the end.
    """
    for number, planned in state.planned.items():
        if planned.rule == rule and number not in state.closed:
            return number, False
    return max(state.planned, default=0) + 1, True


def _work(
    rows: Sequence[Row], table: Cohort | None, told: Sequence[Failure], setting: candidates.Setting
) -> tuple[list[Work], dict[str, str], int]:
    """Everything that could be done, masks that are left out, and the number of labelled."""
    state = setting.state
    work, left_out = candidates.inspections(rows, setting)
    n = len(state.active) or len(rows)
    if table is not None:
        labelled: Sequence[Subject | SubjectAdded] = [
            state.subjects[s] for s in state.active
        ] or [s for s in table.subjects if s.is_patient and s.origin is not Origin.SYNTHETIC
              and (s.has("lesion") or s.has("lesion_t1w"))]  # fmt: skip
        work += candidates.new_cases(table, labelled, n, setting)
        work += candidates.synthetic_cases(table, n, setting)
    work += candidates.open_disagreements(setting)
    work += candidates.failures(told, setting)
    return work, left_out, n


def _minutes(choice: Choice, given: float) -> dict[str, Any]:
    by_kind = {kind: round(sum(w.minutes for w in choice.of(kind)), 3) for kind in TASKS}
    return {"given": given, "planned": round(choice.minutes, 3),
            "by_kind": {kind: m for kind, m in by_kind.items() if m}}  # fmt: skip


def _expected(choice: Choice, inspected: Expected, errs: Belief) -> dict[str, Any]:
    n = sum(w.source == PLANTED for w in choice.items)
    others = {kind: round(sum(w.p_change for w in choice.of(kind)), 3)
              for kind in TASKS if kind != INSPECT and choice.of(kind)}  # fmt: skip
    return {
        "inspections": inspected.plain(),
        "planted": {"n": n, "found": round(n * (1 - errs.mean), 3)},
        "changes_of_other_kinds": others,
        "worth": round(sum(w.worth for w in choice.items if w.source != PLANTED), 4),
    }


def _next(item: Work | None) -> dict[str, Any] | None:
    if item is None:
        return None
    return {"kind": item.kind, "subject": item.subject, "minutes": round(item.minutes, 3),
            "roi": round(item.roi, 6)}  # fmt: skip


def _assumptions(
    setting: candidates.Setting, base: Belief, labelled: int, has_ledger: bool
) -> dict[str, Any]:
    beliefs: Beliefs = setting.beliefs
    return {
        "unit": "corrected masks' worth",
        "beliefs": beliefs.plain(),
        "minutes_law": setting.law.plain(),
        "learning_curve": {"c": round(setting.curve.c, 3), "from": setting.curve.source,
                           "labelled": labelled,
                           "new_case": round(setting.curve.new_case(labelled), 4)},
        "base_rate": {"value": base.mean, "worth": base.worth},
        "evidence_of_labels": "ledger" if has_ledger else "assumed 2: an MRI read with report",
        "evidence_of_reviews": setting.evidence_rank,
    }  # fmt: skip


def _round(number: int, choice: Choice, inspected: Expected, rule: str) -> RoundPlanned:
    minutes = {kind: round(sum(w.minutes for w in choice.of(kind)), 3)
               for kind in TASKS if choice.of(kind)}  # fmt: skip
    expected = {kind: round(sum(w.p_change for w in choice.of(kind)), 4) for kind in minutes}
    if INSPECT in expected:
        expected |= {INSPECT: round(inspected.changed, 4), "inspect low": inspected.low,
                     "inspect high": inspected.high}  # fmt: skip
    return RoundPlanned(number, minutes, expected, rule)
