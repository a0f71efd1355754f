import pytest

from fcdsynth.evaluation.confound import audit_confounds
from fcdsynth.evaluation.empty import Case, cases_met
from fcdsynth.evaluation.froc import froc
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scopes import all_figures


def _look(subjects, name, scope="all", rule=Rule.OVERLAP):
    figures = all_figures(subjects, 200, 0)
    (figure,) = (f for f in figures if (f.name, f.scope) == (name, scope) and f.rule in ("", rule))
    return figure


@pytest.fixture
def four(record):
    """p1: two lesions, one found (0.9), 1 false; p2: one lesion missed, 2 false;
    p3: found (0.6) with an extra cluster; c1: clean; c2: 3 false."""
    return [
        record("p1", found=(0.9, None), false=(0.5,), site="a", level=0.8),
        record("p2", found=(None,), false=(0.4, 0.3), site="b", level=0.1),
        record("p3", found=(0.6,), extra=(0.55,), site="a", level=0.6),
        record("c1", patient=False, site="a"),
        record("c2", patient=False, false=(0.7, 0.2, 0.1), site="b"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "count", "n"),
    [
        ("subject_sensitivity", 2 / 3, 2, 3),  # p1 and p3 of 3
        ("specificity", 1 / 2, 1, 2),  # c1 of 2
        ("false_positives_per_patient", 3 / 3, 3, 3),  # 1 + 2 + 0
        ("false_positives_per_control", 3 / 2, 3, 2),  # 0 + 3
        ("lesion_recall", 2 / 4, 2, 4),
        ("ppv", 2 / 8, 2, 8),  # 2 true, 3 + 3 false; the extra cluster is neither
        ("ppv_patients_only", 2 / 5, 2, 5),
        ("cluster_f1", 4 / 12, None, 12),  # 2 TP / (2 TP + 6 FP + 2 FN)
        ("extra_clusters_per_patient", 1 / 3, 1, 3),
        ("dice_found_lesions", 0.5, None, 2),
        ("dice_whole_mask", 0.2, None, 3),
        ("site_probability_mean", (0.8 * 2 + 0.1 + 0.6) / 4, None, 4),
        ("auroc", (1 + 1 + 1 + 0 + 1 + 0) / 6, None, 5),  # 0.9, 0.4, 0.6 against 0, 0.7
    ],
)
def test_hand_counted_cohort(four, name, value, count, n):
    figure = _look(four, name)
    assert figure.value == pytest.approx(value)
    assert (figure.count, figure.n) == (count, n)
    assert figure.reason == ""


def test_chance_stands_beside_the_rule(four):
    assert _look(four, "subject_sensitivity").chance == 0.25
    assert _look(four, "lesion_recall").chance == 0.25
    assert {f.rule for f in all_figures(four, 200, 0) if f.name == "lesion_recall"} == set(Rule)


def test_by_site(four):
    assert _look(four, "subject_sensitivity", "site=a").value == 1
    assert _look(four, "subject_sensitivity", "site=b").value == 0
    assert _look(four, "specificity", "site=b").value == 0


def test_by_size(record):
    """Volumes 1, 2, 3 ml, the largest missed: one lesion a tertile, recall 1, 1, 0."""
    subjects = [
        record("p1", found=(0.9,), volume_ml=1.0),
        record("p2", found=(0.9,), volume_ml=2.0),
        record("p3", found=(None,), volume_ml=3.0),
    ]
    figures = [
        f for f in all_figures(subjects, 200, 0)
        if f.scope.startswith("size=") and f.name == "lesion_recall" and f.rule == Rule.OVERLAP
    ]  # fmt: skip
    assert [f.scope.split("=")[1].split()[0] for f in figures] == ["small", "middle", "large"]
    assert [(f.value, f.n) for f in figures] == [(1, 1), (1, 1), (0, 1)]


def test_one_lesion_one_correct_detection(record):
    """Sensitivity 1 at 0 false positives; MONAI's curve stops at 0 here."""
    points = froc([record("p1", found=(0.5,)), record("c1", patient=False)], Rule.OVERLAP)
    last = points[-1]
    assert (last.threshold, last.lesion_recall, last.false_positives_per_subject) == (0.5, 1, 0)
    assert last.specificity == 1


def test_two_lesions_lowest_score_kept(record):
    """Both hit (0.3, 0.1), one false positive (0.2): recall 0, 1/2, 1/2, 1 at 0, 0, 1, 1 FP."""
    points = froc([record("p1", found=(0.3, 0.1), false=(0.2,))], Rule.IOU)
    assert [p.threshold for p in points] == [None, 0.3, 0.2, 0.1]
    assert [p.lesion_recall for p in points] == [0, 0.5, 0.5, 1]
    assert [p.false_positives_per_patient for p in points] == [0, 0, 1, 1]
    assert [p.subject_sensitivity for p in points] == [0, 1, 1, 1]
    assert {p.false_positives_per_control for p in points} == {None}


def test_froc_ends_at_the_operating_point_figures(four):
    last = froc(four, Rule.OVERLAP)[-1]
    assert last.lesion_recall == _look(four, "lesion_recall").value
    assert last.specificity == _look(four, "specificity").value
    assert last.false_positives_per_patient == _look(four, "false_positives_per_patient").value


AT_RATES = {f"lesion_recall_at_{x}_fp_per_control" for x in ("0.125", "0.25", "0.5", "1", "2")}
NO_VALUE = {
    "no patients": {
        "subject_sensitivity", "false_positives_per_patient", "lesion_recall", "cluster_f1",
        "extra_clusters_per_patient", "dice_found_lesions", "dice_whole_mask", "auroc",
        "ppv_patients_only", "assd_found_lesions_mm", "hd95_found_lesions_mm", *AT_RATES,
        *(f"{w}_probability_{k}" for w in ("site", "mirror", "random")
          for k in ("max", "mean", "p95")),
    },
    "no controls": {"specificity", "false_positives_per_control", "auroc", *AT_RATES,
                    *(f"mirror_probability_{k}" for k in ("max", "mean", "p95"))},
}  # fmt: skip


def test_no_patients(record):
    """Only the figures about patients lose their value, and each says why."""
    subjects = [record("c1", patient=False), record("c2", patient=False, false=(0.3,))]
    figures = [f for f in all_figures(subjects, 200, 0) if f.scope == "all"]
    assert {f.name for f in figures if f.value is None} == NO_VALUE["no patients"]
    assert all(f.reason for f in figures if f.value is None)
    assert {f.reason for f in figures if f.name == "lesion_recall"} == {Case.NO_PATIENTS}
    assert {f.value for f in figures if f.name == "specificity"} == {0.5}
    assert {f.value for f in figures if f.name == "ppv"} == {0.0}


def test_no_controls(record):
    """The hand-made records have no mirrored site, which is said as such."""
    subjects = [record("p1", found=(0.5,)), record("p2", found=(None,))]
    figures = [f for f in all_figures(subjects, 200, 0) if f.scope == "all"]
    assert {f.name for f in figures if f.value is None} == NO_VALUE["no controls"]
    reasons = {f.name: f.reason for f in figures}
    assert reasons["specificity"] == reasons["auroc"] == Case.NO_CONTROLS
    assert reasons["mirror_probability_mean"] == Case.NO_MIRROR


def test_nothing_detected(record):
    """Sensitivity 0, specificity 1 and no false positive are values; PPV and Dice are not."""
    subjects = [record("p1", found=(None,)), record("c1", patient=False)]
    values = {
        name: _look(subjects, name)
        for name in ("subject_sensitivity", "specificity", "ppv", "dice_found_lesions",
                     "false_positives_per_control")
    }  # fmt: skip
    assert [f.value for f in values.values()] == [0, 1, None, None, 0]
    assert values["ppv"].reason == Case.NO_CLUSTERS
    assert values["dice_found_lesions"].reason == Case.NO_FOUND_LESIONS
    assert [p.threshold for p in froc(subjects, Rule.NEAR)] == [None]
    met = {m.case for m in cases_met(subjects)}
    assert {Case.NO_CLUSTERS, Case.PATIENT_WITHOUT_CLUSTERS, Case.CLEAN_CONTROL} <= met


def test_control_with_one_cluster_is_a_false_positive(record):
    subjects = [record("c1", patient=False, false=(0.01,))]
    assert _look(subjects, "specificity").value == 0
    assert _look(subjects, "false_positives_per_control").value == 1


def test_every_case_has_a_consequence():
    assert all(len(case.consequence) > 10 for case in Case)


def test_cases_name_their_subjects(four):
    met = {m.case: m.subjects for m in cases_met(four)}
    assert met[Case.SEVERAL_LESIONS] == ("p1",)
    assert met[Case.CLEAN_CONTROL] == ("c1",)
    assert Case.NO_CONTROLS not in met


def test_confound_audit(record):
    """2 of 4 patients on a scanner without controls is 50 %; one scanner for all is silent."""
    controls = [record(f"c{i}", patient=False, scanner="new") for i in range(4)]
    mixed = [record(f"p{i}", found=(0.5,), scanner="old" if i < 2 else "new") for i in range(4)]
    (warning,) = audit_confounds(mixed + controls)
    assert warning.startswith("2 of 4 patients were scanned on a scanner without controls")
    same = [record(f"p{i}", found=(0.5,), scanner="new") for i in range(4)]
    assert audit_confounds(same + controls) == ()
    assert audit_confounds(mixed) == ()
