"""World planes cut from volumes of any orientation, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane, values_at

Point = tuple[float, float, float]


class Plane(StrEnum):
    """An anatomical plane of world space."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def axes(self) -> tuple[int, int, int]:
        """World axes across, up and through the picture."""
        return {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}[self.value]


@dataclass(frozen=True)
class Cut:
    """A rectangle of a world plane.

    Args:
        plane: Which plane.
        at_mm: Where it lies along the axis through the picture, mm.
        lower_mm: Lowest coordinates across and up, mm.
        upper_mm: Highest coordinates across and up, mm.
        step_mm: Distance of the samples, mm.
    """

    plane: Plane
    at_mm: float
    lower_mm: tuple[float, float]
    upper_mm: tuple[float, float]
    step_mm: float = 0.5

    def coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """World coordinates of the columns and of the rows, ascending, mm."""
        return tuple(
            low + self.step_mm * np.arange(round((high - low) / self.step_mm) + 1, dtype=float)
            for low, high in zip(self.lower_mm, self.upper_mm, strict=True)
        )  # type: ignore[return-value]

    def sample(
        self, volume: Volume, midplane: Midplane | None = None, order: int = 1
    ) -> NDArray[np.float64]:
        """Values on the rectangle, shape (rows, columns), both ascending.

        Args:
            volume: Any volume of the same world.
            midplane: When given, every point shows what lies at its mirrored place.
            order: Spline order.
        """
        across, up = self.coordinates()
        first, second, third = self.plane.axes
        points = np.empty((len(up), len(across), 3))
        points[..., first] = across[None, :]
        points[..., second] = up[:, None]
        points[..., third] = self.at_mm
        return values_at(volume, midplane.mirrored(points) if midplane else points, order)


@dataclass(frozen=True)
class Content:
    """Where a volume's head or brain is and how bright it is.

    Args:
        lower_mm: Lowest corner of its world box, RAS+ mm.
        upper_mm: Highest corner.
        window: Intensities shown as black and as white.
    """

    lower_mm: Point
    upper_mm: Point
    window: tuple[float, float]

    @classmethod
    def of(cls, volume: Volume, margin_mm: float = 4.0) -> Content:
        """Measure a volume; an empty one gives its whole box and the window (0, 1)."""
        array = np.asarray(volume.array, dtype=np.float32)
        strides = tuple(slice(None, None, max(1, round(2 / mm))) for mm in volume.grid.spacing_mm)
        coarse = array[strides]
        positive = coarse[coarse > 0]
        level = 0.08 * float(np.percentile(positive, 99)) if positive.size else 0.0
        shown = np.argwhere(array > level) if positive.size else np.empty((0, 3))
        if len(shown) == 0:
            corners = volume.grid.corners_mm()
            return cls(_point(corners.min(axis=0)), _point(corners.max(axis=0)), (0.0, 1.0))
        mm = volume.grid.to_mm(shown)
        bright = coarse[coarse > level]
        black, white = (float(x) for x in np.percentile(bright, (0.5, 99.6)))
        return cls(
            _point(mm.min(axis=0) - margin_mm),
            _point(mm.max(axis=0) + margin_mm),
            (min(black, white - 1e-6) * 0.8 if black > 0 else black, white),
        )

    def cut(self, plane: Plane, centre_mm: ArrayLike, step_mm: float = 0.5) -> Cut:
        """The plane through a point, as wide as the content."""
        first, second, third = plane.axes
        lower, upper = self.lower_mm, self.upper_mm
        at = float(np.asarray(centre_mm, dtype=float)[third])
        return Cut(plane, at, (lower[first], lower[second]), (upper[first], upper[second]), step_mm)


def close_cut(plane: Plane, centre_mm: ArrayLike, width_mm: float) -> Cut:
    """A square of a plane around a point, finely sampled.

    Args:
        plane: Which plane.
        centre_mm: Middle of the square, RAS+ mm.
        width_mm: Its edge in mm.
    """
    centre: NDArray[Any] = np.asarray(centre_mm, dtype=float)
    first, second, third = plane.axes
    half = width_mm / 2
    return Cut(
        plane,
        float(centre[third]),
        (float(centre[first] - half), float(centre[second] - half)),
        (float(centre[first] + half), float(centre[second] + half)),
        min(0.5, width_mm / 100),
    )


def _point(values: NDArray[Any]) -> Point:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
