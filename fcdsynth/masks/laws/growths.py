"""The growth law: settings under which growth makes masks like the training lesions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.grown import shape_in
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.masks.laws.near_volume import near_volume
from fcdsynth.masks.spec import Growth, LesionSpec
from fcdsynth.measure.shape import DESCRIPTORS

# What is tried: lowest and highest value, and whether the logarithm is uniform.
_RANGES: Mapping[str, tuple[float, float, bool]] = {
    "juxtacortical_mm": (1.0, 12.0, True),
    "white_cost": (0.15, 10.0, True),
    "roughness": (0.0, 1.5, False),
    "correlation_mm": (2.0, 12.0, True),
    "compactness": (0.0, 4.0, False),
    "along": (-0.4, 1.2, False),
    "inward": (-0.9, 0.6, False),
}
# How much each descriptor but the volume varies between lesions, roughly: only for ranking.
_SPREAD = np.array([0.2, 0.35, 0.45, 0.15, 4.0, 0.22, 0.06])
TRIALS = 60
_BEST = 4  # trials of a lesion that are kept
_ROUNDS = (1.0, 0.4, 0.2)  # share of a range within which each round tries
_REPEATS = 2  # how often the best are grown again


@dataclass(frozen=True)
class Trial:
    """One growth at the place and with the volume of a training lesion.

    Args:
        growth: Its settings.
        descriptors: What came out, in the order of `DESCRIPTORS`, mean over its growths,
            shape (8,).
        distance: Root mean square difference from the lesion's, in typical spreads, mean over
            its growths.
    """

    growth: Growth
    descriptors: tuple[float, ...]
    distance: float


@dataclass(frozen=True)
class GrowthExample:
    """Settings that made a mask like a training lesion.

    Args:
        ln_volume: Logarithm of the lesion's volume in ml.
        growth: The settings.
        distance: How far the mask was from the lesion, see `Trial`.
    """

    ln_volume: float
    growth: Growth
    distance: float


@dataclass(frozen=True)
class GrowthLaw:
    """Settings to draw from; the defaults of `Growth` where there are no examples.

    Args:
        examples: Settings with the volume of the lesion they come from.
        tried: Number of growths per lesion that they were chosen from.
    """

    examples: tuple[GrowthExample, ...] = ()
    tried: int = 0

    def draw(self, rng: np.random.Generator, volume_ml: float) -> Growth:
        """Settings for a lesion of a volume: those of an example of about that volume.

        Examples weigh by their volume, see `near_volume`.
        """
        pick = rng.random()
        if not self.examples:
            return Growth()
        volumes = [example.ln_volume for example in self.examples]
        return self.examples[near_volume(volumes, math.log(volume_ml), pick)].growth

    def to_record(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {"tried": self.tried, "examples": [asdict(e) for e in self.examples]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> GrowthLaw:
        """Read `to_record` back.

        Raises:
            SettingsError: If a setting is out of range.
            TypeError: If a key is unknown.
        """
        examples = tuple(
            GrowthExample(**{**example, "growth": Growth(**example["growth"])})
            for example in record["examples"]
        )
        return cls(examples, int(record["tried"]))


def fit_growths(tried: Sequence[tuple[Lesion, Sequence[Trial]]]) -> GrowthLaw:
    """Keep the best trials of every lesion (rejection sampling, Pritchard et al. 1999).

    Args:
        tried: Training lesions with their trials.
    """
    examples = [
        GrowthExample(round(math.log(lesion.volume_ml), 4), trial.growth, round(trial.distance, 4))
        for lesion, trials in tried
        for trial in sorted(trials, key=lambda t: t.distance)[:_BEST]
    ]
    return GrowthLaw(tuple(examples), max((len(trials) for _, trials in tried), default=0))


def try_growths(
    host: Host, lesion: Lesion, count: int = TRIALS, seed: int = 0
) -> tuple[Trial, ...]:
    """Grow masks where a training lesion is, under settings drawn at random.

    The first rounds draw from all that is tried, the next ever nearer around the best. Growth is
    random, so the best of one growth each are the lucky ones: the last fifth of the growths
    repeats the best, and their trials become means.

    Args:
        host: The patient's anatomy.
        lesion: The lesion.
        count: Number of growths.
        seed: Seed of everything random.

    Raises:
        SettingsError: If there are fewer than 2.
    """
    if count < 2:
        raise SettingsError("growths", f"{count} trials", "at least 2", "Change the setting.")
    rng = np.random.default_rng([seed, zlib.crc32(lesion.subject.encode()), lesion.number])
    wanted = lesion.shape.descriptors()
    repeats = count // 5
    trials: list[Trial] = []
    for number in range(count - repeats):
        point = rng.random(len(_RANGES))
        closer = _ROUNDS[number * len(_ROUNDS) // (count - repeats)]
        if closer < 1 and trials:
            best = sorted(trials, key=lambda t: t.distance)[:_BEST]
            near = _place_of(best[int(rng.integers(len(best)))].growth)
            point = np.clip(near + closer * (point - 0.5), 0, 1)
        growth = _growth_at(point)
        found = _one(host, lesion, growth, int(rng.integers(2**31)))
        if found is not None:
            trials.append(_trial(growth, [found], wanted))
    trials.sort(key=lambda t: t.distance)
    again = trials[: max(_BEST, repeats // _REPEATS)]
    for number in range(len(again) if repeats else 0):
        growths = (repeats + len(again) - 1 - number) // len(again)
        more = [_one(host, lesion, again[number].growth, int(rng.integers(2**31)))
                for _ in range(growths)]  # fmt: skip
        found_again = [d for d in more if d is not None]
        first = np.array(again[number].descriptors)
        trials[number] = _trial(again[number].growth, [first, *found_again], wanted)
    return tuple(trials)


def _trial(
    growth: Growth, found: Sequence[NDArray[np.float64]], wanted: NDArray[np.float64]
) -> Trial:
    away = [np.sqrt(np.mean(((one - wanted)[1:] / _SPREAD) ** 2)) for one in found]
    mean = np.mean(found, axis=0)
    return Trial(growth, tuple(float(v) for v in mean), float(np.mean(away)))


def _one(host: Host, lesion: Lesion, growth: Growth, seed: int) -> NDArray[np.float64] | None:
    """Descriptors of one growth, None where there is no room."""
    size = len(lesion.vox)
    spec = LesionSpec(
        seed, host.subject, "lesion", lesion.seed_vox, (0.0, 0.0, 0.0), None, size,
        size * host.grid.voxel_ml, growth=growth,
    )  # fmt: skip
    try:
        grown = grow(host, spec)
    except NoRoom:
        return None
    return shape_in(host, grown).descriptors()


def _growth_at(point: NDArray[np.float64]) -> Growth:
    """Settings at a point of the unit cube, rounded to what matters."""
    values = {}
    for share, (name, (low, high, log)) in zip(point, _RANGES.items(), strict=True):
        value = low * (high / low) ** share if log else low + (high - low) * share
        values[name] = round(float(value), 3)
    return Growth(**values)


def _place_of(growth: Growth) -> NDArray[np.float64]:
    """The point of the unit cube that settings come from."""
    point = []
    for name, (low, high, log) in _RANGES.items():
        value = getattr(growth, name)
        point.append(math.log(value / low) / math.log(high / low) if log
                     else (value - low) / (high - low))  # fmt: skip
    return np.array(point)


assert len(DESCRIPTORS) == len(_SPREAD) + 1
