"""Which cluster found which lesion under a rule, and what every cluster counts as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fcdsynth.evaluation.pairs import Pairs
from fcdsynth.evaluation.rules import Rule


class Role(StrEnum):
    """What a cluster counts as.

    ``true`` found a lesion. ``extra`` hits a lesion that another cluster already found: it is
    neither a true nor a false positive, and is counted apart. ``false`` hits none.
    """

    TRUE = "true"
    EXTRA = "extra"
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome for one subject under one rule.

    Args:
        found_by: For each lesion the index of the cluster that found it, None when missed.
        roles: For each cluster what it counts as.
    """

    found_by: tuple[int | None, ...]
    roles: tuple[Role, ...]


def match(rule: Rule, pairs: Pairs, scores: Sequence[float]) -> Match:
    """Match clusters to lesions.

    Where the rule is one to one, the matching is maximum and, among maximum ones, of the
    highest scores, then of the best fit. Cluster weights form a transversal matroid (Edmonds
    and Fulkerson 1965), so dropping all clusters below any threshold leaves a maximum matching
    of the rest: one matching serves every point of a FROC curve. Otherwise each lesion is found
    by the hit of the highest score, and a cluster may find several lesions.

    Args:
        rule: The hit rule.
        pairs: Measurements, arrays of shape (lesions, clusters).
        scores: Score of each cluster.
    """
    hits = rule.hits(pairs)
    n_lesions, n_clusters = hits.shape
    found_by: list[int | None] = [None] * n_lesions
    if hits.any():
        weights = _weights(rule, pairs, scores, hits)
        if rule.one_to_one:
            rows, columns = linear_sum_assignment(weights, maximize=True)
        else:
            rows, columns = np.arange(n_lesions), weights.argmax(axis=1)
        for row, column in zip(rows, columns, strict=True):
            if hits[row, column]:
                found_by[row] = int(column)
    finders = set(found_by)
    roles = tuple(
        Role.TRUE if c in finders else Role.EXTRA if hits[:, c].any() else Role.FALSE
        for c in range(n_clusters)
    )
    return Match(tuple(found_by), roles)


def _weights(
    rule: Rule, pairs: Pairs, scores: Sequence[float], hits: NDArray[np.bool_]
) -> NDArray[np.float64]:
    # Ranks, not scores: a score of 0 must still be worth a match. All fits together weigh less
    # than one rank, so they decide only between equal scores.
    _, rank = np.unique(np.asarray(scores, dtype=float), return_inverse=True)
    fit = rule.closeness(pairs) / (2 * min(hits.shape) + 1)
    return np.where(hits, rank[None, :] + 1.0 + fit, 0.0)
