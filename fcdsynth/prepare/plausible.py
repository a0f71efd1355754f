"""Which result of a registration is to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume

# White noise reaches 0.02 nats against a T1w when all starts are searched; real and simulated
# pairs reach 0.35 to 0.8 (openms-raw, phantoms).
_UNRELATED_NATS = 0.05
_MOST_TURN_DEG = 45.0
_MOST_SHIFT_MM = 100.0
_LEAST_COVER = 0.25


@dataclass(frozen=True, eq=False)
class Match:
    """The result of a registration.

    Args:
        matrix: 4 x 4, from the fixed image's world to the moving image's (RAS+ mm).
        information: Mattes mutual information at the end, nats; larger is better.
        refused: Why a rigid search's result was not taken and the headers' own alignment is
            kept; empty when it was taken.
    """

    matrix: NDArray[np.float64]
    information: float
    refused: str = ""


def apart(subject: str) -> CohortError:
    """The error about two scans that cannot be brought together."""
    return CohortError(
        subject, "two images that do not overlap from any start", "scans of one head",
        "Look at both images; their headers may place them in different worlds.",
    )  # fmt: skip


def movement(matrix: NDArray[np.floating[Any]], centre_mm: ArrayLike) -> tuple[float, float]:
    """How far a rigid matrix turns, in degrees, and moves a point, in mm."""
    centre = np.asarray(centre_mm, dtype=float)
    turn = Rotation.from_matrix(matrix[:3, :3]).magnitude()
    shift = np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre)
    return float(np.rad2deg(turn)), float(shift)


def cover(mask: Volume, grid: Grid, matrix: NDArray[np.float64]) -> float:
    """Share of a mask's voxels that a matrix brings into the field of view of a grid."""
    points = mask.grid.to_mm(np.argwhere(mask.array))
    if not len(points):
        return 0.0
    index = grid.to_vox(points @ matrix[:3, :3].T + matrix[:3, 3])
    inside = ((index >= -0.5) & (index <= np.asarray(grid.shape) - 0.5)).all(axis=1)
    return float(inside.mean())


def nats_by_chance(bins: int, n_samples: int) -> float:
    """Mutual information below which two images show no sign of one another.

    Independent intensities seem to share (bins - 1)^2 / 2n nats in n samples (Miller 1955).
    """
    return max(_UNRELATED_NATS, (bins - 1) ** 2 / (2 * max(1, n_samples)))


def settled(
    found: Match, at_header: float, region: Volume, grid: Grid, unrelated: float, subject: str
) -> Match:
    """The match, or the headers' own alignment where the match is not to be believed.

    Args:
        found: A rigid match.
        at_header: Information where the headers place the images, nats.
        region: Where in the fixed volume was compared: above 0.
        grid: Grid of the moving volume.
        unrelated: Information that is no evidence of a match, nats.
        subject: Who it is, for messages.

    Raises:
        CohortError: If the match is not to be believed and the headers put the images apart.
    """
    inside = Volume(region.array > 0, region.grid)
    header_cover = cover(inside, grid, np.eye(4))
    points = region.grid.to_mm(np.argwhere(inside.array))
    turn, shift = movement(found.matrix, points.mean(axis=0) if len(points) else np.zeros(3))
    # Headers that put the scans beside each other have lost their origin: any shift is better.
    if turn > _MOST_TURN_DEG:
        refused = f"a turn of {turn:.0f} degrees"
    elif shift > _MOST_SHIFT_MM and header_cover >= _LEAST_COVER:
        refused = f"a shift of {shift:.0f} mm"
    elif cover(inside, grid, found.matrix) < _LEAST_COVER:
        refused = "hardly any overlap"
    elif found.information < unrelated:
        refused = "images that seem unrelated"
    elif found.information <= at_header:
        refused = "no gain over the headers' alignment"
    else:
        return found
    if header_cover < _LEAST_COVER:
        raise apart(subject)
    return Match(np.eye(4), max(at_header, 0.0), refused)
