"""Pictures of a subject's clusters: both contrasts in three planes, close by, and mirrored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.detector.told import place
from fcdsynth.measure.components import bounding_box
from fcdsynth.measure.mirror import Midplane
from fcdsynth.review.pictures import three_planes


def draw_clusters(
    cohort: Cohort,
    subject: Subject,
    labels: Volume,
    clusters: Sequence[Detection],
    to_mni: ArrayLike | None,
) -> Iterator[tuple[Detection, Any]]:
    """Draw clusters one by one, so that one figure is held at a time.

    T1w and FLAIR are the prepared volumes, which the model saw; they share the native T1w's
    world.

    Args:
        cohort: The prepared cohort.
        subject: Its row.
        labels: Cluster map on any grid of that world.
        clusters: Those to draw.
        to_mni: 4 x 4 matrix from that world to MNI (RAS+ mm); with it a column shows the
            mirrored side.

    Yields:
        The cluster and its matplotlib figure.
    """
    if not clusters or not subject.has("t1w"):
        return
    t1w = read_volume(cohort.path(subject, "t1w"))
    flair = read_volume(cohort.path(subject, "flair")) if subject.has("flair") else None
    midplane = None if to_mni is None else Midplane.from_mni(to_mni)
    for cluster in clusters:
        mine = labels.array == cluster.cluster
        name = f"cluster {cluster.cluster}"
        outlines = {name: _cropped(mine, labels.grid)}
        others = (labels.array > 0) & ~mine
        if others.any():
            outlines["other clusters"] = _cropped(others, labels.grid)
        yield cluster, three_planes(
            t1w, flair, outlines, _middle(mine, cluster, labels.grid),
            f"{subject.id}   {name}   score {cluster.score:.2f}   {place(cluster)}", midplane,
        )  # fmt: skip


def _cropped(mask: NDArray[np.bool_], grid: Grid) -> Volume:
    """A mask cut down to what is not empty, with a rim of one voxel: quicker to sample."""
    box = bounding_box(mask)
    assert box is not None
    matrix = grid.matrix.copy()
    matrix[:3, 3] = grid.to_mm([side.start - 1 for side in box])
    array = np.pad(mask[box].astype(np.float32), 1)
    return Volume(array, Grid.of(array.shape, matrix))


def _middle(mask: NDArray[np.bool_], cluster: Detection, grid: Grid) -> tuple[float, float, float]:
    """The cluster's voxel nearest its centre of mass, RAS+ mm: a bent cluster holds not that."""
    points = grid.to_mm(np.argwhere(mask))
    away = np.linalg.norm(points - np.asarray(cluster.centre_mm), axis=1)
    x, y, z = (float(mm) for mm in points[np.argmin(away)])
    return (x, y, z)
