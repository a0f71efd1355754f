"""What the table says of a cluster: lobe, side and contrasts worked out by hand, both grids."""

import json
from dataclasses import replace

import numpy as np
import pytest
from known_detector import known_detector
from phantom import prepared_cohort, tiny_grid
from scipy import ndimage

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import CONTRASTS, TABLE, Detections
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_volume, write_volume
from fcdsynth.measure.lobes import label_of

NAME = "sub-00001"
# Voxels 10 to 12 along x: world x of -9, -3 and 3 mm, so that the centre lies on the left.
BOX = (slice(10, 13), slice(8, 11), slice(12, 15))


@pytest.fixture
def cohort(tmp_path):
    """One subject whose images are flat but for the box: a third cortex, the rest white matter.

    T1w is 0.03 lower in all of the box; FLAIR is 0.2 higher in its cortex, 0.05 in its white
    matter. The box is frontal right by two thirds, temporal left by one.
    """
    made = prepared_cohort(tmp_path / "cohort", patients=1, controls=0)
    grid = tiny_grid()
    tissue = np.full(grid.shape, Tissue.WHITE_MATTER, dtype=np.uint8)
    tissue[:11] = Tissue.CORTEX
    t1w = np.where(tissue == Tissue.CORTEX, 0.45, 0.65)
    flair = np.where(tissue == Tissue.CORTEX, 0.60, 0.50)
    t1w[BOX] -= 0.03
    flair[BOX] += np.where(tissue[BOX] == Tissue.CORTEX, 0.2, 0.05)
    lobes = np.full(grid.shape, label_of("FL", "R"), dtype=np.uint8)
    lobes[:11] = label_of("TL", "L")
    mirror = np.zeros(grid.shape)
    mirror[BOX] = [[[1.0]], [[2.0]], [[4.5]]]
    files = dict(made.subjects[0].files)
    for key, array in {"t1w": t1w, "flair": flair, "tissue": tissue, "lobes": lobes,
                       "flair_mirror": mirror, "t1w_mirror": -mirror}.items():  # fmt: skip
        files[key] = f"{key}.nii.gz"
        dtype = np.float32 if array.dtype == float else np.uint8
        write_volume(made.folder / files[key], Volume(array.astype(dtype), grid))
    cohort = Cohort(made.folder, (replace(made.subjects[0], split=Split.TEST, files=files),))
    cohort.write()
    return cohort


@pytest.fixture
def looking(cohort, tmp_path, monkeypatch):
    """Run detect with pages off; the known detector finds the box, and a fainter one elsewhere."""
    boxes = {"box": (BOX, 0.9), "faint": ((slice(18, 20), slice(4, 6), slice(4, 6)), 0.4)}
    run = known_detector(monkeypatch, tmp_path / "run", boxes)

    def look(*more, out="out", table=cohort):
        table.write()
        words = ["detect", str(run), str(table.folder), str(tmp_path / out), "--pages", "false"]
        assert main([*words, *more]) == 0
        return Detections.read(tmp_path / out)

    return look


def without(cohort, *keys):
    row = cohort.subjects[0]
    files = {key: path for key, path in row.files.items() if key not in keys}
    return Cohort(cohort.folder, (replace(row, files=files),))


def test_every_column_by_hand(looking):
    (only,) = looking().of(NAME)
    assert (only.size_vox, only.volume_ml) == (27, pytest.approx(27 * 0.216))
    assert only.score == pytest.approx(0.9, abs=1e-6)
    assert only.centre_mm == pytest.approx((-3, -15, 9))
    assert (only.lobe, only.side) == ("FL", "R")
    assert only.t1w_contrast == pytest.approx(-0.3, abs=1e-3)
    assert only.flair_contrast == pytest.approx((9 * 2.0 + 18 * 0.5) / 27, abs=1e-3)
    assert only.mirror_contrast == pytest.approx(2.5, abs=1e-3)


def test_the_records_hold_what_the_table_holds(looking):
    found = looking()
    (row,) = json.loads((found.folder / NAME / f"{NAME}_clusters.json").read_text())
    (only,) = found.clusters
    assert row["lobe"] == only.lobe
    for name in CONTRASTS:
        assert row[name] == pytest.approx(getattr(only, name), abs=1e-3)


def test_another_cluster_is_no_part_of_the_ring(looking, cohort):
    """Beside the box lies a second cluster, as bright as the box: the contrast stays."""
    grid = tiny_grid()
    flair = read_volume(cohort.path(cohort.subjects[0], "flair")).array.copy()
    flair[18:20, 4:6, 4:6] = 0.95
    write_volume(cohort.path(cohort.subjects[0], "flair"), Volume(flair, grid))
    box, faint = looking("--threshold", "0.3").of(NAME)
    assert box.flair_contrast == pytest.approx(1.0, abs=1e-3)
    assert faint.flair_contrast == pytest.approx(4.5, abs=1e-3)
    flair[13:15, 8:11, 12:15] = 0.95  # next to the box and in no cluster
    write_volume(cohort.path(cohort.subjects[0], "flair"), Volume(flair, grid))
    assert looking(out="bright").of(NAME)[0].flair_contrast < 0.9


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (("flair_mirror",), {"mirror_contrast": -2.5}),
        (("flair_mirror", "t1w_mirror"), {"mirror_contrast": None}),
        (("tissue",), {"t1w_contrast": None, "flair_contrast": None}),
        (("flair",), {"flair_contrast": None, "t1w_contrast": -0.3}),
        # Without a lobe the side is that of MNI space, here the world's: left.
        (("lobes",), {"lobe": "", "side": "L"}),
        # Without either it is that of the brain's own symmetry.
        (("lobes", "transforms"), {"lobe": "", "side": "L", "centre_mni_mm": None}),
        (("lobes", "transforms", "brain"), {"side": "L"}),
    ],
)
def test_what_a_subject_lacks_stays_empty(looking, cohort, gone, expected):
    (only,) = looking(table=without(cohort, *gone)).of(NAME)
    for name, value in expected.items():
        found = getattr(only, name)
        assert found == (pytest.approx(value, abs=1e-3) if isinstance(value, float) else value)


def test_tables_from_before_the_columns_are_read(looking):
    found = looking()
    path = found.folder / TABLE
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(row[:14]) + "\n" for row in rows))
    assert rows[0][14:] == ["lobe", *CONTRASTS]
    (old,) = Detections.read(found.folder).clusters
    assert old == replace(found.clusters[0], lobe="", t1w_contrast=None, flair_contrast=None,
                          mirror_contrast=None)  # fmt: skip


def test_a_cluster_between_the_prepared_voxels_has_its_contrast(cohort):
    """Voxels of 2 mm around the corner of eight prepared ones of 6 mm."""
    from fcdsynth.core.detection import Detection
    from fcdsynth.detector.described import describe_clusters

    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = -69
    labels = np.zeros((70, 70, 70), dtype=np.int16)
    # Prepared voxels 11 and 12 along x meet at 0 mm, 8 and 9 along y at -18, 12 and 13 along z
    # at 6 mm.
    middle = [round((mm + 69) / 2) for mm in (0, -18, 6)]
    labels[tuple(slice(m, m + 1) for m in middle)] = 1
    volume = Volume(labels, Grid.of(labels.shape, matrix))
    centre = tuple(float(x) for x in volume.grid.to_mm(np.argwhere(labels)[0]))
    cluster = Detection("s", 1, 0.5, 0.008, 1, centre, "L", 0.5, 0.5)
    (found,) = describe_clusters(cohort, cohort.subjects[0], volume, [cluster], None)
    assert found.lobe == "FL"
    assert found.mirror_contrast in (2.0, 4.5)  # one of the box's voxels
    assert found.t1w_contrast is not None


def test_options_replace_the_stored_threshold_and_volume(looking):
    both = looking("--threshold", "0.3")
    assert sorted(c.size_vox for c in both.clusters) == [8, 27]
    record = json.loads((both.folder / "operating_point.json").read_text())
    assert (record["threshold"], record["min_volume_ml"]) == (0.3, 0.1)
    # Temperature and calibration still come from them, so evaluate must still refuse them.
    assert record["chosen_on"] == ["other-2"]
    large = looking("--threshold", "0.3", "--min_volume_ml", "2", out="large")
    assert [c.size_vox for c in large.clusters] == [27]
    assert large.operating_point.min_volume_ml == 2
    assert looking(out="stored").operating_point.chosen_on == ("other-2",)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--threshold", "0"], "threshold: found 0; expected a probability between 0 and 1"),
        (["--threshold", "1"], "threshold: found 1;"),
        (["--threshold", "50"], "threshold: found 50;"),
        (["--min_volume_ml", "-0.1"], "min_volume_ml: found -0.1; expected 0 to 1000 ml"),
        (["--pictures", "-1"], "pictures: found -1; expected 0 or more"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, capsys, more, text):
    assert main(["detect", "run", "cohort", str(tmp_path / "out"), *more]) == 1
    assert text in capsys.readouterr().err


def with_flair(cohort, grid, to_t1w):
    """The subject's FLAIR as acquired lies on a grid of its own, in a world of its own."""
    row = cohort.subjects[0]
    write_volume(cohort.folder / "own.nii.gz", Volume(np.zeros(grid.shape, np.float32), grid))
    record = {"flair_to_t1w": np.asarray(to_t1w).tolist(), "t1w_to_mni": np.eye(4).tolist()}
    (cohort.folder / "own.json").write_text(json.dumps(record))
    files = {**row.files, "flair_native": "own.nii.gz", "transforms": "own.json"}
    return Cohort(cohort.folder, (replace(row, files=files),))


def test_flair_maps_lie_where_the_flair_has_the_cluster(looking, cohort):
    turn = np.deg2rad(5)
    to_t1w = np.eye(4)
    to_t1w[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    to_t1w[:3, 3] = [4, -3, 5]
    grid = tiny_grid("oblique", 40, 4.0)
    found = looking("--flair_space", "true", table=with_flair(cohort, grid, to_t1w))
    folder, (only,) = found.folder / NAME, found.of(NAME)
    labels = read_labels(folder / f"{NAME}_space-FLAIR_clusters.nii.gz")
    map_ = read_volume(folder / f"{NAME}_space-FLAIR_probability.nii.gz")
    assert labels.grid.close_to(grid)
    assert map_.grid.close_to(grid)
    assert set(np.unique(labels.array)) == {0, 1}
    wanted = (np.linalg.inv(to_t1w) @ [*only.centre_mm, 1])[:3]
    centre = labels.grid.to_mm(ndimage.center_of_mass(labels.array == 1))
    assert np.linalg.norm(centre - wanted) < 2.0  # half a voxel
    assert (labels.array == 1).sum() * 0.064 == pytest.approx(only.volume_ml, rel=0.1)
    assert map_.array[labels.array == 1].mean() > 0.6
    assert 0 <= map_.array.min() <= map_.array.max() <= 0.9 + 1e-6
    assert found.probability_path(NAME).is_file()  # evaluate reads the T1w's


def test_a_small_cluster_is_not_lost_between_thick_slices(looking, cohort):
    grid = Grid.of((30, 30, 4), [[5, 0, 0, -72], [0, 5, 0, -72], [0, 0, 40, -75], [0, 0, 0, 1]])
    more = ("--flair_space", "true", "--threshold", "0.3")
    found = looking(*more, table=with_flair(cohort, grid, np.eye(4)))
    labels = read_labels(found.folder / NAME / f"{NAME}_space-FLAIR_clusters.nii.gz")
    assert set(np.unique(labels.array)) == {0, 1, 2}


def test_a_subject_without_native_flair_is_passed_over(looking, cohort):
    found = looking("--flair_space", "true", table=without(cohort, "flair_native"))
    assert not list(found.folder.rglob("*space-FLAIR*"))


def test_an_unusable_way_to_flair_is_refused_before_any_work(cohort, tmp_path, monkeypatch, capsys):
    run = known_detector(monkeypatch, tmp_path / "run", {"box": (BOX, 0.9)})
    with_flair(cohort, tiny_grid(), np.zeros((4, 4))).write()
    words = ["detect", str(run), str(cohort.folder), str(tmp_path / "out"), "--flair_space", "true"]
    assert main(words) == 1
    assert f"{NAME}: found flair_to_t1w" in capsys.readouterr().err
    assert not (tmp_path / "out.partial").exists()


def test_more_clusters_than_can_be_numbered_are_refused(cohort, tmp_path, monkeypatch, capsys):
    import fcdsynth.detector.findings as findings

    def many(*_rest):
        raise OverflowError("Python integer 32768 out of bounds for int16")

    run = known_detector(monkeypatch, tmp_path / "run", {"box": (BOX, 0.9)})
    monkeypatch.setattr(findings, "find_clusters", many)
    assert main(["detect", str(run), str(cohort.folder), str(tmp_path / "out")]) == 1
    assert f"threshold, min_volume_ml: found too many clusters in {NAME}" in capsys.readouterr().err
