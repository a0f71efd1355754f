"""The ICBM152 T1w template (nilearn's wheel carries it) and the way of a head into its space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample_mask
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.prepare.registration import register

_FILE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_SCALES = (0.6, 1.6)
_LEAST_DICE = 0.85


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a head lies in MNI space.

    Args:
        t1w_to_mni: 4 x 4 world matrix, RAS+ mm; from an affine registration when `trusted`,
            else from the two brains' bounding boxes.
        trusted: Whether the registration is plausible.
        dice: Overlap of the two brain masks under the matrix.
    """

    t1w_to_mni: NDArray[np.float64]
    trusted: bool
    dice: float


@cache
def template() -> tuple[Volume, Volume]:
    """Skull-stripped T1w average of ICBM152 (2009a, symmetric) and its brain mask."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:  # a declared dependency
        raise ModuleNotFoundError("nilearn")
    volume = read_volume(Path(spec.origin).parent / "datasets" / "data" / _FILE)
    filled = ndimage.binary_fill_holes(volume.array > 0.02 * volume.array.max())
    return volume, Volume(np.asarray(filled), volume.grid)


def _box_mm(mask: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = mask.grid.to_mm(np.argwhere(mask.array))
    return points.min(axis=0), points.max(axis=0)


def _boxes_matched(brain: Volume, target: Volume) -> NDArray[np.float64]:
    (low, high), (to_low, to_high) = _box_mm(brain), _box_mm(target)
    scale = (to_high - to_low) / (high - low)
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = to_low - scale * low
    return matrix


def _coarse(mask: Volume) -> Volume:
    corners = mask.grid.corners_mm()
    return resample_mask(mask, Grid.covering(corners.min(axis=0), corners.max(axis=0), 4.0))


def _dice(brain: Volume, target: Volume, to_target: NDArray[np.float64]) -> float:
    moved = resample_mask(target, brain.grid, to_target).array
    both = 2.0 * float((moved & brain.array).sum())
    return both / float(moved.sum() + brain.array.sum())


def place(t1w: Volume, brain: Volume, subject: str) -> Placement:
    """Find a head's affine way into MNI space.

    Args:
        t1w: Bias-corrected T1w on any grid.
        brain: Mask on the same grid.
        subject: Who it is, for messages.
    """
    target, target_brain = template()
    own_ml = float(brain.array.sum()) * brain.grid.voxel_ml
    target_ml = float(target_brain.array.sum()) * target_brain.grid.voxel_ml
    stripped = Volume(np.where(brain.array, t1w.array, 0).astype(np.float32), t1w.grid)
    near = Volume(ndimage.binary_dilation(target_brain.array, iterations=6), target.grid)
    match = register(
        target, stripped, near, affine=True, scale=(own_ml / target_ml) ** (1 / 3),
        levels_mm=(8.0, 4.0), subject=subject,
    )  # fmt: skip
    matrix = np.asarray(np.linalg.inv(match.matrix), dtype=np.float64)
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    coarse = _coarse(brain)
    dice = _dice(coarse, target_brain, matrix)
    trusted = bool(_SCALES[0] < scales[-1] and scales[0] < _SCALES[1] and dice >= _LEAST_DICE)
    if trusted:
        return Placement(matrix, True, dice)
    boxes = _boxes_matched(brain, target_brain)
    return Placement(boxes, False, _dice(coarse, target_brain, boxes))
