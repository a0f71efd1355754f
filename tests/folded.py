"""A folded head made in code: two hemispheres with parallel sulci, cortex, ventricles and CSF.

Its hull is a known ellipsoid, so depths can be told without the code under test.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.measure.lobes import RIGHT, lobe_index
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.parts import Part

AXES_MM = (64.0, 80.0, 58.0)
CORTEX_MM = 2.8
PERIOD_MM = 18.0
MIDDLE_MM = np.array([0.0, -15.0, 20.0])


def radius_of(mm: np.ndarray) -> np.ndarray:
    """Radius relative to the hull's ellipsoid of points of shape (3, ...)."""
    parts = [(mm[i] - MIDDLE_MM[i]) / AXES_MM[i] for i in range(3)]
    return np.sqrt(sum(p**2 for p in parts))


@functools.lru_cache(maxsize=2)
def folded_head(spacing_mm: float = 1.5) -> Head:
    """The head; world and canonical space are the same."""
    lower, upper = MIDDLE_MM - np.array(AXES_MM) - 12, MIDDLE_MM + np.array(AXES_MM) + 12
    grid = Grid.covering(lower, upper, spacing_mm)
    axes = [grid.matrix[i, 3] + spacing_mm * np.arange(n) for i, n in enumerate(grid.shape)]
    mm = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    x, y, z = mm
    radius = radius_of(mm)
    wave = np.sin(2 * np.pi * (y + 0.25 * np.abs(x) + 3 * np.sin(z / 14)) / PERIOD_MM)
    white = (radius < 0.79 + 0.13 * np.tanh(2.5 * wave)) & (np.abs(x) > 4)
    near = ndimage.distance_transform_edt(~white) * spacing_mm <= CORTEX_MM
    parts = np.full(grid.shape, Part.AIR, np.uint8)
    parts[radius < 1.06] = Part.CSF
    parts[near & (np.abs(x) > 1)] = Part.CORTEX
    parts[white] = Part.WHITE
    core = np.sqrt(((np.abs(x) - 14) / 9) ** 2 + ((y + 10) / 24) ** 2 + ((z - 18) / 9) ** 2)
    parts[core < 1] = Part.VENTRICLE
    inside = np.isin(parts, [Part.CORTEX, Part.WHITE])
    lobes = np.zeros(grid.shape, np.uint8)
    points = mm[:, inside].T
    lobes[inside] = lobe_index(points) + 1 + RIGHT * (points[:, 0] > 0)
    return Head(grid, parts, lobes, mm, 1.0)
