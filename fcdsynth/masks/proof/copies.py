"""The search for copies: each mask's best fit with a real one, against what real ones reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.proof.examples import Example

LEAST_ML = 0.3  # below, a body has too few 2 mm cells to be told from another
_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Match:
    """The real masks that one mask is most like.

    Args:
        name: The mask.
        alike: Name of the real mask most like in shape, wherever it lies; empty where none is.
        shape_dice: Dice with it, centred and axis along axis, mirrored or not.
        nearby: Name of the real mask that overlaps most in MNI, empty where none does or the
            place is unknown.
        place_dice: Dice with it in MNI, mirrored or not, 0 where unknown.
        donor: Whether the mask alike belongs to the donor of this one's shape.
    """

    name: str
    alike: str
    shape_dice: float
    nearby: str
    place_dice: float
    donor: bool


@dataclass(frozen=True)
class Copies:
    """The search for copies of real masks.

    Args:
        drawn: Match of each drawn mask among all real ones.
        real: Match of each real mask among those of other patients.
        shape_limit: Highest ``shape_dice`` of a real mask.
        place_limit: Highest ``place_dice`` of a real mask.
        left_out: Number of masks below 0.3 ml, which are not searched.
    """

    drawn: tuple[Match, ...]
    real: tuple[Match, ...]
    shape_limit: float
    place_limit: float
    left_out: int

    @property
    def flagged(self) -> tuple[Match, ...]:
        """Drawn masks nearer to a real one than any two patients' masks are, the nearest first."""
        found = [m for m in self.drawn
                 if m.shape_dice > self.shape_limit or m.place_dice > self.place_limit]  # fmt: skip
        return tuple(sorted(found, key=lambda m: (-m.shape_dice, m.name)))

    @property
    def expected(self) -> float:
        """About how many would exceed the highest real shape Dice if they were real ones.

        The highest of m + 1 exchangeable values is the new one with probability 1 / (m + 1).
        """
        return len(self.drawn) / (len(self.real) + 1)

    def quantile(self, drawn: bool) -> float:
        """99 % quantile of the shape Dice of the drawn or the real masks."""
        dice = [m.shape_dice for m in (self.drawn if drawn else self.real)]
        return float(np.quantile(dice, _QUANTILE))


def find_copies(drawn: Sequence[Example], real: Sequence[Example]) -> Copies | None:
    """Look for the nearest real mask of every drawn and of every real one.

    Args:
        drawn: Drawn masks.
        real: Real masks.

    Returns:
        What was found; None where fewer than two patients have a mask of 0.3 ml or more, or
        no drawn mask is that large.
    """
    total = len(drawn) + len(real)
    drawn, real = ([e for e in side if e.volume_ml >= LEAST_ML] for side in (drawn, real))
    if not drawn or len({e.group for e in real}) < 2:
        return None
    gallery = Gallery.of(
        [e.points_mm for e in real],
        [e.group for e in real],
        [e.mni_points_mm for e in real],
    )
    # What a gallery calls a subject is here a group: pieces of one patient are no evidence.
    found: dict[bool, list[Match]] = {True: [], False: []}
    for e in (*drawn, *real):
        near = gallery.nearest(e.points_mm, e.mni_points_mm, "" if e.drawn else e.group)
        found[e.drawn].append(
            Match(
                e.name, _name_of(real, near.mask), near.aligned_dice,
                _name_of(real, near.placed_mask), near.placed_dice,
                e.drawn and e.group == near.subject,
            )
        )  # fmt: skip
    shape = max(m.shape_dice for m in found[False])
    place = max(m.place_dice for m in found[False])
    left_out = total - len(drawn) - len(real)
    return Copies(tuple(found[True]), tuple(found[False]), shape, place, left_out)


def _name_of(real: Sequence[Example], number: int) -> str:
    """Name of a mask by its number in the gallery, empty where there is none."""
    return real[number].name if number >= 0 else ""
