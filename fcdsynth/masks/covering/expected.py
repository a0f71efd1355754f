"""The share of lesions that a law puts into each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.subject import Subject
from fcdsynth.masks.covering.cells import SIDES, SIZE_BINS, Cell
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.size import SizeLaw
from fcdsynth.masks.placement import place
from fcdsynth.masks.targets import mass_between
from fcdsynth.measure.lobes import BONN_LOBES, BONN_SIDES, LOBES, lobe_index


def published_places() -> NDArray[np.float64]:
    """Share of lesions by lobe and side, shape (5, 2): Bonn's lobes times Bonn's sides."""
    lobes = np.array([BONN_LOBES[name] for name in LOBES], dtype=float)
    sides = np.array([BONN_SIDES[name] for name in SIDES], dtype=float)
    return np.outer(lobes / lobes.sum(), sides / sides.sum())


def places_in(host: Host, prior: LesionPrior) -> NDArray[np.float64] | None:
    """Share of lesions by lobe and side that a prior's site law puts into one host.

    Args:
        host: The anatomy.
        prior: The prior.

    Returns:
        Shape (5, 2), summing to 1; None where the host's MNI position is unknown.
    """
    points = host.to_mni(host.ribbon_vox)
    if points is None:
        return None
    right = host.right[tuple(host.ribbon_vox.T)]
    number = lobe_index(points).astype(int) * len(SIDES) + right
    share = np.bincount(number, place(host, prior).site, minlength=len(LOBES) * len(SIDES))
    return np.asarray(share.reshape(len(LOBES), len(SIDES)) / share.sum())


def size_shares(law: SizeLaw) -> tuple[float, ...]:
    """Share of lesions in each size bin."""
    return tuple(mass_between(law, b.low_ml, b.high_ml) for b in SIZE_BINS)


def site_shares(subjects: Sequence[Subject]) -> dict[str, float]:
    """Share of lesions at each site, where lesions come as people do.

    It is the share of patients and controls together. Shares of patients alone would call any
    cohort well covered, a site of controls only included, and it is there that a detector
    learns the scanner in place of the lesion.

    Args:
        subjects: Real training patients and controls.
    """
    sites = sorted({s.site for s in subjects})
    return {site: sum(s.site == site for s in subjects) / len(subjects) for site in sites}


def expected_shares(
    places: NDArray[np.float64], sizes: Sequence[float], sites: Mapping[str, float],
    cells: Sequence[Cell],
) -> NDArray[np.float64]:  # fmt: skip
    """Share of each cell, where place, size and site are independent; shape of ``cells``."""
    return np.array(
        [
            places[LOBES.index(c.lobe), SIDES.index(c.side)]
            * sizes[SIZE_BINS.index(c.size)]
            * sites[c.site]
            for c in cells
        ]
    )
