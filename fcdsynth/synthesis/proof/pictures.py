"""Pictures of the page: synthetic lesions, their hosts at the same place, and real lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_mask, read_volume
from fcdsynth.review.pictures import Embedded, Panel, png_bytes, slice_row
from fcdsynth.review.planes import Point
from fcdsynth.synthesis.proof.sides import Sides
from fcdsynth.synthesis.proof.wording import CONTRAST_WORDS

_MOST = 4


@dataclass(frozen=True)
class Picture(Embedded):
    """One picture with what it shows."""

    caption: str
    png: bytes


def pictures_of(sides: Sides) -> list[Picture]:
    """Up to four synthetic patients evenly spread over the table, each beside a real one.

    Each row holds the synthetic image, the host at the same place where it is known, and a real
    patient's lesion, in every contrast, the masks outlined.
    """
    made = [s for s in sides.made if s.is_patient]
    real = [s for s in sides.chosen if s.is_patient]
    chosen = np.unique(np.linspace(0, len(made) - 1, min(_MOST, len(made))).astype(int))
    pictures = []
    for number, index in enumerate(chosen):
        subject, other = made[index], real[(number * len(real)) // len(chosen)]
        panels = []
        for contrast in sides.contrasts:
            panels += _panels(sides, subject, other, contrast)
        host = sides.host(subject)
        caption = f"{subject.id}, synthetic" + (f"; its host {host.id} at the same place" if host
                                                else "") + f"; {other.id}, real."  # fmt: skip
        pictures.append(Picture(caption, png_bytes(slice_row(panels), dpi=80)))
    return pictures


def _panels(sides: Sides, subject: Subject, other: Subject, contrast: str) -> list[Panel]:
    word = CONTRAST_WORDS[contrast]
    place, mask = _place(sides.synthetic, subject)
    panels = [_panel(f"synthetic {word}", sides.synthetic, subject, contrast, place, mask)]
    host = sides.host(subject)
    if host is not None:
        panels.append(_panel(f"host {word}", sides.sources, host, contrast, place, mask))
    place, mask = _place(sides.real, other)
    return [*panels, _panel(f"real {word}", sides.real, other, contrast, place, mask)]


def _panel(
    title: str, cohort: Cohort, subject: Subject, contrast: str, place: Point, mask: Volume
) -> Panel:
    volume = read_volume(cohort.path(subject, contrast))
    return Panel(title, volume, place, {"lesion mask": mask})


def _place(cohort: Cohort, subject: Subject) -> tuple[Point, Volume]:
    mask = read_mask(cohort.path(subject, "lesion"))
    where = np.argwhere(mask.array)
    middle = where[np.argmin(np.square(where - where.mean(0)).sum(1))]
    x, y, z = (float(v) for v in mask.grid.to_mm(middle))
    return (x, y, z), Volume(mask.array.astype(np.float32), mask.grid)
