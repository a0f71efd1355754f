"""Calibration: does a probability of 0.7 mean seven in ten?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.cases import SubjectRecord, VoxelBins
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import NO_INTERVAL, bootstrap_of

VOXEL_BINS, CLUSTER_BINS = 15, 10
VOXELS, CLUSTERS = "voxels", "clusters"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability diagram with its summary.

    Args:
        level: ``voxels`` (of the brain: probability against lesion or not) or ``clusters``
            (score against hit or not; extra clusters on a found lesion are hits).
        rule: Hit rule of clusters, empty for voxels.
        n: Units in each bin; bins of equal width from 0 to 1.
        mean_score: Mean probability in each bin, None in an empty one.
        share: Share of hits in each bin, likewise.
        ece: Expected calibration error, the mean of ``|share - mean_score|`` over units (Naeini
            et al. 2015); None in an empty set.
        low: Lower end of its 95 % interval (bootstrap over subjects), or None.
        high: Upper end, or None.
        brier: Mean squared difference of score and hit (Brier 1950), for clusters; None for
            voxels, of which only bins are kept.
        reason: The empty-set case met, or empty.
    """

    level: str
    rule: str
    n: tuple[int, ...]
    mean_score: tuple[float | None, ...]
    share: tuple[float | None, ...]
    ece: float | None
    low: float | None
    high: float | None
    brier: float | None
    reason: str


def voxel_bins(
    probability: NDArray[np.float32],
    reference: NDArray[np.bool_],
    brain: NDArray[np.bool_] | None,
) -> VoxelBins:
    """Count voxels by probability, in `VOXEL_BINS` bins of equal width.

    Args:
        probability: Map, shape (x, y, z).
        reference: All lesions on the same grid.
        brain: Where to count; the whole volume when None. Lesion voxels always count.
    """
    # Transposed, as voxels lie in a file: selecting against the order of memory is slow.
    inside, values = reference.T.ravel(), probability.T.ravel()
    if brain is not None:
        where = np.flatnonzero(brain.T.ravel() | inside)
        values, inside = values[where], inside[where]
    lesion = np.flatnonzero(inside)
    bins = np.minimum((values * VOXEL_BINS).astype(np.int64), VOXEL_BINS - 1)
    n = np.bincount(bins, minlength=VOXEL_BINS)
    hits = np.bincount(bins[lesion], minlength=VOXEL_BINS)
    total = np.bincount(bins, values.astype(np.float64), VOXEL_BINS)
    return VoxelBins(
        tuple(n.tolist()), tuple(hits.tolist()), tuple(round(x, 6) for x in total.tolist())
    )


def calibrations(
    subjects: Sequence[SubjectRecord], counts: NDArray[np.float64]
) -> tuple[Calibration, ...]:
    """Calibration of voxels, and of clusters under every rule.

    Args:
        subjects: The evaluated subjects.
        counts: Bootstrap weights of the subjects, shape (draws, n).
    """
    found = [_of(VOXELS, "", _voxel_sums(subjects), counts, None)]
    ranked = all(s.ranked for s in subjects)
    for rule in Rule:
        sums = _cluster_sums(subjects, rule)
        wrong = [
            (c.score - (c.roles[rule] is not Role.FALSE)) ** 2 for s in subjects for c in s.clusters
        ]
        brier = float(np.mean(wrong)) if wrong else None
        found.append(_of(CLUSTERS, rule.value, sums if ranked else np.zeros_like(sums), counts,
                         brier if ranked else None))  # fmt: skip
    clusters = Case.NO_CLUSTERS if ranked else Case.NO_SCORES
    reasons = {VOXELS: Case.NO_PROBABILITIES, CLUSTERS: clusters}
    return tuple(
        c if c.ece is not None
        else replace(c, reason=(reasons[c.level] if subjects else Case.NO_SUBJECTS).value)
        for c in found
    )  # fmt: skip


def _voxel_sums(subjects: Sequence[SubjectRecord]) -> NDArray[np.float64]:
    """Voxels, lesion voxels and summed probability of each subject, shape (n, 3, bins)."""
    if not subjects or any(s.bins is None for s in subjects):
        return np.zeros((len(subjects), 3, 1))
    return np.array([[s.bins.n, s.bins.lesion, s.bins.total] for s in subjects if s.bins])


def _cluster_sums(subjects: Sequence[SubjectRecord], rule: Rule) -> NDArray[np.float64]:
    sums = np.zeros((len(subjects), 3, CLUSTER_BINS))
    for row, subject in enumerate(subjects):
        for cluster in subject.clusters:
            column = min(int(cluster.score * CLUSTER_BINS), CLUSTER_BINS - 1)
            hit = cluster.roles[rule] is not Role.FALSE
            sums[row, :, column] += (1, hit, cluster.score)
    return sums


def _of(
    level: str, rule: str, sums: NDArray[np.float64], counts: NDArray[np.float64],
    brier: float | None,
) -> Calibration:  # fmt: skip
    n, hits, total = sums.sum(axis=0) if len(sums) else np.zeros((3, 1))
    units = n.sum()
    value = float(np.abs(hits - total).sum() / units) if units else None
    interval = NO_INTERVAL
    if units:
        interval = bootstrap_of(sums.reshape(len(sums), -1), counts, _ece)
    return Calibration(
        level, rule, tuple(int(x) for x in n), _shares(total, n), _shares(hits, n), value,
        interval.low, interval.high, brier, "",
    )  # fmt: skip


def _ece(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    n, hits, total = np.moveaxis(flat.reshape(len(flat), 3, -1), 1, 0)
    units = n.sum(axis=1)
    error = np.abs(hits - total).sum(axis=1)
    return np.asarray(np.where(units > 0, error / np.maximum(units, 1), np.nan))


def _shares(tops: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(float(t / b) if b else None for t, b in zip(tops, n, strict=True))
