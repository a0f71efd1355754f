"""A phantom in parts: groups of subjects that share no anatomy, each with its split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fcdsynth.core.errors import SettingsError
from fcdsynth.phantom.annotator import draw_reader
from fcdsynth.phantom.contrast import draw_site
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.roster import Roster, closed, draw_numbered


@dataclass(frozen=True)
class Part:
    """Some subjects of a phantom.

    Args:
        anatomies: File names of the label maps they are drawn from.
        patients: Number of patients.
        controls: Number of controls.
        split: What they are used for: train, val, test or none.
    """

    anatomies: tuple[str, ...]
    patients: int
    controls: int
    split: Literal["train", "val", "test", "none"] = "none"


def require_parts(parts: Sequence[Part], known: Sequence[str]) -> None:
    """Refuse parts that name an anatomy which is not there, or share one across splits.

    Raises:
        SettingsError: Naming the anatomy or the number at fault.
    """
    owner: dict[str, str] = {}
    for part in parts:
        if min(part.patients, part.controls) < 0 or part.patients + part.controls == 0:
            raise SettingsError("parts", f"{part.patients} patients and {part.controls} controls",
                                "at least one subject in each part", "Change parts.")  # fmt: skip
        if not part.anatomies:
            raise SettingsError("parts", "a part without anatomies", "at least one in each part",
                                "Change parts.")  # fmt: skip
        for name in part.anatomies:
            if name not in known:
                raise SettingsError("parts", name, f"one of {', '.join(known)}",
                                    "Name files of the anatomies folder.")  # fmt: skip
            if owner.setdefault(name, part.split) != part.split:
                raise SettingsError(
                    "parts", f"{name} in the splits {owner[name]} and {part.split}",
                    "each anatomy in one split", "Change parts.",
                )  # fmt: skip


def draw_parts(
    parts: Sequence[Part], sites: int, seed: int, law: LesionLaw
) -> tuple[Roster, dict[str, str]]:
    """Draw the subjects of all parts; numbers run on from part to part.

    A subject depends on seed, number and its part's anatomies alone, so further parts at the
    end leave those before as they were.

    Args:
        parts: The parts, in order.
        sites: Number of scanners, the same for all parts.
        seed: Seed of everything random.
        law: Laws of lesions and outlines; its reader is replaced by each site's own.

    Returns:
        The roster, and each subject's split by id.
    """
    scanners = {n: draw_site(seed, n) for n in range(1, sites + 1)}
    readers = {n: draw_reader(seed, n, sites) for n in scanners}
    specs = []
    splits: dict[str, str] = {}
    first = {True: 0, False: 0}
    for part in parts:
        for patient, count in ((True, part.patients), (False, part.controls)):
            for number in range(first[patient], first[patient] + count):
                site = number % sites + 1
                own = replace(law, reader=readers[site])
                spec = draw_numbered(number, patient, scanners[site], part.anatomies, seed, own)
                specs.append(spec)
                splits[spec.id] = part.split
            first[patient] += count
    return closed(specs, scanners, readers), splits
