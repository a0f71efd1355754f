"""Two arms on the same subjects: what was gained, what was lost, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.comparison import Comparison, PairedFigure
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.intervals import (
    NO_INTERVAL,
    bootstrap_ratio,
    resampling_counts,
    strata_of,
)
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.paired import holm, mcnemar_exact, wilcoxon_signed
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule, rule_named

STATISTICS = ("max", "mean", "p95")
_VOLUME_TOLERANCE = 1e-3


def compare_reports(
    a: Path | str, b: Path | str, rule: str | None = None, bootstrap: int = 2000, seed: int = 0
) -> Comparison:
    """Compare two output folders of evaluate, subject by subject.

    Args:
        a: Folder of the first arm.
        b: Folder of the second arm.
        rule: Rule of the headline figures; that of ``a`` when None.
        bootstrap: Bootstrap samples for intervals of differences.
        seed: Seed of the bootstrap.

    Raises:
        RunError: If a folder holds no report.
        CohortError: As `compare`.
        SettingsError: If there is no such rule.
    """
    return compare(Report.read(a), Report.read(b), rule, bootstrap, seed)


def compare(
    a: Report, b: Report, rule: str | None = None, bootstrap: int = 2000, seed: int = 0
) -> Comparison:
    """Compare two reports on the same subjects and reference masks.

    Found or missed and clean or not are tested with the exact McNemar test, false positives and
    lesion-site probabilities with the Wilcoxon signed-rank test.

    Args:
        a: First arm.
        b: Second arm.
        rule: Rule of the headline figures; that of ``a`` when None.
        bootstrap: Bootstrap samples.
        seed: Seed of the bootstrap.

    Raises:
        CohortError: If the two hold other subjects, groups or lesions.
        SettingsError: If there is no such rule.
    """
    headline = a.rule if rule is None else rule_named(rule)
    pairs = _paired(a.subjects, b.subjects)
    patients = [pair for pair in pairs if pair[0].is_patient]
    controls = [pair for pair in pairs if not pair[0].is_patient]
    members = {"patients": patients, "controls": controls}
    counts = {
        unit: _resampling([first for first, _ in mine], bootstrap, seed)
        for unit, mine in members.items()
    }
    figures = [_figure(m, members[m.unit], counts[m.unit]) for m in _measures()]
    return Comparison(headline.value, len(patients), len(controls), tuple(figures))


def compare_arms(
    baseline: Report, arms: Mapping[str, Report], bootstrap: int = 2000, seed: int = 0
) -> dict[str, Comparison]:
    """Compare several arms with one baseline; p values are adjusted by Holm over the arms.

    Args:
        baseline: The arm that all others are compared with.
        arms: The other arms by name.
        bootstrap: Bootstrap samples.
        seed: Seed of the bootstrap.

    Raises:
        CohortError: As `compare`.
    """
    done = {name: compare(baseline, arm, None, bootstrap, seed) for name, arm in arms.items()}
    adjusted = dict(done)
    for index in range(len(_measures())):
        p_values = {name: p for name, c in done.items() if (p := c.figures[index].p) is not None}
        for name, p_holm in holm(p_values).items():
            figures = list(adjusted[name].figures)
            figures[index] = replace(figures[index], p_holm=p_holm)
            adjusted[name] = replace(adjusted[name], figures=tuple(figures))
    return adjusted


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    rule: str
    unit: str
    value: Callable[[SubjectRecord], float]
    binary: bool
    better_high: bool


def _measures() -> list[_Measure]:
    measures = []
    for rule in Rule:
        found = partial(_found, rule)
        wrong = partial(_false_positives, rule)
        measures += [
            _Measure("subject_sensitivity", rule.value, "patients", found, True, True),
            _Measure("specificity", rule.value, "controls", _clean, True, True),
            _Measure("false_positives_per_patient", rule.value, "patients", wrong, False, False),
            _Measure("false_positives_per_control", rule.value, "controls", wrong, False, False),
        ]
    for statistic in STATISTICS:
        site = partial(_site, statistic)
        name = f"site_probability_{statistic}"
        measures.append(_Measure(name, "", "patients", site, False, True))
    return measures


def _found(rule: Rule, subject: SubjectRecord) -> float:
    return float(subject.n_found(rule) > 0)


def _false_positives(rule: Rule, subject: SubjectRecord) -> float:
    return float(subject.n_role(rule, Role.FALSE))


def _clean(subject: SubjectRecord) -> float:
    return float(not subject.clusters)


def _site(statistic: str, subject: SubjectRecord) -> float:
    return float(getattr(subject.whole_site, statistic))


def _resampling(subjects: Sequence[SubjectRecord], draws: int, seed: int) -> NDArray[np.float64]:
    if not subjects:
        return np.zeros((draws, 0))
    return resampling_counts(strata_of([(s.group.value, s.site) for s in subjects]), draws, seed)


Pair = tuple[SubjectRecord, SubjectRecord]


def _paired(a: Sequence[SubjectRecord], b: Sequence[SubjectRecord]) -> list[Pair]:
    first, second = {s.id: s for s in a}, {s.id: s for s in b}
    unpaired = sorted(set(first) ^ set(second))
    if unpaired:
        raise CohortError(
            ", ".join(unpaired[:5]), "subjects that only one of the two reports holds",
            "the same subjects in both", "Detect and evaluate both arms on one cohort.",
        )  # fmt: skip
    pairs = [(first[name], second[name]) for name in first]
    for one, other in pairs:
        volumes = [le.volume_ml for le in one.lesions]
        others = [le.volume_ml for le in other.lesions]
        same = len(volumes) == len(others) and np.allclose(
            volumes, others, rtol=_VOLUME_TOLERANCE, atol=0
        )
        if one.group is not other.group or not same:
            raise CohortError(
                one.id, f"lesions of {others} ml in the second report",
                f"those of the first: {volumes} ml",
                "Evaluate both arms against one version of the reference masks.",
            )  # fmt: skip
    return pairs


def _figure(measure: _Measure, pairs: Sequence[Pair], counts: NDArray[np.float64]) -> PairedFigure:
    if not pairs:
        empty = Case.NO_PATIENTS if measure.unit == "patients" else Case.NO_CONTROLS
        return PairedFigure(
            measure.name, measure.rule, None, None, None, None, None, 0, measure.unit, 0, 0,
            None, "none", (), (), None, empty.value,
        )  # fmt: skip
    a = np.array([measure.value(one) for one, _ in pairs])
    b = np.array([measure.value(other) for _, other in pairs])
    better = b - a if measure.better_high else a - b
    gained = tuple(one.id for (one, _), gain in zip(pairs, better, strict=True) if gain > 0)
    lost = tuple(one.id for (one, _), gain in zip(pairs, better, strict=True) if gain < 0)
    if measure.binary:
        p, test = mcnemar_exact(len(gained), len(lost)), "exact McNemar"
    else:
        p, test = wilcoxon_signed(b - a), "Wilcoxon signed-rank"
    interval = bootstrap_ratio(b - a, np.ones_like(a), counts) if gained or lost else NO_INTERVAL
    return PairedFigure(
        measure.name, measure.rule, float(a.mean()), float(b.mean()), float((b - a).mean()),
        interval.low, interval.high, len(pairs), measure.unit, len(gained), len(lost), p, test,
        gained, lost,
    )  # fmt: skip
