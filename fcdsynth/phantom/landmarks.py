"""Which way a head looks, from where its deep structures lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.volume import Volume

# Centroids (|x|, y, z) in MNI152 mm of structures, by their FreeSurfer labels left and right.
_PAIRS = {
    (17, 53): (26.0, -22.0, -14.0),  # hippocampus
    (10, 49): (11.0, -19.0, 7.0),  # thalamus
    (12, 51): (25.0, 1.0, 0.0),  # putamen
    (18, 54): (23.0, -4.0, -18.0),  # amygdala
    (11, 50): (13.0, 10.0, 10.0),  # caudate nucleus
    (8, 47): (20.7, -58.4, -37.1),  # cerebellar cortex
}
_LEAST = 6
_LEAST_VOX = 20


def turn_to_mni(labels: Volume) -> NDArray[np.float64]:
    """Rotation that makes a head upright: least squares over landmarks (Kabsch 1976).

    Args:
        labels: FreeSurfer labels. Structures that are absent are left out; with fewer than six
            left the head is taken as it lies.

    Returns:
        3 x 3 rotation of world directions (RAS+).
    """
    own, average = [], []
    for pair, (x, y, z) in _PAIRS.items():
        for label, side in zip(pair, (-1, 1), strict=True):
            found = np.argwhere(labels.array == label)
            if len(found) >= _LEAST_VOX:
                own.append(labels.grid.to_mm(found).mean(axis=0))
                average.append((side * x, y, z))
    if len(own) < _LEAST:
        return np.eye(3)
    here, there = np.array(own), np.array(average)
    turn, _ = Rotation.align_vectors(there - there.mean(axis=0), here - here.mean(axis=0))
    return np.asarray(turn.as_matrix())
