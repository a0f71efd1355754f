"""Label maps of other tools: which are found, which are refused, and that they win."""

import json
import logging
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import bids_folder, tiny_grid, tiny_head
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent))
from bids_trees import small_tree

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, write_volume
from fcdsynth.measure.lobes import RIGHT, label_of
from fcdsynth.prepare.freesurfer import UNKNOWN, to_lobe, to_side, to_tissue
from fcdsynth.prepare.given import find_labels, objection, take_labels
from fcdsynth.prepare.index import index
from fcdsynth.prepare.labelling import adopt_labels
from fcdsynth.prepare.person import Job, prepare_one
from fcdsynth.prepare.template import Placement

# FreeSurfer's values of a left structure and its right twin, by our tissue.
TWINS = {Tissue.CSF: (24, 24), Tissue.CORTEX: (3, 42), Tissue.WHITE_MATTER: (2, 41),
         Tissue.DEEP_GREY: (10, 49), Tissue.VENTRICLE: (4, 43),
         Tissue.INFRATENTORIAL: (8, 47)}  # fmt: skip
SUPERIOR_FRONTAL, CUNEUS = 28, 5


def freesurfer_map(grid, gyri=False, csf=True, seed=0):
    """A tiny head in FreeSurfer's values; with gyri, frontal before y = 0, cuneus behind."""
    tissue = tiny_head(grid, seed)["tissue"]
    mm = grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    right = mm[..., 0] > 0
    labels = np.zeros(grid.shape, dtype=np.int16)
    for kind, (left_value, right_value) in TWINS.items():
        if kind is Tissue.CSF and not csf:
            continue
        labels[tissue == kind] = np.where(right, right_value, left_value)[tissue == kind]
    if gyri:
        cortex = tissue == Tissue.CORTEX
        gyrus = np.where(mm[..., 1] > 0, SUPERIOR_FRONTAL, CUNEUS) + np.where(right, 2000, 1000)
        labels[cortex] = gyrus[cortex]
    return Volume(labels, grid), tissue, mm


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_values_mean_what_freesurfer_says():
    values = np.array([0, 2, 41, 3, 42, 10, 53, 4, 14, 16, 8, 47, 24, 1028, 2035, 77, 251, 85,
                       11101, 12175, 511, 999, 9999, -3])  # fmt: skip
    W, C, D, V, I_ = (Tissue.WHITE_MATTER, Tissue.CORTEX, Tissue.DEEP_GREY, Tissue.VENTRICLE,
                      Tissue.INFRATENTORIAL)  # fmt: skip
    expected = [0, W, W, C, C, D, D, V, V, I_, I_, I_, Tissue.CSF, C, C, W, W, W, C, C, 0,
                UNKNOWN, UNKNOWN, UNKNOWN]  # fmt: skip
    np.testing.assert_array_equal(to_tissue(values), expected)
    np.testing.assert_array_equal(to_side(np.array([2, 3, 1028, 41, 42, 2035, 10, 0])),
                                  [0, 0, 0, RIGHT, RIGHT, RIGHT, UNKNOWN, UNKNOWN])  # fmt: skip
    gyri = np.array([1028, 2008, 1030, 2011, 1035, 2022, 1024, 3, 4])
    lobes = [("FL", "L"), ("PL", "R"), ("TL", "L"), ("OL", "R"), ("IL", "L"), ("PL", "R"),
             ("FL", "L")]  # fmt: skip
    np.testing.assert_array_equal(to_lobe(gyri), [label_of(*name) for name in lobes] + [0, 0])


def test_the_best_label_map_comes_first(tmp_path):
    top = tmp_path / "derivatives"
    mri = top / "freesurfer" / "sub-01" / "mri"
    fast = top / "fastsurfer" / "sub-01" / "mri" / "aparc.DKTatlas+aseg.deep.mgz"
    synthseg = top / "synthseg" / "sub-01" / "anat" / "sub-01_T1w_synthseg.nii.gz"
    dseg = top / "fmriprep" / "sub-01" / "anat" / "sub-01_dseg.nii.gz"
    described = top / "other" / "sub-01" / "anat" / "sub-01_space-T1w_desc-synthseg_dseg.nii.gz"
    touch(
        mri / "aseg.mgz", mri / "aparc+aseg.mgz", mri / "T1.mgz", mri / "aparc.a2009s+aseg.mgz",
        fast, synthseg, dseg, described,
        dseg.with_name("sub-01_space-MNI152NLin2009cAsym_desc-aseg_dseg.nii.gz"),
        dseg.with_name("sub-01_dseg.json"),
        top / "fmriprep" / "sub-011" / "anat" / "sub-011_dseg.nii.gz",
        top / "truth" / "sub-01" / "anat" / "sub-01_space-T1w_dseg.nii.gz",
    )  # fmt: skip
    assert find_labels(top, "sub-01") == [
        fast, mri / "aparc+aseg.mgz", described, synthseg, mri / "aseg.mgz", dseg,
    ]  # fmt: skip
    assert find_labels(top, "sub-02") == []
    assert find_labels(tmp_path / "nowhere", "sub-01") == []


@pytest.mark.parametrize("ending", ["nii.gz", "mgz"])
def test_a_whole_brain_passes(tmp_path, ending):
    made, _, _ = freesurfer_map(tiny_grid("LAS"))
    path = tmp_path / f"aseg.{ending}"
    kind = nib.Nifti1Image if ending == "nii.gz" else nib.MGHImage
    nib.save(kind(made.array, made.grid.matrix), path)
    assert objection(path) is None
    back = read_labels(path)
    assert back.grid.close_to(made.grid)
    np.testing.assert_array_equal(back.array, made.array)


def test_what_is_no_label_map_is_refused_with_its_reason(tmp_path):
    grid = tiny_grid()
    whole, tissue, mm = freesurfer_map(grid)

    def reason(array):
        write_volume(tmp_path / "x_dseg.nii.gz", Volume(array, grid))
        return objection(tmp_path / "x_dseg.nii.gz")

    classes = np.select([tissue == 1, tissue == 2, tissue == 3], [3, 1, 2], 0)
    assert "none of FreeSurfer's" in reason(classes.astype(np.int16)) or "0 ml" in reason(classes)
    assert "0 ml of right cortex" in reason(np.where(mm[..., 0] > 0, 0, whole.array))
    assert "ml of left" in reason(np.where(mm[..., 2] > -20, 0, whole.array))
    odd = whole.array.copy()
    odd[tissue == Tissue.DEEP_GREY] = 700
    assert "none of FreeSurfer's" in reason(odd)
    (tmp_path / "junk_dseg.nii.gz").write_bytes(b"0123456789abcdef")
    assert "readable" in objection(tmp_path / "junk_dseg.nii.gz")


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "oblique"])
def test_labels_come_over_from_any_grid_of_the_world(orientation):
    fine = tiny_grid(orientation, size=60, spacing_mm=2.5)
    given, _, _ = freesurfer_map(fine, csf=False)
    grid = tiny_grid(size=40, spacing_mm=4.0)
    here = tiny_head(grid, 0)
    taken = take_labels(given, Volume(here["brain"], grid), "sub-1")
    assert taken.lobes is None
    for kind in (Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.VENTRICLE, Tissue.INFRATENTORIAL):
        inner = ndimage.binary_erosion(here["tissue"] == kind)
        assert inner.sum() > 20
        assert (taken.tissue[inner] == kind).all(), kind
    mine, true = taken.tissue == Tissue.CORTEX, here["tissue"] == Tissue.CORTEX
    assert 2 * (mine & true).sum() / (mine.sum() + true.sum()) > 0.93
    index = np.argwhere(np.isin(taken.tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER)))
    x = grid.to_mm(index)[:, 0]
    sides = taken.side[tuple(index.T)]
    assert (sides[x > 4] == RIGHT).all()
    assert (sides[x < -4] == 0).all()


def test_gyri_tell_lobes_and_white_matter_follows_the_nearest():
    grid = tiny_grid(size=40, spacing_mm=4.0)
    given, tissue, mm = freesurfer_map(grid, gyri=True)
    taken = take_labels(given, Volume(tissue > 0, grid), "sub-1")
    cerebral = np.isin(tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    np.testing.assert_array_equal(taken.lobes > 0, cerebral)
    for lobe, front in (("FL", True), ("OL", False)):
        for side, right in (("L", False), ("R", True)):
            where = (mm[..., 1] > 0) == front
            where &= (mm[..., 0] > 0) == right
            cortex = where & (tissue == Tissue.CORTEX)
            assert (taken.lobes[cortex] == label_of(lobe, side)).all()
            white = where & (tissue == Tissue.WHITE_MATTER) & (np.abs(mm[..., 1]) > 16)
            assert (taken.lobes[white] == label_of(lobe, side)).all()


def test_labels_of_another_head_are_refused():
    grid = tiny_grid()
    given, tissue, _ = freesurfer_map(grid)
    shifted = grid.matrix.copy()
    shifted[:3, 3] += [60, 0, 40]
    elsewhere = Volume(given.array, Grid.of(grid.shape, shifted))
    with pytest.raises(CohortError, match=r"sub-1 labels.*inside the brain mask"):
        take_labels(elsewhere, Volume(tissue > 0, grid), "sub-1")


def test_index_takes_the_first_that_holds_and_says_why_not_the_others(tmp_path, caplog):
    root = small_tree(tmp_path / "bids")
    top = root / "derivatives" / "freesurfer" / "sub-00001" / "mri"
    whole, _, _ = freesurfer_map(tiny_grid())
    write_volume(top / "aseg.nii.gz", whole)
    broken = root / "derivatives" / "fs2" / "sub-00001" / "mri" / "aparc+aseg.nii.gz"
    write_volume(broken, Volume(np.where(whole.array == 42, 0, whole.array), whole.grid))
    with caplog.at_level(logging.WARNING):
        index(str(root), str(tmp_path / "cohort"))
    cohort = Cohort.read(str(tmp_path / "cohort"))
    assert cohort.path(cohort["sub-00001"], "labels").resolve() == (top / "aseg.nii.gz").resolve()
    assert not cohort["sub-00002"].has("labels")
    assert "aparc+aseg.nii.gz not used: 0 ml of right cortex" in caplog.text


def test_sides_are_the_maps_where_lobes_go_by_place():
    """The map's left is the world's right: the map is believed."""
    grid = tiny_grid(size=40, spacing_mm=4.0)
    given, tissue, mm = freesurfer_map(grid)
    swapped = given.array.copy()
    for kind in (Tissue.CORTEX, Tissue.WHITE_MATTER):
        swapped[given.array == TWINS[kind][0]] = TWINS[kind][1]
        swapped[given.array == TWINS[kind][1]] = TWINS[kind][0]
    t1w, brain = Volume(tiny_head(grid, 0)["t1w"], grid), Volume(tissue > 0, grid)
    trusted = Placement(np.eye(4), True, 1.0)
    made = adopt_labels(Volume(swapped, grid), "aseg", t1w, brain, trusted, "sub-1")
    cerebral = np.isin(made.tissue.array, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    assert (made.lobes[cerebral & (mm[..., 0] > 3)] <= 5).all()
    assert (made.lobes[cerebral & (mm[..., 0] < -3)] > RIGHT).all()
    np.testing.assert_array_equal(made.lobes > 0, cerebral)
    assert made.lobes_from == "place in MNI space, sides of aseg"
    lost = Placement(np.eye(4), False, 0.4)
    made = adopt_labels(Volume(swapped, grid), "aseg", t1w, brain, lost, "sub-1", own_mask=True)
    assert made.lobes is None
    assert made.tissue_from == "aseg"
    np.testing.assert_array_equal(made.brain.array, brain.array)


def test_given_labels_win(tmp_path):
    """White matter is made thinner in the map than any classifier could see in the image."""
    bids = bids_folder(tmp_path / "bids", 1, 1)
    name = "sub-00001"
    fine = tiny_grid("LAS", size=50, spacing_mm=3.0)
    given, tissue, mm = freesurfer_map(fine, gyri=True, csf=False)
    disc = (tissue == Tissue.WHITE_MATTER) & (mm[..., 2] > 10)
    given.array[disc] = np.where(mm[..., 0] > 0, 49, 10)[disc]
    anat = bids / name / "anat"
    path = tmp_path / f"{name}_synthseg.nii.gz"
    write_volume(path, given)
    sources = {
        "t1w": next(anat.glob("*T1w.nii.gz")),
        "brain": next((bids / "derivatives" / "masks" / name).rglob("*mask.nii.gz")),
        "labels": path,
    }
    (tmp_path / "out").mkdir()
    prepare_one(Job(name, tmp_path / "out", sources, 6.0, "auto"))
    folder = tmp_path / "out" / name
    quality = json.loads((folder / f"{name}_quality.json").read_text())
    assert quality["tissue_from"] == path.name
    made = read_labels(folder / f"{name}_tissue.nii.gz")
    places = made.grid.to_mm(np.argwhere(made.array == Tissue.WHITE_MATTER))
    assert places[:, 2].max() < 14
    brain = read_mask(folder / f"{name}_brain.nii.gz")
    np.testing.assert_array_equal(brain.array, made.array > 0)
    assert quality["lobes_from"] == path.name
    lobes = read_labels(folder / f"{name}_lobes.nii.gz").array
    front_and_back = {label_of(lobe, side) for lobe in ("FL", "OL") for side in "LR"}
    assert set(np.unique(lobes)) == {0, *front_and_back}
