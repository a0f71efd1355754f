"""The transmantle track of FCD IIb: a tapering path from the lesion to the ventricle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.measure.geodesic import arrival

_START_MM, _END_MM = 3.0, 1.0
_LARGEST_SHARE = 0.3
_FARTHEST_MM = 60.0
_MARGIN_MM = 10.0
_LEAST_LENGTH_MM = 8.0
_SOFTEST, _FIRMEST = 0.05, 0.6


@dataclass(frozen=True, eq=False)
class Track:
    """A transmantle track.

    Args:
        vox: Its voxels, shape (n, 3).
        soft: Soft value of each in (0, 1), falling towards the ventricle; shape (n,), float32.
    """

    vox: NDArray[np.int64]
    soft: NDArray[np.float32]


def grow_track(host: Host, spec: LesionSpec) -> Track | None:
    """Grow the track of a spec.

    The path is the shortest one through white matter from the seed to a ventricle of its side;
    its radius tapers from 3 to 1 mm (synthesis notes, section 4.2).

    Args:
        host: The anatomy.
        spec: The lesion; the seed and its volume are read.

    Returns:
        The track, None when no ventricle is near or it would be more than 30 % of the mask.
        It lies in white matter but for cortex right at the seed.
    """
    spacing = np.asarray(host.grid.spacing_mm)
    here = host.right[spec.centre_vox]
    ventricle = host.ventricle_vox
    ventricle = ventricle[host.right[tuple(ventricle.T)] == here]
    if not len(ventricle):
        return None
    away = np.linalg.norm((ventricle - spec.centre_vox) * spacing, axis=1)
    target = ventricle[int(np.argmin(away))]
    if away.min() > _FARTHEST_MM:
        return None
    margin = np.ceil(_MARGIN_MM / spacing).astype(int)
    low = np.maximum(np.minimum(target, spec.centre_vox) - margin, 0)
    high = np.minimum(np.maximum(target, spec.centre_vox) + margin + 1, host.grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    side = host.right[box] == here
    path = _path(host, spec, box, side)
    if path is None:
        return None
    steps = np.linalg.norm(np.diff(path, axis=0) * spacing, axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] < _LEAST_LENGTH_MM:
        return None
    radius = _START_MM + (_END_MM - _START_MM) * along / along[-1]
    soft = _FIRMEST + (_SOFTEST - _FIRMEST) * along / along[-1]
    white = (host.tissue[box] == Tissue.WHITE_MATTER) & side & ~host.lesion[box]
    values = np.zeros(white.shape, dtype=np.float32)
    for point, reach, value in zip(path, radius, soft, strict=True):
        _stamp(values, point, reach, value, spacing)
    on_path = np.zeros(white.shape, dtype=bool)
    on_path[tuple(path.T)] = True
    allowed = white | (on_path & (host.tissue[box] == Tissue.CORTEX))
    values[~allowed] = 0
    # What the balls hold across a sheet of fluid touches the path's side by edges at most.
    pieces, _ = ndimage.label(values > 0)
    values[~np.isin(pieces, pieces[tuple(path.T)])] = 0
    inside = np.nonzero(values)
    if len(inside[0]) > _LARGEST_SHARE * spec.size_vox:
        return None
    return Track(np.stack(inside, axis=1) + low, values[inside])


def _path(
    host: Host, spec: LesionSpec, box: tuple[slice, ...], side: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """Voxels in the box from the seed to the last one before the ventricle, shape (n, 3)."""
    tissue = host.tissue[box]
    seed = tuple(int(c - s.start) for c, s in zip(spec.centre_vox, box, strict=True))
    grid = np.ogrid[tuple(slice(n) for n in tissue.shape)]
    squared = sum(((g - c) * mm) ** 2 for g, c, mm in zip(grid, seed, host.grid.spacing_mm,
                                                         strict=True))  # fmt: skip
    start = (tissue == Tissue.CORTEX) & (squared <= 8.0**2)
    white = tissue == Tissue.WHITE_MATTER
    ventricle = tissue == Tissue.VENTRICLE
    domain = (white | start | ventricle) & side & ~host.lesion[box]
    front = arrival(domain, np.where(start, 3.0, 1.0), host.grid.spacing_mm,
                    (seed[0], seed[1], seed[2]))  # fmt: skip
    times = np.where(ventricle, front.time, math.inf)
    best = int(np.argmin(times))
    if not math.isfinite(times.ravel()[best]):
        return None
    x, y, z = (int(v) for v in np.unravel_index(best, tissue.shape))
    return front.path((x, y, z))[:-1]


def _stamp(
    values: NDArray[np.float32],
    point: NDArray[np.int64],
    reach_mm: float,
    value: float,
    spacing: NDArray[np.float64],
) -> None:
    """Raise the voxels of a ball around a point to a value, in place; the point always counts."""
    reach = np.floor(reach_mm / spacing).astype(int)
    low = np.maximum(point - reach, 0)
    high = np.minimum(point + reach + 1, values.shape)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    offsets = np.ogrid[part]
    squared = sum(((o - c) * mm) ** 2 for o, c, mm in zip(offsets, point, spacing, strict=True))
    view = values[part]
    view[squared <= reach_mm**2] = np.maximum(view[squared <= reach_mm**2], value)
