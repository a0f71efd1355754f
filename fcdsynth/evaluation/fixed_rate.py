"""Recall at a fixed rate of false positives in controls: the FROC curve as comparable numbers.

With one threshold, a gain in sensitivity may be nothing but a step along the curve.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.metrics import Figure, Sums
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import NO_INTERVAL, bootstrap_of

RATES = (0.125, 0.25, 0.5, 1.0, 2.0)
_MOST_THRESHOLDS = 200


def recall_at_rates(sums: Sums, rule: Rule) -> list[Figure]:
    """Highest lesion recall with at most 1/8 to 2 false positives per control.

    The score threshold that keeps the rate is looked for anew in every bootstrap sample, so the
    interval holds the uncertainty of the threshold too. Above the detector's own operating
    point nothing is known: a detector that never reaches the rate is taken where it stops.

    Args:
        sums: The subjects.
        rule: The hit rule.
    """
    names = {f"lesion_recall_at_{rate:g}_fp_per_control": rate for rate in RATES}
    lesions = sums.over(lambda s: len(s.lesions))
    control = sums.over(lambda s: not s.is_patient)
    missing = None
    if not sums.patients:
        missing = Case.NO_PATIENTS
    elif not sums.controls:
        missing = Case.NO_CONTROLS
    elif not sums.ranked:
        missing = Case.BINARY_MAPS
    if missing is not None:
        return [
            sums.figure(name, "lesions", missing, lesions * 0, lesions * 0, NO_INTERVAL, rule)
            for name in names
        ]
    found, wrong = _reached(sums, rule)
    table = np.concatenate([found, wrong, lesions[:, None], control[:, None]], axis=1)
    figures = []
    for name, rate in names.items():
        recall = partial(_recall, rate=rate)
        value = float(recall(table.sum(axis=0, keepdims=True))[0])
        top = np.zeros_like(lesions)
        top[0] = value * lesions.sum()
        interval = bootstrap_of(table, sums.counts, recall)
        figures.append(sums.figure(name, "lesions", Case.NO_PATIENTS, top, lesions, interval, rule))
    return figures


def _reached(sums: Sums, rule: Rule) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Found lesions, and false positives of controls, by threshold; shape (n, thresholds)."""
    scores = np.unique([c.score for s in sums.subjects for c in s.clusters])
    if len(scores) > _MOST_THRESHOLDS:
        scores = np.unique(np.quantile(scores, np.linspace(0, 1, _MOST_THRESHOLDS)))
    found = np.zeros((len(sums.subjects), len(scores)))
    wrong = np.zeros_like(found)
    for row, s in enumerate(sums.subjects):
        for lesion in s.lesions:
            score = lesion.found[rule].score
            if score is not None:
                found[row] += score >= scores
        if not s.is_patient:
            for cluster in s.clusters:
                if cluster.roles[rule] is Role.FALSE:
                    wrong[row] += cluster.score >= scores
    return found, wrong


def _recall(summed: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Recall in each sample, shape (draws,); NaN without lesions or controls in it."""
    found, wrong = np.split(summed[:, :-2], 2, axis=1)
    lesions, controls = summed[:, -2:].T
    allowed = wrong <= (rate + 1e-12) * controls[:, None]
    best = np.where(allowed, found, 0.0).max(axis=1, initial=0.0)
    usable = (lesions > 0) & (controls > 0)
    return np.asarray(np.where(usable, best / np.maximum(lesions, 1e-300), np.nan))
