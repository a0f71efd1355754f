"""DICOM segmentations: written on a made-up series, read back, and the series refused."""

from dataclasses import replace

import numpy as np
import pytest
from known_detector import known_detector
from phantom import prepared_cohort
from scipy import ndimage

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import read_labels
from fcdsynth.detector.detect import detect

NAME = "sub-00001"
UID = "1.2.826.0.1.3680043.9.7"
BOX = (slice(15, 19), slice(13, 17), slice(12, 15))
SMALL = (slice(6, 8), slice(8, 10), slice(14, 15))
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def oblique_grid():
    """Sagittal slices of 5 x 6 mm pixels, 4 mm apart, turned and tilted against the world."""
    turn, tilt = np.deg2rad(17), np.deg2rad(-11)
    yaw = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    roll = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    axes = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=float)  # to the back, down, right
    matrix = np.eye(4)
    matrix[:3, :3] = yaw @ roll @ axes * [5.0, 6.0, 4.0]
    shape = (36, 32, 44)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape) - 1) / 2) + [3.0, -2.0, 1.0]
    return Grid.of(shape, matrix)


def write_series(folder, grid, change=lambda _header, _number: None, uid=UID):
    """One file per slice of an MR series on a grid given in RAS+ mm; the order is shuffled."""
    pydicom = pytest.importorskip("pydicom")
    folder.mkdir(parents=True, exist_ok=True)
    lps = LPS @ grid.matrix
    across, down = (lps[:3, axis] / grid.spacing_mm[axis] for axis in (0, 1))
    rng = np.random.default_rng(0)
    for name, number in enumerate(rng.permutation(grid.shape[2])):
        number = int(number)
        header = pydicom.Dataset()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        header.SOPClassUID = pydicom.uid.MRImageStorage
        header.SOPInstanceUID = f"{uid}.3.{number + 1}"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.SeriesInstanceUID, header.StudyInstanceUID = f"{uid}.2", f"{uid}.1"
        header.FrameOfReferenceUID = f"{uid}.4"
        header.PatientName, header.PatientID = "Phantom^One", "P1"
        header.PatientBirthDate, header.PatientSex = "", "O"
        header.StudyDate, header.StudyTime, header.StudyID = "20200101", "120000", "1"
        header.AccessionNumber, header.ReferringPhysicianName = "", ""
        header.Modality, header.SeriesNumber, header.InstanceNumber = "MR", 2, number + 1
        header.Manufacturer, header.PositionReferenceIndicator = "none", ""
        header.ImageOrientationPatient = [float(f"{x:.9f}") for x in (*across, *down)]
        corner = lps @ [0, 0, number, 1]
        header.ImagePositionPatient = [float(f"{x:.6f}") for x in corner[:3]]
        header.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
        header.SliceThickness = grid.spacing_mm[2]
        header.Columns, header.Rows = grid.shape[:2]
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
        header.PixelRepresentation = 0
        header.PixelData = np.zeros((header.Rows, header.Columns), np.uint16).tobytes()
        change(header, number)
        header.save_as(folder / f"IM{name:04d}", enforce_file_format=True)


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """A cohort of one subject, a detector that finds two boxes in it, and its DICOM series."""
    pytest.importorskip("highdicom")
    made = prepared_cohort(tmp_path / "cohort", patients=1, controls=0)
    cohort = Cohort(made.folder, (replace(made.subjects[0], split=Split.TEST),))
    cohort.write()
    boxes = {"large": (BOX, 0.9), "small": (SMALL, 0.7)}
    run = known_detector(monkeypatch, tmp_path / "run", boxes)
    words = ["detect", str(run), str(cohort.folder), str(tmp_path / "out"), "--pages", "false"]
    return cohort, [*words, "--dicom", "true", "--dicom_series", str(tmp_path / "dicom")]


def test_segments_lie_where_the_clusters_lie(setting, tmp_path):
    import highdicom

    _, words = setting
    series = oblique_grid()
    write_series(tmp_path / "dicom" / NAME, series)
    assert main(words) == 0
    found = Detections.read(tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / NAME / f"{NAME}_clusters_seg.dcm")
    assert (seg.PatientID, seg.StudyInstanceUID[-2:], seg.FrameOfReferenceUID[-2:]) == (
        "P1", ".1", ".4",
    )  # fmt: skip
    assert [s.SegmentLabel for s in seg.SegmentSequence] == [
        "Cluster 1, score 0.90", "Cluster 2, score 0.70",
    ]  # fmt: skip
    assert "right" in seg.SegmentSequence[0].SegmentDescription
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "fcdsynth"
    volume = seg.get_volume(combine_segments=True)
    # highdicom's index order is (slice, row, column), in LPS+ mm.
    to_ras = LPS @ volume.affine
    for cluster in found.of(NAME):
        at = np.argwhere(volume.array == cluster.cluster)
        centre = (to_ras @ [*at.mean(axis=0), 1])[:3]
        assert np.abs(centre - cluster.centre_mm).max() < 2.0  # half of the smallest voxel edge
        assert len(at) * 0.12 == pytest.approx(cluster.volume_ml, rel=0.15)
    labels = read_labels(found.clusters_path(NAME))
    whole = labels.grid.to_mm(ndimage.center_of_mass(labels.array == 1))
    assert np.allclose(whole, found.of(NAME)[0].centre_mm, atol=1e-3)


def test_the_same_findings_are_the_same_object(setting, tmp_path):
    import pydicom

    _, words = setting
    write_series(tmp_path / "dicom" / NAME, oblique_grid())
    made = []
    for out in ("out", "again"):
        words[3] = str(tmp_path / out)
        assert main(words) == 0
        made.append(pydicom.dcmread(tmp_path / out / NAME / f"{NAME}_clusters_seg.dcm"))
    assert made[0].SOPInstanceUID == made[1].SOPInstanceUID
    assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID != f"{UID}.2"
    assert made[0].PixelData == made[1].PixelData


def test_a_cluster_between_thick_slices_is_kept(setting, tmp_path):
    import highdicom

    _, words = setting
    # Slices 30 mm apart whose centres miss the small box, one voxel of 6 mm high.
    grid = Grid.of((40, 40, 8), [[5, 0, 0, -97], [0, 5, 0, -97], [0, 0, 30, -97], [0, 0, 0, 1]])
    write_series(tmp_path / "dicom" / NAME, grid)
    assert main(words) == 0
    seg = highdicom.seg.segread(tmp_path / "out" / NAME / f"{NAME}_clusters_seg.dcm")
    assert set(np.unique(seg.get_volume(combine_segments=True).array)) == {0, 1, 2}


def test_a_subject_without_clusters_has_no_object(setting, tmp_path):
    _, words = setting
    write_series(tmp_path / "dicom" / NAME, oblique_grid())
    assert main([*words, "--threshold", "0.95"]) == 0
    assert not list((tmp_path / "out").rglob("*.dcm"))


def _two_series(header, number):
    if number % 2:
        header.SeriesInstanceUID += ".7"


def _sheared(header, number):
    x, y, z = header.ImagePositionPatient
    header.ImagePositionPatient = [x + 0.4 * number, y, z]


def _other_frame(header, number):
    if number == 5:
        header.FrameOfReferenceUID += ".1"


def _no_frame(header, _number):
    del header.FrameOfReferenceUID


def _no_study(header, _number):
    del header.StudyInstanceUID


def _turned(header, number):
    if number == 5:
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


STRAIGHT = Grid.of((40, 40, 40), np.array([[5, 0, 0, -97], [0, 5, 0, -97], [0, 0, 5, -97],
                                           [0, 0, 0, 1]]))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_two_series, "found 2 series; expected one T1w series of single slices"),
        (_sheared, "found slices that are shifted against each other (a tilted gantry)"),
        (_other_frame, "found slices that differ in FrameOfReferenceUID"),
        (_no_frame, "found a slice without FrameOfReferenceUID"),
        (_no_study, "found a slice without StudyInstanceUID"),
        (_turned, "found slices that differ in ImageOrientationPatient"),
    ],
)
def test_a_series_that_is_no_even_stack_is_refused(setting, tmp_path, capsys, change, text):
    _, words = setting
    write_series(tmp_path / "dicom" / NAME, STRAIGHT, change)
    assert main(words) == 1
    assert f"{NAME} DICOM series: {text}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_gaps_strangers_and_absent_series_are_refused(setting, tmp_path, capsys):
    _, words = setting
    folder = tmp_path / "dicom" / NAME
    assert main(words) == 1  # not even the folder of all series
    assert "dicom_series: found" in capsys.readouterr().err
    folder.mkdir(parents=True)
    (folder / "readme.txt").write_text("no images")
    assert main(words) == 1
    assert f"{NAME} DICOM series: found no slice" in capsys.readouterr().err
    write_series(folder, STRAIGHT)
    gone = sorted(folder.glob("IM*"))
    import pydicom

    numbers = {pydicom.dcmread(p, stop_before_pixels=True).InstanceNumber: p for p in gone}
    numbers[20].unlink()
    assert main(words) == 1
    assert "found slices 10.00 mm apart among slices 5.00 mm apart" in capsys.readouterr().err


def test_what_deidentification_took_away_is_left_empty(setting, tmp_path):
    import pydicom

    _, words = setting
    gone = ("AccessionNumber", "PatientBirthDate", "PatientName", "StudyDate", "StudyID")

    def bare(header, _number):
        for name in gone:
            delattr(header, name)

    write_series(tmp_path / "dicom" / NAME, STRAIGHT, bare)
    assert main(words) == 0
    seg = pydicom.dcmread(tmp_path / "out" / NAME / f"{NAME}_clusters_seg.dcm")
    assert [str(seg.get(name) or "") for name in gone] == [""] * len(gone)
    assert seg.StudyInstanceUID == f"{UID}.1"


def test_a_series_elsewhere_does_not_cover_the_brain(setting, tmp_path, capsys):
    _, words = setting
    matrix = STRAIGHT.matrix.copy()
    matrix[2, 3] += 150
    write_series(tmp_path / "dicom" / NAME, Grid.of(STRAIGHT.shape, matrix))
    assert main(words) == 1
    assert "of the brain beyond it; expected a series that covers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--dicom", "true"], "dicom_series: found none"),
        (["--dicom_series", "here"], "dicom: found false"),
    ],
)
def test_half_of_the_options_is_refused(tmp_path, capsys, more, text):
    assert main(["detect", "run", "cohort", str(tmp_path / "out"), *more]) == 1
    assert text in capsys.readouterr().err


def test_without_the_extra_the_way_out_is_named(tmp_path, capsys, monkeypatch):
    import fcdsynth.detector.dicom_series as series

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(series.importlib, "import_module", absent)
    words = ["--dicom", "true", "--dicom_series", str(tmp_path)]
    with pytest.raises(series.SettingsError, match=r"pip install 'fcdsynth\[dicom\]'"):
        detect("run", "cohort", str(tmp_path / "out"), dicom=True, dicom_series=words[3])
