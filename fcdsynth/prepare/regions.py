"""From three tissue classes to the six labels: cortex, white matter, fluid and what lies deep.

The places are approximate, in MNI space after an affine registration. They were measured on
nine whole-head label maps (SynthSeg, Billot et al. 2023) brought there by the same registration.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.prepare.tissue import CSF, GREY, WHITE, Classes

# Highest point (z, mm) of cerebellum and brainstem in at least half of the heads, by distance
# from the midline (rows, mm) and y (columns, mm); at the rim, the floor of the lobes above.
_NONE = -90.0
_ROOF_X = np.array([1.0, 7, 13, 19, 25, 31, 37, 43, 49, 75])
_ROOF_Y = np.array([-120.0, -95, -87, -79, -71, -63, -55, -47, -39, -31, -23, -15, -7])
_ROOF_Z = np.array(
    [
        [-34, -34, -31, -17, -9, -1, 0, -3, -5, -3, -5, -19, _NONE],
        [-34, -34, -25, -15, -9, -5, -3, -4, -7, -6, -9, -19, _NONE],
        [-34, -31, -21, -17, -13, -11, -8, -9, -11, -13, -12, -19, _NONE],
        [-34, -31, -21, -17, -15, -13, -13, -13, -15, -21, -30, _NONE, _NONE],
        [-34, -31, -21, -19, -17, -15, -15, -17, -19, -23, -48, _NONE, _NONE],
        [-34, -32, -23, -21, -19, -19, -19, -21, -23, -29, -60, _NONE, _NONE],
        [-34, -32, -25, -21, -21, -21, -21, -23, -27, -40, -60, _NONE, _NONE],
        [-34, -32, -30, -23, -23, -23, -25, -29, -34, -48, _NONE, _NONE, _NONE],
        [-34, -32, -32, -30, -23, -23, -25, -31, -36, -48, _NONE, _NONE, _NONE],
        [-34, -34, -34, -34, -34, -34, -34, -34, -38, -48, _NONE, _NONE, _NONE],
    ]
)
# One ellipsoid a side, 1.2 times the one that overlaps best with caudate, putamen, pallidum,
# thalamus and accumbens: it holds 94 % of them, and 8 % of its grey is cortex.
_DEEP_CENTRE = np.array([16.0, -5.0, 2.0])
_DEEP_RADII = np.array([20.4, 36.0, 20.4])
# Deep grey matter is brighter than cortex on T1w: its cut lies nearer to white matter.
_DEEP_CUT = 0.7
# Box of the ventricles (|x|, y, z), and the core that a part must touch.
_FLUID_LOW, _FLUID_HIGH = np.array([0.0, -58.0, -12.0]), np.array([38.0, 32.0, 36.0])
_CORE_LOW, _CORE_HIGH = np.array([0.0, -32.0, 4.0]), np.array([22.0, 22.0, 26.0])
# Near the midline only what lies under the arch of the corpus callosum (ellipse in y and z):
# above it runs the fissure, behind it the quadrigeminal cistern.
_MIDLINE_MM = 8.0
_ARCH_CENTRE, _ARCH_RADII = np.array([-4.0, 9.0]), np.array([33.0, 21.0])
_FLUID_DEPTH_MM = 24.0
_WALL_MM = 3.0


def _mirrored_mni(grid: Grid, world_to_mni: NDArray[np.float64]) -> NDArray[np.float64]:
    """MNI coordinates of all voxels, x without its sign; shape (x, y, z, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    matrix = world_to_mni @ grid.matrix
    points = index @ matrix[:3, :3].T + matrix[:3, 3]
    points[..., 0] = np.abs(points[..., 0])
    return np.asarray(points)


def _within(points: NDArray[np.float64], low: NDArray[np.float64],
            high: NDArray[np.float64]) -> NDArray[np.bool_]:  # fmt: skip
    return np.asarray(((points >= low) & (points <= high)).all(axis=-1))


def _below_roof(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    roof = RegularGridInterpolator(
        (_ROOF_X, _ROOF_Y), _ROOF_Z, method="linear", bounds_error=False, fill_value=_NONE
    )
    across = np.maximum(points[..., 0], _ROOF_X[0])
    return np.asarray(points[..., 2] <= roof(np.stack([across, points[..., 1]], axis=-1)))


def _ventricles(
    fluid: NDArray[np.bool_], points: NDArray[np.float64], depth_mm: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Fluid that lies deep, in the ventricles' box, and hangs together with its core."""
    arch = (((points[..., 1:] - _ARCH_CENTRE) / _ARCH_RADII) ** 2).sum(axis=-1) < 1
    place = _within(points, _FLUID_LOW, _FLUID_HIGH) & (arch | (points[..., 0] > _MIDLINE_MM))
    deep = depth_mm >= min(_FLUID_DEPTH_MM, 0.5 * float(depth_mm.max(initial=0.0)))
    found = fluid & place & deep
    parts, _ = ndimage.label(found)
    touching = np.unique(parts[_within(points, _CORE_LOW, _CORE_HIGH) & found])
    return np.asarray(np.isin(parts, touching[touching > 0]))


def label_tissue(
    classes: Classes,
    grid: Grid,
    world_to_mni: NDArray[np.float64],
    depth_mm: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Turn fluid, grey and white matter into the labels of `fcdsynth.core.tissue`.

    Args:
        classes: Tissue classes, arrays of shape (x, y, z).
        grid: Their grid.
        world_to_mni: 4 x 4 matrix from the grid's world to MNI space, RAS+ mm.
        depth_mm: Depth below the brain's hull; ventricles lie deep.

    Returns:
        Labels, shape (x, y, z).
    """
    points = _mirrored_mni(grid, world_to_mni)
    labels = np.zeros(classes.labels.shape, dtype=np.uint8)
    labels[classes.labels == CSF] = Tissue.CSF
    labels[classes.labels == GREY] = Tissue.CORTEX
    labels[classes.labels == WHITE] = Tissue.WHITE_MATTER

    inside = (((points - _DEEP_CENTRE) / _DEEP_RADII) ** 2).sum(axis=-1) < 1
    solid = np.isin(classes.labels, (GREY, WHITE))
    labels[inside & solid & (classes.whiteness < _DEEP_CUT)] = Tissue.DEEP_GREY

    fluid = _ventricles(classes.labels == CSF, points, depth_mm)
    labels[fluid] = Tissue.VENTRICLE
    if fluid.any():
        # Half fluid, half white matter looks like cortex; no cortex lines a ventricle.
        away = ndimage.distance_transform_edt(~fluid, sampling=grid.spacing_mm)
        labels[(labels == Tissue.CORTEX) & (away <= _WALL_MM)] = Tissue.DEEP_GREY

    labels[_below_roof(points) & (classes.labels > 0)] = Tissue.INFRATENTORIAL
    return labels
