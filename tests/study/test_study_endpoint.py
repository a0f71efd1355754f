"""The primary endpoint, the share of the gap, and what synthetic patients are worth, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from record_by_hand import make_record

from fcdsynth.core.errors import CohortError
from fcdsynth.evaluation.rules import Rule
from fcdsynth.study.endpoint import Curve, Endpoint
from fcdsynth.study.learning import worth
from fcdsynth.study.settings import Arm


def patients(hits, n=20, wrong=(), family=None):
    """``hits`` of ``n`` patients are found with score 0.9; two controls hold false clusters."""
    rows = [
        make_record(f"sub-{k:02d}", found=(0.9 if k < hits else None,),
                    family="" if family is None else family(k))
        for k in range(n)
    ]  # fmt: skip
    return [*rows, make_record("sub-98", patient=False, false=wrong),
            make_record("sub-99", patient=False)]  # fmt: skip


def test_sensitivity_is_read_where_the_next_false_cluster_would_be_too_many():
    """4 subjects, so that half a false cluster per subject lets in 2 of 3.

    Falling false scores 0.8, 0.6, 0.4: the third is one too many, so only hits above 0.4 count:
    those of 0.7 and 0.5, not that of 0.4, which ties with it, nor that of 0.3.
    """
    rows = [
        make_record("a", found=(0.7,), false=(0.8,)),
        make_record("b", found=(0.5, 0.2)),
        make_record("c", found=(0.4,)),
        make_record("d", patient=False, false=(0.6, 0.4)),
    ]
    curve = Curve.of(rows, Rule.OVERLAP)
    assert curve.sensitivity(0.5) == pytest.approx(2 / 3)
    assert list(curve.found_at(0.5)) == [True, True, False, False]
    assert curve.sensitivity(0.25) == pytest.approx(1 / 3)  # one false cluster: above 0.6
    assert curve.sensitivity(0.75) == 1.0  # all three
    assert curve.sensitivity(0.01) == 0.0
    assert curve.end == 0.75


def test_weights_move_the_threshold():
    """Patient a twice, d never: the false 0.8 counts twice, which is all that 4 x 0.5 lets in."""
    rows = [
        make_record("a", found=(0.7,), false=(0.8,)),
        make_record("b", found=(0.5,)),
        make_record("c", found=(0.4,)),
        make_record("d", patient=False, false=(0.6, 0.4)),
    ]
    curve = Curve.of(rows, Rule.OVERLAP)
    weights = np.array([2.0, 1.0, 1.0, 0.0])
    assert curve.sensitivity(0.5, weights) == 1.0
    assert curve.sensitivity(0.49, weights) == 0.0


def test_the_same_as_the_evaluators_froc_curve():
    from fcdsynth.evaluation.froc import froc

    rng = np.random.default_rng(3)
    rows = []
    for k in range(30):
        score = None if rng.random() < 0.3 else float(rng.random())
        rows.append(make_record(f"p{k:02d}", found=(score,), false=tuple(rng.random(k % 3))))
    rows += [make_record(f"z{k}", patient=False, false=tuple(rng.random(k % 4))) for k in range(12)]
    curve = Curve.of(rows, Rule.OVERLAP)
    points = froc(rows, Rule.OVERLAP)
    for rate in (0.1, 0.3, 0.5, 0.9):
        allowed = [p.subject_sensitivity for p in points if p.false_positives_per_subject <= rate]
        assert curve.sensitivity(rate) == pytest.approx(max(allowed))


def endpoint(within=False, family=None, **arms):
    return Endpoint(
        {name: [patients(hits, family=family) for hits in draws] for name, draws in arms.items()},
        Rule.OVERLAP, 0.5, within, draws=400,
    )  # fmt: skip


def test_gain_gap_and_share_are_means_over_draws():
    found = endpoint(base=(6, 8), more=(10, 12), twice=(14, 16))
    assert found.sensitivity("base").value == pytest.approx(0.35)
    gain = found.gain("more", "base")
    assert gain.value == pytest.approx(0.20)
    assert gain.low < 0.20 < gain.high
    assert gain.low > 0  # nested hits: four patients more in every draw
    share = found.closed("more", "base", "twice")
    assert share.value == pytest.approx(0.5)
    assert share.low < 0.5 < share.high


def test_a_small_gap_states_no_share():
    assert endpoint(base=(6,), more=(7,), twice=(8,)).closed("more", "base", "twice") is None


def test_within_families_their_sizes_stay():
    """Of two families of ten each sample holds ten of each; drawn whole it would not."""

    def two(k):
        return f"anatomy {k // 10}"

    inside = endpoint(True, two, base=(10,)).weights[:, :20]
    assert (inside[:, :10].sum(axis=1) == 10).all()
    whole = endpoint(False, two, base=(10,)).weights[:, :20]
    assert set(np.unique(whole[:, :10].sum(axis=1))) == {0, 10, 20}
    # The first family found, the other missed: within families the share never moves.
    still = endpoint(True, two, base=(10,)).sensitivity("base")
    assert (still.low, still.value, still.high) == (0.5, 0.5, 0.5)


def test_arms_must_hold_the_same_subjects():
    with pytest.raises(CohortError, match="different test subjects"):
        Endpoint({"a": [patients(3)], "b": [patients(3, n=19)]}, Rule.OVERLAP, 0.5)


ARMS = (Arm("base"), Arm("more", synthetic=1.0), Arm("half", real=0.5), Arm("twice", real=2.0))


def test_worth_lies_on_the_line_in_the_logarithm():
    """10, 20 and 40 patients find 4, 8 and 16 of 20; 12 lie half way from 20 to 40: 28.3."""
    found = endpoint(base=(8,), more=(12,), half=(4,), twice=(16,))
    read = worth(found, ARMS, 20, "more")
    assert read.patients == pytest.approx(20 * 2**0.5)
    assert read.low < read.patients < read.high
    assert not read.beyond


def test_worth_stops_at_the_ends_of_the_curve():
    above = worth(endpoint(base=(8,), more=(18,), half=(4,), twice=(16,)), ARMS, 20, "more")
    assert above.patients == 40
    assert above.beyond
    # Unless both patients that only it finds are left out of a sample.
    assert above.share_beyond == pytest.approx(1 - 0.9**20, abs=0.05)
    below = worth(endpoint(base=(8,), more=(2,), half=(4,), twice=(16,)), ARMS, 20, "more")
    assert below.patients == 10
    assert not below.beyond
    # More patients are never taken to do harm: 8 and 6 of 20 become 7 and 7.
    level = worth(endpoint(base=(6,), more=(7,), half=(8,), twice=(16,)), ARMS, 20, "more")
    assert level.patients == pytest.approx(10)


def test_no_worth_without_a_curve():
    arms = (replace(ARMS[0]), ARMS[1])
    assert worth(endpoint(base=(8,), more=(12,)), arms, 20, "more") is None
