"""Places: false positives that lie together, in one subject over runs and over subjects in MNI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree

from fcdsynth.evaluation.cases import ClusterRecord, Point

PLACE_MM = 10.0
# Centres of exactly 10 mm distance belong together whatever the last binary digit says.
_FUZZ_MM = 1e-6


@dataclass(frozen=True, slots=True)
class HotSpot:
    """A ball of 10 mm in MNI space in which several subjects have a false positive.

    Args:
        centre_mni_mm: Its centre: the centre of one of these false positives.
        lobe: Lobe there, or empty.
        side: ``L`` or ``R``.
        patients: Ids of the patients.
        controls: Ids of the controls.
        n_clusters: Runs with a false positive there, summed over the subjects.
    """

    centre_mni_mm: Point
    lobe: str
    side: str
    patients: tuple[str, ...]
    controls: tuple[str, ...]
    n_clusters: int


def group_places(centres_mm: Sequence[Point], reach_mm: float = PLACE_MM) -> list[list[int]]:
    """Group centres that lie together: single linkage (Sneath 1957) at a distance.

    Two centres within reach are one place, and so are two that a chain of such steps joins;
    hence a place may be longer than the reach, and two clusters of one run may share it.

    Args:
        centres_mm: Centres, RAS+ mm.
        reach_mm: Longest step, mm.

    Returns:
        Indices of each place, ascending, the places in the order of their first member.

    Example:
        >>> group_places([(0, 0, 0), (50, 0, 0), (10, 0, 0), (20, 0, 0)])
        [[0, 2, 3], [1]]
    """
    if len(centres_mm) < 2:
        return [[i] for i in range(len(centres_mm))]
    tree = linkage(np.asarray(centres_mm, dtype=float), "single")
    groups: dict[int, list[int]] = {}
    for index, group in enumerate(fcluster(tree, reach_mm + _FUZZ_MM, "distance")):
        groups.setdefault(int(group), []).append(index)
    return sorted(groups.values())


def hot_spots(
    places: Sequence[tuple[str, bool, ClusterRecord, int]], reach_mm: float = PLACE_MM
) -> tuple[HotSpot, ...]:
    """List where in MNI space several subjects have a false positive.

    Over subjects single linkage would chain through half the brain, so balls are drawn instead:
    the place with the most subjects within reach is the first hot spot, its members are set
    aside, and so on while a ball holds at least two subjects. That is a count, not a test: with
    many false positives some share a place by chance.

    Args:
        places: Id, whether a patient, cluster, and number of runs of each place; those without
            MNI coordinates are passed over.
        reach_mm: Radius of a ball, mm.

    Returns:
        Hot spots, most subjects first.
    """
    left = [place for place in places if place[2].centre_mni_mm is not None]
    spots = []
    while len(left) > 1:
        tree = cKDTree([c.centre_mni_mm for _, _, c, _ in left])
        near = tree.query_ball_point(tree.data, reach_mm + _FUZZ_MM)
        sizes = [
            (len({left[i][0] for i in mine}), sum(left[i][3] for i in mine), left[k][2].score, -k)
            for k, mine in enumerate(near)
        ]
        most, clusters, _, first = max(sizes)
        if most < 2:
            break
        middle, members = left[-first][2], {int(i) for i in near[-first]}
        who = {left[i][0]: left[i][1] for i in members}
        spots.append(
            HotSpot(
                middle.centre_mni_mm or (0.0, 0.0, 0.0),
                middle.lobe,
                middle.side,
                tuple(sorted(name for name, patient in who.items() if patient)),
                tuple(sorted(name for name, patient in who.items() if not patient)),
                clusters,
            )
        )
        left = [place for i, place in enumerate(left) if i not in members]
    return tuple(spots)
