"""Failure review: what counts as repeated, introduced, one place, one hot spot; all by hand."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.evaluation.failures.places import group_places
from fcdsynth.evaluation.failures.records import Change, Count, is_repeated
from fcdsynth.evaluation.failures.review import review_failures
from fcdsynth.evaluation.failures.table import write_failures
from fcdsynth.evaluation.failures.tracing import trace
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule

FAR = 200.0


@pytest.fixture
def run(record):
    """A report of subjects given as id -> (finders' scores per lesion, false positives).

    A false positive is (score, centre), its MNI centre the same; ids with c are controls.
    """

    def make(**subjects):
        made = []
        for name, (found, false) in subjects.items():
            one = record(name, patient=not name.startswith("c"), found=found,
                         false=[score for score, _ in false])  # fmt: skip
            centres = {score: centre for score, centre in false}
            clusters = tuple(
                replace(c, centre_mm=centres[c.score], centre_mni_mm=centres[c.score])
                if c.score in centres else c
                for c in one.clusters
            )  # fmt: skip
            made.append(replace(one, clusters=clusters))
        return Report("c, version 1", Rule.OVERLAP, "probability", {}, 0, (), None, (), 100, 0, 0,
                      tuple(made))  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("counts", "repeated"),
    [
        ([(1, 1)], True),  # the only run there is
        ([(1, 2)], False),  # half, but once
        ([(1, 1), (1, 1)], True),
        ([(1, 3), (1, 1)], True),  # 2 of 4
        ([(1, 3), (1, 2)], False),  # 2 of 5: less than half
        ([(2, 3), (1, 2)], True),  # 3 of 5
    ],
)
def test_repeated_is_half_of_the_runs_and_at_least_two(counts, repeated):
    assert is_repeated([Count(str(k), *pair) for k, pair in enumerate(counts)]) == repeated


def test_one_run_lists_every_failure(run):
    report = run(p1=((None, 0.9), ()), c1=((), [(0.6, (0, 0, 0))]))
    found = review_failures({"only": report}, Rule.OVERLAP, None)
    (miss,) = found.misses
    assert (miss.subject.id, miss.lesion.lesion, miss.repeated, miss.change) == (
        "p1", 1, True, None,
    )  # fmt: skip
    (place,) = found.places
    assert (place.subject.id, place.repeated) == ("c1", True)
    assert found.tallies == ()
    assert found.tracing is None


def test_misses_are_counted_by_arm(run):
    hit, miss = run(p1=((0.9,), ())), run(p1=((None,), ()))
    runs = {"a/1": miss, "a/2": miss, "a/3": hit, "b/1": hit, "b/2": miss}
    (found,) = review_failures(runs, Rule.OVERLAP, None).misses
    assert found.arms == (Count("a", 2, 3), Count("b", 1, 2))
    assert (found.count, found.repeated) == (3, True)


@pytest.mark.parametrize(
    ("a", "b", "change"),
    [
        ("00", "11", Change.INTRODUCED),
        ("00", "10", Change.INTRODUCED),  # half of the second arm's runs
        ("11", "00", Change.REMOVED),
        ("01", "11", Change.KEPT),
        ("000", "100", Change.UNCLEAR),  # a third only
        ("100", "111", Change.UNCLEAR),  # seldom without, always with
        ("100", "000", Change.UNCLEAR),
    ],
)
def test_changes_by_hand(run, a, b, change):
    outcome = {"1": run(p1=((None,), ())), "0": run(p1=((0.9,), ()))}
    runs = {f"a/{k}": outcome[flag] for k, flag in enumerate(a)}
    runs |= {f"b/{k}": outcome[flag] for k, flag in enumerate(b)}
    (miss,) = review_failures(runs, Rule.OVERLAP, ("a", "b")).misses
    assert miss.change is change


def test_what_neither_compared_arm_has_is_absent(run):
    hit, miss = run(p1=((0.9,), ())), run(p1=((None,), ()))
    runs = {"a": hit, "b": hit, "other": miss}
    (found,) = review_failures(runs, Rule.OVERLAP, ("a", "b")).misses
    assert found.change is Change.ABSENT


def test_places_join_runs_within_ten_mm_and_only_within_a_subject(run):
    runs = {
        "a": run(c1=((), [(0.6, (0, 0, 0))]), c2=((), [(0.7, (1, 0, 0))])),
        "b": run(c1=((), [(0.8, (10, 0, 0)), (0.5, (FAR, 0, 0))]), c2=((), ())),
        "c": run(c1=((), [(0.55, (20, 0, 0))]), c2=((), ())),  # joined by the one in between
    }
    found = review_failures(runs, Rule.OVERLAP, None)
    places = {(p.subject.id, p.cluster.centre_mm): p.count for p in found.places}
    assert places == {("c1", (10, 0, 0)): 3, ("c2", (1, 0, 0)): 1, ("c1", (FAR, 0, 0)): 1}
    assert found.places[0].cluster.score == 0.8  # the highest speaks for the place
    assert [p.repeated for p in found.places] == [True, False, False]


def test_ten_mm_is_inside_and_a_hair_more_is_not():
    assert group_places([(0, 0, 0), (6, 8, 0)]) == [[0, 1]]
    assert group_places([(0, 0, 0), (6, 8.001, 0)]) == [[0], [1]]
    assert group_places([(1, 2, 3)]) == [[0]]
    assert group_places([]) == []


def test_two_clusters_of_one_run_at_a_place_count_once(run):
    report = run(c1=((), [(0.6, (0, 0, 0)), (0.7, (5, 0, 0))]))
    (place,) = review_failures({"a": report}, Rule.OVERLAP, None).places
    assert place.arms == (Count("a", 1, 1),)


def test_tallies_and_the_sign_test_by_hand(run):
    """Six controls gain a false positive, one loses one: two-sided 2 (1 + 7) / 2^7 = 0.125."""
    at, away = [(0.6, (0, 0, 0))], [(0.6, (FAR, 0, 0))]
    a = {f"c{k}": ((), ()) for k in range(6)} | {"c6": ((), at), "c7": ((), at), "p1": ((0.9,), ())}
    b = {f"c{k}": ((), at) for k in range(6)} | {"c6": ((), ()), "c7": ((), away),
                                                "p1": ((None,), ())}  # fmt: skip
    found = review_failures({"a": run(**a), "b": run(**b)}, Rule.OVERLAP, ("a", "b"))
    misses, patients, controls = found.tallies
    assert (misses.introduced, misses.removed, misses.kept) == (1, 0, 0)
    assert misses.worse_subjects == ("p1",)
    assert misses.p == 1.0
    assert (patients.introduced, patients.removed, patients.p) == (0, 0, 1.0)
    # c7 moved its false positive: one introduced, one removed, on balance neither.
    assert (controls.introduced, controls.removed) == (7, 2)
    assert controls.worse_subjects == ("c0", "c1", "c2", "c3", "c4", "c5")
    assert controls.better_subjects == ("c6",)
    assert controls.p == pytest.approx(0.125)


def test_hot_spots_count_subjects_not_clusters_and_do_not_chain(run):
    """Along a line 8 mm apart: a ball of 10 mm holds three; what is left of five is two."""
    line = {f"c{k}": ((), [(0.6, (8.0 * k, 0, 0))]) for k in range(5)}
    twice = {"c9": ((), [(0.6, (FAR, 0, 0)), (0.7, (FAR, 30, 0))])}
    found = review_failures({"a": run(**line, **twice)}, Rule.OVERLAP, None)
    assert [(s.centre_mni_mm, s.controls) for s in found.hot_spots] == [
        ((8.0, 0, 0), ("c0", "c1", "c2")), ((24.0, 0, 0), ("c3", "c4")),
    ]  # fmt: skip
    assert all(s.patients == () for s in found.hot_spots)


def test_places_without_mni_are_counted_and_left_out_of_the_hot_spots(run):
    report = run(c1=((), [(0.6, (0, 0, 0))]), c2=((), [(0.6, (0, 0, 0))]))
    bare = tuple(
        replace(s, clusters=tuple(replace(c, centre_mni_mm=None) for c in s.clusters))
        for s in report.subjects
    )
    found = review_failures({"a": replace(report, subjects=bare)}, Rule.OVERLAP, None)
    assert found.hot_spots == ()
    assert found.n_without_mni == 2


def test_site_probability_is_the_highest_over_runs(run, record):
    low, high = (
        replace(run(p1=((None,), ())), subjects=(record("p1", found=(None,), level=level),))
        for level in (0.2, 0.4)
    )
    (miss,) = review_failures({"a": low, "b": high}, Rule.OVERLAP, None).misses
    assert miss.site_max == 0.4


def test_tracing_by_hand_and_against_scipy():
    """Introduced 3 and 4 mm from a synthetic lesion, removed 30 and 40: p = 2 / 6 = 1/3."""
    synthetic = [("s1", (50.0, 0, 0)), ("s2", (-20.0, 0, 0))]
    groups = {
        "introduced": [(50.0, 3, 0), (50.0, 0, 4), None],
        "removed": [(50.0, 30, 0), (50.0, 0, 40)],
        "found": [],
    }
    traced = trace(groups, synthetic)
    near = traced.of("introduced")
    assert (near.n, near.n_without_mni, near.distances_mm) == (2, 1, (3.0, 4.0))
    assert (near.median_mm, near.quartile_1_mm, near.quartile_3_mm) == (3.5, 3.25, 3.75)
    assert near.nearest == ("s1", "s1")
    # Mirrored to x = -50 the nearest is s2 at 30 mm in x: sqrt(909) and sqrt(916).
    assert near.mirrored_median_mm == pytest.approx((909**0.5 + 916**0.5) / 2)
    assert traced.p == pytest.approx(1 / 3)
    assert traced.p == stats.mannwhitneyu([3, 4], [30, 40]).pvalue
    assert traced.of("found").median_mm is None
    assert trace({"introduced": [], "removed": [(0, 0, 0)]}, synthetic).p is None
    assert trace(groups, []).of("removed").median_mm is None


def test_only_introduced_places_are_traced_as_introduced(run):
    a = run(c1=((), [(0.6, (0, 0, 0))]), p1=((0.9,), ()))
    b = run(c1=((), [(0.7, (30, 0, 0))]), p1=((0.9,), ()))
    synthetic = [("s1", (31.0, 0, 0))]
    traced = review_failures({"a": a, "b": b}, Rule.OVERLAP, ("a", "b"), synthetic).tracing
    assert traced.of("introduced").distances_mm == (1.0,)
    assert traced.of("removed").distances_mm == (31.0,)
    assert traced.of("found").n_without_mni == 2  # the finders of p1 in both runs


def test_the_table_holds_every_failure_once(run, tmp_path):
    a = run(c1=((), [(0.6, (0, 0, 0))]), c2=((), ()), p1=((0.9, None), ()))
    b = run(c1=((), ()), c2=((), [(0.7, (3, 4, 0))]), p1=((None, None), ()))
    found = review_failures({"a/1": a, "b/1": b}, Rule.OVERLAP, ("a", "b"), [("s", (3.0, 4, 12))])
    with write_failures(found, tmp_path).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["kind"], r["id"], r["change"], r["a_runs"], r["b_runs"]) for r in rows] == [
        ("missed lesion", "p1", "kept", "1", "1"),
        ("missed lesion", "p1", "introduced", "0", "1"),
        ("false positive", "c2", "introduced", "0", "1"),
        ("false positive", "c1", "removed", "1", "0"),
        ("hot spot", "", "", "", ""),
    ]
    assert [(r["synthetic_mm"], r["synthetic_id"]) for r in rows[2:4]] == [("12", "s"), ("13", "s")]
    assert rows[4]["controls"] == "c1 c2"
    assert rows[0]["lesion"] == "2"


def test_unknown_arms_no_runs_and_other_lesions_are_refused(run):
    report = run(p1=((0.9,), ()))
    with pytest.raises(SettingsError, match="compare"):
        review_failures({"a/1": report}, Rule.OVERLAP, ("a", "b"))
    with pytest.raises(SettingsError, match="runs"):
        review_failures({}, Rule.OVERLAP, None)
    with pytest.raises(CohortError, match=r"p1.*later run"):
        review_failures({"a": report, "b": run(p1=((0.9, 0.8), ()))}, Rule.OVERLAP, None)


def test_the_review_is_the_same_whatever_the_order_of_subjects(run):
    rng = np.random.default_rng(0)
    subjects = {
        f"c{k}": ((), [(round(float(s), 3), tuple(rng.uniform(-60, 60, 3).round(2)))
                       for s in rng.uniform(0.5, 1, 3)])
        for k in range(8)
    }  # fmt: skip
    one = run(**subjects)
    other = replace(one, subjects=one.subjects[::-1])
    first, second = (review_failures({"a": r}, Rule.OVERLAP, None) for r in (one, other))
    assert first.places == second.places
    assert first.hot_spots == second.hot_spots
