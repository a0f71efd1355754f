"""Shape law ``funnel``: a superellipsoid across a fold that narrows towards the white matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.level import around_centre
from fcdsynth.phantom.surroundings import Surroundings

_BELOW_MM = 6.0  # how deep below the cortex the tip may reach
_AXIS_WITHIN_MM = 9.0


def fold_axis(near: Surroundings, normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Direction along the fold: where the cortex's normals around the centre vary least."""
    around = near.cortex & (near.radius_mm < _AXIS_WITHIN_MM)
    normals = near.normal[:, around]
    across = normals - np.outer(normal, normal @ normals)
    _, vectors = np.linalg.eigh(across @ across.T + 1e6 * np.outer(normal, normal))
    return np.asarray(vectors[:, 0], np.float32)


def shape(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    """Voxels of a lesion in its surroundings.

    The body stands on the fold: its long axis along it, its width across, its depth along the
    mean normal. Towards the white matter it narrows to a tip, as a wedge under a sulcus does.
    What of it lies in cortex or at most 6 mm below is lesion.
    """
    rng = np.random.default_rng([spec.seed, 1])
    normal = near.direction(6.0)
    if not normal.any():
        normal = np.array([0, 0, -1], np.float32)
    along = fold_axis(near, normal)
    width = np.cross(normal, along)
    length, power = rng.uniform(1.2, 2.2), rng.uniform(1.7, 3.2)
    up, down = rng.uniform(1.0, 1.6), rng.uniform(0.5, 0.9)  # reach to the pia, to the tip
    tilt = rng.normal(0, 0.15, 2)
    x, y, z = near.offset_mm
    t = normal[0] * x + normal[1] * y + normal[2] * z
    u = along[0] * x + along[1] * y + along[2] * z - tilt[0] * t
    v = width[0] * x + width[1] * y + width[2] * z - tilt[1] * t
    scale = 6.0 * np.cbrt(spec.volume_ml)
    # Half as wide at the tip; on the side of the pia the body keeps its width.
    narrow = np.clip(1 - 0.5 * t / (down * scale), 0.35, 1.0)
    depth = np.where(t > 0, down, up)
    body = (np.abs(u / (length * narrow)) ** power + np.abs(v / narrow) ** power
            + np.abs(t / depth) ** power) ** (1 / power)  # fmt: skip
    knot = float(np.clip(2.0 * np.cbrt(spec.volume_ml), 2.5, 6.0))
    ripple = 0.12 * spec.roughness * near.field((spec.seed, 2), knot)
    score = np.asarray(-body / scale + ripple, np.float32)
    domain = near.free & (near.border_mm <= _BELOW_MM)
    wanted = spec.volume_ml / near.grid.voxel_ml
    lesion = around_centre(score, domain, near.centre, wanted, near.grid)
    return np.asarray(ndimage.binary_closing(lesion) & domain | lesion)
