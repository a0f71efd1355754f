"""Targets: kinds of lesion to draw a number of, and what they leave of a law and of a host."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.whole import write_whole
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.size import SizeLaw
from fcdsynth.measure.lobes import LOBES, lobe_index

LEAST_MASS = 0.001
_FLAT = 100.0
REMEDY = "Mend the target; fcdsynth coverage writes a target.json to start from."


@dataclass(frozen=True)
class Target:
    """Lesions of one kind to be drawn; a field at its default means any.

    Args:
        lobe: Lobe code (FL, PL, TL, OL, IL) of the seed.
        side: ``L`` or ``R``.
        low_ml: Smallest volume, ml.
        high_ml: Largest volume, ml; infinite means no limit, and is null in JSON.
        site: Scanner site of the host.
        count: How many to draw, at least 1.

    Raises:
        SettingsError: If a value is not possible.
    """

    lobe: str = ""
    side: str = ""
    low_ml: float = 0.0
    high_ml: float = math.inf
    site: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        faults = {
            "lobe": (self.lobe not in ("", *LOBES), f"one of {', '.join(LOBES)}, or empty for any"),
            "side": (self.side not in ("", "L", "R"), "L, R, or empty for any"),
            "site": (not isinstance(self.site, str), "a site's name, or empty for any"),
            "count": (not _whole(self.count) or self.count < 1, "a whole number of at least 1"),
            "low_ml": (not _number(self.low_ml) or not 0 <= self.low_ml < math.inf,
                       "a volume in ml, 0 for any"),
            "high_ml": (not _number(self.high_ml) or not self.high_ml > 0,
                        "a volume in ml, null for any"),
        }  # fmt: skip
        for name, (wrong, expected) in faults.items():
            if wrong:
                raise SettingsError(f"target.{name}", repr(getattr(self, name)), expected, REMEDY)
        if self.low_ml >= self.high_ml:
            raise SettingsError("target", f"{self.low_ml:g} to {self.high_ml:g} ml",
                                "low_ml below high_ml", REMEDY)  # fmt: skip

    @property
    def names_place(self) -> bool:
        """Whether it says where in the brain: a lobe or a side."""
        return bool(self.lobe or self.side)

    @property
    def words(self) -> str:
        """The target in a few words."""
        side = {"L": "left", "R": "right", "": "either side"}[self.side]
        size = "any size" if math.isinf(self.high_ml) and not self.low_ml else (
            f"{self.low_ml:g} ml and more" if math.isinf(self.high_ml)
            else f"{self.low_ml:g} to {self.high_ml:g} ml"
        )  # fmt: skip
        return f"{self.lobe or 'any lobe'}, {side}, {size}, {self.site or 'any site'}"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def targets_json(targets: Sequence[Target]) -> str:
    """JSON text of targets: ``{"targets": [{"lobe": "TL", "side": "L", ...}, ...]}``."""
    records = [asdict(t) for t in targets]
    for record in records:
        if math.isinf(record["high_ml"]):
            record["high_ml"] = None
    rows = ",\n  ".join(json.dumps(record) for record in records)
    return f'{{"targets": [\n  {rows}\n]}}\n' if rows else '{"targets": []}\n'


def write_targets(path: Path, targets: Sequence[Target]) -> Path:
    """Write targets under another name first, so that a half-written file never looks whole."""
    return write_whole(path, targets_json(targets))


def read_targets(path: Path | str) -> tuple[Target, ...]:
    """Read a target.json, written by coverage or by hand.

    The file holds ``{"targets": [...]}``, each target an object with any of the keys lobe, side,
    low_ml, high_ml, site and count. A key left out, or an empty one, or null, means any (of
    count: 1). Three small lesions in left temporal lobes, for example::

        {"targets": [{"lobe": "TL", "side": "L", "high_ml": 1, "count": 3}]}

    Raises:
        SettingsError: If the file is absent or no such file, holds no target, a key is unknown
            or a value is not possible; the message names the target by its number from 1.
    """
    path = Path(path)
    if not path.is_file():
        raise SettingsError("target", f"no file {path}", "a target.json",
                            "Check the path, or run fcdsynth coverage first.")  # fmt: skip
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        given = record["targets"]
        if set(record) != {"targets"} or not isinstance(given, list):
            raise ValueError('something else than {"targets": [...]}')
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(str(path), f"{type(error).__name__}: {error}",
                            'JSON of the form {"targets": [...]}', REMEDY) from error  # fmt: skip
    if not given:
        raise SettingsError(str(path), "no target", "at least one", REMEDY)
    return tuple(_read_one(row, number, path) for number, row in enumerate(given, 1))


def _read_one(row: Any, number: int, path: Path) -> Target:
    name = f"{path}, target {number}"
    known = {f.name for f in fields(Target)}
    if not isinstance(row, dict) or set(row) - known:
        found = f"keys {sorted(set(row) - known)}" if isinstance(row, dict) else repr(row)
        raise SettingsError(name, found, f"an object with keys {', '.join(sorted(known))}", REMEDY)
    try:
        return Target(**{key: value for key, value in row.items() if value is not None})
    except SettingsError as error:
        raise SettingsError(
            f"{name}, {error.subject.removeprefix('target.')}", error.found, error.expected,
            error.remedy,
        ) from error  # fmt: skip


def mass_between(law: SizeLaw, low_ml: float, high_ml: float) -> float:
    """Share of a size law from ``low_ml`` to ``high_ml``, its truncation counted."""
    ends = np.clip([low_ml, high_ml, law.lower_ml, law.upper_ml], law.lower_ml, law.upper_ml)
    low, high, first, last = stats.norm.cdf(np.log(ends), math.log(law.median_ml), law.sigma_ln)
    return float((high - low) / (last - first))


def narrowed(law: SizeLaw, target: Target) -> tuple[SizeLaw, bool]:
    """A size law within a target's volumes.

    Args:
        law: The law of all lesions.
        target: Gives the interval; where it sets no limit, the law's own bound holds.

    Returns:
        The law truncated to the interval and False. Where the interval holds less than 1 in
        1,000 of the law, its far tail would crowd at one end: then a log-uniform law over the
        interval and True. (It is written as a log-normal 100 times as wide as the interval,
        whose density of ln V changes by less than 2 in 100,000 across it.)

    Raises:
        SettingsError: If the target sets one limit only and the law ends before it.
    """
    low = target.low_ml or law.lower_ml
    high = law.upper_ml if math.isinf(target.high_ml) else target.high_ml
    if low >= high:
        raise SettingsError(
            "target", f"{target.low_ml:g} to {target.high_ml:g} ml, outside a size law of "
            f"{law.lower_ml:g} to {law.upper_ml:g} ml", "both limits, or one that meets the law",
            "Give low_ml and high_ml.",
        )  # fmt: skip
    if mass_between(law, low, high) >= LEAST_MASS:
        inside = replace(law, lower_ml=max(low, law.lower_ml), upper_ml=min(high, law.upper_ml))
        return inside, False
    flat = SizeLaw(math.sqrt(low * high), _FLAT * math.log(high / low), low, high)
    return flat, True


def seeds_in(host: Host, target: Target) -> NDArray[np.bool_]:
    """Which of a host's ribbon voxels lie in a target's lobe and side.

    Args:
        host: The anatomy.
        target: What to draw.

    Returns:
        Shape (n,), in the order of ``host.ribbon_vox``; at least one is True.

    Raises:
        CohortError: If the target names a lobe and the host's MNI position is unknown, or the
            host has no such cortex.
    """
    chosen = np.ones(len(host.ribbon_vox), dtype=bool)
    if target.side:
        chosen &= host.right[tuple(host.ribbon_vox.T)] == (target.side == "R")
    if target.lobe:
        points = host.to_mni(host.ribbon_vox)
        if points is None:
            raise CohortError(host.subject, "no t1w_to_mni, so its lobes are unknown",
                              f"a known MNI position, to draw in lobe {target.lobe}",
                              "Prepare the subject again or leave it out.")  # fmt: skip
        chosen &= lobe_index(points) == LOBES.index(target.lobe)
    if not chosen.any():
        raise CohortError(
            host.subject, f"no cortex for a lesion in {target.lobe or 'any lobe'}, "
            f"side {target.side or 'any'}", "cortex there, outside any lesion",
            "Leave the host out, or look at its tissue map.",
        )  # fmt: skip
    return chosen
