"""Areas under ROC curves: how much each subject moves them, and two arms on the same subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fcdsynth.evaluation.statistics.resampling import units_of


def influence(
    positives: ArrayLike, negatives: ArrayLike
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Area under the ROC curve and the structural components of DeLong et al. (1988).

    Args:
        positives: Scores of patients, shape (m,), m at least 1.
        negatives: Scores of controls, shape (n,), n at least 1.

    Returns:
        The area (ties count half), and for each patient and each control the share of the other
        group that it is ordered rightly against, less the area.
    """
    x, y = np.asarray(positives, dtype=float), np.asarray(negatives, dtype=float)
    wins = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    area = float(wins.mean())
    return area, wins.mean(axis=1) - area, wins.mean(axis=0) - area


def area_variance(
    patients: NDArray[np.float64], controls: NDArray[np.float64], families: Sequence[str] | None
) -> float:
    """Variance of an area, or of a difference of areas, from its components.

    Args:
        patients: Components of patients, shape (m,), m at least 2.
        controls: Components of controls, shape (n,), n at least 2.
        families: Family of each patient, then of each control; empty for one on its own. With
            families the components are summed within each (Obuchowski 1997).
    """
    if families is None or not any(families):
        return float(
            patients.var(ddof=1) / len(patients) + controls.var(ddof=1) / len(controls)
        )  # fmt: skip
    parts = np.concatenate([patients / len(patients), controls / len(controls)])
    sums = np.bincount(units_of(families), parts)
    return float((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))


def area_difference(
    a: tuple[ArrayLike, ArrayLike],
    b: tuple[ArrayLike, ArrayLike],
    families: Sequence[str] | None = None,
) -> tuple[float, float, float, float | None]:
    """Two areas on the same subjects, compared by the paired test of DeLong et al. (1988).

    Args:
        a: Scores of patients, shape (m,), and of controls, shape (n,), in the first arm.
        b: The same in the second arm, in the same order.
        families: Family of each patient, then of each control; empty for one on its own.

    Returns:
        Area in the first arm, in the second, standard error of the difference (0 where it
        cannot be told), and the two-sided p value: 1 when no component differs, None when the
        areas differ but nothing varies or a group holds fewer than two subjects.
    """
    one, patients_a, controls_a = influence(*a)
    other, patients_b, controls_b = influence(*b)
    patients, controls = patients_b - patients_a, controls_b - controls_a
    if min(len(patients), len(controls)) < 2:
        return one, other, 0.0, None
    error = float(np.sqrt(area_variance(patients, controls, families)))
    if error < 1e-12:
        return one, other, 0.0, 1.0 if abs(other - one) < 1e-12 else None
    return one, other, error, float(2 * stats.norm.sf(abs(other - one) / error))
