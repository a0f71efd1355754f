"""Figures and FROC curves of small cohorts, counted by hand.

Every subject is written as NIfTI and scored; the figures are those of Report. A subject is a row
of 16 x 4 x 4 voxels of 1 mm. Its lesions lie at x = 2, 6, 10 (one voxel each, at y = z = 1), a hit
is a cluster on a lesion, and a false cluster lies at y = z = 3, x = 14, 12, 10 and so on: it shares
no voxel with a lesion.
"""

import numpy as np
import pytest
from hand_counted import CohortBench, check, curve, registry, values, wilson
from phantom import prepared_cohort

from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.evaluation.evaluate import evaluate
from fcdsynth.evaluation.froc import froc
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject

OVERLAP = Rule.OVERLAP
CASES, case = registry()


@pytest.fixture
def bench(arrays, make_grid, tmp_path):
    return CohortBench(arrays, make_grid, tmp_path)


@case
def one_lesion_one_detection_is_sensitivity_1_at_0_fp(bench):
    """Where MONAI's FROC says 0. One lesion, one hit: 1/1, no false cluster, PPV 1/1, F1 1."""
    report = bench.report(bench.patient(0.7))
    yield values(report, "subject_sensitivity", "lesion_recall", "ppv", "cluster_f1"), (1, 1, 1, 1)
    yield values(report, "false_positives_per_patient"), (0,)
    yield curve(report.subjects, "lesion_recall", "false_positives_per_patient"), [(0.7, 1, 0)]


@case
def two_lesions_both_hit_the_lowest_score_kept(bench):
    """Hits at 0.3 and 0.1, a false cluster at 0.2: recall 1/2, 1/2, 2/2 at 0, 1, 1 false."""
    records = [bench.patient(0.3, 0.1, false=[0.2])]
    yield curve(records, "lesion_recall", "false_positives_per_patient"), [
        (0.3, 0.5, 0), (0.2, 0.5, 1), (0.1, 1, 1),
    ]  # fmt: skip


@case
def sensitivity_and_recall_differ(bench):
    """Patients with 1 of 2, 0 of 1 and 3 of 3 lesions found: 2/3 patients, 4/6 lesions... and
    with a fourth, 0 of 2: 2/4 patients, 4/8 lesions; F1 = 2 x 4 / (4 + 8 + 0 false)."""
    three = [bench.patient(0.9, None), bench.patient(None), bench.patient(0.8, 0.7, 0.6)]
    yield values(bench.report(*three), "subject_sensitivity", "lesion_recall"), (2 / 3, 4 / 6)
    report = bench.report(*three, bench.patient(None, None))
    yield values(report, "subject_sensitivity", "lesion_recall"), (0.5, 0.5)
    yield values(report, "cluster_f1"), (8 / 12,)
    yield (report.figure("lesion_recall").count, report.figure("lesion_recall").n), (4, 8)


@case
def false_positives_of_patients_and_controls_apart(bench):
    """Patients 2, 0; controls 1, 1, 0: 2/2 = 1 a patient, 2/3 a control, 4/5 a subject."""
    report = bench.report(
        bench.patient(0.9, false=[0.4, 0.3]), bench.patient(None), bench.control(0.5),
        bench.control(0.2), bench.control(),
    )  # fmt: skip
    yield values(report, "false_positives_per_patient", "false_positives_per_control"), (1, 2 / 3)
    yield froc(report.subjects, OVERLAP)[-1].false_positives_per_subject, 4 / 5


@case
def ppv_and_f1(bench):
    """2 lesions, 1 found, 1 false cluster in the patient, 1 in a control. PPV 1/3, among patients
    1/2; F1 = 2 TP / (2 TP + FP + FN) = 2 / (2 + 2 + 1)."""
    report = bench.report(bench.patient(0.9, None, false=[0.4]), bench.control(0.5))
    yield values(report, "ppv", "ppv_patients_only", "cluster_f1"), (1 / 3, 1 / 2, 2 / 5)


@case
def specificity_of_controls(bench):
    """Controls with 0, 0, 0 and 3 clusters: 3 of 4 clean, whatever the number of clusters."""
    report = bench.report(*[bench.control() for _ in range(3)], bench.control(0.9, 0.8, 0.7))
    figure = report.figure("specificity")
    yield (figure.value, figure.count, figure.n), (0.75, 3, 4)
    yield (figure.low, figure.high), wilson(3, 4)


@case
def cohort_without_patients(bench):
    """Specificity 1/2; nothing about lesions has a value, and the reason is said."""
    report = bench.report(bench.control(), bench.control(0.5))
    yield values(report, "specificity", "false_positives_per_control"), (0.5, 0.5)
    for name in ("subject_sensitivity", "lesion_recall", "cluster_f1", "dice_found_lesions",
                 "dice_whole_mask", "auroc"):  # fmt: skip
        figure = report.figure(name)
        yield (figure.value, figure.low, figure.reason), (None, None, "no patients")
    yield curve(report.subjects, "lesion_recall", "specificity"), [(0.5, None, 0.5)]


@case
def cohort_without_controls(bench):
    """Sensitivity 1/2; specificity and AUROC have no value, and the reason is said."""
    report = bench.report(bench.patient(0.9), bench.patient(None, false=[0.2]))
    yield values(report, "subject_sensitivity", "false_positives_per_patient"), (0.5, 0.5)
    for name in ("specificity", "false_positives_per_control", "auroc"):
        figure = report.figure(name)
        yield (figure.value, figure.low, figure.reason), (None, None, "no controls")
    yield curve(report.subjects, "specificity"), [(0.9, None), (0.2, None)]


@case
def cohort_without_clusters(bench):
    """Nothing detected: sensitivity 0, specificity 1, PPV 0/0 has no value, AUROC 1/2 by ties."""
    report = bench.report(bench.patient(None), bench.patient(None), bench.control())
    yield values(report, "subject_sensitivity", "specificity", "auroc"), (0, 1, 0.5)
    yield (report.figure("ppv").value, report.figure("ppv").reason), (None, "no clusters")
    yield values(report, "cluster_f1"), (0,)


@case
def froc_split_by_patients_and_controls(bench):
    """Patient A: hit 0.9, false 0.5. Patient B: lesions hit at 0.5 and missed. Control C: 0.7, 0.5.
    Control D: none. Three lesions.

    0.9: found 1/3; false 0/2 patients, 0/2 controls. 0.7: as before, controls 1/2.
    0.5: found 2/3; patients 1/2, controls 2/2; specificity 1, 1/2, 1/2.
    """
    records = [bench.patient(0.9, false=[0.5]), bench.patient(0.5, None), bench.control(0.7, 0.5),
               bench.control()]  # fmt: skip
    yield curve(records, "lesion_recall", "subject_sensitivity"), [
        (0.9, 1 / 3, 1 / 2), (0.7, 1 / 3, 1 / 2), (0.5, 2 / 3, 1),
    ]  # fmt: skip
    yield curve(
        records, "false_positives_per_patient", "false_positives_per_control",
        "false_positives_per_subject", "specificity",
    ), [(0.9, 0, 0, 0, 1), (0.7, 0, 0.5, 0.25, 0.5), (0.5, 0.5, 1, 0.75, 0.5)]  # fmt: skip


@case
def froc_starts_where_no_cluster_is_kept(bench):
    """The first point has no threshold: nothing found, nothing false, every control clean."""
    point = froc([bench.patient(0.9), bench.control(0.9)], OVERLAP)[0]
    yield point.threshold, None
    yield (point.lesion_recall, point.false_positives_per_subject, point.specificity), (0, 0, 1)


@case
def tied_scores_enter_the_froc_together(bench):
    """A hit and a false cluster, both 0.6: one point, recall 1 at 1 false; no order is invented."""
    records = [bench.patient(0.6, false=[0.6])]
    yield curve(records, "lesion_recall", "false_positives_per_patient"), [(0.6, 1, 1)]


@case
def extra_clusters_are_neither_true_nor_false(bench):
    """Two clusters on one lesion of 3 voxels and one elsewhere: 1 true, 1 extra, 1 false.
    PPV 1/2, 1 extra cluster a patient, 1 false positive a patient."""
    subject = bench.arrays(
        bench.grid, [(slice(2, 5), 1, 1)], [(2, 1, 1), (4, 1, 1), (10, 3, 3)], [0.9, 0.8, 0.7]
    )
    report = bench.report(score_subject(subject.write(bench.folder / "extra")))
    names = ("ppv", "extra_clusters_per_patient", "false_positives_per_patient")
    yield values(report, *names), (1 / 2, 1, 1)
    yield curve(report.subjects, "lesion_recall", "false_positives_per_patient"), [
        (0.9, 1, 0), (0.8, 1, 0), (0.7, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hand_counted(bench, name):
    check(CASES[name](bench))


@pytest.mark.parametrize(
    ("min_volume_ml", "specificity", "false"), [(0.0, 0.0, 2.0), (0.3, 0.0, 1.0), (0.5, 1.0, 0.0)]
)
def test_clusters_below_the_minimum_size(tmp_path, min_volume_ml, specificity, false):
    """A probability map of a control, 6 mm voxels of 0.216 ml: a voxel and a pair of voxels at 0.8.

    With no minimum two false clusters; from 0.3 ml the pair (0.432 ml) alone; from 0.5 ml none, and
    the control is clean. Through `evaluate`, as another tool's maps.
    """
    cohort = prepared_cohort(tmp_path / "cohort", 0, 1, sites=1)
    (control,) = cohort.subjects
    grid = read_volume(cohort.path(control, "t1w_native")).grid
    probability = np.full(grid.shape, 0.05, np.float32)
    probability[5, 5, 5] = probability[12, 12, 12] = probability[12, 12, 13] = 0.8
    write_volume(tmp_path / "maps" / f"{control.id}.nii.gz", Volume(probability, grid))
    out = evaluate(
        [str(tmp_path / "maps")], str(cohort.folder), str(tmp_path / "out"), maps="probability",
        threshold=0.5, min_volume_ml=min_volume_ml, bootstrap=100, chance_draws=0,
    )  # fmt: skip
    report = Report.read(out)
    assert report.figure("specificity").value == specificity
    assert report.figure("false_positives_per_control").value == false
