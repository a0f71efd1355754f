"""The choice of a lesion's centre in a head: cortex of a lobe, at sulcal bottoms or elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.lobes import label_of
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.parts import CEREBRAL, Part

_MIDLINE_MM = 6.0
_STEP_MM = 3.0
_CLOSING_MM = 12.0
_FOLD_MM = 6.0  # a bottom is the deepest cortex this far around
_SLACK_MM = 1.0
BOTTOM_RANK, WALL_RANK = 0.75, 2 / 3
_BESIDE_MM = 6.0
# Six of 85 lesions of ds004199 span two lobes: most keep away from the borders of theirs.
_ANYWHERE = 0.15
_RADIUS_MM = 8.0  # about the reach of a lesion of 1 ml along the cortex
_INNERMOST = 0.7


def sulcal_depth_mm(head: Head, side: str, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Depth of voxels below the hull of their hemisphere.

    The hull is the hemisphere closed by 12 mm, measured every 3 mm. The other hemisphere is
    left out, so that the wall between them counts as surface.

    Args:
        head: The head.
        side: ``L`` or ``R``.
        voxels: Indices into the head's grid, shape (n, 3).

    Returns:
        Depth in mm, shape (n,).
    """
    spacing = head.grid.spacing_mm[0]
    step = max(1, round(_STEP_MM / spacing))
    size = step * spacing
    every = (slice(None, None, step),) * 3
    x = head.mm[0][every]
    half = np.isin(head.parts[every], CEREBRAL) & ((x < 0) if side == "L" else (x > 0))
    box = ndimage.find_objects(half.astype(np.uint8))
    if not box:
        return np.zeros(len(voxels), np.float32)
    reach = int(np.ceil(_CLOSING_MM / size)) + 1
    half = np.pad(half[box[0]], reach)
    wide = ndimage.distance_transform_edt(~half) * size <= _CLOSING_MM
    hull = half | (ndimage.distance_transform_edt(wide) * size > _CLOSING_MM)
    depth = ndimage.distance_transform_edt(hull).astype(np.float32) * size
    first = np.array([s.start for s in box[0]])
    at = (voxels / step - first + reach).T
    return np.asarray(ndimage.map_coordinates(depth, at, order=1, mode="nearest"), np.float32)


def _at_bottoms(voxels: NDArray[np.intp], depth_mm: NDArray[np.float32], spacing_mm: float
                ) -> NDArray[np.bool_]:  # fmt: skip
    """Voxels among the deepest quarter that are also the deepest of the cortex around them."""
    deep = depth_mm >= np.quantile(depth_mm, BOTTOM_RANK)
    step = max(1, round(_STEP_MM / 2 / spacing_mm))
    cell = voxels // step - (voxels // step).min(axis=0)
    lattice = np.zeros(cell.max(axis=0) + 1, np.float32)
    np.maximum.at(lattice, tuple(cell.T), depth_mm)
    size = 2 * round(_FOLD_MM / (step * spacing_mm)) + 1
    highest = ndimage.maximum_filter(lattice, size)[tuple(cell.T)]
    bottom = deep & (depth_mm >= highest - _SLACK_MM)
    return bottom if bottom.any() else deep


def _within_lobe(spec: LesionSpec, head: Head, voxels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Voxels so far from the other lobes that a lesion around them keeps to one."""
    spacing = head.grid.spacing_mm[0]
    step = max(1, round(_STEP_MM / spacing))
    lobes = head.lobes[::step, ::step, ::step]
    other = (lobes > 0) & (lobes != label_of(spec.lobe, spec.side))
    away = ndimage.distance_transform_edt(~other) * (step * spacing)
    last = np.asarray(away.shape) - 1
    distance = away[tuple(np.minimum(np.rint(voxels / step).astype(int), last).T)]
    wanted = _RADIUS_MM * np.cbrt(spec.volume_ml)
    return np.asarray(distance >= min(wanted, np.quantile(distance, _INNERMOST)))


def _near(lobe: NDArray[np.bool_], head: Head) -> NDArray[np.bool_]:
    """Places within 6 mm of a lobe, to the nearest 3 mm."""
    spacing = head.grid.spacing_mm[0]
    step = max(1, round(_STEP_MM / spacing))
    cells = tuple(-(-n // step) for n in lobe.shape)
    coarse = np.zeros(cells, dtype=bool)
    coarse[tuple(np.argwhere(lobe).T // step)] = True
    near = ndimage.distance_transform_edt(~coarse) * step * spacing <= _BESIDE_MM
    index = [np.arange(n) // step for n in lobe.shape]
    return np.asarray(near[np.ix_(*index)])


def choose_centre(
    spec: LesionSpec, head: Head, taken: NDArray[np.bool_] | None = None
) -> tuple[int, int, int]:
    """Draw a cortical voxel of the wanted lobe and side.

    Args:
        spec: The lesion.
        head: The head.
        taken: Voxels that are not to be used, shape of the head. Where they leave nothing of
            the lobe, another lobe of that side is used.

    Raises:
        SettingsError: If the anatomy has no cortex there.
    """
    x = head.mm[0] if spec.side == "R" else -head.mm[0]
    usable = (head.parts == Part.CORTEX) & (x > _MIDLINE_MM) & (head.lobes > 0)
    wanted = usable & (head.lobes == label_of(spec.lobe, spec.side))
    if spec.beside:
        near = _near(usable & (head.lobes == label_of(spec.beside, spec.side)), head)
        wanted = wanted & near if (wanted & near).any() else wanted
    if taken is not None:
        wanted &= ~taken
        wanted = wanted if wanted.any() else usable & ~taken
    voxels = np.argwhere(wanted)
    if len(voxels) == 0:
        raise SettingsError(
            f"{spec.lobe} {spec.side}", "no cortex of this lobe and side in the anatomy",
            "a whole brain", "Leave this anatomy out of the folder.",
        )  # fmt: skip
    depth = sulcal_depth_mm(head, spec.side, voxels)
    rng = np.random.default_rng([spec.seed, 0])
    if rng.random() > _ANYWHERE:
        inner = _within_lobe(spec, head, voxels)
        voxels, depth = voxels[inner], depth[inner]
    if spec.at_bottom:
        voxels = voxels[_at_bottoms(voxels, depth, head.grid.spacing_mm[0])]
    else:
        voxels = voxels[depth <= np.quantile(depth, WALL_RANK)]
    x, y, z = (int(v) for v in voxels[int(rng.random() * len(voxels))])
    return (x, y, z)
