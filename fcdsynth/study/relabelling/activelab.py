"""ActiveLab: labelled and unlabelled items in one order, lowest first.

Goh and Mueller 2023 (arXiv:2301.11856), with CROWDLAB's consensus (Goh, Tkachenko, Mueller 2022,
arXiv:2210.06812); written from the formulas. With q_i the model's probability of the one label,

    labelled    (2 q_i + 1/K) / 3            unlabelled  (max_k p_k + 1/K) / 2

once some items have several labels, over those: P the mean share of annotators that agree with
the consensus, e_0 the error of always saying the commonest consensus, e_M that of the model, e_j
the disagreement of annotator j with the others;

    w_j = max(1e-6, 1 - e_j / e_0) ,  w_M = max(1e-6, 1 - e_M / e_0) sqrt(mean labels per item)
    p^(k) = (w_M p(k) + sum_j w_j P_j(k)) / (w_M + sum_j w_j) ,  P_j = P on j's label, rest even
    labelled    ((w_M + sum_j w_j) p^(consensus) + w/K) / (w_M + sum_j w_j + w)     w = mean w_j
    unlabelled  (w_M max_k p(k) + w/K) / (w_M + w)

The consensus is the majority, ties to the model, and then once more the class of largest p^.
Probabilities are out of sample and, in the second case, sharpened or softened by a temperature
that minimises the cross-entropy with the annotators' shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

_TINY = 1e-6
_SMALLEST_P = 1e-12
_TEMPERATURES = (0.1, 8.0)


@dataclass(frozen=True)
class ActiveLabScores:
    """What to annotate next: the lowest.

    Args:
        labelled: Score of each labelled item, shape (n,).
        unlabelled: Score of each unlabelled item, shape (m,).
        consensus: Consensus label of each labelled item, shape (n,).
    """

    labelled: NDArray[np.float64]
    unlabelled: NDArray[np.float64]
    consensus: NDArray[np.int64]


def score_activelab(
    given: NDArray[np.int64], labelled: NDArray[np.float64], unlabelled: NDArray[np.float64],
    temperature: float | None = None,
) -> ActiveLabScores:  # fmt: skip
    """Score labelled and unlabelled items.

    Args:
        given: Labels, one column per annotator (or per repeat), -1 where there is none, shape
            (n, annotators).
        labelled: Out-of-sample probabilities of the labelled items, shape (n, K).
        unlabelled: Probabilities of the unlabelled, shape (m, K).
        temperature: For tests; fitted when left out.
    """
    kinds = labelled.shape[1]
    has = given >= 0
    rows = np.arange(len(given))
    if (has.sum(axis=1) == 1).all():
        own = given[rows, has.argmax(axis=1)]
        q = labelled[rows, own]
        return ActiveLabScores(
            (2 * q + 1 / kinds) / 3, (unlabelled.max(axis=1) + 1 / kinds) / 2, own
        )
    used = given[:, has.any(axis=0)]
    t = best_temperature(used, labelled) if temperature is None else temperature
    p, p_new = scaled(labelled, t), scaled(unlabelled, t)
    consensus = majority(used, p)
    for _ in range(2):
        posterior, w_model, w = _crowdlab(used, p, consensus)
        quality = posterior[rows, consensus]
        last, consensus = consensus, posterior.argmax(axis=1)
    consensus = last
    total = w_model + (used >= 0) @ w
    mean = float(w.mean())
    return ActiveLabScores(
        (total * quality + mean / kinds) / (total + mean),
        (w_model * p_new.max(axis=1) + mean / kinds) / (w_model + mean),
        consensus,
    )


def _crowdlab(
    given: NDArray[np.int64], p: NDArray[np.float64], consensus: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Posterior (n, K), the model's weight, the annotators' weights."""
    kinds, has = p.shape[1], given >= 0
    count = has.sum(axis=1)
    several = count > 1
    agree = ((given == consensus[:, None]) & has).sum(axis=1) / count
    likely = float(agree[several].mean())
    kept = consensus[several]
    e_0 = max(float(np.mean(kept != np.bincount(kept, minlength=kinds).argmax())), _TINY)
    e_model = float(np.mean(p[several].argmax(axis=1) != kept))
    w = np.maximum(1 - (1 - _agreement(given)) / e_0, _TINY)
    w_model = max(1 - e_model / e_0, _TINY) * float(np.sqrt(count.mean()))
    votes = np.zeros_like(p)
    for column, weight in enumerate(w):
        mine = has[:, column]
        votes[mine] += weight * (1 - likely) / (kinds - 1)
        votes[mine, given[mine, column]] += weight * (likely - (1 - likely) / (kinds - 1))
    total = w_model + has @ w
    return (w_model * p + votes) / total[:, None], w_model, w


def _agreement(given: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each annotator's agreement with the others, per pair; the mean where it met none."""
    has = given >= 0
    same = np.zeros(given.shape[1])
    met = np.zeros(given.shape[1])
    for column in range(given.shape[1]):
        mine = has[:, column]
        others = np.delete(given[mine], column, axis=1)
        same[column] = (others == given[mine, column][:, None]).sum()
        met[column] = (others >= 0).sum()
    found = same[met > 0] / met[met > 0]
    out = np.full(len(met), float(found.mean()))
    out[met > 0] = found
    return out


def majority(given: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Commonest label of each item, ties to the model's probability, shape (n,)."""
    counts = label_counts(given, p.shape[1])
    tied = counts == counts.max(axis=1, keepdims=True)
    return np.asarray(np.where(tied, p, -1.0).argmax(axis=1))


def label_counts(given: NDArray[np.int64], kinds: int) -> NDArray[np.float64]:
    """How often each label was given, shape (n, K); -1 is no label."""
    counts = np.zeros((len(given), kinds))
    rows, columns = np.nonzero(given >= 0)
    np.add.at(counts, (rows, given[rows, columns]), 1)
    return counts


def scaled(p: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities sharpened (below 1) or softened (above 1)."""
    return np.asarray(softmax(np.log(np.maximum(p, _SMALLEST_P)) / temperature, axis=1))


def best_temperature(given: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    """Temperature of least cross-entropy between the annotators' shares and the model."""
    counts = label_counts(given, p.shape[1])
    shares = counts / counts.sum(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        q = np.maximum(scaled(p, float(np.exp(log_temperature))), _SMALLEST_P)
        return -float((shares * np.log(q)).sum(axis=1).mean())

    low, high = np.log(_TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
