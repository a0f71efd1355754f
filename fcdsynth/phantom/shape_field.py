"""Shape law ``field``: a smooth random field cut under an envelope, on one bank of a fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.level import around_centre
from fcdsynth.phantom.surroundings import Surroundings

_BELOW_MM = 1.5  # depth below the cortex that counts as much as one width of the envelope


def shape(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    """Voxels of a lesion in its surroundings.

    A random field plus a Gaussian envelope (axes stretched at random) is cut at the level that
    gives the wanted volume within the cortex and the white matter next to it; cortex is
    preferred.
    """
    rng = np.random.default_rng([spec.seed, 1])
    stretch = np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)
    squared = sum((o / s) ** 2 for o, s in zip(near.offset_mm, stretch, strict=True))
    sigma = 4.0 * np.cbrt(spec.volume_ml)
    knot = float(np.clip(2.6 * np.cbrt(spec.volume_ml), 2.5, 7.0))
    score = spec.roughness * near.field((spec.seed, 2), knot) - squared / (2 * sigma**2)
    score = score - (near.below_mm / _BELOW_MM) ** 2 / 2
    cosine = np.tensordot(near.direction(), near.normal, axes=1)
    wanted = spec.volume_ml / near.grid.voxel_ml
    # A large lesion does not fit on one bank: the limit is eased until it does.
    for limit in (-0.2, -0.6, -2.0):
        domain = near.ribbon & (cosine > limit)
        lesion = around_centre(score.astype(np.float32), domain, near.centre, wanted, near.grid)
        if lesion.sum() >= 0.85 * wanted:
            break
    return np.asarray(ndimage.binary_closing(lesion) & near.ribbon | lesion)
