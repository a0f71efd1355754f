"""Conclusions of a study from evaluations by hand: costs, places, patients, traced positives."""

import json
from dataclasses import replace

import pytest
from record_by_hand import make_record

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.detector.likeness import COLUMNS
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.study.choice import make_plan
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plots import ratio_plot, ratio_sweeps
from fcdsynth.study.results import Results
from fcdsynth.study.settings import Arm
from fcdsynth.study.tables import patients, to_json
from fcdsynth.study.tracing import trace
from fcdsynth.study.wording import change_rows, gap_words, tracing_rows

ARMS = (Arm("base"), Arm("more", synthetic=1.0), Arm("twice", real=2.0))
PATIENTS = [f"p{k}" for k in range(8)]
CONTROLS = [f"q{k}" for k in range(8)]


def table():
    rows = [
        Subject(name, Group.PATIENT if name in PATIENTS else Group.CONTROL, Origin.REAL,
                split=Split.TEST if name[1] in "0123" else Split.NONE)
        for name in (*PATIENTS, *CONTROLS)
    ]  # fmt: skip
    return Cohort("nowhere", tuple(rows))


def report(subjects):
    return Report(
        cohort="by hand", rule=Rule.OVERLAP, maps="probability", operating_point={},
        n_trained_on=1, not_evaluated=(), plan=None, relatives=(), bootstrap=100,
        chance_draws=0, seed=0, subjects=tuple(subjects),
    ).derived()  # fmt: skip


def at(record, *centres):
    """The record with its clusters at these places, RAS+ mm."""
    clusters = [replace(c, centre_mm=where) for c, where in zip(record.clusters, centres,
                                                                strict=True)]  # fmt: skip
    return replace(record, clusters=tuple(clusters))


def subjects(hits, level, wrong):
    """Four patients, the first ``hits`` found; control q0 has false clusters at these places."""
    rows = [make_record(f"p{k}", found=(0.9 if k < hits else None,), level=level) for k in range(4)]
    rows.append(at(make_record("q0", patient=False, false=(0.3,) * len(wrong)), *wrong))
    return rows + [make_record(f"q{k}", patient=False) for k in range(1, 4)]


NEAR, NEAR_TOO, FAR = (0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (40.0, 0.0, 0.0)
# By draw: how many are found, the probability there, and where false clusters lie.
OUTCOMES = {
    "base": ((1, 0.2, (NEAR,)), (1, 0.4, (NEAR,))),
    "more": ((2, 0.6, (NEAR_TOO, FAR)), (1, 0.6, ())),
    "twice": ((4, 0.8, ()), (4, 0.8, ())),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = StudyFolder(tmp_path_factory.mktemp("results"))
    plan = make_plan(table(), ARMS, n=2, folds=2, draws=2)
    for arm in plan.arms:
        for draw, outcome in zip(plan.draws, OUTCOMES[arm.name], strict=True):
            for place in (folder.evaluation(draw, arm), folder.curve(draw, arm)):
                place.mkdir(parents=True)
                report(subjects(*outcome)).write(place)
            if arm.synthetic:
                where = folder.likeness(draw, arm)
                where.mkdir()
                rows = [",".join(COLUMNS)]
                if outcome[2]:
                    rows += ["q0,1,0.3,1,real-1,real,0.9", "q0,2,0.3,1,syn-1,synthetic,0.8",
                             "q0,2,0.3,2,real-1,real,0.5", "p0,1,0.9,1,syn-2,synthetic,0.9",
                             "p1,1,0.9,1,real-1,real,0.9"]  # fmt: skip
                else:
                    rows += ["p0,1,0.9,1,real-1,real,0.9"]
                (where / "likeness.csv").write_text("\n".join(rows) + "\n")
                (where / "training.json").write_text('{"lesions": 4, "synthetic": 2}\n')
    return folder, plan, Results.read(folder, plan)


def test_costs_are_means_over_subjects_and_draws(made):
    """False clusters of q0: 1 and 1, then 2 and 0; both 1 on average, spread over 8 subjects."""
    _, _, results = made
    wrong, clean = results.harms("more")
    assert (wrong.a, wrong.b, wrong.difference.value) == (1 / 8, 1 / 8, 0)
    assert wrong.p is None  # all alike
    # q0 is clean in no draw of base and in one of two of more: 3 of 4, then 3.5 of 4.
    assert (clean.a, clean.b) == (0.75, 0.875)
    assert clean.difference.value == pytest.approx(0.125)
    assert clean.difference.n == 4


def test_probabilities_at_the_lesion_and_at_random_places(made):
    _, _, results = made
    lesion, random = results.places("more")  # by hand there is no mirrored site
    assert (lesion.name, random.name) == ("lesion_site_probability", "random_site_probability")
    assert (lesion.a, lesion.b) == (pytest.approx(0.3), pytest.approx(0.6))
    assert lesion.difference.n == 4
    assert lesion.p == pytest.approx(0.125)  # four differences of one sign: 2 / 16
    row = change_rows("more", [lesion])[0]
    assert row["change"].startswith("+0.30")


def test_the_gap_and_what_is_closed(made):
    """Found: 1 and 1 of 4; 2 and 1; 4 and 4. Of 75 points 12.5 are gained: a sixth."""
    _, _, results = made
    told = to_json(results)
    json.dumps(told, allow_nan=False)
    gap, gain = told["endpoint"]["gap"], told["endpoint"]["gain"]["more"]
    assert (gap["arm"], gap["value"], gain["value"]) == ("twice", 0.75, 0.125)
    assert told["endpoint"]["by_draw"]["more"] == [0.5, 0.25]
    assert told["endpoint"]["gap_closed"]["more"]["value"] == pytest.approx(1 / 6)
    assert told["endpoint"]["over"]["more"]["twice"]["value"] == -0.625
    assert "more closed 17 % [" in gap_words(results)


def test_patients_in_the_order_of_gain(made):
    _, _, results = made
    rows = patients(results)
    assert [row["id"] for row in rows] == ["p1", "p0", "p2", "p3"]
    assert (rows[0]["base"], rows[0]["more"], rows[0]["twice"]) == (0, 0.5, 1)
    assert rows[0]["volume_ml"] == 1.0


def test_a_new_false_positive_is_one_that_was_not_near_before(made):
    """In draw 1 the cluster 9 mm away was there before, that 40 mm away is new."""
    folder, plan, _ = made
    tracing = trace(folder, plan, plan.arms[1])
    assert tracing.among == 0.5
    (new,) = tracing.introduced
    assert (new.draw, new.subject, new.cluster) == ("draw-1", "q0", 2)
    assert [a.training_subject for a in new.alike] == ["syn-1", "real-1"]
    counts = {s.group: (s.synthetic, s.n) for s in tracing.shares}
    assert counts == {"introduced": (1, 1), "kept": (0, 1), "found": (1, 3)}
    assert tracing.givers == (("syn-1", 1),)
    assert tracing_rows(tracing)[2]["share"].startswith("1 of 3 [")


def test_an_arm_without_an_evaluation(made, tmp_path):
    _, plan, _ = made
    with pytest.raises(RunError):
        Results.read(StudyFolder(tmp_path), plan)


def test_left_out_sites_are_read_as_one_test_set(tmp_path):
    rows = [
        Subject(f"{'pq'[k % 2]}{k}", Group.PATIENT if k % 2 == 0 else Group.CONTROL, Origin.REAL,
                site="AB"[k // 8])
        for k in range(16)
    ]  # fmt: skip
    plan = make_plan(Cohort("nowhere", tuple(rows)), ARMS[:1], folds=2, by="site")
    folder = StudyFolder(tmp_path)
    for draw, hits in zip(plan.draws, (1, 3), strict=True):
        found = [
            make_record(name, found=(0.9 if k < hits else None,))
            for k, name in enumerate(draw.test_patients)
        ]
        found += [make_record(name, patient=False) for name in draw.test_controls]
        for place in (folder.evaluation(draw, plan.arms[0]), folder.curve(draw, plan.arms[0])):
            place.mkdir(parents=True)
            report(found).write(place)
    results = Results.read(folder, plan)
    assert results.endpoint.sensitivity("base").value == 0.5  # 4 of 8
    assert len(results.reports["base"]) == 1
    assert len(results.reports["base"][0].subjects) == 16


def test_a_sweep_of_the_ratio_is_drawn_from_three_arms_on(made):
    arms = (Arm("base"), Arm("double", synthetic=2.0), Arm("half", synthetic=0.5),
            Arm("ellipsoid", synthetic=1.0, masks="ellipsoid"), Arm("twice", real=2.0),
            Arm("twice-more", real=2.0, synthetic=1.0))  # fmt: skip
    assert [[a.name for a in sweep] for sweep in ratio_sweeps(arms)] == [["base", "half", "double"]]
    assert ratio_sweeps(arms[:2]) == []
    _, plan, results = made
    assert ratio_plot(results) == ""
    swept = (Arm("base"), Arm("more", synthetic=1.0), Arm("twice", synthetic=2.0))
    drawn = ratio_plot(replace(results, plan=replace(plan, arms=swept)))
    assert drawn.startswith("data:image/png")
