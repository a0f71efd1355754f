"""The primary endpoint: sensitivity at a rate of false positives, and the gap that an arm closes.

Sensitivity is read off the FROC curve: the largest share of patients with a found lesion with at
most so many false clusters per subject, patients and controls alike. An arm's is the mean of its
draws. Intervals: 2.5 and 97.5 % of bootstrap samples of test subjects, the same samples for all
arms and draws, the score threshold looked for anew in each. They speak of other subjects, and of
the draws at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.resampling import resampling_counts, strata_of, weights_of

LEVELS = (0.025, 0.975)
SMALLEST_GAP = 0.15
"""A gap below this is too small a denominator for a share of the gap."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Args:
        value: The number.
        low: Lower end, 95 %.
        high: Upper end.
        n: Test subjects behind it.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, value: float, draws: NDArray[np.float64], n: int) -> Estimate:
        """From the bootstrap's values."""
        low, high = np.quantile(draws, LEVELS)
        return cls(float(value), float(low), float(high), n)


@dataclass(frozen=True, eq=False)
class Curve:
    """What one detector did with each test subject, in the order of their ids.

    Args:
        patient: Whether each is one, shape (n,).
        best: Score of the best cluster that hits a lesion, -inf where none does, shape (n,).
        scores: Scores of the clusters that hit nothing, falling, shape (m,).
        owners: Whose they are, shape (m,).
    """

    patient: NDArray[np.bool_]
    best: NDArray[np.float64]
    scores: NDArray[np.float64]
    owners: NDArray[np.intp]

    @classmethod
    def of(cls, subjects: Sequence[SubjectRecord], rule: Rule) -> Curve:
        """Read it from the records of an evaluation."""
        rows = sorted(subjects, key=lambda s: s.id)
        best, scores, owners = [], [], []
        for number, s in enumerate(rows):
            found = [lesion.found[rule].score for lesion in s.lesions]
            best.append(max((x for x in found if x is not None), default=-np.inf))
            wrong = [c.score for c in s.clusters if c.roles[rule] is Role.FALSE]
            scores += wrong
            owners += [number] * len(wrong)
        order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
        return cls(
            np.array([s.is_patient for s in rows]), np.array(best, dtype=float),
            np.asarray(scores, dtype=float)[order], np.asarray(owners, dtype=np.intp)[order],
        )  # fmt: skip

    def sensitivity(self, rate: float, weights: NDArray[np.float64] | None = None) -> float:
        """Largest sensitivity with at most ``rate`` false clusters per subject.

        Args:
            rate: Mean number of false clusters allowed.
            weights: How often each subject counts, shape (n,); once when None.
        """
        kept, counted = self.found_at(rate, weights), weights
        if counted is None:
            counted = np.ones(len(self.best))
        return float((counted * kept).sum() / (counted * self.patient).sum())

    def found_at(
        self, rate: float, weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Which patients are found at that rate, shape (n,)."""
        if weights is None:
            weights = np.ones(len(self.best))
        over = np.cumsum(weights[self.owners]) > rate * weights.sum() + 1e-9
        # Cut just above the first false cluster that would be too many.
        level = self.scores[int(np.argmax(over))] if over.any() else -np.inf
        return np.asarray((self.best > level) & self.patient)

    @property
    def end(self) -> float:
        """False clusters per subject at which the curve ends."""
        return len(self.scores) / len(self.best)


@dataclass(frozen=True)
class Endpoint:
    """The endpoint of every arm on the same subjects.

    Args:
        records: Test subjects of each arm, a list a draw; candidates cut low.
        rule: The hit rule.
        rate: False clusters per subject.
        within_families: Whether the bootstrap draws subjects within families.
        draws: Bootstrap samples.
        seed: Their seed.

    Raises:
        CohortError: If the draws of an arm hold other test subjects than its others.
    """

    records: Mapping[str, Sequence[Sequence[SubjectRecord]]]
    rule: Rule
    rate: float
    within_families: bool = False
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for number in range(self.n_draws):
            ids = {tuple(sorted(s.id for s in runs[number])) for runs in self.records.values()}
            if len(ids) > 1:
                raise CohortError(
                    f"draw {number + 1}", "arms with different test subjects",
                    "the same test subjects in all arms", "Detect and evaluate them again.",
                )  # fmt: skip

    @property
    def n_draws(self) -> int:
        """Number of draws that all arms have."""
        return min(map(len, self.records.values()))

    @cached_property
    def subjects(self) -> list[SubjectRecord]:
        """All test subjects, each once, by id."""
        known = {s.id: s for runs in self.records.values() for run in runs for s in run}
        return [known[name] for name in sorted(known)]

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """How often each subject counts in each sample, shape (draws, n)."""
        if not self.within_families:
            return weights_of(self.subjects, self.draws, self.seed)
        strata = strata_of([(s.group.value, s.family) for s in self.subjects])
        return resampling_counts(strata, self.draws, self.seed)

    @cached_property
    def curves(self) -> Mapping[str, list[Curve]]:
        """The curves of each arm, one a draw."""
        return {
            arm: [Curve.of(run, self.rule) for run in runs[: self.n_draws]]
            for arm, runs in self.records.items()
        }

    @cached_property
    def _values(self) -> Mapping[str, tuple[float, NDArray[np.float64]]]:
        """Mean over draws of each arm, and the same in every sample."""
        place = {s.id: number for number, s in enumerate(self.subjects)}
        found = {}
        for arm, curves in self.curves.items():
            columns = [
                self.weights[:, [place[name] for name in sorted(s.id for s in run)]]
                for run in self.records[arm][: self.n_draws]
            ]
            value = float(np.mean([curve.sensitivity(self.rate) for curve in curves]))
            samples = [
                [curve.sensitivity(self.rate, row) for row in mine]
                for curve, mine in zip(curves, columns, strict=True)
            ]
            found[arm] = (value, np.mean(samples, axis=0))
        return found

    @property
    def n_patients(self) -> int:
        """Test patients."""
        return sum(s.is_patient for s in self.subjects)

    def sensitivity(self, arm: str) -> Estimate:
        """Sensitivity of an arm."""
        value, samples = self._values[arm]
        return Estimate.of(value, samples, self.n_patients)

    def samples(self, arm: str) -> NDArray[np.float64]:
        """Its sensitivity in each bootstrap sample, shape (draws,)."""
        return self._values[arm][1]

    def gain(self, arm: str, over: str) -> Estimate:
        """Difference of two arms, paired."""
        (a, first), (b, second) = self._values[over], self._values[arm]
        return Estimate.of(b - a, second - first, self.n_patients)

    def closed(self, arm: str, base: str, ceiling: str) -> Estimate | None:
        """Share of the gap from base to ceiling that an arm closes.

        None where the gap is below `SMALLEST_GAP` or its interval reaches 0: then a share says
        nothing. Samples with a gap below a tenth of the gap found are counted as such a tenth.
        """
        gap = self.gain(ceiling, base)
        if gap.value < SMALLEST_GAP or gap.low <= 0:
            return None
        (_, a), (_, b), (_, c) = (self._values[name] for name in (base, arm, ceiling))
        ratio = (b - a) / np.maximum(c - a, gap.value / 10)
        return Estimate.of(self.gain(arm, base).value / gap.value, ratio, self.n_patients)
