"""Everything that is measured on one subject, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import CEREBRAL, INTENSITY_PER_SD, Tissue
from fcdsynth.measure.ring import ring_contrast
from fcdsynth.synthesis.crops import around, cut
from fcdsynth.synthesis.proof.anatomy import agreement, reclassified
from fcdsynth.synthesis.proof.encoder import encoder_features
from fcdsynth.synthesis.proof.fidelity import fidelity
from fcdsynth.synthesis.proof.hand import head_features, lesion_features
from fcdsynth.synthesis.proof.spectrum import nyquist_shares
from fcdsynth.synthesis.proof.surroundings import Surroundings, reach_mm
from fcdsynth.synthesis.regions import Spacing, near
from fcdsynth.training.data import Arrays, load_arrays

_CROP_MM, _LEAST_CROP, _MOST_CROP = 48.0, 24, 64
_SAME_MASK = 0.99
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Job:
    """What is to be measured.

    Args:
        cohort: The table the subject belongs to.
        subject: The subject.
        contrasts: File keys of the image channels.
        side: Side of the lesion crop, voxels.
        encoder: Whether to compute features of deepbet's encoder.
        hosts: The table of the host, for a synthetic subject with a known one.
        host: The host.
    """

    cohort: Cohort
    subject: Subject
    contrasts: tuple[str, ...]
    side: int
    encoder: bool
    hosts: Cohort | None = None
    host: Subject | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on one subject.

    Args:
        id: Subject id.
        head: Features of the whole brain by hand.
        encoder: Features of the encoder, None without.
        lesion: Features of the lesion, None without a lesion in cortex or white matter.
        contrast: Lesion against ring by contrast, robust SD of the brain; empty as ``lesion``.
        crop: Prepared intensities around the lesion, shape (contrast, side, side, side).
        residual: The same crop as differences from the ring's tissues, 0 away from the lesion.
        dice: Agreement with the labels: ``cortex``, ``white`` and, of a synthetic subject,
            ``cortex_place`` within the redrawn region outside the lesion; not of one drawn whole.
        host_dice: The same of the host.
        pair: Fidelity to the host by ``t1w_ssim_inside`` and so on; empty where the host does
            not show the same thing there. Of one drawn whole, in the brain outside the lesion.
        spectrum: ``t1w_x`` and so on: log2 of the share of high frequencies over the host's.
        host_spectrum: The host's shares at the same place.
        change_outside: Largest difference from the host outside the region; NaN without host,
            and where there is no outside.
        whole: Whether the whole brain was drawn (full mode), and not a region of it.
    """

    id: str
    head: NDArray[np.float64]
    encoder: NDArray[np.float64] | None
    lesion: NDArray[np.float64] | None
    contrast: Mapping[str, float]
    crop: NDArray[np.float16] | None
    residual: NDArray[np.float16] | None
    dice: Mapping[str, float]
    host_dice: Mapping[str, float]
    pair: Mapping[str, float]
    spectrum: Mapping[str, float]
    host_spectrum: Mapping[str, float]
    change_outside: float
    whole: bool = False


def crop_side(spacing_mm: Spacing) -> int:
    """Side of the lesion crops in voxels: 48 mm, but 24 to 64 voxels, a multiple of 8."""
    return int(np.clip(8 * round(_CROP_MM / min(spacing_mm) / 8), _LEAST_CROP, _MOST_CROP))


def measure(job: Job) -> Measured:
    """Measure one subject.

    Raises:
        CohortError: If a file is absent or unreadable, or there is no brain.
        GeometryError: If the subject's files, or its host's, lie on different grids.
    """
    arrays, grid = load_arrays(job.cohort, job.subject, _keys(job.subject, job.contrasts))
    tissue, spacing = arrays["tissue"], grid.spacing_mm
    if not (tissue != Tissue.BACKGROUND).any():
        raise CohortError(job.subject.id, "an empty tissue map", "labels of a brain",
                          "Run fcdsynth prepare again.")  # fmt: skip
    image = _stack(arrays, job.contrasts)
    lesion = (arrays["lesion"] > 0) & np.isin(tissue, CEREBRAL)
    found = reclassified(image[0], tissue)
    brain = tissue != Tissue.BACKGROUND
    dice = agreement(found, tissue, brain)
    whole = bool((arrays["region"][brain] > 0).all())
    beside: dict[str, Any] = {"host_dice": {}, "pair": {}, "spectrum": {}, "host_spectrum": {},
                              "change_outside": float("nan")}  # fmt: skip
    if job.host is not None and job.hosts is not None:
        theirs, other = load_arrays(job.hosts, job.host, _keys(job.host, job.contrasts))
        grid.require_same(other, f"{job.subject.id} and its host {job.host.id}",
                          "Give the cohort that the synthetic one was drawn in.")  # fmt: skip
        # A lesion's labels may be thicker than the host's: each image by its own.
        host_found = reclassified(theirs[job.contrasts[0]], theirs["tissue"])
        host_dice = agreement(host_found, theirs["tissue"], brain)
        if not whole:
            # A lesion's rim is redrawn too; what is drawn there is anatomy.
            place = (arrays["region"] > 0) & ~lesion
            dice |= {f"{k}_place": v for k, v in agreement(found, tissue, place).items()}
            theirs_place = agreement(host_found, theirs["tissue"], place)
            host_dice |= {f"{k}_place": v for k, v in theirs_place.items()}
        beside = _beside(job, arrays, theirs, spacing, whole) | {"host_dice": host_dice}
    shown = _lesion(image, tissue, lesion, spacing, job) if lesion.any() else {
        "lesion": None, "contrast": {}, "crop": None, "residual": None}  # fmt: skip
    return Measured(
        job.subject.id,
        head_features(image, tissue, spacing),
        encoder_features(image[0], brain) if job.encoder else None,
        dice=dice, whole=whole, **shown, **beside,
    )  # fmt: skip


def _keys(subject: Subject, contrasts: tuple[str, ...]) -> list[str]:
    return [*contrasts, "tissue", "lesion", "region"]


def _stack(arrays: Arrays, contrasts: tuple[str, ...]) -> NDArray[np.float32]:
    return np.stack([arrays[key] for key in contrasts]).astype(np.float32)


def _lesion(
    image: NDArray[np.float32], tissue: NDArray[Any], lesion: NDArray[np.bool_], spacing: Spacing,
    job: Job,
) -> dict[str, Any]:  # fmt: skip
    around_it = Surroundings.of(image, tissue, lesion, spacing)
    ring = near(lesion, reach_mm(spacing), spacing)
    residual = np.zeros(image.shape, dtype=np.float32)
    residual[(slice(None), *around_it.box)] = np.nan_to_num(around_it.residual)
    size = (job.side, job.side, job.side)
    corner = around(np.rint(np.argwhere(lesion).mean(0)), size)
    return {
        "lesion": lesion_features(image, tissue, lesion, spacing),
        "contrast": {
            key: ring_contrast(one, lesion, ring, tissue) / INTENSITY_PER_SD
            for key, one in zip(job.contrasts, image, strict=True)
        },
        "crop": cut(image, corner, size).astype(np.float16),
        "residual": cut(residual, corner, size).astype(np.float16),
    }  # fmt: skip


def _beside(
    job: Job, arrays: Arrays, host: Arrays, spacing: Spacing, drawn_whole: bool
) -> dict[str, Any]:
    region, lesion = arrays["region"] > 0, arrays["lesion"] > 0
    brain = arrays["tissue"] != Tissue.BACKGROUND
    whole = region if region.any() else brain
    theirs = host["lesion"] > 0
    # The host shows the same thing where its own lesion was redrawn, or a healthy place as such.
    own = _overlap(lesion, theirs) >= _SAME_MASK if lesion.any() else not (region & theirs).any()
    inside = lesion if lesion.any() else region
    if drawn_whole:
        own, inside = True, brain & ~lesion & ~theirs
    pair: dict[str, float] = {}
    spectrum: dict[str, float] = {}
    shares: dict[str, float] = {}
    change = 0.0
    for key in job.contrasts:
        made, real = arrays[key], host[key]
        if own and inside.any():
            numbers = fidelity(made, real, inside, brain, spacing)
            pair |= {f"{key}_{name}": value for name, value in numbers.items()
                     if name.endswith("_inside") or not drawn_whole}  # fmt: skip
        before, after = nyquist_shares(real, whole), nyquist_shares(made, whole)
        for axis, a, b in zip(AXES, before, after, strict=True):
            shares[f"{key}_{axis}"] = float(a)
            spectrum[f"{key}_{axis}"] = float(np.log2(b / a)) if a > 0 and b > 0 else float("nan")
        change = max(change, float(np.abs(made - real)[~whole].max(initial=0.0)))
    return {"pair": pair, "spectrum": spectrum, "host_spectrum": shares,
            "change_outside": float("nan") if drawn_whole else change}  # fmt: skip


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 0.0
