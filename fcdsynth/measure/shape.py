"""Shape features of a mask: size, surface, elongation, and how it lies in the cortex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue


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
    """

    volume_ml: float
    surface_mm2: float
    surface_per_volume: float
    middle_ratio: float
    short_ratio: float
    ribbon_fraction: float
    white_fraction: float
    mean_depth_mm: float


def surface_mm2(mask: NDArray[np.bool_], grid: Grid) -> float:
    """Surface area of a mask in mm2 by marching cubes (Lorensen and Cline 1987)."""
    box = _bounding_box(mask)
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
    points = grid.to_mm(np.argwhere(mask))
    centred = points - points.mean(axis=0)
    linear = grid.matrix[:3, :3]
    moments = centred.T @ centred / len(points) + linear @ linear.T / 12
    first, middle, short = np.linalg.eigvalsh(moments)[::-1]
    area = surface_mm2(mask, grid)
    volume_ml = len(points) * grid.voxel_ml
    labels = None if tissue is None else tissue[mask]
    return Shape(
        volume_ml=float(volume_ml),
        surface_mm2=area,
        surface_per_volume=area / (volume_ml * 1000),
        middle_ratio=float(middle / first),
        short_ratio=float(short / first),
        ribbon_fraction=_share(labels, Tissue.CORTEX),
        white_fraction=_share(labels, Tissue.WHITE_MATTER),
        mean_depth_mm=float("nan") if depth_mm is None else float(depth_mm[mask].mean()),
    )


def _share(labels: NDArray[Any] | None, tissue: Tissue) -> float:
    return float("nan") if labels is None else float((labels == tissue).mean())


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)
