"""Wrong and harmless copies of every mask, measured like the masks themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_mask, read_volume
from fcdsynth.measure.components import label_components
from fcdsynth.measure.mirror import values_at
from fcdsynth.relabel.channels import ChannelSettings, Region, measure_support
from fcdsynth.relabel.facts import in_named_lobe, midplane_of, read_lobes
from fcdsynth.relabel.planting.recipes import plant
from fcdsynth.relabel.planting.scene import Scene
from fcdsynth.relabel.planting.spec import ERRORS, REDRAWN, PlantSpec, draw_spec
from fcdsynth.relabel.profile.maps import Maps
from fcdsynth.relabel.profile.profile import Profile, measure_profile


@dataclass(frozen=True)
class Measured:
    """One mask, as given or as planted, in numbers.

    Args:
        subject: Whose.
        spec: What was planted; None for the mask as given.
        regions: Its support by channel; empty without a map.
        profile: Its profile.
    """

    subject: str
    spec: PlantSpec | None
    regions: tuple[Region, ...]
    profile: Profile


@dataclass(frozen=True)
class Task:
    """One subject to be measured.

    Args:
        cohort: The prepared cohort.
        subject: The subject.
        probability: File of its out-of-fold map, or None.
        donors: Subjects whose masks may be pasted.
        settings: How support is measured.
        copies: How many times each error is planted; 0 measures the given mask alone.
        seed: Seed of what is planted.
    """

    cohort: Cohort
    subject: Subject
    probability: str | None
    donors: tuple[str, ...]
    settings: ChannelSettings
    copies: int
    seed: int = 0


def measure_subject(task: Task) -> tuple[Measured, ...]:
    """The given mask first, then its copies; those that come out empty are left out.

    A lone lesion that is missed leaves an empty mask, which the gate finds.

    Raises:
        CohortError: If a file is absent or damaged.
    """
    cohort, subject = task.cohort, task.subject
    given = read_mask(cohort.path(subject, "lesion_t1w"))
    brain = read_mask(cohort.path(subject, "brain")) if subject.has("brain") else None
    plane = midplane_of(cohort, subject, brain)
    map_of = read_volume(task.probability) if task.probability else None
    maps = Maps.read(cohort, subject, map_of)

    lobes = read_lobes(cohort, subject)

    def measured(spec: PlantSpec | None, mask: Volume) -> Measured:
        support = (
            measure_support(mask, map_of, brain, plane, task.settings) if map_of is not None else ()
        )
        profile = measure_profile(mask, maps, plane, task.settings.debris_vox)
        told = _against_table(subject, lobes, mask, brain, task.settings.debris_vox)
        return Measured(subject.id, spec, support, Profile({**profile.numbers, **told}))

    found = [measured(None, given)]
    scene = Scene.read(cohort, subject) if task.copies else None
    if scene is None:
        return tuple(found)
    for spec in _specs(task):
        donor = _donor(cohort, spec.other) if spec.other else None
        if spec.other and donor is None:
            continue
        wrong = plant(spec, scene, donor)
        if wrong.any() and not np.array_equal(wrong, given.array):
            found.append(measured(spec, Volume(wrong, given.grid)))
    return tuple(found)


def _against_table(
    subject: Subject, lobes: Volume | None, mask: Volume, brain: Volume | None, debris_vox: int
) -> dict[str, float]:
    """What the gate looks at, as numbers: the table's lobe and side, and the brain's border."""
    labels, parts = label_components(mask.array, mask.grid)
    shares = in_named_lobe(subject, lobes, labels, len(parts))
    kept = [s for s, part in zip(shares, parts, strict=False) if part.size_vox >= debris_vox]
    found = {}
    if kept:
        found = {"in_named_lobe": kept[0], "least_in_named_lobe": min(kept)}
    if brain is not None and mask.array.any():
        places = mask.grid.to_mm(np.argwhere(mask.array))
        found["outside_brain"] = float(np.mean(values_at(brain, places) < 0.5))
    return found


def _specs(task: Task) -> list[PlantSpec]:
    kinds = [k for k in (*ERRORS, REDRAWN) if task.donors or k not in ("false", "subject")]
    # As many harmless copies as there are of two kinds of wrong ones.
    times = {kind: task.copies * (2 if kind == REDRAWN else 1) for kind in kinds}
    return [draw_spec(task.subject.id, kind, task.donors, [task.seed, turn])
            for kind in kinds for turn in range(times[kind])]  # fmt: skip


def _donor(cohort: Cohort, subject: str) -> Scene | None:
    (row,) = [s for s in cohort.subjects if s.id == subject]
    return Scene.read(cohort, row)
