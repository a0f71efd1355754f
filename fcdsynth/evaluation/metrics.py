"""Figures from records: every number with its rule, its n, its interval and its chance level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import STATISTICS, SiteProbability
from fcdsynth.evaluation.statistics.intervals import (
    NO_INTERVAL,
    Interval,
    auroc,
    bootstrap_ratio,
    clustered_proportion,
    mean_count,
)
from fcdsynth.evaluation.statistics.resampling import weights_of

# Means over found lesions, and the key of `Found` they are taken from.
_AGREEMENT = {
    "dice_found_lesions": "dice",
    "assd_found_lesions_mm": "assd_mm",
    "hd95_found_lesions_mm": "hd95_mm",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Args:
        name: What it is.
        scope: Over which subjects: ``all``, or such as ``site=Bonn``.
        rule: Hit rule, empty where none is involved.
        value: The number, None where the case in ``reason`` leaves none.
        low: Lower end of the 95 % interval, or None.
        high: Upper end, or None.
        interval: How the interval was made.
        count: Numerator of a proportion, or None.
        n: How many units stand behind it.
        unit: What the units are: patients, controls, subjects, lesions or clusters.
        chance: The same figure for random clusters of the same sizes, or None.
        reason: The empty-set case met, or empty.
    """

    name: str
    scope: str
    rule: str
    value: float | None
    low: float | None
    high: float | None
    interval: str
    count: int | None
    n: int
    unit: str
    chance: float | None
    reason: str


class Sums:
    """The figures of one set of subjects under bootstrap weights drawn once.

    Args:
        subjects: The set.
        scope: Its name.
        draws: Bootstrap samples.
        seed: Seed of the bootstrap.
    """

    def __init__(
        self, subjects: Sequence[SubjectRecord], scope: str, draws: int, seed: int
    ) -> None:
        self.subjects = tuple(subjects)
        self.scope = scope
        self.patients = [s for s in subjects if s.is_patient]
        self.controls = [s for s in subjects if not s.is_patient]
        self.ranked = all(s.ranked for s in subjects)
        self.counts = weights_of(self.subjects, draws, seed)

    def over(self, value: Callable[[SubjectRecord], float]) -> NDArray[np.float64]:
        """One number for each subject, shape (n,)."""
        return np.array([value(s) for s in self.subjects], dtype=float)

    def figure(
        self,
        name: str,
        unit: str,
        empty: Case,
        tops: NDArray[np.float64],
        bottoms: NDArray[np.float64],
        interval: Interval,
        rule: Rule | None = None,
        chance: float | None = None,
        counted: bool = False,
    ) -> Figure:
        """A ratio of two sums over subjects; ``empty`` is the reason when the lower is 0."""
        top, bottom = float(tops.sum()), float(bottoms.sum())
        value = top / bottom if bottom else None
        if value is None:
            interval = NO_INTERVAL
        return Figure(
            name, self.scope, "" if rule is None else rule.value, value, interval.low,
            interval.high, interval.method, round(top) if counted and bottom else None,
            round(bottom), unit, chance if bottom else None, "" if bottom else empty.value,
        )  # fmt: skip


def headline(sums: Sums, rule: Rule) -> list[Figure]:
    """Sensitivity, specificity, false positives and recall under one rule."""
    patient = sums.over(lambda s: s.is_patient)
    control = 1 - patient
    found = sums.over(lambda s: s.n_found(rule) > 0)
    clean = sums.over(lambda s: not s.is_patient and not s.clusters)
    wrong = sums.over(lambda s: s.n_role(rule, Role.FALSE))
    lesions = sums.over(lambda s: len(s.lesions))
    caught = sums.over(lambda s: s.n_found(rule))
    luck = [s.chance[rule] for s in sums.patients if s.chance is not None]
    lesion_luck = [
        fate.chance for s in sums.patients for le in s.lesions
        if (fate := le.found[rule]).chance is not None
    ]  # fmt: skip
    return [
        sums.figure(
            "subject_sensitivity", "patients", Case.NO_PATIENTS, found, patient,
            clustered_proportion(found, patient, sums.counts), rule, _mean(luck), counted=True,
        ),
        sums.figure(
            "specificity", "controls", Case.NO_CONTROLS, clean, control,
            clustered_proportion(clean, control, sums.counts), rule, counted=True,
        ),
        sums.figure(
            "false_positives_per_patient", "patients", Case.NO_PATIENTS, wrong * patient, patient,
            mean_count(wrong[patient > 0], sums.counts[:, patient > 0]), rule, counted=True,
        ),
        sums.figure(
            "false_positives_per_control", "controls", Case.NO_CONTROLS, wrong * control, control,
            mean_count(wrong[control > 0], sums.counts[:, control > 0]), rule, counted=True,
        ),
        sums.figure(
            "false_positives_per_subject", "subjects", Case.NO_SUBJECTS, wrong, patient + control,
            mean_count(wrong, sums.counts), rule, counted=True,
        ),
        sums.figure(
            "lesion_recall", "lesions", Case.NO_PATIENTS, caught, lesions,
            clustered_proportion(caught, lesions, sums.counts), rule,
            _mean([x for x in lesion_luck if x is not None]), counted=True,
        ),
    ]  # fmt: skip


def precision(sums: Sums, rule: Rule) -> list[Figure]:
    """Positive predictive value, F1, extra clusters and Dice under one rule."""
    patient = sums.over(lambda s: s.is_patient)
    right = sums.over(lambda s: s.n_role(rule, Role.TRUE))
    wrong = sums.over(lambda s: s.n_role(rule, Role.FALSE))
    extra = sums.over(lambda s: s.n_role(rule, Role.EXTRA))
    lesions = sums.over(lambda s: len(s.lesions))
    caught = sums.over(lambda s: s.n_found(rule))
    called = right + wrong
    f1_top, f1_bottom = 2 * caught, caught + lesions + wrong
    return [
        sums.figure(
            "ppv", "clusters", Case.NO_CLUSTERS, right, called,
            clustered_proportion(right, called, sums.counts), rule, counted=True,
        ),
        sums.figure(
            "ppv_patients_only", "clusters", Case.NO_CLUSTERS, right, called * patient,
            clustered_proportion(right, called * patient, sums.counts), rule, counted=True,
        ),
        sums.figure(
            "cluster_f1", "lesions and clusters", Case.NO_PATIENTS, f1_top, f1_bottom * (
                lesions.sum() > 0
            ), bootstrap_ratio(f1_top, f1_bottom, sums.counts), rule,
        ),
        sums.figure(
            "extra_clusters_per_patient", "patients", Case.NO_PATIENTS, extra, patient,
            mean_count(extra[patient > 0], sums.counts[:, patient > 0]), rule, counted=True,
        ),
        *(_agreement(sums, rule, name, key) for name, key in _AGREEMENT.items()),
    ]  # fmt: skip


def _agreement(sums: Sums, rule: Rule, name: str, key: str) -> Figure:
    """Mean over found lesions of how well the finding cluster fits."""
    total = sums.over(
        lambda s: sum(getattr(le.found[rule], key) or 0.0 for le in s.lesions)
    )  # fmt: skip
    caught = sums.over(lambda s: s.n_found(rule))
    empty = Case.NO_FOUND_LESIONS if sums.patients else Case.NO_PATIENTS
    interval = bootstrap_ratio(total, caught, sums.counts)
    return sums.figure(name, "lesions", empty, total, caught, interval, rule)


def probabilities(sums: Sums) -> list[Figure]:
    """Site probability of all lesions, found and missed, beside mirrored and random sites."""
    figures = []
    for what, empty in (("site", Case.NO_PATIENTS), ("mirror", Case.NO_MIRROR),
                        ("random", Case.NO_DRAWS)):  # fmt: skip
        reason = empty if sums.patients else Case.NO_PATIENTS
        if any(s.bins is None for s in sums.subjects):
            reason = Case.NO_PROBABILITIES
        elif what != "site" and sums.patients and not any(s.brain for s in sums.patients):
            reason = Case.NO_BRAIN
        for statistic in STATISTICS:
            values = [_sites(s, what, statistic) for s in sums.subjects]
            tops = np.array([sum(v) for v in values], dtype=float)
            bottoms = np.array([len(v) for v in values], dtype=float)
            figures.append(
                sums.figure(
                    f"{what}_probability_{statistic}", "lesions", reason, tops, bottoms,
                    bootstrap_ratio(tops, bottoms, sums.counts),
                )
            )  # fmt: skip
    return figures


def whole(sums: Sums) -> list[Figure]:
    """Whole-mask Dice of patients and the AUROC of the subjects' highest scores."""
    patient = sums.over(lambda s: s.is_patient)
    dice = sums.over(lambda s: s.dice or 0.0)
    missing = Case.NO_CONTROLS if sums.patients else Case.NO_PATIENTS
    if not sums.ranked:
        area, interval, missing = None, NO_INTERVAL, Case.NO_SCORES
    else:
        both = [*sums.patients, *sums.controls]
        area, interval = auroc(
            [s.score for s in sums.patients], [s.score for s in sums.controls],
            [s.family for s in both],
        )  # fmt: skip
    return [
        sums.figure(
            "dice_whole_mask", "patients", Case.NO_PATIENTS, dice, patient,
            bootstrap_ratio(dice, patient, sums.counts),
        ),
        Figure(
            "auroc", sums.scope, "", area, interval.low, interval.high, interval.method, None,
            len(sums.subjects), "subjects", None, "" if area is not None else missing.value,
        ),
    ]  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _sites(subject: SubjectRecord, what: str, statistic: str) -> list[float]:
    sites: list[SiteProbability | None] = [getattr(le, what) for le in subject.lesions]
    return [float(getattr(site, statistic)) for site in sites if site is not None]
