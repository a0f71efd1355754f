"""What is planted where: a spec that is drawn once, written down, and done twice alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fcdsynth.core.errors import SettingsError

EXTENT = ("too_large", "too_small", "wobbly", "holes")
ERRORS = (*EXTENT, "missed", "false", "shifted", "side", "subject")
# No error: the same lesion outlined again, as readers differ. It teaches what must be let pass,
# and that a computed outline is no sign of an error.
REDRAWN = "redrawn"
# Shares of the errors, reference/relabelling.md 5.4: ours, as no count of real ones is published.
MIXES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "realistic": {
            **dict.fromkeys(EXTENT, 0.60 / len(EXTENT)),
            "missed": 0.15, "false": 0.10, "shifted": 0.05, "side": 0.05, "subject": 0.05,
        },
        "stress": dict.fromkeys(ERRORS, 1 / len(ERRORS)),
    }
)  # fmt: skip
_AMOUNTS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"too_large": (1.0, 3.0), "too_small": (1.0, 3.0), "wobbly": (1.8, 3.0), "holes": (2.0, 3.999),
     "shifted": (3.0, 8.0), REDRAWN: (0.3, 0.7)}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlantSpec:
    """One error in one copy of one mask.

    Args:
        subject: Whose mask.
        error: One of `ERRORS`, or `REDRAWN`.
        amount: mm for ``too_large``, ``too_small``, ``wobbly``, ``shifted`` and ``redrawn`` (how
            far the border wanders); for ``holes`` every how many slabs of 3 mm one is missing, 2
            or 3; else 0.
        other: For ``false`` and ``subject``: whose mask is pasted; else empty.
        seed: Seed of places and borders.
    """

    subject: str
    error: str
    amount: float
    other: str
    seed: int


def draw_spec(subject: str, error: str, others: Sequence[str], seed: Sequence[int]) -> PlantSpec:
    """Draw size, donor and seed of an error.

    Args:
        subject: Whose mask.
        error: One of `ERRORS`, or `REDRAWN`.
        others: Ids of the subjects whose masks can be pasted, this one not among them.
        seed: Numbers that decide the draw, with the subject and the error.

    Raises:
        SettingsError: If the error is unknown, or a donor is needed and there is none.
    """
    kinds = (*ERRORS, REDRAWN)
    if error not in kinds:
        raise SettingsError("error", repr(error), ", ".join(kinds), "Name one of them.")
    rng = np.random.default_rng([*seed, kinds.index(error), *subject.encode()])
    low, high = _AMOUNTS.get(error, (0.0, 0.0))
    amount = float(rng.uniform(low, high))
    if error == "holes":
        amount = float(int(amount))
    other = ""
    if error in ("false", "subject"):
        if not others:
            raise SettingsError(
                f"{subject} {error}", "no other mask", "another patient's mask to paste",
                "Plant it in a cohort of two patients or more.",
            )  # fmt: skip
        other = str(others[int(rng.integers(len(others)))])
    return PlantSpec(subject, error, amount, other, int(rng.integers(2**31)))
