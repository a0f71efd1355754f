"""Means over seeds, and paired differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from scipy.stats import t as student

from fcdsynth.study.relabelling.methods import Method
from fcdsynth.study.relabelling.noise import NoiseSettings
from fcdsynth.study.relabelling.protocol import Curve
from fcdsynth.study.relabelling.runs import Job, job_of

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """A mean paired difference over seeds.

    Args:
        value: The mean.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Seeds.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """Whether the interval leaves out 0: ``helps``, ``harms`` or ``nothing measurable``."""
        if self.low > 0:
            return "helps"
        return "harms" if self.high < 0 else "nothing measurable"


def paired_difference(mine: ArrayLike, theirs: ArrayLike) -> Difference:
    """Mean difference over seeds with its bootstrap interval.

    The percentile interval of a small sample is too narrow; its tails are moved outwards by the
    t distribution and by n / (n - 1) (Hesterberg 2015, "What teachers should know about the
    bootstrap", the expanded percentile interval).

    Args:
        mine: One value per seed, shape (n,).
        theirs: The same seeds, shape (n,).
    """
    each = np.asarray(mine, dtype=float) - np.asarray(theirs, dtype=float)
    n, mean = len(each), float(each.mean())
    if n < 2:
        return Difference(mean, float("-inf"), float("inf"), n)
    tail = norm.cdf(-np.sqrt(n / (n - 1)) * student.ppf(0.975, n - 1))
    rows = np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
    low, high = np.quantile(each[rows].mean(axis=1), [tail, 1 - tail])
    return Difference(mean, float(low), float(high), n)


@dataclass(frozen=True)
class Row:
    """A method under one noise, over seeds.

    Args:
        method: Name of the method.
        n: Seeds.
        accuracy: Final accuracy on the test set.
        sd: Its standard deviation over seeds.
        area: Mean accuracy over the learning curve, by annotations.
        wrong: Share of the final labels that are wrong.
        wrong_training: The same among those that train.
        withheld: Share of the labels that do not train.
        looks: Second looks.
        hit_rate: Share of them at a wrong label; NaN without any.
        break_even: Hit rate at which a replacing look neither cleans nor harms.
        repaired: Wrong labels made right.
        damaged: Right labels made wrong.
        most_looks: Largest number of annotations of one item, over seeds.
        items: Items with a label.
        seconds: Wall time of a run.
        over_none: Accuracy against margin learning without second looks.
        over_activelab: Accuracy against ActiveLab.
        purity: Share of right labels against no second looks.
    """

    method: str
    n: int
    accuracy: float
    sd: float
    area: float
    wrong: float
    wrong_training: float
    withheld: float
    looks: float
    hit_rate: float
    break_even: float
    repaired: float
    damaged: float
    most_looks: int
    items: float
    seconds: float
    over_none: Difference | None
    over_activelab: Difference | None
    purity: Difference | None


class Cell:
    """All methods on one set under one noise.

    Args:
        data: Name of the set.
        noise: The noise.
        methods: What was compared.
        seeds: Seeds.
        curves: All runs.
    """

    def __init__(
        self, data: str, noise: NoiseSettings, methods: Sequence[Method], seeds: Sequence[int],
        curves: Mapping[Job, Curve],
    ) -> None:  # fmt: skip
        self.data, self.noise, self.methods, self.seeds = data, noise, methods, seeds
        self._curves = {
            method.name: [curves[job_of(data, method, noise, seed)] for seed in seeds]
            for method in methods
        }

    @property
    def name(self) -> str:
        """As a file name: set, kind, percent, reader."""
        noise = self.noise
        return f"{self.data}-{noise.kind}-{round(100 * noise.rate)}-{noise.reader}"

    def curves(self, method: str) -> list[Curve]:
        """Runs of a method, by seed."""
        return self._curves[method]

    def has(self, *methods: str) -> bool:
        """Whether all of these were run."""
        return all(name in self._curves for name in methods)

    def accuracy(self, method: str) -> list[float]:
        """Final accuracies, by seed."""
        return [curve.accuracy[-1] for curve in self._curves[method]]

    def versus(self, mine: str, theirs: str) -> Difference | None:
        """Paired difference of final accuracy; None where one was not run."""
        if not self.has(mine, theirs):
            return None
        return paired_difference(self.accuracy(mine), self.accuracy(theirs))

    def purity_versus(self, mine: str, theirs: str) -> Difference | None:
        """Paired difference of the share of right labels."""
        if not self.has(mine, theirs):
            return None
        pure = [[1 - curve.wrong[-1] for curve in self._curves[name]] for name in (mine, theirs)]
        return paired_difference(pure[0], pure[1])

    def row(self, method: Method) -> Row:
        """The method's line of the table."""
        runs = self._curves[method.name]
        final = np.array([run.accuracy[-1] for run in runs])
        looks = sum(run.looks for run in runs)
        name = method.name
        return Row(
            method=name,
            n=len(runs),
            accuracy=float(final.mean()),
            sd=float(final.std(ddof=1)) if len(runs) > 1 else 0.0,
            area=float(np.mean([area(run) for run in runs])),
            wrong=float(np.mean([run.wrong[-1] for run in runs])),
            wrong_training=float(np.mean([run.wrong_training for run in runs])),
            withheld=float(np.mean([run.withheld for run in runs])),
            looks=looks / len(runs),
            hit_rate=sum(run.hits for run in runs) / looks if looks else float("nan"),
            break_even=self.noise.second_error,
            repaired=float(np.mean([run.repaired for run in runs])),
            damaged=float(np.mean([run.damaged for run in runs])),
            most_looks=max(run.most_looks for run in runs),
            items=float(np.mean([run.items for run in runs])),
            seconds=float(np.mean([run.seconds for run in runs])),
            over_none=self.versus(name, "none"),
            over_activelab=self.versus(name, "activelab"),
            purity=self.purity_versus(name, "none"),
        )

    @cached_property
    def rows(self) -> list[Row]:
        """The table, in the order of the methods."""
        return [self.row(method) for method in self.methods]


def area(curve: Curve) -> float:
    """Mean height of accuracy over annotations (trapezoids)."""
    x = np.array(curve.annotations, dtype=float)
    return float(np.trapezoid(curve.accuracy, x) / (x[-1] - x[0]))
