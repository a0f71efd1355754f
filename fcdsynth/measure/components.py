"""Connected components of masks, 26-connected, on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume


@dataclass(frozen=True, slots=True)
class Component:
    """One connected component.

    Args:
        label: Its value in the label map, from 1.
        size_vox: Number of voxels.
        volume_ml: Volume in ml.
        centre_mm: Centre of mass, RAS+ mm.
    """

    label: int
    size_vox: int
    volume_ml: float
    centre_mm: tuple[float, float, float]


def bounding_box(mask: NDArray[Any]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds everything that is not 0; None when nothing is.

    Lesions and clusters fill little of a volume, so whatever looks at them looks here first.

    Args:
        mask: Shape (x, y, z), any type.
    """
    box = [slice(None)] * 3
    # Along the axis that is slowest in memory first: later passes see less.
    for axis in np.argsort([-abs(step) for step in mask.strides]):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask[tuple(box)].any(axis=others))
        if not len(hit):
            return None
        box[axis] = slice(int(hit[0]), int(hit[-1]) + 1)
    return (box[0], box[1], box[2])


def label_components(
    mask: NDArray[Any], grid: Grid, min_volume_ml: float = 0.0
) -> tuple[Volume, tuple[Component, ...]]:
    """Label the 26-connected components of a mask, largest first.

    Args:
        mask: Boolean array, shape (x, y, z).
        grid: Its grid.
        min_volume_ml: Components below this volume are removed.

    Returns:
        Label volume (int16, 0 background, 1 the largest) and the components in label order.
    """
    box = bounding_box(mask)
    found = np.zeros(mask.shape, dtype=np.int16)
    if box is None:
        return Volume(found, grid), ()
    inside = np.ascontiguousarray(mask[box], dtype=np.uint8)
    labels = cc3d.connected_components(inside, connectivity=26)
    stats = cc3d.statistics(labels)
    counts = np.asarray(stats["voxel_counts"]).astype(int)
    centres = np.asarray(stats["centroids"], dtype=float) + [side.start for side in box]
    # Ties in size are broken by position, so that the order never depends on the labelling.
    order = sorted(range(1, len(counts)), key=lambda i: (-counts[i], *centres[i]))
    # A rotation in the header changes the last digits of a voxel's volume.
    least_ml = min_volume_ml * (1 - 1e-6)
    kept = [i for i in order if counts[i] > 0 and counts[i] * grid.voxel_ml >= least_ml]
    lookup = np.zeros(len(counts), dtype=np.int16)
    components = []
    for new, old in enumerate(kept, start=1):
        lookup[old] = new
        x, y, z = (float(v) for v in grid.to_mm(centres[old]))
        components.append(
            Component(new, int(counts[old]), float(counts[old] * grid.voxel_ml), (x, y, z))
        )
    found[box] = lookup[labels]
    return Volume(found, grid), tuple(components)
