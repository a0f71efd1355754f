"""Two arms at one rate of false positives: is a gain more than a step along the curve?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.comparison import PairedFigure
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.fixed_rate import figure_name, recall_at, table_of, thresholds
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import bootstrap_of
from fcdsynth.evaluation.statistics.resampling import units_of

COMPARED_RATES = (0.5, 1.0)
TEST = "permutation of arms within subjects"
Runs = Sequence[SubjectRecord]
"""Records of one subject, one for each seed of an arm."""


def at_equal_rates(
    pairs: Sequence[tuple[Runs, Runs]], rule: Rule, counts: NDArray[np.float64], seed: int
) -> list[PairedFigure]:
    """Difference in lesion recall where both arms are cut at the same rate of false positives.

    Each arm gets the threshold that keeps the rate in the controls at hand, anew in every
    bootstrap sample and in every permutation. p is that of swapping the arms within subjects,
    families together (as many swaps as bootstrap samples); seeds of an arm are averaged.

    Args:
        pairs: Patients and controls, each with its records in both arms; as many seeds in both,
            else there is no p.
        rule: The hit rule.
        counts: Bootstrap weights of the subjects, shape (draws, n).
        seed: Seed of the swaps.
    """
    everyone = [one for pair in pairs for runs in pair for one in runs]
    missing = None
    if not any(s.is_patient for s in everyone):
        missing = Case.NO_PATIENTS
    elif all(s.is_patient for s in everyone):
        missing = Case.NO_CONTROLS
    elif not all(s.ranked for s in everyone):
        missing = Case.BINARY_MAPS
    if missing is not None:
        return [PairedFigure.none(figure_name(r), rule.value, "subjects", missing.value)
                for r in COMPARED_RATES]  # fmt: skip
    scores = thresholds(everyone)
    arms = [
        [table_of(runs, rule, scores) for runs in zip(*(pair[arm] for pair in pairs), strict=True)]
        for arm in (0, 1)
    ]
    families = [runs[0].family for runs, _ in pairs]
    return [_figure(rate, rule, arms, counts, families, seed) for rate in COMPARED_RATES]


def _figure(
    rate: float, rule: Rule, arms: Sequence[Sequence[NDArray[np.float64]]],
    counts: NDArray[np.float64], families: Sequence[str], seed: int,
) -> PairedFigure:  # fmt: skip
    first, second = arms
    width = first[0].shape[1]

    def mean(summed: NDArray[np.float64], seeds: int) -> NDArray[np.float64]:
        parts = np.split(summed, seeds, axis=1)
        return np.asarray(np.mean([recall_at(part, rate) for part in parts], axis=0))

    def difference(summed: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = np.split(summed, [width * len(first)], axis=1)
        return mean(b, len(second)) - mean(a, len(first))

    table = np.concatenate([*first, *second], axis=1)
    whole = table.sum(axis=0, keepdims=True)
    a, b = np.split(whole, [width * len(first)], axis=1)
    interval = bootstrap_of(table, counts, difference)
    p = None
    if len(first) == len(second):
        p = _swapped(table, difference, families, len(counts), seed)
    value_a, value_b = float(mean(a, len(first))[0]), float(mean(b, len(second))[0])
    return PairedFigure(
        figure_name(rate), rule.value, value_a, value_b, value_b - value_a, interval.low,
        interval.high, len(table), "subjects", 0, 0, p, "none" if p is None else TEST, (), (),
        interval=interval.method,
    )  # fmt: skip


def _swapped(
    table: NDArray[np.float64],
    difference: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    families: Sequence[str],
    draws: int,
    seed: int,
) -> float:
    """Two-sided p of swapping the two halves of the columns within units."""
    a, b = np.split(table, 2, axis=1)
    observed = float(difference(table.sum(axis=0, keepdims=True))[0])
    units = units_of(families)
    rng = np.random.default_rng([seed, 3])
    swap = rng.integers(0, 2, (draws, units.max() + 1)).astype(float)[:, units]
    moved = swap @ (b - a)
    values = difference(np.concatenate([a.sum(0) + moved, b.sum(0) - moved], axis=1))
    return float((1 + np.sum(np.abs(values) >= abs(observed) - 1e-12)) / (1 + draws))
