"""The way back to native space, and files that two readers place at the same spot of the world."""

import json
from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from phantom import prepared_cohort
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.native import flair_to_t1w, to_native
from fcdsynth.core.volume import Volume, canonical, read_grid, write_volume

SPACING = np.array([0.8, 1.1, 2.5])
TURN = Rotation.from_euler("zyx", [14, -9, 6], degrees=True).as_matrix()
ORDERS = [(p, f) for p in permutations(range(3)) for f in product((1, -1), repeat=3)]


def turned_grid(order, shape=(26, 22, 11), centre_mm=(0.0, 0.0, 0.0)):
    """An oblique grid of unequal voxels whose array axes run in one of the 48 orders."""
    axes, signs = order
    linear = TURN @ np.eye(3)[:, axes] * signs * SPACING
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.asarray(centre_mm) - linear @ ((np.array(shape) - 1) / 2)
    return Grid.of(shape, affine)


def hook(shape):
    """An object without any symmetry: three arms of unequal length, each with its own value."""
    array = np.zeros(shape, dtype=np.int16)
    array[4:17, 5, 3] = 1
    array[4, 5:14, 3] = 2
    array[4, 5, 3:8] = 3
    return array


def name_of(order):
    return "".join("xyz"[a] for a in order[0]) + "".join("+-"[s < 0] for s in order[1])


@pytest.mark.parametrize("order", ORDERS, ids=name_of)
def test_two_readers_agree_on_every_axis_order(tmp_path, order):
    grid = turned_grid(order, centre_mm=(31.0, -12.0, 7.0))
    array = hook(grid.shape)
    path = write_volume(tmp_path / "hook.nii.gz", Volume(array, grid))
    voxels = np.argwhere(array)
    truth = grid.matrix[:3, :3] @ voxels.T + grid.matrix[:3, 3:]

    by_nibabel = nib.load(path)
    sform, sform_code = by_nibabel.get_sform(coded=True)
    qform, qform_code = by_nibabel.get_qform(coded=True)
    assert sform_code == qform_code == 1
    for affine in (by_nibabel.affine, sform, qform):
        assert np.abs(nib.affines.apply_affine(affine, voxels).T - truth).max() < 0.01
    np.testing.assert_array_equal(np.asarray(by_nibabel.dataobj), array)
    assert by_nibabel.header.get_slope_inter() in ((1, 0), (None, None))

    by_itk = sitk.ReadImage(str(path))
    places = [by_itk.TransformIndexToPhysicalPoint(v.tolist()) for v in voxels]
    assert np.abs(np.array(places).T * [[-1], [-1], [1]] - truth).max() < 0.01
    assert [by_itk[v.tolist()] for v in voxels] == array[tuple(voxels.T)].tolist()

    upright = canonical(Volume(array, grid))
    for value in (1, 2, 3):
        here = grid.to_mm(np.argwhere(array == value))
        there = upright.grid.to_mm(np.argwhere(upright.array == value))
        assert sorted(map(tuple, here.round(2))) == sorted(map(tuple, there.round(2)))


def test_a_sheared_grid_is_refused_by_itk_and_never_misplaced(tmp_path):
    """A tilted gantry: the sform alone holds it, and no reader sees another place."""
    affine = np.diag([1, 1.5, 3, 1.0])
    affine[:3, 2] += [0.6, 0, 0]
    grid = Grid.of((26, 22, 11), affine)
    path = write_volume(tmp_path / "s.nii.gz", Volume(hook(grid.shape), grid))
    seen = nib.load(path)
    assert seen.get_qform(coded=True) == (None, 0)
    np.testing.assert_allclose(seen.affine, affine, atol=1e-5)
    assert read_grid(path).close_to(grid)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))


RIGID = np.eye(4)
RIGID[:3, :3] = Rotation.from_euler("zyx", [-7, 5, 11], degrees=True).as_matrix()
RIGID[:3, 3] = [6.0, -9.0, 4.0]
PREPARED = Grid.covering((-40, -40, -40), (40, 40, 40), 2.0)


def ball(grid, centre_mm, radius_mm=8.0):
    points = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.linalg.norm(points - np.asarray(centre_mm), axis=-1) < radius_mm


def centroid_mm(volume):
    return volume.grid.to_mm(np.argwhere(volume.array)).mean(axis=0)


def with_native(folder, order, matrix=RIGID):
    """A cohort whose first subject has oblique native grids, FLAIR moved against T1w."""
    cohort = prepared_cohort(folder, 1, 0)
    subject = cohort.subjects[0]
    files = {}
    backwards = (order[0][::-1], order[1])
    wanted = {"t1w": (order, (104, 76, 33)), "flair": (backwards, (110, 80, 36))}
    for space, (of, shape) in wanted.items():
        key = f"{space}_native"
        grid = turned_grid(of, shape, centre_mm=(3.0, 2.0, -1.0))
        write_volume(folder / f"{key}.nii.gz", Volume(np.zeros(grid.shape, np.float32), grid))
        files[key] = f"{key}.nii.gz"
    record = {"flair_to_t1w": None if matrix is None else np.asarray(matrix).tolist()}
    cohort.path(subject, "transforms").write_text(json.dumps(record))
    row = replace(subject, files={**subject.files, **files})
    return replace(cohort, subjects=(row,)), row


@pytest.mark.parametrize("order", ORDERS[::12], ids=name_of)
def test_a_mask_lands_where_it_belongs(tmp_path, order):
    cohort, subject = with_native(tmp_path, order)
    centre = np.array([17.0, 9.0, -11.0])
    mask = Volume(ball(PREPARED, centre), PREPARED)
    # RIGID takes a place in the FLAIR's world to the T1w's; the ball goes the other way.
    expected = {"t1w": centre, "flair": RIGID[:3, :3].T @ (centre - RIGID[:3, 3])}
    for space, place in expected.items():
        native = to_native(mask, subject, cohort, space)
        assert native.grid.close_to(read_grid(cohort.path(subject, f"{space}_native")))
        assert native.array.dtype == bool
        off = native.grid.to_vox(centroid_mm(native)) - native.grid.to_vox(place)
        assert np.abs(off).max() < 0.5
        size = native.array.sum() * native.grid.voxel_ml
        assert size == pytest.approx(mask.array.sum() * PREPARED.voxel_ml, rel=0.02)
        overlap = native.array & ball(native.grid, place)
        assert 2 * overlap.sum() / (native.array.sum() + ball(native.grid, place).sum()) > 0.85


@pytest.mark.parametrize("order", ORDERS[5::16], ids=name_of)
def test_left_stays_left(tmp_path, order):
    """Marks on both sides, told apart by value, through write and both readers."""
    cohort, subject = with_native(tmp_path, order)
    array = np.zeros(PREPARED.shape, dtype=np.int16)
    array[ball(PREPARED, (-22, 4, 6), 6)] = 1
    array[ball(PREPARED, (22, 4, 6), 6)] = 2
    for space in ("t1w", "flair"):
        native = to_native(Volume(array, PREPARED), subject, cohort, space)
        assert native.array.dtype == np.int16
        path = write_volume(tmp_path / f"{space}.nii.gz", native)
        seen = nib.load(path)
        itk = sitk.ReadImage(str(path))
        for value, sign in ((1, -1), (2, 1)):
            voxel = np.argwhere(np.asarray(seen.dataobj) == value).mean(axis=0)
            assert sign * nib.affines.apply_affine(seen.affine, voxel)[0] > 10
            assert sign * -itk.TransformContinuousIndexToPhysicalPoint(voxel.tolist())[0] > 10


def test_numbers_are_interpolated_and_keep_their_place(tmp_path):
    """A ramp in world x is its own truth at every native voxel."""
    cohort, subject = with_native(tmp_path, ORDERS[0])
    points = PREPARED.to_mm(np.moveaxis(np.indices(PREPARED.shape), 0, -1))
    ramp = Volume((100 + points[..., 0]).astype(np.float32), PREPARED)
    for space, matrix in (("t1w", np.eye(4)), ("flair", RIGID)):
        native = to_native(ramp, subject, cohort, space)
        places = native.grid.to_mm(np.moveaxis(np.indices(native.grid.shape), 0, -1))
        places = places @ matrix[:3, :3].T + matrix[:3, 3]
        inside = (np.abs(places) < 32).all(axis=-1)
        assert inside.sum() > 1000
        np.testing.assert_allclose(native.array[inside], 100 + places[inside][:, 0], atol=0.01)
        assert (native.array[(np.abs(places) > 43).any(axis=-1)] == 0).all()


def test_what_is_missing_is_named(tmp_path):
    cohort, subject = with_native(tmp_path / "a", ORDERS[0], None)
    mask = Volume(ball(PREPARED, (0, 0, 0)), PREPARED)
    with pytest.raises(SettingsError, match="t1w or flair"):
        to_native(mask, subject, cohort, "mni")
    assert to_native(mask, subject, cohort).array.any()
    with pytest.raises(CohortError, match=r"sub-00001.*flair_to_t1w None"):
        to_native(mask, subject, cohort, "flair")
    flat = json.dumps({"flair_to_t1w": np.diag([0, 0, 0, 1]).tolist()})
    small = json.dumps({"flair_to_t1w": [[1, 0], [0, 1]]})
    for text in (flat, small, '{"flair_to_t1w": "x"}', '["a"]', "{broken"):
        cohort.path(subject, "transforms").write_text(text)
        with pytest.raises(CohortError, match="sub-00001"):
            flair_to_t1w(cohort, subject)
    bare = replace(subject, files={k: v for k, v in subject.files.items() if k != "flair_native"})
    with pytest.raises(CohortError, match="no flair_native file"):
        to_native(mask, bare, cohort, "flair")
