"""The free-response curve: recall against false positives, patients and controls apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule


@dataclass(frozen=True, slots=True)
class FrocPoint:
    """Operating at one score threshold: clusters with at least this score are kept.

    Args:
        rule: Name of the hit rule.
        threshold: The score; None for the start of the curve, where no cluster is kept.
        lesion_recall: Found lesions per lesion, None without lesions.
        subject_sensitivity: Found patients per patient, None without patients.
        specificity: Controls with no kept cluster per control, None without controls.
        false_positives_per_patient: None without patients.
        false_positives_per_control: None without controls.
        false_positives_per_subject: Over both groups.
    """

    rule: str
    threshold: float | None
    lesion_recall: float | None
    subject_sensitivity: float | None
    specificity: float | None
    false_positives_per_patient: float | None
    false_positives_per_control: float | None
    false_positives_per_subject: float | None


def froc(subjects: Sequence[SubjectRecord], rule: Rule) -> tuple[FrocPoint, ...]:
    """Sweep the score threshold over every cluster, the lowest score included.

    The curve ends where detect stopped making clusters: at its operating point.

    Args:
        subjects: The evaluated subjects.
        rule: The hit rule.

    Returns:
        The points, none where scores do not tell clusters apart.
    """
    if not all(s.ranked for s in subjects):
        return ()
    patients = [s for s in subjects if s.is_patient]
    controls = [s for s in subjects if not s.is_patient]
    lesions = [[_score(lesion.found[rule].score) for lesion in s.lesions] for s in patients]
    every = np.sort([score for scores in lesions for score in scores])
    best = np.sort([max(scores, default=-np.inf) for scores in lesions])
    top = np.sort([s.score if s.clusters else -np.inf for s in controls])
    wrong_patients, wrong_controls = _wrong(patients, rule), _wrong(controls, rule)
    thresholds = sorted({c.score for s in subjects for c in s.clusters}, reverse=True)
    points = []
    for threshold in [np.inf, *thresholds]:
        fp_patients = _reach(wrong_patients, threshold)
        fp_controls = _reach(wrong_controls, threshold)
        points.append(
            FrocPoint(
                rule.value,
                None if np.isinf(threshold) else float(threshold),
                _share(_reach(every, threshold), len(every)),
                _share(_reach(best, threshold), len(patients)),
                _share(len(controls) - _reach(top, threshold), len(controls)),
                _share(fp_patients, len(patients)),
                _share(fp_controls, len(controls)),
                _share(fp_patients + fp_controls, len(subjects)),
            )
        )
    return tuple(points)


def _score(score: float | None) -> float:
    return -np.inf if score is None else score


def _wrong(subjects: Sequence[SubjectRecord], rule: Rule) -> np.ndarray:
    return np.sort([c.score for s in subjects for c in s.clusters if c.roles[rule] is Role.FALSE])


def _reach(rising: np.ndarray, threshold: float) -> int:
    return int(len(rising) - np.searchsorted(rising, threshold, side="left"))


def _share(count: int, n: int) -> float | None:
    return count / n if n else None
