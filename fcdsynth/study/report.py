"""The report of a study: one page that stands alone, and the same numbers as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.provenance import git_state
from fcdsynth.core.subject import Origin
from fcdsynth.core.whole import write_whole
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address
from fcdsynth.study.gallery import (
    Picture,
    annotated,
    detected,
    flagged,
    synthetic,
)
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Plan
from fcdsynth.study.settings import Arm
from fcdsynth.study.tables import Results
from fcdsynth.study.wording import arm_words, comparison_rows, site_rows, table_rows

_SECTIONS = {
    "annotated": ("Annotated lesions", "Training patients with the mask an annotator drew."),
    "synthetic": (
        "Drawn and synthetic",
        "Masks drawn in training controls, and the pair of volumes the generator made from them.",
    ),
    "detected": (
        "Detected",
        "Test patients with the reference mask and the clusters of each arm's detector.",
    ),
    "flagged": ("Flagged masks", "The training masks with the highest suspicion."),
}
_FEW = 30  # below this, the report says that differences between arms cannot be read off it
_SHOWN = 2


def write_report(folder: StudyFolder, plan: Plan, arms: Sequence[Arm]) -> None:
    """Write ``report.html``, ``report.json`` and ``report.csv`` into the study's folder."""
    results = Results.read(folder, arms)
    results.write_csv(folder.root / "report.csv")
    flags = _flags(folder)
    record = results.to_json() | {
        "plan": {"key": plan.key, "n": plan.n, "folds": plan.folds, "seed": plan.seed,
                 "file": folder.relative(folder.plan)},
        "flags": flags[:10],
        "timings_s": json.loads(folder.timings.read_text()),
        "notice": "Research software, not a medical device.",
    }  # fmt: skip
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (folder.root / "report.json").write_text(text, encoding="utf-8")
    write_whole(folder.report, _render(folder, plan, results, flags))


def _render(folder: StudyFolder, plan: Plan, results: Results, flags: list[dict[str, str]]) -> str:
    cohort = Cohort.read(folder.prepared)
    first = results.reports[results.arms[0].name]
    return render(
        "fcdsynth.study",
        "report.html.j2",
        title="fcdsynth study: " + ", ".join(arm.name for arm in results.arms),
        lead=_lead(plan, cohort),
        notices=_notices(plan, cohort),
        rule_sentence=f"A lesion counts as found by the rule “{first.rule.words}”.",
        arms=[
            {"name": a.name, "words": arm_words(a, plan.n), "file": results.files[a.name]}
            for a in results.arms
        ],
        rows=table_rows(results),
        comparisons=comparison_rows(results),
        gap=results.gap(),
        froc=_froc(results),
        sites=site_rows(results),
        confound=first.warnings,
        sections=_sections(folder, plan, results.arms),
        flags=flags[:5],
        flags_among=len(flags),
        flags_file=folder.relative(folder.flags / "queue.csv"),
        facts=_facts(folder, plan, cohort),
    )


def _lead(plan: Plan, cohort: Cohort) -> str:
    return (
        f"{len(plan.test_patients)} patients and {len(plan.test_controls)} controls were set "
        f"aside for testing before anything was trained; n = {plan.n} training patients and as "
        f"many controls make the smallest arm. Cohort: {len(cohort)} subjects."
    )


def _notices(plan: Plan, cohort: Cohort) -> list[str]:
    notices = ["Research software. Not a medical device."]
    origins = Counter(subject.origin for subject in cohort.subjects)
    if simulated := origins[Origin.PHANTOM]:
        notices.append(
            f"{simulated} of {len(cohort)} subjects are simulated: anatomy, contrast, noise and "
            "lesions come from a computer. These numbers say nothing about detection in people. "
            "Training used simulated annotators' masks, testing the exact ones."
        )
    if len(plan.test_patients) < _FEW:
        notices.append(
            f"{len(plan.test_patients)} test patients are too few to tell arms apart: read the "
            "intervals, not the differences."
        )
    return notices


def _sections(folder: StudyFolder, plan: Plan, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    made = next((arm for arm in arms if arm.synthetic), None)
    pictures: list[Picture] = list(annotated(folder, plan, _SHOWN))
    if made is not None:
        pictures += synthetic(folder, made, _SHOWN)
    pictures += detected(folder, plan, arms, 2 * _SHOWN)
    pictures += flagged(folder, _SHOWN)
    sections = []
    for name, (title, words) in _SECTIONS.items():
        mine = [picture for picture in pictures if picture.section == name]
        if mine:
            sections.append({"title": title, "words": words, "pictures": mine})
    return sections


def _flags(folder: StudyFolder) -> list[dict[str, str]]:
    with (folder.flags / "queue.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _facts(folder: StudyFolder, plan: Plan, cohort: Cohort) -> list[tuple[str, str]]:
    timings = json.loads(folder.timings.read_text())
    kinds: dict[str, float] = {}
    for label, seconds in timings.items():
        kind = label.partition(": ")[0]
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    spent = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in kinds.items() if seconds >= 1)
    chosen = "the folder's own split column" if plan.test_from_table else "seeded choice by site"
    origins = Counter(subject.origin.value for subject in cohort.subjects)
    commit = git_state().get("commit", "")[:12]
    return [
        ("Subjects", ", ".join(f"{n} {origin}" for origin, n in origins.items())),
        ("Test patients", f"{', '.join(plan.test_patients)} ({chosen})"),
        ("Test controls", ", ".join(plan.test_controls)),
        ("Folds", f"{plan.folds} in each arm; their detectors' probabilities are averaged"),
        ("Thresholds", "chosen on each fold's validation subjects, never on test subjects"),
        ("Plan", f"{plan.key}, locked in {folder.relative(folder.plan)}"),
        ("Seed", str(plan.seed)),
        ("Time", f"{sum(timings.values()) / 60:.1f} min: {spent}"),
        ("Software", f"fcdsynth {__version__} {commit}".strip()),
    ]


def _froc(results: Results) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for arm, colour in zip(results.arms, ("#7f7f7f", "#d55e00", "#0072b2", "#009e73", "#cc79a7"),
                           strict=False):  # fmt: skip
        report = results.reports[arm.name]
        points = [
            (p.false_positives_per_subject, p.subject_sensitivity)
            for p in report.froc
            if p.rule == report.rule.value
        ]
        kept = [(x, y) for x, y in points if x is not None and y is not None]
        if kept:
            x, y = zip(*kept, strict=True)
            axes.step(x, y, where="post", marker=".", color=colour, label=arm.name)
    axes.set_xlabel("false positives per subject (patients and controls)")
    axes.set_ylabel("patients found")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return data_address(stream.getvalue())
