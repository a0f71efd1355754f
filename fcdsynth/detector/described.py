"""What the images show of a cluster: lobe and side, contrast to its ring and to the other side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import INTENSITY_PER_SD
from fcdsynth.core.volume import Volume, read_labels, read_mask
from fcdsynth.measure.lobes import LOBES, RIGHT, name_of
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.ring import ring_contrast
from fcdsynth.training.data import load_arrays

Box = tuple[slice, slice, slice]
_IMAGES = ("t1w", "flair")
_MIRRORS = ("flair_mirror", "t1w_mirror")
_RING_MM = 8.0


def describe_clusters(
    cohort: Cohort,
    subject: Subject,
    labels: Volume,
    clusters: Sequence[Detection],
    to_mni: ArrayLike | None,
) -> tuple[Detection, ...]:
    """Say of each cluster where it lies and what it looks like.

    The side is that of the lobe; where no lobe is known, that of the mid-sagittal plane, from
    MNI space or else fitted to the brain mask; where there is neither, it stays as it was.

    Args:
        cohort: The prepared cohort.
        subject: Its row.
        labels: Cluster map on any grid of the native T1w's world.
        clusters: The clusters, `Detection.cluster` being their value in the map.
        to_mni: 4 x 4 matrix from the native T1w world to MNI (RAS+ mm), or None.

    Returns:
        The clusters in the same order, with lobe, side and contrasts as far as the subject has
        the files for them.

    Raises:
        CohortError: If a file cannot be read.
        GeometryError: If the prepared files do not share one grid.
    """
    if not clusters:
        return ()
    images = _Images.read(cohort, subject, labels)
    lobes = read_labels(cohort.path(subject, "lobes")) if subject.has("lobes") else None
    boxes = ndimage.find_objects(labels.array)
    midplane: Midplane | None = None
    found = []
    for cluster in clusters:
        number = cluster.cluster
        lobe, side = _lobe(labels, number, boxes[number - 1], lobes)
        if not side:
            midplane = midplane or _midplane(cohort, subject, to_mni)
            side = midplane.side(cluster.centre_mm) if midplane else cluster.side
        numbers = images.contrasts(number) if images else {}
        found.append(replace(cluster, lobe=lobe, side=side, **numbers))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Images:
    """A subject's prepared volumes, with the clusters on their grid.

    Args:
        arrays: By file key, shape (x, y, z).
        grid: Their grid.
        places: Values of the cluster map, same shape.
        boxes: Where each cluster lies, None for one that is not there.
    """

    arrays: Mapping[str, NDArray[Any]]
    grid: Grid
    places: NDArray[np.integer]
    boxes: Sequence[Box | None]

    @classmethod
    def read(cls, cohort: Cohort, subject: Subject, labels: Volume) -> _Images | None:
        mirror = next((key for key in _MIRRORS if subject.has(key)), "")
        keys = [key for key in (*_IMAGES, "tissue", mirror) if key and subject.has(key)]
        if not keys:
            return None
        arrays, grid = load_arrays(cohort, subject, keys)
        places = resample(labels, grid, 0).array
        # A cluster of voxels much smaller than the prepared ones may lie between their centres.
        number = int(labels.array.max())
        absent = np.flatnonzero(np.bincount(places.ravel(), minlength=number + 1) == 0)
        if absent.any():
            at = np.argwhere(np.isin(labels.array, absent[absent > 0]))
            there = np.rint(grid.to_vox(labels.grid.to_mm(at))).astype(int)
            kept = ((there >= 0) & (there < grid.shape)).all(axis=1)
            places[tuple(there[kept].T)] = labels.array[tuple(at[kept].T)]
        return cls(arrays, grid, places, ndimage.find_objects(places, number))

    def contrasts(self, number: int) -> dict[str, Any]:
        """The contrasts of a cluster by the name of their field in `Detection`."""
        box = self.boxes[number - 1]
        found: dict[str, Any] = {}
        if box is None:
            return found
        inside = self.places[box] == number
        for key in _MIRRORS:
            if key in self.arrays:  # one of the two at most
                found["mirror_contrast"] = float(self.arrays[key][box][inside].mean(dtype=float))
        if "tissue" in self.arrays:
            reach_mm = max(_RING_MM, 2 * max(self.grid.spacing_mm))
            grown = self._grown(box, reach_mm)
            tissue = self.arrays["tissue"][grown]
            inside = self.places[grown] == number
            away_mm = ndimage.distance_transform_edt(~inside, sampling=self.grid.spacing_mm)
            ring = (away_mm <= reach_mm) & (self.places[grown] == 0)
            for key in _IMAGES:
                if key in self.arrays:
                    image = self.arrays[key][grown]
                    gap = ring_contrast(image, inside, inside | ring, tissue) / INTENSITY_PER_SD
                    found[f"{key}_contrast"] = None if np.isnan(gap) else gap
        return found

    def _grown(self, box: Box, reach_mm: float) -> Box:
        margins = (int(reach_mm // mm) + 1 for mm in self.grid.spacing_mm)
        x, y, z = (
            slice(max(side.start - margin, 0), side.stop + margin)
            for side, margin in zip(box, margins, strict=True)
        )
        return (x, y, z)


def _lobe(labels: Volume, number: int, box: Box, lobes: Volume | None) -> tuple[str, str]:
    """Lobe and side that most of a cluster's voxels lie in; empty where none is labelled."""
    if lobes is None:
        return "", ""
    at = np.argwhere(labels.array[box] == number) + [side.start for side in box]
    there = np.rint(lobes.grid.to_vox(labels.grid.to_mm(at))).astype(int)
    there = there[((there >= 0) & (there < lobes.grid.shape)).all(axis=1)]
    values = lobes.array[tuple(there.T)]
    known = (values < RIGHT + RIGHT) & (values % RIGHT > 0) & (values % RIGHT <= len(LOBES))
    values = values[known & (values > 0)]
    return name_of(int(np.bincount(values).argmax())) if len(values) else ("", "")


def _midplane(cohort: Cohort, subject: Subject, to_mni: ArrayLike | None) -> Midplane | None:
    if to_mni is not None:
        return Midplane.from_mni(to_mni)
    if subject.has("brain"):
        return Midplane.fitted(read_mask(cohort.path(subject, "brain")))
    return None
