"""Minutes: how long a piece of work takes, from assumptions that logged reviews replace.

    ln minutes = b_task + b_volume ln(volume / 2.8 ml) + b_components ln(components) + b_reader

fitted by least squares with a ridge towards the defaults, so that a term counts in the measure in
which reviews tell of it (reference/relabelling.md 4b). What is planned is the mean of a log-normal,
exp(mu + s^2 / 2). No minutes per FCD mask are published: all defaults are assumed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import TASKS

TYPICAL_ML = 2.8  # median lesion, DESIGN 5
# Assumed typical minutes of a lesion of 2.8 ml in one piece.
ASSUMED: Mapping[str, float] = MappingProxyType(
    {"new": 25.0, "inspect": 4.0, "synthetic": 1.5, "disagreement": 6.0, "failure": 8.0}
)
_VOLUME, _COMPONENTS, _SIGMA = 0.15, 0.3, 0.4
# Reviews that an assumption is worth: of a task's level, of a slope, of a reader's pace (0).
_TASK_WORTH, _SLOPE_WORTH, _READER_WORTH = 5.0, 10.0, 5.0
ENOUGH = 5  # from so many reviews on a task's minutes count as fitted
_SHORTEST = 0.05


@dataclass(frozen=True, slots=True)
class Timed:
    """A piece of work that was timed.

    Args:
        task: One of the ledger's tasks.
        minutes: Active minutes, above 0.
        volume_ml: Volume of the label, ml; 0 where it is not known.
        components: Number of its components; 0 where it is not known.
        reader: Pseudonym.
    """

    task: str
    minutes: float
    volume_ml: float = 0.0
    components: int = 0
    reader: str = ""


@dataclass(frozen=True)
class MinutesLaw:
    """The log-linear law.

    Args:
        tasks: ln minutes of each task for a typical lesion.
        volume: Slope in ln volume.
        components: Slope in ln components.
        sigma: Standard deviation of ln minutes around the law.
        readers: ln of each reader's pace; one who is not named has 0.
        reviews: Number of reviews of each task behind it.
    """

    tasks: Mapping[str, float] = field(
        default_factory=lambda: {task: math.log(m) for task, m in ASSUMED.items()}
    )
    volume: float = _VOLUME
    components: float = _COMPONENTS
    sigma: float = _SIGMA
    readers: Mapping[str, float] = field(default_factory=dict)
    reviews: Mapping[str, int] = field(default_factory=dict)

    def minutes(
        self, task: str, volume_ml: float = 0.0, components: int = 0, reader: str = ""
    ) -> float:
        """Expected minutes of a piece of work; a volume or number of 0 counts as typical."""
        mu = (
            self.tasks[task]
            + self.volume * _ln_volume(volume_ml)
            + self.components * _ln_components(components)
            + self.readers.get(reader, 0.0)
        )
        return math.exp(mu + self.sigma**2 / 2)

    def source(self, task: str) -> str:
        """``fitted`` where five reviews of the task or more stand behind it, else ``assumed``."""
        return "fitted" if self.reviews.get(task, 0) >= ENOUGH else "assumed"

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it, with typical minutes."""
        return {
            "typical_minutes": {task: round(self.minutes(task), 3) for task in TASKS},
            "from": {task: self.source(task) for task in TASKS},
            "reviews": {task: self.reviews.get(task, 0) for task in TASKS},
            "volume_slope": round(self.volume, 4),
            "components_slope": round(self.components, 4),
            "sigma": round(self.sigma, 4),
            "pace_of_readers": {r: round(math.exp(v), 4) for r, v in sorted(self.readers.items())},
        }


def fit_minutes(timed: Sequence[Timed]) -> MinutesLaw:
    """Fit the law to timed work, drawn towards the assumptions.

    Args:
        timed: Work; what took no time was not timed and is passed over.
    """
    used = [t for t in timed if t.minutes > _SHORTEST]
    before = MinutesLaw()
    if not used:
        return before
    readers = sorted({t.reader for t in used} - {""})
    columns = len(TASKS) + 2 + len(readers)
    x = np.zeros((len(used), columns))
    for row, t in zip(x, used, strict=True):
        row[TASKS.index(t.task)] = 1.0
        row[len(TASKS)] = _ln_volume(t.volume_ml)
        row[len(TASKS) + 1] = _ln_components(t.components)
        if t.reader:
            row[len(TASKS) + 2 + readers.index(t.reader)] = 1.0
    start = np.array([*(before.tasks[task] for task in TASKS), _VOLUME, _COMPONENTS]
                     + [0.0] * len(readers))  # fmt: skip
    worth = np.array([_TASK_WORTH] * len(TASKS) + [_SLOPE_WORTH] * 2
                     + [_READER_WORTH] * len(readers))  # fmt: skip
    rest = np.log([t.minutes for t in used]) - x @ start
    found = start + np.linalg.solve(x.T @ x + np.diag(worth), x.T @ rest)
    off = np.log([t.minutes for t in used]) - x @ found
    variance = (_TASK_WORTH * _SIGMA**2 + float(off @ off)) / (_TASK_WORTH + len(used))
    values = [float(v) for v in found]
    return MinutesLaw(
        dict(zip(TASKS, values, strict=False)), values[len(TASKS)], values[len(TASKS) + 1],
        math.sqrt(variance), dict(zip(readers, values[len(TASKS) + 2 :], strict=True)),
        dict(Counter(t.task for t in used)),
    )  # fmt: skip


def timed_reviews(state: State) -> list[Timed]:
    """Every review of a ledger that logged its time."""
    found = []
    for review in state.reviews.values():
        label = state.labels[review.label]
        found.append(Timed(review.task, review.seconds_active / 60, label.volume_ml,
                           label.components, review.reader))  # fmt: skip
    return [t for t in found if t.minutes > _SHORTEST]


def _ln_volume(volume_ml: float) -> float:
    return math.log(max(volume_ml, 0.01) / TYPICAL_ML) if volume_ml > 0 else 0.0


def _ln_components(components: int) -> float:
    return math.log(components) if components > 0 else 0.0
