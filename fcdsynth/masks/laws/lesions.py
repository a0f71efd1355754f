"""Training lesions: the pieces of a patient's mask, cut to what can be lesion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import read_mask
from fcdsynth.masks.host import Host, load_host
from fcdsynth.measure.components import label_components
from fcdsynth.measure.shape import Shape, shape_features

_LEAST_SHARE = 0.1
_LEAST_VOX = 4
_DEEP_MM = 4.0
_AT_VENTRICLE_MM = 3.0


@dataclass(frozen=True, eq=False)
class Lesion:
    """One piece of a training mask.

    Args:
        subject: Subject id.
        number: 0 for the largest piece of the subject, then 1 and on.
        vox: Its voxels in cortex and white matter, in array order, shape (n, 3).
        shape: Its shape features on the subject's grid.
        seed_vox: The voxel of it in the ribbon (else of the ribbon) nearest to its centroid.
        seed_rank: Depth rank of that voxel in [0, 1].
        right: Whether that voxel is on the right.
        outside: Share of the whole given mask that is neither cortex nor white matter.
        subtype: Histological subtype of the subject, or empty.
        to_ventricle: Whether it holds white matter away from the cortex and next to a ventricle,
            as a transmantle track does.
        outline: Which connected piece of the given mask it comes from, 1 for the largest: fluid
            left out may cut one outline into several lesions.
    """

    subject: str
    number: int
    vox: NDArray[np.int64]
    shape: Shape
    seed_vox: tuple[int, int, int]
    seed_rank: float
    right: bool
    outside: float
    subtype: str
    to_ventricle: bool = False
    outline: int = 1

    @property
    def volume_ml(self) -> float:
        """Volume in cortex and white matter, ml."""
        return self.shape.volume_ml


def load_patient(cohort: Cohort, subject: Subject) -> tuple[Host, tuple[Lesion, ...]]:
    """Read a patient: the anatomy without its lesion taken out, and the lesions.

    Raises:
        CohortError: If a file is absent, the anatomy has no cortex, or the mask holds neither
            cortex nor white matter.
        GeometryError: If the maps lie on different grids.
    """
    host = load_host(cohort, subject, with_lesion=False)
    mask = read_mask(cohort.path(subject, "lesion"))
    host.grid.require_same(mask.grid, f"{subject.id} lesion", "Prepare the subject again.")
    return host, lesions_of(host, mask.array, subject.subtype)


def lesions_of(host: Host, mask: NDArray[np.bool_], subtype: str = "") -> tuple[Lesion, ...]:
    """The 26-connected pieces of a mask within cortex and white matter, largest first.

    Annotators cross the fluid of a sulcus; drawn masks never do, and what is compared must be
    alike. Pieces below a tenth of the largest, or below 4 voxels, are crumbs of that cut.

    Args:
        host: The anatomy.
        mask: The mask on its grid.
        subtype: Subtype that the lesions get.

    Raises:
        CohortError: If nothing is left.
    """
    own = mask & tissue_of_lesions(host.tissue)
    if not own.any():
        raise CohortError(
            host.subject, f"a lesion mask of {int(mask.sum())} voxels, none in cortex or white "
            "matter", "a mask in cortex and white matter",
            "Look at mask and tissue labels, then mend or leave out the subject.",
        )  # fmt: skip
    outlines, _ = label_components(mask, host.grid)
    pieces, found = label_components(own, host.grid)
    least = max(_LEAST_SHARE * found[0].size_vox, min(_LEAST_VOX, found[0].size_vox))
    outside = 1 - float(own.sum() / mask.sum())
    lesions = []
    for number, piece in enumerate(p for p in found if p.size_vox >= least):
        inside = pieces.array == piece.label
        outline = int(outlines.array[inside][0])
        lesions.append(_lesion(host, inside, (number, outline), outside, subtype))
    return tuple(lesions)


def tissue_of_lesions(tissue: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that a drawn mask may hold: cortex and cerebral white matter."""
    return np.asarray((tissue == Tissue.CORTEX) | (tissue == Tissue.WHITE_MATTER))


def _lesion(
    host: Host, piece: NDArray[np.bool_], numbers: tuple[int, int], outside: float, subtype: str
) -> Lesion:
    vox = np.argwhere(piece)
    ribbon = host.ribbon_vox
    own = piece[tuple(ribbon.T)]
    index = np.flatnonzero(own) if own.any() else np.arange(len(ribbon))
    away = np.linalg.norm((ribbon[index] - vox.mean(axis=0)) * host.grid.spacing_mm, axis=1)
    chosen = int(index[int(np.argmin(away))])
    x, y, z = (int(v) for v in ribbon[chosen])
    return Lesion(
        host.subject, numbers[0], vox, shape_features(piece, host.grid, host.tissue, host.depth_mm),
        (x, y, z), float(host.ribbon_rank[chosen]), bool(host.right[x, y, z]), outside, subtype,
        _to_ventricle(host, vox), numbers[1],
    )  # fmt: skip


def _to_ventricle(host: Host, vox: NDArray[np.int64]) -> bool:
    at = tuple(vox.T)
    deep = vox[(host.tissue[at] == Tissue.WHITE_MATTER) & (host.cortex_mm[at] > _DEEP_MM)]
    if not len(deep) or not len(host.ventricle_vox):
        return False
    spacing = np.asarray(host.grid.spacing_mm)
    near_mm = max(_AT_VENTRICLE_MM, 1.001 * float(np.linalg.norm(spacing)))
    away, _ = cKDTree(deep * spacing).query(host.ventricle_vox * spacing,
                                            distance_upper_bound=near_mm)  # fmt: skip
    return bool(np.isfinite(away).any())


def mask_of(vox: NDArray[np.int64], grid: Grid) -> NDArray[np.bool_]:
    """Boolean array of a grid with some voxels set."""
    mask = np.zeros(grid.shape, dtype=bool)
    mask[tuple(vox.T)] = True
    return mask
