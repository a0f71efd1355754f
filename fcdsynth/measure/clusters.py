"""From a probability map to scored candidate clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.detection import Detection, OperatingPoint
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import label_components

SCORE_VOLUME_ML = 0.1
LESION_ML = 2.8  # the median lesion (Spitzer et al. 2022: areas turned into volumes)


def cluster_score(probabilities: NDArray[np.floating], voxel_ml: float) -> float:
    """Mean calibrated probability of a cluster's most probable 0.1 ml.

    A fixed volume, so that the score depends neither on the voxel size nor on how far the
    cluster spreads; nothing is rescaled within a subject, so scores compare between subjects.

    Args:
        probabilities: The cluster's voxels, any shape.
        voxel_ml: Volume of one voxel.

    Returns:
        Score in [0, 1]; of the whole cluster when it is smaller than 0.1 ml.
    """
    count = max(round(SCORE_VOLUME_ML / voxel_ml), 1)
    return float(np.sort(probabilities.ravel())[::-1][:count].mean())


def expected_share(probabilities: NDArray[np.floating], voxel_ml: float) -> float:
    """Expected lesion volume in a cluster's most probable 2.8 ml, as a share of them.

    A false cluster can be as sure of its middle as a true one, but is mostly smaller or fainter
    around: on simulated heads a detector that found 46 % of the lesions at half a false cluster
    per subject by `cluster_score` found 59 % by this. The volume is fixed and that of a whole
    lesion, so the share depends neither on the voxel size nor on how far a cluster spreads.

    Args:
        probabilities: The cluster's voxels, any shape.
        voxel_ml: Volume of one voxel.

    Returns:
        Share in [0, 1]; what a smaller cluster lacks counts as 0.
    """
    count = max(round(LESION_ML / voxel_ml), 1)
    return float(np.sort(probabilities.ravel())[::-1][:count].sum(dtype=float) / count)


SCORES: Mapping[str, Callable[[NDArray[np.floating], float], float]] = MappingProxyType(
    {"peak": cluster_score, "volume": expected_share}
)


def find_clusters(
    subject: str, probability: Volume, point: OperatingPoint, to_mni: ArrayLike | None
) -> tuple[Volume, tuple[Detection, ...]]:
    """Cut a map at the operating point and describe the clusters, best score first.

    Args:
        subject: Subject id.
        probability: Calibrated map on the native T1w grid.
        point: Threshold, smallest volume, kind and calibration of scores.
        to_mni: 4 x 4 matrix from the native T1w world to MNI (RAS+ mm), None when unknown.
            The side comes from the MNI x when there is one, else from the world's x.

    Returns:
        Cluster map (int16, values are `Detection.cluster`) and the clusters.
    """
    grid = probability.grid
    labels, components = label_components(
        probability.array >= point.threshold, grid, point.min_volume_ml
    )
    found = []
    boxes = ndimage.find_objects(labels.array)
    for component in components:
        box = boxes[component.label - 1]
        values = probability.array[box][labels.array[box] == component.label]
        mni = None
        if to_mni is not None:
            x, y, z, _ = np.asarray(to_mni, dtype=float) @ (*component.centre_mm, 1.0)
            mni = (float(x), float(y), float(z))
        score = point.calibrated(SCORES[point.scored_by](values, grid.voxel_ml))
        found.append((score, component, values, mni))
    found.sort(key=lambda item: (-item[0], item[1].label))
    lookup = np.zeros(len(components) + 1, dtype=np.int16)
    clusters = []
    for number, (score, component, values, mni) in enumerate(found, start=1):
        lookup[component.label] = number
        clusters.append(
            Detection(
                subject,
                number,
                score,
                component.volume_ml,
                component.size_vox,
                component.centre_mm,
                "R" if (mni or component.centre_mm)[0] > 0 else "L",
                float(values.max()),
                float(values.mean()),
                mni,
            )
        )
    return Volume(lookup[labels.array], grid), tuple(clusters)
