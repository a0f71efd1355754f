"""The numbers of a subject's quality record: how they are called, and how far out they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Record = Mapping[str, Any]
_LEAST_SAME = 5
_FLOOR = 0.01


@dataclass(frozen=True)
class Number:
    """One number by which subjects of a cohort are compared.

    Args:
        key: Short name.
        short: Head of its column on the cohort page.
        label: Its name in full.
        form: Format of its value.
        get: Reads it off a quality record; None where it is absent.
    """

    key: str
    short: str
    label: str
    form: str
    get: Callable[[Record], float | None]

    def text(self, record: Record) -> str:
        """The value as written on a page."""
        value = self.get(record)
        return "" if value is None else self.form.format(value)


def _plain(key: str) -> Callable[[Record], float | None]:
    return lambda record: record.get(key)


NUMBERS = (
    Number("brain", "Brain", "Brain volume", "{:.0f} ml", _plain("brain_ml")),
    Number("grey", "Grey", "Grey matter, share of the brain", "{:.1%}", _plain("grey_share")),
    Number("white", "White", "White matter, share of the brain", "{:.1%}", _plain("white_share")),
    Number("contrast", "T1w contrast", "T1w: white matter above cortex, in SD of white matter",
           "{:.2f}", _plain("t1w_contrast")),
    Number("mni", "ICBM152", "Overlap of the brain with ICBM152 (Dice)", "{:.3f}",
           _plain("mni_brain_dice")),
    Number("nats", "FLAIR on T1w", "FLAIR on T1w: shared information", "{:.2f} nats",
           lambda r: r.get("alignment_nats", {}).get("chosen")),
    Number("turn", "turned", "FLAIR turned by", "{:.1f} degrees", _plain("flair_turn_deg")),
    Number("shift", "moved", "FLAIR moved by", "{:.1f} mm", _plain("flair_shift_mm")),
    Number("cover", "in view", "Brain inside the FLAIR's field of view", "{:.1%}",
           _plain("flair_cover")),
)  # fmt: skip


def robust_z(
    records: Mapping[str, Record], scanners: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """How far each number of each subject lies from the others of its scanner.

    z is the distance from the median over 1.4826 times the median absolute deviation, among the
    subjects of the scanner where there are 5 with that number, else among all. The deviation is
    taken as 1 % of the median at least.

    Args:
        records: Quality record of each subject.
        scanners: Scanner of each subject; empty when unknown.

    Returns:
        z by number's key, by subject; absent where the number is absent or fewer than 5 have it.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in records}
    for number in NUMBERS:
        values = {name: v for name, r in records.items() if (v := number.get(r)) is not None}
        for name, value in values.items():
            same = [v for n, v in values.items() if scanners[n] and scanners[n] == scanners[name]]
            group = same if len(same) >= _LEAST_SAME else list(values.values())
            if len(group) >= _LEAST_SAME:
                found[name][number.key] = _z(value, group)
    return found


def _z(value: float, group: Sequence[float]) -> float:
    middle = float(np.median(group))
    spread = 1.4826 * float(np.median(np.abs(np.asarray(group) - middle)))
    return (value - middle) / max(spread, _FLOOR * abs(middle), 1e-6)
