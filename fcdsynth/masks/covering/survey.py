"""Survey: every cell of a cohort, judged; its margins, and the targets that would fill it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.masks.covering.cells import Cell, Placed
from fcdsynth.masks.covering.rule import State, Verdict, false_alarm, judge
from fcdsynth.masks.targets import Target


@dataclass(frozen=True)
class Row:
    """One cell, judged.

    Args:
        cell: The cell.
        share: Share of all lesions that the law puts there.
        verdict: What is thought of its count.
    """

    cell: Cell
    share: float
    verdict: Verdict


@dataclass(frozen=True)
class Survey:
    """The coverage of a cohort.

    Args:
        rows: Every cell, by site, lobe, side and size.
        lesions: All lesions counted, those of unknown lobe too.
        law: The law in words.
        at_least: Lesions that every cell should hold.
        controls: Training controls by site: the hosts that lesions could be drawn in.
        patients: Training patients counted.
        maskless: Ids of training patients without a lesion mask.
    """

    rows: tuple[Row, ...]
    lesions: tuple[Placed, ...]
    law: str
    at_least: int
    controls: Mapping[str, int]
    patients: int
    maskless: tuple[str, ...]

    @property
    def n(self) -> int:
        """Lesions in cells."""
        return sum(row.verdict.observed for row in self.rows)

    @property
    def sites(self) -> tuple[str, ...]:
        """The cohort's sites, in order."""
        return tuple(dict.fromkeys(row.cell.site for row in self.rows))

    @property
    def thin(self) -> tuple[Row, ...]:
        """Cells that lack lesions: first those short beyond chance, then by the number expected."""
        thin = [row for row in self.rows if row.verdict.missing]
        return tuple(sorted(thin, key=_urgency))

    @property
    def by_chance(self) -> float:
        """Cells that would be called short on average if the cohort followed the law."""
        return sum(
            false_alarm(r.share, self.n) for r in self.rows if r.verdict.state is not State.RARE
        )

    def drawable(self, row: Row) -> bool:
        """Whether a lesion of a cell can be asked for: its site is named and has a control.

        Where no site of the cohort is named, any control will do.
        """
        named = bool(row.cell.site) or len(self.sites) == 1
        return named and self.controls.get(row.cell.site, 0) > 0

    def targets(self) -> tuple[Target, ...]:
        """What to draw, in the order of `thin`."""
        return tuple(
            Target(c.lobe, c.side, float(c.size.low_ml), float(c.size.high_ml), c.site,
                   row.verdict.missing)
            for row in self.thin if self.drawable(row) for c in (row.cell,)
        )  # fmt: skip

    def margin(self, key: Callable[[Cell], tuple[str, ...]]) -> dict[tuple[str, ...], Verdict]:
        """Counts summed over what a key leaves out, judged by the same rule.

        Args:
            key: What is kept of a cell, such as its lobe and the label of its size.
        """
        observed: Counter[tuple[str, ...]] = Counter()
        share: dict[tuple[str, ...], float] = {}
        for row in self.rows:
            name = key(row.cell)
            observed[name] += row.verdict.observed
            share[name] = share.get(name, 0.0) + row.share
        return {
            name: judge(observed[name], min(part, 1.0), self.n, self.at_least)
            for name, part in share.items()
        }


def _urgency(row: Row) -> tuple[bool, float]:
    return row.verdict.state is not State.SHORT, -row.verdict.expected


def judged(
    cells: Sequence[Cell],
    shares: NDArray[np.float64],
    lesions: Sequence[Placed],
    sites: Mapping[str, float],
    at_least: int,
) -> tuple[Row, ...]:
    """Count lesions into cells and judge each.

    Args:
        cells: All cells.
        shares: Share of lesions in each by the law, shape of ``cells``.
        lesions: The lesions; those of unknown lobe are left out.
        sites: Share of lesions at each site by the law.
        at_least: Lesions that every cell should hold.
    """
    observed = Counter(c for lesion in lesions if (c := lesion.cell) is not None)
    n = sum(observed.values())
    return tuple(
        Row(cell, float(share),
            judge(observed[cell], float(share), n, at_least, float(share) / sites[cell.site]))
        for cell, share in zip(cells, shares, strict=True)
    )  # fmt: skip
