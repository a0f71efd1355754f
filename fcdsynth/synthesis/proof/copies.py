"""The search for copies of training lesions: in features, and in the image itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.distance import cdist

QUANTILE = 0.01
_SHIFT_VOX = 2


@dataclass(frozen=True, eq=False)
class Lesions:
    """Lesions of one side.

    Args:
        ids: Subject of each.
        people: Whose anatomy each shows.
        features: Shape (n, k); NaN is a gap.
        residuals: Centred crops of differences from the ring, 0 away from the lesion, each of
            shape (contrast, side, side, side).
    """

    ids: tuple[str, ...]
    people: tuple[frozenset[str], ...]
    features: NDArray[np.float64]
    residuals: tuple[NDArray[np.floating], ...]


@dataclass(frozen=True)
class Nearest:
    """The training lesions that one lesion is most like.

    Args:
        id: The lesion's subject.
        in_features: Training patient nearest in features.
        distance: Root mean squared difference from it, in SD of the training lesions.
        in_image: Training patient of the highest correlation.
        correlation: Normalised cross-correlation with it.
    """

    id: str
    in_features: str
    distance: float
    in_image: str
    correlation: float


@dataclass(frozen=True)
class Copies:
    """Outcome of the search.

    Args:
        synthetic: Nearest training lesion of each synthetic one.
        real: Nearest lesion of another patient of each training lesion.
        distance_limit: 1 % quantile of the distances of the latter.
        correlation_limit: 99 % quantile of their correlations.
    """

    synthetic: tuple[Nearest, ...]
    real: tuple[Nearest, ...]
    distance_limit: float
    correlation_limit: float

    @property
    def flagged(self) -> tuple[Nearest, ...]:
        """Synthetic lesions nearer than nearly all real ones are to each other."""
        return tuple(
            n for n in self.synthetic
            if n.distance < self.distance_limit or n.correlation > self.correlation_limit
        )  # fmt: skip

    @property
    def expected(self) -> float:
        """About how many would be flagged were they lesions of other patients.

        One of m + 1 exchangeable values is the most extreme; two searches are made.
        """
        return 2 * len(self.synthetic) * max(QUANTILE, 1 / (len(self.real) + 1))


def find_copies(synthetic: Lesions, training: Lesions) -> Copies | None:
    """Look for the nearest training lesion of every synthetic and of every training lesion.

    Correlations are the highest over shifts of up to two voxels a side and over the lesion as it
    is and mirrored. A training lesion of someone whose anatomy the synthetic subject shows
    counts too: to copy it is what is looked for.

    Args:
        synthetic: Synthetic lesions.
        training: Lesions the generator was trained on.

    Returns:
        What was found; None below 3 training patients or without a synthetic lesion.
    """
    if len(set(training.people)) < 3 or not synthetic.ids:
        return None
    filled = _filled(np.concatenate([synthetic.features, training.features]), len(synthetic.ids))
    mine, theirs = filled[: len(synthetic.ids)], filled[len(synthetic.ids) :]
    spectra = [_spectrum(r) for r in training.residuals]
    mirrored = [_spectrum(r[:, ::-1]) for r in training.residuals]
    size = training.residuals[0].shape[1:]
    known = [True] * len(training.ids)
    found = []
    for number, name in enumerate(synthetic.ids):
        spectrum = _spectrum(synthetic.residuals[number])
        found.append(_nearest(name, mine[number], spectrum, theirs, spectra, mirrored, known,
                              training.ids, size))  # fmt: skip
    real = []
    for number, name in enumerate(training.ids):
        others = [not p & training.people[number] for p in training.people]
        real.append(_nearest(name, theirs[number], spectra[number], theirs, spectra, mirrored,
                             others, training.ids, size))  # fmt: skip
    return Copies(
        tuple(found), tuple(real),
        float(np.quantile([n.distance for n in real], QUANTILE)),
        float(np.quantile([n.correlation for n in real], 1 - QUANTILE)),
    )  # fmt: skip


def correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Highest normalised cross-correlation of two crops over shifts of up to two voxels a side.

    Args:
        first: Shape (contrast, x, y, z), 0 where nothing is to be compared.
        second: Same shape.

    Returns:
        In [-1, 1]; 0 where one of them is empty.
    """
    return _highest(_spectrum(first), _spectrum(second), first.shape[1:])


def _nearest(
    name: str, row: NDArray[np.float64], spectrum: NDArray[np.complexfloating],
    rows: NDArray[np.float64], spectra: Sequence[NDArray[np.complexfloating]],
    mirrored: Sequence[NDArray[np.complexfloating]], allowed: Sequence[bool],
    ids: Sequence[str], size: tuple[int, ...],
) -> Nearest:  # fmt: skip
    among = [k for k, free in enumerate(allowed) if free]
    apart = cdist(row[None], rows[among])[0] / np.sqrt(rows.shape[1])
    alike = [
        max(_highest(spectrum, spectra[k], size), _highest(spectrum, mirrored[k], size))
        for k in among
    ]
    nearest, likest = int(np.argmin(apart)), int(np.argmax(alike))
    return Nearest(name, ids[among[nearest]], float(apart[nearest]), ids[among[likest]],
                   float(alike[likest]))  # fmt: skip


def _spectrum(residual: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    values = np.asarray(residual, dtype=np.float32)
    length = float(np.sqrt(np.square(values).sum()))
    return np.asarray(fft.rfftn(values / max(length, 1e-9), axes=(1, 2, 3)))


def _highest(
    a: NDArray[np.complexfloating], b: NDArray[np.complexfloating], size: tuple[int, ...]
) -> float:
    lags = fft.irfftn((a * b.conj()).sum(axis=0), size)
    window = np.r_[-_SHIFT_VOX : _SHIFT_VOX + 1]
    return float(lags[np.ix_(window, window, window)].max())


def _filled(features: NDArray[np.float64], first_training: int) -> NDArray[np.float64]:
    """In SD of the training lesions, gaps filled with their medians."""
    training = features[first_training:]
    usable = np.isfinite(training).any(axis=0)
    training, features = training[:, usable], features[:, usable]
    middle = np.nanmedian(training, axis=0)
    features = np.where(np.isnan(features), middle, features)
    spread = features[first_training:].std(axis=0)
    return np.asarray((features - middle) / np.where(spread > 0, spread, 1.0))
