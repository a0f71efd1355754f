"""The hit rules: when a cluster counts as having found a lesion."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.pairs import REACH_MM, Pairs

IOU_MIN = 0.1
CENTRE_MM = 10.0
NEAR_MM = REACH_MM
# Affines are stored in single precision: a distance of exactly 10 mm must survive a rotation.
_FUZZ_MM = 1e-3


class Rule(StrEnum):
    """A hit rule. A figure without its rule is not comparable, so all are always computed.

    ``overlap`` and ``iou`` compare voxels, ``centre`` compares the centres of mass of cluster
    and lesion, ``near`` the closest voxel centres. ``near`` is the volumetric counterpart of
    MELD's 20 mm border zone (Ripart et al. 2025 use geodesic distance on the surface).

    What implies what: an IoU of at least 0.1 implies overlap, overlap implies near. ``centre``
    implies none of them, nor is it implied: the centre of a large lesion may lie far from a
    cluster inside it.
    """

    OVERLAP = "overlap"
    IOU = "iou"
    CENTRE = "centre"
    NEAR = "near"

    @property
    def words(self) -> str:
        """The rule as a phrase for tables."""
        return {
            Rule.OVERLAP: "any shared voxel",
            Rule.IOU: f"IoU of at least {IOU_MIN:g}, one cluster for one lesion",
            Rule.CENTRE: f"centres of mass within {CENTRE_MM:g} mm, one cluster for one lesion",
            Rule.NEAR: f"any voxel within {NEAR_MM:g} mm",
        }[self]

    @property
    def one_to_one(self) -> bool:
        """Whether a cluster may find at most one lesion under this rule."""
        return self in (Rule.IOU, Rule.CENTRE)

    def hits(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Whether each cluster hits each lesion, shape (lesions, clusters)."""
        if self is Rule.OVERLAP:
            return np.asarray(pairs.shared_vox > 0)
        if self is Rule.IOU:
            return np.asarray(pairs.iou >= IOU_MIN)
        if self is Rule.CENTRE:
            return np.asarray(pairs.centre_mm <= CENTRE_MM + _FUZZ_MM)
        return np.asarray(pairs.gap_mm <= NEAR_MM + _FUZZ_MM)

    def closeness(self, pairs: Pairs) -> NDArray[np.float64]:
        """How well each cluster fits each lesion, in [0, 1], to settle ties between scores."""
        if self in (Rule.OVERLAP, Rule.IOU):
            return pairs.iou
        if self is Rule.CENTRE:
            return np.clip(1 - pairs.centre_mm / CENTRE_MM, 0, 1)
        return np.clip(1 - pairs.gap_mm / NEAR_MM, 0, 1)


def rule_named(name: str) -> Rule:
    """The rule of a name.

    Raises:
        SettingsError: If there is none.
    """
    try:
        return Rule(name)
    except ValueError as error:
        raise SettingsError(
            "rule", repr(name), ", ".join(f"{rule.value} ({rule.words})" for rule in Rule),
            "Choose the rule that the headline figures follow; the others are reported as well.",
        ) from error  # fmt: skip
