"""Shape law ``rebel``: lesions that break what stage 1 takes for granted.

``across`` lies on both banks of a sulcus with CSF between them, ``patchy`` is several islands,
``deep`` is mostly white matter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.level import around_centre, top_voxels
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.surroundings import Surroundings

_OTHER_BANK = 0.4  # share of the volume on the other bank
_DEEP_MM = (0.7, 12.0)  # depth below the cortex of a deep lesion
_IN_WHITE = 0.85
_GAP_MM = 3.0  # between islands
_SEARCH_MM = 15.0  # how far from the centre two facing banks are looked for
_TRIES = 4
_GULF_MM = 9.0  # from one bank to the other at most


def _score(spec: LesionSpec, near: Surroundings, centre_mm: NDArray[np.float32],
           width_mm: float) -> NDArray[np.float32]:  # fmt: skip
    """A Gaussian envelope around a point (relative to the centre) with a random field."""
    squared = sum((o - c) ** 2 for o, c in zip(near.offset_mm, centre_mm, strict=True))
    knot = float(np.clip(2.6 * np.cbrt(spec.volume_ml), 2.5, 7.0))
    ripple = 0.6 * spec.roughness * near.field((spec.seed, 2), knot)
    return np.asarray(ripple - squared / (2 * width_mm**2), np.float32)


def _best(score: NDArray[np.float32], domain: NDArray[np.bool_]) -> tuple[int, int, int]:
    x, y, z = np.unravel_index(np.argmax(np.where(domain, score, -np.inf)), domain.shape)
    return (int(x), int(y), int(z))


def _facing(near: Surroundings) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """The cortex nearest to the centre that faces other cortex across CSF, and what it faces."""
    voxels = np.argwhere(near.cortex & (near.radius_mm < _SEARCH_MM))
    order = np.argsort(near.radius_mm[tuple(voxels.T)], kind="stable")
    voxels = voxels[order]
    outwards = -near.normal[(slice(None), *voxels.T)].T
    hit = np.zeros(len(voxels), bool)
    opposite = voxels.copy()
    in_gap = np.zeros(len(voxels), bool)
    for reach_mm in np.arange(1.0, _GULF_MM, 0.5):
        at = np.rint(voxels + outwards * reach_mm / near.spacing_mm).astype(int)
        at = np.clip(at, 0, np.asarray(near.parts.shape) - 1)
        in_gap |= near.parts[tuple(at.T)] == Part.CSF
        new = in_gap & ~hit & near.cortex[tuple(at.T)]
        opposite[new] = at[new]
        hit |= new
    if not hit.any():
        return None
    first = int(np.argmax(hit))
    a, b = (tuple(int(v) for v in of[first]) for of in (voxels, opposite))
    return a, b  # type: ignore[return-value]


def _across(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    wanted = spec.volume_ml / near.grid.voxel_ml
    found = _facing(near)
    start, opposite = found or (near.centre, None)
    at = near.grid.to_mm(start) - np.asarray(near.centre_mm)
    score = _score(spec, near, at.astype(np.float32), 4.0 * float(np.cbrt(spec.volume_ml)))
    cosine = np.tensordot(near.normal[(slice(None), *start)], near.normal, axes=1)
    banks = near.ribbon & (cosine > 0.2), near.ribbon & (cosine < -0.2)
    if opposite is None:
        return around_centre(score, banks[0], start, wanted, near.grid)
    for _ in range(_TRIES):
        far = around_centre(score, banks[1], opposite, _OTHER_BANK * wanted, near.grid)
        own = around_centre(score, banks[0] & ~far, start, wanted - far.sum(), near.grid)
        # Where the banks meet at the bottom of the sulcus, the cortex would join them.
        touch = own & ndimage.binary_dilation(far, np.ones((3, 3, 3)))
        if not touch.any():
            break
        away = ndimage.distance_transform_edt(~touch) * near.spacing_mm > _GAP_MM
        banks = banks[0] & away, banks[1] & away
    return far | own


def _patchy(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    rng = np.random.default_rng([spec.seed, 1])
    n_islands = int(rng.integers(3, 6))
    shares = rng.dirichlet(np.full(n_islands, 4.0))
    lesion = np.zeros(near.free.shape, bool)
    reach = 7.0 * float(np.cbrt(spec.volume_ml)) + 4.0
    candidates = np.argwhere(near.cortex & (near.radius_mm < reach))
    order = rng.random(64)
    centre = near.centre
    axes = near.axes
    for share in np.sort(shares)[::-1]:
        open_mm = ndimage.distance_transform_edt(~lesion) * near.spacing_mm
        domain = near.ribbon & (open_mm > _GAP_MM)
        if lesion.any():
            left = candidates[open_mm[tuple(candidates.T)] > 1.5 * _GAP_MM]
            if len(left) == 0:
                break
            chosen = left[int(order[0] * len(left))]
            order = np.roll(order, -1)
            centre = (int(chosen[0]), int(chosen[1]), int(chosen[2]))
        at = np.array([a[i] for a, i in zip(axes, centre, strict=True)], np.float32)
        at -= np.asarray(near.centre_mm, np.float32)
        volume = share * spec.volume_ml
        score = _score(spec, near, at, 4.0 * float(np.cbrt(volume)))
        lesion |= around_centre(score, domain, centre, volume / near.grid.voxel_ml, near.grid)
    return lesion


def _deep(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    normal = near.direction(6.0)
    wanted = spec.volume_ml / near.grid.voxel_ml
    radius = 6.2 * float(np.cbrt(spec.volume_ml))
    score = _score(spec, near, normal * (0.6 * radius + 1.0), 0.7 * radius)
    low, high = _DEEP_MM
    white = near.free & (near.border_mm > low) & (near.border_mm <= max(high, radius))
    if not white.any():
        return around_centre(score, near.ribbon, near.centre, wanted, near.grid)
    lesion = around_centre(score, white, _best(score, white), _IN_WHITE * wanted, near.grid)
    rest = near.cortex & ~lesion
    away = ndimage.distance_transform_edt(~lesion).astype(np.float32)
    # The score breaks ties between voxels equally far away.
    return lesion | top_voxels(0.05 * score - away, rest, wanted - lesion.sum())


def shape(spec: LesionSpec, near: Surroundings) -> NDArray[np.bool_]:
    """Voxels of a lesion in its surroundings, by the spec's variant."""
    return {"across": _across, "patchy": _patchy, "deep": _deep}[spec.variant](spec, near)
