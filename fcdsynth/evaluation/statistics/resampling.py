"""Bootstrap samples of subjects: strata, families, and how much a sample can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.cases import SubjectRecord

# Integers whose weighted sums tell columns of counts apart stay exact in double precision.
_LARGEST_KEY = 2**30


def units_of(families: Sequence[str]) -> NDArray[np.intp]:
    """Number the units that vary on their own: families, and subjects without one.

    Args:
        families: Family of each subject, empty for one on its own.

    Returns:
        Unit of each subject, shape (n,), from 0 without gaps.
    """
    numbers: dict[str, int] = {}
    units = [
        numbers.setdefault(f"family {name}" if name else f"subject {i}", len(numbers))
        for i, name in enumerate(families)
    ]
    return np.array(units, dtype=np.intp)


def strata_of(labels: Sequence[tuple[str, str]]) -> NDArray[np.intp]:
    """Number the strata of a bootstrap.

    A stratum of one subject would never vary, so that such strata are pooled within their
    group, and with the group's smallest other stratum where one alone is left over.

    Args:
        labels: Group and site of each subject.

    Returns:
        Stratum of each subject, shape (n,).
    """
    names = list(labels)
    sizes = Counter(names)
    names = [(g, "(pooled)") if sizes[g, s] == 1 else (g, s) for g, s in names]
    sizes = Counter(names)
    for group in {g for g, _ in names}:
        others = sorted((n, s) for (g, s), n in sizes.items() if g == group and s != "(pooled)")
        if sizes[group, "(pooled)"] == 1 and others:
            host = (group, others[0][1])
            names = [host if name == (group, "(pooled)") else name for name in names]
    _, numbers = np.unique([f"{g}\t{s}" for g, s in names], return_inverse=True)
    return np.asarray(numbers, dtype=np.intp)


def resampling_counts(
    strata: NDArray[np.intp], draws: int, seed: int, families: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """How often each subject occurs in each bootstrap sample.

    Subjects of one family are drawn together, whole families with replacement, in the stratum
    that holds most of the family (the first of several); so each stratum keeps its number of
    families in every sample, not its number of subjects. Strata with a single family, which
    would never vary, are drawn as one.

    Args:
        strata: Stratum of each subject, shape (n,).
        draws: Number of bootstrap samples.
        seed: Seed.
        families: Family of each subject, empty for one on its own; all on their own when None.

    Returns:
        Counts, shape (draws, n).

    Raises:
        SettingsError: If there is not one family name for each subject.
    """
    if families is None:
        families = [""] * len(strata)
    if len(families) != len(strata):
        raise SettingsError("families", f"{len(families)} names", f"{len(strata)}",
                            "Give one name, or an empty one, for each subject.")  # fmt: skip
    rng = np.random.default_rng([seed, 1])
    units = units_of(families)
    home = _homes(units, strata) if any(families) else strata
    counts = np.zeros((draws, len(home)))
    for stratum in np.unique(home):
        members = np.flatnonzero(home == stratum)
        counts[:, members] = rng.multinomial(
            len(members), np.full(len(members), 1 / len(members)), size=draws
        )
    return counts[:, units] if any(families) else counts


def weights_of(subjects: Sequence[SubjectRecord], draws: int, seed: int) -> NDArray[np.float64]:
    """Bootstrap weights of subjects: within group and site, families drawn whole.

    Args:
        subjects: The subjects.
        draws: Number of bootstrap samples.
        seed: Seed.

    Returns:
        Counts, shape (draws, n).
    """
    strata = strata_of([(s.group.value, s.site) for s in subjects])
    return resampling_counts(strata, draws, seed, [s.family for s in subjects])


def _homes(units: NDArray[np.intp], strata: NDArray[np.intp]) -> NDArray[np.intp]:
    """Stratum of each unit, shape (units,)."""
    names, numbers = np.unique(strata, return_inverse=True)
    members = np.zeros((units.max() + 1, len(names)))
    np.add.at(members, (units, numbers), 1)
    home: NDArray[np.intp] = members.argmax(axis=1)
    alone = np.isin(home, np.flatnonzero(np.bincount(home, minlength=len(names)) == 1))
    if alone.sum() == 1 and (~alone).any():
        sizes = np.bincount(home[~alone], minlength=len(names)).astype(float)
        home[alone] = np.where(sizes > 0, sizes, np.inf).argmin()
    elif alone.any():
        home[alone] = home[alone].min()
    return home


@dataclass(frozen=True, slots=True)
class Freedom:
    """What a bootstrap of a ratio can know.

    Args:
        units: Families, or subjects on their own, that contribute.
        families: Whether any of them holds several subjects.
        shrink: The share of the variance that the bootstrap finds: ``1 - 1/m`` in a stratum
            of m units (Rao & Wu 1988), averaged with the contributions as weights.
        degrees: Degrees of freedom: the effective number of units, given their unequal
            contributions (Kish 1965), less one for each stratum.
        unit: Unit of each contributing subject, shape (contributing,).
        used: Which subjects contribute, shape (n,).
    """

    units: int
    families: bool
    shrink: float
    degrees: float
    unit: NDArray[np.intp]
    used: NDArray[np.bool_]

    @classmethod
    def of(cls, bottoms: ArrayLike, counts: NDArray[np.float64]) -> Freedom:
        """Read it from the counts: subjects that always occur together are one unit.

        Args:
            bottoms: Contribution of each subject to the denominator, shape (n,).
            counts: What `resampling_counts` gave, shape (draws, n).
        """
        bottom = np.asarray(bottoms, dtype=float)
        used = bottom > 0
        if not used.any():
            return cls(0, False, 0.0, 0.0, np.zeros(0, dtype=np.intp), used)
        mine = counts if used.all() else counts[:, used]
        keys = np.random.default_rng(0).integers(1, _LARGEST_KEY, len(counts)).astype(float)
        _, first, unit = np.unique(keys @ mine, return_index=True, return_inverse=True)
        share = np.bincount(unit, bottom[used]) / bottom.sum()
        # A count has mean 1, so its variance is that of drawing m units out of m: 1 - 1/m.
        variance = np.einsum("ij,ij->j", mine, mine)[first] / len(mine) - 1
        shrink = float(np.clip(share @ variance, 0, 1))
        kish = float(1 / (share @ share))
        degrees = min(kish * shrink, kish - 1)
        return cls(len(first), len(first) < used.sum(), shrink, degrees, unit, used)

    def without_each(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over subjects without one unit at a time, shape (units, k).

        Args:
            table: What each subject contributes, shape (n, k).
        """
        left: NDArray[np.float64] = np.repeat(table.sum(axis=0, keepdims=True), self.units, axis=0)
        np.subtract.at(left, self.unit, table[self.used])
        return left

    @property
    def noun(self) -> str:
        """What the units are."""
        return "families" if self.families else "subjects"
