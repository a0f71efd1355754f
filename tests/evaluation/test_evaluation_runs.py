"""Several runs in one evaluation, and who may be evaluated at all."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Origin, Split
from fcdsynth.core.volume import Volume, read_grid, write_volume
from fcdsynth.evaluation.evaluate import evaluate
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.together import Together

BASE = {
    "sub-00001": [("lesion", 0.9)], "sub-00002": [], "sub-00003": [], "sub-00004": [],
    "sub-00005": [], "sub-00006": [((3, 12, 12), 0.6)],
}  # fmt: skip
SYNTH = {**BASE, "sub-00002": [("lesion", 0.8)], "sub-00005": [((12, 12, 5), 0.7)]}


@pytest.fixture
def cohort(tmp_path):
    return prepared_cohort(tmp_path / "cohort", 4, 2)


@pytest.fixture
def rows_as(cohort):
    """Rewrite the table, each row changed by a function."""

    def rewrite(change):
        rows = tuple(change(number, s) for number, s in enumerate(cohort.subjects, 1))
        replace(cohort, subjects=rows).write()

    return rewrite


def _folders(tmp_path, cohort, make, **scores):
    for name, mine in scores.items():
        make(tmp_path / name, cohort, mine)


def _run(tmp_path, *words, **more):
    settings = {"bootstrap": 200, "chance_draws": 2, "pictures": 0} | more
    return evaluate(list(words), str(tmp_path / "cohort"), str(tmp_path / "out"), **settings)


def test_arms_with_seeds_through_the_command_line(cohort, hand_made_detections, tmp_path):
    """base finds patient 1 in both seeds; synth finds 1 in both, 2 in one seed of two."""
    _folders(tmp_path, cohort, hand_made_detections, b1=BASE, b2=BASE, s1=SYNTH, s2=BASE)
    words = ["evaluate", *(f"{name}={tmp_path / folder}" for name, folder in (
        ("base/1", "b1"), ("base/2", "b2"), ("synth/1", "s1"), ("synth/2", "s2")))]  # fmt: skip
    out = tmp_path / "out"
    assert main([*words, str(cohort.folder), str(out), "--compare", "base", "synth",
                 "--bootstrap", "200", "--chance_draws", "2", "--pictures", "2"]) == 0  # fmt: skip
    assert {p.name for p in out.iterdir()} == {
        "base", "synth", "report.html", "comparison.json", "failures.csv", "config.yaml",
        "provenance.json",
    }  # fmt: skip
    assert Report.read(out / "synth" / "1").figure("subject_sensitivity").value == 0.5
    (record,) = json.loads((out / "comparison.json").read_text())
    assert (record["a"], record["b"]) == ("base", "synth")
    found = next(f for f in record["figures"]
                 if (f["name"], f["rule"]) == ("subject_sensitivity", "overlap"))  # fmt: skip
    assert (found["a"], found["b"]) == (1 / 4, (1 + 0.5) / 4)
    assert found["gained_ids"] == ["sub-00002"]
    with (out / "failures.csv").open(newline="") as stream:
        failures = list(csv.DictReader(stream))
    new = [r for r in failures if r["id"] == "sub-00005"]
    assert [(r["kind"], r["change"], r["synth_runs"], r["base_runs"]) for r in new] == [
        ("false positive", "introduced", "1", "0")
    ]
    page = (out / "report.html").read_text()
    assert "data:image/png" in page
    assert str(tmp_path) not in page


def test_folds_of_one_name_are_one_run(cohort, hand_made_detections, tmp_path):
    one = {k: v for k, v in BASE.items() if k < "sub-00004"}
    other = {k: v for k, v in BASE.items() if k >= "sub-00004"}
    hand_made_detections(tmp_path / "f1", cohort, one, trained_on=("sub-00005",))
    hand_made_detections(tmp_path / "f2", cohort, other, trained_on=("sub-00001",))
    out = _run(tmp_path, f"run={tmp_path / 'f1'}", f"run={tmp_path / 'f2'}")
    report = Report.read(out)
    assert [s.id for s in report.subjects] == list(BASE)
    assert report.n_trained_on == 2
    hand_made_detections(tmp_path / "f3", cohort, one)
    with pytest.raises(CohortError, match="maps in more than one folder of run 'run'"):
        _run(tmp_path, f"run={tmp_path / 'f1'}", f"run={tmp_path / 'f3'}")
    with pytest.raises(SettingsError, match="twice"):
        _run(tmp_path, f"a={tmp_path / 'f1'}", f"b={tmp_path / 'f1'}")


@pytest.mark.parametrize("name", ["_records", "report.html", ".hidden", "a//b"])
def test_names_that_a_report_needs_itself(cohort, hand_made_detections, tmp_path, name):
    hand_made_detections(tmp_path / "found", cohort, BASE)
    with pytest.raises(SettingsError, match="NAME=FOLDER"):
        _run(tmp_path, f"{name}={tmp_path / 'found'}")


def test_runs_that_change_names_are_another_evaluation(cohort, hand_made_detections, tmp_path):
    _folders(tmp_path, cohort, hand_made_detections, m1=BASE, m2=SYNTH)
    out = _run(tmp_path, f"a={tmp_path / 'm1'}", f"b={tmp_path / 'm2'}")
    assert _run(tmp_path, f"a={tmp_path / 'm1'}", f"b={tmp_path / 'm2'}") == out
    with pytest.raises(RunError, match="made from other inputs"):
        _run(tmp_path, f"a={tmp_path / 'm2'}", f"b={tmp_path / 'm1'}")


def test_compared_runs_must_have_seen_the_same_subjects(cohort, hand_made_detections, tmp_path):
    some = {k: v for k, v in BASE.items() if k != "sub-00003"}
    _folders(tmp_path, cohort, hand_made_detections, m1=BASE, m2=some)
    with pytest.raises(CohortError, match=r"sub-00003.*not all compared runs"):
        _run(tmp_path, f"a={tmp_path / 'm1'}", f"b={tmp_path / 'm2'}")
    assert not (tmp_path / "out.partial").exists()


def test_a_plan_needs_blind_and_a_named_comparison(cohort, rows_as, hand_made_detections, tmp_path):
    rows_as(lambda n, s: replace(s, split=Split.TEST))
    _folders(tmp_path, cohort, hand_made_detections, m1=BASE, m2=SYNTH)
    words = (f"a={tmp_path / 'm1'}", f"b={tmp_path / 'm2'}")
    plan = str(tmp_path / "plan.yaml")
    with pytest.raises(SettingsError, match="--blind true"):
        _run(tmp_path, *words, plan=plan)
    with pytest.raises(SettingsError, match="what is compared"):
        _run(tmp_path, *words, plan=plan, blind=True)


def test_detect_without_its_tables_is_no_other_tool(cohort, hand_made_detections, tmp_path):
    found = hand_made_detections(tmp_path / "found", cohort, BASE)
    for table in ("detections.csv", "subjects.csv", "operating_point.json"):
        (found / table).unlink()
    with pytest.raises(RunError, match="not its tables"):
        _run(tmp_path, str(found), pattern="*_probability*")


def test_two_unnamed_runs_of_one_name(cohort, hand_made_detections, tmp_path):
    _folders(tmp_path, cohort, hand_made_detections, **{"a/found": BASE, "b/found": BASE})
    with pytest.raises(SettingsError, match="two runs called 'found'"):
        _run(tmp_path, str(tmp_path / "a" / "found"), str(tmp_path / "b" / "found"))


def test_a_compared_name_must_exist():
    with pytest.raises(SettingsError, match="base, synth, synth/1"):
        Together(("base", "synth/1"), ("base", "more"))
    assert Together(("base", "x/1", "x/2", "y")).contrasts() == ("base", ("x", "y"))
    assert Together(("base/1", "base/2")).contrasts() is None
    with pytest.raises(SettingsError, match="two different"):
        Together(("base/1", "base/2"), ("base", "base/1"))
    with pytest.raises(SettingsError, match="either a run or an arm"):
        Together(("base", "base/1"))


def test_synthetic_subjects_are_not_evaluated(cohort, rows_as, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, BASE)
    rows_as(lambda n, s: replace(s, origin=Origin.SYNTHETIC) if n == 3 else s)
    with pytest.raises(CohortError, match=r"sub-00003.*synthetic subjects"):
        _run(tmp_path, str(tmp_path / "found"))
    assert not (tmp_path / "out").exists()


def test_a_test_subject_without_a_map(cohort, rows_as, hand_made_detections, tmp_path):
    rows_as(lambda n, s: replace(s, split=Split.TEST if n != 4 else Split.TRAIN))
    scores = {k: v for k, v in BASE.items() if k not in ("sub-00002", "sub-00004")}
    hand_made_detections(tmp_path / "found", cohort, scores)
    with pytest.raises(CohortError, match=r"sub-00002.*1 of the 5 test subjects"):
        _run(tmp_path, str(tmp_path / "found"))
    hand_made_detections(tmp_path / "found", cohort, scores | {"sub-00002": []})
    assert Report.read(_run(tmp_path, str(tmp_path / "found"))).not_evaluated == ("sub-00004",)


def test_sites_and_relatives_of_training_subjects(cohort, rows_as, hand_made_detections, tmp_path):
    """Trained at site A, on a relative of sub-00001."""
    sites = {1: "A", 2: "A", 3: "B", 4: "B", 5: "A", 6: "B"}
    rows_as(lambda n, s: replace(s, site=sites[n], family="f" if n in (1, 2) else ""))
    scores = {k: v for k, v in BASE.items() if k != "sub-00002"}
    hand_made_detections(tmp_path / "found", cohort, scores, trained_on=("sub-00002",))
    report = Report.read(_run(tmp_path, str(tmp_path / "found")))
    assert [s.seen_site for s in report.subjects] == ["yes", "no", "no", "yes", "no"]
    assert report.figure("subject_sensitivity", scope="seen_site=yes").value == 1.0
    assert report.figure("subject_sensitivity", scope="seen_site=no").value == 0.0
    assert report.figure("subject_sensitivity", scope="without site=A").value == 0.0
    assert report.relatives == ("sub-00001",)
    assert any("share a family with training" in words for words in report.warnings)


def test_new_false_positives_are_traced_to_synthetic_lesions(
    cohort, hand_made_detections, tmp_path
):
    """A synthetic lesion at the very place of the false positive that synth introduced."""
    _folders(tmp_path, cohort, hand_made_detections, base=BASE, synth=SYNTH)
    made = prepared_cohort(tmp_path / "made", 1, 0)
    where = np.zeros((24, 24, 24), bool)
    where[12, 12, 5] = True
    path = made.path(made.subjects[0], "lesion")
    write_volume(path, Volume(where, read_grid(path)))
    _run(tmp_path, str(tmp_path / "base"), str(tmp_path / "synth"),
         synthetic=str(tmp_path / "made"))  # fmt: skip
    with (tmp_path / "out" / "failures.csv").open(newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["change"] == "introduced"]
    near = [(r["id"], r["synthetic_id"], float(r["synthetic_mm"])) for r in rows
            if r["kind"] == "false positive"]  # fmt: skip
    assert near == [("sub-00005", "sub-00001", pytest.approx(0, abs=1e-3))]
