"""The smallest effect a sample could have shown: what "no difference" is worth.

Two answers: the smallest observed difference that would have been significant at all, and the
smallest true difference that would have been found in four of five such samples (power 80 %, two-
sided 0.05). Subjects are taken as independent; with families, both are too small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.power import TTestPower

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.outcomes import Outcome, outcomes_of, site_outcomes

ALPHA, POWER = 0.05, 0.8
# Discordant shares that are assumed as long as no second arm has been seen.
ASSUMED_DISCORDANT = (0.1, 0.2)
# Correlation of a subject's values in two arms, likewise.
ASSUMED_CORRELATION = 0.5
# Efficiency of the Wilcoxon signed-rank test relative to t for normal differences (Pitman 1948).
WILCOXON_EFFICIENCY = 3 / np.pi


@dataclass(frozen=True, slots=True)
class SmallestEffect:
    """What a sample could have shown for one figure.

    Args:
        name: The figure.
        rule: Hit rule, empty where it does not matter.
        unit: What the subjects are.
        n: Pairs; for ``two groups``, subjects in each.
        design: ``paired`` (two arms on these subjects) or ``two groups`` (these subjects
            against as many others).
        test: The test that is meant.
        spread: The assumption: discordant share, SD of the differences, or the share in the
            first group; None where nothing could be assumed.
        source: Where the assumption comes from.
        smallest_significant: Smallest observed difference with p below 0.05; None when even the
            largest possible one has none.
        smallest_found: Smallest true difference found with 80 % power; None when none is.
        power_observed: Power for the difference that was observed; None where none was.
        reason: The empty-set case met, or empty.
    """

    name: str
    rule: str
    unit: str
    n: int
    design: str
    test: str
    spread: float | None
    source: str
    smallest_significant: float | None
    smallest_found: float | None
    power_observed: float | None
    reason: str = ""


def fewest_gained(n: int) -> int | None:
    """The fewest subjects gained, none lost, with an exact McNemar p below 0.05.

    ``2 * 0.5 ** 6 = 0.031`` and ``2 * 0.5 ** 5 = 0.0625``, so six, when there are as many.
    """
    fewest = int(np.ceil(np.log2(2 / ALPHA)))
    return fewest if n >= fewest else None


@lru_cache(maxsize=4096)
def mcnemar_power(n: int, discordant: float, difference: float) -> float:
    """Power of the two-sided exact McNemar test at 0.05, by enumeration.

    The number of discordant pairs is binomial; given it, so is the number gained.

    Args:
        n: Pairs.
        discordant: Share of pairs gained or lost, in [0, 1].
        difference: Share gained less share lost; at most ``discordant`` in size.
    """
    if discordant <= 0:
        return 0.0
    k = np.arange(n + 1)
    # Largest c with P(X <= c) <= alpha / 2 among k fair coins; -1 where there is none.
    most = stats.binom.ppf(ALPHA / 2, k, 0.5)
    most -= stats.binom.cdf(most, k, 0.5) > ALPHA / 2
    gained = min(1.0, (1 + difference / discordant) / 2)
    rejected = stats.binom.cdf(most, k, gained) + stats.binom.cdf(most, k, 1 - gained)
    return float(stats.binom.pmf(k, n, discordant) @ rejected)


def paired_shares(
    outcome: Outcome, n: int, discordant: float, source: str, observed: float | None = None
) -> SmallestEffect:
    """For two arms whose subjects are found or missed.

    A difference cannot exceed the discordant share: where it would have to, pairs are taken as
    gained only.

    Args:
        outcome: What is compared.
        n: Pairs.
        discordant: Share of pairs gained or lost.
        source: Where that share comes from.
        observed: Share gained less share lost, None when no second arm has been seen.
    """

    def short(difference: float) -> float:
        return mcnemar_power(n, max(discordant, difference), difference) - POWER

    fewest = fewest_gained(n)
    return SmallestEffect(
        outcome.name, outcome.rule_name, outcome.unit, n, "paired", "exact McNemar", discordant,
        source, None if fewest is None else fewest / n, _root(short, 1.0),
        None if observed is None else mcnemar_power(n, discordant, abs(observed)),
    )  # fmt: skip


def paired_means(
    outcome: Outcome, n: int, sd: float, source: str, observed: float | None = None
) -> SmallestEffect:
    """For two arms with a number for each subject: power of t at the Wilcoxon test's efficiency.

    Below six pairs the signed-rank test cannot reach 0.05, as McNemar's, so nothing is given.

    Args:
        outcome: What is compared.
        n: Pairs.
        sd: Standard deviation of the differences.
        source: Where it comes from.
        observed: Observed mean difference, None when no second arm has been seen.
    """
    name = (outcome.name, outcome.rule_name, outcome.unit, n, "paired", "Wilcoxon signed-rank")
    pairs = n * WILCOXON_EFFICIENCY
    if fewest_gained(n) is None or not sd > 0:
        return SmallestEffect(*name, sd, source, None, None, None)

    def power(difference: float) -> float:
        found = TTestPower().power(difference / sd, pairs, ALPHA)
        return float(np.nan_to_num(found, nan=1.0))

    least = float(stats.t.ppf(1 - ALPHA / 2, pairs - 1) * sd / np.sqrt(pairs))
    found = _root(lambda difference: power(difference) - POWER, 20 * least)
    return SmallestEffect(
        *name, sd, source, least, found,
        None if observed is None else power(abs(observed)),
    )  # fmt: skip


def two_shares(outcome: Outcome, count: int, n: int) -> SmallestEffect:
    """For these subjects against as many others, found or missed.

    The other group is taken as better below one half and as worse above, where a difference has
    room. Significance by Fisher's exact test; power by the arcsine approximation (Cohen 1988)
    with the continuity correction of n that makes it hold for Fisher's test (Fleiss, Tytun &
    Ury 1980).

    Args:
        outcome: What is compared.
        count: Successes in this group.
        n: Subjects in each group.
    """
    share = count / n
    sign = 1 if share <= 0.5 else -1
    wanted = (stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)) * np.sqrt(2)

    def short(difference: float) -> float:
        root_n = max(n * difference - 1, 0.0) / np.sqrt(n) / max(difference, 1e-12)
        ends = np.arcsin(np.sqrt(np.clip([share, share + sign * difference], 0, 1)))
        return float(2 * abs(ends[1] - ends[0]) * root_n - wanted)

    # p only falls with the distance, so the first significant count can be bisected.
    others = range(count + 1, n + 1) if sign > 0 else range(count - 1, -1, -1)
    other = _first(others, lambda k: _fisher(count, k, n) < ALPHA)
    significant = None if other is None else abs(other - count) / n
    found = None if other is None else _root(short, max(share, 1 - share))
    return SmallestEffect(
        outcome.name, outcome.rule_name, outcome.unit, n, "two groups", "Fisher's exact", share,
        "the share found here", significant, found, None,
    )  # fmt: skip


def smallest_effects(subjects: Sequence[SubjectRecord]) -> tuple[SmallestEffect, ...]:
    """What one report alone could show, against other subjects or against a second arm.

    Args:
        subjects: The evaluated subjects.

    Returns:
        For found or missed, and for clean or not: against as many other subjects, and paired
        with 10 and 20 % of discordant pairs. For false positives and site probability: paired,
        the SD of differences being that of two values that correlate by 0.5.
    """
    outcomes = [outcome for rule in Rule for outcome in outcomes_of(rule)]
    return tuple(effect for o in (*outcomes, *site_outcomes()) for effect in _alone(o, subjects))


def _alone(outcome: Outcome, subjects: Sequence[SubjectRecord]) -> list[SmallestEffect]:
    members = [s for s in subjects if s.is_patient == outcome.patients]
    values = np.array([outcome.value(s) for s in members], dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        empty = Case.NO_PROBABILITIES
        if not members:
            empty = Case.NO_PATIENTS if outcome.patients else Case.NO_CONTROLS
        return [
            SmallestEffect(outcome.name, outcome.rule_name, outcome.unit, 0, "paired", "none",
                           None, "", None, None, None, empty.value)
        ]  # fmt: skip
    if outcome.binary:
        assumed = [paired_shares(outcome, n, d, "assumed") for d in ASSUMED_DISCORDANT]
        return [two_shares(outcome, round(values.sum()), n), *assumed]
    sd = float(values.std(ddof=1)) * np.sqrt(2 * (1 - ASSUMED_CORRELATION)) if n > 1 else 0.0
    source = f"SD here, correlation of {ASSUMED_CORRELATION:g} between arms assumed"
    return [paired_means(outcome, n, float(sd), source)]


def _fisher(a: int, b: int, n: int) -> float:
    return float(stats.fisher_exact([[a, n - a], [b, n - b]])[1])


def _first(numbers: Sequence[int], true: Callable[[int], bool]) -> int | None:
    """The first of some numbers from which on something is true, None when it never is."""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(numbers[middle]) else (middle + 1, high)
    return numbers[low] if low < len(numbers) else None


def _root(short: Callable[[float], float], most: float) -> float | None:
    """Where a growing function crosses 0 between 0 and ``most``, None when it does not."""
    if most <= 0 or short(most) < 0:
        return None
    return float(optimize.brentq(short, 0.0, most, xtol=1e-4 * most))
