"""Bright places on FLAIR that are no lesions, made: where they lie in a head, and their paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.mimics import MimicSpec, Spot
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import axes_of

CAP, SPOT = 1, 2  # labels of a map of bright places
_LEAST_RISE = 0.1  # of what is on that map
_T1W = -0.35  # change on T1w relative to FLAIR
# Limbic, insular and hippocampal grey matter is brighter on FLAIR than the neocortex. Centre
# (|x|, y, z) and standard deviations in canonical mm.
_REGIONS = {
    "insula": ((38.0, 2.0, 0.0), (7.0, 15.0, 12.0)),
    "cingulate": ((5.0, 12.0, 30.0), (6.0, 26.0, 10.0)),
    "hippocampus": ((27.0, -18.0, -18.0), (8.0, 14.0, 8.0)),
}
_STEP_MM = 2.5
_DEEP_MM = 5.0
_CAP_REACH_MM = 12.0
_CAP_EDGE_MM = 0.8
_RIM = 0.2
_HORN_MM = (5.0, 6.0)  # standard deviations of the front and back horns' regions along y

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Bright:
    """Bright places in one head.

    Args:
        spec: What was drawn.
        caps: Share of each voxel that belongs to a cap, on a box of the head's grid.
        caps_box: Slices of the box.
        spots: Share of each spot, on a box of the head's grid.
        spots_boxes: Slices of these boxes.
    """

    spec: MimicSpec
    caps: NDArray[np.float32]
    caps_box: Box
    spots: tuple[NDArray[np.float32], ...]
    spots_boxes: tuple[Box, ...]

    def paint(self, painted: NDArray[np.float32], flair: bool) -> None:
        """Brighten caps and spots of a painted head, in place."""
        rise = self.spec.caps * (1.0 if flair else _T1W)
        painted[self.caps_box] *= 1 + np.float32(rise) * self.caps
        for spot, share, box in zip(self.spec.spots, self.spots, self.spots_boxes, strict=True):
            painted[box] *= 1 + np.float32(spot.flair if flair else spot.t1w) * share

    def paint_regions(self, painted: NDArray[np.float32], head: Head, flair: bool) -> None:
        """Brighten the grey matter of some regions of a painted head, in place."""
        for name, ((x, y, z), widths) in _REGIONS.items():
            for side, sign in (("L", -1), ("R", 1)):
                centre = (sign * x, y, z)
                rise = self.spec.regions[f"{name} {side}"] * (1.0 if flair else _T1W)
                box = _around(head, centre, tuple(2.6 * w for w in widths))
                grey = np.isin(head.parts[box], (Part.CORTEX, Part.DEEP_GREY))
                mm = np.stack([axis[box][grey] for axis in head.mm])
                squared = sum(
                    ((m - c) / w) ** 2 for m, c, w in zip(mm, centre, widths, strict=True)
                )
                own = np.sign(mm[0]) == sign
                painted[box][grey] *= 1 + np.float32(rise) * np.exp(-0.5 * squared) * own

    def labels(self, head: Head) -> NDArray[np.uint8]:
        """Map of caps and spots on the head's grid; caps too faint to matter are left out."""
        labels = np.zeros(head.grid.shape, dtype=np.uint8)
        if self.spec.caps >= _LEAST_RISE:
            labels[self.caps_box][self.caps >= 0.5] = CAP
        for share, box in zip(self.spots, self.spots_boxes, strict=True):
            if share.any():  # one smaller than a voxel keeps the voxel that it fills most
                labels[box][share >= min(0.5, float(share.max()))] = SPOT
        return labels


def find_bright(spec: MimicSpec, head: Head) -> Bright:
    """Place and shape the bright places of a head."""
    caps, box = _caps(spec, head)
    spots, boxes = [], []
    for number, (spot, centre) in enumerate(zip(spec.spots, _centres(spec, head), strict=True)):
        share, around = _spot(spot, centre, head, (spec.seed, 10 + number))
        spots.append(share)
        boxes.append(around)
    return Bright(spec, caps, box, tuple(spots), tuple(boxes))


def _around(head: Head, centre_mm: tuple[float, float, float], reach_mm: tuple[float, ...]) -> Box:
    """Box of the head's grid that holds a box of canonical space, found on a coarse lattice."""
    step = 4
    coarse = head.mm[:, ::step, ::step, ::step]
    near = np.ones(coarse.shape[1:], dtype=bool)
    for i in range(3):
        near &= np.abs(coarse[i] - centre_mm[i]) < reach_mm[i]
    return _box_of(near, step, head.grid.shape, step)


def _box_of(mask: NDArray[np.bool_], step: int, shape: tuple[int, ...], margin: int) -> Box:
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = (int(used[0]), int(used[-1])) if len(used) else (0, -1)
        box.append(slice(max(0, low * step - margin), min(shape[axis], (high + 1) * step + margin)))
    return (box[0], box[1], box[2])


def _sub_grid(head: Head, box: Box) -> Grid:
    affine = head.grid.matrix.copy()
    affine[:3, 3] = head.grid.to_mm([part.start for part in box])
    return Grid.of([part.stop - part.start for part in box], affine)


def _caps(spec: MimicSpec, head: Head) -> tuple[NDArray[np.float32], Box]:
    spacing = head.grid.spacing_mm[0]
    margin = int(np.ceil(_CAP_REACH_MM / spacing))
    box = _box_of(head.parts == Part.VENTRICLE, 1, head.grid.shape, margin)
    parts = head.parts[box]
    wall = parts == Part.VENTRICLE
    if not wall.any():
        return np.zeros(parts.shape, dtype=np.float32), box
    away = ndimage.distance_transform_edt(~wall).astype(np.float32) * np.float32(spacing)
    y = head.mm[1][box]
    # The horns are the front and the back of the ventricles above the temporal lobes.
    upper = wall & (head.mm[2][box] > -4)
    front, back = (float(v) for v in np.percentile(y[upper if upper.any() else wall], (99, 2)))
    horns = sum(
        np.exp(-0.5 * ((y - end) / width) ** 2)
        for end, width in zip((front, back), _HORN_MM, strict=True)
    )
    field = SmoothField.over(head.grid, (spec.seed, 1), 9.0)
    uneven = np.clip(1 + 0.4 * field.on(axes_of(_sub_grid(head, box))), 0.2, 1.8)
    # Commissural fibres between the two sides are spared.
    horns = np.minimum(horns, 1) * (1 - np.exp(-((head.mm[0][box] / 7) ** 2)))
    reach = spec.cap_mm * (_RIM + (1 - _RIM) * horns) * uneven
    shape = 1 / (1 + np.exp(np.clip((away - reach) / _CAP_EDGE_MM, -30, 30)))
    shape[(parts != Part.WHITE) | (away > _CAP_REACH_MM)] = 0
    return shape.astype(np.float32), box


def _centres(spec: MimicSpec, head: Head) -> list[tuple[float, float, float]]:
    """Places deep in the white matter."""
    if not spec.spots:
        return []
    step = max(1, round(_STEP_MM / head.grid.spacing_mm[0]))
    parts = head.parts[::step, ::step, ::step]
    size = step * head.grid.spacing_mm[0]
    depth = ndimage.distance_transform_edt(parts == Part.WHITE) * size
    candidates = np.argwhere(depth >= _DEEP_MM)
    if len(candidates) == 0:
        candidates = np.argwhere(depth == depth.max())
    rng = np.random.default_rng([spec.seed, 2])
    chosen = candidates[rng.integers(len(candidates), size=len(spec.spots))]
    jitter = rng.uniform(-0.5, 0.5, chosen.shape) * step
    places = head.grid.to_mm(chosen * step + jitter)
    return [(float(p[0]), float(p[1]), float(p[2])) for p in places]


def _spot(
    spot: Spot, centre: tuple[float, float, float], head: Head, seed: tuple[int, int]
) -> tuple[NDArray[np.float32], Box]:
    rng = np.random.default_rng(seed)
    radii = spot.radius_mm * np.exp(rng.normal(0, 0.2, 3))
    middle = head.grid.to_vox(centre)
    reach = (2 * radii.max() + 1) / head.grid.spacing_mm[0]
    x, y, z = (
        slice(max(0, int(c - reach)), min(n, int(c + reach) + 2))
        for c, n in zip(middle, head.grid.shape, strict=True)
    )
    box = (x, y, z)
    axes = np.meshgrid(*axes_of(_sub_grid(head, box)), indexing="ij", sparse=True)
    squared = np.asarray(
        sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True))
    )
    share = 1 / (1 + np.exp(np.clip(4 * (np.sqrt(squared) - 1), -30, 30)))
    share = share * (head.parts[box] == Part.WHITE)
    return share.astype(np.float32), box
