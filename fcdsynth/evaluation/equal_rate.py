"""Two arms at one rate of false positives: is a gain more than a step along the curve?

An arm whose curve ends before the rate cannot be compared there. So that something can, the
highest rate that every run reaches is compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.comparison import PairedFigure
from fcdsynth.evaluation.empty import unranked
from fcdsynth.evaluation.fixed_rate import (
    MOST_THRESHOLDS,
    figure_name,
    recall_at,
    table_of,
    thresholds,
)
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import NO_INTERVAL, bootstrap_of
from fcdsynth.evaluation.statistics.resampling import units_of

COMPARED_RATES = (0.5, 1.0)
COMMON = "lesion_recall_at_common_fp_per_control"
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
    missing = unranked(everyone)
    if missing is not None:
        return [
            PairedFigure.none(name, rule.value, "subjects", missing.value)
            for name in (*map(figure_name, COMPARED_RATES), COMMON)
        ]
    # Each run brings its own thresholds: pooled, a run with few clusters would get next to none.
    runs = [side for arm in (0, 1) for side in zip(*(pair[arm] for pair in pairs), strict=True)]
    own = [thresholds(run, MOST_THRESHOLDS) for run in runs]
    scores = np.unique(np.concatenate(own))
    end = min(_end(run, rule) for run in runs)
    arms = [
        [table_of(runs, rule, scores) for runs in zip(*(pair[arm] for pair in pairs), strict=True)]
        for arm in (0, 1)
    ]
    families = [runs[0].family for runs, _ in pairs]
    figures = []
    for rate in COMPARED_RATES:
        if rate <= end:
            figures.append(_figure(figure_name(rate), rate, rule, arms, counts, families, seed))
        else:
            reason = f"a run ends at {end:.2f} false positives per control"
            figures.append(PairedFigure.none(figure_name(rate), rule.value, "subjects", reason))
    return [*figures, _figure(COMMON, end, rule, arms, counts, families, seed)]


def _end(run: Runs, rule: Rule) -> float:
    """False positives per control at the operating point, where the curve of a run ends."""
    controls = [s for s in run if not s.is_patient]
    return sum(s.n_role(rule, Role.FALSE) for s in controls) / len(controls)


def _figure(
    name: str, rate: float, rule: Rule, arms: Sequence[Sequence[NDArray[np.float64]]],
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
    alike = len(first) == len(second) and all(
        np.array_equal(one, other) for one, other in zip(first, second, strict=True)
    )
    interval = NO_INTERVAL if alike else bootstrap_of(table, counts, difference)
    p, test = None, f"at {rate:.2f} per control; no p, as the arms have other numbers of seeds"
    if len(first) == len(second):
        p = _swapped(table, difference, families, len(counts), seed)
        test = f"{TEST}, at {rate:.2f} per control"
    value_a, value_b = float(mean(a, len(first))[0]), float(mean(b, len(second))[0])
    return PairedFigure(
        name, rule.value, value_a, value_b, value_b - value_a, interval.low,
        interval.high, len(table), "subjects", 0, 0, p, test, (), (),
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
