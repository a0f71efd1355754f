"""Entropy balancing: weights under which a sample has the moments of another one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

RIDGE = 0.1


def balanced(
    rows: NDArray[np.float64],
    target: NDArray[np.float64],
    groups: NDArray[np.int64],
    start: NDArray[np.float64],
    ridge: float = RIDGE,
) -> NDArray[np.float64]:
    """Weights of groups of rows, as near to given ones as their moments allow.

    Minimises the Kullback-Leibler divergence from the given weights subject to equal means,
    squares and products of all columns (Hainmueller 2012, Political Analysis 20:25), in its dual
    form. The ridge makes the equalities approximate: moments of a few rows are uncertain, and the
    weights need not follow them to the last digit.

    Args:
        rows: The sample to be weighted, shape (n, d).
        target: The sample whose moments count, shape (m, d).
        groups: Which group each row belongs to, 0 to g - 1, shape (n,). Rows of a group share its
            weight evenly.
        start: Weights of the groups to start from, positive, shape (g,).
        ridge: Strength of the ridge on the dual.

    Returns:
        Weights that sum to 1, shape (g,).
    """
    centre, scale = target.mean(axis=0), np.maximum(target.std(axis=0), 1e-6)
    own, wanted = (_moments((table - centre) / scale) for table in (rows, target))
    # Far tails would decide about everything.
    bound = 3.0
    count = np.bincount(groups, minlength=len(start)).astype(float)
    means = np.stack([np.bincount(groups, column.clip(-bound, bound), len(start)) / count
                      for column in own.T], axis=1)  # fmt: skip
    goal = wanted.clip(-bound, bound).mean(axis=0)
    log_start = np.log(start / start.sum())

    def dual(push: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = log_start + means @ push
        weights = special.softmax(score)
        value = float(special.logsumexp(score) - push @ goal + ridge / 2 * push @ push)
        return value, weights @ means - goal + ridge * push

    best = optimize.minimize(dual, np.zeros(means.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(special.softmax(log_start + means @ best.x))


def _moments(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns and their products with each other, shape (n, d + d (d + 1) / 2)."""
    first, second = np.triu_indices(table.shape[1])
    return np.concatenate([table, table[:, first] * table[:, second]], axis=1)
