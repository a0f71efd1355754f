"""The baseline of the literature: a distorted ellipsoid anywhere in the brain, blind to folds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.tissue import CEREBRAL, Tissue
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.grown import Grown, soft_of
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.measure.geodesic import Voxel

_AXES = (0.75, 1.25)  # half-axes over the radius
_BEND = (0.15, 0.3)  # standard deviation of the control points' displacements over the radius
_POINTS = 3  # control points along each axis of a square four radii wide
_ERODE_VOX = 2
_TRIES = 10_000
_STREAM = 11
_WIDER = 1.3


def ellipsoid(host: Host, spec: LesionSpec) -> Grown:
    """Make an ellipsoid after Hu et al. 2023 (SynTumor), which follows no fold and crosses fluid.

    Half-axes are the radius of the ball of this volume times a uniform draw from 0.75 to 1.25;
    three planar elastic warps follow, one in each plane of the array axes, with 3 x 3 control
    points over a square of four radii whose displacements are normal. The published displacements
    are 0.5 to 10 voxels for radii of 4 to 32, which is 0.13 to 0.38 radii; here 0.15 to 0.3.
    Theirs is clipped to the organ, and so is this to the brain, but the ellipsoid is
    as large as it needs to be for ``size_vox`` voxels to stay.

    Args:
        host: The anatomy; only its brain mask is read.
        spec: Centre, size and random choices.

    Raises:
        NoRoom: If the brain holds fewer than ``size_vox`` voxels.
    """
    rng = np.random.default_rng([spec.seed, _STREAM])
    radius_mm = math.cbrt(3 * spec.volume_ml * 1000 / (4 * math.pi))
    axes = rng.uniform(*_AXES, size=3)
    bends = rng.normal(0, rng.uniform(*_BEND), (3, 2, _POINTS, _POINTS))
    spacing, shape = np.asarray(host.grid.spacing_mm), np.asarray(host.grid.shape)
    bent_by = _largest(bends)
    reach_mm = (_WIDER * _AXES[1] + bent_by) * radius_mm
    while True:
        reach = np.ceil(reach_mm / spacing).astype(int)
        low = np.maximum(np.asarray(spec.centre_vox) - reach, 0)
        high = np.minimum(np.asarray(spec.centre_vox) + reach + 1, shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        vox = np.argwhere(host.brain[box]) + low
        points = (vox - spec.centre_vox) * spacing / radius_mm
        away = np.linalg.norm(_bent(points, bends) / axes, axis=1)
        whole = bool((low == 0).all() and (high == shape).all())
        if whole and len(vox) < spec.size_vox:
            raise NoRoom(f"{len(vox)} voxels of brain, {spec.size_vox} wanted")
        order = np.argsort(away, kind="stable")[: spec.size_vox]
        # No voxel outside the box is nearer than this.
        least = (reach_mm / radius_mm - bent_by) / axes.max()
        if whole or (len(order) == spec.size_vox and away[order[-1]] < least):
            break
        reach_mm *= _WIDER
    soft = soft_of(away[order])
    return Grown(vox[order], soft, np.zeros(len(soft), dtype=bool))


def _bent(points: NDArray[np.float64], bends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) in radii after the three planar warps, each constant along the third axis."""
    bent = points.copy()
    for plane, bend in zip(((0, 1), (1, 2), (0, 2)), bends, strict=True):
        bent[:, plane] += _moved(bent[:, plane], bend)
    return bent


def _moved(points: NDArray[np.float64], bend: NDArray[np.float64]) -> NDArray[np.float64]:
    """Displacements (n, 2) of points (n, 2) by control points at -2, 0 and 2 radii, mirrored on."""
    where = points.T / 2 + 1
    moved = [ndimage.map_coordinates(along, where, order=3, mode="mirror") for along in bend]
    return np.stack(moved, axis=1)


def _largest(bends: NDArray[np.float64]) -> float:
    """How far the warps move a point at most, in radii; they repeat beyond their square."""
    side = np.linspace(-2, 2, 33)
    square = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return 1.05 * sum(float(np.linalg.norm(_moved(square, b), axis=1).max()) for b in bends)


def ellipsoid_centre(host: Host, rng: np.random.Generator) -> Voxel:
    """Draw a centre uniformly in cortex and cerebral white matter, off the edge of the organ.

    SynTumor draws from the organ eroded by a square of five voxels. The organ here is the
    brain without brainstem and cerebellum, so the fluid of a sulcus does not count as edge.
    Its limit to the middle slices, made for the liver, is left out.

    Args:
        host: The anatomy.
        rng: Source of randomness.

    Raises:
        CohortError: If no such voxel is found in 10,000 draws.
    """
    tissue = np.isin(host.tissue, CEREBRAL)
    flat = np.flatnonzero(tissue & ~host.lesion)
    for pick in rng.integers(len(flat), size=_TRIES) if len(flat) else ():
        x, y, z = (int(v) for v in np.unravel_index(flat[pick], host.grid.shape))
        around = tuple(slice(max(0, c - _ERODE_VOX), c + _ERODE_VOX + 1) for c in (x, y, z))
        if (host.brain[around] & (host.tissue[around] != Tissue.INFRATENTORIAL)).all():
            return x, y, z
    raise CohortError(host.subject, "no cortex or white matter inside the brain's edge",
                      "a brain thicker than 5 voxels", "Leave the subject out.")  # fmt: skip
