import json
from dataclasses import replace

import pytest

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.evaluation.compare import compare, compare_arms, compare_reports
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule


def _report(subjects):
    return Report("tiny", Rule.OVERLAP, {}, 0, (), 100, 0, 0, tuple(subjects)).derived()


@pytest.fixture
def arms(record):
    """61 patients: 22 found; then 6 gained and 1 lost, 27; then 45."""

    def arm(found, level):
        return _report(
            record(f"p{i:02d}", found=(0.5 if i in found else None,), level=level + i / 1000)
            for i in range(61)
        )

    first = set(range(22))
    return {
        "FCDD-1": arm(first, 0.30),
        "FCDD-2": arm((first - {0}) | set(range(22, 28)), 0.36),
        "FCDD-3": arm(set(range(45)), 0.37),
    }


def test_published_percentages(arms):
    """22, 27 and 45 of 61 are 36.1, 44.3 and 73.8 %."""
    values = [100 * arm.figure("subject_sensitivity").value for arm in arms.values()]
    assert [f"{v:.1f}" for v in values] == ["36.1", "44.3", "73.8"]
    assert [arm.figure("subject_sensitivity").count for arm in arms.values()] == [22, 27, 45]


def test_six_gained_one_lost(arms):
    """p = 0.125 hides that 6 against 1 was the whole effect, so both counts are given."""
    figure = compare(arms["FCDD-1"], arms["FCDD-2"]).figure("subject_sensitivity")
    assert (figure.gained, figure.lost, figure.n, figure.p) == (6, 1, 61, 0.125)
    assert figure.gained_ids == tuple(f"p{i}" for i in range(22, 28))
    assert figure.lost_ids == ("p00",)
    assert figure.difference == pytest.approx(5 / 61)
    assert figure.low < 5 / 61 < figure.high
    assert figure.test == "exact McNemar"


def test_order_of_the_arms_turns_the_sign(arms):
    figure = compare(arms["FCDD-2"], arms["FCDD-1"]).figure("subject_sensitivity")
    assert (figure.gained, figure.lost, figure.p) == (1, 6, 0.125)
    assert figure.difference == pytest.approx(-5 / 61)


def test_site_probability_is_paired(arms):
    """Every patient rises by 0.06: all 61 gained."""
    figure = compare(arms["FCDD-1"], arms["FCDD-2"]).figure("site_probability_mean")
    assert (figure.gained, figure.lost) == (61, 0)
    assert figure.difference == pytest.approx(0.06)
    assert figure.p < 1e-9


def test_more_false_positives_count_as_lost(record):
    a = _report(record(f"c{i}", patient=False) for i in range(6))
    b = _report(record(f"c{i}", patient=False, false=(0.5,)) for i in range(6))
    done = compare(a, b)
    figure = done.figure("false_positives_per_control")
    assert (figure.a, figure.b, figure.gained, figure.lost) == (0, 1, 0, 6)
    assert figure.p == pytest.approx(2 / 64)
    assert done.figure("specificity").p == pytest.approx(2 / 64)
    none = done.figure("subject_sensitivity")
    assert (none.p, none.a, none.reason) == (None, None, "no patients")


def test_no_difference(arms):
    figure = compare(arms["FCDD-1"], arms["FCDD-1"]).figure("subject_sensitivity")
    assert (figure.p, figure.gained, figure.lost, figure.low) == (1, 0, 0, None)


def test_holm_over_the_arms(arms):
    """The smaller p (FCDD-3, 23 gained, 2^-22) is doubled, the larger stays 0.125."""
    done = compare_arms(arms["FCDD-1"], {k: arms[k] for k in ("FCDD-2", "FCDD-3")})
    second = done["FCDD-2"].figure("subject_sensitivity")
    third = done["FCDD-3"].figure("subject_sensitivity")
    assert (second.p, second.p_holm) == (0.125, 0.125)
    assert third.p == pytest.approx(2.0**-22)
    assert third.p_holm == pytest.approx(2.0**-21)


def test_from_folders_and_to_json(arms, tmp_path):
    for name in ("FCDD-1", "FCDD-2"):
        (tmp_path / name).mkdir()
        arms[name].write(tmp_path / name)
    done = compare_reports(tmp_path / "FCDD-1", tmp_path / "FCDD-2")
    assert done == compare(arms["FCDD-1"], arms["FCDD-2"])
    assert json.loads(json.dumps(done.to_json()))["n_patients"] == 61


def test_bad_pairs(arms, record, tmp_path):
    a = arms["FCDD-1"]
    short = replace(a, subjects=a.subjects[:-1])
    with pytest.raises(CohortError, match="p60"):
        compare(a, short)
    other = (record("p00", found=(0.5,), volume_ml=3.0), *a.subjects[1:])
    with pytest.raises(CohortError, match="one version of the reference"):
        compare(a, replace(a, subjects=other))
    with pytest.raises(SettingsError):
        compare(a, a, "dice")
    with pytest.raises(RunError, match="the output folder of fcdsynth evaluate"):
        compare_reports(tmp_path, tmp_path)
