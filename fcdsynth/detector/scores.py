"""Calibration of cluster scores: from the probability of voxels to that of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import expit, logit

from fcdsynth.core.grid import Grid
from fcdsynth.measure.clusters import expected_share
from fcdsynth.measure.components import label_components

CANDIDATE_THRESHOLD = 0.1
CANDIDATE_ML = 0.05
_FEWEST = 5
_LEAST = 1e-6
_SLOPES = (0.05, 10.0)
_INTERCEPTS = (-10.0, 10.0)


@dataclass(frozen=True)
class Candidate:
    """A cluster of a validation subject.

    Args:
        raw: Its raw score, see `expected_share`.
        hit: Whether it overlaps the lesion mask.
    """

    raw: float
    hit: bool


def candidates_in(
    probability: NDArray[np.float32], lesion: NDArray[np.bool_], grid: Grid
) -> list[Candidate]:
    """All clusters of a map above a low threshold, scored as `find_clusters` scores them.

    Args:
        probability: Calibrated map, (x, y, z).
        lesion: Lesion mask, (x, y, z); empty in controls.
        grid: Their grid.
    """
    labels, components = label_components(probability >= CANDIDATE_THRESHOLD, grid, CANDIDATE_ML)
    if not components:
        return []
    numbers = [c.label for c in components]
    inside = ndimage.sum_labels(lesion, labels.array, numbers) > 0
    boxes = ndimage.find_objects(labels.array)
    found = []
    for number, hit in zip(numbers, inside, strict=True):
        box = boxes[number - 1]
        values = probability[box][labels.array[box] == number]
        found.append(Candidate(expected_share(values, grid.voxel_ml), bool(hit)))
    return found


def fit_scores(candidates: Sequence[Candidate]) -> tuple[float, float]:
    """Slope and intercept that turn log odds of raw scores into those of a hit (Platt 1999).

    A network's voxels may be calibrated and its clusters not: a false cluster is one that the
    network is sure of. The slope is held near 1 by a normal prior of SD 1, for validation
    subjects are few, and stays above 0, so that the order of clusters stays.

    Args:
        candidates: Clusters of the validation subjects.

    Returns:
        (1, 0) with fewer than five hits or five false clusters.
    """
    hits = sum(c.hit for c in candidates)
    false = len(candidates) - hits
    if min(hits, false) < _FEWEST:
        return 1.0, 0.0
    odds = logit(np.clip([c.raw for c in candidates], _LEAST, 1 - _LEAST))
    # Platt's targets: certainty is not learned from finitely many.
    target = np.where([c.hit for c in candidates], (hits + 1) / (hits + 2), 1 / (false + 2))

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, intercept = line
        x = slope * odds + intercept
        value = float((np.logaddexp(0, x) - target * x).sum() + (slope - 1) ** 2 / 2)
        error = expit(x) - target
        return value, np.array([float(error @ odds) + slope - 1, float(error.sum())])

    best = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=(_SLOPES, _INTERCEPTS))
    slope, intercept = (round(float(v), 4) for v in best.x)
    return slope, intercept
