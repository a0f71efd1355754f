"""Grids, volumes and resampling in three orientations."""

import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid, tiny_head

from fcdsynth.core.errors import CohortError, GeometryError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume, canonical, read_grid, read_mask, read_volume, write_volume


def centroid_mm(volume):
    return volume.grid.to_mm(np.argwhere(volume.array)).mean(axis=0)


def test_grid_by_hand():
    grid = Grid.of((10, 20, 30), [[-2, 0, 0, 9], [0, 3, 0, -4], [0, 0, 0.5, 1], [0, 0, 0, 1]])
    assert grid.axis_codes == "LAS"
    assert grid.spacing_mm == (2, 3, 0.5)
    assert grid.voxel_ml == pytest.approx(0.003)
    np.testing.assert_allclose(grid.to_mm([1, 2, 4]), [7, 2, 3])
    np.testing.assert_allclose(grid.to_vox([7, 2, 3]), [1, 2, 4])


def test_covering_is_centred_and_large_enough():
    grid = Grid.covering([-10, -20, 0], [11, 20, 7], 2.0, multiple=8)
    assert grid.shape == (16, 24, 8)
    corners = grid.corners_mm()
    np.testing.assert_allclose(corners.mean(axis=0), [0.5, 0, 3.5])
    assert (corners.min(axis=0) - 1 <= [-10, -20, 0]).all()


@pytest.mark.parametrize(
    ("shape", "affine"),
    [((4, 4, 4), np.zeros((4, 4))), ((4, 0, 4), np.eye(4)), ((4, 4, 4), np.eye(4) * np.nan)],
)
def test_bad_grids_are_refused(shape, affine):
    with pytest.raises(GeometryError):
        Grid.of(shape, affine)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_round_trip_through_a_file(tmp_path, orientation):
    grid = tiny_grid(orientation)
    head = tiny_head(grid, 3, (30, 10, 5))
    write_volume(tmp_path / "a.nii.gz", Volume(head["flair"], grid))
    write_volume(tmp_path / "b.nii.gz", Volume(head["flair"], grid))
    back = read_volume(tmp_path / "a.nii.gz")
    assert back.grid.close_to(grid, 1e-3)
    np.testing.assert_array_equal(back.array, head["flair"])
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    write_volume(tmp_path / "m.nii.gz", Volume(head["lesion"], grid))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz").array, head["lesion"])
    assert read_grid(tmp_path / "m.nii.gz").close_to(grid, 1e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_canonical_points_to_ras_and_keeps_the_world(orientation):
    lesion = Volume(tiny_head(tiny_grid(orientation), 0, (30, 20, 10))["lesion"],
                    tiny_grid(orientation))  # fmt: skip
    turned = canonical(lesion)
    assert turned.grid.axis_codes == "RAS"
    np.testing.assert_allclose(centroid_mm(turned), centroid_mm(lesion), atol=1e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_resampling_keeps_a_lesion_in_its_place(orientation):
    source = tiny_grid(orientation, 48, 3.0)
    lesion = Volume(tiny_head(source, 0, (30, 20, 10))["lesion"], source)
    moved = resample_mask(lesion, tiny_grid("RAS", 36, 4.0))
    assert np.linalg.norm(centroid_mm(moved) - centroid_mm(lesion)) < 1.0
    volume = lesion.array.sum() * source.voxel_ml
    assert moved.array.sum() * moved.grid.voxel_ml == pytest.approx(volume, rel=0.15)


def test_thin_masks_keep_their_volume_on_larger_voxels():
    """Many specks of one or two fine voxels: half coverage would lose nearly all of them."""
    fine = tiny_grid("RAS", 48, 3.0)
    specks = np.random.default_rng(0).random(fine.shape) < 0.01
    coarse = resample_mask(Volume(specks, fine), tiny_grid("RAS", 24, 6.0))
    volume = specks.sum() * fine.voxel_ml
    assert coarse.array.sum() * coarse.grid.voxel_ml == pytest.approx(volume, rel=0.1)


def test_resampling_follows_a_world_matrix():
    grid = tiny_grid("RAS")
    array = np.zeros(grid.shape, dtype=np.float32)
    array[12, 12, 12] = 1
    shift = np.eye(4)
    shift[0, 3] = 6.0  # a target point lies 6 mm (one voxel) to the left of its source point
    moved = resample(Volume(array, grid), grid, 1, shift).array
    assert np.argwhere(moved > 0.5).tolist() == [[11, 12, 12]]


def test_a_mask_smaller_than_a_voxel_survives():
    fine = tiny_grid("RAS", 48, 3.0)
    array = np.zeros(fine.shape, dtype=bool)
    array[20, 20, 20] = True
    assert resample_mask(Volume(array, fine), tiny_grid("RAS", 12, 12.0)).array.sum() == 1


def test_downsampling_averages_instead_of_skipping():
    fine = tiny_grid("RAS", 48, 3.0)
    board = np.indices(fine.shape).sum(axis=0) % 2
    coarse = resample(Volume(board.astype(np.float32), fine), tiny_grid("RAS", 12, 12.0))
    assert np.abs(coarse.array[2:-2, 2:-2, 2:-2] - 0.5).max() < 0.05


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8b\x08\x00truncated"])
def test_unreadable_files_name_themselves(tmp_path, content):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=r"scan\.nii\.gz"):
        read_volume(path)


def test_a_truncated_image_is_an_error(tmp_path):
    grid = tiny_grid()
    rng = np.random.default_rng(0)
    path = write_volume(tmp_path / "a.nii.gz", Volume(rng.random(grid.shape, np.float32), grid))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CohortError, match="readable"):
        read_volume(path)


def test_nan_and_time_series_are_errors(tmp_path):
    grid = tiny_grid()
    array = np.zeros(grid.shape, dtype=np.float32)
    array[0, 0, 0] = np.nan
    write_volume(tmp_path / "nan.nii.gz", Volume(array, grid))
    with pytest.raises(CohortError, match="1 voxels that are NaN"):
        read_volume(tmp_path / "nan.nii.gz")
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.eye(4)), tmp_path / "t.nii.gz")
    with pytest.raises(CohortError, match="three dimensions"):
        read_grid(tmp_path / "t.nii.gz")
