"""One subject's head: its parts, lobes and canonical coordinates on a fine upright grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.measure.lobes import RIGHT
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.pose import (
    PoseSpec,
    axes_of,
    canonical_coordinates,
    head_box,
    head_matrix,
    measured_jacobian,
)
from fcdsynth.phantom.shells import ShellSpec

FINE = 0.7  # the head is made on a finer grid than it is scanned on, down to 1 mm


@dataclass(frozen=True, eq=False)
class Head:
    """A head before anything is scanned.

    Args:
        grid: Axis-aligned RAS grid in the T1w world.
        parts: `Part` labels, shape (x, y, z).
        lobes: Lobe and side labels (`fcdsynth.measure.lobes`), 0 outside the cerebrum.
        mm: Canonical (MNI-like) coordinates, shape (3, x, y, z); x below 0 is the subject's left.
        jacobian_min: Smallest relative Jacobian of the deformation, at the grid's resolution.
    """

    grid: Grid
    parts: NDArray[np.uint8]
    lobes: NDArray[np.uint8]
    mm: NDArray[np.float32]
    jacobian_min: float


def make_head(pose: PoseSpec, shell: ShellSpec, anatomy: Anatomy, spacing_mm: float) -> Head:
    """Deform an anatomy into a subject's head.

    Args:
        pose: Size, pose, warp, and the course of the tissue borders.
        shell: Skull and scalp, for anatomies without them.
        anatomy: What is deformed.
        spacing_mm: Voxel size of the scans; the head's own grid is finer.
    """
    fine = max(FINE * spacing_mm, min(spacing_mm, 1.0))
    grid = head_box(pose, anatomy.scale, anatomy.lower_mm, anatomy.upper_mm, fine)
    mm, _ = canonical_coordinates(pose, anatomy.scale, grid)
    if pose.flip:
        mm[0] *= -1
    anatomy.ventricles.flow(mm, anatomy.ventricles.strength_for(pose.ventricles))
    parts, lobes = anatomy.sample(mm, axes_of(grid), shell, pose)
    if pose.flip:
        mm[0] *= -1
        lobes = _SWAPPED[lobes]
    jacobian = measured_jacobian(mm, grid, head_matrix(pose, anatomy.scale))
    return Head(grid, parts, lobes, mm, jacobian)


# The label of the same lobe on the other side, by label.
_SWAPPED = np.array(
    [0 if n == 0 else n - RIGHT if n > RIGHT else n + RIGHT for n in range(2 * RIGHT)],
    dtype=np.uint8,
)
