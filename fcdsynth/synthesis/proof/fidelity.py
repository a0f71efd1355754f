"""A redrawn place against the scan it replaces: SSIM, PSNR and mean absolute difference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from fcdsynth.synthesis.proof.surroundings import margin_vox, reach_mm
from fcdsynth.synthesis.regions import Spacing, box_around, near

PARTS = ("inside", "ring", "outside")
MEASURES = ("ssim", "psnr", "l1")
_SIGMA_VOX = 1.5
_LEAST_SIDE = 11


def fidelity(
    made: NDArray[Any],
    real: NDArray[Any],
    inside: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    spacing_mm: Spacing,
) -> dict[str, float]:
    """Compare one contrast of a synthetic image with the real one of the same anatomy.

    Inside is the lesion, or the redrawn place of a control; the ring reaches 8 mm from it;
    outside is the rest of the brain in a box around both. SSIM is that of Wang et al. (2004,
    IEEE TIP) with their Gaussian of 1.5 voxels, its map averaged over each part; the range of
    intensities is 1.

    Args:
        made: Synthetic prepared intensities, shape (x, y, z).
        real: Real ones, same shape.
        inside: Mask, not empty, same shape.
        brain: Mask, same shape.
        spacing_mm: Voxel sizes in mm.

    Returns:
        ``ssim_inside`` and so on. PSNR in dB is NaN where the images are equal, SSIM where the
        box is smaller than its Gaussian, all three where the part is empty.
    """
    reach = reach_mm(spacing_mm)
    box = box_around(inside, margin_vox(2 * reach, spacing_mm))
    a, b = (np.asarray(x[box], dtype=np.float64) for x in (made, real))
    mask = inside[box]
    ring = near(mask, reach, spacing_mm) & brain[box] & ~mask
    parts = dict(zip(PARTS, (mask, ring, brain[box] & ~mask & ~ring), strict=True))
    similar = np.full(a.shape, np.nan)
    if min(a.shape) >= _LEAST_SIDE:
        similar = structural_similarity(
            a, b, data_range=1.0, gaussian_weights=True, sigma=_SIGMA_VOX,
            use_sample_covariance=False, full=True,
        )[1]  # fmt: skip
    numbers = {}
    for name, part in parts.items():
        gap = (a - b)[part]
        square = float(np.mean(gap**2)) if gap.size else float("nan")
        numbers[f"ssim_{name}"] = float(similar[part].mean()) if gap.size else float("nan")
        numbers[f"psnr_{name}"] = -10 * float(np.log10(square)) if square > 0 else float("nan")
        numbers[f"l1_{name}"] = float(np.abs(gap).mean()) if gap.size else float("nan")
    return numbers
