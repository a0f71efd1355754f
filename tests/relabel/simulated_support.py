"""Small simulated masks and out-of-fold maps, with planted errors of every type."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane

SIZE, SPACING_MM = 40, 3.0
_half = (SIZE - 1) / 2 * SPACING_MM
GRID = Grid.of(
    (SIZE,) * 3,
    [[SPACING_MM, 0, 0, -_half], [0, SPACING_MM, 0, -_half], [0, 0, SPACING_MM, -_half],
     [0, 0, 0, 1]],
)  # fmt: skip
MIDPLANE = Midplane.through((0, 0, 0), (1, 0, 0), "centre")
MM = GRID.to_mm(np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), -1))
BRAIN = np.linalg.norm(MM / [54, 57, 54], axis=-1) < 1
ERRORS = ("dilated", "eroded", "shifted", "mirrored", "missed", "false")


def blob(rng, side=None):
    """An ellipsoid away from the midline, 7 to 12 mm in radius."""
    side = rng.choice([-1, 1]) if side is None else side
    centre = np.array([side * rng.uniform(16, 32), rng.uniform(-28, 28), rng.uniform(-22, 22)])
    return np.linalg.norm((MM - centre) / rng.uniform(7, 12, 3), axis=-1) < 1


def truth(rng, two):
    """One or two lesions on one side, well apart."""
    side = rng.choice([-1, 1])
    first = blob(rng, side)
    if not two:
        return [first]
    while True:
        second = blob(rng, side)
        if not (ndimage.binary_dilation(first, iterations=4) & second).any():
            return [first, second]


def detect(rng, lesions, detection=0.9):
    """A map as an imperfect detector would give it: soft, some lesions missed, false blobs."""
    p = np.zeros(GRID.shape)
    for lesion in lesions:
        strength = rng.uniform(0.7, 1.0) if rng.random() < detection else rng.uniform(0.05, 0.25)
        p = np.maximum(p, strength * ndimage.gaussian_filter(lesion.astype(float), 0.9))
    for _ in range(2):
        core = np.linalg.norm((MM - MM[BRAIN][rng.integers(BRAIN.sum())]) / 6, axis=-1) < 1
        p = np.maximum(p, rng.uniform(0.1, 0.6) * ndimage.gaussian_filter(core.astype(float), 0.9))
    noise = ndimage.gaussian_filter(rng.normal(0, 1, GRID.shape), 1.0)
    return np.clip(p + 0.03 * np.abs(noise), 0, 1) * BRAIN


def corrupt(rng, lesions, error):
    """The mask an annotator with this fault would have drawn."""
    mask = np.any(lesions, axis=0)
    if error == "dilated":
        return ndimage.binary_dilation(mask, iterations=2)
    if error == "eroded":
        return ndimage.binary_erosion(mask, iterations=1)
    if error == "shifted":
        return np.roll(mask, 3, axis=int(rng.integers(1, 3)))
    if error == "mirrored":
        return mask[::-1]
    if error == "missed":
        return lesions[0]
    if error == "false":
        return mask | blob(rng, -1 if MM[mask][:, 0].mean() > 0 else 1)
    return mask


def volume(array):
    """On the common grid; float maps as float32."""
    return Volume(array if array.dtype == bool else array.astype(np.float32), GRID)


def soft_min(mask, p, temperature=0.1):
    """Whole-volume label quality by soft-min of the given label's probability.

    The rule of Lad and Mueller 2023 (arXiv:2307.05080), as one minus quality.
    """
    given = np.where(mask, p, 1 - p)[BRAIN]
    weights = np.exp((1 - given - (1 - given).max()) / temperature)
    return 1 - float((given * weights).sum() / weights.sum())
