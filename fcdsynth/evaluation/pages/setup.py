"""The top of the page: what was evaluated, and what a reader must know before any number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.pages.blocks import Block, Cell, Section, notice, table
from fcdsynth.evaluation.pages.wording import REFERENCES, label, names_of, plural
from fcdsynth.evaluation.report import Report

_FEW = 30  # below this one patient more or less moves sensitivity by more than three points
# Cases that every honest cohort has.
_ORDINARY = (Case.CLEAN_CONTROL, Case.PATIENT_WITHOUT_CLUSTERS, Case.SEVERAL_LESIONS)
_MAPS = {
    "probability": "voxelwise lesion probabilities, cut into clusters at the operating point",
    "binary": "binary masks: clusters have no score",
    "labels": "numbered clusters of another tool",
}


def what_was_evaluated(runs: Mapping[str, Report]) -> Section:
    """Cohort, rule, reference, runs with their operating points, and the plan."""
    first = next(iter(runs.values()))
    rows = [[Cell(name, head=True), Cell(words)] for name, words in _facts(first).items()]
    blocks: list[Block] = [table("", (), rows)]
    heads = ("Run", "Maps", "Operating point", "Chosen on", "Trained on", "Plan")
    # Runs made alike share a line.
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, report in runs.items():
        trained = plural(report.n_trained_on, "subject") if report.n_trained_on else "not known"
        words = (_MAPS.get(report.maps, report.maps), _point(report.operating_point),
                 _chosen(report.operating_point), trained, plan_words(report))  # fmt: skip
        alike.setdefault(words, []).append(name or "the run")
    lines = [
        [Cell(", ".join(names), head=True), *(Cell(word) for word in words)]
        for words, names in alike.items()
    ]
    blocks.append(table("", heads, lines))
    return Section("What was evaluated", blocks)


def warnings_first(runs: Mapping[str, Report]) -> Section | None:
    """Everything that limits what the numbers may be used for, or None."""
    found: dict[str, list[str]] = {}
    for name, report in runs.items():
        for words in (*report.warnings, *_limits(report)):
            found.setdefault(words, []).append(name)
    blocks = []
    for words, where in found.items():
        only = "" if len(where) == len(runs) else f" (Run: {', '.join(where)}.)"
        blocks.append(notice(words + only))
    return Section("Read this first", blocks) if blocks else None


def plan_words(report: Report) -> str:
    """The locked plan with its endpoint and hash, or that there was none."""
    plan = report.plan
    if plan is None:
        return "no plan was locked before the test set was read"
    compared = " against ".join(reversed(plan["compared"])) if plan["compared"] else "one run"
    endpoint = f"primary endpoint: {label(plan['endpoint'])}, {compared}"
    return f"{endpoint}; {plan['words'] if 'words' in plan else 'sha256 ' + plan['sha256']}"


def _facts(report: Report) -> dict[str, str]:
    patients = [s for s in report.subjects if s.is_patient]
    controls = [s for s in report.subjects if not s.is_patient]
    lesions = sum(len(s.lesions) for s in patients)
    kinds = Counter(s.reference for s in patients)
    references = ", ".join(
        f"{REFERENCES.get(kind, kind)} in {plural(n, 'patient')}" for kind, n in kinds.items()
    )
    origins = ", ".join(f"{n} {origin}" for origin, n in Counter(
        s.origin for s in report.subjects).items())  # fmt: skip
    sites = sorted({s.site or "unknown" for s in report.subjects})
    scanners = sorted({s.scanner or "unknown" for s in report.subjects})
    facts = {
        "Cohort": report.cohort,
        "Subjects": f"{plural(len(patients), 'patient')} with {plural(lesions, 'lesion')}, "
        f"{plural(len(controls), 'control')} ({origins or 'nobody'})",
        "Sites and scanners": f"{plural(len(sites), 'site')} ({names_of(sites)}), "
        f"{plural(len(scanners), 'scanner')} ({names_of(scanners)})",
        "Reference": references or "none",
        "Rule of the headline figures": f"a lesion is found by {report.rule.words}; "
        "the other rules stand beside it",
        "Intervals": "95 %, the method beside each number; bootstrap of subjects within site and "
        f"group, relatives together, {report.bootstrap} samples",
        "Chance level": f"{report.chance_draws} draws of clusters of the same sizes anywhere in "
        "the same brain" if report.chance_draws else "not drawn",
    }  # fmt: skip
    if report.not_evaluated:
        facts["Not evaluated"] = f"{plural(len(report.not_evaluated), 'subject')} of the cohort"
    return facts


def _point(point: Mapping[str, Any]) -> str:
    parts = []
    if "threshold" in point:
        parts.append(f"probability {_plain(point['threshold'])}")
    if "min_volume_ml" in point:
        parts.append(f"clusters of at least {_plain(point['min_volume_ml'])} ml")
    if point.get("temperature") not in (None, 1.0):
        parts.append(f"temperature {_plain(point['temperature'])}")
    return ", ".join(parts) or "the tool's own"


def _chosen(point: Mapping[str, Any]) -> str:
    chosen = point.get("chosen_on", ())
    return plural(len(chosen), "validation subject") if chosen else "no validation subject listed"


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _limits(report: Report) -> list[str]:
    patients = [s for s in report.subjects if s.is_patient]
    controls = [s for s in report.subjects if not s.is_patient]
    found = []
    simulated = sum(s.origin == "phantom" for s in report.subjects)
    if simulated:
        found.append(
            f"{simulated} of {len(report.subjects)} subjects are simulated: these numbers say "
            "nothing about detection in people."
        )
    for group, name in ((patients, "patient"), (controls, "control")):
        if 0 < len(group) < _FEW:
            found.append(
                f"Only {plural(len(group), name)}: one more or less found moves the share by "
                f"{100 / len(group):.0f} percentage points. Read the intervals, not the numbers."
            )
    if not patients:
        found.append("No patients were evaluated, so nothing is said about sensitivity.")
    if not controls:
        found.append("No controls were evaluated, so nothing is said about specificity.")
    if report.maps != "probability":
        found.append(
            f"The maps are {report.maps} maps: lesion-site probability and voxel calibration "
            "cannot be computed" + (
                "." if all(s.ranked for s in report.subjects)
                else ", and without scores neither can FROC and AUROC."
            )
        )  # fmt: skip
    met = [
        f"{one.case.value} ({plural(len(one.subjects), 'subject')})" if one.subjects
        else one.case.value
        for one in report.cases if one.case not in _ORDINARY
    ]  # fmt: skip
    if met:
        found.append(f"Met: {'; '.join(met)}. What that does to the figures stands at the end.")
    if report.plan is None:
        found.append(
            "No plan was locked before the test set was read: rule, threshold and primary "
            "endpoint could have been chosen after seeing results."
        )
    elif len(report.plan.get("openings", ())) > 1 or report.plan.get("opened_by_others"):
        found.append("The test set was opened more than once, so this is not a first look.")
    if not report.operating_point.get("chosen_on"):
        found.append("Nothing says which validation subjects the operating point was chosen on.")
    return found
