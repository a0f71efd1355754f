"""Tissue labels of a T1w brain: atlas shares, a Gaussian mixture and a Markov field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dipy.segment.mrf import IteratedConditionalModes
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.bias import carried
from fcdsynth.prepare.shares import BRIGHTNESS, TISSUES

Array = NDArray[np.float32]

# One Gaussian a kind: where in the atlas it lies, its label, where it starts. Grey nuclei are
# two, for the striatum is nearly as dark as cortex and the thalamus nearly as bright as white
# matter.
_KINDS = (
    (0, Tissue.CSF, BRIGHTNESS[0]),
    (1, Tissue.CORTEX, BRIGHTNESS[1]),
    (2, Tissue.WHITE_MATTER, BRIGHTNESS[2]),
    (3, Tissue.DEEP_GREY, BRIGHTNESS[3] - 0.05),
    (3, Tissue.DEEP_GREY, BRIGHTNESS[3] + 0.1),
    (4, Tissue.VENTRICLE, BRIGHTNESS[4]),
    (5, Tissue.INFRATENTORIAL, BRIGHTNESS[5]),
    (6, Tissue.INFRATENTORIAL, BRIGHTNESS[6]),
)
_WHITE = 2
_SOLID = [1, 2, 3, 4, 6, 7]
# Pairs whose border voxels are mixtures; counted apart so that they do not widen the pure kinds.
_MIXED = ((0, 1), (1, 2), (5, 2), (3, 2), (5, 4), (0, 6), (6, 7))
_FIT_MM = 2.0
_ROUNDS = 8
_EVEN_FIRST = 2  # rounds before the residual bias field is fitted
_FIELD_SIGMA_MM = 8.5
_LEAST_SHARE = 1e-4
_LEAST_SD = 0.02
# A border voxel holds both sides: with less than this, borders would shift to the wider kind.
_LEAST_SD_AT_BORDERS = 0.08
_ELSEWHERE = 2 / 3  # density of whatever is no brain: anything from 0 to 1.5 times white matter
_ELSEWHERE_IN_GIVEN = 0.02
_SMOOTHNESS = 0.3
_PASSES = 3


@dataclass(frozen=True, eq=False)
class Model:
    """What was fitted to one brain.

    Args:
        mean: Brightness of each kind relative to white matter.
        sd: Standard deviation of each kind.
        field: What the image has to be divided by, on a coarse grid over the brain.
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    field: Volume


def _priors(shares: Array, elsewhere: float) -> Array:
    """Prior probability of each kind and, last, of no brain; shape (kind, n)."""
    rest = np.clip(1 - shares.sum(axis=0), 0, 1) * np.float32(elsewhere)
    own = np.array([sum(k[0] == kind[0] for k in _KINDS) for kind in _KINDS], dtype=np.float32)
    priors = np.stack([*(shares[kind[0]] for kind in _KINDS), rest])
    priors[:-1] /= own[:, None]
    np.maximum(priors, np.float32(_LEAST_SHARE), out=priors)
    return np.asarray(priors / priors.sum(axis=0))


def _gauss(x: Array, mean: float, sd: float) -> Array:
    z = (x - np.float32(mean)) / np.float32(sd)
    return np.asarray(np.exp(-z * z / 2) / np.float32(sd * np.sqrt(2 * np.pi)), np.float32)


def _weights(x: Array, priors: Array, mean: NDArray[np.float64], sd: NDArray[np.float64]) -> Array:
    """Probability of each pure kind, shape (kind, n)."""
    weights = np.stack([priors[k] * _gauss(x, mean[k], sd[k]) for k in range(len(_KINDS))])
    total = weights.sum(axis=0) + priors[-1] * np.float32(_ELSEWHERE) + np.float32(1e-12)
    for a, b in _MIXED:
        # Half and half on average; shares evenly between 0 and 1 spread by a twelfth.
        spread = np.sqrt((sd[a] ** 2 + sd[b] ** 2) / 2 + (mean[a] - mean[b]) ** 2 / 24)
        total += np.sqrt(priors[a] * priors[b]) * _gauss(x, (mean[a] + mean[b]) / 2, spread)
    weights /= total
    return weights


def _start(x: Array, priors: Array) -> NDArray[np.float64]:
    """Half way from the textbook's brightness to what is seen where the atlas is surest."""
    seen = []
    for k, (_, _, textbook) in enumerate(_KINDS):
        sure = priors[k] >= 0.9 * priors[k].max()
        seen.append((float(np.median(x[sure])) + textbook) / 2)
    return np.asarray(seen)


def _residual(x: Array, weights: Array, mean: NDArray[np.float64], sd: NDArray[np.float64],
              inside: NDArray[np.bool_], spacing_mm: float) -> Array:  # fmt: skip
    """Smooth gain by which solid tissue is brighter than its mean, shape of ``inside``."""
    top = np.zeros(inside.shape, dtype=np.float32)
    bottom = np.zeros(inside.shape, dtype=np.float32)
    factor = (mean / sd**2).astype(np.float32)[:, None]
    top[inside] = (weights * factor)[_SOLID].sum(axis=0) * x
    bottom[inside] = (weights * factor * mean[:, None].astype(np.float32))[_SOLID].sum(axis=0)
    sigma = _FIELD_SIGMA_MM / spacing_mm
    top, bottom = (ndimage.gaussian_filter(a, sigma, truncate=3.0) for a in (top, bottom))
    field = np.clip(top / np.maximum(bottom, 1e-3 * float(bottom.max())), 0.5, 2.0)
    gain = float(np.exp(np.log(field[inside]).mean()))
    return np.asarray(field / np.float32(gain), np.float32)


def fit(t1w: Volume, brain: Volume, shares: Array, elsewhere: float = 1.0) -> Model:
    """Fit brightness, spread and the residual bias field, on every second millimetre.

    Expectation maximisation with an atlas as prior and a bias field in every round (Van Leemput
    et al., IEEE Trans Med Imaging 1999; Ashburner and Friston, NeuroImage 2005).
    """
    step = max(1, round(_FIT_MM / t1w.grid.spacing_mm[0]))
    thin = (slice(None, None, step),) * 3
    inside = brain.array[thin]
    spacing = t1w.grid.spacing_mm[0] * step
    priors = _priors(shares[:, *thin][:, inside], elsewhere)
    raw = t1w.array[thin][inside].astype(np.float32)
    surest = priors[_WHITE] >= 0.95 * priors[_WHITE].max()
    unit = np.float32(max(float(np.median(raw[surest])), 1e-6))
    raw = raw / unit
    x, field = raw, np.ones(inside.shape, dtype=np.float32)
    mean, sd = _start(raw, priors), np.full(len(_KINDS), 0.08)
    for number in range(_ROUNDS):
        weights = _weights(x, priors, mean, sd)
        total = weights.sum(axis=1).astype(float) + 1e-6
        mean = (weights @ x) / total
        spread = np.stack(
            [w @ (x - np.float32(m)) ** 2 for w, m in zip(weights, mean, strict=True)]
        )
        sd = np.maximum(np.sqrt(spread / total), _LEAST_SD)
        if number >= _EVEN_FIRST:
            field = _residual(raw, weights, mean, sd, inside, spacing)
            x = raw / field[inside]
    matrix = t1w.grid.matrix.copy()
    matrix[:3, :3] *= step
    return Model(mean, sd, Volume(field * unit, Grid.of(field.shape, matrix)))


def classify(
    t1w: Volume, brain: Volume, shares: NDArray[np.float32], subject: str, given: bool = False
) -> NDArray[np.uint8]:
    """Label the tissues of a bias-corrected T1w volume.

    Args:
        t1w: Intensities on an isotropic grid, bias field removed.
        brain: Mask on the same grid; labels stay inside.
        shares: Share of each tissue of the atlas, shape (tissue, x, y, z).
        subject: Who it is, for messages.
        given: Whether the mask is somebody's own: then all of it is brain. Otherwise voxels that
            are likelier dura or skull, by the atlas, are left out.

    Returns:
        Labels of `fcdsynth.core.tissue`, shape (x, y, z).

    Raises:
        CohortError: If the brain has no contrast to split.
    """
    if len(shares) != len(TISSUES):
        raise ValueError(f"{len(shares)} shares for {len(TISSUES)} tissues")
    values = t1w.array[brain.array]
    low, high = np.quantile(values, [0.002, 0.995])
    if high - low <= 1e-6:
        raise CohortError(
            subject, "one single intensity in the whole brain", "a T1w image with contrast",
            "Look at the T1w image and its brain mask.",
        )  # fmt: skip
    elsewhere = _ELSEWHERE_IN_GIVEN if given else 1.0
    model = fit(t1w, brain, shares, elsewhere)
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(brain.array))
    inside = brain.array[box]
    x = (t1w.array / carried(model.field, t1w.grid))[box][inside].astype(np.float32)
    priors = _priors(shares[:, *box][:, inside], elsewhere)
    sd = np.maximum(model.sd, _LEAST_SD_AT_BORDERS)
    likely = np.full((len(Tissue), x.size), 1e-6, dtype=np.float32)
    likely[Tissue.BACKGROUND] += priors[-1] * np.float32(_ELSEWHERE)
    for k, (_, label, _) in enumerate(_KINDS):
        likely[label] += priors[k] * _gauss(x, model.mean[k], sd[k])
    cost = np.full((*inside.shape, len(Tissue)), 1e3)
    cost[..., Tissue.BACKGROUND] = 0
    cost[inside] = -np.log(likely / likely.sum(axis=0)).T
    labels = cost.argmin(axis=-1).astype(np.int16)
    markov = IteratedConditionalModes()
    for _ in range(_PASSES):
        relaxed, _ = markov.icm_ising(cost, _SMOOTHNESS, labels)
        labels = np.ascontiguousarray(relaxed, dtype=np.int16)
    if given:
        labels[inside & (labels == Tissue.BACKGROUND)] = Tissue.CSF
    full = np.zeros(brain.array.shape, dtype=np.uint8)
    full[box] = np.where(inside, labels, 0)
    return full
