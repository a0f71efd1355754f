"""Out-of-fold support of a mask: five directional channels, from a map that never saw it.

The formulas are those of the project's reference/relabelling.md 2.3 (own design): with
out-of-fold probability p, components C of the mask and candidates K of the map that touch no
component,

    unsupported  1 - Q90{p : C grown by link_mm}
    overlooked   Q95{p : K}
    too large    1 - mean{p : inner rim of C} / Q95{p : C}
    too small        mean{p : outer rim of C} / Q95{p : C}
    mirrored     ln(mean p over mirrored C + e) - ln(mean p over C + e), not below 0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.filters import apply_hysteresis_threshold

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import Component, label_components
from fcdsynth.measure.mirror import Midplane, values_at
from fcdsynth.relabel.causes import Cause

_EPSILON = 0.02


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How support is measured.

    Args:
        link_mm: A candidate belongs to the mask when the gap between them is at most this, mm.
        rim_mm: Width of the rims inside and outside the outline, mm; at least one voxel of the
            coarsest axis is taken.
        threshold: A candidate of the map must reach this probability somewhere; it extends down
            to half of it.
        debris_vox: Components with fewer voxels are not scored.

    Raises:
        SettingsError: If a value is out of range.
    """

    link_mm: float = 3.0
    rim_mm: float = 1.5
    threshold: float = 0.5
    debris_vox: int = 5

    def __post_init__(self) -> None:
        for name, low, high in (("link_mm", 0, 50), ("rim_mm", 0, 20), ("threshold", 0.001, 1),
                                ("debris_vox", 0, 10000)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low} to {high}", "Change the setting.")


@dataclass(frozen=True)
class Region:
    """A component of a mask, or a candidate of the map outside it, with its channel values.

    Args:
        number: Number of the component, 1 the largest; 0 for a candidate outside the mask.
        volume_ml: Volume in ml.
        centre_mm: Voxel of the region nearest to its centre of mass, RAS+ mm.
        side: ``L``, ``R``, or empty when the midline is unknown.
        channels: Value of each channel that applies to it; larger is more suspicious.
        numbers: The probabilities behind them, for the sentence that a clinician reads.
    """

    number: int
    volume_ml: float
    centre_mm: tuple[float, float, float]
    side: str
    channels: Mapping[Cause, float]
    numbers: Mapping[str, float] = field(default_factory=dict)


def measure_support(
    mask: Volume,
    probability: Volume,
    brain: Volume | None = None,
    midplane: Midplane | None = None,
    settings: ChannelSettings | None = None,
) -> tuple[Region, ...]:
    """Measure the support of every component and list the candidates outside the mask.

    Args:
        mask: Boolean mask.
        probability: Out-of-fold lesion probability on the same grid, in [0, 1].
        brain: Brain mask on any grid of the same world; the outer rim is kept inside it.
        midplane: Mid-sagittal plane; without it nothing is said about mirroring.
        settings: Distances and thresholds.

    Raises:
        GeometryError: If mask and map lie on different grids.
    """
    settings = settings or ChannelSettings()
    mask.grid.require_same(probability.grid, "probability map", "Run fcdsynth detect again.")
    labels, components = label_components(mask.array, mask.grid)
    given = Volume(mask.array.astype(np.float32), mask.grid)
    regions = [
        _component(component, labels, given, probability, brain, midplane, settings)
        for component in components
        if component.size_vox >= settings.debris_vox
    ]
    return (*regions, *_candidates(mask, probability, midplane, settings))


def _component(
    component: Component,
    labels: Volume,
    given: Volume,
    probability: Volume,
    brain: Volume | None,
    midplane: Midplane | None,
    settings: ChannelSettings,
) -> Region:
    grid = labels.grid
    spacing = grid.spacing_mm
    rim_mm = max(settings.rim_mm, *spacing) * 1.001
    own = labels.array == component.label
    box = _box(own, [int(np.ceil(max(rim_mm, settings.link_mm) / mm)) + 1 for mm in spacing])
    inside, others = own[box], (labels.array[box] > 0) & ~own[box]
    p = probability.array[box].astype(float)
    depth = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"), sampling=spacing)
    depth = depth[1:-1, 1:-1, 1:-1]
    beyond = ndimage.distance_transform_edt(~inside, sampling=spacing)
    outer = (beyond > 0) & (beyond <= rim_mm) & ~others
    if brain is not None:
        outer[outer] = values_at(brain, _points(grid, outer, box)) >= 0.5
    rim = inside & (depth <= rim_mm)
    near = float(np.quantile(p[beyond <= settings.link_mm], 0.9))
    core = float(np.quantile(p[inside], 0.95))
    inner_mean = float(p[rim].mean()) if rim.any() else float(p[inside].mean())
    outer_mean = float(p[outer].mean()) if outer.any() else 0.0
    # Where the map sees nothing at all, a ratio of noise says nothing about the extent.
    floor = max(core, _EPSILON)
    channels = {
        Cause.UNSUPPORTED: 1 - near,
        Cause.TOO_LARGE: 1 - inner_mean / floor if core > _EPSILON else 0.0,
        Cause.TOO_SMALL: outer_mean / floor if core > _EPSILON else 0.0,
    }
    numbers = {"near": near, "core": core, "inner": inner_mean, "outer": outer_mean}
    points = _points(grid, inside, box)
    if midplane is not None:
        there = midplane.mirrored(points)
        # A lesion on both sides of the midline is not compared with itself.
        free = values_at(given, there) < 0.5
        across = float(values_at(probability, there[free]).mean()) if free.any() else 0.0
        here = float(p[inside].mean())
        ratio = float(np.log(across + _EPSILON) - np.log(here + _EPSILON))
        channels[Cause.MIRRORED] = max(ratio, 0.0)
        numbers |= {"here": here, "across": across}
    return _region(component.label, component.volume_ml, points, midplane, channels, numbers)


def _candidates(
    mask: Volume, probability: Volume, midplane: Midplane | None, settings: ChannelSettings
) -> list[Region]:
    high = settings.threshold
    found = apply_hysteresis_threshold(probability.array, high / 2, high)
    labels, components = label_components(found, mask.grid)
    given = mask.grid.to_mm(np.argwhere(mask.array))
    tree = cKDTree(given) if len(given) else None
    # Neighbours by corner are always linked, however coarse the voxels.
    reach_mm = max(settings.link_mm, 1.001 * float(np.linalg.norm(mask.grid.spacing_mm)))
    boxes = ndimage.find_objects(labels.array)
    regions = []
    for component, box in zip(components, boxes, strict=True):
        own = labels.array[box] == component.label
        points = _points(mask.grid, own, box)
        gap = float(tree.query(points)[0].min()) if tree is not None else float("inf")
        if gap <= reach_mm or component.size_vox < settings.debris_vox:
            continue
        strength = float(np.quantile(probability.array[box][own], 0.95))
        channels = {Cause.OVERLOOKED: strength}
        regions.append(
            _region(0, component.volume_ml, points, midplane, channels,
                    {"strength": strength, "gap_mm": gap})
        )  # fmt: skip
    return regions


def _region(
    number: int,
    volume_ml: float,
    points: NDArray[np.float64],
    midplane: Midplane | None,
    channels: Mapping[Cause, float],
    numbers: Mapping[str, float],
) -> Region:
    nearest = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    x, y, z = (float(v) for v in nearest)
    side = midplane.side(points.mean(axis=0)) if midplane is not None else ""
    return Region(number, float(volume_ml), (x, y, z), side, channels, numbers)


def _box(mask: NDArray[Any], margins: list[int]) -> tuple[slice, ...]:
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(
        slice(max(0, s.start - m), min(n, s.stop + m))
        for s, m, n in zip(found, margins, mask.shape, strict=True)
    )


def _points(grid: Grid, part: NDArray[Any], box: tuple[slice, ...]) -> NDArray[np.float64]:
    return grid.to_mm(np.argwhere(part) + [s.start for s in box])
