"""Relative depth in the cortical ribbon, from the pial to the white matter side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume

# Grey nuclei and ventricles lie on the inner side of the cortex, the tentorium on the outer one.
_INNER = (Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.VENTRICLE)
_OUTER = (Tissue.BACKGROUND, Tissue.CSF, Tissue.INFRATENTORIAL)
_OPPOSED = -0.5  # cosine at which two ways to white matter belong to two banks of a sulcus
_ON_THE_WAY = (0.2, 0.35, 0.5, 0.65, 0.8)
_LEAST = 0.01
_MARGIN_MM = 12.0  # around the cortex, beyond any ribbon's thickness

Array = NDArray[np.float32]


def _labelled(labels: NDArray[np.integer], kinds: tuple[Tissue, ...]) -> NDArray[np.bool_]:
    lookup = np.zeros(max(Tissue) + 1, dtype=bool)
    lookup[list(kinds)] = True
    return np.asarray(lookup[labels])


def _nearest(source: NDArray[np.bool_], spacing: Array) -> tuple[Array, NDArray[np.int32]]:
    """Distance in mm to the nearest source voxel, and that voxel's index, (3, x, y, z)."""
    if not source.any():
        return np.full(source.shape, np.inf, np.float32), np.zeros((3, *source.shape), np.int32)
    index = ndimage.distance_transform_edt(
        ~source, sampling=spacing, return_distances=False, return_indices=True
    )
    squares = np.zeros(source.shape, dtype=np.float32)
    for axis in range(3):
        own = np.arange(source.shape[axis], dtype=np.int32)
        own = own.reshape([-1 if a == axis else 1 for a in range(3)])
        squares += ((index[axis] - own) * spacing[axis]) ** 2
    return np.sqrt(squares), index


def _crosses(
    outer: NDArray[np.bool_], start: NDArray[np.int64], end: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether the straight way between voxels, both (3, n), meets what lies outside."""
    crossed = np.zeros(start.shape[1], dtype=bool)
    for share in _ON_THE_WAY:
        crossed |= outer[tuple(np.rint(start + share * (end - start)).astype(np.int64))]
    return crossed


def _touching(
    cortex: NDArray[np.bool_],
    outer: NDArray[np.bool_],
    inward: Array,
    white: NDArray[np.int32],
    spacing: Array,
) -> Array:
    """How far in mm each cortex voxel lies from the line where two banks touch.

    Two neighbours whose ways to white matter are opposed lie on two banks. The line between
    them is where both banks have the same thickness, which places it between voxel centres.
    A way that crosses fluid leads to the other bank of an open sulcus and says nothing.
    Infinite where a voxel has no such neighbour.
    """
    gap = np.full(cortex.shape, np.inf, dtype=np.float32)
    for axis in range(3):
        step = float(spacing[axis])
        pairs = np.logical_and(cortex, np.roll(cortex, -1, axis))  # the rim is never cortex
        both = np.stack(np.nonzero(pairs))
        other = both + np.eye(3, dtype=int)[:, axis, None]
        here = (white[:, *both] - both) * spacing[:, None]
        there = (white[:, *other] - other) * spacing[:, None]
        length = inward[*both] * inward[*other]
        opposed = np.flatnonzero((here * there).sum(axis=0) < _OPPOSED * length)
        for ends in (both, other):
            start = ends[:, opposed]
            opposed = opposed[~_crosses(outer, start, white[:, *start])]
        both, other = both[:, opposed], other[:, opposed]
        to_line = np.clip((step + inward[*other] - inward[*both]) / 2, 0, step)
        np.minimum.at(gap, tuple(both), to_line)
        np.minimum.at(gap, tuple(other), step - to_line)
    return gap


def ribbon_depth(tissue: Volume) -> NDArray[np.float32]:
    """Relative depth of cortex voxels between pia and white matter.

    The share d_pial / (d_pial + d_white) of the two distances. At voxels of 1 to 2 mm the
    ribbon is two or three voxels thick, too few for an equivolumetric correction to mean
    anything, and Laplace's equation would need a closed pial boundary, which label maps lack
    where the banks of a sulcus touch. There the pial surface is put on the line on which the
    ways to white matter turn round, midway by the distance from white matter alone (as in
    projection-based thickness, Dahnke et al., NeuroImage 2013): depth is symmetric about it.

    Cortex that borders deep grey matter or a ventricle borders its inner side; brainstem and
    cerebellum, behind the tentorium, count as outside.

    Args:
        tissue: Labels of `fcdsynth.core.tissue`.

    Returns:
        Shape (x, y, z): above 0 (pial side) to 1 (white matter side) in cortex, 0 elsewhere.
    """
    spacing = np.asarray(tissue.grid.spacing_mm, dtype=np.float32)
    whole = np.pad(tissue.array, 1, constant_values=Tissue.BACKGROUND)
    depth = np.zeros(whole.shape, dtype=np.float32)
    core = (slice(1, -1),) * 3
    where = np.nonzero(whole == Tissue.CORTEX)
    if not where[0].size:
        return depth[core]
    margin = np.ceil(_MARGIN_MM / spacing).astype(int)
    box = tuple(
        slice(max(int(i.min() - n), 0), int(i.max() + n) + 1)
        for i, n in zip(where, margin, strict=True)
    )
    labels = whole[box]
    cortex = labels == Tissue.CORTEX
    half = float(np.prod(spacing)) ** (1 / 3) / 2  # from a voxel's centre to its face
    inward, white = _nearest(_labelled(labels, _INNER), spacing)
    outer = _labelled(labels, _OUTER)
    outward, _ = _nearest(outer, spacing)
    outward = np.maximum(outward - half, half / 2)
    if np.isfinite(inward).all():
        gap = _touching(cortex, outer, inward, white, spacing)
        line = np.isfinite(gap)
        away, nearest = _nearest(line, spacing)
        outward = np.minimum(outward, away + gap[tuple(nearest)]) if line.any() else outward
    inward = np.maximum(inward - half, half / 2)
    share = np.ones_like(outward)
    np.divide(outward, outward + inward, out=share, where=np.isfinite(outward))
    share = np.where(np.isfinite(inward), share, _LEAST)
    depth[box] = np.where(cortex, np.clip(share, _LEAST, 1.0), 0.0)
    return depth[core]
