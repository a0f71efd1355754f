"""A component cut out with its surroundings: distance from the outline, tissue, maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.components import bounding_box
from fcdsynth.measure.mirror import Midplane
from fcdsynth.relabel.profile.maps import Maps

# Shells by distance from the outline, mm, negative inside. A shell is never thinner than the
# coarsest axis of the voxels.
EDGES_MM = (-3.4, -1.2, 0.0, 1.2, 3.4, 5.6, 8.0)
_REACH_MM = 13.0
_FEWEST_VOX = 3
_TISSUE = (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY)
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cut:
    """One component in a box that reaches 13 mm beyond it.

    Args:
        own: The component, (x, y, z).
        others: Voxels of the mask's other components.
        distance_mm: Signed distance from the outline, negative inside.
        tissue: Tissue labels; all 0 where they are not known.
        usable: Voxels of brain tissue that belong to no other component.
        values: Every map in the box.
        across: Every map at the mirrored places of the component's voxels, (n,).
        spacing_mm: Voxel size.
    """

    own: Bools
    others: Bools
    distance_mm: NDArray[np.float64]
    tissue: NDArray[np.int16]
    usable: Bools
    values: Mapping[str, NDArray[np.float32]]
    across: Mapping[str, NDArray[np.float32]]
    spacing_mm: tuple[float, ...]

    @classmethod
    def of(cls, own: Bools, mask: Bools, grid: Grid, maps: Maps, plane: Midplane | None) -> Cut:
        """Cut it out.

        Args:
            own: The component, (x, y, z), not empty.
            mask: The whole mask, same shape.
            grid: Their grid.
            maps: The subject's maps.
            plane: Mid-sagittal plane; without it nothing is known of the other side.
        """
        box = _reached(own, grid)
        inside, others = own[box], mask[box] & ~own[box]
        corner = np.array([s.start for s in box])
        index = np.stack(np.meshgrid(*[np.arange(n) for n in inside.shape], indexing="ij"), -1)
        points = grid.to_mm((index + corner).reshape(-1, 3)).reshape(index.shape)
        labels = maps.tissue_at(points)
        brain = np.ones(inside.shape, bool) if labels is None else np.isin(labels, _TISSUE)
        across: dict[str, NDArray[np.float32]] = {}
        if plane is not None:
            there = plane.mirrored(points[inside])
            tissue = maps.tissue_at(there)
            there = there if tissue is None else there[np.isin(tissue, _TISSUE)]
            back = np.rint(grid.to_vox(there)).astype(int)
            held = ((back >= 0) & (back < mask.shape)).all(axis=1)
            there, back = there[held], back[held]
            # A lesion on both sides of the midline is not compared with itself.
            across = maps.sampled(there[~mask[tuple(back.T)]])
        spacing = grid.spacing_mm
        half = float(np.mean(spacing)) / 2
        depth = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"), sampling=spacing)
        beyond = ndimage.distance_transform_edt(~inside, sampling=spacing)
        distance = np.where(inside, half - depth[1:-1, 1:-1, 1:-1], beyond - half)
        known = np.zeros(inside.shape, np.int16) if labels is None else labels
        return cls(inside, others, distance, known, brain & ~others, maps.sampled(points), across,
                   spacing)  # fmt: skip

    def shells(self) -> list[Bools]:
        """Usable voxels of each shell, from the core to 8 mm outside."""
        thick = max(self.spacing_mm)
        edges = [e if abs(e) >= thick or e == 0 else np.sign(e) * thick * 0.55 for e in EDGES_MM]
        lows, highs = [-np.inf, *edges[:-1]], edges
        return [(self.distance_mm > low) & (self.distance_mm <= high) & self.usable
                for low, high in zip(lows, highs, strict=True)]  # fmt: skip

    def mean(self, name: str, zone: Bools) -> float:
        """Mean of a map in a zone, NaN where fewer than 3 voxels are in it."""
        return float(self.values[name][zone].mean()) if zone.sum() >= _FEWEST_VOX else np.nan


def _reached(own: Bools, grid: Grid) -> tuple[slice, slice, slice]:
    box = bounding_box(own)
    assert box is not None
    margins = [int(np.ceil(_REACH_MM / mm)) for mm in grid.spacing_mm]
    x, y, z = (slice(max(0, s.start - m), min(n, s.stop + m))
               for s, m, n in zip(box, margins, own.shape, strict=True))  # fmt: skip
    return (x, y, z)
