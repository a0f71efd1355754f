"""A gain in sensitivity that is only a step along the curve, and one that is more."""

import numpy as np
import pytest

from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.equal_rate import at_equal_rates
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

    With at most half a false positive per control B must be cut above 0.4: 1 of 2 lesions, as A.
    With at most one everything is kept: 2 of 2 against 1 of 2. Whatever is swapped there, only
    the place of p2's lesion matters, so every swap gives a difference of one half: p = 1.
    """
    a = [record("p1", found=(0.9,)), record("p2", found=(None,)),
         record("c1", patient=False), record("c2", patient=False)]  # fmt: skip
    b = [record("p1", found=(0.9,)), record("p2", found=(0.3,)),
         record("c1", patient=False, false=(0.4,)),
         record("c2", patient=False, false=(0.4,))]  # fmt: skip
    figures = _figures(a, b)
    assert (figures[HALF].a, figures[HALF].b, figures[HALF].difference) == (0.5, 0.5, 0.0)
    assert (figures[ONE].a, figures[ONE].b, figures[ONE].difference) == (0.5, 1.0, 0.5)
    assert figures[ONE].p == 1.0


def test_a_gain_at_the_same_rate(record):
    """B finds 6 more of 12 with equal controls: of 4096 swaps 2 / 2^6 = 0.031 are as far out."""
    a = [record(f"p{i}", found=(0.9 if i < 6 else None,)) for i in range(12)]
    b = [record(f"p{i}", found=(0.9,)) for i in range(12)]
    controls = [record(f"c{i}", patient=False, false=(0.5,) if i == 0 else ()) for i in range(8)]
    figure = _figures([*a, *controls], [*b, *controls])[HALF]
    assert figure.difference == 0.5
    assert figure.p == pytest.approx(2 / 2**6, abs=0.025)
    assert 0 < figure.low < 0.5 < figure.high <= 1
    assert (figure.n, figure.unit) == (20, "subjects")


def test_a_family_turns_together(record):
    """All six gains in one family: two ways to turn it, both as far out."""
    a = [record(f"p{i}", found=(None,), family="f") for i in range(6)]
    b = [record(f"p{i}", found=(0.9,), family="f") for i in range(6)]
    controls = [record(f"c{i}", patient=False) for i in range(3)]
    assert _figures([*a, *controls], [*b, *controls])[ONE].p == 1.0


def test_no_controls(record):
    a = [record("p1", found=(0.9,)), record("p2", found=(None,))]
    assert {f.reason for f in _figures(a, a).values()} == {Case.NO_CONTROLS.value}
