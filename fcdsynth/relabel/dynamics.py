"""How a mask was learnt: whether the networks agreed with it early, late, or only by heart.

`fcdsynth fit` writes, evenly often over a training, the logits at voxels of every patient's mask
and of a band around it (reference/relabelling.md 2.9). With o the logit and y = 1 in the mask and
-1 in the band,

    AUM      mean over snapshots and voxels of  y o          (Pleiss et al. 2020, two classes)
    memory   Q90{p in the mask} of networks that trained on it, less that of those that did not
    forgot   how often the mask, once seen (Q90 at or above the threshold), was no longer seen

A low AUM, a large memory and much forgetting speak against a mask.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fcdsynth.core.errors import RunError

SNAPSHOTS = "snapshots"
_SEEN = 0.9


@dataclass(frozen=True)
class Dynamics:
    """What the trainings of all folds say of one mask; NaN where nothing is known.

    Args:
        aum: Mean margin over the snapshots of the networks that trained on it.
        memory: In-fold minus out-of-fold support at the last snapshots.
        forgotten: Times seen and lost again, mean over the networks that trained on it.
    """

    aum: float
    memory: float
    forgotten: float


@dataclass(frozen=True, eq=False)
class _Watched:
    logits: NDArray[np.float32]  # (snapshots, voxels)
    given: NDArray[np.bool_]  # (voxels,)
    trained: bool


def read_dynamics(fits: Path, threshold: float) -> dict[str, Dynamics]:
    """Read the snapshots of a fit, or of the fits named fold-0, fold-1, ... in a folder.

    Args:
        fits: The folder.
        threshold: Probability from which a voxel counts as seen.

    Returns:
        By subject that was watched.

    Raises:
        RunError: If there are no snapshots, or they cannot be read.
    """
    folders = sorted(p.parent for p in [*fits.glob(SNAPSHOTS), *fits.glob(f"fold-*/{SNAPSHOTS}")])
    if not folders:
        raise RunError(
            str(fits), "no snapshots", "a fit, or a folder of fits fold-0, fold-1, ...",
            "Fit the detector with snapshots, and give its folder.",
        )  # fmt: skip
    watched: dict[str, list[_Watched]] = {}
    for folder in folders:
        for subject, one in _read(folder / SNAPSHOTS).items():
            watched.setdefault(subject, []).append(one)
    return {subject: _dynamics(ones, threshold) for subject, ones in watched.items()}


def _read(folder: Path) -> dict[str, _Watched]:
    try:
        splits: Mapping[str, str] = json.loads((folder / "places.json").read_text("utf-8"))
        places = np.load(folder / "places.npz", allow_pickle=False)
        steps = [np.load(f, allow_pickle=False) for f in sorted(folder.glob("step-*.npz"))]
        found: dict[str, Any] = {}
        for subject, split in splits.items():
            logits = np.stack([step[subject] for step in steps]).astype(np.float32)
            found[subject] = _Watched(logits, places[f"{subject}/given"], split == "train")
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            str(folder), f"{type(error).__name__}: {error}", "snapshots written by fit",
            "Fit the detector again.",
        ) from error  # fmt: skip
    return found


def _dynamics(ones: list[_Watched], threshold: float) -> Dynamics:
    inside = [one for one in ones if one.trained and one.given.any()]
    outside = [one for one in ones if not one.trained and one.given.any()]
    aum = [float((np.where(o.given, o.logits, -o.logits)).mean()) for o in inside]
    within, without = ([_support(o)[-1] for o in some] for some in (inside, outside))
    lost = [_times_lost(_support(o) >= threshold) for o in inside]
    memory = _mean(within) - _mean(without) if within and without else float("nan")
    return Dynamics(_mean(aum), memory, _mean(lost))


def _support(one: _Watched) -> NDArray[np.float64]:
    """Q90 of the probability in the mask at each snapshot, (snapshots,)."""
    return np.asarray(np.quantile(expit(one.logits[:, one.given]), _SEEN, axis=1))


def _times_lost(seen: NDArray[np.bool_]) -> float:
    return float((seen[:-1] & ~seen[1:]).sum())


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
