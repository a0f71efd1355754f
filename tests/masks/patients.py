"""Measured patients made in code: lesions as points on an egg-shaped cortex in MNI space."""

from __future__ import annotations

import numpy as np

from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.masks.laws.measured import Measured, Ribbon
from fcdsynth.measure.lobes import LOBES, lobe_index
from fcdsynth.measure.shape import Shape


def lesion(subject="sub-00001", number=0, volume_ml=2.0, rank=0.8, cortex=0.5, subtype="IIb",
           to_ventricle=False):  # fmt: skip
    """A lesion of which only what the laws read is meant."""
    shape = Shape(
        volume_ml=volume_ml, surface_mm2=1000.0, surface_per_volume=0.5, middle_ratio=0.6,
        short_ratio=0.3, ribbon_fraction=cortex, white_fraction=1 - cortex, mean_depth_mm=12.0,
        thickness_mm=6.0, solidity=0.6,
    )  # fmt: skip
    return Lesion(subject, number, np.zeros((1, 3), dtype=np.int64), shape, (0, 0, 0), rank,
                  True, 0.0, subtype, to_ventricle)  # fmt: skip


def egg(count=1500, seed=0):
    """Points on the surface of an ellipsoid as large as the cerebrum, shape (count, 3)."""
    way = np.random.default_rng(seed).normal(size=(count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return way * [62.0, 80.0, 55.0] + [0.0, -20.0, 15.0]


def patient(name, seeds_mm, ribbon_mm=None, ranks=None, lesions=None):
    """A patient whose lesions are single points.

    Args:
        name: Subject id.
        seeds_mm: Seeds in MNI, shape (k, 3); None where the position is unknown.
        ribbon_mm: The ribbon; an egg by default.
        ranks: Depth rank of each of its voxels; even by default.
        lesions: The lesions; alike by default.
    """
    ribbon_mm = egg() if ribbon_mm is None else np.asarray(ribbon_mm, dtype=float)
    if ranks is None:
        ranks = np.linspace(0, 1, len(ribbon_mm))
    known = seeds_mm is not None
    seeds = np.atleast_2d(np.asarray(seeds_mm, dtype=float)) if known else None
    if lesions is None:
        lesions = tuple(lesion(name, k) for k in range(len(seeds) if known else 1))
    lobes = np.bincount(lobe_index(ribbon_mm), minlength=len(LOBES))
    ribbon = Ribbon(
        np.asarray(ranks, dtype=np.float32), ribbon_mm.astype(np.float32) if known else None,
        lobes if known else np.zeros(len(LOBES), dtype=np.int64),
    )  # fmt: skip
    points = tuple(seed[None] for seed in seeds) if known else ()
    return Measured(name, lesions, seeds, points, ribbon)
