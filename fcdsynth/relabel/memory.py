"""What is remembered of an item across rounds: smoothed suspicion, looks taken, and rest.

Reference/relabelling.md 2.8 (own design). For an item and a version of its label,

    E <- beta E + (1 - beta) s ,    reported E / (1 - beta^n)      n = scores of this version

An edit makes a new version, and the average starts anew. A review that confirmed the label
multiplies the report by 0.3 and lets the item rest for two rounds. An item gets at most two looks
unless new evidence has come in: without that rule a plain uncertainty score asks for the same
item for ever (Lin, Mausam, Weld, AAAI 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How long and how strictly to remember.

    Args:
        beta: Weight of the past in the average; 0 forgets at once, 0.6 is the most that three
            to six rounds can bear.
        calm: Factor on the report after a review that confirmed the label.
        rest: Rounds an item rests after that.
        looks: Looks at most without new evidence.

    Raises:
        SettingsError: If a value is out of range.
    """

    beta: float = 0.5
    calm: float = 0.3
    rest: int = 2
    looks: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (("beta", 0, 0.6), ("calm", 0, 1), ("rest", 0, 100),
                                ("looks", 1, 100)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low} to {high}", "Change the setting.")


@dataclass(frozen=True)
class Trace:
    """What is remembered of one item.

    Args:
        version: Version of the label that the average is about.
        average: E of the formula, not yet corrected for its start at 0.
        n: Scores in it.
        factor: Factor of confirming reviews of this version.
        looks: Looks since the last new evidence, over all versions.
        rests_until: Last round in which the item rests; -1 when it never did.
    """

    version: str
    average: float = 0.0
    n: int = 0
    factor: float = 1.0
    looks: int = 0
    rests_until: int = -1


@dataclass(frozen=True)
class Memory:
    """The traces of all items; a value: every method returns a new one.

    Args:
        settings: How to remember.
        round: Number of the present round, from 0.
        traces: By item.
    """

    settings: MemorySettings = field(default_factory=MemorySettings)
    round: int = 0
    traces: Mapping[str, Trace] = field(default_factory=dict)

    def observe(self, scores: Mapping[str, tuple[str, float]]) -> Memory:
        """Take in a round's scores.

        Args:
            scores: By item: the version of its label and the score, any finite number.
        """
        beta, traces = self.settings.beta, dict(self.traces)
        for item, (version, score) in scores.items():
            old = self._trace(item, version)
            average = beta * old.average + (1 - beta) * score
            traces[item] = replace(old, average=average, n=old.n + 1)
        return replace(self, traces=traces)

    def report(self, item: str) -> float:
        """Smoothed suspicion of an item's present version; NaN when it was never scored."""
        trace = self.traces.get(item)
        if trace is None or trace.n == 0:
            return float("nan")
        return trace.factor * trace.average / (1 - self.settings.beta**trace.n)

    def may_look(self, item: str) -> bool:
        """Whether an item neither rests nor has had its looks."""
        trace = self.traces.get(item)
        if trace is None:
            return True
        return self.round > trace.rests_until and trace.looks < self.settings.looks

    def confirmed(self, item: str, version: str) -> Memory:
        """After a review in the present round that left the label as it was."""
        old = self._trace(item, version)
        new = replace(
            old, factor=old.factor * self.settings.calm, looks=old.looks + 1,
            rests_until=self.round + self.settings.rest,
        )  # fmt: skip
        return replace(self, traces={**self.traces, item: new})

    def edited(self, item: str, version: str) -> Memory:
        """After a review that changed the label: a new version, whose average starts anew."""
        looks = self.traces[item].looks if item in self.traces else 0
        return replace(self, traces={**self.traces, item: Trace(version, looks=looks + 1)})

    def renewed(self, item: str) -> Memory:
        """New evidence has come in (histology, another scan): the looks count from 0 again."""
        if item not in self.traces:
            return self
        new = replace(self.traces[item], looks=0, rests_until=-1, factor=1.0)
        return replace(self, traces={**self.traces, item: new})

    def next_round(self) -> Memory:
        """The same traces, one round later."""
        return replace(self, round=self.round + 1)

    def _trace(self, item: str, version: str) -> Trace:
        old = self.traces.get(item)
        if old is None:
            return Trace(version)
        if old.version == version:
            return old
        return Trace(version, looks=old.looks, rests_until=old.rests_until)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "settings": asdict(self.settings),
            "round": self.round,
            "traces": {item: asdict(trace) for item, trace in self.traces.items()},
        }

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Memory:
        """Read back what `plain` gave."""
        traces = {item: Trace(**values) for item, values in record["traces"].items()}
        return cls(MemorySettings(**record["settings"]), int(record["round"]), traces)
