"""A dark sheet of pictures in one scale, and what is drawn on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.review.planes import Cut, Plane, Point

BACKGROUND = "#0d0f12"
INK = "#d7dbe0"
FAINT = "#8b939e"
COLOURS = ("#ffcf33", "#35c6ff", "#ff6ec7", "#7be37b")
_MM_PER_INCH = 62.0
_HALO = [withStroke(linewidth=2.2, foreground="black")]  # letters stay legible on white matter
_LETTERS = {
    Plane.AXIAL: (("L", "R"), ("P", "A")),
    Plane.CORONAL: (("L", "R"), ("I", "S")),
    Plane.SAGITTAL: (("P", "A"), ("I", "S")),
}


class Convention(StrEnum):
    """Which side of the picture the patient's right is on."""

    RADIOLOGICAL = "radiological"
    NEUROLOGICAL = "neurological"

    @property
    def sentence(self) -> str:
        """The convention in words, as it is written on the picture."""
        where = "left" if self is Convention.RADIOLOGICAL else "right"
        return f"{self.value} convention: the patient's right is on the {where} of the picture"


class Sheet:
    """A dark figure whose columns all have one scale of millimetres an inch."""

    _GAP, _HEAD, _LINE, _FOOT = 0.10, 0.30, 0.24, 0.38

    def __init__(self, widths_mm: Sequence[float], heights_mm: Sequence[float], title: str) -> None:
        self._widths = [w / _MM_PER_INCH for w in widths_mm]
        self._heights = [h / _MM_PER_INCH for h in heights_mm]
        head = self._HEAD if title else 0.04
        self._size = (
            max(sum(self._widths) + self._GAP * (len(widths_mm) + 1), 5.0),
            sum(self._heights) + self._LINE * len(heights_mm) + head + self._FOOT,
        )
        self._head = head
        self.figure = Figure(figsize=self._size, facecolor=BACKGROUND)
        if title:
            self._write(self._GAP, self._size[1] - 0.09, title, INK, 10, "left", "top")

    def axes(self, row: int, column: int) -> Any:
        """An empty black picture at a place of the sheet, counted from the top left."""
        left = self._GAP * (column + 1) + sum(self._widths[:column])
        top = self._head + self._LINE * (row + 1) + sum(self._heights[:row])
        bottom = self._size[1] - top - self._heights[row]
        width, height = self._size
        box = (left / width, bottom / height, self._widths[column] / width,
               self._heights[row] / height)  # fmt: skip
        axes = self.figure.add_axes(box, facecolor="black")
        axes.set_axis_off()
        axes.set_anchor("N")
        return axes

    def foot(self, names: Sequence[str], side: Convention) -> None:
        """Write the legend of the outlines and the convention."""
        lines = [Line2D([], [], color=colour(i), linewidth=1.4) for i in range(len(names))]
        if names:
            self.figure.legend(
                lines, names, loc="lower left", ncols=len(names), frameon=False, fontsize=8,
                labelcolor=INK, handlelength=1.6, borderaxespad=0.35,
            )  # fmt: skip
        self._write(self._size[0] - self._GAP, 0.1, side.sentence, FAINT, 7.5, "right", "bottom")

    def _write(
        self, x: float, y: float, text: str, colour: str, size: float, ha: str, va: str
    ) -> None:
        width, height = self._size
        self.figure.text(x / width, y / height, text, color=colour, fontsize=size, ha=ha, va=va)


def convention_of(name: str) -> Convention:
    """The convention of a name.

    Raises:
        SettingsError: If there is none.
    """
    if name not in list(Convention):
        raise SettingsError(
            "convention", repr(name), "radiological or neurological", "Name one of the two."
        )
    return Convention(name)


def colour(number: int) -> str:
    """Colour of the outline with this number, from 0."""
    return COLOURS[number % len(COLOURS)]


def size_mm(cut: Cut) -> tuple[float, float]:
    """Width and height of a cut in mm."""
    return (cut.upper_mm[0] - cut.lower_mm[0], cut.upper_mm[1] - cut.lower_mm[1])


def show(
    axes: Any, cut: Cut, image: Any, window: tuple[float, float], side: Convention,
    mirrored: bool = False,
) -> None:  # fmt: skip
    """Show a slice in world millimetres, with the letters of its two ends.

    Args:
        axes: The picture.
        cut: Where the slice lies.
        image: Its values, shape (rows, columns), both ascending in mm.
        window: Intensities shown as black and white.
        side: Which way the horizontal axis runs; sagittal slices always face right.
        mirrored: Whether the values come from the mirrored places, so that the letters swap.
    """
    half = cut.step_mm / 2
    across, up = cut.coordinates()
    extent = (across[0] - half, across[-1] + half, up[0] - half, up[-1] + half)
    axes.imshow(
        image, cmap="gray", vmin=window[0], vmax=window[1], origin="lower", extent=extent,
        interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    low, high = _LETTERS[cut.plane][0]
    if side is Convention.RADIOLOGICAL and cut.plane is not Plane.SAGITTAL:
        axes.set_xlim(extent[1], extent[0])
        low, high = high, low
    else:
        axes.set_xlim(extent[0], extent[1])
    if mirrored:
        low, high = high, low
    style = {"color": INK, "fontsize": 8, "transform": axes.transAxes, "va": "center",
             "path_effects": _HALO}  # fmt: skip
    axes.text(0.015, 0.5, low, ha="left", **style)
    axes.text(0.985, 0.5, high, ha="right", **style)


def outline(
    axes: Any, cut: Cut, mask: Volume, level: float, colour: str, midplane: Midplane | None = None
) -> None:
    """Draw the line where a mask or map crosses a level; nothing where it does not.

    Args:
        axes: The picture.
        cut: Where the slice lies.
        mask: Mask or map on any grid of the same world.
        level: Level of the line.
        colour: Its colour.
        midplane: When given, the mask at the mirrored places is drawn.
    """
    values = cut.sample(mask, midplane)
    if values.min() < level < values.max():
        across, up = cut.coordinates()
        axes.contour(across, up, values, levels=[level], colors=[colour], linewidths=0.9)


def cross(axes: Any, cut: Cut, centre_mm: Point) -> None:
    """Short ticks at the picture's edges that point at the centre without covering it."""
    first, second, _ = cut.plane.axes
    style = {"color": FAINT, "linewidth": 0.7}
    for share in (0.0, 0.97):
        axes.axvline(centre_mm[first], share, share + 0.03, **style)
        axes.axhline(centre_mm[second], share, share + 0.03, **style)


def scale_bar(axes: Any, cut: Cut, side: Convention) -> None:
    """Draw a bar of 20 mm (10 mm on close-ups) in the lower left corner."""
    width, height = size_mm(cut)
    length = 20.0 if width > 100 else 10.0
    inner = 0.05 * width
    flipped = side is Convention.RADIOLOGICAL and cut.plane is not Plane.SAGITTAL
    start = cut.upper_mm[0] - inner if flipped else cut.lower_mm[0] + inner
    end = start - length if flipped else start + length
    y = cut.lower_mm[1] + 0.04 * height
    axes.plot([start, end], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt",
              path_effects=_HALO)  # fmt: skip
    axes.text(
        float(np.mean([start, end])), y + 0.015 * height, f"{length:.0f} mm", color=INK,
        fontsize=6.5, ha="center", va="bottom", path_effects=_HALO,
    )  # fmt: skip
