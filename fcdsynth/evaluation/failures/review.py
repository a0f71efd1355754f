"""Which lesions are missed and which false positives return over folds, seeds and arms.

Everything follows from the records of the runs; nothing here sees an image. A run is one seed of
an arm and is named ``ARM`` or ``ARM/SEED``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.cases import Point, SubjectRecord
from fcdsynth.evaluation.failures.places import group_places, hot_spots
from fcdsynth.evaluation.failures.records import (
    Change,
    Count,
    Failures,
    FalsePlace,
    Miss,
    Tally,
    arm_of,
)
from fcdsynth.evaluation.failures.tracing import trace
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.paired import mcnemar_exact


def review_failures(
    runs: Mapping[str, Report],
    rule: Rule,
    compare: tuple[str, str] | None,
    synthetic: Sequence[tuple[str, Point]] | None = None,
) -> Failures:
    """Find what fails again and again, and what one arm introduced or removed.

    Args:
        runs: Reports by name of the run.
        rule: Rule that decides.
        compare: Two arms, the first without and the second with what is on trial, or None.
        synthetic: Id and MNI centre (mm) of each synthetic lesion that trained the second arm,
            to ask whether introduced false positives lie where such lesions lay.

    Raises:
        SettingsError: If a compared arm has no run, or there is no run at all.
        CohortError: If the runs saw different lesions in one subject.
    """
    if not runs:
        raise SettingsError("runs", "none", "at least one report", "Evaluate a run first.")
    names = sorted({arm_of(run) for run in runs})
    for arm in compare or ():
        if arm not in names:
            raise SettingsError("compare", repr(arm), f"one of {', '.join(names)}",
                                "Name an arm that was evaluated.")  # fmt: skip
    seen: dict[str, dict[str, SubjectRecord]] = {}
    for run, report in runs.items():
        for subject in report.subjects:
            seen.setdefault(subject.id, {})[run] = subject
    misses = [miss for mine in seen.values() for miss in _misses(mine, rule, compare)]
    places = [place for mine in seen.values() for place in _places(mine, rule, compare)]
    misses.sort(key=lambda m: (-m.count, -m.lesion.volume_ml, m.subject.id, m.lesion.lesion))
    places.sort(key=lambda p: (-p.count, -p.cluster.score, p.subject.id, p.cluster.centre_mm))
    spots = hot_spots([(p.subject.id, p.subject.is_patient, p.cluster, p.count) for p in places])
    traced = None
    if synthetic is not None:
        groups = {
            change.value: [p.cluster.centre_mni_mm for p in places if p.change is change]
            for change in (Change.INTRODUCED, Change.REMOVED)
        }
        groups["found"] = _finders(runs, rule)
        traced = trace(groups, synthetic)
    return Failures(
        rule, tuple(runs), compare, tuple(misses), tuple(places), spots,
        sum(p.cluster.centre_mni_mm is None for p in places),
        _tallies(misses, places) if compare else (), traced,
    )  # fmt: skip


def _count(mine: Mapping[str, SubjectRecord], failed: set[str]) -> tuple[Count, ...]:
    arms = dict.fromkeys(arm_of(run) for run in mine)
    return tuple(
        Count(
            arm,
            sum(arm_of(run) == arm for run in failed),
            sum(arm_of(run) == arm for run in mine),
        )
        for arm in arms
    )


def _change(arms: Sequence[Count], compare: tuple[str, str] | None) -> Change | None:
    if compare is None:
        return None
    by_name = {arm.arm: arm for arm in arms}
    a, b = (by_name.get(name, Count(name, 0, 0)) for name in compare)
    if not a.count and not b.count:
        return Change.ABSENT
    often_a, often_b = (2 * arm.count >= arm.n > 0 and arm.count > 0 for arm in (a, b))
    if often_b and not a.count and a.n:
        return Change.INTRODUCED
    if often_a and not b.count and b.n:
        return Change.REMOVED
    return Change.KEPT if often_a and often_b else Change.UNCLEAR


def _misses(
    mine: Mapping[str, SubjectRecord], rule: Rule, compare: tuple[str, str] | None
) -> list[Miss]:
    first = next(iter(mine.values()))
    for other in mine.values():
        first.require_same_reference(other)
    found = []
    for number, lesion in enumerate(first.lesions):
        seen = {run: s.lesions[number] for run, s in mine.items()}
        failed = {run for run, le in seen.items() if le.found[rule].cluster is None}
        if failed:
            arms = _count(mine, failed)
            levels = [le.site.max for le in seen.values() if le.site is not None]
            found.append(
                Miss(first, lesion, max(levels, default=None), arms, _change(arms, compare))
            )
    return found


def _places(
    mine: Mapping[str, SubjectRecord], rule: Rule, compare: tuple[str, str] | None
) -> list[FalsePlace]:
    first = next(iter(mine.values()))
    wrong = [(run, c) for run, s in mine.items() for c in s.clusters if c.roles[rule] is Role.FALSE]
    found = []
    for members in group_places([c.centre_mm for _, c in wrong]):
        runs = {wrong[i][0] for i in members}
        best = max((wrong[i][1] for i in members), key=lambda c: (c.score, c.size_vox))
        arms = _count(mine, runs)
        found.append(FalsePlace(first, best, arms, _change(arms, compare)))
    return found


def _finders(runs: Mapping[str, Report], rule: Rule) -> list[Point | None]:
    return [
        c.centre_mni_mm
        for report in runs.values() for s in report.subjects for c in s.clusters
        if c.roles[rule] is Role.TRUE
    ]  # fmt: skip


def _tallies(misses: Sequence[Miss], places: Sequence[FalsePlace]) -> tuple[Tally, ...]:
    patients = [p for p in places if p.subject.is_patient]
    controls = [p for p in places if not p.subject.is_patient]
    return (
        _tally("missed lesions", misses),
        _tally("false positives in patients", patients),
        _tally("false positives in controls", controls),
    )


def _tally(kind: str, failures: Sequence[Miss] | Sequence[FalsePlace]) -> Tally:
    balance: dict[str, int] = {}
    for failure in failures:
        step = {Change.INTRODUCED: 1, Change.REMOVED: -1}.get(failure.change or Change.ABSENT, 0)
        balance[failure.subject.id] = balance.get(failure.subject.id, 0) + step
    worse = tuple(sorted(name for name, sum_ in balance.items() if sum_ > 0))
    better = tuple(sorted(name for name, sum_ in balance.items() if sum_ < 0))
    n = {change: sum(f.change is change for f in failures) for change in Change}
    return Tally(
        kind, n[Change.INTRODUCED], n[Change.REMOVED], n[Change.KEPT], n[Change.UNCLEAR], worse,
        better, mcnemar_exact(len(worse), len(better)),
    )  # fmt: skip
