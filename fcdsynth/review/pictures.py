"""Static pictures of a lesion: three planes, both contrasts, outlines, the mirrored side.

Everything is drawn in world millimetres, so a volume of any orientation shows the same picture;
the convention is only the direction of the horizontal axis and is written on every figure.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.review.planes import Content, Cut, Plane, Point, close_cut
from fcdsynth.review.sheet import (
    BACKGROUND,
    INK,
    Sheet,
    colour,
    convention_of,
    cross,
    outline,
    scale_bar,
    show,
    size_mm,
)


@dataclass(frozen=True)
class Panel:
    """One picture of a row.

    Args:
        title: Written above it.
        volume: What is shown.
        centre_mm: The slice goes through this point, RAS+ mm.
        outlines: Masks or probability maps by name, drawn at one half (see ``levels``).
        levels: Where another level than one half is to be drawn, by name.
        window: Intensities shown as black and as white; the volume's own when None.
    """

    title: str
    volume: Volume
    centre_mm: Point
    outlines: Mapping[str, Volume] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    window: tuple[float, float] | None = None


def three_planes(
    t1w: Volume,
    flair: Volume | None,
    outlines: Mapping[str, Volume],
    centre_mm: Point,
    title: str = "",
    midplane: Midplane | None = None,
    levels: Mapping[str, float] | None = None,
    convention: str = "radiological",
    close_up_mm: float = 64.0,
) -> Figure:
    """Draw T1w and FLAIR in three planes through a point, a close-up, and the mirrored side.

    Volumes may lie on different grids of any orientation; they must share one world.

    Args:
        t1w: T1-weighted volume.
        flair: FLAIR volume, or None.
        outlines: Masks or probability maps by their name in the legend.
        centre_mm: Point shown, RAS+ mm.
        title: Written above the figure.
        midplane: When given, a last column shows the mirrored place, flipped so that it can be
            compared with the close-up point by point.
        levels: Level drawn of each outline, one half where not named.
        convention: ``radiological`` or ``neurological``.
        close_up_mm: Edge of the close-up squares, mm.

    Raises:
        SettingsError: If the convention is unknown.
    """
    side = convention_of(convention)
    content = Content.of(t1w)
    cuts = [content.cut(plane, centre_mm) for plane in Plane]
    near = close_cut(Plane.AXIAL, centre_mm, close_up_mm)
    contrasts = {"T1w": t1w} | ({"FLAIR": flair} if flair is not None else {})
    windows = {name: Content.of(volume).window for name, volume in contrasts.items()}
    height = max(size_mm(cut)[1] for cut in cuts)
    widths = [size_mm(cut)[0] for cut in cuts] + [height] * (2 if midplane else 1)
    sheet = Sheet(widths, [height] * len(contrasts), title)
    for row, (name, volume) in enumerate(contrasts.items()):
        for column, cut in enumerate([*cuts, near, near] if midplane else [*cuts, near]):
            mirrored = midplane if column == 4 else None
            axes = sheet.axes(row, column)
            image = cut.sample(volume, mirrored)
            show(axes, cut, image, windows[name], side, mirrored is not None)
            for number, (label, mask) in enumerate(outlines.items()):
                level = (levels or {}).get(label, 0.5)
                # The mirrored column shows what lies there, so a mask reaching across is seen.
                outline(axes, cut, mask, level, colour(number), mirrored)
            heading = _heading(cut, column, name)
            axes.set_title(heading, color=INK, fontsize=8, pad=3, loc="left")
            if column < 3:
                cross(axes, cut, centre_mm)
            if column in (0, 3):
                scale_bar(axes, cut, side)
    sheet.foot(list(outlines), side)
    return sheet.figure


def slice_row(
    panels: Sequence[Panel],
    title: str = "",
    plane: str = "axial",
    convention: str = "radiological",
) -> Figure:
    """Draw one slice of several volumes side by side, each cropped to its brain.

    Args:
        panels: What to show, from left to right; subjects may differ.
        title: Written above the row.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        convention: ``radiological`` or ``neurological``.

    Raises:
        SettingsError: If there is no panel, or plane or convention are unknown.
    """
    side = convention_of(convention)
    if plane not in list(Plane):
        raise SettingsError("plane", repr(plane), "axial, coronal or sagittal", "Name one.")
    if not panels:
        raise SettingsError("panels", "none", "at least one volume", "Give something to show.")
    contents = [Content.of(panel.volume) for panel in panels]
    cuts = [c.cut(Plane(plane), p.centre_mm) for c, p in zip(contents, panels, strict=True)]
    height = max(size_mm(cut)[1] for cut in cuts)
    sheet = Sheet([size_mm(cut)[0] for cut in cuts], [height], title)
    names = list(dict.fromkeys(name for panel in panels for name in panel.outlines))
    for column, (panel, cut, content) in enumerate(zip(panels, cuts, contents, strict=True)):
        axes = sheet.axes(0, column)
        show(axes, cut, cut.sample(panel.volume), panel.window or content.window, side)
        for name, mask in panel.outlines.items():
            number = names.index(name)
            outline(axes, cut, mask, panel.levels.get(name, 0.5), colour(number))
        axes.set_title(panel.title, color=INK, fontsize=8, pad=3, loc="left")
        if column == 0:
            scale_bar(axes, cut, side)
    sheet.foot(names, side)
    return sheet.figure


def png_bytes(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, facecolor=BACKGROUND, metadata={"Software": None})
    return stream.getvalue()


def data_address(png: bytes) -> str:
    """A PNG as an address that holds the image itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


class Embedded:
    """A picture of a page that needs no other file; its dataclass holds the PNG as ``png``."""

    __slots__ = ()
    png: bytes

    @property
    def source(self) -> str:
        """The image as a data address."""
        return data_address(self.png)


def write_png(path: Path | str, figure: Figure, dpi: int = 110) -> Path:
    """Write the figure as PNG and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(figure, dpi))
    return path


def _heading(cut: Cut, column: int, contrast: str) -> str:
    if column == 3:
        return f"{contrast}  close-up"
    if column == 4:
        return f"{contrast}  mirrored side, flipped"
    return f"{contrast}  {cut.plane.value}  {'xyz'[cut.plane.axes[2]]} = {cut.at_mm:.0f} mm"
