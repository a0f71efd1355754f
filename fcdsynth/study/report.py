"""The report of a study: one page that stands alone, and the same numbers as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.provenance import git_state
from fcdsynth.core.subject import Origin
from fcdsynth.core.whole import write_whole
from fcdsynth.review.page import render
from fcdsynth.study.gallery import Picture, annotated, detected, flagged, introduced, synthetic
from fcdsynth.study.kept import is_kept
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.opening import openings, plans_opened
from fcdsynth.study.plan import Plan
from fcdsynth.study.plots import froc_plot, learning_plot, ratio_plot
from fcdsynth.study.results import Results
from fcdsynth.study.tables import patients, to_json, write_figures, write_rows
from fcdsynth.study.tracing import Tracing, trace
from fcdsynth.study.wording import (
    arm_words,
    change_rows,
    comparison_rows,
    endpoint_rows,
    gap_words,
    scope_rows,
    table_rows,
    tracing_rows,
    worth_words,
)

_SECTIONS = {
    "annotated": ("Annotated lesions", "Training patients with the mask an annotator drew."),
    "synthetic": (
        "Drawn and synthetic",
        "Masks drawn in training controls, and the pair of volumes that was made from them.",
    ),
    "detected": (
        "Gained and lost",
        "Test patients with the reference mask and the clusters of each arm's detector: those that "
        "synthetic subjects gained and lost, then others.",
    ),
    "introduced": (
        "New false positives and what they look like",
        "A cluster that hits no lesion and was not there in the baseline, beside the training "
        "lesion that looks most like it to the detector.",
    ),
    "flagged": ("Flagged masks", "The training masks with the highest suspicion."),
}
_FEW = 30  # below this, the report says that differences between arms cannot be read off it
_SHOWN = 2


def write_report(folder: StudyFolder, plan: Plan, plan_file: Path) -> None:
    """Write ``report.html``, ``report.json``, ``report.csv`` and ``patients.csv``."""
    results = Results.read(folder, plan)
    write_figures(results, folder.root / "report.csv")
    rows = patients(results)
    write_rows(rows, folder.root / "patients.csv")
    tracings = [trace(folder, plan, arm) for arm in plan.arms[1:] if arm.synthetic]
    flags = _flags(folder)
    record = to_json(results) | {
        "tracing": [asdict(tracing) for tracing in tracings],
        "plan": {"key": plan.key, "n": plan.n, "folds": plan.folds, "seed": plan.seed,
                 "draws": len(plan.draws), "file": folder.relative(plan_file)},
        "plans_opened": plans_opened(folder.openings),
        "openings": [asdict(opening) for opening in openings(folder.openings)],
        "flags": flags[:10],
        "timings_s": _timings(folder),
        "notice": "Research software, not a medical device.",
    }  # fmt: skip
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (folder.root / "report.json").write_text(text, encoding="utf-8")
    write_whole(folder.report, _render(folder, plan, plan_file, results, rows, tracings, flags))


def _render(
    folder: StudyFolder, plan: Plan, plan_file: Path, results: Results,
    rows: Sequence[dict[str, Any]], tracings: Sequence[Tracing], flags: list[dict[str, str]],
) -> str:  # fmt: skip
    cohort = Cohort.read(folder.prepared)
    first = results.reports[results.base.name][0]
    others = [arm.name for arm in plan.arms[1:]]
    gained = [row for row in rows if _gain(results, row) > 0]
    lost = [row for row in reversed(rows) if _gain(results, row) < 0]
    recall = (("", "lesion_recall"),)
    return render(
        "fcdsynth.study",
        "report.html.j2",
        title="fcdsynth study: " + ", ".join(arm.name for arm in plan.arms),
        lead=_lead(plan, cohort),
        notices=_notices(plan, cohort, plans_opened(folder.openings)),
        rule_sentence=f"A lesion counts as found by the rule “{first.rule.words}”.",
        rate=f"{plan.rate:g}",
        arms=[{"name": a.name, "words": arm_words(a, plan.n)} for a in plan.arms],
        endpoint=endpoint_rows(results),
        several=len(plan.draws) > 1 and not plan.sites_left_out,
        gap=gap_words(results),
        worths=[worth_words(found) for found in results.worths()],
        learning=learning_plot(results),
        ratios=ratio_plot(results),
        froc=froc_plot(results),
        changes=[row for name in others for row in change_rows(
            name, [*results.harms(name), *results.places(name)])],
        rows=table_rows(results),
        comparisons=comparison_rows(results),
        sites=scope_rows(results, ("site", "scanner"),
                         (("sens.", "subject_sensitivity"), ("spec.", "specificity"))),
        lesions=scope_rows(results, ("size", "lobe"), recall),
        gained=gained[:10], lost=lost[:10], n_gained=len(gained), n_lost=len(lost),
        tracing=[row for tracing in tracings for row in tracing_rows(tracing)],
        givers=[
            {"arm": t.arm, "text": ", ".join(f"{name} ({n})" for name, n in t.givers[:5])}
            for t in tracings if t.givers
        ],
        confound=first.warnings,
        sections=_sections(folder, plan, results, rows, tracings),
        flags=flags[:5],
        flags_among=len(flags),
        flags_file=folder.relative(folder.flags / "queue.csv"),
        facts=_facts(folder, plan, plan_file, cohort),
    )  # fmt: skip


def _gain(results: Results, row: dict[str, Any]) -> float:
    tried = (results.synthetic or list(results.plan.arms[1:]) or [results.base])[0].name
    return float(row[tried] - row[results.base.name])


def _lead(plan: Plan, cohort: Cohort) -> str:
    tested = sum(cohort[name].is_patient for name in plan.test)
    sites = (
        f"{len(plan.draws)} sites were left out in turn" if plan.sites_left_out
        else "1 choice of training subjects" if len(plan.draws) == 1
        else f"{len(plan.draws)} choices of training subjects"
    )  # fmt: skip
    return (
        f"{tested} patients and {len(plan.test) - tested} controls were set aside for testing "
        f"before anything was trained; n = {plan.n} training patients and as many controls make "
        f"an arm of 1 x n; {sites}. Cohort: {len(cohort)} subjects."
    )


def _notices(plan: Plan, cohort: Cohort, opened: int) -> list[str]:
    notices = ["Research software. Not a medical device."]
    origins = Counter(subject.origin for subject in cohort.subjects)
    if simulated := origins[Origin.PHANTOM]:
        notices.append(
            f"{simulated} of {len(cohort)} subjects are simulated: anatomy, contrast, noise and "
            "lesions come from a computer. These numbers say nothing about detection in people. "
            "Training used simulated annotators' masks, testing the exact ones."
        )
    tested = sum(cohort[name].is_patient for name in plan.test)
    if tested < _FEW:
        notices.append(
            f"{tested} test patients are too few to tell arms apart: read the intervals, not the "
            "differences."
        )
    if opened > 1:
        notices.append(
            f"These test subjects were looked at under {opened} plans, so the last one is no first "
            "look: read its p values and intervals as exploratory."
        )
    return notices


def _sections(
    folder: StudyFolder, plan: Plan, results: Results, rows: Sequence[dict[str, Any]],
    tracings: Sequence[Tracing],
) -> list[dict[str, Any]]:  # fmt: skip
    draw = plan.draws[0]
    made = next((a for a in plan.arms if a.synthetic and not is_kept(folder, draw, a)), None)
    tested = [row["id"] for row in rows if row["id"] in draw.test_patients]
    shown = list(dict.fromkeys([*tested[:_SHOWN], *tested[::-1][:_SHOWN]]))
    pictures: list[Picture] = list(annotated(folder, plan, _SHOWN))
    if made is not None:
        pictures += synthetic(folder, draw, made, _SHOWN)
    pictures += detected(folder, plan, shown)
    for tracing in tracings[:1]:
        pictures += introduced(folder, plan, tracing, _SHOWN)
    pictures += flagged(folder, _SHOWN)
    sections = []
    for name, (title, words) in _SECTIONS.items():
        mine = [picture for picture in pictures if picture.section == name]
        if mine:
            sections.append({"title": title, "words": words, "pictures": mine})
    return sections


def _flags(folder: StudyFolder) -> list[dict[str, str]]:
    path = folder.flags / "queue.csv"
    if not path.is_file():  # one fold holds nobody out
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _timings(folder: StudyFolder) -> dict[str, float]:
    if not folder.timings.is_file():
        return {}
    return dict(json.loads(folder.timings.read_text(encoding="utf-8")))


def _facts(
    folder: StudyFolder, plan: Plan, plan_file: Path, cohort: Cohort
) -> list[tuple[str, str]]:
    timings = _timings(folder)
    kinds: dict[str, float] = {}
    for label, seconds in timings.items():
        kind = label.partition(": ")[0]
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    spent = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in kinds.items() if seconds >= 1)
    chosen = "the folder's own split column" if plan.test_from_table else "seeded choice by site"
    chosen = "the site that was left out" if plan.sites_left_out else chosen
    origins = Counter(subject.origin.value for subject in cohort.subjects)
    commit = git_state().get("commit", "")[:12]
    draw = plan.draws[0]
    taken = [f"{d.name} {a.name}" for d in plan.draws for a in plan.arms if is_kept(folder, d, a)]
    folds = f"{plan.folds} in each arm; their detectors' probabilities are averaged"
    return [
        ("Subjects", ", ".join(f"{n} {origin}" for origin, n in origins.items())),
        ("Test patients", f"{', '.join(draw.test_patients)} ({chosen})"),
        ("Test controls", ", ".join(draw.test_controls)),
        ("Folds", folds if plan.folds > 1 else "none: one detector, validated on subjects of "
         f"split val ({len(draw.validation)})"),
        ("Thresholds", "chosen on validation subjects, never on test subjects"),
        ("Intervals", "95 %, bootstrap over test subjects"
         + (" within families" if plan.within_families else "")),
        ("Plan", f"{plan.key[:16]}, locked in {folder.relative(plan_file)}; "
         f"{plans_opened(folder.openings)} opened"),
        *([("Taken up", f"{', '.join(taken)}: trained elsewhere, no pictures of them")]
          if taken else []),
        ("Seed", str(plan.seed)),
        ("Time", f"{sum(timings.values()) / 60:.1f} min: {spent}"),
        ("Software", f"fcdsynth {__version__} {commit}".strip()),
    ]  # fmt: skip
