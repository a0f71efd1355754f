"""Label maps that another tool made: found, checked, and brought to the prepared grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.resample import resample
from fcdsynth.core.tissue import CEREBRAL, Tissue
from fcdsynth.core.volume import Volume, read_labels
from fcdsynth.measure.lobes import RIGHT
from fcdsynth.prepare.freesurfer import UNKNOWN, to_lobe, to_side, to_tissue

# By what they tell, best first: cortex by gyri, whole brains, then whatever calls itself one.
_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"aparc\.DKTatlas\+aseg(\.deep|\.mapped)?(\.withCC)?$",
        r"aparc\+aseg$|desc-aparcaseg_dseg$",
        r"synthseg",
        r"(^|_)aseg$|desc-aseg_dseg$",
        r"_dseg$",
    )
)
_ENDING = re.compile(r"\.(nii\.gz|nii|mgz)$")
_OTHER_SPACE = re.compile(r"_space-(?!T1w_)")
_LEAST_OVERLAP = 0.8
_MOST_STRANGE = 0.02
# Litres of a cerebrum with cortex and white matter on each side, wide enough for any patient.
_SIDE_ML = (60.0, 500.0)
_WHOLE_ML = (500.0, 2200.0)


@dataclass(frozen=True, eq=False)
class Given:
    """A given label map on the prepared grid.

    Args:
        tissue: Tissue labels, 0 where the map has none; shape (x, y, z).
        lobes: Lobe and side labels where the map names gyri, else None.
        side: 0 left, `RIGHT` right, for voxels of `CEREBRAL`.
    """

    tissue: NDArray[np.uint8]
    lobes: NDArray[np.uint8] | None
    side: NDArray[np.uint8]


def find_labels(derivatives: Path, subject: str) -> list[Path]:
    """Files below a derivatives folder that look like a subject's label maps, best first.

    FreeSurfer's and FastSurfer's ``mri`` folders, SynthSeg's output, ``*_dseg`` in T1w space.
    A phantom's truth is never among them.
    """
    found: dict[Path, int] = {}
    for pattern in (f"**/{subject}/mri/*", f"**/{subject}_*/mri/*", f"**/{subject}_*"):
        for path in derivatives.glob(pattern):
            name = _ENDING.sub("", path.name)
            below = path.relative_to(derivatives).parts
            if name == path.name or "truth" in below or _OTHER_SPACE.search(name):
                continue
            rank = next((n for n, known in enumerate(_NAMES) if known.search(name)), None)
            if rank is not None:
                found[path] = rank
    return sorted(found, key=lambda path: (found[path], str(path)))


def objection(path: Path) -> str | None:
    """Why a file cannot serve as label map, or None: its values and volumes are judged."""
    try:
        labels = read_labels(path)
    except FcdsynthError as error:
        return f"{error.found} (expected {error.expected})"
    tissue, side = to_tissue(labels.array), to_side(labels.array)
    strange = float((tissue == UNKNOWN).sum()) / max(float((labels.array != 0).sum()), 1.0)
    if strange > _MOST_STRANGE:
        return f"{strange:.0%} of its labels are none of FreeSurfer's"
    low, high = _SIDE_ML
    for name, number in (("left", 0), ("right", RIGHT)):
        for kind in CEREBRAL:
            ml = float(((tissue == kind) & (side == number)).sum()) * labels.grid.voxel_ml
            if not low <= ml <= high:
                what = kind.name.lower().replace("_", " ")
                return f"{ml:.0f} ml of {name} {what}, not {low:.0f} to {high:.0f} ml"
    ml = float(((tissue > Tissue.CSF) & (tissue != UNKNOWN)).sum()) * labels.grid.voxel_ml
    if not _WHOLE_ML[0] <= ml <= _WHOLE_ML[1]:
        return f"a brain of {ml:.0f} ml, not {_WHOLE_ML[0]:.0f} to {_WHOLE_ML[1]:.0f} ml"
    return None


def take_labels(labels: Volume, brain: Volume, subject: str) -> Given:
    """Bring a FreeSurfer-style label map to the prepared grid.

    Each voxel takes the tissue that fills most of it.

    Args:
        labels: On any grid in the T1w's world.
        brain: Brain mask on the prepared grid, to see whether both show one head.
        subject: Who it is, for messages.

    Raises:
        CohortError: If the map does not lie on this brain.
    """
    grid = brain.grid
    source = to_tissue(labels.array)
    source[source == UNKNOWN] = Tissue.BACKGROUND
    best = np.full(grid.shape, 0.5, dtype=np.float32)
    tissue = np.zeros(grid.shape, dtype=np.uint8)
    covered = np.zeros(grid.shape, dtype=np.float32)
    shares = {}
    for kind in Tissue:
        if kind is not Tissue.BACKGROUND:
            share = resample(Volume((source == kind).astype(np.float32), labels.grid), grid).array
            covered += share
            shares[kind] = share
    best = np.maximum(1 - covered, 0)
    for kind, share in shares.items():
        more = share > best
        tissue[more] = kind
        best = np.where(more, share, best)
    solid = tissue > Tissue.CSF
    overlap = float((solid & brain.array).sum()) / max(float(solid.sum()), 1.0)
    if overlap < _LEAST_OVERLAP or float(solid.sum()) < 0.4 * float(brain.array.sum()):
        raise CohortError(
            f"{subject} labels", f"{overlap:.0%} of the label map's brain inside the brain mask",
            f"at least {_LEAST_OVERLAP:.0%}, and a whole brain",
            "See whether the label map belongs to this T1w and lies in its world; move it out of "
            "derivatives to do without.",
        )  # fmt: skip
    near = resample(labels, grid, 0).array
    cerebral = np.isin(tissue, CEREBRAL)
    side = _filled(to_side(near), UNKNOWN, cerebral)
    lobes = to_lobe(near)
    named = (lobes > 0) & (tissue == Tissue.CORTEX)
    if named.sum() < 0.5 * (tissue == Tissue.CORTEX).sum():
        return Given(tissue, None, side)
    out = np.zeros(grid.shape, dtype=np.uint8)
    for number in (0, RIGHT):
        here = cerebral & (side == number)
        own = np.where(named & here & ((lobes > RIGHT) == (number == RIGHT)), lobes, 0)
        out[here] = _filled(own.astype(np.uint8), 0, here)[here]
    return Given(tissue, out, side)


def _filled(values: NDArray[np.uint8], none: int, where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Values with gaps inside a region filled from the nearest voxel that has one."""
    gaps = where & (values == none)
    if not gaps.any() or (values == none).all():
        return values
    nearest = ndimage.distance_transform_edt(
        values == none, return_distances=False, return_indices=True
    )
    filled = values.copy()
    filled[gaps] = values[tuple(axis[gaps] for axis in nearest)]
    return filled
