"""Cells of coverage, lobe x side x size x site, and the cell that a lesion falls into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fcdsynth.core.subject import Subject
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.measure.lobes import LOBE_WORDS, LOBES, lobe_index

SIDES = ("L", "R")
_SIDE_WORDS = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class SizeBin:
    """Volumes from ``low_ml`` on and below ``high_ml``."""

    low_ml: float
    high_ml: float

    @property
    def label(self) -> str:
        """Short, for the head of a column."""
        if self.low_ml == 0:
            return f"< {self.high_ml:g} ml"
        if math.isinf(self.high_ml):
            return f"{self.low_ml:g}+ ml"
        return f"{self.low_ml:g}-{self.high_ml:g} ml"

    @property
    def words(self) -> str:
        """As it stands after the word lesion."""
        if self.low_ml == 0:
            return f"below {self.high_ml:g} ml"
        if math.isinf(self.high_ml):
            return f"of {self.low_ml:g} ml or more"
        return f"of {self.low_ml:g} to {self.high_ml:g} ml"


# Under the published law (median 2.8 ml, sigma_ln 1.25) the bins hold 20, 33, 33 and 15 % of all
# lesions. 3 ml is both about its median and the largest of the small lesions that were
# overlooked at first reading (0.13 to 3.09 ml; Besson and Bernasconi 2006); below 1 ml lies the
# typical lesion at the bottom of one sulcus, above 10 ml one that covers whole gyri.
SIZE_BINS = (SizeBin(0, 1), SizeBin(1, 3), SizeBin(3, 10), SizeBin(10, math.inf))


@dataclass(frozen=True)
class Cell:
    """One kind of lesion.

    Args:
        lobe: Code in `LOBES`.
        side: ``L`` or ``R``.
        size: Volumes that belong to it.
        site: Scanner site, empty when unknown.
    """

    lobe: str
    side: str
    size: SizeBin
    site: str

    @property
    def words(self) -> str:
        """The cell as it is said after the word lesion."""
        lobe = LOBE_WORDS[self.lobe] + ("" if self.lobe == "IL" else " lobe")
        place = f"{self.size.words} in the {_SIDE_WORDS[self.side]} {lobe}"
        return f"{place} at {site_name(self.site)}"


@dataclass(frozen=True)
class Placed:
    """A training lesion with its place.

    Args:
        subject: Subject id.
        volume_ml: Volume in cortex and white matter, ml.
        lobe: Lobe code, empty when unknown.
        side: ``L`` or ``R``.
        site: Scanner site, empty when unknown.
    """

    subject: str
    volume_ml: float
    lobe: str
    side: str
    site: str

    @property
    def cell(self) -> Cell | None:
        """The cell it falls into, None when its lobe is unknown."""
        if not self.lobe:
            return None
        size = next(b for b in SIZE_BINS if b.low_ml <= self.volume_ml < b.high_ml)
        return Cell(self.lobe, self.side, size, self.site)


def place_lesion(host: Host, lesion: Lesion, subject: Subject) -> Placed:
    """Give a training lesion its lobe and side: those of its seed, as for a drawn lesion.

    Where the host's MNI position is unknown the lobe is the one that the participants table
    names, when it names just one.

    Args:
        host: The patient's anatomy.
        lesion: The lesion.
        subject: The patient.
    """
    mni = host.to_mni(np.array([lesion.seed_vox]))
    if mni is not None:
        lobe = LOBES[int(lobe_index(mni[0]))]
    else:
        lobe = subject.lobe if subject.lobe in LOBES else ""
    side = "R" if lesion.right else "L"
    return Placed(subject.id, lesion.volume_ml, lobe, side, subject.site)


def all_cells(sites: Sequence[str]) -> tuple[Cell, ...]:
    """Every cell of a cohort with these sites."""
    return tuple(
        Cell(lobe, side, size, site)
        for site, lobe, side, size in product(sites, LOBES, SIDES, SIZE_BINS)
    )


def site_name(site: str) -> str:
    """A site's name for people."""
    return site or "an unknown site"
