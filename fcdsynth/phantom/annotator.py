"""Who outlines a lesion and what goes wrong: readers, planted errors and their mixes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.phantom.lesionspec import LesionSpec

NO_ERROR = "none"
EXTENT = ("too_large", "too_small", "wobbly", "holes")
ERRORS = (*EXTENT, "missed", "false", "shifted", "side", "subject")
MISSED_WHOLE = "missed_whole"
# Rates after section 5.4 of the project's notes on relabelling; `missed` leaves out the second
# of two lesions, `missed_whole` everything (the patient looks like a control).
MIXES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "none": {},
        "realistic": {
            **dict.fromkeys(EXTENT, 0.60 / len(EXTENT)),
            "missed": 0.15, "false": 0.10, "shifted": 0.05, "side": 0.05, "subject": 0.05,
        },
        # For measurements of errors: a fixed share of patients, and each error in its turn.
        "dealt": dict.fromkeys(ERRORS, 1 / len(ERRORS)),
        "stress": {
            **{error: 1 / len(ERRORS) for error in ERRORS},
            "missed": 0.5 / len(ERRORS),
            MISSED_WHOLE: 0.5 / len(ERRORS),
        },
    }
)  # fmt: skip
_ENLARGING_MM = 1.0


@dataclass(frozen=True)
class Reader:
    """The habits of one reader, the same in all his outlines.

    Args:
        name: Such as ``reader 1``.
        bias_mm: Mean error of his border, positive outwards.
        spread_mm: How much that mean differs between his outlines.
        wobble_mm: Spread of the border's error within an outline.
        drift_mm: Largest shift of an outline as a whole.
        tail_share: Share of transmantle bands that he outlines too.
    """

    name: str
    bias_mm: float
    spread_mm: float
    wobble_mm: float
    drift_mm: float
    tail_share: float


def draw_reader(seed: int, site_number: int, sites: int = 1) -> Reader:
    """Draw the reader of a site.

    One site's reader (number ``1 + seed % sites``, where there are several) outlines
    everything 1 mm larger than the others: a bias, which averaging does not remove.

    Args:
        seed: Seed of the cohort.
        site_number: From 1.
        sites: Number of sites.
    """
    rng = np.random.default_rng([seed, 5, site_number])
    enlarging = sites > 1 and site_number == 1 + seed % sites
    return Reader(
        name=f"reader {site_number}",
        bias_mm=float(rng.normal(0, 0.15)) + (_ENLARGING_MM if enlarging else 0.0),
        spread_mm=float(rng.uniform(0.2, 0.4)),
        wobble_mm=float(rng.uniform(0.5, 0.9)),
        drift_mm=0.4,
        tail_share=float(rng.choice([0.1, 0.5, 0.9])),
    )


@dataclass(frozen=True)
class AnnotatorSpec:
    """How the lesions of one patient were outlined.

    Args:
        reader: Name of the reader.
        bias_mm: Mean error of the border, positive outwards.
        wobble_mm: Spread of the border's error around that.
        shift_mm: Shift of the whole outline (R, A, S).
        keeps_tail: Whether a transmantle band was outlined too.
        error: Planted error: ``none``, one of `ERRORS` or ``missed_whole``.
        amount: Its size: mm for ``too_large``, ``too_small``, ``wobbly`` and ``shifted``; for
            ``holes`` every how many slabs one is missing; otherwise 0.
        one_sided: Whether ``too_large`` and ``too_small`` act on the white matter side alone.
        other: For ``subject``: whose outline was filed under this name, as the number of
            places further among the patients of the cohort, from 1, wrapping around; else 0.
        false_lesion: For ``false``: the lesion that the reader saw in healthy cortex.
        seed: Seed of the border's error.
    """

    reader: str
    bias_mm: float
    wobble_mm: float
    shift_mm: tuple[float, float, float]
    keeps_tail: bool
    error: str
    amount: float
    one_sided: bool
    other: int
    false_lesion: LesionSpec | None
    seed: int


def _draw_amount(rng: np.random.Generator, error: str) -> float:
    if error in ("too_large", "too_small"):
        return float(rng.uniform(1, 3))
    if error == "wobbly":
        return float(rng.uniform(1.8, 3.0))
    if error == "shifted":
        return float(rng.uniform(3, 8))
    return float(rng.integers(2, 4)) if error == "holes" else 0.0


def dealt_error(number: int, error_share: float, seed: int) -> str:
    """Error of a patient in the mix ``dealt``, `NO_ERROR` for most.

    Every 1 / error_share-th patient has one; of each nine errors in a row all differ, in an order
    drawn anew, so that no kind keeps to one scanner.

    Args:
        number: Number of the patient, from 0.
        error_share: Share of patients with an error.
        seed: Seed of the cohort.
    """
    before, after = (math.floor(n * error_share + 1e-9) for n in (number, number + 1))
    if after == before:
        return NO_ERROR
    order = np.random.default_rng([seed, 7, before // len(ERRORS)]).permutation(len(ERRORS))
    return ERRORS[order[before % len(ERRORS)]]


def draw_annotator(
    rng: np.random.Generator, error_share: float, mix: str, reader: Reader, dealt: str = ""
) -> AnnotatorSpec:
    """Draw how a patient's lesions were outlined.

    Args:
        rng: Source of randomness.
        error_share: Share of outlines with a planted error, 0 to 1.
        mix: One of `MIXES`.
        reader: Who outlines.
        dealt: Error that this patient has by `dealt_error`, in place of one drawn.

    Returns:
        The annotator. What a ``false`` one saw is for the caller to add, and so is the second
        lesion that a ``missed`` one leaves out.

    Raises:
        SettingsError: If mix or share is not one of those, or errors are asked of no mix.
    """
    if mix not in MIXES:
        raise SettingsError("mix", mix, ", ".join(MIXES), "Choose one of the mixes.")
    if not 0 <= error_share <= 1 or (error_share > 0 and not MIXES[mix]):
        raise SettingsError(
            "error_share", f"{error_share} with mix {mix}",
            "0 to 1, and 0 with the mix 'none'", "Change error_share or the mix.",
        )  # fmt: skip
    direction = rng.standard_normal(3)
    length = rng.uniform(0, 1) * reader.drift_mm
    x, y, z = (float(v) for v in direction / np.linalg.norm(direction) * length)
    limit = 2 * reader.spread_mm
    bias = reader.bias_mm + float(np.clip(rng.normal(0, reader.spread_mm), -limit, limit))
    planted = rng.random() < error_share
    # Drawn in any case, so that the share of errors changes no other number.
    kinds = MIXES[mix] or MIXES["stress"]
    error = str(rng.choice(list(kinds), p=np.array(list(kinds.values()))))
    error = dealt or (error if planted else NO_ERROR)
    side_draw, other = rng.random(), int(rng.integers(1, 8))
    return AnnotatorSpec(
        reader=reader.name,
        bias_mm=bias,
        wobble_mm=reader.wobble_mm,
        shift_mm=(x, y, z),
        keeps_tail=bool(rng.random() < reader.tail_share),
        error=error,
        seed=int(rng.integers(2**31)),
        amount=_draw_amount(rng, error),
        one_sided=bool(error in ("too_large", "too_small") and side_draw < 1 / 3),
        other=other if error == "subject" else 0,
        false_lesion=None,
    )
