"""What the networks' features say: regions on the wrong side of a boundary drawn by other patients.

`fcdsynth detect --features` writes, for every subject and every network, the features of the
mask's components, of clusters, of the mirrored places and of places at random. A linear machine is
trained on regions of other patients (`fcdsynth.relabel.margin`), on features of a network that
did not train on the patient who is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fcdsynth.core.errors import CohortError
from fcdsynth.core.volume import Volume
from fcdsynth.relabel.margin import MarginSettings, judge_margins

# Names of kinds as fcdsynth.detector.features writes them.
MASK, CLUSTER = "mask", "cluster"
_LINK_MM = 3.0


@dataclass(frozen=True, eq=False)
class DeepRegions:
    """One subject's regions.

    Args:
        models: Names of the networks.
        trained: Whether the subject trained each, (models,).
        features: (models, regions, d).
        kinds: Kind of each region, (regions,).
        centres_mm: (regions, 3), RAS+ mm.
        volumes_ml: (regions,).
    """

    models: tuple[str, ...]
    trained: NDArray[np.bool_]
    features: NDArray[np.float32]
    kinds: NDArray[np.str_]
    centres_mm: NDArray[np.float32]
    volumes_ml: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> DeepRegions:
        """Read what detect wrote.

        Raises:
            CohortError: If the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                record: dict[str, Any] = {name: held[name] for name in held.files}
            return cls(
                tuple(str(name) for name in record["models"]), record["trained"],
                record["features"], record["kind"], record["centre_mm"], record["volume_ml"],
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            raise CohortError(
                path.name, f"{type(error).__name__}: {error}", "region features written by detect",
                "Run fcdsynth detect with --features true again.",
            ) from error  # fmt: skip


@dataclass(frozen=True)
class DeepSuspicion:
    """What the boundary says of one subject; NaN where it says nothing.

    Args:
        unlike: Suspicion that a component of the mask is no lesion, the largest.
        overlooked: Suspicion that a cluster outside the mask is one, the largest.
        ambiguity: Closeness of the mask's most doubtful component to the boundary: for a second
            reader, not for the queue of errors.
    """

    unlike: float
    overlooked: float
    ambiguity: float


def features_path(detections: Path, subject: str) -> Path:
    """Where detect keeps a subject's region features."""
    return detections / subject / f"{subject}_regions.npz"


def judge_regions(
    regions: Mapping[str, DeepRegions], masks: Mapping[str, Volume],
    settings: MarginSettings | None = None,
) -> dict[str, DeepSuspicion]:  # fmt: skip
    """Judge every subject's mask and clusters.

    Args:
        regions: Regions by subject, patients and controls.
        masks: Masks of those that have one, to tell clusters of the mask from others.
        settings: How the boundary is learnt.

    Returns:
        By subject; those that every network trained on, or with no region to be judged, are
        left out.
    """
    names = tuple(regions)
    own = {name: _negative_or_mask(regions[name], masks.get(name)) for name in names}
    models = sorted({model for r in regions.values() for model in r.models})
    found: dict[str, DeepSuspicion] = {}
    for model in models:
        held = [n for n in names if _is_held_out(regions[n], model)]
        for name, verdict in _one_model(model, names, held, regions, own, settings).items():
            found.setdefault(name, verdict)
    return found


def _one_model(
    model: str, names: Sequence[str], held: Sequence[str], regions: Mapping[str, DeepRegions],
    own: Mapping[str, NDArray[np.int64]], settings: MarginSettings | None,
) -> dict[str, DeepSuspicion]:  # fmt: skip
    rows, labels, groups, kinds, folds = [], [], [], [], []
    for name in names:
        region = regions[name]
        if model not in region.models:
            continue
        features = region.features[region.models.index(model)]
        for index, label in enumerate(own[name]):
            if label >= 0:
                rows.append(features[index])
                labels.append(int(label))
                groups.append(name)
                kinds.append(str(region.kinds[index]))
                folds.append(0 if name in held else 1)
    if not rows or len(set(folds)) < 2 or len(set(labels)) < 2:
        return {}
    # Fold 0 is judged by a machine that learnt from fold 1, on this network's features.
    margins = judge_margins(np.stack(rows), labels, groups, folds, settings)
    found = {}
    for name in held:
        mine = [k for k, group in enumerate(groups) if group == name]
        parts = [k for k in mine if kinds[k] == MASK]
        others = [k for k in mine if kinds[k] == CLUSTER]
        if parts or others:
            found[name] = DeepSuspicion(
                _largest(margins.error[parts]), _largest(margins.error[others]),
                _largest(margins.ambiguity[parts]),
            )  # fmt: skip
    return found


def _is_held_out(region: DeepRegions, model: str) -> bool:
    return model in region.models and not bool(region.trained[region.models.index(model)])


def _negative_or_mask(region: DeepRegions, mask: Volume | None) -> NDArray[np.int64]:
    """1 for components of the mask, 0 for places outside it, -1 for clusters that touch it."""
    labels = np.where(region.kinds == MASK, 1, 0)
    if mask is None or not mask.array.any():
        return labels
    tree = cKDTree(mask.grid.to_mm(np.argwhere(mask.array)))
    gap = tree.query(region.centres_mm)[0]
    radius = (3 * region.volumes_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    touching = (region.kinds == CLUSTER) & (gap <= radius + _LINK_MM)
    return np.asarray(np.where(touching, -1, labels))


def _largest(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else float("nan")
