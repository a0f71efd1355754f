"""Work: one thing that an expert may be asked to do, and its gain per minute.

All kinds of work share one currency (reference/relabelling.md 4b, own design):

    ROI = [P(change) gain - P(harm) harm] / minutes

Gain and harm are in *corrected masks' worth*: 1 is what it is worth that the wrong mask of one
patient becomes a right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fcdsynth.ledger.words import TASKS

NEW, INSPECT, SYNTHETIC, DISAGREEMENT, FAILURE = TASKS
SUSPECTED, AUDIT, PLANTED = "suspected", "audit", "planted"
# Second looks at labels that exist; the other kinds add labels.
SECOND_LOOKS = frozenset({INSPECT, DISAGREEMENT, FAILURE})
WORDS: Mapping[str, str] = MappingProxyType(
    {
        NEW: "outline the lesion of a patient without a mask",
        INSPECT: "look at this mask again",
        SYNTHETIC: "say whether this synthetic patient could be real",
        DISAGREEMENT: "readers differ about this mask: decide",
        FAILURE: "say why detectors fail here: label, data or model",
    }
)


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that an expert may be asked to do.

    Args:
        kind: One of the ledger's tasks: new, inspect, synthetic, disagreement, failure.
        subject: Whose label.
        p_change: Probability that the work changes something for the better.
        gain: What that is worth, corrected masks.
        minutes: Minutes that it is expected to take.
        minutes_from: ``assumed``, or ``fitted`` where enough logged reviews stand behind them.
        p_harm: Probability that it makes something worse.
        harm: What that costs, corrected masks.
        label: Label version, empty where there is none or no ledger.
        cause: Why it is asked, for the one who plans.
        may: What the reader may do.
        reason: Why it is asked, for the reader.
        p_err: For inspections: the calibrated probability that the mask is wrong.
        source: For inspections: suspected, audit or planted; else empty.
    """

    kind: str
    subject: str
    p_change: float
    gain: float
    minutes: float
    minutes_from: str = "assumed"
    p_harm: float = 0.0
    harm: float = 0.0
    label: str = ""
    cause: str = ""
    may: str = ""
    reason: str = ""
    p_err: float | None = None
    source: str = ""

    @property
    def worth(self) -> float:
        """Expected gain less expected harm, corrected masks."""
        return self.p_change * self.gain - self.p_harm * self.harm

    @property
    def roi(self) -> float:
        """Worth per minute."""
        return self.worth / self.minutes
