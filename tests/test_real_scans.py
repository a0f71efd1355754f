"""Real scans through index, prepare, detect, evaluate and flag; skipped where they are absent.

Two skull-stripped multiple-sclerosis patients with consensus masks (openms) stand in for
patients, two raw thick-slice pairs with skull (openms-raw) for controls. MS lesions are no
evidence about FCD; what is tested is that real images survive the chain with their geometry and
intensities intact.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.resample import resample
from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import read_grid, read_labels, read_mask, read_volume

CONFIGS = Path(__file__).parents[1] / "configs"
pytestmark = [pytest.mark.timeout(900)]
PATIENTS = {"sub-p07": "p07", "sub-p19": "p19"}
CONTROLS = {"sub-raw01": "patient01/study1", "sub-raw12": "patient12/study1"}


def place(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.fixture(scope="session")
def prepared(shared_data, tmp_path_factory):
    top = tmp_path_factory.mktemp("real")
    bids = top / "bids"
    rows = ["participant_id\tgroup"]
    for name, folder in PATIENTS.items():
        source, anat = shared_data / "openms" / folder, bids / name / "anat"
        place(source / "t1.nii.gz", anat / f"{name}_T1w.nii.gz")
        place(source / "flair.nii.gz", anat / f"{name}_FLAIR.nii.gz")
        place(source / "mask.nii.gz", anat / f"{name}_FLAIR_roi.nii.gz")
        rows.append(f"{name}\tfcd")
    for name, stem in CONTROLS.items():
        source, anat = shared_data / "openms-raw", bids / name / "anat"
        place(source / f"{stem}_T1W.nii.gz", anat / f"{name}_T1w.nii.gz")
        place(source / f"{stem}_FLAIR.nii.gz", anat / f"{name}_FLAIR.nii.gz")
        rows.append(f"{name}\thc")
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    (bids / "dataset_description.json").write_text('{"Name": "MS", "BIDSVersion": "1.6.0"}')
    assert main(["index", str(bids), str(top / "cohort")]) == 0
    words = ["prepare", str(top / "cohort"), str(top / "prepared"), "--spacing", "2"]
    assert main(words) == 0
    return Cohort.read(top / "prepared")


def matrix(cohort, name, key):
    return np.array(json.loads(cohort.path(cohort[name], "transforms").read_text())[key])


def test_brains_have_the_volume_of_brains(prepared):
    for subject in prepared.subjects:
        brain = read_mask(prepared.path(subject, "brain"))
        litres = brain.array.sum() * brain.grid.voxel_ml / 1000
        assert 0.9 < litres < 1.9, subject.id


def test_tissues_have_the_order_of_tissues(prepared):
    """On T1w white matter is brightest and CSF darkest; grey and white each fill a fair share."""
    for subject in prepared.subjects:
        labels = read_labels(prepared.path(subject, "tissue")).array
        t1w = read_volume(prepared.path(subject, "t1w")).array
        means = [t1w[labels == t].mean() for t in (Tissue.CSF, Tissue.CORTEX, Tissue.WHITE_MATTER)]
        assert means == sorted(means), subject.id
        brain = (labels > 0).sum()
        assert 0.2 < (labels == Tissue.WHITE_MATTER).sum() / brain < 0.6, subject.id
        assert 0.2 < (labels == Tissue.CORTEX).sum() / brain < 0.65, subject.id


def test_aligned_pairs_stay_aligned(prepared):
    """openms pairs lie on one grid already: the rigid transform must be close to nothing."""
    for name in PATIENTS:
        grid = read_grid(prepared.path(prepared[name], "brain"))
        corners = np.c_[grid.corners_mm(), np.ones(8)]
        moved = corners @ matrix(prepared, name, "flair_to_t1w").T
        assert np.linalg.norm((moved - corners)[:, :3], axis=1).mean() < 2.0, name


def itk_affine(path):
    """RAS matrix of an ITK text transform, which maps points of the fixed to the moving image."""
    lines = dict(line.split(": ", 1) for line in path.read_text().splitlines() if ": " in line)
    values = np.array(lines["Parameters"].split(), dtype=float)
    centre = np.array(lines["FixedParameters"].split(), dtype=float)
    lps = np.eye(4)
    lps[:3, :3] = values[:9].reshape(3, 3)
    lps[:3, 3] = values[9:] + centre - lps[:3, :3] @ centre
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return flip @ lps @ flip


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_raw_pairs_are_registered_as_their_authors_did(prepared, shared_data, name):
    path = shared_data / "openms-raw" / f"{CONTROLS[name]}_T1W_intrastudy_to_FLAIR.txt"
    authors = itk_affine(path)  # a FLAIR point to its T1w point
    brain = read_mask(prepared.path(prepared[name], "brain"))
    t1w_points = brain.grid.to_mm(np.argwhere(brain.array)[::500])
    homogeneous = np.c_[t1w_points, np.ones(len(t1w_points))]
    flair_points = homogeneous @ np.linalg.inv(matrix(prepared, name, "flair_to_t1w")).T
    back = flair_points @ authors.T
    assert np.linalg.norm((back - homogeneous)[:, :3], axis=1).mean() < 2.5


def test_masks_stay_on_bright_lesions(prepared):
    for name in PATIENTS:
        subject = prepared[name]
        lesion = read_mask(prepared.path(subject, "lesion"))
        native = read_mask(prepared.path(subject, "lesion_t1w"))
        flair = read_volume(prepared.path(subject, "flair")).array
        white = read_labels(prepared.path(subject, "tissue")).array == Tissue.WHITE_MATTER
        around = flair[white & ~lesion.array]
        assert flair[lesion.array].mean() > around.mean() + around.std(), name
        size = native.array.sum() * native.grid.voxel_ml
        assert lesion.array.sum() * lesion.grid.voxel_ml == pytest.approx(size, rel=0.35)
        carried = resample(native, lesion.grid).array
        overlap = np.minimum(carried, lesion.array).sum() / lesion.array.sum()
        assert overlap > 0.5, name


def fitted(prepared, held_out):
    """A detector that trained on the first patient and control, the others being held out."""
    folder = prepared.folder.parent / held_out.value
    splits = dict.fromkeys(("sub-p07", "sub-raw01"), Split.TRAIN)
    splits |= dict.fromkeys(("sub-p19", "sub-raw12"), held_out)
    table = prepared.with_splits(splits).write(folder / "table").parent
    words = ["-c", str(CONFIGS / "detector" / "smoke.yaml"), "-c",
             str(CONFIGS / "machine" / "cpu.yaml"), "--data.cohort", str(table),
             "--out", str(folder / "detector")]  # fmt: skip
    assert main(["fit", *words]) == 0
    return str(folder / "detector"), str(table), folder


def test_real_scans_are_detected_on_and_evaluated(prepared):
    run, table, folder = fitted(prepared, Split.TEST)
    found = str(folder / "detections")
    assert main(["detect", run, table, found]) == 0
    detections = Detections.read(found)
    assert set(detections.subjects) == {"sub-p19", "sub-raw12"}
    for name in detections.subjects:
        native = read_grid(prepared.path(prepared[name], "t1w_native"))
        assert read_grid(detections.probability_path(name)).close_to(native, 0.05)
    assert main(["evaluate", found, table, str(folder / "evaluation")]) == 0
    record = json.loads((folder / "evaluation" / "report.json").read_text())
    lesions = {subject["id"]: len(subject["lesions"]) for subject in record["subjects"]}
    drawn = read_mask(prepared.path(prepared["sub-p19"], "lesion_t1w")).array
    assert lesions == {"sub-p19": ndimage.label(drawn, np.ones((3, 3, 3)))[1], "sub-raw12": 0}


def test_real_scans_reach_the_queue(prepared):
    run, table, folder = fitted(prepared, Split.VAL)
    found = str(folder / "held-out")
    words = [run, table, found, "--split", "val", "--out_of_fold", "true"]
    assert main(["detect", *words]) == 0
    assert main(["flag", table, found, str(folder / "flags")]) == 0
    assert "sub-p19" in (folder / "flags" / "queue.csv").read_text()
