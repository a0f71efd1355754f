"""The labels of one brain: final mask, tissues, lobes and sides, by the atlas or as given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.hull import closed_brain
from fcdsynth.measure.lobes import RIGHT
from fcdsynth.measure.warp import warp_to
from fcdsynth.prepare.given import take_labels
from fcdsynth.prepare.regions import label_lobes
from fcdsynth.prepare.shares import average_head, shares_at
from fcdsynth.prepare.template import Placement
from fcdsynth.prepare.tissue import classify

BY_ATLAS = "T1w intensities and atlas"
BY_PLACE = "place in MNI space"
_WARP_MM = 3.0


@dataclass(frozen=True, eq=False)
class Labelling:
    """The labels of one brain on the prepared grid.

    Args:
        brain: Mask: the brain and the fluid in its sulci, or the user's own.
        tissue: Labels of `fcdsynth.core.tissue`, above 0 exactly inside the mask.
        lobes: Labels of `fcdsynth.measure.lobes`; None where neither a trusted way into MNI space
            nor given labels tell them.
        tissue_from: What the tissue labels rest on.
        lobes_from: What the lobes rest on; None where there are none.
        jacobian_min: Smallest volume change of the map into MNI space; None where none was made.
    """

    brain: Volume
    tissue: Volume
    lobes: NDArray[np.uint8] | None
    tissue_from: str
    lobes_from: str | None
    jacobian_min: float | None

    def quality(self) -> dict[str, Any]:
        """Where the labels come from, and how much there is of each tissue."""
        voxels = np.bincount(self.tissue.array.ravel(), minlength=len(Tissue))
        ml = voxels * self.tissue.grid.voxel_ml
        least = self.jacobian_min
        return {
            "tissue_from": self.tissue_from,
            "lobes_from": self.lobes_from,
            "mni_warp_jacobian_min": None if least is None else round(least, 3),
            "tissue_ml": {kind.name.lower(): round(float(ml[kind]), 1) for kind in Tissue if kind},
        }


def _places(
    t1w: Volume, brain: Volume, placement: Placement
) -> tuple[NDArray[np.float32], float | None]:
    """Place of every voxel in MNI space; by a diffeomorphic map where the affine is trusted."""
    if not placement.trusted:
        return _moved(t1w.grid, placement.t1w_to_mni), None
    stripped = Volume(np.where(brain.array, t1w.array, 0).astype(np.float32), t1w.grid)
    spacing = max(_WARP_MM, *t1w.grid.spacing_mm)
    warp = warp_to(stripped, average_head(), placement.t1w_to_mni, spacing)
    return warp.on(t1w.grid), warp.smallest_jacobian()


def _moved(grid: Grid, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    both = matrix @ grid.matrix
    return (index @ both[:3, :3].T + both[:3, 3]).astype(np.float32)


def _filled(tissue: NDArray[np.uint8], mask: Volume) -> Volume:
    """Tissue cut to a mask; what has no tissue in it is fluid."""
    fluid = mask.array & (tissue == Tissue.BACKGROUND)
    inside = np.where(fluid, np.uint8(Tissue.CSF), tissue)
    return Volume(np.where(mask.array, inside, 0).astype(np.uint8), mask.grid)


def label_brain(
    t1w: Volume, brain: Volume, placement: Placement, subject: str, own_mask: bool = False
) -> Labelling:
    """Label a brain from its intensities and the atlas.

    Args:
        t1w: Bias-corrected T1w on the prepared grid.
        brain: First mask on the same grid.
        placement: Its way into MNI space.
        subject: Who it is, for messages.
        own_mask: Whether the mask is the user's: then it stays as it is.

    Raises:
        CohortError: If the brain has no contrast.
    """
    sure = placement.trusted
    places, jacobian = _places(t1w, brain, placement)
    whole = own_mask or not sure
    found = classify(t1w, brain, shares_at(places, sure), subject, whole)
    tissue = _filled(found, brain if whole else closed_brain(Volume(found, t1w.grid), brain))
    lobes = label_lobes(tissue.array, places) if sure else None
    return Labelling(Volume(tissue.array > 0, t1w.grid), tissue, lobes, BY_ATLAS,
                     BY_PLACE if sure else None, jacobian)  # fmt: skip


def adopt_labels(
    labels: Volume, name: str, t1w: Volume, brain: Volume, placement: Placement, subject: str,
    own_mask: bool = False,
) -> Labelling:  # fmt: skip
    """Label a brain by another tool's label map.

    Its gyri tell the lobes where it names them; else lobes go by place and sides by the map.

    Args:
        labels: FreeSurfer-style label map in the T1w's world.
        name: What to call it in the quality record.
        t1w: Bias-corrected T1w on the prepared grid.
        brain: First mask on the same grid.
        placement: Its way into MNI space.
        subject: Who it is, for messages.
        own_mask: Whether the mask is the user's: then it stays as it is.

    Raises:
        CohortError: If the map lies elsewhere than the brain.
    """
    given = take_labels(labels, brain, subject)
    whole = brain if own_mask else closed_brain(Volume(given.tissue, t1w.grid))
    tissue = _filled(given.tissue, whole)
    mask = Volume(tissue.array > 0, t1w.grid)
    if given.lobes is not None:
        lobes = np.where(mask.array, given.lobes, 0).astype(np.uint8)
        return Labelling(mask, tissue, lobes, name, name, None)
    if not placement.trusted:
        return Labelling(mask, tissue, None, name, None, None)
    places, jacobian = _places(t1w, brain, placement)
    lobes = label_lobes(tissue.array, places)
    cerebral = lobes > 0
    lobes[cerebral] = lobes[cerebral] % RIGHT + given.side[cerebral]
    return Labelling(mask, tissue, lobes, name, f"{BY_PLACE}, sides of {name}", jacobian)
