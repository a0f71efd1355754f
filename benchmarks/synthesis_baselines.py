"""A cheap alternative to a generator: paint a blurred offset. (CarveMix is `synthesis.carve`.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.carve import Made
from fcdsynth.synthesis.contrasts import redrawn_region, ring_contrasts
from fcdsynth.synthesis.redraw import LEAST_INTENSITY
from fcdsynth.synthesis.regions import Spacing, box_around

BLUR_MM = 2.0
_LEAST_STEP = 0.1  # a mask that blurs to less than this against its ring cannot be painted


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
