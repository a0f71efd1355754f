"""All lesions of one head with what was outlined of them, and their masks on the scans' grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.phantom.annotator import MISSED_WHOLE, NO_ERROR, AnnotatorSpec
from fcdsynth.phantom.appearance import Achieved
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesion import Lesion, grow
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.lesiontruth import LesionTruth, lobes_and_side, truth_of
from fcdsynth.phantom.outline import outlines
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.patch import Patch, to_mask, with_holes


@dataclass(frozen=True, eq=False)
class Illness:
    """The lesions of one patient; none for a control.

    Args:
        lesions: The lesions, the main one first.
        places: Lobes and side of each.
        annotator: How they were outlined, None for controls.
        drawn: What was outlined.
    """

    lesions: tuple[Lesion, ...]
    places: tuple[tuple[tuple[str, ...], str], ...]
    annotator: AnnotatorSpec | None
    drawn: tuple[Patch, ...]

    def truths(self, achieved: dict[str, list[Achieved]]) -> tuple[LesionTruth, ...]:
        """Records of the lesions, given their contrasts as painted on ``flair`` and ``t1w``."""
        return tuple(
            truth_of(*each)
            for each in zip(self.lesions, self.places, achieved["flair"], achieved["t1w"],
                            strict=True)
        )  # fmt: skip

    def thicken(self, parts: NDArray[np.uint8]) -> None:
        """Turn white matter of a head that became cortex into cortex, in place."""
        for lesion in self.lesions:
            thick = (lesion.parts == Part.WHITE) & (lesion.grey > 0.5)
            parts[lesion.box][thick] = Part.CORTEX

    def truth_on(self, grid: Grid) -> Volume:
        """Exact mask of all lesions on the T1w grid."""
        return to_mask([Patch(x.grid, x.share) for x in self.lesions], grid, np.eye(4))

    def outlined_on(self, grid: Grid, to_t1w: NDArray[np.float64]) -> Volume | None:
        """The annotator's mask on the FLAIR grid, None where nothing was outlined.

        Args:
            grid: Grid of the FLAIR.
            to_t1w: 4 x 4 matrix from the FLAIR's world to the T1w's. Another patient's mask
                comes through scanner space: it knows nothing of how this head moved.
        """
        if self.annotator is None or self.annotator.error == MISSED_WHOLE:
            return None
        foreign = self.annotator.error == "subject"
        mask = to_mask(self.drawn, grid, np.eye(4) if foreign else to_t1w)
        holes = self.annotator.error == "holes"
        return with_holes(mask, round(self.annotator.amount)) if holes else mask


def fall_ill(
    id: str, lesions: Sequence[LesionSpec], annotator: AnnotatorSpec | None, head: Head,
    other: Sequence[Patch] | None = None,
) -> Illness:  # fmt: skip
    """Grow a patient's lesions and outline them.

    Args:
        id: The subject, for messages.
        lesions: The lesions wanted, the main one first; empty for a control.
        annotator: Who outlines them, None for a control.
        head: The head.
        other: Outline of the other patient that a planted error ``subject`` asks for, see
            `outlined_elsewhere`.

    Raises:
        CohortError: If that outline is needed and not given.
        SettingsError: If the anatomy has no cortex where a lesion is wanted.
    """
    grown: tuple[Lesion, ...] = ()
    for spec in lesions:
        grown = (*grown, grow(spec, head, grown))
    if annotator is None:
        return Illness(grown, tuple(lobes_and_side(x, head) for x in grown), None, ())
    if annotator.error == "subject" and other is None:
        raise CohortError(
            id, "no outline of another patient", "one, because its annotator mixed up two",
            "Give the other patient.",
        )  # fmt: skip
    foreign = annotator.error == "subject" and other is not None
    drawn = tuple(other or ()) if foreign else outlines(grown, annotator, head)
    return Illness(grown, tuple(lobes_and_side(x, head) for x in grown), annotator, drawn)


def outlined_elsewhere(
    lesions: Sequence[LesionSpec], annotator: AnnotatorSpec, head: Head
) -> tuple[Patch, ...]:
    """Outline of a patient as it would have been drawn without a planted error.

    Args:
        lesions: The lesions, the main one first.
        annotator: Who outlined them.
        head: Their head.
    """
    plain = replace(annotator, error=NO_ERROR, amount=0.0, one_sided=False, other=0,
                    false_lesion=None)  # fmt: skip
    return fall_ill("", lesions, plain, head).drawn
