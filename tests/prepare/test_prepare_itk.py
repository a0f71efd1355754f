"""World coordinates survive the way to SimpleITK and back, in every orientation."""

import numpy as np
import pytest
import SimpleITK as sitk
from phantom import ORIENTATIONS, tiny_grid
from scipy.spatial.transform import Rotation

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.itk import affine_of, from_itk, matrix_of, rigid_of, to_itk


def marked(grid, voxel=(3, 8, 5)):
    array = np.zeros(grid.shape, np.float32)
    array[voxel] = 7
    return Volume(array, grid), grid.to_mm(voxel)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_voxel_is_where_it_was_in_the_lps_world(orientation):
    volume, point = marked(tiny_grid(orientation, size=12))
    image = to_itk(volume)
    index = image.TransformPhysicalPointToIndex((point * [-1, -1, 1]).tolist())
    assert image[index] == 7
    back = from_itk(image)
    place = back.grid.to_mm(np.argwhere(back.array == 7)[0])
    np.testing.assert_allclose(place, point, atol=1e-4)


def test_swapped_axes_and_anisotropic_voxels():
    affine = np.array([[0, 0, 3.0, -20], [-0.8, 0, 0, 15], [0, 1.2, 0, -9], [0, 0, 0, 1]])
    volume, point = marked(Grid.of((10, 12, 8), affine))
    image = to_itk(volume)
    assert image[image.TransformPhysicalPointToIndex((point * [-1, -1, 1]).tolist())] == 7
    assert sorted(image.GetSpacing()) == pytest.approx([0.8, 1.2, 3.0])


def test_a_sheared_grid_is_set_upright_and_keeps_the_place():
    affine = np.array([[2.0, 0, 0.6, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    grid = Grid.of((20, 20, 20), affine)
    array = np.zeros(grid.shape, np.float32)
    array[9:12, 9:12, 9:12] = 1
    back = from_itk(to_itk(Volume(array, grid)))
    directions = back.grid.matrix[:3, :3] / np.asarray(back.grid.spacing_mm)
    np.testing.assert_allclose(directions, np.eye(3), atol=1e-6)
    index = np.argwhere(back.array > 0.01)
    weight = back.array[back.array > 0.01]
    centre = back.grid.to_mm((index * weight[:, None]).sum(0) / weight.sum())
    np.testing.assert_allclose(centre, grid.to_mm([10, 10, 10]), atol=0.1)


def test_masks_stay_masks():
    grid = tiny_grid("LAS", size=6)
    mask = np.zeros(grid.shape, bool)
    mask[1:3] = True
    image = to_itk(Volume(mask, grid))
    assert image.GetPixelID() == sitk.sitkUInt8
    assert sitk.GetArrayFromImage(image).sum() == mask.sum()


@pytest.mark.parametrize("make", [rigid_of, affine_of])
def test_a_matrix_goes_there_and_back(make):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [12, -20, 33], degrees=True).as_matrix()
    matrix[:3, 3] = [5, -7, 11]
    if make is affine_of:
        matrix[:3, :3] = matrix[:3, :3] @ np.diag([1.1, 0.9, 1.05])
    transform = make(matrix, centre_mm=(10, 20, -5))
    np.testing.assert_allclose(matrix_of(transform), matrix, atol=1e-6)
    point = np.array([3.0, 40, -8])
    wanted = matrix[:3, :3] @ point + matrix[:3, 3]
    got = np.array(transform.TransformPoint((point * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_a_transform_moves_an_image_as_resample_does():
    from fcdsynth.core.resample import resample

    source = tiny_grid("oblique", size=16)
    array = np.random.default_rng(0).normal(size=source.shape).astype(np.float32)
    target = tiny_grid("RAS", size=16)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 9, degrees=True).as_matrix()
    matrix[:3, 3] = [4, 2, -3]
    volume = Volume(array, source)
    ours = resample(volume, target, 1, matrix).array
    reference = to_itk(Volume(np.zeros(target.shape, np.float32), target))
    theirs = from_itk(sitk.Resample(to_itk(volume), reference, affine_of(matrix), sitk.sitkLinear))
    inner = (slice(5, -5),) * 3
    # core.resample smooths by the step's excess over one voxel, which a rotation makes tiny.
    assert np.corrcoef(ours[inner].ravel(), theirs.array[inner].ravel())[0, 1] > 0.98
