"""A simulated detector: maps of probability as a trained one would leave them, on any cohort.

It knows the reference masks and errs on purpose: it misses some lesions, finds others with a
cluster that is moved, grown or shrunk, and puts false clusters into the brain. For timing and for
looking at reports; its figures say nothing about any real detector.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, stats

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections, OperatingPoint
from fcdsynth.core.native import to_native
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.measure.clusters import find_clusters

_BLUR_MM = 3.0


@dataclass(frozen=True)
class Errors:
    """How the simulated detector errs.

    Args:
        found: Share of lesions that are found.
        false_patient: Mean false clusters per patient.
        false_control: Mean false clusters per control.
        habits: Share of false clusters that the next seed puts at the same place.
    """

    found: float = 0.6
    false_patient: float = 0.6
    false_control: float = 0.4
    habits: float = 0.5


def simulate(
    cohort: Cohort, out: Path, errors: Errors, arm: int, seed: int, ids: list[str] | None = None
) -> Path:
    """Write a folder as detect does.

    Args:
        cohort: A prepared cohort; subjects of split test, or all without a test split.
        out: Folder to write.
        errors: How it errs.
        arm: Number of the training arm: what an arm sees or misses by habit depends on it.
        seed: Number of the seed within the arm.
        ids: Only these subjects.
    """
    chosen = cohort.of_split("test").subjects or cohort.subjects
    chosen = tuple(s for s in chosen if ids is None or s.id in ids)
    point = OperatingPoint(threshold=0.4, min_volume_ml=0.05)
    clusters = []
    for subject in chosen:
        probability = _map(cohort, subject, errors, arm, seed)
        labels, found = find_clusters(subject.id, probability, point, None)
        clusters += found
        place = Detections(out, (), (), point)
        write_volume(place.probability_path(subject.id), probability)
        write_volume(place.clusters_path(subject.id), labels)
    Detections(out, tuple(s.id for s in chosen), tuple(clusters), point).write_tables()
    return out


def _map(cohort: Cohort, subject: Subject, errors: Errors, arm: int, seed: int) -> Volume:
    number = int.from_bytes(subject.id.encode()[-6:], "little")
    habit, luck = np.random.default_rng([number, arm]), np.random.default_rng([number, arm, seed])
    brain = to_native(read_mask(cohort.path(subject, "brain")), subject, cohort)
    grid, inside = brain.grid, brain.array
    sigma = _BLUR_MM / np.asarray(grid.spacing_mm)
    # Low probabilities everywhere, as of a network that is never quite sure.
    noise = ndimage.gaussian_filter(luck.standard_normal(grid.shape).astype(np.float32), sigma)
    logit = -6 + noise / noise[inside].std()
    if subject.is_patient:
        key = "truth" if subject.has("truth") else "lesion_t1w"
        lesion = read_mask(cohort.path(subject, key)).array
        sure = habit.normal(0, 1) + 0.5 * luck.normal(0, 1)
        is_found = sure < np.sqrt(1.25) * stats.norm.ppf(errors.found)
        shift = tuple(luck.integers(-1, 2, 3))
        seen = np.roll(lesion, shift, (0, 1, 2)) & inside
        soft = ndimage.gaussian_filter(seen.astype(np.float32), 0.6 * sigma)
        top = float(soft.max()) or 1.0
        height = luck.uniform(6, 9) if is_found else luck.uniform(1, 4.5)
        logit += height * soft / top
    mean = errors.false_patient if subject.is_patient else errors.false_control
    where = np.argwhere(inside)
    for source, share in ((habit, errors.habits), (luck, 1 - errors.habits)):
        for _ in range(source.poisson(mean * share)):
            at = where[source.integers(len(where))]
            radius = source.uniform(3, 7)
            half = np.ceil(radius * 1.5 / np.asarray(grid.spacing_mm)).astype(int)
            low = np.maximum(at - half, 0)
            high = np.minimum(at + half + 1, grid.shape)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            index = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)],
                                         indexing="ij"), -1)  # fmt: skip
            distance = np.linalg.norm(grid.to_mm(index) - grid.to_mm(at), axis=-1)
            logit[box] += source.uniform(6, 8) * np.clip(1.5 - distance / radius, 0, 1)
    probability = 1 / (1 + np.exp(-logit))
    probability[~inside] = 0
    # As stored by detect, but without the last digits, which only make files larger.
    return Volume(np.round(probability, 4).astype(np.float32), grid)


def main() -> None:
    """Make three arms of two seeds each, from the worst to the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    cohort = Cohort.read(args.cohort)
    arms = {"base": Errors(0.4, 0.5, 0.3), "synth": Errors(0.5, 0.7, 0.5), "more": Errors(0.75)}
    for number, (name, errors) in enumerate(arms.items()):
        for seed in (1, 2):
            simulate(cohort, args.out / f"{name}-{seed}", errors, number, seed)


if __name__ == "__main__":
    main()
