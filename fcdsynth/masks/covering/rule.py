"""When a cell is thin, and how many lesions it lacks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

ALPHA = 0.05
RARE = 0.001


class State(StrEnum):
    """How a cell stands."""

    ENOUGH = "enough"
    FEW = "few"
    SHORT = "short"
    RARE = "rare"


@dataclass(frozen=True)
class Verdict:
    """What is thought of one count.

    Args:
        observed: Lesions counted.
        expected: Lesions that the law leads one to expect among all those counted.
        chance: Probability of so few or fewer if the law holds (binomial).
        wanted: Lesions there should be.
        state: How it stands.
    """

    observed: int
    expected: float
    chance: float
    wanted: int
    state: State

    @property
    def missing(self) -> int:
        """How many more would be needed."""
        return max(0, self.wanted - self.observed)


def judge(
    observed: int, share: float, n: int, at_least: int, share_at_site: float = 1.0
) -> Verdict:
    """Judge one count.

    A cell is *short* when so few lesions would come by chance in at most 5 % of cohorts that
    follow the law; it then wants the expected number, and never less than ``at_least``. Else it
    is *few* when it holds less than ``at_least``. A kind that makes up less than one in 1,000
    lesions of a site is *rare*, and nothing is wanted.

    Args:
        observed: Lesions counted in the cell.
        share: Share of lesions that the law puts there.
        n: Lesions counted in all cells.
        at_least: Lesions that every cell should hold.
        share_at_site: Share of the site's own lesions that the law puts there.
    """
    expected = n * share
    chance = float(stats.binom.cdf(observed, n, share))
    if share_at_site < RARE:
        return Verdict(observed, expected, chance, 0, State.RARE)
    if chance <= ALPHA:
        # At 5 % the expected number is far above the observed one, however it is rounded.
        wanted = max(at_least, math.floor(expected + 0.5))
        return Verdict(observed, expected, chance, wanted, State.SHORT)
    state = State.FEW if observed < at_least else State.ENOUGH
    return Verdict(observed, expected, chance, at_least, state)


def false_alarm(share: float, n: int) -> float:
    """Probability that a cell is called short although the law holds: at most 5 %."""
    most = int(stats.binom.ppf(ALPHA, n, share))
    if stats.binom.cdf(most, n, share) > ALPHA:
        most -= 1
    return 0.0 if most < 0 else float(stats.binom.cdf(most, n, share))
