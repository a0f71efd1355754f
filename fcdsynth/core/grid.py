"""Grid: the voxel lattice of a volume and its place in world space (RAS+, millimetres)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.errors import GeometryError

Shape = tuple[int, int, int]
_SHEAR_TOLERANCE = 1e-4
_THICK_MM = 2.5


@dataclass(frozen=True)
class Grid:
    """Shape and affine of a three-dimensional volume.

    Args:
        shape: Number of voxels along the three array axes.
        affine: 4 x 4 matrix, row by row, from voxel index to RAS+ millimetres.

    Raises:
        GeometryError: If the shape is not three positive sizes or the affine cannot be inverted.
    """

    shape: Shape
    affine: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        matrix = np.asarray(self.affine, dtype=float)
        usable = matrix.shape == (4, 4) and bool(np.isfinite(matrix).all())
        if not usable or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise GeometryError(
                "affine",
                f"{matrix.tolist()}",
                "an invertible 4 x 4 matrix of finite numbers",
                "Check the header of the image.",
            )
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(
                "shape", f"{self.shape}", "three positive sizes", "Check the header of the image."
            )

    @classmethod
    def of(cls, shape: ArrayLike, affine: ArrayLike) -> Grid:
        """Make a grid from any array-like shape (first three sizes) and affine (4 x 4)."""
        sizes = tuple(int(size) for size in np.asarray(shape).ravel()[:3])
        rows = tuple(tuple(float(x) for x in row) for row in np.asarray(affine, dtype=float))
        return cls(sizes, rows)  # type: ignore[arg-type]

    @classmethod
    def covering(
        cls, lower_mm: ArrayLike, upper_mm: ArrayLike, spacing_mm: float, multiple: int = 1
    ) -> Grid:
        """Return the axis-aligned RAS grid that covers a world box.

        Args:
            lower_mm: Lowest corner of the box, RAS+ mm.
            upper_mm: Highest corner of the box, RAS+ mm.
            spacing_mm: Isotropic voxel size in mm.
            multiple: Sizes are rounded up to a multiple of this, the box staying centred.
        """
        lower = np.asarray(lower_mm, dtype=float)
        upper = np.asarray(upper_mm, dtype=float)
        voxels = np.maximum(np.ceil((upper - lower) / spacing_mm), 1)
        voxels = (np.ceil(voxels / multiple) * multiple).astype(int)
        first = (lower + upper) / 2 - (voxels - 1) / 2 * spacing_mm
        matrix = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        matrix[:3, 3] = first
        return cls.of(voxels, matrix)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """Affine as a (4, 4) array."""
        matrix = np.asarray(self.affine, dtype=np.float64)
        matrix.setflags(write=False)
        return matrix

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each array axis in mm."""
        sizes = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return (float(sizes[0]), float(sizes[1]), float(sizes[2]))

    @property
    def right_angled(self) -> bool:
        """Whether the array axes are at right angles: no shear, as of a tilted gantry."""
        directions = self.matrix[:3, :3] / np.asarray(self.spacing_mm)
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= _SHEAR_TOLERANCE)

    @property
    def thick_slices(self) -> bool:
        """Whether slices are above 2.5 mm and half as thick again as pixels are wide (2D scans)."""
        thickest, thinnest = max(self.spacing_mm), min(self.spacing_mm)
        return thickest > _THICK_MM and thickest > 1.5 * thinnest

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])) / 1000)

    @property
    def axis_codes(self) -> str:
        """Nearest anatomical direction of each array axis, such as ``RAS`` or ``LAS``."""
        directions = self.matrix[:3, :3] / np.asarray(self.spacing_mm)
        codes = ""
        for axis in range(3):
            world = int(np.argmax(np.abs(directions[:, axis])))
            codes += ("LR", "PA", "IS")[world][int(directions[world, axis] > 0)]
        return codes

    def to_mm(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """World coordinates (RAS+ mm) of voxel indices, both of shape (..., 3)."""
        points = np.asarray(voxels, dtype=float)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def to_vox(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional voxel indices of world coordinates (RAS+ mm), both of shape (..., 3)."""
        points = np.asarray(points_mm, dtype=float) - self.matrix[:3, 3]
        return np.asarray(points @ np.linalg.inv(self.matrix[:3, :3]).T)

    def corners_mm(self) -> NDArray[np.float64]:
        """Centres of the eight corner voxels, shape (8, 3), RAS+ mm."""
        last = np.asarray(self.shape) - 1
        corners = np.stack(np.meshgrid(*[(0, n) for n in last], indexing="ij"), -1)
        return self.to_mm(corners.reshape(-1, 3))

    def close_to(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """Tell whether two grids have one shape and corners no farther apart than a tolerance."""
        if self.shape != other.shape:
            return False
        gap = np.abs(self.corners_mm() - other.corners_mm()).max()
        return bool(gap <= tolerance_mm)

    def describe(self) -> str:
        """Shape, voxel size and orientation in one short phrase for messages."""
        sizes = " x ".join(str(n) for n in self.shape)
        spacing = " x ".join(f"{mm:.3g}" for mm in self.spacing_mm)
        origin = ", ".join(f"{mm:.1f}" for mm in self.matrix[:3, 3])
        return f"{sizes} voxels of {spacing} mm, {self.axis_codes}, origin ({origin}) mm"

    def require_same(self, other: Grid, subject: str, remedy: str) -> None:
        """Raise unless another grid is the same.

        Raises:
            GeometryError: If shapes or corners differ by more than 0.01 mm.
        """
        if not self.close_to(other):
            raise GeometryError(subject, other.describe(), self.describe(), remedy)
