"""Shape features of a mask: size, surface, elongation, and how it lies in the cortex."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage import measure

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.components import bounding_box

DESCRIPTORS = ("ln_volume", "ln_sphericity", "ln_middle_ratio", "ln_short_ratio", "cortex_share",
               "mean_depth_mm", "ln_thickness", "solidity")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape features of one mask.

    Args:
        volume_ml: Volume in ml.
        surface_mm2: Area of the surface half-way between inside and outside voxel centres.
        surface_per_volume: Surface over volume, 1/mm.
        middle_ratio: Second over first eigenvalue of the inertia tensor's second moments; 1 for
            a ball, near 0 for a rod.
        short_ratio: Third over first eigenvalue; near 0 for a rod or a sheet.
        ribbon_fraction: Share of the voxels labelled cortex, NaN without tissue labels.
        white_fraction: Share of the voxels labelled white matter, NaN without tissue labels.
        mean_depth_mm: Mean depth below the closed brain hull, NaN without a depth map.
        thickness_mm: Diameter of the largest ball inside, to the faces of the voxels.
        solidity: Volume over that of the convex hull of the voxels' corners, in (0, 1].
    """

    volume_ml: float
    surface_mm2: float
    surface_per_volume: float
    middle_ratio: float
    short_ratio: float
    ribbon_fraction: float
    white_fraction: float
    mean_depth_mm: float
    thickness_mm: float
    solidity: float

    @property
    def sphericity(self) -> float:
        """Surface of the ball of this volume over the surface (Wadell 1935)."""
        return float(np.cbrt(math.pi * (6 * self.volume_ml * 1000) ** 2) / self.surface_mm2)

    def descriptors(self) -> NDArray[np.float64]:
        """Numbers in which shapes are compared, in the order of `DESCRIPTORS`, shape (8,).

        Sizes and ratios as logarithms, so that their laws are nearer to normal. The share of
        cortex is of cortex and white matter alone: what an outline holds of fluid is a habit of
        the annotator, not of the lesion.
        """
        tissue = self.ribbon_fraction + self.white_fraction
        return np.array(
            [
                math.log(self.volume_ml),
                math.log(self.sphericity),
                math.log(self.middle_ratio),
                math.log(self.short_ratio),
                self.ribbon_fraction / tissue if tissue > 0 else math.nan,
                self.mean_depth_mm,
                math.log(self.thickness_mm),
                self.solidity,
            ]
        )


def surface_mm2(mask: NDArray[np.bool_], grid: Grid) -> float:
    """Surface area of a mask in mm2 by marching cubes (Lorensen and Cline 1987)."""
    box = _box(mask)
    padded = np.pad(mask[box], 1).astype(np.float32)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5)
    # Through the affine's linear part, so that oblique and anisotropic grids count alike.
    return float(measure.mesh_surface_area(vertices @ grid.matrix[:3, :3].T, faces))


def shape_features(
    mask: NDArray[np.bool_],
    grid: Grid,
    tissue: NDArray[Any] | None = None,
    depth_mm: NDArray[Any] | None = None,
) -> Shape:
    """Measure the shape of a mask.

    Second moments include each voxel's own (spacing squared over 12), so that they are those of
    the solid body and a single voxel has a shape too.

    Args:
        mask: Boolean array, shape (x, y, z).
        grid: Its grid.
        tissue: Tissue labels on the same grid.
        depth_mm: Depth below the closed brain hull on the same grid, mm.

    Raises:
        ValueError: If the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no shape")
    box = _box(mask)
    inside = mask[box]
    first_vox = np.array([s.start for s in box])
    points = grid.to_mm(np.argwhere(inside) + first_vox)
    centred = points - points.mean(axis=0)
    linear = grid.matrix[:3, :3]
    moments = centred.T @ centred / len(points) + linear @ linear.T / 12
    first, middle, short = np.linalg.eigvalsh(moments)[::-1]
    area = surface_mm2(inside, grid)
    volume_ml = len(points) * grid.voxel_ml
    labels = None if tissue is None else tissue[box][inside]
    return Shape(
        volume_ml=float(volume_ml),
        surface_mm2=area,
        surface_per_volume=area / (volume_ml * 1000),
        middle_ratio=float(middle / first),
        short_ratio=float(short / first),
        ribbon_fraction=_share(labels, Tissue.CORTEX),
        white_fraction=_share(labels, Tissue.WHITE_MATTER),
        mean_depth_mm=float("nan") if depth_mm is None else float(depth_mm[box][inside].mean()),
        thickness_mm=_thickness_mm(inside, grid),
        solidity=_solidity(inside),
    )


def _share(labels: NDArray[Any] | None, tissue: Tissue) -> float:
    return float("nan") if labels is None else float((labels == tissue).mean())


def _thickness_mm(inside: NDArray[np.bool_], grid: Grid) -> float:
    spacing = grid.spacing_mm
    inwards = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)
    # From the centre of the deepest voxel to the face of the nearest one outside.
    return float(2 * inwards.max() - min(spacing))


def _solidity(inside: NDArray[np.bool_]) -> float:
    """An affine changes volume and hull alike, so voxel units will do."""
    # Of each line of voxels along the first axis only the two ends can be corners of the hull.
    y, z = np.nonzero(inside.any(axis=0))
    lines = inside[:, y, z]
    ends = (lines.argmax(axis=0), len(lines) - 1 - lines[::-1].argmax(axis=0))
    points = np.concatenate([np.stack([x, y, z], axis=1) for x in ends])
    with contextlib.suppress(QhullError):  # flat masks have no hull of their centres
        points = points[ConvexHull(points).vertices]
    corners = np.indices((2, 2, 2)).reshape(3, -1).T - 0.5
    hull = ConvexHull((points[:, None] + corners).reshape(-1, 3))
    return float(inside.sum() / hull.volume)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    box = bounding_box(mask)
    if box is None:
        raise ValueError("an empty mask has no shape")
    return box
