"""A second look at FLAIR on T1w: against the headers' alignment, and against its mirror image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane, values_at
from fcdsynth.prepare.plausible import movement
from fcdsynth.prepare.registration import compare

_SPACING_MM = 4.0
_BLOCK_MM = 2.0
_CLEARLY = 1.1


@dataclass(frozen=True)
class Alignment:
    """Mutual information of T1w and FLAIR in the brain at 4 mm, nats, and how FLAIR was moved.

    Args:
        header_nats: As the scanner's headers place the two.
        chosen_nats: As prepare placed them.
        best_nats: After a last rigid search from there.
        mirrored_nats: The same search with FLAIR mirrored left to right. More than `best_nats`
            means that one of the two images was probably flipped.
        turn_deg: Turn from the headers' alignment to the chosen one.
        shift_mm: Movement of the brain's centre.
    """

    header_nats: float
    chosen_nats: float
    best_nats: float
    mirrored_nats: float
    turn_deg: float
    shift_mm: float

    @property
    def flip_suspected(self) -> bool:
        """Whether the mirrored FLAIR fits clearly better."""
        return self.mirrored_nats > _CLEARLY * self.best_nats


def _coarse(brain: Volume) -> Volume:
    corners = brain.grid.corners_mm()
    grid = Grid.covering(corners.min(axis=0), corners.max(axis=0), _SPACING_MM)
    return resample_mask(brain, grid)


def _binned(volume: Volume) -> Volume:
    """Means of blocks of about 2 mm: a scan seen at 4 mm needs no more, and it is 8 times less."""
    factors = [max(1, round(_BLOCK_MM / mm)) for mm in volume.grid.spacing_mm]
    shape = [n // f for n, f in zip(volume.grid.shape, factors, strict=True)]
    if factors == [1, 1, 1] or min(shape) < 1:
        return volume
    array = volume.array[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    blocks = array.reshape([k for pair in zip(shape, factors, strict=True) for k in pair])
    matrix = volume.grid.matrix.copy()
    matrix[:3, 3] = volume.grid.to_mm((np.asarray(factors) - 1) / 2)
    matrix[:3, :3] *= factors
    return Volume(blocks.mean(axis=(1, 3, 5), dtype=np.float32), Grid.of(shape, matrix))


def look_again(
    t1w: Volume, flair: Volume, brain: Volume, flair_to_t1w: NDArray[np.float64], plane: Midplane
) -> Alignment:
    """Measure how well FLAIR lies on T1w.

    Args:
        t1w: Prepared T1w.
        flair: FLAIR as acquired.
        brain: Brain mask on the prepared grid.
        flair_to_t1w: World matrix (4 x 4), RAS+ mm.
        plane: Mid-sagittal plane of the head.
    """
    mask = _coarse(brain)
    fixed, seen = resample(_binned(t1w), mask.grid), _binned(flair)
    to_flair = np.linalg.inv(flair_to_t1w)
    header, chosen = (resample(seen, mask.grid, 1, way) for way in (np.eye(4), to_flair))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in mask.grid.shape], indexing="ij"), -1)
    places = plane.mirrored(mask.grid.to_mm(index))
    mirrored = Volume(values_at(chosen, places).astype(np.float32), mask.grid)
    # Both are compared where the brain and its mirror image overlap: the same voxels for each.
    both = mask.array & (values_at(mask, places) > 0.5)
    inner = Volume(ndimage.binary_erosion(both), mask.grid)
    region = inner if inner.array.any() else mask
    turn, shift = movement(to_flair, mask.grid.to_mm(np.argwhere(mask.array)).mean(axis=0))
    at_chosen, best = compare(fixed, chosen, region)
    return Alignment(
        compare(fixed, header, region, search=False)[0],
        at_chosen,
        best,
        compare(fixed, mirrored, region)[1],
        turn,
        shift,
    )
