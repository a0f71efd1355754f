"""Do sites or scanners differ by more than chance?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.outcomes import Outcome, outcomes_of
from fcdsynth.evaluation.statistics.resampling import units_of

BY = ("site", "scanner")
# Statistics that differ by less than this share come from rounding: they count as tied.
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """A test of whether one figure differs between sites, or between scanners.

    Args:
        name: The figure: subject_sensitivity, specificity, false_positives_per_patient or
            false_positives_per_control.
        rule: Hit rule.
        by: ``site`` or ``scanner``.
        unit: Patients or controls.
        n_groups: Sites or scanners.
        n: Subjects at them.
        left_out: Subjects whose site or scanner is not known.
        lowest: Site or scanner with the lowest value, empty without one; the first by name of
            several.
        lowest_value: Its value.
        lowest_n: Its subjects.
        highest: The one with the highest value, likewise.
        highest_value: Its value.
        highest_n: Its subjects.
        statistic: Pearson's chi-square for shares, Poisson's index of dispersion for counts.
        p: Mid-p of the permutation test, None where nothing could be tested.
        method: How p was made.
        reason: The empty-set case met, or empty.
    """

    name: str
    rule: str
    by: str
    unit: str
    n_groups: int
    n: int
    left_out: int
    lowest: str
    lowest_value: float | None
    lowest_n: int
    highest: str
    highest_value: float | None
    highest_n: int
    statistic: float | None
    p: float | None
    method: str
    reason: str


def heterogeneity(
    subjects: Sequence[SubjectRecord], by: str, rule: Rule, draws: int, seed: int
) -> tuple[Heterogeneity, ...]:
    """Test sensitivity, specificity and false positives for differences between places.

    Places are shuffled among the patients, or among the controls; families keep together, at
    the place of most of their members. Few subjects give few possible values of the statistic,
    so an ordinary permutation p would reject too rarely: the mid-p counts ties half (Lancaster
    1961), and holds its level on average, not in every single cohort.

    Args:
        subjects: The evaluated subjects.
        by: ``site`` or ``scanner``.
        rule: Hit rule.
        draws: Permutations.
        seed: Seed of the permutations.

    Raises:
        SettingsError: If ``by`` is neither.
    """
    if by not in BY:
        raise SettingsError("by", repr(by), " or ".join(BY), "Choose one of them.")
    outcomes = outcomes_of(rule)
    tests: dict[str, Heterogeneity] = {}
    for patients in (True, False):
        mine = [o for o in outcomes if o.patients == patients]
        members = [s for s in subjects if s.is_patient == patients]
        tests |= {test.name: test for test in _tests(mine, members, by, draws, seed)}
    return tuple(tests[o.name] for o in outcomes)


def _tests(
    outcomes: Sequence[Outcome], members: Sequence[SubjectRecord], by: str, draws: int, seed: int
) -> list[Heterogeneity]:
    named = [s for s in members if getattr(s, by)]
    places = [str(getattr(s, by)) for s in named]
    names, unit_place, units = _homes(places, [s.family for s in named])
    left_out = len(members) - len(named)
    if len(names) < 2:
        reason = Case.ONE_PLACE
        if not members:
            reason = Case.NO_PATIENTS if outcomes[0].patients else Case.NO_CONTROLS
        return [
            Heterogeneity(o.name, o.rule_name, by, o.unit, len(names), len(named), left_out, "",
                          None, 0, "", None, 0, None, None, "none", reason.value)
            for o in outcomes
        ]  # fmt: skip
    values = np.array([[o.value(s) for o in outcomes] for s in named])
    sums = np.stack([np.bincount(units, column) for column in values.T])
    sizes = np.bincount(units).astype(float)
    shuffled = _shuffled_sums(np.vstack([sums, sizes]), unit_place, draws, seed)
    seen: NDArray[np.float64] = np.stack(
        [np.bincount(unit_place, row) for row in (*sums, sizes)]
    )  # fmt: skip
    grouped = len(sizes) < len(named)
    method = f"{draws} permutations of {'families' if grouped else 'subjects'}, mid-p"
    tests = []
    for index, outcome in enumerate(outcomes):
        value, p = _test(outcome, seen[[index, -1]], shuffled[:, [index, -1]])
        means = seen[index] / seen[-1]
        low, high = int(means.argmin()), int(means.argmax())
        tests.append(
            Heterogeneity(
                outcome.name, outcome.rule_name, by, outcome.unit, len(names), len(named),
                left_out, names[low], float(means[low]), int(seen[-1][low]), names[high],
                float(means[high]), int(seen[-1][high]), value, p, method, "",
            )
        )  # fmt: skip
    return tests


def _homes(
    places: Sequence[str], families: Sequence[str]
) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp]]:
    """Names of the places, place of each unit, unit of each subject."""
    units = units_of(families)
    votes: list[Counter[str]] = [Counter() for _ in range(units.max() + 1 if len(units) else 0)]
    for unit, place in zip(units, places, strict=True):
        votes[unit][place] += 1
    homes = [min(vote, key=lambda place, v=vote: (-v[place], place)) for vote in votes]  # type: ignore[misc]
    names = sorted(set(homes))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[home] for home in homes], dtype=np.intp), units


def _shuffled_sums(
    rows: NDArray[np.float64], places: NDArray[np.intp], draws: int, seed: int
) -> NDArray[np.float64]:
    """Sums of each row at each place after shuffling units, shape (draws, rows, places)."""
    rng = np.random.default_rng([seed, 2])
    starts = np.concatenate([[0], np.cumsum(np.bincount(places))[:-1]])
    order = rng.permuted(np.tile(np.arange(len(places), dtype=np.int32), (draws, 1)), axis=1)
    return np.stack([np.add.reduceat(row[order], starts, axis=1) for row in rows], axis=1)


def _test(
    outcome: Outcome, seen: NDArray[np.float64], shuffled: NDArray[np.float64]
) -> tuple[float, float]:
    mean = seen[0].sum() / seen[1].sum()
    spread = mean * (1 - mean) if outcome.binary else mean
    if spread <= 0:
        return 0.0, 1.0
    value = float((((seen[0] - mean * seen[1]) ** 2) / seen[1]).sum() / spread)
    top, size = shuffled[:, 0], shuffled[:, 1]
    others = (((top - mean * size) ** 2) / size).sum(axis=1) / spread
    near = np.abs(others - value) <= _TIE * max(value, 1.0)
    above = (others > value) & ~near
    if near.all():
        return value, 1.0
    # The observed order is itself one of the equally likely ones, and ties with itself.
    return value, float((above.sum() + (near.sum() + 1) / 2) / (len(others) + 1))
