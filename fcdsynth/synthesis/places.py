"""Where a crop in which the whole brain is drawn may lie."""

from __future__ import annotations

import numpy as np

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.crops import Corner, cut
from fcdsynth.synthesis.heads import Head

_TRIES = 8
_LEAST_BRAIN = 0.1


def brain_corner(head: Head, rng: np.random.Generator, side: int) -> Corner:
    """Draw the corner of a cube inside the brain's box, as the windows of synthesis lie.

    Cubes with little brain in them are passed over: eight times, so that a brain much smaller
    than the cube has a place too.

    Args:
        head: The subject.
        rng: Source of the place.
        side: Side of the cube, voxels; along an axis where the box is shorter it lies in the cube.
    """
    ends = [sorted((edge.start, edge.stop - side)) for edge in head.brain]
    corner: Corner = (0, 0, 0)
    for _ in range(_TRIES):
        x, y, z = (int(rng.integers(low, high + 1)) for low, high in ends)
        corner = (x, y, z)
        tissue = cut(head.tissue, corner, (side, side, side))
        if (tissue != Tissue.BACKGROUND).mean() >= _LEAST_BRAIN:
            break
    return corner
