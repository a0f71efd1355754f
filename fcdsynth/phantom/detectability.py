"""Are the lesions too easy? What two trivial methods find of them at a given false rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import label_components

METHODS = ("flair_threshold", "asymmetry")
THRESHOLDS_SD = tuple(float(t) for t in np.arange(1.0, 6.01, 0.25))
_GRID_MM = 2.0
_SMOOTH_FWHM_MM: Mapping[str, float] = {"flair_threshold": 4.0, "asymmetry": 6.0}
_LEAST_ML = 0.1
_INSIDE = 0.1  # share of a cluster that must lie in the lesion
_CLASSES = (Tissue.CORTEX, Tissue.WHITE_MATTER)


@dataclass(frozen=True)
class Counts:
    """What one method marks in one subject at each of `THRESHOLDS_SD`.

    Args:
        method: One of `METHODS`.
        patient: Whether there is a lesion to be found.
        false_clusters: Clusters that do not lie in a lesion.
        found: Whether a cluster lies in a lesion.
    """

    method: str
    patient: bool
    false_clusters: tuple[int, ...]
    found: tuple[bool, ...]

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """The best operating point of one method.

    Args:
        share: Share of the patients whose lesion is found.
        n_patients: Number of patients.
        n_subjects: Number of subjects over which false clusters are averaged.
        threshold_sd: The threshold; None where no threshold finds any within the allowed rate.
        false_per_subject: Mean number of false clusters there.
    """

    share: float
    n_patients: int
    n_subjects: int
    threshold_sd: float | None
    false_per_subject: float


def _within(values: NDArray[np.float32], mask: NDArray[np.bool_], sigma_vox: float
            ) -> NDArray[np.float32]:  # fmt: skip
    """Gaussian mean over a mask alone, everywhere where the mask is near."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma_vox)
    total = ndimage.gaussian_filter(np.where(mask, values, 0).astype(np.float32), sigma_vox)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def _robust_z(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    inside = values[mask]
    median = np.median(inside)
    spread = 1.4826 * np.median(np.abs(inside - median))
    return np.asarray((values - median) / max(float(spread), 1e-6), np.float32)


def score_map(
    method: str, flair: NDArray[np.float32], tissue: NDArray[np.uint8], grid: Grid,
    reflection: ArrayLike,
) -> NDArray[np.float32]:  # fmt: skip
    """What a method looks at, in robust standard deviations of its own map; 0 outside.

    Both compare cortex with cortex and white matter with white matter, smoothed within their
    own class, and both are given the true labels and the true alignment, which no real method
    has: what they find is an upper bound.

    Args:
        method: ``flair_threshold`` (bright on FLAIR) or ``asymmetry`` (brighter than the mirrored
            place).
        flair: FLAIR on the grid, shape (x, y, z).
        tissue: True tissue labels.
        grid: The grid.
        reflection: 4 x 4 world matrix that takes a point to its mirrored place.
    """
    sigma = _SMOOTH_FWHM_MM[method] / 2.3548 / grid.spacing_mm[0]
    score = np.zeros(grid.shape, dtype=np.float32)
    for label in _CLASSES:
        mask = tissue == label
        if not mask.any():
            continue
        z = _robust_z(_within(flair, mask, sigma), mask)
        if method == "asymmetry":
            other = resample(Volume(z, grid), grid, 1, reflection, outside=np.nan).array
            z = np.nan_to_num(z - other)
        score[mask] = z[mask]
    inside = np.isin(tissue, _CLASSES)
    if not inside.any():
        return score
    return np.where(inside, _robust_z(score, inside), 0).astype(np.float32)


def count(
    flair: Volume, tissue: Volume, lesion: Volume | None, flair_to_t1w: ArrayLike,
    reflection: ArrayLike,
) -> tuple[Counts, ...]:  # fmt: skip
    """Run both methods on one subject, on a grid of 2 mm.

    Args:
        flair: FLAIR as scanned.
        tissue: True tissue labels on the T1w grid.
        lesion: True mask on the T1w grid, or None.
        flair_to_t1w: 4 x 4 matrix from the FLAIR's world to the T1w's.
        reflection: 4 x 4 matrix that mirrors the T1w's world about the head's mid-plane.
    """
    brain = tissue.grid.to_mm(np.argwhere(tissue.array > 0))
    spacing = max(_GRID_MM, min(tissue.grid.spacing_mm))
    grid = Grid.covering(brain.min(axis=0) - 3 * spacing, brain.max(axis=0) + 3 * spacing, spacing)
    labels = resample(tissue, grid, 0).array
    image = resample(flair, grid, 1, np.linalg.inv(np.asarray(flair_to_t1w, dtype=float))).array
    mask = resample_mask(lesion, grid).array if lesion is not None else np.zeros(grid.shape, bool)
    result = []
    for method in METHODS:
        score = score_map(method, image, labels, grid, reflection)
        false, found = [], []
        for threshold in THRESHOLDS_SD:
            clusters, parts = label_components(score > threshold, grid, _LEAST_ML)
            inside = np.bincount(clusters.array[mask], minlength=len(parts) + 1)[1:]
            hits = [n >= _INSIDE * part.size_vox for n, part in zip(inside, parts, strict=True)]
            found.append(bool(any(hits)))
            false.append(len(parts) - int(sum(hits)))
        result.append(Counts(method, lesion is not None, tuple(false), tuple(found)))
    return tuple(result)


def best_found(every: Sequence[Counts], method: str, false_per_subject: float = 1.0) -> Found:
    """Largest share of lesions a method finds with no more than a number of false clusters.

    The threshold is chosen on the same subjects, in the method's favour.

    Args:
        every: Counts of all subjects.
        method: One of `METHODS`.
        false_per_subject: Mean number of false clusters a subject that is allowed.
    """
    own = [c for c in every if c.method == method]
    patients = [c for c in own if c.patient]
    best = Found(0.0, len(patients), len(own), None, 0.0)
    if not patients:
        return best
    for i, threshold in enumerate(THRESHOLDS_SD):
        false = float(np.mean([c.false_clusters[i] for c in own]))
        share = float(np.mean([c.found[i] for c in patients]))
        if false <= false_per_subject and share > best.share:
            best = Found(share, len(patients), len(own), threshold, false)
    return best
