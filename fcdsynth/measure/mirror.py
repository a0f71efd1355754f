"""The mid-sagittal plane of a head, the mirrored place of a point, and its side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize

from fcdsynth.core.errors import GeometryError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume

_FIT_STEP_MM = 3.0
_FIT_POINTS = 3000
_CAP_MM = 12.0
_MAX_TILT_DEG = 25.0
_MAX_OFFSET_MM = 20.0


@dataclass(frozen=True)
class Midplane:
    """A mid-sagittal plane in RAS+ mm world space.

    Args:
        reflection: 4 x 4 world matrix that takes a point to its mirrored place.
        lateral: ``(a, b, c, d)`` with ``a x + b y + c z + d`` the signed distance in mm of a
            point from the plane, positive towards the patient's right.
        source: ``mni`` (plane x = 0 of the MNI transform), ``fitted`` (symmetry of the brain
            mask) or ``centre`` (world x of the brain's centre, when the fit failed).
    """

    reflection: tuple[tuple[float, ...], ...]
    lateral: tuple[float, float, float, float]
    source: str

    def mirrored(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Mirrored places of points, both (..., 3) in RAS+ mm."""
        matrix = np.asarray(self.reflection, dtype=float)
        points = np.asarray(points_mm, dtype=float)
        return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])

    def right_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Signed distance in mm of points (..., 3) from the plane, positive to the right."""
        a = np.asarray(self.lateral, dtype=float)
        return np.asarray(np.asarray(points_mm, dtype=float) @ a[:3] + a[3])

    def side(self, point_mm: ArrayLike) -> str:
        """``R`` or ``L`` for one point (3,) in RAS+ mm."""
        return "R" if float(self.right_mm(point_mm)) >= 0 else "L"

    @classmethod
    def from_mni(cls, t1w_to_mni: ArrayLike) -> Midplane:
        """The plane x = 0 of MNI space, seen from T1w space.

        Args:
            t1w_to_mni: 4 x 4 world matrix, RAS+ mm, T1w to MNI.

        Raises:
            GeometryError: If the matrix is not 4 x 4, finite and invertible.
        """
        matrix = np.asarray(t1w_to_mni, dtype=float)
        usable = matrix.shape == (4, 4) and bool(np.isfinite(matrix).all())
        if not usable or abs(np.linalg.det(matrix)) < 1e-9:
            raise GeometryError(
                "t1w_to_mni", f"{matrix.tolist()}", "an invertible 4 x 4 matrix",
                "Run fcdsynth prepare on this subject again.",
            )  # fmt: skip
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        return cls(
            _rows(np.linalg.inv(matrix) @ flip @ matrix),
            _four(matrix[0] / np.linalg.norm(matrix[0, :3])),
            "mni",
        )

    @classmethod
    def through(cls, point_mm: ArrayLike, normal: ArrayLike, source: str) -> Midplane:
        """The plane through a point (3,) mm with a normal (3,) that points to the right."""
        n = np.asarray(normal, dtype=float)
        n = n / np.linalg.norm(n)
        d = -float(n @ np.asarray(point_mm, dtype=float))
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(n, n)
        matrix[:3, 3] = -2 * d * n
        return cls(_rows(matrix), _four([*n, d]), source)

    @classmethod
    def fitted(cls, brain: Volume) -> Midplane:
        """The plane about which a brain mask is most symmetric.

        Offset, yaw and roll are chosen so that the mirrored surface lies on the surface: least
        mean distance of mirrored surface voxels from it, each capped at 12 mm so that a one-sided
        hole does not pull. A solution farther than 25 degrees or 20 mm from the world's x axis
        and the centre of mass is not trusted; the plane of world x through the centre is then
        given.

        Args:
            brain: Brain mask, any orientation.

        Raises:
            GeometryError: If the mask is empty.
        """
        mask = _coarse(brain)
        if not mask.array.any():
            raise GeometryError(
                "brain mask", "no voxel in it", "a brain", "Check the subject's brain mask."
            )
        spacing = mask.grid.spacing_mm
        inside = ndimage.distance_transform_edt(mask.array, sampling=spacing)
        outside = ndimage.distance_transform_edt(~mask.array, sampling=spacing)
        gap = Volume(np.minimum(np.maximum(inside, outside), _CAP_MM), mask.grid)
        shell = mask.array & ~ndimage.binary_erosion(mask.array)
        surface = mask.grid.to_mm(np.argwhere(shell))
        surface = surface[:: max(1, len(surface) // _FIT_POINTS)]
        centre = mask.grid.to_mm(np.argwhere(mask.array)).mean(axis=0)

        def plane(parameters: NDArray[np.float64]) -> Midplane:
            normal = _normal(parameters[1], parameters[2])
            return cls.through(centre + parameters[0] * normal, normal, "fitted")

        def badness(parameters: NDArray[np.float64]) -> float:
            moved = plane(parameters).mirrored(surface)
            return float(values_at(gap, moved, outside=_CAP_MM).mean())

        # A simplex of plausible size: 6 mm and 6 degrees, so that a flat start does not stop it.
        simplex = np.vstack([np.zeros(3), np.diag([6.0, 6.0, 6.0])])
        found = optimize.minimize(
            badness,
            np.zeros(3),
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-4, "maxiter": 300},
        )
        offset, yaw, roll = (abs(float(x)) for x in found.x)
        if offset > _MAX_OFFSET_MM or max(yaw, roll) > _MAX_TILT_DEG:
            return cls.through(centre, (1.0, 0.0, 0.0), "centre")
        return plane(found.x)


def values_at(
    volume: Volume, points_mm: ArrayLike, order: int = 1, outside: float = 0.0
) -> NDArray[np.float64]:
    """Sample a volume at world points.

    Args:
        volume: Any volume; masks are taken as 0 and 1.
        points_mm: Points, shape (..., 3), RAS+ mm.
        order: Spline order, 0 to 3.
        outside: Value beyond the volume.

    Returns:
        Values, shape (...).
    """
    points = np.asarray(points_mm, dtype=float)
    voxels = volume.grid.to_vox(points.reshape(-1, 3)).T
    array = volume.array if volume.array.dtype.kind == "f" else volume.array.astype(np.float32)
    sampled = ndimage.map_coordinates(array, voxels, order=order, mode="constant", cval=outside)
    return np.asarray(sampled, dtype=float).reshape(points.shape[:-1])


def _normal(yaw_deg: float, roll_deg: float) -> NDArray[np.float64]:
    yaw, roll = np.deg2rad(yaw_deg), np.deg2rad(roll_deg)
    return np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])


def _coarse(brain: Volume) -> Volume:
    """Every n-th voxel, about 3 mm apart, padded by one so that the shell closes."""
    strides = [max(1, round(_FIT_STEP_MM / mm)) for mm in brain.grid.spacing_mm]
    array = np.pad(brain.array[tuple(slice(None, None, s) for s in strides)].astype(bool), 1)
    matrix = brain.grid.matrix.copy()
    matrix[:3, :3] = matrix[:3, :3] * strides
    matrix[:3, 3] -= matrix[:3, :3].sum(axis=1)
    return Volume(array, Grid.of(array.shape, matrix))


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _four(values: ArrayLike | Sequence[float]) -> tuple[float, float, float, float]:
    a, b, c, d = (float(x) for x in np.asarray(values).ravel())
    return (a, b, c, d)
