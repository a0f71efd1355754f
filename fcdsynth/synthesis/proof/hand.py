"""Named features of lesion crops and of whole brains, by arithmetic alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import CEREBRAL, INTENSITY_MEDIAN, INTENSITY_PER_SD, Tissue
from fcdsynth.synthesis.proof.surroundings import SHELLS, Surroundings
from fcdsynth.synthesis.regions import Spacing, box_around

_WORDS: Mapping[int, str] = {
    Tissue.CSF: "csf", Tissue.CORTEX: "cortex", Tissue.WHITE_MATTER: "white",
}  # fmt: skip
_LESION = ("mean", "sd", "gradient", "contrast_cortex", "contrast_white", "rough_fine",
           "rough_coarse", *(f"shell_{name}" for name in SHELLS))  # fmt: skip
_HEAD = ("mean_csf", *(f"{what}_{_WORDS[t]}" for t in CEREBRAL
                       for what in ("mean", "sd", "gradient", "rough_fine",
                                    "rough_coarse")))  # fmt: skip
_MARGIN_VOX = 7  # the coarser Gaussian of 2 voxels is cut at 3 SD


def lesion_names(contrasts: Sequence[str]) -> tuple[str, ...]:
    """Names of `lesion_features`, in their order."""
    names = [f"{c}_{name}" for c in contrasts for name in _LESION]
    return (*names, *(["relation_lesion", "relation_ring"] if len(contrasts) > 1 else []))


def head_names(contrasts: Sequence[str]) -> tuple[str, ...]:
    """Names of `head_features`, in their order."""
    names = [f"{c}_{name}" for c in contrasts for name in _HEAD]
    return (*names, *([f"relation_{_WORDS[t]}" for t in CEREBRAL] if len(contrasts) > 1 else []))


def lesion_features(
    image: NDArray[Any], tissue: NDArray[Any], lesion: NDArray[Any], spacing_mm: Spacing
) -> NDArray[np.float64]:
    """What a lesion looks like, see `lesion_names`; only its cortex and white matter counts.

    Per contrast: mean and SD inside (robust SD of the brain from its median); gradient magnitude
    inside (SD per mm); contrast against the ring in either tissue; roughness, the mean absolute
    difference from the image smoothed by 1 voxel (fine) and from there to 2 voxels (coarse); mean
    residual in four shells across the border. Of both contrasts: correlation of their residuals
    inside and in the ring. NaN where there are no voxels.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask, not empty, same shape.
        spacing_mm: Voxel sizes in mm.
    """
    around = Surroundings.of(image, tissue, lesion, spacing_mm)
    wide = box_around(lesion, (_MARGIN_VOX,) * 3)
    labels = tissue[wide]
    counted = lesion[wide].astype(bool) & np.isin(labels, CEREBRAL)
    values: list[float] = []
    for number, contrast in enumerate(image):
        cut = _in_sd(contrast[wide], labels)
        fine, coarse = _roughness(cut, labels)
        slope = _gradient(cut, spacing_mm)
        inside = cut[counted]
        values += [_mean(inside), float(inside.std()) if inside.size else np.nan]
        values += [_mean(slope[counted])]
        residual = around.residual[number]
        values += [_mean(residual[around.lesion & (around.tissue == t)]) for t in CEREBRAL]
        values += [_mean(fine[counted]), _mean(coarse[counted])]
        values += [_mean(residual[around.shells[name]]) for name in SHELLS]
    if len(image) > 1:
        first, second = around.residual[:2]
        values += [_related(first[part], second[part]) for part in (around.lesion, around.ring)]
    return np.array(values)


def head_features(
    image: NDArray[Any], tissue: NDArray[Any], spacing_mm: Spacing
) -> NDArray[np.float64]:
    """What a whole brain looks like, see `head_names`; units as in `lesion_features`.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        spacing_mm: Voxel sizes in mm.
    """
    box = box_around(tissue, (0, 0, 0))
    labels = tissue[box]
    values: list[float] = []
    for contrast in image:
        cut = _in_sd(contrast[box], labels)
        fine, coarse = _roughness(cut, labels)
        slope = _gradient(cut, spacing_mm)
        values.append(_mean(cut[labels == Tissue.CSF]))
        for t in CEREBRAL:
            here = labels == t
            values += [_mean(cut[here]), float(cut[here].std()) if here.any() else np.nan]
            values += [_mean(slope[here]), _mean(fine[here]), _mean(coarse[here])]
    if len(image) > 1:
        for t in CEREBRAL:
            here = labels == t
            values.append(_related(image[0][box][here], image[1][box][here]))
    return np.array(values)


def _in_sd(cut: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    scaled = (np.asarray(cut, dtype=np.float64) - INTENSITY_MEDIAN) / INTENSITY_PER_SD
    return np.where(labels == Tissue.BACKGROUND, 0.0, scaled)


def _roughness(
    cut: NDArray[np.float64], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    brain = (labels != Tissue.BACKGROUND).astype(np.float64)
    smooth = []
    for sigma in (1.0, 2.0):
        # Divided by the smoothed brain: the black outside must not count as a rough border.
        weight = ndimage.gaussian_filter(brain, sigma, mode="constant", truncate=3.0)
        blurred = ndimage.gaussian_filter(cut * brain, sigma, mode="constant", truncate=3.0)
        smooth.append(blurred / np.maximum(weight, 1e-6))
    return np.abs(cut - smooth[0]), np.abs(smooth[0] - smooth[1])


def _gradient(cut: NDArray[np.float64], spacing_mm: Spacing) -> NDArray[np.float64]:
    if min(cut.shape) < 2:
        return np.full(cut.shape, np.nan)
    return np.asarray(np.sqrt(sum(g**2 for g in np.gradient(cut, *spacing_mm))))


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _related(first: NDArray[Any], second: NDArray[Any]) -> float:
    known = ~(np.isnan(first) | np.isnan(second))
    a, b = first[known].astype(float), second[known].astype(float)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
