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
from fcdsynth.masks.laws.balance import balanced
from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.masks.laws.near_volume import near_volume
from fcdsynth.masks.spec import Growth, LesionSpec
from fcdsynth.measure.geodesic import Voxel
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
    "smoothing_mm": (0.0, 2.5, False),
}
# How much each descriptor but the volume varies between lesions, roughly: only for ranking.
_SPREAD = np.array([0.2, 0.35, 0.45, 0.15, 4.0, 0.22, 0.06])
TRIALS = 160
_BEST = 4  # trials that the search goes on around
_ROUNDS = (1.0, 0.4, 0.2)  # share of a range within which each round tries
_SEARCH = 0.6  # share of the growths that search; the others repeat the best
_REPEATS = 3  # how often each of the best is grown again
_LIKE = 0.1  # how far the depth rank of another place may be from the lesion's
_FEWEST_PLACES = 50
# What the place of a mask decides, not its settings.
_OF_THE_PLACE = ("mean_depth_mm",)
_NEAR = 0.35  # distance that makes an example weigh 1 / sqrt(e) of the best, before balancing


@dataclass(frozen=True)
class Trial:
    """Settings grown with the volume of a training lesion, elsewhere in the patient's cortex.

    Args:
        growth: The settings.
        made: Descriptors of what came out in the order of `DESCRIPTORS`, for each growth.
        distance: Root mean square difference from the lesion's, in typical spreads, mean over
            the growths.
    """

    growth: Growth
    made: tuple[tuple[float, ...], ...]
    distance: float


@dataclass(frozen=True)
class GrowthExample:
    """Settings that made masks like a training lesion.

    Args:
        ln_volume: Logarithm of the lesion's volume in ml.
        growth: The settings.
        distance: How far the masks were from the lesion, see `Trial`.
        weight: How often it is drawn, relative to other examples of that volume.
    """

    ln_volume: float
    growth: Growth
    distance: float
    weight: float = 1.0


@dataclass(frozen=True)
class GrowthLaw:
    """Settings to draw from; the defaults of `Growth` where there are no examples.

    Args:
        examples: Settings with the volume of the lesion they come from.
    """

    examples: tuple[GrowthExample, ...] = ()

    def draw(self, rng: np.random.Generator, volume_ml: float) -> Growth:
        """Settings for a lesion of a volume: those of an example of about that volume.

        Examples weigh by their volume, see `near_volume`, and by their own weights.
        """
        pick = rng.random()
        if not self.examples:
            return Growth()
        volumes = [example.ln_volume for example in self.examples]
        weights = [example.weight for example in self.examples]
        return self.examples[near_volume(volumes, math.log(volume_ml), pick, weights)].growth

    def to_record(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {"examples": [asdict(e) for e in self.examples]}

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
        return cls(examples)


def fit_growths(tried: Sequence[tuple[Lesion, Sequence[Trial]]]) -> GrowthLaw:
    """Weigh the trials of all lesions so that together they make masks like the lesions.

    Trials weigh by how near they came to their own lesion (a soft form of rejection sampling,
    Pritchard et al. 1999). What growth cannot quite reach would be missed on one side at every
    lesion, so weights are then balanced (`balanced`): descriptors of all masks made, weighted,
    have about the means and second moments of the lesions' descriptors.

    Args:
        tried: Training lesions with their trials.
    """
    own = [column for column, name in enumerate(DESCRIPTORS) if name not in _OF_THE_PLACE]
    pairs = [(lesion, trial) for lesion, trials in tried for trial in trials]
    if not pairs:
        return GrowthLaw()
    start = np.concatenate([_nearness(trials) for _, trials in tried if trials])
    rows = np.array([one for _, trial in pairs for one in trial.made])[:, own]
    groups = np.repeat(np.arange(len(pairs)), [len(trial.made) for _, trial in pairs])
    target = np.stack([lesion.shape.descriptors() for lesion, trials in tried if trials])[:, own]
    weights = balanced(rows, target, groups, start) * len(pairs)
    examples = tuple(
        GrowthExample(round(math.log(lesion.volume_ml), 4), trial.growth,
                      round(trial.distance, 4), round(float(weight), 4))
        for (lesion, trial), weight in zip(pairs, weights, strict=True)
    )  # fmt: skip
    return GrowthLaw(examples)


def _nearness(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """Weights of one lesion's trials, sum 1."""
    away = np.array([trial.distance for trial in trials])
    weight = np.exp(-((away - away.min()) ** 2) / (2 * _NEAR**2))
    return np.asarray(weight / weight.sum())


def try_growths(
    host: Host, lesion: Lesion, count: int = TRIALS, seed: int = 0
) -> tuple[Trial, ...]:
    """Grow masks where a training lesion is, under settings drawn at random.

    The first rounds draw from all that is tried, the next ever nearer around the best. Growth is
    random, so the best of one growth each are the lucky ones; and masks are drawn elsewhere than
    lesions were. So the last two fifths of the growths repeat the best at other places of the
    patient's cortex, of about the lesion's depth rank, and only these repeats are given back.

    Args:
        host: The patient's anatomy.
        lesion: The lesion.
        count: Number of growths.
        seed: Seed of everything random.

    Returns:
        The settings that were grown again, the best of the search first; none where there is
        no room for the volume.

    Raises:
        SettingsError: If there are fewer than 2.
    """
    if count < 2:
        raise SettingsError("growths", f"{count} trials", "at least 2", "Change the setting.")
    rng = np.random.default_rng([seed, zlib.crc32(lesion.subject.encode()), lesion.number])
    wanted = lesion.shape.descriptors()
    search = min(math.ceil(_SEARCH * count), count - 1)
    found: list[tuple[float, Growth]] = []
    for number in range(search):
        point = rng.random(len(_RANGES))
        closer = _ROUNDS[number * len(_ROUNDS) // search]
        if closer < 1 and found:
            best = sorted(found, key=lambda one: one[0])[:_BEST]
            near = _place_of(best[int(rng.integers(len(best)))][1])
            point = np.clip(near + closer * (point - 0.5), 0, 1)
        growth = _growth_at(point)
        one = _one(host, lesion, lesion.seed_vox, growth, int(rng.integers(2**31)))
        if one is not None:
            found.append((_away(one, wanted), growth))
    found.sort(key=lambda one: one[0])
    again = found[: max(1, (count - search) // _REPEATS)]
    places = _places_like(host, lesion)
    trials = []
    for number, (_, growth) in enumerate(again):
        growths = (count - search + len(again) - 1 - number) // len(again)
        made = [
            _one(host, lesion, places[int(rng.integers(len(places)))], growth,
                 int(rng.integers(2**31)))
            for _ in range(growths)
        ]  # fmt: skip
        sound = [one for one in made if one is not None]
        if sound:
            distance = float(np.mean([_away(one, wanted) for one in sound]))
            trials.append(Trial(growth, tuple(tuple(one.tolist()) for one in sound), distance))
    return tuple(trials)


def _away(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(((found - wanted)[1:] / _SPREAD) ** 2)))


def _places_like(host: Host, lesion: Lesion) -> list[Voxel]:
    """Ribbon voxels of about the lesion's depth rank."""
    away = np.abs(host.ribbon_rank - lesion.seed_rank)
    nearest = np.sort(away)[min(_FEWEST_PLACES, len(away)) - 1]
    chosen = host.ribbon_vox[away <= max(_LIKE, float(nearest))]
    return [(x, y, z) for x, y, z in chosen.tolist()]


def _one(
    host: Host, lesion: Lesion, voxel: Voxel, growth: Growth, seed: int
) -> NDArray[np.float64] | None:
    """Descriptors of one growth, None where there is no room."""
    size = len(lesion.vox)
    spec = LesionSpec(
        seed, host.subject, "lesion", voxel, (0.0, 0.0, 0.0), None, size,
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
