"""Whether synthetic lesions differ from each other as much as real ones do: MS-SSIM of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from fcdsynth.synthesis.proof.sample import interval

# The weights of the three finest of the five scales of Wang et al. (2003, Asilomar), to sum 1.
BETAS = tuple(b / 0.6305 for b in (0.0448, 0.2856, 0.3001))
_WIDE, _NARROW = (1.5, 11), (0.5, 5)  # SD and width of the Gaussian, voxels
_LEAST_WIDE = 44
_BATCH = 16
_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Diversity:
    """Mean MS-SSIM over random pairs of lesion crops; 1 where all are alike.

    Args:
        pairs: Number of pairs.
        mean: Their mean.
        low: 2.5 % quantile of the mean over bootstrap samples of subjects.
        high: 97.5 % quantile.
    """

    pairs: int
    mean: float
    low: float
    high: float


def ms_ssim(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """MS-SSIM of pairs of crops on three scales.

    The Gaussian is the usual one of 1.5 voxels where the crop has 44 voxels a side, else one of
    half a voxel, which still fits the coarsest scale.

    Args:
        first: Crops with intensities in [0, 1], shape (n, contrast, side, side, side), the side
            at least 20.
        second: Same shape.

    Returns:
        Shape (n,).
    """
    sigma, width = _WIDE if first.shape[-1] >= _LEAST_WIDE else _NARROW
    both = [torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for x in (first, second)]
    found = multiscale_structural_similarity_index_measure(
        both[0], both[1], sigma=sigma, kernel_size=width, reduction="none", data_range=1.0,
        betas=BETAS,
    )  # fmt: skip
    return np.atleast_1d(np.asarray(found, dtype=np.float64))


def diversity(
    crops: Sequence[NDArray[np.floating]], people: Sequence[frozenset[str]], pairs: int, seed: int
) -> Diversity | None:
    """Mean similarity of random pairs of crops of different people.

    Args:
        crops: Each of shape (contrast, side, side, side), intensities in [0, 1].
        people: Whose anatomy each shows.
        pairs: Most pairs.
        seed: Seed of pairs and bootstrap.

    Returns:
        The diversity; None where there are no two people.
    """
    rng = np.random.default_rng([seed, 5])
    n = len(crops)
    every = [(i, j) for i in range(n) for j in range(i) if not people[i] & people[j]]
    if not every:
        return None
    chosen = np.array(every)[rng.permutation(len(every))[:pairs]]
    found = []
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start : start + _BATCH]
        first, second = (np.stack([crops[r] for r in rows[:, side]]) for side in (0, 1))
        found.append(ms_ssim(first, second))
    values = np.concatenate(found)
    means = []
    for _ in range(_BOOTSTRAPS):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        weight = times[chosen[:, 0]] * times[chosen[:, 1]]
        if weight.sum():
            means.append(float((weight * values).sum() / weight.sum()))
    return Diversity(len(chosen), float(values.mean()), *interval(means))
