"""A gain in sensitivity that is only a step along the curve, and one that is more."""

import numpy as np
import pytest

from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.equal_rate import COMMON, at_equal_rates
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.resampling import resampling_counts


def _figures(a, b, seed=0):
    pairs = [([one], [other]) for one, other in zip(a, b, strict=True)]
    groups = np.array([int(s.is_patient) for s in a])
    families = [s.family for s in a]
    counts = resampling_counts(groups, 400, seed, families)
    return {f.name: f for f in at_equal_rates(pairs, Rule.OVERLAP, counts, seed)}


HALF, ONE = ("lesion_recall_at_0.5_fp_per_control", "lesion_recall_at_1_fp_per_control")


def test_a_step_along_the_curve_is_no_gain(record):
    """B finds p2 too, at 0.3, but only below its false positives of 0.4 in both controls.

    A has its false positives at 0.1, so both curves end at one per control.

    With at most half a false positive per control B must be cut above 0.4: 1 of 2 lesions, as A.
    With at most one everything is kept: 2 of 2 against 1 of 2. Whatever is swapped there, only
    the place of p2's lesion matters, so every swap gives a difference of one half: p = 1.
    """
    a = [record("p1", found=(0.9,)), record("p2", found=(None,)),
         record("c1", patient=False, false=(0.1,)),
         record("c2", patient=False, false=(0.1,))]  # fmt: skip
    b = [record("p1", found=(0.9,)), record("p2", found=(0.3,)),
         record("c1", patient=False, false=(0.4,)),
         record("c2", patient=False, false=(0.4,))]  # fmt: skip
    figures = _figures(a, b)
    assert (figures[HALF].a, figures[HALF].b, figures[HALF].difference) == (0.5, 0.5, 0.0)
    assert (figures[ONE].a, figures[ONE].b, figures[ONE].difference) == (0.5, 1.0, 0.5)
    assert figures[ONE].p == 1.0
    assert figures[COMMON].difference == 0.5
    assert figures[COMMON].test.endswith("at 1.00 per control")


def test_a_curve_that_ends_before_the_rate_is_not_compared_there(record):
    """A ends at one false positive in two controls: no figure at 1, but one at the 0.5 of both."""
    a = [record("p1", found=(0.9,)), record("c1", patient=False, false=(0.3,)),
         record("c2", patient=False)]  # fmt: skip
    b = [record("p1", found=(0.2,)), record("c1", patient=False, false=(0.3, 0.4, 0.5)),
         record("c2", patient=False, false=(0.6,))]  # fmt: skip
    figures = _figures(a, b)
    assert figures[ONE].a is None
    assert figures[ONE].reason == "a run ends at 0.50 false positives per control"
    # B may keep one false positive, so must be cut above 0.5: its lesion at 0.2 is lost.
    assert (figures[COMMON].a, figures[COMMON].b) == (1.0, 0.0)


def test_quiet_arm_keeps_its_thresholds_beside_a_loud_one(record):
    """A has 3,000 clusters, B one lesion at 0.9 above its only false positive at 0.8."""
    loud = tuple(np.linspace(0.01, 0.5, 1500))
    a = [record("p1", found=(0.6,)), record("c1", patient=False, false=loud)]
    b = [record("p1", found=(0.9,)), record("c1", patient=False, false=(0.8,))]
    figures = _figures(a, b)
    assert (figures[HALF].a, figures[HALF].b) == (1.0, 1.0)


def test_equal_arms_and_other_numbers_of_seeds(record):
    """Equal arms have no interval; two seeds against one no p, and the reason is said."""
    a = [*(record(f"p{i}", found=(0.9,)) for i in range(8)),
         *(record(f"c{i}", patient=False, false=(0.5,)) for i in range(8))]  # fmt: skip
    same = _figures(a, a)[HALF]
    assert (same.difference, same.low, same.high, same.interval) == (0.0, None, None, "none")
    counts = resampling_counts(np.array([int(s.is_patient) for s in a]), 200, 0)
    seeds = at_equal_rates([([s, s], [s]) for s in a], Rule.OVERLAP, counts, 0)
    assert all(f.p is None and "other numbers of seeds" in f.test for f in seeds)


def test_a_gain_at_the_same_rate(record):
    """B finds 6 more of 12 with equal controls: of 4096 swaps 2 / 2^6 = 0.031 are as far out."""
    a = [record(f"p{i}", found=(0.9 if i < 6 else None,)) for i in range(12)]
    b = [record(f"p{i}", found=(0.9,)) for i in range(12)]
    controls = [record(f"c{i}", patient=False, false=(0.05,)) for i in range(8)]
    figure = _figures([*a, *controls], [*b, *controls])[HALF]
    assert figure.difference == 0.5
    assert figure.p == pytest.approx(2 / 2**6, abs=0.025)
    assert 0 < figure.low < 0.5 < figure.high <= 1
    assert (figure.n, figure.unit) == (20, "subjects")


def test_a_family_turns_together(record):
    """All six gains in one family: two ways to turn it, both as far out."""
    a = [record(f"p{i}", found=(None,), family="f") for i in range(6)]
    b = [record(f"p{i}", found=(0.9,), family="f") for i in range(6)]
    controls = [record(f"c{i}", patient=False, false=(0.05,)) for i in range(3)]
    assert _figures([*a, *controls], [*b, *controls])[ONE].p == 1.0


def test_no_controls(record):
    a = [record("p1", found=(0.9,)), record("p2", found=(None,))]
    assert {f.reason for f in _figures(a, a).values()} == {Case.NO_CONTROLS.value}
