"""Skull, scalp, neck and face around a bare brain, so that brain extraction has work to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.parts import Part

_STEP_MM = 2.0
_BLEND_MM = 6.0
HEAD_LOWER_MM = (-95.0, -128.0, -116.0)
HEAD_UPPER_MM = (95.0, 104.0, 105.0)


@dataclass(frozen=True)
class ShellSpec:
    """Thickness of the layers around the brain in mm."""

    csf_mm: float
    table_mm: float
    marrow_mm: float
    fat_mm: float
    skin_mm: float


def draw_shell(rng: np.random.Generator) -> ShellSpec:
    """Draw the layers of one head."""
    return ShellSpec(
        csf_mm=float(rng.uniform(1.2, 2.6)),
        table_mm=float(rng.uniform(1.4, 2.0)),
        marrow_mm=float(rng.uniform(1.8, 3.6)),
        fat_mm=float(rng.uniform(3.0, 5.5)),
        skin_mm=float(rng.uniform(1.6, 2.4)),
    )


@dataclass(frozen=True, eq=False)
class Outside:
    """Signed distance to the smoothed brain surface on a coarse lattice, positive outside.

    Args:
        distance_mm: Distance in mm, shape (x, y, z).
        lower_mm: Canonical coordinates of the first voxel.
        stem_mm: Canonical x and y of the brainstem where the brain ends below.
        bottom_mm: Lowest canonical z of the brain.
    """

    distance_mm: NDArray[np.float32]
    lower_mm: tuple[float, float, float]
    stem_mm: tuple[float, float]
    bottom_mm: float

    def at(self, mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance at canonical points, shape (3, n)."""
        index = (mm - np.asarray(self.lower_mm, np.float32)[:, None]) / np.float32(_STEP_MM)
        return np.asarray(
            ndimage.map_coordinates(self.distance_mm, index, order=1, mode="nearest"), np.float32
        )


def measure_outside(brain_points_mm: NDArray[np.float64]) -> Outside:
    """Distance field of a brain given by the canonical coordinates of its voxels, shape (n, 3)."""
    lower = np.asarray(HEAD_LOWER_MM) - 20
    size = np.ceil((np.asarray(HEAD_UPPER_MM) + 20 - lower) / _STEP_MM).astype(int)
    mask = np.zeros(size, dtype=np.float32)
    index = np.clip(np.rint((brain_points_mm - lower) / _STEP_MM).astype(int), 0, size - 1)
    mask[tuple(index.T)] = 1
    # The dura bridges the sulci: close the surface before measuring distances from it.
    far = ndimage.distance_transform_edt(mask < 0.5) * _STEP_MM
    closed = ndimage.distance_transform_edt(far <= 12) * _STEP_MM > 12
    closed |= mask > 0.5
    smooth = ndimage.gaussian_filter(closed.astype(np.float32), 1.0) > 0.5
    outer = ndimage.distance_transform_edt(~smooth) * _STEP_MM
    inner = ndimage.distance_transform_edt(smooth) * _STEP_MM
    bottom = float(brain_points_mm[:, 2].min())
    foot = brain_points_mm[brain_points_mm[:, 2] < bottom + 3]
    x, y = foot[:, 0].mean(), foot[:, 1].mean()
    lower_mm = (float(lower[0]), float(lower[1]), float(lower[2]))
    distance = ndimage.gaussian_filter((outer - inner).astype(np.float32), 0.7)
    return Outside(distance, lower_mm, (float(x), float(y)), bottom)


def _ellipsoid(mm: NDArray[np.float32], centre: tuple[float, float, float],
               radii: tuple[float, float, float]) -> NDArray[np.float32]:  # fmt: skip
    # First-order distance to the surface in mm, negative inside.
    scaled = [(mm[i] - centre[i]) / radii[i] for i in range(3)]
    norm = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    return np.asarray((norm - 1) * min(radii), np.float32)


def add_shells(parts: NDArray[np.uint8], mm: NDArray[np.float32], outside: Outside,
               spec: ShellSpec) -> None:  # fmt: skip
    """Fill the air around a brain with CSF, skull, scalp, face and neck, in place.

    Args:
        parts: `Part` labels, shape (x, y, z); only `Part.AIR` voxels change.
        mm: Their canonical coordinates, shape (3, x, y, z).
        outside: Distance field of the brain.
        spec: Thickness of the layers.
    """
    air = parts == Part.AIR
    for i in range(3):
        air &= (mm[i] > HEAD_LOWER_MM[i] - 4) & (mm[i] < HEAD_UPPER_MM[i] + 4)
    points = mm[:, air]
    x, y, z = np.abs(points[0]), points[1], points[2]
    distance = outside.at(points)
    edges = np.cumsum([spec.csf_mm, spec.table_mm, spec.marrow_mm, spec.table_mm, spec.fat_mm,
                       spec.skin_mm])  # fmt: skip
    skull = edges[3]
    # Soft tissue of face and neck: depth below a skin made of simple bodies, blended.
    face = _ellipsoid(points, (0, 22, -58), (68, 70, 66))
    jaw = _ellipsoid(points, (0, 40, -98), (52, 52, 34))
    nose = _ellipsoid(points, (0, 92, -56), (14, 14, 20))
    neck = (np.hypot(x / 60, (y + 28) / 66) - 1) * 60
    neck = np.where(z < -45, neck, 99).astype(np.float32)
    bodies = (distance - edges[5], face, jaw, nose, neck)
    skin = -_BLEND_MM * np.log(sum(np.exp(-np.minimum(b, 90) / _BLEND_MM) for b in bodies))

    label = np.full(x.shape, Part.AIR, dtype=np.uint8)
    label[skin <= 0] = Part.SKIN
    label[skin <= -spec.skin_mm] = Part.FAT
    deep = (skin <= -spec.skin_mm - spec.fat_mm) & (z < -18)
    label[deep] = Part.MUSCLE
    label[deep & (_ellipsoid(points, (0, 50, -72), (40, 30, 34)) < 0)] = Part.MUCOSA
    for centre, radii in (((0, 62, -46), (13, 26, 16)), ((0, 12, -88), (9, 9, 40)),
                          ((26, 58, -58), (13, 13, 14)), ((0, 66, -14), (14, 5, 10))):  # fmt: skip
        mirrored = np.stack([x, y, z])
        label[(_ellipsoid(mirrored, centre, radii) < 0) & (skin < -4)] = Part.AIR
    eye = _ellipsoid(np.stack([x, y, z]), (32, 66, -38), (13, 13, 13))
    label[(eye < 4) & (skin < -1)] = Part.FAT
    label[eye < 0] = Part.EYE
    thin = np.where(z < -20, 0.6, 1.0)  # the base of the skull has little marrow
    table = spec.table_mm
    label[distance <= skull] = Part.BONE
    marrow = (distance > edges[0] + table) & (distance <= edges[0] + table + spec.marrow_mm * thin)
    label[marrow] = Part.MARROW

    below = (z < outside.bottom_mm + 2) & (distance > -3)
    stem = np.hypot(points[0] - outside.stem_mm[0], y - outside.stem_mm[1])
    label[below & (stem < 24) & (stem >= 11)] = Part.MARROW
    label[below & (stem < 13) & (stem >= 11)] = Part.BONE
    label[(z < outside.bottom_mm + 8) & (stem < 11) & (distance > -9)] = Part.CSF
    label[(z < outside.bottom_mm + 2) & (stem < 6.5)] = Part.LOWER_WHITE
    label[distance <= edges[0]] = np.where(
        (stem < 7) & (z < outside.bottom_mm + 3), Part.LOWER_WHITE, Part.CSF
    )[distance <= edges[0]]
    parts[air] = label
