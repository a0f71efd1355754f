"""The budget of a run, and what a run reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.book import Rule
from fcdsynth.study.relabelling.network import NetworkSettings


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a budget is spent.

    Args:
        start: Annotations before the first round.
        batch: Annotations a round.
        rounds: Rounds.
        share: Share of a round's annotations for second looks.
        folds: Folds of out-of-fold networks.
        rule: Which of an item's labels counts; see `Book`.
        smoothing: beta of the engine's smoothing.
        network: The networks.

    Raises:
        SettingsError: If a value is out of range.
    """

    start: int = 100
    batch: int = 60
    rounds: int = 8
    share: float = 0.3
    folds: int = 5
    rule: Rule = "majority"
    smoothing: float = 0.5
    network: NetworkSettings = field(default_factory=NetworkSettings)

    def __post_init__(self) -> None:
        ranges = {"start": (20, 10**6), "batch": (1, 10**6), "rounds": (1, 1000),
                  "share": (0.0, 1.0), "folds": (2, 20), "smoothing": (0.0, 0.6)}  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low:g} to {high:g}", "Change the setting.")
        if self.rule not in ("replace", "majority"):
            raise SettingsError("rule", repr(self.rule), "replace or majority", "Name one of them.")

    @property
    def total(self) -> int:
        """Annotations in all."""
        return self.start + self.rounds * self.batch


@dataclass(frozen=True)
class Curve:
    """What a run reached.

    Args:
        annotations: Annotations at each training, shape (rounds + 1,).
        accuracy: On the test set.
        wrong: Share of the labels that are wrong.
        wrong_training: Share wrong among the labels that train in the end.
        withheld: Share of the labels that do not.
        looks: Second looks.
        hits: Of them, those at a wrong label.
        repaired: Wrong labels made right.
        damaged: Right labels made wrong.
        most_looks: Largest number of annotations of one item.
        items: Items with a label in the end.
        seconds: Wall time.
    """

    annotations: tuple[int, ...]
    accuracy: tuple[float, ...]
    wrong: tuple[float, ...]
    wrong_training: float
    withheld: float
    looks: int
    hits: int
    repaired: int
    damaged: int
    most_looks: int
    items: int
    seconds: float
