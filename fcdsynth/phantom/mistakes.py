"""Tissue labels and brain masks with the mistakes that a program would make on the images."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.pose import axes_of

_LABELS = tuple(label for label in Tissue if label != Tissue.BACKGROUND)
_SPREAD_MM = 1.2  # how far from its true place a label can be found
_LEAST_SHARE = 0.02
_BORDER_MM = 0.8
_KNOT_MM = 14.0


def mistaken_brain(brain: Volume, seed: tuple[int, ...]) -> Volume:
    """A brain mask whose border wanders by 0.8 mm (standard deviation).

    Args:
        brain: True mask on an axis-aligned grid.
        seed: Seed of the border.
    """
    grid, spacing = brain.grid, brain.grid.spacing_mm
    outer = ndimage.distance_transform_edt(~brain.array, sampling=spacing)
    inner = ndimage.distance_transform_edt(brain.array, sampling=spacing)
    signed = (outer - inner).astype(np.float32)
    wander = SmoothField.over(grid, seed, _KNOT_MM).on(axes_of(grid)) * np.float32(_BORDER_MM)
    found = ndimage.binary_fill_holes(signed + wander <= 0)
    return Volume(np.asarray(found, dtype=bool), grid)


def mistaken_tissue(tissue: Volume, t1w: Volume, brain: Volume) -> Volume:
    """Labels as a classifier with a good atlas would find them on the image itself.

    Each voxel takes the label that is likeliest by its T1w intensity among those that occur
    within about a millimetre, so that mistakes sit where they do in practice: at borders, in
    voxels of mixed tissue, and where a lesion or noise makes one tissue look like another.

    Args:
        tissue: True labels.
        t1w: T1w without bias field, on the same grid.
        brain: Mask of what is to be labelled, on the same grid.
    """
    sigma = [_SPREAD_MM / mm for mm in tissue.grid.spacing_mm]
    best = np.full(tissue.array.shape, -np.inf, dtype=np.float32)
    found = np.zeros(tissue.array.shape, dtype=np.uint8)
    values = t1w.array.astype(np.float32)
    for label in _LABELS:
        mask = tissue.array == label
        if not mask.any():
            continue
        mean = float(np.median(values[mask]))
        spread = max(1.4826 * float(np.median(np.abs(values[mask] - mean))), 1e-6)
        share = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
        score = np.log(np.maximum(share, 1e-6)) - ((values - mean) / spread) ** 2 / 2
        score -= np.float32(np.log(spread))
        better = (score > best) & (share >= _LEAST_SHARE)
        best[better] = score[better]
        found[better] = label
    found[brain.array & (found == 0)] = Tissue.CSF
    found[~brain.array] = Tissue.BACKGROUND
    return Volume(found, tissue.grid)
