"""Transmantle band: a tapering, fading track from a lesion to the ventricle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.surroundings import Surroundings

_SHORTEST_MM = 4.0
_RADIUS_MM = (3.2, 1.0)
_STRENGTH = (0.95, 0.20)


def transmantle(lesion: NDArray[np.bool_], near: Surroundings) -> NDArray[np.float32]:
    """Share of each voxel that the band takes, 0 everywhere without a ventricle in the box.

    Args:
        lesion: The lesion, shape of the box.
        near: Its surroundings.
    """
    band = np.zeros(lesion.shape, dtype=np.float32)
    ventricle = np.argwhere(near.parts == Part.VENTRICLE)
    if len(ventricle) == 0 or not lesion.any():
        return band

    start_points = near.grid.to_mm(np.argwhere(lesion))
    wall = near.grid.to_mm(ventricle)
    end = wall[np.argmin(np.linalg.norm(wall - start_points.mean(axis=0), axis=1))]
    start = start_points[np.argmin(np.linalg.norm(start_points - end, axis=1))]
    length = float(np.linalg.norm(end - start))
    if length < _SHORTEST_MM:
        return band
    along = (end - start) / length
    shift = start - np.asarray(near.centre_mm)
    offset = [(o - s).astype(np.float32) for o, s in zip(near.offset_mm, shift, strict=True)]
    t = sum(o * np.float32(a) for o, a in zip(offset, along, strict=True))
    across = np.sqrt(np.maximum(sum(o**2 for o in offset) - t**2, 0))
    part = np.clip(t / length, 0, 1)
    radius = _RADIUS_MM[0] + (_RADIUS_MM[1] - _RADIUS_MM[0]) * part
    inside = np.clip(1.5 - across / radius, 0, 1) * ((t > -3) & (t < length))
    strength = _STRENGTH[0] + (_STRENGTH[1] - _STRENGTH[0]) * part
    return np.asarray(inside * strength * near.free, np.float32)
