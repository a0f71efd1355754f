"""Sensitivity of detections at a rate of false clusters, with intervals, from one evaluation.

A folder of detections is evaluated by ``fcdsynth evaluate`` (rule: any shared voxel). The figure
is read off the FROC curve: the largest share of patients with a found lesion at no more than half
a false cluster per subject, over patients and controls alike. Intervals: bootstrap over subjects,
patients and controls apart, the threshold looked for anew in every sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Figures

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.evaluate import evaluate
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.study.endpoint import Curve

RATE = 0.5
_DRAWS = 2000


@dataclass(frozen=True)
class Scored:
    """What one detector did with each subject, in the order of their ids.

    Args:
        ids: The subjects.
        curve: Best hits and false clusters of each.
        clusters: Score and hit of every cluster, extra ones being hits.
        site: Largest probability inside the lesions of each patient, None in controls.
    """

    ids: tuple[str, ...]
    curve: Curve
    clusters: tuple[tuple[float, bool], ...]
    site: tuple[float | None, ...]


def scored(detections: Path, cohort: Path, out: Path, workers: int) -> Scored:
    """Evaluate a folder of detections; what was evaluated before is read."""
    if not (out / "report.json").is_file():
        evaluate([str(detections)], str(cohort), str(out), pictures=0, chance_draws=0,
                 bootstrap=100, workers=workers)  # fmt: skip
    return of_records(Report.read(out).subjects)


def of_records(subjects: Sequence[SubjectRecord]) -> Scored:
    """From the records of an evaluation."""
    rows = sorted(subjects, key=lambda s: s.id)
    clusters, site = [], []
    for s in rows:
        clusters += [(c.score, c.roles[Rule.OVERLAP] is not Role.FALSE) for c in s.clusters]
        inside = [lesion.site for lesion in s.lesions if lesion.site is not None]
        site.append(max((p.max for p in inside), default=None))
    return Scored(
        tuple(s.id for s in rows), Curve.of(rows, Rule.OVERLAP), tuple(clusters), tuple(site),
    )  # fmt: skip


def sensitivity_at(found: Scored, weights: np.ndarray | None = None) -> float:
    """Largest sensitivity with at most half a false cluster per subject."""
    return found.curve.sensitivity(RATE, weights)


def bootstrap_weights(found: Scored, seed: int = 5) -> np.ndarray:
    """How often each subject counts in each sample, (draws, subjects)."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((_DRAWS, len(found.ids)))
    for group in (True, False):
        where = np.flatnonzero(found.curve.patient == group)
        if len(where):
            weights[:, where] = rng.multinomial(
                len(where), np.full(len(where), 1 / len(where)), _DRAWS
            )
    return weights


def add_sensitivity(figures: Figures, name: str, found: Scored, **goal: float) -> float:
    """Add a sensitivity with its bootstrap interval; returns it."""
    value = sensitivity_at(found)
    draws = [sensitivity_at(found, weights=w) for w in bootstrap_weights(found)]
    low, high = np.quantile(draws, (0.025, 0.975))
    figures.add(name, value, int(found.curve.patient.sum()), (low, high), **goal)
    return value


def add_difference(
    figures: Figures, name: str, one: Scored, other: Scored, **goal: float
) -> None:  # fmt: skip
    """Add the difference of two sensitivities on the same subjects, paired bootstrap."""
    assert one.ids == other.ids
    value = sensitivity_at(one) - sensitivity_at(other)
    draws = [sensitivity_at(one, weights=w) - sensitivity_at(other, weights=w)
             for w in bootstrap_weights(one)]  # fmt: skip
    low, high = np.quantile(draws, (0.025, 0.975))
    figures.add(name, value, int(one.curve.patient.sum()), (low, high), **goal)


def expected_calibration_error(
    clusters: Sequence[tuple[float, bool]], bins: int = 5
) -> tuple[float, list[tuple[int, float, float]]]:
    """Mean of ``|share of hits - mean score|`` over clusters, in bins of equal width.

    Returns:
        The error, and number, mean score and share of hits of each bin.
    """
    scores = np.array([score for score, _ in clusters])
    hits = np.array([hit for _, hit in clusters], dtype=float)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            mean, share = float(scores[inside].mean()), float(hits[inside].mean())
            error += inside.sum() * abs(mean - share)
            rows.append((int(inside.sum()), mean, share))
    return error / max(len(scores), 1), rows
