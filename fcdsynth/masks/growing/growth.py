"""Geodesic growth: a front with a random, smooth relief of costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.frame import frame_at
from fcdsynth.masks.growing.field import gaussian_field
from fcdsynth.masks.growing.front import Box, Cost, Front, advance, squared_mm
from fcdsynth.masks.growing.grown import LEAST_SOFT, Grown, soft_of
from fcdsynth.masks.growing.smooth import smooth
from fcdsynth.masks.growing.track import Track, grow_track
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec

_STEEPEST = 8.0  # largest exponent of the cost; more would only lose precision
_FILL = 0.5  # share of the ball that counts as one radius of compactness


def grow(host: Host, spec: LesionSpec) -> Grown:
    """Execute a spec.

    The front's arrival time solves a shortest-path problem with cost per mm
    c exp(s g + k (r / R)^2): c is 1 in cortex and ``white_cost`` in white matter, g a smooth
    Gaussian field of unit variance and s its ``roughness``; r is the straight distance from the
    seed, R the radius of the ball that holds twice the volume, k the ``compactness``. Lengths
    are measured after a stretch in the frame of the cortex at the seed (``along``, ``inward``).
    The first voxels by arrival are the mask; see `fcdsynth.masks.growing.front.advance` for where
    the front may go. Where ``smoothing_mm`` is above 0 its outline is smoothed, see
    `fcdsynth.masks.growing.smooth`; voxels so gained have the least soft value.

    Args:
        host: The anatomy.
        spec: What to grow.

    Raises:
        NoRoom: If the front cannot reach ``size_vox`` voxels.
    """
    track = grow_track(host, spec) if spec.track else None
    need = spec.size_vox - (0 if track is None else len(track.vox))
    front = advance(
        host, spec.centre_vox, need, cost_of(host, spec), spec.growth.juxtacortical_mm,
        stretch_of(host, spec), None if track is None else track.vox,
    )  # fmt: skip
    vox, soft = _outline(host, spec, front, track)
    if track is None:
        return Grown(vox, soft, np.zeros(len(soft), dtype=bool))
    # Where the front came to the track early, its own value counts.
    early = 1 - front.taken_time / max(float(front.time[-1]), 1e-9)
    on_track = np.maximum(track.soft, early.clip(0, 1)).astype(np.float32)
    return Grown(
        np.concatenate([vox, track.vox]),
        np.concatenate([soft, on_track]),
        np.repeat([False, True], [len(soft), len(on_track)]),
    )


def _outline(
    host: Host, spec: LesionSpec, front: Front, track: Track | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Voxels of the mask without its track, and their soft values."""
    soft = soft_of(front.time)
    if spec.growth.smoothing_mm == 0:
        return front.vox, soft
    taken = np.empty((0, 3), dtype=np.int64) if track is None else track.vox
    vox = smooth(host, spec, front.vox, taken, front.taken_time <= front.time[-1])
    shape = host.grid.shape
    number = np.ravel_multi_index(tuple(front.vox.T), shape)
    order = np.argsort(number)
    wanted = np.ravel_multi_index(tuple(vox.T), shape)
    at = order[np.minimum(np.searchsorted(number[order], wanted), len(order) - 1)]
    return vox, np.where(number[at] == wanted, soft[at], np.float32(LEAST_SOFT))


def cost_of(host: Host, spec: LesionSpec) -> Cost:
    """The cost per mm of a spec's front, see `grow`."""
    growth, spacing = spec.growth, host.grid.spacing_mm
    stretch = stretch_of(host, spec)
    radius2 = (3 * spec.volume_ml * 1000 / _FILL / (4 * np.pi)) ** (2 / 3)

    def cost(box: Box) -> NDArray[np.float32]:
        shape = tuple(s.stop - s.start for s in box)
        x, y, z = (
            (s.start - c) * mm for s, c, mm in zip(box, spec.centre_vox, spacing, strict=True)
        )
        relief = growth.roughness * gaussian_field(
            spec.seed, (x, y, z), shape, spacing, growth.correlation_mm
        )
        if growth.compactness:
            away = squared_mm(box, spec.centre_vox, spacing, stretch)
            relief = relief + np.float32(growth.compactness / radius2) * away
        white = host.tissue[box] == Tissue.WHITE_MATTER
        tissue = np.where(white, np.float32(growth.white_cost), np.float32(1))
        return np.asarray(tissue * np.exp(np.minimum(relief, np.float32(_STEEPEST))))

    return cost


def stretch_of(host: Host, spec: LesionSpec) -> NDArray[np.float64] | None:
    """Matrix (3, 3) for steps in mm along the array axes, of determinant 1; None without stretch.

    It shortens what leads along the fold, inward or across it, as the settings say, in the frame
    of the cortex at the seed.
    """
    along, inward = spec.growth.along, spec.growth.inward
    if not (along or inward):
        return None
    directions = host.grid.matrix[:3, :3] / np.asarray(host.grid.spacing_mm)
    frame = frame_at(host, spec.centre_vox)
    return np.asarray(np.diag(np.exp([-inward, -along, inward + along])) @ frame.T @ directions)
