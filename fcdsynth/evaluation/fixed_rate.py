"""Recall at a fixed rate of false positives in controls: the FROC curve as comparable numbers.

With one threshold, a gain in sensitivity may be nothing but a step along the curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.empty import Case, unranked
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.metrics import Figure, Sums
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import NO_INTERVAL, bootstrap_of

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)
MOST_THRESHOLDS = 200


def recall_at_rates(sums: Sums, rule: Rule) -> list[Figure]:
    """Highest lesion recall with at most 1/8 to 2 false positives per control.

    The score threshold that keeps the rate is looked for anew in every bootstrap sample, so the
    interval holds the uncertainty of the threshold too. Above the detector's own operating
    point nothing is known: a detector that never reaches the rate is taken where it stops.

    Args:
        sums: The subjects.
        rule: The hit rule.
    """
    names = {figure_name(rate): rate for rate in RATES}
    lesions = sums.over(lambda s: len(s.lesions))
    missing = unranked(sums.subjects)
    if missing is not None:
        return [
            sums.figure(name, "lesions", missing, lesions * 0, lesions * 0, NO_INTERVAL, rule)
            for name in names
        ]
    whole = table_of(sums.subjects, rule, thresholds(sums.subjects)).sum(axis=0, keepdims=True)
    table = table_of(sums.subjects, rule, thresholds(sums.subjects, MOST_THRESHOLDS))
    figures = []
    for name, rate in names.items():
        recall = partial(recall_at, rate=rate)
        value = float(recall(whole)[0])
        top = np.zeros_like(lesions)
        top[0] = value * lesions.sum()
        interval = bootstrap_of(table, sums.counts, recall)
        figures.append(sums.figure(name, "lesions", Case.NO_PATIENTS, top, lesions, interval, rule))
    return figures


def figure_name(rate: float) -> str:
    """Name of the figure at a rate."""
    return f"lesion_recall_at_{rate:g}_fp_per_control"


def thresholds(subjects: Iterable[SubjectRecord], most: int | None = None) -> NDArray[np.float64]:
    """Score thresholds at which something changes.

    Args:
        subjects: Whose clusters.
        most: Thin them out to so many quantiles, for the many samples of a bootstrap.
    """
    scores = np.unique([c.score for s in subjects for c in s.clusters])
    if most is not None and len(scores) > most:
        scores = np.unique(np.quantile(scores, np.linspace(0, 1, most), method="higher"))
    return scores


def table_of(
    subjects: Sequence[SubjectRecord], rule: Rule, scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each subject adds to the curve, shape (n, 2 t + 2).

    Columns: found lesions at each of t thresholds, a control's false positives at each, lesions,
    and whether it is a control.
    """
    found = np.zeros((len(subjects), len(scores)))
    wrong = np.zeros_like(found)
    for row, s in enumerate(subjects):
        for lesion in s.lesions:
            score = lesion.found[rule].score
            if score is not None:
                found[row] += score >= scores
        if not s.is_patient:
            for cluster in s.clusters:
                if cluster.roles[rule] is Role.FALSE:
                    wrong[row] += cluster.score >= scores
    ends = [[len(s.lesions), not s.is_patient] for s in subjects]
    return np.concatenate([found, wrong, np.array(ends, dtype=float).reshape(-1, 2)], axis=1)


def recall_at(summed: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Recall from summed rows of `table_of`.

    Args:
        summed: Shape (draws, 2 t + 2).
        rate: Most false positives per control.

    Returns:
        Shape (draws,), NaN without lesions or controls.
    """
    found, wrong = np.split(summed[:, :-2], 2, axis=1)
    lesions, controls = summed[:, -2:].T
    allowed = wrong <= (rate + 1e-12) * controls[:, None]
    best = np.where(allowed, found, 0.0).max(axis=1, initial=0.0)
    usable = (lesions > 0) & (controls > 0)
    return np.asarray(np.where(usable, best / np.maximum(lesions, 1e-300), np.nan))
