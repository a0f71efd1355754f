"""Outlines in the wrong place: along the cortex, on the other side, of another patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesion import Lesion
from fcdsynth.phantom.parts import CEREBRAL, Part
from fcdsynth.phantom.patch import Patch
from fcdsynth.phantom.pose import axes_of
from fcdsynth.phantom.surroundings import crop

_NEAREST = 40  # cortical voxels of about the right distance to choose among
_SNAP_MM = 15.0
_MARGIN_MM = 4.0
_FIT_STEP_MM = 8.0


def along_cortex(lesion: Lesion, amount_mm: float, seed: int) -> NDArray[np.float64]:
    """A shift of given length towards cortex that lies as far from the lesion's centre.

    Returns:
        Shift in mm (R, A, S).
    """
    voxels = np.argwhere(lesion.free & (lesion.parts == Part.CORTEX))
    steps = (voxels - np.asarray(lesion.centre)) * lesion.grid.spacing_mm[0]
    length = np.linalg.norm(steps, axis=1)
    nearest = np.argsort(np.abs(length - amount_mm), kind="stable")[:_NEAREST]
    nearest = nearest[length[nearest] > 0]
    rng = np.random.default_rng([seed, 3])
    chosen = steps[nearest[int(rng.random() * len(nearest))]]
    return np.asarray(chosen / np.linalg.norm(chosen) * amount_mm)


def _reflection(head: Head) -> NDArray[np.float64]:
    """3 x 3 matrix that mirrors directions of the world through the mid-plane of a head.

    From an affine fit of the world to canonical space, without the local warp: a mask that is
    mirrored keeps its size.
    """
    step = max(1, round(_FIT_STEP_MM / head.grid.spacing_mm[0]))
    every = (slice(None, None, step),) * 3
    voxels = np.stack(np.meshgrid(*[np.arange(n)[::step] for n in head.parts.shape],
                                  indexing="ij"), -1).reshape(-1, 3)  # fmt: skip
    inside = np.isin(head.parts[every].ravel(), CEREBRAL)
    canonical = head.mm[(slice(None), *every)].reshape(3, -1).T[inside].astype(float)
    design = np.column_stack([canonical, np.ones(len(canonical))])
    fit, *_ = np.linalg.lstsq(design, head.grid.to_mm(voxels[inside]), rcond=None)
    to_world = fit[:3].T
    return np.asarray(to_world @ np.diag([-1.0, 1.0, 1.0]) @ np.linalg.inv(to_world))


def other_side(patch: Patch, lesion: Lesion, head: Head) -> Patch:
    """An outline mirrored through the mid-plane and snapped to the cortex there.

    The voxel that the lesion was grown around is mirrored in canonical space; the mirrored
    outline is hung up at the nearest cortex of the other side.

    Args:
        patch: The outline.
        lesion: The lesion that was outlined.
        head: Their head.
    """
    start = np.array([s.start for s in lesion.box])
    own = head.mm[(slice(None), *(start + lesion.centre))].astype(float)
    mirrored = own * [-1, 1, 1]
    right = mirrored[0] > 0
    near = np.abs(head.mm[0] - mirrored[0]) < _SNAP_MM
    for axis in (1, 2):
        near &= np.abs(head.mm[axis] - mirrored[axis]) < _SNAP_MM
    near &= (head.mm[0] > 0) == right
    cortex = np.argwhere(near & (head.parts == Part.CORTEX))
    cortex = cortex if len(cortex) else np.argwhere(near)
    points = head.mm[(slice(None), *cortex.T)].T
    best = cortex[np.argmin(np.linalg.norm(points - mirrored, axis=1))]
    target = (int(best[0]), int(best[1]), int(best[2]))

    drawn = np.argwhere(patch.share > 0.1)
    size = np.abs(drawn - np.asarray(lesion.centre)).max() * patch.grid.spacing_mm[0]
    box, grid = crop(head.grid, target, 1.15 * size + _MARGIN_MM)
    world = np.stack(np.meshgrid(*axes_of(grid), indexing="ij"), -1).reshape(-1, 3)
    from_target = (world - head.grid.to_mm(target)) @ _reflection(head).T
    index = patch.grid.to_vox(from_target + patch.grid.to_mm(lesion.centre))
    share = ndimage.map_coordinates(patch.share, index.T, order=1)
    half = head.mm[(0, *box)] > 0
    share = np.where(half == right, share.reshape(grid.shape), 0)
    return Patch(grid, share.astype(np.float32))
