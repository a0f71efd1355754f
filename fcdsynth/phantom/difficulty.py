"""How hard the lesions of a phantom are to see: presets of one knob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True)
class Difficulty:
    """One position of the knob.

    Args:
        name: Name of the preset.
        contrast_sd: Lowest and highest FLAIR contrast in standard deviations of the healthy
            tissue around.
        size_factor: Factor on the median volume of lesions.
        border_factor: Factor on thickening and blurring of the grey-white border.
    """

    name: str
    contrast_sd: tuple[float, float]
    size_factor: float
    border_factor: float

    def __post_init__(self) -> None:
        low, high = self.contrast_sd
        if not 0 < low <= high <= 10:
            raise SettingsError(
                "contrast_sd", f"{low} to {high}", "0 < low <= high <= 10", "Change contrast_sd."
            )


# `study` is fixed. It was chosen by what the detector finds of held-out lesions at half a false
# cluster per subject (preset_sensitivity_* of benchmarks/detector.py): 33 % after 35 + 35 training
# subjects and 46 % after 70 + 70, where 30 to 55 % and 15 points more were wanted. Of brighter (1.5
# to 4) or larger (x 1.4) lesions more subjects found only 8 to 10 points more; of fainter ones (0.5
# to 3) too few were found.
PRESETS: Mapping[str, Difficulty] = MappingProxyType(
    {
        "easy": Difficulty("easy", (2.5, 4.0), 1.4, 1.3),
        "medium": Difficulty("medium", (0.5, 3.0), 1.0, 1.0),
        "hard": Difficulty("hard", (0.4, 1.5), 0.6, 0.6),
        "study": Difficulty("study", (1.1, 3.6), 1.1, 1.1),
    }
)


def difficulty_of(preset: str, contrast_sd: tuple[float, float] | None = None) -> Difficulty:
    """A preset, its contrast replaced where one is given.

    Raises:
        SettingsError: If there is no such preset, or the contrast is out of range.
    """
    if preset not in PRESETS:
        raise SettingsError("difficulty", preset, ", ".join(PRESETS), "Choose one of the presets.")
    base = PRESETS[preset]
    if contrast_sd is None:
        return base
    low, high = contrast_sd
    return Difficulty(base.name, (float(low), float(high)), base.size_factor, base.border_factor)
