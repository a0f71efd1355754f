"""Fusion by hand: percentiles, deviations, ties, the gate first."""

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.causes import CHANNELS, Cause, Severity
from fcdsynth.relabel.channels import Region
from fcdsynth.relabel.fusion import deviations, percentiles, rank_masks
from fcdsynth.relabel.gate import Finding
from fcdsynth.relabel.sentences import evidence


def region(number=1, **channels):
    values = {c: channels.get(c.name.lower(), 0.0) for c in CHANNELS if c is not Cause.OVERLOOKED}
    if number == 0:
        values = {Cause.OVERLOOKED: channels["overlooked"]}
    numbers = {"near": 0.1, "core": 0.8, "inner": 0.2, "outer": 0.1, "here": 0.1, "across": 0.6,
               "strength": 0.7, "gap_mm": 30.0}  # fmt: skip
    return Region(number, 2.0, (10.0, 0.0, 0.0), "R", values, numbers)


def test_percentiles_count_ties_by_half_and_pass_over_gaps():
    np.testing.assert_allclose(percentiles([3, 1, 2, 2]), [0.875, 0.125, 0.5, 0.5])
    np.testing.assert_allclose(percentiles([0, 0, 0, 5]), [0.375, 0.375, 0.375, 0.875])
    np.testing.assert_allclose(percentiles([np.nan, 1, 2]), [np.nan, 0.25, 0.75])
    assert np.isnan(percentiles([np.nan])).all()


def test_deviations_by_hand():
    # Median 3, absolute deviations 2 1 0 1 97, MAD 1.
    np.testing.assert_allclose(deviations([1, 2, 3, 4, 100], 0.1)[4], 97 / 1.4826)
    np.testing.assert_allclose(deviations([0, 0, 0, 0, 1], 0.5), [0, 0, 0, 0, 2])
    assert np.isnan(deviations([np.nan, 1.0], 0.1)[0])


def test_the_worst_component_counts_and_the_channel_is_the_cause():
    support = {
        "a": [region(1, too_large=0.1), region(2, unsupported=0.9)],
        "b": [region(1, too_small=0.6)],
        "c": [region(1), region(0, overlooked=0.8)],
        "d": [region(1, mirrored=2.0, unsupported=0.5)],
        "e": [region(1)],
        "f": [region(1)],
    }
    queue = {entry.subject: entry for entry in rank_masks(list(support), support)}
    causes = {name: entry.cause for name, entry in queue.items() if name in "abcd"}
    assert causes == {"a": Cause.UNSUPPORTED, "b": Cause.TOO_SMALL, "c": Cause.OVERLOOKED,
                      "d": Cause.MIRRORED}  # fmt: skip
    assert (queue["a"].region.number, queue["c"].region.number) == (2, 0)
    assert {entry.subject for entry in list(queue.values())[-2:]} == {"e", "f"}
    assert "sees little in or near the 2.0 ml region in the right hemisphere" in evidence(
        queue["a"], 6
    )
    assert "mirrored place in the left hemisphere" in evidence(queue["d"], 6)
    assert "30 mm from the mask" in evidence(queue["c"], 6)


def test_the_percentile_rule_is_the_formula():
    support = {name: [region(1, unsupported=value)] for name, value in (("a", 0.2), ("b", 0.6))}
    first, second = rank_masks(["a", "b"], support, rule="percentile")
    # b: 0.75 on unsupported, 0.5 on the four others; a: 0.25 and 0.5.
    assert (first.subject, first.score) == ("b", pytest.approx(0.75 + 0.001 * 2.75))
    assert second.score == pytest.approx(0.5 + 0.001 * 2.25)
    with pytest.raises(SettingsError, match="rule"):
        rank_masks(["a"], support, rule="sum")


def test_the_gate_ranks_first_and_a_note_does_not():
    support = {name: [region(1, unsupported=u)] for name, u in (("a", 0.9), ("b", 0.1), ("c", 0.2))}
    findings = [
        Finding("c", Cause.ODD_VOLUME, Severity.WARNING, "Odd."),
        Finding("b", Cause.WRONG_SIDE, Severity.ERROR, "Side."),
        Finding("a", Cause.DEBRIS, Severity.NOTE, "Specks."),
    ]
    queue = rank_masks(["a", "b", "c", "x"], support, findings)
    assert [entry.subject for entry in queue] == ["b", "c", "a", "x"]
    assert [entry.cause for entry in queue] == [
        Cause.WRONG_SIDE, Cause.ODD_VOLUME, Cause.UNSUPPORTED, None
    ]  # fmt: skip
    assert evidence(queue[0], 3).startswith("Side.")
    assert evidence(queue[2], 3).endswith("Specks.")
    assert "only the gate" in evidence(queue[3], 3)
    assert np.isnan(queue[3].score)
