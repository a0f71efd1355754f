import csv
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, LeakageError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Parent, Role
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.evaluation import scoring
from fcdsynth.evaluation.evaluate import evaluate
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scored import _Work
from fcdsynth.evaluation.source import read_source

SCORES = {
    "sub-00001": [("lesion", 0.9), ((3, 12, 12), 0.4)],
    "sub-00002": [("lesion", 0.7)],
    "sub-00003": [],
    "sub-00004": [((3, 12, 12), 0.3)],
    "sub-00005": [],
    "sub-00006": [((12, 12, 5), 0.6)],
}
FILES = {"report.html", "report.json", "subjects.csv", "lesions.csv", "clusters.csv",
         "figures.csv", "froc.csv", "failures.csv", "froc.png", "config.yaml",
         "provenance.json"}  # fmt: skip


@pytest.fixture
def cohort(tmp_path):
    return prepared_cohort(tmp_path / "cohort", 4, 2)


def _run(tmp_path, **more):
    settings = {"bootstrap": 200, "chance_draws": 4, "pictures": 0} | more
    return evaluate([str(tmp_path / "found")], str(tmp_path / "cohort"), str(tmp_path / "out"),
                    **settings)  # fmt: skip


def _rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_through_the_command_line(cohort, hand_made_detections, tmp_path, capsys):
    """Patients 1 and 2 found (score 0.9, 0.7), 1 and 4 with a false positive; control 6 too."""
    hand_made_detections(tmp_path / "found", cohort, SCORES, trained_on=("sub-00099",))
    out = tmp_path / "out"
    words = ["evaluate", str(tmp_path / "found"), str(cohort.folder), str(out)]
    assert main([*words, "--bootstrap", "200", "--chance_draws", "5"]) == 0
    assert str(out) in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == FILES
    assert not out.with_name("out.partial").exists()

    report = Report.read(out)
    assert [s.reference for s in report.subjects] == ["truth"] * 4 + [""] * 2
    expected = {"subject_sensitivity": 0.5, "specificity": 0.5, "lesion_recall": 0.5,
                "false_positives_per_patient": 0.5, "false_positives_per_control": 0.5,
                "ppv": 2 / 5, "dice_found_lesions": 1.0}  # fmt: skip
    for name, value in expected.items():
        assert report.figure(name).value == pytest.approx(value), name
    assert report.figure("subject_sensitivity", scope="site=site-1").value == 0.5
    first = report.subjects[0].lesions[0]
    assert first.site.mean == pytest.approx(0.9, abs=1e-3)
    assert first.mirror.mean == pytest.approx(0.05, abs=1e-3)
    assert first.random.mean == pytest.approx(0.05, abs=0.01)
    assert report.subjects[0].mirror_by == "mni"

    subjects = _rows(out / "subjects.csv")
    assert [r["found_overlap"] for r in subjects] == ["yes", "yes", "no", "no", "", ""]
    assert [r["false_positives_iou"] for r in subjects] == ["1", "0", "0", "1", "0", "1"]
    assert len(_rows(out / "lesions.csv")) == 4
    assert [r["role_overlap"] for r in _rows(out / "clusters.csv")] == [
        "true", "false", "true", "false", "false",
    ]  # fmt: skip
    assert {r["rule"] for r in _rows(out / "froc.csv")} == set(Rule)
    assert len(_rows(out / "figures.csv")) == len(report.figures)
    assert (out / "froc.png").read_bytes()[:4] == b"\x89PNG"


def test_figures_are_rebuilt_from_json_alone(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    report = Report.read(_run(tmp_path))
    bare = replace(report, figures=(), froc=(), calibration=(), heterogeneity=(), smallest=(),
                   cases=(), warnings=())  # fmt: skip
    assert bare.derived() == report
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_same_inputs_same_bytes(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    first = _run(tmp_path)
    kept = {p.name: p.read_bytes() for p in first.iterdir() if p.name != "provenance.json"}
    first.rename(tmp_path / "earlier")
    second = _run(tmp_path)
    assert {n: (second / n).read_bytes() for n in kept} == kept
    assert _run(tmp_path) == second  # already whole


def test_annotators_mask_where_there_is_no_truth(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    rows = []
    for subject in cohort.subjects:
        rows.append(replace(subject, files={k: v for k, v in subject.files.items()
                                            if k != "truth"}))  # fmt: skip
    replace(cohort, subjects=tuple(rows)).write()
    report = Report.read(_run(tmp_path))
    assert {s.reference for s in report.subjects if s.is_patient} == {"lesion_t1w"}


def test_only_detected_subjects_are_evaluated_and_the_rest_named(
    cohort, hand_made_detections, tmp_path
):
    some = {k: SCORES[k] for k in ("sub-00001", "sub-00005")}
    hand_made_detections(tmp_path / "found", cohort, some)
    report = Report.read(_run(tmp_path))
    assert [s.id for s in report.subjects] == ["sub-00001", "sub-00005"]
    assert report.not_evaluated == ("sub-00002", "sub-00003", "sub-00004", "sub-00006")


@pytest.mark.parametrize("kept", ["controls", "patients"])
def test_one_group_only(cohort, hand_made_detections, tmp_path, kept):
    ids = [s.id for s in cohort.subjects if s.is_patient == (kept == "patients")]
    hand_made_detections(tmp_path / "found", cohort, {k: SCORES[k] for k in ids})
    report = Report.read(_run(tmp_path))
    absent = "specificity" if kept == "patients" else "subject_sensitivity"
    assert report.figure(absent).value is None
    assert report.figure(absent).reason.startswith("no ")


def test_a_stopped_run_goes_on(cohort, hand_made_detections, tmp_path, monkeypatch):
    """Stopped at the fourth subject: the first three are not measured again."""
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    seen = []

    def counted(task):
        seen.append(task.subject.id)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return scoring.score_subject(task)

    monkeypatch.setattr("fcdsynth.evaluation.scored.score_subject", counted)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path)
    assert not (tmp_path / "out").exists()
    out = _run(tmp_path)
    assert seen == [*list(SCORES)[:4], *list(SCORES)[3:]]
    assert {p.name for p in out.iterdir()} == FILES


def _nothing_left(tmp_path):
    return not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("how", ["trained", "parent", "tuned"])
def test_leakage(cohort, hand_made_detections, tmp_path, how):
    found = tmp_path / "found"
    if how == "trained":
        hand_made_detections(found, cohort, SCORES, trained_on=("syn-1", "sub-00002"))
    elif how == "tuned":
        hand_made_detections(found, cohort, SCORES, chosen_on=("sub-00002",))
    else:
        rows = [replace(s, parents=(Parent("sub-9", Role.HOST),)) if s.id == "sub-00002" else s
                for s in cohort.subjects]  # fmt: skip
        replace(cohort, subjects=tuple(rows)).write()
        hand_made_detections(found, cohort, SCORES, trained_on=("sub-9",))
    with pytest.raises(LeakageError, match="sub-00002"):
        _run(tmp_path)
    assert _nothing_left(tmp_path)


def test_subject_without_a_row(cohort, hand_made_detections, tmp_path, capsys):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    cohort.select(lambda s: s.id != "sub-00003").write()
    words = ["evaluate", str(tmp_path / "found"), str(cohort.folder), str(tmp_path / "out")]
    assert main(words) == 1
    assert "sub-00003" in capsys.readouterr().err
    assert _nothing_left(tmp_path)


def test_mask_on_another_grid(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    path = cohort.path(cohort["sub-00004"], "truth")
    mask = read_volume(path)
    moved = mask.grid.matrix.copy()
    moved[0, 3] += 2
    write_volume(path, Volume(mask.array > 0, Grid.of(mask.grid.shape, moved)))
    with pytest.raises(GeometryError, match="sub-00004 truth"):
        _run(tmp_path)
    assert _nothing_left(tmp_path)


def test_map_of_another_native_image(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    path = cohort.path(cohort["sub-00005"], "t1w_native")
    other = Grid.of((10, 10, 10), np.eye(4))
    write_volume(path, Volume(np.ones(other.shape, np.float32), other))
    with pytest.raises(GeometryError, match="sub-00005 t1w_native"):
        _run(tmp_path)


def test_patient_without_a_reference(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    files = {k: v for k, v in cohort["sub-00001"].files.items() if k not in ("truth", "lesion_t1w")}
    rows = [replace(s, files=files) if s.id == "sub-00001" else s for s in cohort.subjects]
    replace(cohort, subjects=tuple(rows)).write()
    with pytest.raises(CohortError, match="neither truth nor lesion_t1w"):
        _run(tmp_path)


def test_control_with_lesion_voxels(cohort, hand_made_detections, tmp_path):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    stolen = {**cohort["sub-00005"].files, "truth": cohort["sub-00001"].files["truth"]}
    rows = [replace(s, files=stolen) if s.id == "sub-00005" else s for s in cohort.subjects]
    Cohort(cohort.folder, tuple(rows), cohort.name).write()
    with pytest.raises(CohortError, match="a control with lesion voxels"):
        _run(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("rule", "dice"), ("bootstrap", 10), ("chance_draws", -1), ("workers", 0), ("seed", -1)],
)
def test_bad_settings_name_their_key(cohort, hand_made_detections, tmp_path, key, value):
    hand_made_detections(tmp_path / "found", cohort, SCORES)
    with pytest.raises(SettingsError) as caught:
        _run(tmp_path, **{key: value})
    assert caught.value.subject == key
    assert _nothing_left(tmp_path)


def test_empty_detections(cohort, hand_made_detections, tmp_path):
    (tmp_path / "found").mkdir()
    hand_made_detections(tmp_path / "found", cohort, {})
    with pytest.raises(RunError, match="no subjects"):
        _run(tmp_path)


def test_work_can_be_sent_to_another_process(cohort, hand_made_detections, tmp_path):
    """Several workers pickle the work, the task and the record."""
    folder = hand_made_detections(tmp_path / "found", cohort, SCORES)
    maps = read_source("run", folder, cohort, kind="probability").maps
    task = Scoring.of(cohort["sub-00001"], cohort, maps["sub-00001"], "yes", 2, 0)
    work, sent = pickle.loads(pickle.dumps((_Work(tmp_path), ("run", task))))
    record = work(sent)
    assert pickle.loads(pickle.dumps(record)) == record
    assert record.n_found(Rule.IOU) == 1


def test_damaged_report(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(RunError, match="a report of this version"):
        Report.read(tmp_path)
