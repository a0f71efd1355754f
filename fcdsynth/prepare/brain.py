"""Brain mask of a T1w volume: deepbet, a user's own mask, or the foreground."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume, canonical
from fcdsynth.measure.components import label_components

_LOG = logging.getLogger(__name__)
PLAUSIBLE_ML = (700.0, 2200.0)
_REMEDY = (
    "Look at the T1w image; give a mask as derivatives/**/sub-ID_desc-brain_mask.nii.gz and index "
    "again."
)


@cache
def _network() -> Any:
    # Its import takes seconds, and a given mask needs none of it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from deepbet import BrainExtraction

        return BrainExtraction(no_gpu=True)


def _upright(volume: Volume) -> Volume:
    """The volume on an isotropic RAS grid: the network has only seen near-isotropic heads."""
    corners = volume.grid.corners_mm()
    spacing = float(np.clip(min(volume.grid.spacing_mm), 1.0, 2.0))
    return resample(volume, Grid.covering(corners.min(axis=0), corners.max(axis=0), spacing))


def deep_brain(volume: Volume, subject: str) -> Volume:
    """Find the brain with deepbet (Fisch et al., Comput Biol Med 2024), on the CPU.

    Raises:
        CohortError: If the network finds nothing.
    """
    upright = _upright(canonical(volume))
    network = _network()
    try:
        mask = network.postprocess(network.run_model(upright.array.copy()) > 0.5)
    except (AssertionError, ValueError) as error:  # what deepbet raises on an empty first guess
        raise CohortError(subject, "no brain in the T1w image", "one brain", _REMEDY) from error
    return resample_mask(Volume(np.asarray(mask, dtype=bool), upright.grid), volume.grid)


def foreground(volume: Volume) -> Volume:
    """Mask of an image that is already skull-stripped: everything above zero, holes filled."""
    positive = volume.array > 0
    labels, parts = label_components(positive, volume.grid)
    largest = labels.array == 1 if parts else positive
    return Volume(ndimage.binary_fill_holes(largest), volume.grid)


def is_stripped(volume: Volume) -> bool:
    """Tell whether an image is skull-stripped: zeros fill its border and much of its box."""
    array = volume.array
    faces = np.concatenate([np.take(array, [0, -1], axis).ravel() for axis in range(3)])
    return bool((faces == 0).mean() > 0.995 and (array == 0).mean() > 0.35)


def check_brain(mask: Volume, subject: str, given: bool) -> float:
    """Volume of a brain mask in ml.

    Args:
        mask: Brain mask.
        subject: Who it is, for messages.
        given: Whether the user gave it: then an odd volume is warned of and not refused.

    Raises:
        CohortError: If it is empty, or found by us and outside 0.7 to 2.2 litres.
    """
    volume_ml = float(mask.array.sum() * mask.grid.voxel_ml)
    low, high = PLAUSIBLE_ML
    if low <= volume_ml <= high:
        return volume_ml
    if given and volume_ml > 0:
        _LOG.warning("%s: the brain mask holds %.0f ml; brains hold %.0f to %.0f ml",
                     subject, volume_ml, low, high)  # fmt: skip
        return volume_ml
    raise CohortError(
        subject, f"a brain mask of {volume_ml:.0f} ml", f"{low:.0f} to {high:.0f} ml", _REMEDY
    )
