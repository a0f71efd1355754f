"""Anatomy: a head that can be sampled at any point of a canonical space.

Axes and landmarks of canonical space follow MNI152 (RAS+ mm), so that lobes and the shape of
the head can be told by coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom import shells
from fcdsynth.phantom.fields import Axes, SmoothField
from fcdsynth.phantom.parts import Part


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head to be deformed.

    Args:
        name: Name of the template or of the label map's file.
        parts: `Part` labels, shape (x, y, z).
        to_vox: 4 x 4 matrix from canonical mm to voxel indices of the arrays.
        scale: Size of the head relative to canonical space.
        lower_mm: Lowest corner of the head, canonical mm.
        upper_mm: Highest corner of the head, canonical mm.
        shares: Grey and white matter shares in [0, 1] where the source has them.
        outside: Distance from the brain, where skull and scalp have to be added.
    """

    name: str
    parts: NDArray[np.uint8]
    to_vox: NDArray[np.float64]
    scale: float
    lower_mm: tuple[float, float, float]
    upper_mm: tuple[float, float, float]
    shares: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    outside: shells.Outside | None = None

    def sample(
        self, mm: NDArray[np.float32], axes: Axes, shell: shells.ShellSpec, seed: int
    ) -> NDArray[np.uint8]:
        """Parts at canonical points.

        Args:
            mm: Canonical coordinates, shape (3, x, y, z).
            axes: World coordinates (mm) of the lattice the points belong to.
            shell: Thickness of skull and scalp, for anatomies without them.
            seed: Seed of the individual course of the tissue borders.

        Returns:
            `Part` labels, shape (x, y, z).
        """
        m = self.to_vox.astype(np.float32)
        vox = np.stack([m[i, 0] * mm[0] + m[i, 1] * mm[1] + m[i, 2] * mm[2] + m[i, 3]
                        for i in range(3)])  # fmt: skip
        inside = np.ones(mm.shape[1:], dtype=bool)
        index = []
        for v, size in zip(vox, self.parts.shape, strict=True):
            nearest = np.rint(v).astype(np.int32)
            inside &= (nearest >= 0) & (nearest < size)
            index.append(np.clip(nearest, 0, size - 1))
        parts: NDArray[np.uint8] = self.parts[tuple(index)]
        parts[~inside] = Part.AIR
        if self.shares is not None:
            _draw_borders(parts, vox, self.shares, axes, seed)
        if self.outside is not None:
            shells.add_shells(parts, mm, self.outside, shell)
        return parts


def _draw_borders(
    parts: NDArray[np.uint8],
    vox: NDArray[np.float32],
    shares: tuple[NDArray[np.float32], NDArray[np.float32]],
    axes: Axes,
    seed: int,
) -> None:
    """Draw individual tissue borders through the blurred folds of an average brain, in place."""
    where = np.isin(parts, [Part.CSF, Part.CORTEX, Part.WHITE, Part.LOWER_GREY])
    points = vox[:, where]
    grey, white = (ndimage.map_coordinates(s, points, order=1) for s in shares)
    lower = (float(axes[0][0]), float(axes[1][0]), float(axes[2][0]))
    upper = (float(axes[0][-1]), float(axes[1][-1]), float(axes[2][-1]))

    def noise(number: int, knot_mm: float) -> NDArray[np.float32]:
        return SmoothField((seed, number), lower, upper, knot_mm).on(axes)[where]

    csf = 1 - grey - white + 0.06 * noise(1, 9.0) + 0.06 * noise(2, 3.5)
    white = white + 0.05 * noise(3, 7.0)
    below = parts[where] == Part.LOWER_GREY
    new = np.where(white > grey, Part.WHITE, Part.CORTEX).astype(np.uint8)
    new[below] = np.where(new[below] == Part.WHITE, Part.LOWER_WHITE, Part.LOWER_GREY)
    new[csf > np.maximum(grey, white)] = Part.CSF
    parts[where] = new
