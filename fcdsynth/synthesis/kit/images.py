"""What a reader sees: an image that tells nothing but itself, and a montage by one rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, canonical, read_volume
from fcdsynth.review.planes import Content, Cut, Plane
from fcdsynth.review.sheet import Convention, Sheet, show, size_mm

Shape = tuple[int, int, int]
_LEVELS = 1000  # intensities are rounded to thousandths: no trace of how they were computed
_PAD_VOX = 2
_WINDOW = (0.1 * _LEVELS, 0.9 * _LEVELS)
_COLUMNS = 4
# Shares of the brain's extent, the same for everyone: 12 axial, 4 coronal, 4 sagittal slices.
_PLACES = {
    Plane.AXIAL: tuple(np.linspace(0.22, 0.92, 12)),
    Plane.CORONAL: (0.2, 0.4, 0.6, 0.8),
    Plane.SAGITTAL: (0.2, 0.38, 0.62, 0.8),
}
_AXIS = {Plane.AXIAL: 2, Plane.CORONAL: 1, Plane.SAGITTAL: 0}


def brain_shape(cohort: Cohort, subject: Subject, contrast: str) -> Shape:
    """Size of the box around what is not zero, in voxels along right, anterior, superior."""
    where = np.argwhere(canonical(read_volume(cohort.path(subject, contrast))).array > 0)
    if not len(where):
        return (1, 1, 1)
    x, y, z = (int(n) for n in where.max(0) - where.min(0) + 1)
    return (x, y, z)


def scrubbed(volume: Volume, shape: Shape) -> Volume:
    """The image without what could give it away: place, size of the grid, number format.

    Axes point right, anterior, superior; the brain's box lies in the middle of a grid that is the
    same for the whole kit, and the grid in the middle of the world. Intensities are whole
    thousandths.

    Args:
        volume: Prepared image, 0 outside the brain.
        shape: Largest box of the kit, voxels.
    """
    upright = canonical(volume)
    size = np.asarray(shape) + 2 * _PAD_VOX
    array = np.zeros(tuple(size), dtype=np.int16)
    where = np.argwhere(upright.array > 0)
    if len(where):
        low, high = where.min(0), where.max(0) + 1
        first = (size - (high - low)) // 2
        place = tuple(slice(f, f + n) for f, n in zip(first, high - low, strict=True))
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        array[place] = np.rint(upright.array[box] * _LEVELS).astype(np.int16)
    spacing = np.round(upright.grid.spacing_mm, 3)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -spacing * (size - 1) / 2
    return Volume(array, Grid.of(array.shape, matrix))


def montage(volume: Volume, title: str) -> Figure:
    """Twelve axial, four coronal and four sagittal slices at fixed shares of the brain's extent.

    Nothing is marked, and no slice is chosen for what it shows.

    Args:
        volume: Scrubbed image.
        title: Written above it.
    """
    content = Content.of(volume)
    low, high = np.asarray(content.lower_mm), np.asarray(content.upper_mm)
    cuts: list[Cut] = []
    for plane, shares in _PLACES.items():
        for share in shares:
            cuts.append(content.cut(plane, low + share * (high - low), step_mm=1.0))
    rows = [cuts[i : i + _COLUMNS] for i in range(0, len(cuts), _COLUMNS)]
    widths = [max(size_mm(row[c])[0] for row in rows) for c in range(_COLUMNS)]
    sheet = Sheet(widths, [max(size_mm(cut)[1] for cut in row) for row in rows], title)
    side = Convention.RADIOLOGICAL
    for number, row in enumerate(rows):
        for column, cut in enumerate(row):
            show(sheet.axes(number, column), cut, cut.sample(volume), _WINDOW, side)
    sheet.foot([], side)
    return sheet.figure


def image_path(folder: Path, contrast: str, name: str) -> Path:
    """Where the image of a case lies in the kit."""
    return folder / contrast / f"{name}.nii.gz"
