"""Pictures of drawn and of real masks of like volume, on their own T1w."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_mask, read_volume
from fcdsynth.masks.proof.examples import Example
from fcdsynth.review.pictures import Embedded, Panel, png_bytes, slice_row, three_planes

_SHOWN = 6
_CLOSE_MM = 40.0  # half the edge of what a picture of the rows shows
_BRAIN_POINTS = 5000
_OUTLINE = {True: "drawn mask", False: "real mask, as given"}
_KEY = {True: "region", False: "lesion"}


@dataclass(frozen=True)
class Picture(Embedded):
    """One picture of the page.

    Args:
        png: The image.
        caption: What it shows.
    """

    png: bytes
    caption: str


def pairs_by_volume(
    drawn: Sequence[Example], real: Sequence[Example], count: int = _SHOWN
) -> list[tuple[Example, Example]]:
    """Drawn masks all over the range of volumes, each with the real mask nearest in volume.

    Only largest pieces are shown, each mask once.

    Args:
        drawn: Drawn masks.
        real: Real masks.
        count: Number of pairs.
    """
    ranked = sorted((e for e in drawn if e.number == 0), key=lambda e: (e.volume_ml, e.subject))
    free = [e for e in real if e.number == 0]
    count = min(count, len(ranked), len(free))
    # The middles of equal shares of the range: neither the smallest nor the largest mask.
    places = ((np.arange(count) + 0.5) / max(count, 1) * len(ranked)).astype(int)
    pairs = []
    for place in places:
        mask = ranked[int(place)]
        mate = min(free, key=lambda e: (abs(np.log(e.volume_ml / mask.volume_ml)), e.subject))
        free.remove(mate)
        pairs.append((mask, mate))
    return pairs


def pictures_of(
    drawn: Sequence[Example], real: Sequence[Example], tables: Mapping[bool, Cohort]
) -> list[Picture]:
    """Rows of close-ups, drawn above and real below, and one of each in three planes.

    Args:
        drawn: Drawn masks.
        real: Real masks.
        tables: The cohort of drawn (True) and of real masks (False).
    """
    pairs = pairs_by_volume(drawn, real)
    if not pairs or not all(tables[e.drawn][e.subject].has("t1w") for e in sum(pairs, ())):
        return []
    shown = []
    for plane in ("coronal", "axial"):
        for number, what in ((0, "Drawn"), (1, "Real")):
            row = [pair[number] for pair in pairs]
            figure = slice_row([_panel(tables[e.drawn], e) for e in row], plane=plane)
            shown.append(Picture(png_bytes(figure), f"{what} masks, {plane}."))
    for example in pairs[len(pairs) // 2]:
        t1w, mask = _volumes(tables[example.drawn], example)
        title = f"{_OUTLINE[example.drawn]}: {_title(example)}"
        figure = three_planes(t1w, None, {_OUTLINE[example.drawn]: mask}, example.centre_mm, title)
        what = "A drawn mask" if example.drawn else "The real mask nearest to it in volume"
        shown.append(Picture(png_bytes(figure), f"{what}, in three planes."))
    return shown


def brain_points(table: Cohort, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Points all over the brain of the first of some subjects, in MNI, shape (n, 3)."""
    for example in examples:
        subject = table[example.subject]
        mni = read_to_mni(table, subject)
        if mni is not None:
            brain = read_mask(table.path(subject, "brain"))
            vox = np.argwhere(brain.array)
            points = brain.grid.to_mm(vox[:: max(1, len(vox) // _BRAIN_POINTS)])
            return np.asarray(points @ mni[:3, :3].T + mni[:3, 3])
    return np.empty((0, 3))


def _volumes(table: Cohort, example: Example) -> tuple[Volume, Volume]:
    subject = table[example.subject]
    mask = read_mask(table.path(subject, _KEY[example.drawn]))
    return (
        read_volume(table.path(subject, "t1w")),
        Volume(mask.array.astype(np.float32), mask.grid),
    )


def _panel(table: Cohort, example: Example) -> Panel:
    t1w, mask = _volumes(table, example)
    whole = (
        np.percentile(t1w.array[t1w.array > 0], (0.5, 99.6)) if (t1w.array > 0).any() else (0, 1)
    )
    return Panel(
        _title(example), _around(t1w, example), example.centre_mm,
        {_OUTLINE[example.drawn]: mask}, window=(0.6 * float(whole[0]), float(whole[1])),
    )  # fmt: skip


def _around(volume: Volume, example: Example) -> Volume:
    """The volume with everything outside a box around the mask empty: the row shows the box.

    Corners of the box, which no shown slice meets, are marked, so that all boxes are of one size.
    """
    index = [np.arange(n) for n in volume.grid.shape]
    vox = np.stack(np.meshgrid(*index, indexing="ij"), -1)
    away = np.abs(volume.grid.to_mm(vox) - np.asarray(example.centre_mm))
    inside = away.max(axis=-1) <= _CLOSE_MM
    corner = inside & (away.min(axis=-1) > _CLOSE_MM - 2.5 * max(volume.grid.spacing_mm))
    shown = np.where(inside, volume.array, 0)
    return Volume(np.where(corner, np.median(shown[shown > 0]), shown), volume.grid)


def _title(example: Example) -> str:
    lobe = f" {example.lobe}" if example.lobe else ""
    return f"{example.volume_ml:.1f} ml{lobe} {example.side}"
