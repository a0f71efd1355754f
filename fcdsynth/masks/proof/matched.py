"""Equal numbers: drawn against half of the real masks, beside the other half against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.progress import map_items
from fcdsynth.masks.proof.arrays import Masks, samples
from fcdsynth.masks.proof.examples import FEATURES, PLACE_COLUMNS, SHAPE_COLUMNS
from fcdsynth.measure.two_sample import (
    CLASSIFIERS,
    HEADLINE,
    classifier_test,
    count_test,
    energy_test,
    feature_tests,
    mmd_test,
    neighbours,
)

_FEWEST_PLACED = 4
_Job = tuple[Masks, Masks, Masks, int]


@dataclass(frozen=True, slots=True)
class Spread:
    """A statistic over the repeats.

    Args:
        mean: Mean.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Beside:
    """One statistic, drawn against real beside real against real.

    Args:
        drawn: Drawn masks against one half of the real ones.
        real: The other half against it.
    """

    drawn: Spread
    real: Spread


@dataclass(frozen=True)
class Matched:
    """The comparison on equal numbers.

    Args:
        n: Masks on each side.
        repeats: Number of splits.
        statistics: Each statistic by name.
        halves: Rows of the real masks in the first half of each split, for bands in plots.
    """

    n: int
    repeats: int
    statistics: Mapping[str, Beside]
    halves: tuple[tuple[int, ...], ...]


def compare_matched(
    drawn: Masks, real: Masks, repeats: int, seed: int, workers: int = 1
) -> Matched:
    """Split the real masks in two halves by patient, again and again, and compare.

    All three samples of a split are cut to one size, that of the smallest in any split.

    Args:
        drawn: Drawn masks.
        real: Real masks, of at least 8 groups.
        repeats: Number of splits.
        seed: Seed of splits, samples and classifiers.
        workers: Number of processes.
    """
    halves = _halves(real.groups, repeats, seed)
    n = min(len(drawn), *(len(half) for pair in halves for half in pair))
    rng = np.random.default_rng([seed, 1])
    jobs: list[_Job] = []
    for number, (a, b) in enumerate(halves):
        sides = (_some(drawn, n, rng), _some(real.take(a), n, rng), _some(real.take(b), n, rng))
        jobs.append((*sides, seed + number))
    found = map_items(_repeat, jobs, "comparing masks", workers)
    names = [k for k in found[0][0] if all(k in side for pair in found for side in pair)]
    return Matched(
        n,
        repeats,
        {k: Beside(*(_spread([pair[i][k] for pair in found]) for i in (0, 1))) for k in names},
        tuple(tuple(int(row) for row in a) for a, _ in halves),
    )


def statistics_of(a: Masks, b: Masks, seed: int = 0) -> dict[str, float]:
    """Every statistic of one side against another, without p values.

    Args:
        a: The side asked about.
        b: The reference.
        seed: Seed of folds and classifiers.
    """
    both = samples(a, b)
    found = {
        "mmd_shape": mmd_test(samples(a, b, SHAPE_COLUMNS), 0).statistic,
        "density": neighbours(both).density,
        "coverage": neighbours(both).coverage,
        "cramers_v_side": count_test(a.sides, b.sides, 0).cramers_v,
        "auroc_with_outside": classifier_test(
            samples(a, b, outside=True), HEADLINE, seed
        ).auroc,
    }  # fmt: skip
    found |= {f"auroc_{name}": classifier_test(both, name, seed).auroc for name in CLASSIFIERS}
    for test in feature_tests(a.values, b.values, FEATURES):
        if test.ks is not None and test.wasserstein is not None:
            found[f"ks/{test.name}"] = test.ks
            found[f"wasserstein/{test.name}"] = test.wasserstein
    a, b = a.placed, b.placed
    if min(len(a), len(b)) >= _FEWEST_PLACED:
        found["energy_place"] = energy_test(samples(a, b, PLACE_COLUMNS), 0).statistic
        found["cramers_v_lobe"] = count_test(a.lobes, b.lobes, 0).cramers_v
    return found


def _repeat(job: _Job) -> tuple[dict[str, float], dict[str, float]]:
    drawn, half, other, seed = job
    return statistics_of(drawn, other, seed), statistics_of(half, other, seed)


def _halves(
    groups: tuple[str, ...], repeats: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    rng = np.random.default_rng([seed, 0])
    names, index = np.unique(groups, return_inverse=True)
    halves = []
    for _ in range(repeats):
        own = np.isin(index, rng.permutation(len(names))[: len(names) // 2])
        halves.append((np.flatnonzero(own), np.flatnonzero(~own)))
    return halves


def _some(side: Masks, n: int, rng: np.random.Generator) -> Masks:
    """A sample of more than one group, as folds need."""
    while True:
        chosen = side.take(rng.permutation(len(side))[:n])
        if len(set(chosen.groups)) > 1:
            return chosen


def _spread(values: list[float]) -> Spread:
    low, high = np.quantile(values, [0.025, 0.975])
    return Spread(float(np.mean(values)), float(low), float(high))
