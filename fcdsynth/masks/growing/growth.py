"""Geodesic growth: a front from the seed through ribbon and juxtacortical white matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.field import gaussian_field
from fcdsynth.masks.growing.track import Track, grow_track
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.measure.geodesic import Arrival, arrival

_SHEET_MM = 5.0
_MARGIN_MM = 5.0
_LEAST_SOFT = 0.01
# Beyond this the front is no longer limited: the mask is larger than a lobe.
_FARTHEST_MM = 120.0

Box = tuple[slice, slice, slice]


class NoRoom(Exception):
    """The seed's piece of cortex holds fewer voxels than the mask needs."""


@dataclass(frozen=True, eq=False)
class Grown:
    """A grown mask.

    Args:
        mask: The mask, exactly ``size_vox`` voxels, track included; shape (x, y, z).
        soft: 1 at the seed falling to 0.01 at the front, 0 outside; float32.
        track: The transmantle track's voxels, a part of the mask; all False without one.
        box: The smallest box that holds the mask.
    """

    mask: NDArray[np.bool_]
    soft: NDArray[np.float32]
    track: NDArray[np.bool_]
    box: Box


def grow(host: Host, spec: LesionSpec) -> Grown:
    """Execute a spec.

    The front's arrival time T solves a shortest-path problem with cost per mm
    c exp(s g): c is 1 in cortex and ``white_cost`` in white matter, g a smooth Gaussian field.
    CSF and everything else is forbidden, the front stays in the seed's hemisphere, and it does
    not step between cortex voxels whose nearest white matter lies in opposite directions: those
    are two banks of a sulcus whose CSF the labels do not show. The first ``size_vox`` voxels by
    T are the mask.

    Args:
        host: The anatomy.
        spec: What to grow.

    Raises:
        NoRoom: If the front cannot reach ``size_vox`` voxels.
    """
    seed = spec.centre_vox
    track = grow_track(host, spec) if spec.track else None
    need = spec.size_vox - (0 if track is None else len(track.vox))
    reach_mm = 1.3 * math.sqrt(spec.volume_ml * 1000 / _SHEET_MM / math.pi) + _MARGIN_MM
    limit = reach_mm
    while True:
        box = _box_around(host, seed, reach_mm)
        time = _spread(host, spec, box, limit).time
        order = np.flatnonzero(np.isfinite(time))
        if track is not None:
            order = order[~_is_track(track, box).ravel()[order]]
        leaves = _first_at_face(time, box, host.grid.shape)
        if len(order) >= need:
            order = order[np.argsort(time.ravel()[order], kind="stable")][:need]
            # Times in the box are exact before the front first comes to an open face of it.
            if time.ravel()[order[-1]] < leaves:
                break
        elif math.isinf(limit) and math.isinf(leaves):
            raise NoRoom(f"{len(order)} voxels within reach, {need} wanted")
        reach_mm *= 1.5
        limit = limit * 1.5 if reach_mm < _FARTHEST_MM else math.inf
    return _paint(host, box, time, order, track)


def _is_track(track: Track, box: Box) -> NDArray[np.bool_]:
    """Track voxels within a box, in its shape."""
    first = np.array([s.start for s in box])
    shape = tuple(s.stop - s.start for s in box)
    local = track.vox - first
    local = local[((local >= 0) & (local < shape)).all(axis=1)]
    inside = np.zeros(shape, dtype=bool)
    inside[tuple(local.T)] = True
    return inside


def _early(time: NDArray[np.float64], box: Box, track: Track, last: float) -> NDArray[np.float32]:
    """Soft values that the front itself gives to the track's voxels, 0 where it did not come."""
    values = np.zeros(len(track.vox), dtype=np.float32)
    local = track.vox - np.array([s.start for s in box])
    inside = ((local >= 0) & (local < time.shape)).all(axis=1)
    values[inside] = np.clip(1 - time[tuple(local[inside].T)] / max(last, 1e-9), 0, 1)
    return values


def _paint(
    host: Host,
    box: Box,
    time: NDArray[np.float64],
    order: NDArray[np.int64],
    track: Track | None,
) -> Grown:
    """Mask and soft map on the host's grid from the box's flat indices, in order of arrival."""
    mask = np.zeros(host.grid.shape, dtype=bool)
    soft = np.zeros(host.grid.shape, dtype=np.float32)
    trail = np.zeros(host.grid.shape, dtype=bool)
    where = tuple(
        v + s.start for v, s in zip(np.unravel_index(order, time.shape), box, strict=True)
    )
    mask[where] = True
    times = time.ravel()[order]
    soft[where] = np.clip(1 - times / max(float(times[-1]), 1e-9), _LEAST_SOFT, 1)
    points = np.stack(where)
    if track is not None:
        on_track = tuple(track.vox.T)
        trail[on_track] = mask[on_track] = True
        soft[on_track] = np.maximum(track.soft, _early(time, box, track, float(times[-1])))
        points = np.concatenate([points, track.vox.T], axis=1)
    low, high = points.min(axis=1), points.max(axis=1) + 1
    tight = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return Grown(mask, soft, trail, (tight[0], tight[1], tight[2]))


def grow_domain(host: Host, spec: LesionSpec, box: Box) -> NDArray[np.bool_]:
    """Voxels the front may enter, within a box: ribbon and near white matter of one side."""
    tissue = host.tissue[box]
    near = (tissue == Tissue.WHITE_MATTER) & (host.cortex_mm[box] <= spec.growth.juxtacortical_mm)
    side = host.right[box] == host.right[spec.centre_vox]
    return np.asarray(((tissue == Tissue.CORTEX) | near) & side & ~host.lesion[box])


def _spread(host: Host, spec: LesionSpec, box: Box, limit: float) -> Arrival:
    growth, spacing = spec.growth, host.grid.spacing_mm
    seed = tuple(c - s.start for c, s in zip(spec.centre_vox, box, strict=True))
    domain = grow_domain(host, spec, box)
    first = tuple(-c * mm for c, mm in zip(seed, spacing, strict=True))
    wave = gaussian_field(
        spec.seed, (first[0], first[1], first[2]), domain.shape, spacing, growth.correlation_mm
    )
    tissue_cost = np.where(host.tissue[box] == Tissue.CORTEX, 1.0, growth.white_cost)
    cost = tissue_cost * np.exp(growth.roughness * wave)
    heading = host.heading[(slice(None), *box)].astype(np.float32)
    return arrival(domain, cost, spacing, (seed[0], seed[1], seed[2]), heading, limit=limit)


def _box_around(host: Host, seed: tuple[int, int, int], reach_mm: float) -> Box:
    sides = []
    for centre, size, mm in zip(seed, host.grid.shape, host.grid.spacing_mm, strict=True):
        reach = math.ceil(reach_mm / mm)
        sides.append(slice(max(0, centre - reach), min(size, centre + reach + 1)))
    return sides[0], sides[1], sides[2]


def _first_at_face(time: NDArray[np.float64], box: Box, shape: tuple[int, int, int]) -> float:
    first = math.inf
    for axis in range(3):
        for end, is_open in ((0, box[axis].start > 0), (-1, box[axis].stop < shape[axis])):
            if is_open:
                first = min(first, float(np.take(time, end, axis=axis).min()))
    return first
