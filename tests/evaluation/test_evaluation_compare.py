import json
from dataclasses import replace

import pytest

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.evaluation.compare import compare, compare_arms, compare_reports
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule


def _report(subjects):
    return Report(
        cohort="tiny", rule=Rule.OVERLAP, maps="probability", operating_point={}, n_trained_on=0,
        not_evaluated=(), plan=None, relatives=(), bootstrap=100, chance_draws=0, seed=0,
        subjects=tuple(subjects),
    )  # fmt: skip


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
    figures = [arm.derived().figure("subject_sensitivity") for arm in arms.values()]
    values = [100 * figure.value for figure in figures]
    assert [f"{v:.1f}" for v in values] == ["36.1", "44.3", "73.8"]
    assert [figure.count for figure in figures] == [22, 27, 45]


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
    figure = compare(arms["FCDD-1"], arms["FCDD-2"]).figure("whole_mask_probability_mean")
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


def test_what_61_pairs_could_have_shown(arms):
    """Six gained and none lost are the fewest that reach 0.05: 6 of 61, 9.8 %."""
    figure = compare(arms["FCDD-1"], arms["FCDD-2"]).figure("subject_sensitivity")
    assert figure.smallest.smallest_significant == pytest.approx(6 / 61)
    assert figure.smallest.spread == pytest.approx(7 / 61)
    assert figure.smallest.smallest_found > 6 / 61
    assert figure.smallest.power_observed < 0.5
    assert figure.p_permutation is None


def test_permutation_beside_wilcoxon(record):
    """Six controls with one false positive more: 2 of 64 sign patterns are as extreme."""
    a = _report(record(f"c{i}", patient=False) for i in range(6))
    b = _report(record(f"c{i}", patient=False, false=(0.5,)) for i in range(6))
    figure = compare(a, b).figure("false_positives_per_control")
    assert figure.p_permutation == pytest.approx(2 / 64)
    assert figure.test == "Wilcoxon signed-rank"
    adjusted = compare_arms(a, {"b": b, "c": b})["b"].figure("false_positives_per_control")
    assert adjusted.p_permutation_holm == pytest.approx(4 / 64)


def test_families_turn_together(record):
    """Twelve patients in six families of two, all gained: 2 of 2^6 patterns, not of 2^12."""

    def arm(found, level):
        return _report(
            replace(record(f"p{i:02d}", found=(0.5 if found else None,), level=level),
                    family=f"f{i // 2}")
            for i in range(12)
        )  # fmt: skip

    done = compare(arm(False, 0.2), arm(True, 0.6))
    found = done.figure("subject_sensitivity")
    assert (found.p, found.p_permutation) == pytest.approx((2 / 64, 2 / 64))
    assert found.test == "permutation by family"
    site = done.figure("whole_mask_probability_max")
    assert site.test == "Wilcoxon signed-rank on family means"
    assert (site.p, site.p_permutation) == pytest.approx((2 / 64, 2 / 64))
    assert site.interval == "BCa bootstrap over families"


def test_without_probabilities_there_is_no_site_figure(record):
    """Patient 1 has none in arm b, so 2 pairs are left; without any there is no value."""
    full = [record(f"p{i}", found=(0.5,), level=0.2 + i / 10) for i in range(3)]
    some = [full[0], replace(full[1], whole_site=None), full[2]]
    none = [replace(s, whole_site=None) for s in full]
    figure = compare(_report(full), _report(some)).figure("whole_mask_probability_mean")
    assert (figure.n, figure.difference, figure.p) == (2, 0, 1)
    empty = compare(_report(full), _report(none)).figure("whole_mask_probability_mean")
    assert (empty.n, empty.a, empty.reason) == (0, None, "maps without probabilities")
    assert empty.smallest is None


def test_areas_are_compared_on_the_same_subjects(record):
    """Patients 0.9, 0.4 against controls 0.6, 0: area 0.75. In b 0.9, 0.7: area 1.

    Components of the difference: patients 0, 0.5 less 0.25; controls 0.5, 0 less 0.25; each
    variance is 0.125, over 2; error sqrt(0.125) = 0.354; z = 0.707, p = 0.4795.
    """
    controls = [record("c0", patient=False, false=(0.6,)), record("c1", patient=False)]
    a = _report([record("p0", found=(0.9,)), record("p1", found=(0.4,)), *controls])
    b = _report([record("p0", found=(0.9,)), record("p1", found=(0.7,)), *controls])
    figure = compare(a, b).figure("auroc")
    assert (figure.a, figure.b, figure.n, figure.unit) == (0.75, 1, 4, "subjects")
    assert figure.p == pytest.approx(0.4795, abs=1e-4)
    assert figure.low == pytest.approx(0.25 - 1.96 * 0.125**0.5, abs=1e-4)
    assert figure.test == figure.interval == "paired DeLong"
    assert (figure.gained, figure.lost, figure.smallest) == (0, 0, None)


def test_no_area_without_ranks_or_controls(arms, record):
    figure = compare(arms["FCDD-1"], arms["FCDD-1"]).figure("auroc")
    assert (figure.a, figure.p, figure.reason) == (None, None, "no controls")
    flat = [replace(record("p0", found=(1.0,)), ranked=False), record("c0", patient=False)]
    assert compare(_report(flat), _report(flat)).figure("auroc").reason == "clusters without scores"


def test_no_arms_no_comparison(arms):
    assert compare_arms(arms["FCDD-1"], {}) == {}


def test_seeds_are_averaged_within_a_subject(record):
    """Eight patients. Arm a finds none in either seed; b finds all in one seed, the first four
    in the other: shares 1 and 1/2, mean 6/8; 2 of 2^8 sign patterns are as extreme."""

    def arm(found):
        return _report(record(f"p{i}", found=(0.5 if i < found else None,)) for i in range(8))

    figure = compare([arm(0), arm(0)], [arm(8), arm(4)]).figure("subject_sensitivity")
    assert (figure.a, figure.b, figure.n, figure.gained) == (0, 0.75, 8, 8)
    assert figure.test == "Wilcoxon signed-rank"
    assert (figure.p, figure.p_permutation) == pytest.approx((2 / 256, 2 / 256))
    one = compare_arms([arm(0)], {"b": [arm(8)]})["b"]
    assert one == compare_arms(arm(0), {"b": arm(8)})["b"]
    assert one.figure("subject_sensitivity").test == "exact McNemar"
    with pytest.raises(CohortError, match="without a report"):
        compare([], [arm(0)])


def test_every_seed_must_hold_the_same_subjects(arms):
    short = replace(arms["FCDD-1"], subjects=arms["FCDD-1"].subjects[1:])
    with pytest.raises(CohortError, match="p00"):
        compare([arms["FCDD-1"], short], arms["FCDD-2"])
