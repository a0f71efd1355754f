"""The pictures of a quality page: is FLAIR on T1w, is the brain the brain, is tissue tissue?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.scene import Scene
from fcdsynth.review.planes import Content, Cut, Plane, Point
from fcdsynth.review.sheet import (
    INK,
    Convention,
    Sheet,
    colour,
    outline,
    scale_bar,
    show,
    size_mm,
)

_SIDE = Convention.RADIOLOGICAL
_BRAIN, _WHITE, _CEREBRUM = "brain", "white matter", "cortex and all inside"
_LESION, _INNER = "lesion mask", "deep grey and ventricles"
_NAMES = (_BRAIN, _WHITE, _CEREBRUM, _LESION, _INNER)
_SQUARE_MM = 18.0
_STEP_MM = 0.7
_MARGIN_MM = 12.0
_THUMBNAIL_MM_PER_INCH = 80.0
_ABOVE_MM, _BELOW_MM, _BESIDE_MM = 22.0, 12.0, 8.0


@dataclass(frozen=True, eq=False)
class Row:
    """One question, shown in the same slices as the others.

    Args:
        title: Written above its first slice.
        image: Gives the values of a slice.
        outlines: Masks by name.
        window: Intensities shown as black and as white.
    """

    title: str
    image: Callable[[Cut], NDArray[np.float64]]
    outlines: Mapping[str, Volume] = field(default_factory=dict)
    window: tuple[float, float] = (0.05, 0.95)


def quality_sheet(scene: Scene) -> Figure:
    """Draw alignment, brain and tissue in four slices each; lesions are outlined."""
    rows = _rows(scene)
    cuts = _cuts(scene, _STEP_MM)
    height = max(size_mm(cut)[1] for cut in cuts)
    sheet = Sheet([size_mm(cut)[0] for cut in cuts], [height] * len(rows), scene.subject.id)
    named = {name for row in rows for name in row.outlines}
    names = [name for name in _NAMES if name in named]
    for number, row in enumerate(rows):
        for column, cut in enumerate(cuts):
            axes = sheet.axes(number, column)
            show(axes, cut, row.image(cut), row.window, _SIDE)
            for name, mask in row.outlines.items():
                outline(axes, cut, mask, 0.5, colour(names.index(name)))
            if column == 0:
                axes.set_title(row.title, color=INK, fontsize=9, pad=3, loc="left")
                scale_bar(axes, cut, _SIDE)
    sheet.foot(names, _SIDE)
    return sheet.figure


def thumbnail(scene: Scene) -> Figure:
    """One axial slice of FLAIR (T1w where there is none) with the edge of the white matter."""
    cut, *_ = _cuts(scene, 1.0)
    width, height = (mm / _THUMBNAIL_MM_PER_INCH for mm in size_mm(cut))
    figure = Figure(figsize=(width, height), facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    show(axes, cut, cut.sample(scene.t1w if scene.flair is None else scene.flair),
         (0.05, 0.95), _SIDE)  # fmt: skip
    outline(axes, cut, _is(scene.tissue, Tissue.WHITE_MATTER), 0.5, colour(0))
    return figure


def _rows(scene: Scene) -> list[Row]:
    white = {_WHITE: _is(scene.tissue, Tissue.WHITE_MATTER)}
    lesion = {} if scene.lesion is None else {_LESION: _float(scene.lesion)}
    rows = []
    if scene.flair is not None:
        rows += [
            Row("squares of T1w and of FLAIR", _checkerboard(scene.t1w, scene.flair)),
            Row("FLAIR, white matter of the T1w", _slice(scene.flair), white | lesion),
        ]
    inner = (Tissue.DEEP_GREY, Tissue.VENTRICLE)
    cerebrum = (Tissue.CORTEX, Tissue.WHITE_MATTER, *inner)
    tissue = {
        **white,
        _CEREBRUM: _is(scene.tissue, *cerebrum),
        _INNER: _is(scene.tissue, *inner),
    }
    sampled = scene.t1w_native.array[::4, ::4, ::4]
    black, white_level = (float(x) for x in np.percentile(sampled, (2, 99.7)))
    rows += [
        Row("T1w as acquired, brain", _slice(scene.t1w_native), {_BRAIN: _float(scene.brain)},
            (black, max(white_level, black + 1e-6))),
        Row("prepared T1w, tissue", _slice(scene.t1w), tissue | lesion),
    ]  # fmt: skip
    return rows


def _is(labels: Volume, *kinds: Tissue) -> Volume:
    lookup = np.zeros(256, dtype=np.float32)
    lookup[list(kinds)] = 1
    return Volume(lookup[labels.array], labels.grid)


def _float(mask: Volume) -> Volume:
    """The mask as numbers, so that it is turned into them once and not for each slice."""
    return Volume(mask.array.astype(np.float32), mask.grid)


def _slice(volume: Volume) -> Callable[[Cut], NDArray[np.float64]]:
    return lambda cut: cut.sample(volume)


def _checkerboard(first: Volume, second: Volume) -> Callable[[Cut], NDArray[np.float64]]:
    def image(cut: Cut) -> NDArray[np.float64]:
        across, up = (np.floor(mm / _SQUARE_MM).astype(int) for mm in cut.coordinates())
        squares = (across[None, :] + up[:, None]) % 2 == 0
        return np.where(squares, cut.sample(first), cut.sample(second))

    return image


def _cuts(scene: Scene, step_mm: float) -> list[Cut]:
    """Two axial slices, a coronal and a sagittal one; through the lesion where there is one."""
    inside = np.argwhere(scene.brain.array)
    x, y, z = scene.brain.grid.to_mm(inside.mean(axis=0))
    ends = scene.brain.grid.to_mm([inside.min(axis=0), inside.max(axis=0)])
    low, high = ends.min(axis=0) - _MARGIN_MM, ends.max(axis=0) + _MARGIN_MM
    box = Content(tuple(low), tuple(high), (0.0, 1.0))
    points: list[tuple[Plane, Point]] = [
        (Plane.AXIAL, (x, y, z + _ABOVE_MM)),
        (Plane.AXIAL, (x, y, z - _BELOW_MM)),
        (Plane.CORONAL, (x, y, z)),
        (Plane.SAGITTAL, (x + _BESIDE_MM, y, z)),
    ]
    if scene.lesion is not None:
        lesion = scene.lesion
        centre = tuple(lesion.grid.to_mm(np.argwhere(lesion.array).mean(axis=0)))
        points = [(plane, centre if number != 1 else point)
                  for number, (plane, point) in enumerate(points)]  # fmt: skip
    return [box.cut(plane, point, step_mm) for plane, point in points]
