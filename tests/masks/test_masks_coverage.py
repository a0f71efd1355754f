"""Coverage: counts into cells, the rule, the law it compares with, the files and the targets."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantom import prepared_cohort
from scipy import stats

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.masks.coverage import coverage
from fcdsynth.masks.covering.cells import SIZE_BINS, Cell, Placed, all_cells, place_lesion
from fcdsynth.masks.covering.expected import (
    expected_shares,
    places_in,
    published_places,
    site_shares,
    size_shares,
)
from fcdsynth.masks.covering.rule import State, false_alarm, judge
from fcdsynth.masks.covering.survey import Survey, judged
from fcdsynth.masks.covering.wording import plain_text, verdict
from fcdsynth.masks.laws.lesions import lesions_of, load_patient
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.size import SizeLaw
from fcdsynth.masks.targets import (
    Target,
    mass_between,
    narrowed,
    read_targets,
    seeds_in,
    targets_json,
    write_targets,
)
from fcdsynth.measure.lobes import lobe_index

sys.path.insert(0, str(Path(__file__).parent))
from banks import folded_head

TRAIN_TWO = {"sub-00001": Split.TRAIN, "sub-00002": Split.TEST, "sub-00003": Split.TRAIN,
             "sub-00004": Split.VAL, "sub-00005": Split.TRAIN, "sub-00006": Split.TRAIN,
             "sub-00007": Split.TRAIN, "sub-00008": Split.TEST}  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four patients and four controls at two sites; no splits."""
    folder = tmp_path_factory.mktemp("cohort")
    prepared_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def covered(cohort, tmp_path_factory):
    return coverage(str(cohort), str(tmp_path_factory.mktemp("out") / "cover"))


def rows_of(folder):
    with (folder / "coverage.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def survey_of(lesions, sites, controls, at_least=1):
    cells = all_cells(tuple(sites))
    shares = expected_shares(published_places(), size_shares(SizeLaw()), sites, cells)
    rows = judged(cells, shares, lesions, sites, at_least)
    return Survey(rows, tuple(lesions), "a law", at_least, controls, len(lesions), ())


def row_of(survey, lobe, side, low, site):
    return next(r for r in survey.rows
                if (r.cell.lobe, r.cell.side, r.cell.size.low_ml, r.cell.site)
                == (lobe, side, low, site))  # fmt: skip


# The law


def test_published_places_are_bonns_lobes_times_bonns_sides():
    places = published_places()
    assert places.sum() == pytest.approx(1)
    # Frontal 55 of 91 lobes named, left 46 of 85; insula 3 of 91, right 39 of 85.
    assert places[0, 0] == pytest.approx(55 / 91 * 46 / 85)
    assert places[4, 1] == pytest.approx(3 / 91 * 39 / 85)


def test_size_shares_by_hand():
    # ln 2.8 = 1.0296, sigma 1.25: z of 0.12, 1, 3, 10, 60 ml is -2.520, -0.824, 0.055, 1.018,
    # 2.452; the normal's tables give 0.0059, 0.2051, 0.5220, 0.8457, 0.9929. Their differences
    # over 0.9870 are 0.202, 0.321, 0.328, 0.149.
    assert size_shares(SizeLaw()) == pytest.approx((0.202, 0.321, 0.328, 0.149), abs=0.001)
    assert sum(size_shares(SizeLaw(median_ml=20.0, sigma_ln=0.5))) == pytest.approx(1)


def test_sites_expect_lesions_as_they_have_people_not_patients():
    def person(number, group, site):
        return Subject(f"s{number}", group, Origin.REAL, site=site)

    people = [person(0, Group.PATIENT, "A"), person(1, Group.CONTROL, "A"),
              person(2, Group.CONTROL, "B"), person(3, Group.CONTROL, "B")]  # fmt: skip
    assert site_shares(people) == {"A": 0.5, "B": 0.5}


def test_shares_of_all_cells_sum_to_one():
    cells = all_cells(("A", "B"))
    shares = expected_shares(published_places(), size_shares(SizeLaw()), {"A": 0.7, "B": 0.3},
                             cells)  # fmt: skip
    assert len(cells) == 2 * 5 * 2 * 4
    assert shares.sum() == pytest.approx(1)
    chosen = cells.index(Cell("FL", "L", SIZE_BINS[0], "A"))
    assert shares[chosen] == pytest.approx(0.202 * 0.7 * 55 / 91 * 46 / 85, rel=0.005)


def test_places_in_a_host_follow_the_priors_lobes_and_the_hosts_sides():
    host = folded_head()
    prior = LesionPrior()
    only_left_lobes = replace(prior, site=replace(prior.site, lobes=(0.0, 3.0, 0.0, 1.0, 0.0)))
    places = places_in(host, only_left_lobes)
    assert places.sum(axis=1) == pytest.approx([0, 0.75, 0, 0.25, 0])
    # Within a lobe every voxel weighs the same: left of x = 0 by counting, up to the gyri that
    # cross the mid-plane with their white matter.
    points = host.to_mni(host.ribbon_vox)
    left = [(points[lobe_index(points) == lobe][:, 0] < 0).mean() for lobe in (1, 3)]
    assert places[:, 0].sum() == pytest.approx(0.75 * left[0] + 0.25 * left[1], abs=0.02)
    assert places_in(replace(host, t1w_to_mni=None), prior) is None


# The rule


def test_a_cell_with_nothing_expected_is_few_not_short():
    v = judge(0, 0.01, 20, 1)
    # 0.99^20 = 0.818
    assert (v.state, v.wanted, v.missing) == (State.FEW, 1, 1)
    assert v.chance == pytest.approx(0.8179, abs=1e-4)
    assert v.expected == pytest.approx(0.2)


def test_a_cell_is_short_at_five_per_cent_and_wants_what_is_expected():
    # n = 10, share 0.4: P(0) = 0.6^10 = 0.0060, P(<= 1) = 0.0464, P(<= 2) = 0.1673.
    assert [judge(k, 0.4, 10, 1).state for k in (0, 1, 2)] == [
        State.SHORT, State.SHORT, State.ENOUGH]  # fmt: skip
    v = judge(1, 0.4, 10, 1)
    assert (v.wanted, v.missing) == (4, 3)
    assert judge(1, 0.4, 10, 6).wanted == 6
    assert judge(2, 0.4, 10, 1).missing == 0
    assert false_alarm(0.4, 10) == pytest.approx(0.0464, abs=1e-4)
    assert false_alarm(0.01, 20) == 0


def test_at_least_two_makes_one_few():
    v = judge(1, 0.01, 20, 2)
    assert (v.state, v.missing) == (State.FEW, 1)


def test_kinds_that_the_law_hardly_knows_are_not_asked_for():
    assert judge(0, 0.0004, 100, 1, share_at_site=0.0009).missing == 0
    # A small site makes its cells no rarer at the site itself.
    assert judge(0, 0.0004, 100, 1, share_at_site=0.004).missing == 1


def test_the_false_alarms_announced_are_those_of_cohorts_drawn_from_the_law():
    sites = {"A": 0.8, "B": 0.2}
    survey = survey_of([Placed(f"s{i}", 2, "FL", "L", "A") for i in range(150)], sites, {"A": 9})
    shares = np.array([r.share for r in survey.rows])
    counts = np.random.default_rng(5).multinomial(150, shares / shares.sum(), size=4000)
    mean = (stats.binom.cdf(counts, 150, shares) <= 0.05).sum(axis=1).mean()
    assert survey.by_chance > 0.3
    assert mean == pytest.approx(survey.by_chance, rel=0.1)


# Counting


@pytest.mark.parametrize(("volume_ml", "low"), [(0.99, 0), (1.0, 1), (2.99, 1), (3.0, 3),
                                                (10.0, 10), (95.0, 10)])  # fmt: skip
def test_a_lesion_falls_into_the_bin_that_begins_at_its_volume(volume_ml, low):
    assert Placed("s", volume_ml, "TL", "R", "A").cell.size.low_ml == low


def test_a_lesion_lies_where_its_seed_does():
    host = folded_head()
    mask = np.zeros(host.grid.shape, dtype=bool)
    x, y, z = (round(v) for v in host.grid.to_vox((-26.0, 36.0, 20.0)))  # left and in front
    mask[x - 5 : x + 6, y - 5 : y + 6, z - 5 : z + 6] = True
    lesion = lesions_of(host, mask)[0]
    subject = Subject("folded", Group.PATIENT, Origin.REAL, site="A", lobe="TL")
    placed = place_lesion(host, lesion, subject)
    assert (placed.lobe, placed.side, placed.site) == ("FL", "L", "A")
    nowhere = replace(host, t1w_to_mni=None)
    assert place_lesion(nowhere, lesion, subject).lobe == "TL"
    assert place_lesion(nowhere, lesion, replace(subject, lobe="TL,PL")).cell is None


def test_every_lesion_is_counted_once_and_margins_agree():
    sites = {"A": 0.5, "B": 0.5}
    lesions = [Placed("s1", 0.5, "TL", "L", "A"), Placed("s2", 0.5, "TL", "L", "A"),
               Placed("s3", 5, "FL", "R", "B"), Placed("s4", 5, "", "R", "B")]  # fmt: skip
    survey = survey_of(lesions, sites, {"A": 2, "B": 2})
    assert survey.n == 3
    assert row_of(survey, "TL", "L", 0, "A").verdict.observed == 2
    assert row_of(survey, "FL", "R", 3, "B").verdict.observed == 1
    by_lobe = survey.margin(lambda c: (c.lobe,))
    assert {k[0]: v.observed for k, v in by_lobe.items()} == {
        "FL": 1, "PL": 0, "TL": 2, "OL": 0, "IL": 0}  # fmt: skip
    assert by_lobe["FL",].expected == pytest.approx(3 * 55 / 91)
    assert "s4" in plain_text(survey)  # said to be left out


def test_short_cells_come_first_and_targets_ask_for_what_is_missing():
    # 100 lesions, all small and frontal at A; sites equal. FL L 3-10 ml at A expects
    # 100 x 0.604 x 0.541 x 0.328 x 0.5 = 5.4 and finds none: e^-5.4 = 0.5 %.
    sites = {"A": 0.5, "B": 0.5}
    survey = survey_of([Placed(f"s{i}", 0.5, "FL", "L", "A") for i in range(100)], sites,
                       {"A": 3, "B": 0})  # fmt: skip
    first = survey.thin[0]
    assert first.verdict.state is State.SHORT
    assert first.verdict.expected == pytest.approx(5.36, abs=0.02)
    states = [r.verdict.state for r in survey.thin]
    assert states == sorted(states, key=lambda s: s is not State.SHORT)
    targets = survey.targets()
    assert targets[0] == Target("FL", "L", 3, 10, "A", 5)
    assert {t.site for t in targets} == {"A"}  # nothing can be drawn at B
    assert "Nothing can be drawn for B" in plain_text(survey)
    assert sum(t.count for t in targets) == sum(
        r.verdict.missing for r in survey.thin if r.cell.site == "A")  # fmt: skip


def test_a_small_cohort_is_told_that_it_proves_nothing():
    survey = survey_of([Placed("s", 2, "FL", "L", "A")], {"A": 1.0}, {"A": 1})
    assert "too few for any one cell" in verdict(survey)


def test_unnamed_sites_are_any_site_alone_and_cannot_be_asked_for_among_others():
    alone = survey_of([Placed("s", 2, "FL", "L", "")], {"": 1.0}, {"": 4})
    assert {t.site for t in alone.targets()} == {""}
    mixed = survey_of([Placed("s", 2, "FL", "L", "")], {"": 0.5, "A": 0.5}, {"": 4, "A": 4})
    assert {t.site for t in mixed.targets()} == {"A"}


def test_once_drawn_the_targets_leave_nothing_thin():
    sites = {"A": 0.6, "B": 0.4}
    lesions = [Placed(f"s{i}", 2, "FL", "L", "A") for i in range(20)]
    survey = survey_of(lesions, sites, {"A": 3, "B": 3}, at_least=2)
    drawn = [Placed(f"d{i}-{j}", t.low_ml + 0.5, t.lobe, t.side, t.site)
             for i, t in enumerate(survey.targets()) for j in range(t.count)]  # fmt: skip
    counts = {}
    for p in (*lesions, *drawn):
        counts[p.cell] = counts.get(p.cell, 0) + 1
    for row in survey.rows:
        assert counts.get(row.cell, 0) >= row.verdict.wanted >= 2


# The verb


def test_the_verbs_table_counts_every_piece_of_every_mask(cohort, covered):
    table = Cohort.read(cohort)
    expected = {}
    for subject in table.subjects:
        if subject.is_patient:
            host, lesions = load_patient(table, subject)
            for lesion in lesions:
                x_mm = float(host.grid.to_mm(lesion.seed_vox)[0])  # MNI is the world here
                ml = lesion.volume_ml
                low = 0 if ml < 1 else 1 if ml < 3 else 3 if ml < 10 else 10
                key = (subject.site, "R" if x_mm > 0 else "L", str(low))
                expected[key] = expected.get(key, 0) + 1
    found = {}
    for row in rows_of(covered):
        if int(row["observed"]):
            key = (row["site"], row["side"], row["low_ml"])
            found[key] = found.get(key, 0) + int(row["observed"])
    assert found == expected
    assert sum(float(r["expected"]) for r in rows_of(covered)) == pytest.approx(
        sum(expected.values()), abs=0.01)  # fmt: skip


def test_the_verbs_files_agree(covered, capsys):
    names = {p.name for p in covered.iterdir()}
    assert names == {"coverage.txt", "coverage.csv", "coverage.json", "target.json",
                     "report.html", "config.yaml", "provenance.json"}  # fmt: skip
    rows = rows_of(covered)
    assert len(rows) == 80
    record = json.loads((covered / "coverage.json").read_text())
    assert record["n_missing"] == sum(int(r["missing"]) for r in rows)
    targets = read_targets(covered / "target.json")
    assert {(t.site, t.lobe, t.side, f"{t.low_ml:g}"): t.count for t in targets} == {
        (r["site"], r["lobe"], r["side"], r["low_ml"]): int(r["missing"])
        for r in rows if int(r["missing"]) and r["drawable"] == "yes"}  # fmt: skip
    page = (covered / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "not a medical device" in page


def test_the_verb_shows_its_text_and_gives_the_same_bytes(cohort, covered, tmp_path, capsys):
    again = coverage(str(cohort), str(tmp_path / "again"))
    assert "lesions of 4 training patients at 2 sites" in capsys.readouterr().err
    for name in ("coverage.txt", "coverage.csv", "coverage.json", "target.json", "report.html"):
        assert (again / name).read_bytes() == (covered / name).read_bytes()
    coverage(str(cohort), str(tmp_path / "again"))  # a finished run shows it again
    assert "lesions of 4 training patients" in capsys.readouterr().err


def test_held_out_patients_are_never_counted_or_read(tmp_path):
    table = prepared_cohort(tmp_path / "c", splits=TRAIN_TWO)
    for name in ("sub-00002", "sub-00004"):  # held out: reading them would fail
        (tmp_path / "c" / name / f"{name}_lesion.nii.gz").write_bytes(b"not a volume")
    synthetic = replace(table["sub-00001"], id="syn-1", origin=Origin.SYNTHETIC)
    Cohort(table.folder, (*table.subjects, synthetic), "tiny").write()
    out = coverage(str(tmp_path / "c"), str(tmp_path / "out"))
    record = json.loads((out / "coverage.json").read_text())
    assert record["n_patients"] == 2
    # Site 1: patients 1, 3 and controls 5, 7; site 2: control 6 (8 is held out).
    assert record["controls_by_site"] == {"site-1": 2, "site-2": 1}
    rows = rows_of(out)
    assert {r["site"] for r in rows if int(r["observed"])} == {"site-1"}
    share = sum(float(r["expected"]) for r in rows if r["site"] == "site-2")
    assert share == pytest.approx(record["n_lesions"] / 5, abs=0.01)


def test_fewer_patients_are_chosen_by_the_seed(cohort, covered, tmp_path):
    places = set()
    for seed in range(4):
        out = coverage(str(cohort), str(tmp_path / f"{seed}"), patients=1, seed=seed)
        record = json.loads((out / "coverage.json").read_text())
        assert (record["n_patients"], record["controls_by_site"]["site-1"]) == (1, 2)
        places.add(tuple(r["observed"] for r in rows_of(out)))
    assert len(places) > 1
    every = coverage(str(cohort), str(tmp_path / "all"), patients=4, seed=1)
    assert (every / "coverage.csv").read_bytes() == (covered / "coverage.csv").read_bytes()
    for count in (0, 5):
        with pytest.raises(SettingsError, match=r"1 to 4"):
            coverage(str(cohort), str(tmp_path / "bad"), patients=count)


def test_a_given_prior_is_compared_with(cohort, tmp_path):
    prior = LesionPrior(size=SizeLaw(median_ml=30.0, sigma_ln=0.3))
    path = prior.write(tmp_path / "prior.json")
    out = coverage(str(cohort), str(tmp_path / "out"), prior=str(path))
    # ln(30 / 10) / 0.3 = 3.66: below 10 ml lie 0.01 %, which nobody asks for.
    states = {r["state"] for r in rows_of(out) if r["low_ml"] != "10" and r["observed"] == "0"}
    assert states == {"rare"}
    assert {t.low_ml for t in read_targets(out / "target.json")} == {10}
    assert "prior.json" in (out / "coverage.txt").read_text()


def test_patients_without_a_mask_are_said(tmp_path):
    table = prepared_cohort(tmp_path / "c", patients=2, controls=1)
    bare = {k: v for k, v in table.subjects[0].files.items() if k != "lesion"}
    rows = (replace(table.subjects[0], files=bare), *table.subjects[1:])
    Cohort(table.folder, rows, "tiny").write()
    out = coverage(str(tmp_path / "c"), str(tmp_path / "out"))
    assert json.loads((out / "coverage.json").read_text())["patients_without_mask"] == ["sub-00001"]
    assert "sub-00001" in (out / "coverage.txt").read_text()


def test_bad_input_leaves_no_folder(cohort, tmp_path):
    out = tmp_path / "out"
    controls = prepared_cohort(tmp_path / "c", patients=0, controls=1)
    with pytest.raises(CohortError, match="no lesion mask among 0"):
        coverage(str(controls.folder), str(out))
    with pytest.raises(SettingsError, match="at_least"):
        coverage(str(cohort), str(out), at_least=0)
    with pytest.raises(SettingsError, match="no file"):
        coverage(str(cohort), str(out), prior=str(tmp_path / "none.json"))
    empty = prepared_cohort(tmp_path / "e", patients=1, controls=1)
    from fcdsynth.core.volume import Volume, read_mask, write_volume

    path = empty.path(empty.subjects[0], "lesion")
    mask = read_mask(path)
    write_volume(path, Volume(np.zeros_like(mask.array), mask.grid))
    with pytest.raises(CohortError, match="sub-00001"):
        coverage(str(empty.folder), str(out))
    assert not out.exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_prior_of_a_held_out_patient_is_refused(tmp_path):
    prepared_cohort(tmp_path / "c", splits=TRAIN_TWO)
    path = replace(LesionPrior(), fitted_on=("sub-00002",)).write(tmp_path / "prior.json")
    with pytest.raises(LeakageError, match="sub-00002"):
        coverage(str(tmp_path / "c"), str(tmp_path / "out"), prior=str(path))


# Targets


def test_targets_survive_the_file(tmp_path):
    targets = (Target("TL", "L", 0, 1, "Bonn", 3), Target(low_ml=10), Target())
    path = write_targets(tmp_path / "target.json", targets)
    assert read_targets(path) == targets
    assert json.loads(path.read_text())["targets"][1]["high_ml"] is None
    assert targets_json(()) == '{"targets": []}\n'


def test_a_target_by_hand_may_leave_keys_out(tmp_path):
    path = tmp_path / "target.json"
    path.write_text('{"targets": [{"lobe": "TL", "high_ml": 1, "count": 3}, {"side": null}]}')
    assert read_targets(path) == (Target(lobe="TL", high_ml=1, count=3), Target())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"targets": [{"lobe": "XL"}]}', r"target 1, lobe: found 'XL'.*FL, PL"),
        ('{"targets": [{}, {"side": "left"}]}', r"target 2, side: found 'left'"),
        ('{"targets": [{"count": 0}]}', r"count: found 0"),
        ('{"targets": [{"count": 1.5}]}', r"count: found 1.5"),
        ('{"targets": [{"count": true}]}', r"count: found True"),
        ('{"targets": [{"low_ml": -1}]}', r"low_ml"),
        ('{"targets": [{"low_ml": NaN}]}', r"low_ml"),
        ('{"targets": [{"high_ml": "1"}]}', r"high_ml"),
        ('{"targets": [{"low_ml": 3, "high_ml": 3}]}', r"low_ml below high_ml"),
        ('{"targets": [{"site": 3}]}', r"site"),
        ('{"targets": [{"lobes": "FL"}]}', r"\['lobes'\]"),
        ('{"targets": ["FL"]}', r"target 1: found 'FL'"),
        ('{"targets": []}', r"no target"),
        ('{"targets": {}}', r"something else"),
        ("[]", r"TypeError"),
        ("{", r"JSONDecodeError"),
    ],
)
def test_bad_targets_are_named(tmp_path, text, match):
    path = tmp_path / "target.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=match):
        read_targets(path)
    with pytest.raises(SettingsError, match="no file"):
        read_targets(tmp_path / "none.json")


def test_mass_between_by_hand():
    law = SizeLaw(median_ml=2.0, sigma_ln=1.0, lower_ml=1e-6, upper_ml=1e6)
    # From the median to one sigma above it: 0.3413.
    assert mass_between(law, 2.0, 2.0 * math.e) == pytest.approx(0.3413, abs=1e-4)
    assert mass_between(SizeLaw(), 0, math.inf) == 1
    assert mass_between(SizeLaw(), 70, math.inf) == 0


def test_a_narrowed_law_is_the_law_given_the_interval():
    law, flat = narrowed(SizeLaw(), Target(low_ml=3, high_ml=10))
    assert not flat
    shares = np.linspace(0, 1, 2001)
    every = SizeLaw().quantile(np.linspace(0, 1, 200_001))
    inside = every[(every >= 3) & (every <= 10)]
    assert np.allclose(law.quantile(shares), np.quantile(inside, shares), rtol=1e-3)
    whole, flat = narrowed(SizeLaw(), Target())
    assert not flat
    assert (whole.quantile(shares) == SizeLaw().quantile(shares)).all()


def test_where_the_law_has_nothing_sizes_are_log_uniform():
    small = SizeLaw(median_ml=1.0, sigma_ln=0.4)
    law, flat = narrowed(small, Target(low_ml=10, high_ml=40))
    assert flat
    # Half of the way in ln V is half of the mass: sqrt(10 x 40) = 20; a quarter: 10 x 4^0.25.
    assert law.quantile(np.array([0, 0.25, 0.5, 1.0])) == pytest.approx(
        [10, 14.142, 20, 40], rel=1e-4)  # fmt: skip
    to_the_end, flat = narrowed(small, Target(low_ml=10))
    assert flat
    assert (to_the_end.lower_ml, to_the_end.upper_ml) == (10, 60)
    beyond, _ = narrowed(SizeLaw(), Target(low_ml=70, high_ml=90))
    assert 70 <= float(beyond.quantile(0.5)) <= 90
    with pytest.raises(SettingsError, match="outside a size law"):
        narrowed(SizeLaw(), Target(low_ml=70))
    with pytest.raises(SettingsError, match="outside a size law"):
        narrowed(SizeLaw(), Target(high_ml=0.1))


def test_seeds_of_a_target_lie_in_its_lobe_and_side():
    host = folded_head()
    chosen = seeds_in(host, Target("TL", "L"))
    points = host.to_mni(host.ribbon_vox[chosen])
    assert 0 < chosen.sum() < len(host.ribbon_vox) / 4
    assert (points[:, 0] < 2).all()  # left
    assert points[:, 2].mean() < -5  # and low: temporal
    halves = seeds_in(host, Target(side="L")), seeds_in(host, Target(side="R"))
    assert not (halves[0] & halves[1]).any()
    assert (halves[0] | halves[1]).all()
    lobes = [seeds_in(host, Target(lobe)) for lobe in ("FL", "PL", "TL", "OL", "IL")]
    assert (np.sum(lobes, axis=0) == 1).all()
    assert seeds_in(host, Target()).all()


def test_a_host_without_such_cortex_is_named():
    host = folded_head()
    with pytest.raises(CohortError, match=r"folded: found no t1w_to_mni"):
        seeds_in(replace(host, t1w_to_mni=None), Target("TL"))
    right_only = replace(host, right=np.ones_like(host.right))
    with pytest.raises(CohortError, match="side L"):
        seeds_in(right_only, Target(side="L"))
