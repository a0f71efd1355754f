"""Nature's lesion: what it covers and how it moves and blurs the grey-white border.

A smooth random field under a Gaussian envelope is cut at the level that gives the wanted
volume, within the cortex and the white matter next to it on one bank of a fold. Nothing here
grows along paths: stage 1 has another law on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.measure.components import label_components
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.placement import LesionSpec, choose_centre
from fcdsynth.phantom.pose import axes_of

JUXTACORTICAL_MM = 3.5
_BOX_MM = 46.0


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion in a brain, on a box of the head's grid.

    Args:
        spec: What was wanted.
        box: Slices of the box in the head's grid.
        grid: Grid of the box.
        share: Lesion share of each voxel in [0, 1].
        tail: Share of the transmantle band alone.
        grey: Grey matter share after thickening and blurring, in cortex and white matter.
        changed: How much of a voxel's border is redrawn, in [0, 1].
        parts: Parts of the box before the lesion.
        border_mm: Signed distance to the grey-white border, positive in white matter.
        centre_mm: Centre in the T1w world.
    """

    spec: LesionSpec
    box: tuple[slice, slice, slice]
    grid: Grid
    share: NDArray[np.float32]
    tail: NDArray[np.float32]
    grey: NDArray[np.float32]
    changed: NDArray[np.float32]
    parts: NDArray[np.uint8]
    border_mm: NDArray[np.float32]
    centre_mm: tuple[float, float, float]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of which at least half is lesion."""
        return self.share >= 0.5


def _crop(head: Grid, centre: tuple[int, int, int]) -> tuple[tuple[slice, slice, slice], Grid]:
    reach = round(_BOX_MM / head.spacing_mm[0])
    box = tuple(
        slice(max(0, c - reach), min(n, c + reach + 1))
        for c, n in zip(centre, head.shape, strict=True)
    )
    affine = head.matrix.copy()
    affine[:3, 3] = head.to_mm([s.start for s in box])
    return box, Grid.of([s.stop - s.start for s in box], affine)  # type: ignore[return-value]


def _one_bank(
    border_mm: NDArray[np.float32],
    cortex: NDArray[np.bool_],
    radius_mm: NDArray[np.float32],
    spacing_mm: float,
) -> NDArray[np.float32]:
    """Cosine between the cortex's normal at each voxel and around the centre."""
    smooth = ndimage.gaussian_filter(border_mm, 1.6 / spacing_mm)
    normal = np.stack(np.gradient(smooth))
    normal /= np.linalg.norm(normal, axis=0) + 1e-6
    near = cortex & (radius_mm < max(3.0, 1.8 * spacing_mm))
    reference = normal[:, near].mean(axis=1) if near.any() else np.zeros(3)
    reference /= np.linalg.norm(reference) + 1e-6
    return np.asarray(np.tensordot(reference, normal, axes=1), np.float32)


def _cut(score: NDArray[np.float32], domain: NDArray[np.bool_], centre: tuple[int, ...],
         wanted_vox: float, grid: Grid) -> NDArray[np.bool_]:  # fmt: skip
    """Level set of the score in a domain whose part around the centre has the wanted size."""
    ranked = np.sort(score[domain])[::-1]
    take = wanted_vox
    best = np.zeros(score.shape, dtype=bool)
    for _ in range(7):
        level = ranked[min(int(take), len(ranked) - 1)]
        labels, parts = label_components(domain & (score >= level), grid)
        own = labels.array[centre] or (1 if parts else 0)
        component = labels.array == own if own else best
        if abs(component.sum() - wanted_vox) < abs(best.sum() - wanted_vox):
            best = component
        if best.sum() >= 0.9 * wanted_vox or take >= len(ranked):
            break
        take *= 1.25
    return best


def _band(spec: LesionSpec, lesion: NDArray[np.bool_], parts: NDArray[np.uint8],
          axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float32]:  # fmt: skip
    """Transmantle band: a straight, tapering, fading track from the lesion to the ventricle."""
    ventricle = np.argwhere(parts == Part.VENTRICLE)
    band = np.zeros(parts.shape, dtype=np.float32)
    if not spec.tail or len(ventricle) == 0:
        return band

    def mm(index: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.stack([a[i] for a, i in zip(axes, index.T, strict=True)], axis=-1)

    start_points = mm(np.argwhere(lesion))
    wall = mm(ventricle)
    middle = start_points.mean(axis=0)
    end = wall[np.argmin(np.linalg.norm(wall - middle, axis=1))]
    start = start_points[np.argmin(np.linalg.norm(start_points - end, axis=1))]
    length = float(np.linalg.norm(end - start))
    if length < 4:
        return band
    along = (end - start) / length
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    offset = [g - s for g, s in zip(grids, start, strict=True)]
    t = sum(o * a for o, a in zip(offset, along, strict=True))
    across = np.sqrt(np.maximum(sum(o**2 for o in offset) - t**2, 0))
    part = np.clip(t / length, 0, 1)
    radius = 3.2 - 2.2 * part
    inside = np.clip(1.5 - across / radius, 0, 1) * ((t > -3) & (t < length))
    white = np.isin(parts, [Part.WHITE, Part.CORTEX])
    return np.asarray(inside * (0.95 - 0.75 * part) * white, np.float32)


def grow(spec: LesionSpec, head: Head) -> Lesion:
    """Place a lesion in a head.

    Args:
        spec: What is wanted.
        head: The head.
    """
    parts, mm = head.parts, head.mm
    spacing = head.grid.spacing_mm[0]
    chosen = choose_centre(spec, head)
    box, grid = _crop(head.grid, chosen)
    centre = tuple(c - s.start for c, s in zip(chosen, box, strict=True))
    local = parts[box]
    axes = axes_of(grid)
    cortex, white = local == Part.CORTEX, local == Part.WHITE
    border = (
        ndimage.distance_transform_edt(white) - ndimage.distance_transform_edt(~white)
    ).astype(np.float32) * spacing
    border -= np.sign(border) * spacing / 2
    sign = -1 if spec.side == "L" else 1
    domain = (cortex | (white & (border <= JUXTACORTICAL_MM))) & (sign * mm[(0, *box)] > 1)

    rng = np.random.default_rng([spec.seed, 1])
    origin = [a[i] for a, i in zip(axes, centre, strict=True)]
    stretch = np.exp(rng.normal(0, 0.25, 3))
    offset = np.meshgrid(*[a - o for a, o in zip(axes, origin, strict=True)], indexing="ij",
                         sparse=True)  # fmt: skip
    radius = np.sqrt(sum(o**2 for o in offset)).astype(np.float32)
    squared = sum((o / s) ** 2 for o, s in zip(offset, stretch, strict=True))
    sigma = 4.0 * np.cbrt(spec.volume_ml)
    # The knots sit on a box of fixed size around the centre, so that spacing changes nothing.
    low, high = (tuple(float(o + s * _BOX_MM) for o in origin) for s in (-1, 1))
    knot = float(np.clip(2.6 * np.cbrt(spec.volume_ml), 2.5, 7.0))
    field = SmoothField((spec.seed, 2), low, high, knot).on(axes)  # type: ignore[arg-type]
    score = (spec.roughness * field - squared / (2 * sigma**2)).astype(np.float32)

    cosine = _one_bank(border, cortex, radius, spacing)
    wanted = spec.volume_ml / grid.voxel_ml
    lesion = np.zeros(local.shape, dtype=bool)
    # A large lesion does not fit on one bank: the limit is eased until it does.
    for limit in (-0.2, -0.6, -2.0):
        lesion = _cut(score, domain & (cosine > limit), centre, wanted, grid)
        if lesion.sum() >= 0.85 * wanted:
            break
    lesion = ndimage.binary_closing(lesion) & domain | lesion
    tissue = cortex | white
    share = ndimage.gaussian_filter(lesion.astype(np.float32), 0.5 / spacing)
    share = np.where(tissue, np.maximum(share, 0.62 * lesion), 0).astype(np.float32)
    tail = _band(spec, lesion, local, axes)
    envelope = ndimage.gaussian_filter(lesion.astype(np.float32), 1.4 / spacing)
    envelope = np.clip(envelope * 1.3, 0, 1)
    width = 0.35 + spec.blur_mm * envelope / 2
    grey = 1 / (1 + np.exp(np.clip((border - spec.thickening_mm * envelope) / width, -30, 30)))
    changed = np.clip(envelope * 2.5, 0, 1) * tissue
    return Lesion(
        spec, box, grid, np.maximum(share, tail), tail, grey.astype(np.float32),
        changed.astype(np.float32), local, border, (float(origin[0]), float(origin[1]),
                                                    float(origin[2])),
    )  # fmt: skip
