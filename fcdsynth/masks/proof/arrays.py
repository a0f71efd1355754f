"""Masks of one side as arrays, and the samples that tests are made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.masks.proof.examples import FEATURES, Example
from fcdsynth.measure.two_sample import Pooled, pool

FEWEST = 8
FEWEST_ORIGINS = 2


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks of one side, one row a mask.

    Args:
        values: Features in the order of `FEATURES`, shape (n, 12), NaN where unknown.
        outside: Share of the given mask outside cortex and white matter, shape (n,).
        groups: Group of each.
        lobes: Lobe code of each, empty where unknown.
        sides: ``L`` or ``R`` of each.
    """

    values: NDArray[np.float64]
    outside: NDArray[np.float64]
    groups: tuple[str, ...]
    lobes: tuple[str, ...]
    sides: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Masks:
        """Collect examples."""
        return cls(
            np.array([e.features for e in examples], dtype=float).reshape(-1, len(FEATURES)),
            np.array([e.outside for e in examples], dtype=float),
            tuple(e.group for e in examples),
            tuple(e.lobe for e in examples),
            tuple(e.side for e in examples),
        )

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.int64]) -> Masks:
        """Some of them, in the order of the rows."""
        return Masks(
            self.values[rows], self.outside[rows],
            *(tuple(names[i] for i in rows) for names in (self.groups, self.lobes, self.sides)),
        )  # fmt: skip

    @property
    def placed(self) -> Masks:
        """Those whose place in MNI is known."""
        return self.take(np.flatnonzero(np.array(self.lobes) != ""))


def samples(
    a: Masks, b: Masks, columns: Sequence[int] | None = None, outside: bool = False
) -> Pooled:
    """Two sides as samples for a test.

    Args:
        a: First side.
        b: Second side.
        columns: Which features; all when None.
        outside: Whether the share outside cortex and white matter is one more feature.
    """
    chosen = list(range(len(FEATURES))) if columns is None else list(columns)
    x, y = (np.column_stack([side.values[:, chosen], side.outside]) if outside
            else side.values[:, chosen] for side in (a, b))  # fmt: skip
    return pool(x, y, (a.groups, b.groups))


def require_enough(drawn: Masks, real: Masks) -> None:
    """Refuse sides that are too small to compare.

    Raises:
        CohortError: If there are fewer than 8 drawn masks or they all have one host or donor,
            or if the real ones come from fewer than 8 patients.
    """
    hosts, patients = (len(set(side.groups)) for side in (drawn, real))
    if len(drawn) < FEWEST or hosts < FEWEST_ORIGINS:
        raise CohortError(
            "drawn masks", f"{len(drawn)} of {hosts} hosts or donors",
            f"at least {FEWEST} of at least {FEWEST_ORIGINS} hosts or donors", "Draw more masks.",
        )  # fmt: skip
    if patients < FEWEST:
        raise CohortError(
            "real masks", f"{len(real)} of {patients} independent patients",
            f"at least {FEWEST} patients", "Compare with a larger cohort.",
        )  # fmt: skip
