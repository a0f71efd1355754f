"""The cheap alternatives to a generator: paste a patient's lesion, or paint a blurred offset.

Copy-paste follows CarveMix (Zhang et al. 2021, MICCAI): with the signed distance d to the donor's
lesion, negative inside and d_min at its deepest, a level is drawn from U(d_min / 2, 0) or from
U(0, |d_min|), each with probability one half; what lies below the level is carved out of the
donor and laid over the host, and so are its labels. There both heads lie as they are; here the
donor is also moved by whole voxels, so that its lesion lands where a mask was drawn: the same
place is then compared as in a redrawn host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.contrasts import redrawn_region, ring_contrasts
from fcdsynth.synthesis.crops import cut
from fcdsynth.synthesis.redraw import LEAST_INTENSITY
from fcdsynth.synthesis.regions import Spacing, box_around

BLUR_MM = 2.0
_LEAST_STEP = 0.1  # a mask that blurs to less than this against its ring cannot be painted


@dataclass(frozen=True, eq=False)
class Patient:
    """A training patient whose lesion is pasted.

    Args:
        id: Subject id.
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape, not empty.
        spacing_mm: Voxel sizes.
    """

    id: str
    image: NDArray[np.float32]
    tissue: NDArray[Any]
    lesion: NDArray[np.bool_]
    spacing_mm: Spacing


@dataclass(frozen=True, eq=False)
class Made:
    """A host with a lesion put in.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z); the host's outside ``touched``.
        lesion: Its lesion mask, shape (x, y, z).
        touched: Voxels that may differ from the host's, same shape.
    """

    image: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    touched: NDArray[np.bool_]


def signed_distance(mask: NDArray[Any], spacing_mm: Spacing) -> NDArray[np.float64]:
    """Distance to the other side of a mask's border in mm, negative inside; shape of the mask."""
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~mask.astype(bool), sampling=spacing_mm)
    return np.asarray(outside - inside)


def carve_level(rng: np.random.Generator, deepest_mm: float) -> float:
    """Draw CarveMix's level from the least signed distance of a lesion, which is negative."""
    if rng.random() < 0.5:
        return float(rng.uniform(deepest_mm / 2, 0))
    return float(rng.uniform(0, -deepest_mm))


def copy_paste(
    image: NDArray[np.float32],
    tissue: NDArray[Any],
    mask: NDArray[np.bool_],
    donor: Patient,
    rng: np.random.Generator,
    moved: bool = True,
) -> Made:
    """Paste a patient's lesion and some of its surroundings after the CarveMix rule.

    Args:
        image: The host's prepared intensities, shape (contrast, x, y, z).
        tissue: The host's labels, shape (x, y, z). Nothing is pasted outside its brain, nor
            where the donor's brain ends.
        mask: Where a lesion was drawn, same shape; its centre is where the donor's goes.
        donor: The patient.
        rng: Source of the level.
        moved: False leaves the donor where it lies, as CarveMix does; ``mask`` has no say then.
    """
    # The carved piece reaches no farther from the lesion than the lesion is deep.
    depth = float(-signed_distance(np.pad(donor.lesion, 1), donor.spacing_mm).min())
    margin = [int(depth // mm) + 1 for mm in donor.spacing_mm]
    edges = box_around(donor.lesion, (0, 0, 0))
    low = np.array([e.start - m for e, m in zip(edges, margin, strict=True)])
    high = np.array([e.stop + m for e, m in zip(edges, margin, strict=True)])
    x, y, z = (int(n) for n in high - low)

    def piece(array: NDArray[Any]) -> NDArray[Any]:
        return cut(array, (int(low[0]), int(low[1]), int(low[2])), (x, y, z))

    lesion = piece(donor.lesion).astype(bool)
    distance = signed_distance(lesion, donor.spacing_mm)
    carved = distance < carve_level(rng, float(distance.min()))
    shift = np.zeros(3, dtype=int)
    if moved:
        shift = np.rint(_centre(mask) - _centre(donor.lesion)).astype(int)
    touched = np.zeros(mask.shape, dtype=bool)
    new, label = image.copy(), np.zeros(mask.shape, dtype=bool)
    into, of = _overlap(mask.shape, low + shift, (x, y, z))
    both = (tissue[into] != Tissue.BACKGROUND) & (piece(donor.tissue)[of] != Tissue.BACKGROUND)
    put = carved[of] & both
    touched[into] = put
    label[into] = put & lesion[of]
    new[(slice(None), *into)] = np.where(
        put, piece(donor.image)[(slice(None), *of)], image[(slice(None), *into)]
    )
    return Made(new, label, touched)


def _centre(mask: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.argwhere(mask).mean(0))


def _overlap(
    shape: tuple[int, ...], corner: NDArray[Any], size: tuple[int, int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    into, of = [], []
    for n, first, length in zip(shape, (int(c) for c in corner), size, strict=True):
        start = min(max(first, 0), n)
        stop = max(min(first + length, n), start)
        into.append(slice(start, stop))
        of.append(slice(start - first, stop - first))
    return tuple(into), tuple(of)


def blurred_offset(
    image: NDArray[np.float32],
    tissue: NDArray[Any],
    mask: NDArray[np.bool_],
    lesions: Sequence[Sequence[float]],
    rng: np.random.Generator,
    spacing_mm: Spacing,
    margin_mm: float,
    blur_mm: float = BLUR_MM,
) -> Made:
    """Add a blurred mask times the contrasts of one training lesion.

    The blurred mask is scaled so that it stands one above its ring, measured as the contrasts of
    lesions are: the painted lesion adds the drawn contrasts to what the host shows there.

    Args:
        image: The host's prepared intensities, shape (contrast, x, y, z).
        tissue: The host's labels, shape (x, y, z).
        mask: The lesion to paint, same shape, not empty.
        lesions: Contrasts of the training lesions, one number per channel each
            (``styles.json``); those with a NaN are passed over.
        rng: Source of the choice of a lesion.
        spacing_mm: Voxel sizes.
        margin_mm: Width of the ring.
        blur_mm: Standard deviation of the Gaussian.

    Raises:
        ValueError: If no lesion has all its contrasts, or the mask leaves no ring or so little of
            itself after blurring that the contrast would be noise made large.
    """
    known = [row for row in lesions if np.isfinite(row).all()]
    if not known:
        raise ValueError("no training lesion with all its contrasts")
    offset = np.asarray(known[int(rng.integers(len(known)))], dtype=np.float32)
    brain = tissue != Tissue.BACKGROUND
    reach = [int(max(4 * blur_mm, margin_mm) // mm) + 1 for mm in spacing_mm]
    box = box_around(mask, reach)
    sigma = [blur_mm / mm for mm in spacing_mm]
    soft = ndimage.gaussian_filter(mask[box].astype(np.float32), sigma, mode="constant")
    region = redrawn_region(mask[box], tissue[box], margin_mm, spacing_mm)
    step = ring_contrasts(soft[None], mask[box], region, tissue[box])[0]
    if not step > _LEAST_STEP:
        raise ValueError(f"a mask that stands {step:.3f} above its ring after blurring")
    weight = np.zeros(mask.shape, dtype=np.float32)
    weight[box] = np.where(brain[box], soft / step, 0)
    painted = np.clip(image + offset[:, None, None, None] * weight, LEAST_INTENSITY, 1)
    touched = weight > 0
    new = np.where(touched, painted, image).astype(np.float32)
    return Made(new, mask.astype(bool) & brain, touched)
