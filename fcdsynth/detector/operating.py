"""The operating point: temperature, threshold and smallest cluster, from validation subjects."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize_scalar
from scipy.special import logit

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.detector.infer import probability
from fcdsynth.detector.scores import candidates_in, fit_scores
from fcdsynth.measure.components import label_components

SWEEP = "operating_sweep.csv"
THRESHOLDS = tuple(round(float(1 / (1 + np.exp(-x))), 4) for x in np.arange(-4, 3.6, 0.5))
VOLUMES_ML = (0.05, 0.1, 0.2, 0.4)
_RANDOM_VOXELS = 20_000
_HIT_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a model says about a validation subject, beside what an annotator drew.

    Args:
        id: Subject id.
        logits: (x, y, z), float32.
        brain: (x, y, z), bool.
        lesion: (x, y, z), bool; empty in controls.
        grid: Their grid.
    """

    id: str
    logits: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    grid: Grid


@dataclass(frozen=True)
class SweepRow:
    """One candidate operating point and what it does on the validation subjects.

    Args:
        threshold: Probability from which a voxel belongs to a cluster.
        min_volume_ml: Smaller clusters are dropped.
        lesions: Number of patients.
        found: Patients with a cluster of which a tenth or more lies in the lesion.
        false_clusters: Clusters of which less does, over all subjects.
        subjects: Number of subjects.
        f1: Lesion-level F1, ``2 found / (found + lesions + false_clusters)``.
        dice: Dice of all clusters with all lesion masks, voxels of all subjects together.
    """

    threshold: float
    min_volume_ml: float
    lesions: int
    found: int
    false_clusters: int
    subjects: int
    f1: float
    dice: float


def fit_temperature(subjects: Sequence[HeldOut], seed: int = 0) -> float:
    """Temperature of least log loss over the brains' voxels (Guo et al. 2017).

    All lesion voxels and all voxels with a logit above -3 count once; of the rest a random
    sample stands for all, weighted up, so that the loss estimates that of every voxel.

    Args:
        subjects: Validation subjects.
        seed: Decides the random sample.

    Returns:
        Temperature in [0.25, 10]; 1 when no subject has a lesion.
    """
    logits, targets, weights = [], [], []
    for number, subject in enumerate(subjects):
        keep = subject.brain & (subject.lesion | (subject.logits > -3))
        rest = np.flatnonzero(subject.brain & ~keep)
        chosen = rest
        if len(rest) > _RANDOM_VOXELS:
            rng = np.random.default_rng([seed, number])
            chosen = rng.choice(rest, _RANDOM_VOXELS, replace=False)
        index = np.concatenate([np.flatnonzero(keep), chosen])
        logits.append(subject.logits.ravel()[index].astype(np.float64))
        targets.append(subject.lesion.ravel()[index])
        up = len(rest) / max(len(chosen), 1)
        weights.append(np.repeat([1.0, up], [len(index) - len(chosen), len(chosen)]))
    if not any(t.any() for t in targets):
        return 1.0
    x, y, w = (np.concatenate(part) for part in (logits, targets, weights))
    signed = np.where(y, x, -x)

    def loss(log_temperature: float) -> float:
        return float(np.average(np.logaddexp(0, -signed / np.exp(log_temperature)), weights=w))

    best = minimize_scalar(loss, bounds=(np.log(0.25), np.log(10)), method="bounded")
    return float(round(np.exp(best.x), 4))


def sweep_thresholds(subjects: Sequence[HeldOut], temperature: float) -> list[SweepRow]:
    """Count hits and false clusters at every threshold and smallest volume.

    The hit rule (a tenth of the cluster inside the lesion) is one of choosing, not of reporting:
    it keeps a cluster that floods the brain from counting as a hit.
    """
    counts = {(t, v): np.zeros(4, dtype=int) for t in THRESHOLDS for v in VOLUMES_ML}
    for subject in subjects:
        map_ = probability(subject.logits, temperature)
        for threshold in THRESHOLDS:
            labels, components = label_components(map_ >= threshold, subject.grid, min(VOLUMES_ML))
            if not components:
                continue
            inside = ndimage.sum_labels(
                subject.lesion, labels.array, [c.label for c in components]
            ).astype(int)
            size = np.array([c.size_vox for c in components])
            hit = inside >= np.maximum(_HIT_SHARE * size, 1)
            for volume in VOLUMES_ML:
                kept = np.array([c.volume_ml >= volume for c in components])
                counts[threshold, volume] += (
                    (hit & kept).any(), (kept & ~hit).sum(), inside[kept].sum(), size[kept].sum()
                )  # fmt: skip
    lesions = sum(bool(s.lesion.any()) for s in subjects)
    voxels = sum(int(s.lesion.sum()) for s in subjects)
    rows = []
    for (threshold, volume), (found, false, overlap, size) in counts.items():
        f1 = 2 * found / max(found + lesions + false, 1)
        dice = 2 * overlap / max(voxels + size, 1)
        rows.append(SweepRow(threshold, volume, lesions, int(found), int(false), len(subjects),
                             round(float(f1), 6), round(float(dice), 6)))  # fmt: skip
    return rows


def choose_operating_point(
    subjects: Sequence[HeldOut], seed: int = 0
) -> tuple[OperatingPoint, list[SweepRow]]:
    """Choose the operating point with the best lesion-level F1, and calibrate cluster scores.

    Few validation subjects leave many equals. Of these the threshold nearest to the default 0.5
    is taken (probabilities are calibrated, so there a cluster has the extent of a mask, and an
    extreme threshold would be luck), and of its volumes the one nearest to the default.
    Without validation patients, or when no threshold finds a lesion, the defaults of
    `OperatingPoint` stay.

    Args:
        subjects: Validation subjects.
        seed: Decides the random voxels of the calibration.

    Returns:
        The operating point and the whole sweep.
    """
    ids = tuple(s.id for s in subjects)
    temperature = fit_temperature(subjects, seed)
    sweep = sweep_thresholds(subjects, temperature)
    maps = ((s, probability(s.logits, temperature)) for s in subjects)
    slope, intercept = fit_scores([c for s, p in maps for c in candidates_in(p, s.lesion, s.grid)])
    default = OperatingPoint(
        temperature=temperature,
        scored_by="volume",
        score_slope=slope,
        score_intercept=intercept,
        chosen_on=ids,
    )
    best = max(
        sweep,
        key=lambda r: (
            r.f1,
            -abs(float(logit(r.threshold) - logit(default.threshold))),
            -abs(float(np.log(r.min_volume_ml / default.min_volume_ml))),
        ),
    )
    if best.found == 0:
        return default, sweep
    return replace(default, threshold=best.threshold, min_volume_ml=best.min_volume_ml), sweep


def write_sweep(folder: Path, sweep: Sequence[SweepRow]) -> Path:
    """Write the sweep as a table beside the checkpoint."""
    path = folder / SWEEP
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([f.name for f in fields(SweepRow)])
        writer.writerows(astuple(row) for row in sweep)
    return path
