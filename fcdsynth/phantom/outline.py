"""What an annotator draws in a head: truth, habits and the planted error, as patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fcdsynth.core.grid import Grid
from fcdsynth.phantom.annotator import MISSED_WHOLE, AnnotatorSpec
from fcdsynth.phantom.border import draw_border
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesion import Lesion, grow
from fcdsynth.phantom.misplaced import along_cortex, other_side
from fcdsynth.phantom.patch import Patch


def outlines(lesions: Sequence[Lesion], spec: AnnotatorSpec, head: Head) -> tuple[Patch, ...]:
    """What is outlined of a patient's lesions, in the T1w world.

    The errors ``holes`` and ``subject`` are not in it: slices are those of the FLAIR
    (`fcdsynth.phantom.patch.with_holes`), and another patient has another head.

    Args:
        lesions: The lesions, the main one first.
        spec: The annotator.
        head: The head they are in, before tissue labels were changed by them.

    Returns:
        One patch an outlined lesion; none where the whole was missed.
    """
    if spec.error == MISSED_WHOLE:
        return ()
    seen = list(lesions[:1] if spec.error == "missed" else lesions)
    if spec.false_lesion is not None:
        seen.append(grow(spec.false_lesion, head, tuple(lesions)))
    patches = [draw_border(lesion, spec, number) for number, lesion in enumerate(seen)]
    shift = np.asarray(spec.shift_mm)
    if spec.error == "shifted":
        shift = shift + along_cortex(lesions[0], spec.amount, spec.seed)
    if spec.error == "side":
        patches = [other_side(p, x, head) for p, x in zip(patches, seen, strict=True)]
    return tuple(_moved(patch, shift) for patch in patches)


def _moved(patch: Patch, shift_mm: np.ndarray) -> Patch:
    affine = patch.grid.matrix.copy()
    affine[:3, 3] += shift_mm
    return replace(patch, grid=Grid.of(patch.grid.shape, affine))
