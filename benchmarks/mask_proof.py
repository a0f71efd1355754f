"""Masks made in memory by every way, and how well a classifier tells them from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from mask_baselines import warped

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Split, Subject
from fcdsynth.masks.checks import Limits
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.host import Host, load_host
from fcdsynth.masks.job import Law, Task, draw_subject
from fcdsynth.masks.laws.lesions import lesions_of, load_patient, mask_of
from fcdsynth.masks.laws.measured import Measured, measured_from
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.placement import place
from fcdsynth.masks.proof.examples import Example, example_of
from fcdsynth.masks.ways.choice import choose_donor
from fcdsynth.masks.ways.donor import Donor
from fcdsynth.masks.ways.gather import gallery_of
from fcdsynth.measure.two_sample import classifier_auroc

WAYS = ("growth", "transplant", "ellipsoid", "warped")
SETS = 20
OTHER_SETS = 5  # of each way but growth


@dataclass(frozen=True, eq=False)
class Patient:
    """What one patient gives to the benchmark, read once.

    Args:
        measured: What a prior is fitted on or scored on.
        examples: Every piece of the mask, as compared.
        donors: The lesions to transplant or not to copy.
    """

    measured: Measured
    examples: list[Example]
    donors: list[Donor]


def read_patients(cohort: Cohort, split: Split, trials: int, workers: int) -> list[Patient]:
    """Read the patients of a split.

    Args:
        cohort: The cohort.
        split: The split.
        trials: Growths tried at each lesion, 0 for none.
        workers: Number of processes.
    """
    chosen = [s for s in cohort.subjects if s.is_patient and s.split is split]
    return map_items(partial(_read, cohort, trials), chosen, "reading patients", workers)


def _read(cohort: Cohort, trials: int, subject: Subject) -> Patient:
    host, lesions = load_patient(cohort, subject)
    return Patient(
        measured_from(host, lesions, 0, trials),
        [_light(example_of(host, x, subject.id, False, subject.id)) for x in lesions],
        [Donor.of(host, x) for x in lesions],
    )


def laws_of(prior: LesionPrior, patients: Sequence[Patient], seed: int) -> list[Law]:
    """What `fcdsynth draw` would draw by, one for each of its ways."""
    donors = {(d.subject, d.number): d for p in patients for d in p.donors}
    gallery = gallery_of(donors)
    return [Law(seed, prior, way, None, Limits(), 1, donors, gallery) for way in WAYS[:3]]


def drawn_examples(
    cohort: Cohort, laws: Sequence[Law], per_set: int, sets: int, workers: int
) -> dict[str, list[list[Example]]]:
    """Draw sets of masks by each way, and measure them; each host is read once.

    Args:
        cohort: The cohort whose controls are drawn in.
        laws: One for each way of `fcdsynth draw`; ``warped`` uses the first one's donors.
        per_set: Masks of a set.
        sets: Number of sets.
        workers: Number of processes.
    """
    hosts = [s for s in cohort.subjects if not s.is_patient]
    dealt: dict[str, list[tuple[int, int]]] = {}
    for one in range(sets):
        order = np.random.default_rng([one, 77]).permutation(len(hosts) * -(-per_set // len(hosts)))
        for place_number, index in enumerate(order[:per_set]):
            dealt.setdefault(hosts[index % len(hosts)].id, []).append((one, place_number))
    found = map_items(
        partial(_draw_in, cohort.folder, tuple(laws)), list(dealt.items()), "drawing", workers
    )
    out: dict[str, list[list[Example]]] = {
        way: [[] for _ in range(sets if way == "growth" else min(sets, OTHER_SETS))] for way in WAYS
    }
    for way, one, example in (item for part in found for item in part):
        out[way][one].append(example)
    return out


def _draw_in(
    folder: Path, laws: Sequence[Law], deal: tuple[str, list[tuple[int, int]]]
) -> list[tuple[str, int, Example]]:
    name, numbers = deal
    table = Cohort.read(folder)
    host = load_host(table, table[name])
    found = []
    for law in laws:
        placement = place(host, law.prior)
        for one, number in numbers:
            if law.method != "growth" and one >= OTHER_SETS:
                continue
            task = Task(1000 * one + number, "lesion", f"draw-{one}-{number}")
            drawn = draw_subject(placement, law, task)
            found.append((law.method, one, _example(host, drawn.grown[0])))
    law = laws[0]
    for one, number in numbers:
        if one >= OTHER_SETS:
            continue
        rng = np.random.default_rng([law.seed, one, number, 5])
        donor = law.donors[choose_donor(law.donors, law.prior.size.draw(rng), rng)]
        vox = warped(host, donor, rng)
        found.append(("warped", one, example_of_mask(host, mask_of(vox, host.grid))))
    return found


def _example(host: Host, grown: Grown) -> Example:
    return example_of_mask(host, grown.mask_on(host.grid))


def example_of_mask(host: Host, mask: np.ndarray) -> Example:
    """The largest piece of a drawn mask within cortex and white matter."""
    lesion = lesions_of(host, mask)[0]
    return _light(example_of(host, lesion, host.subject, True, host.subject))


def _light(example: Example) -> Example:
    return replace(example, points_mm=np.empty((0, 3)), mni_points_mm=None)


def auroc(
    a: Sequence[Example], b: Sequence[Example], seed: int, outside: bool = False,
    name: str = "trees",
) -> float:  # fmt: skip
    """AUROC of the classifier two-sample test on features of shape and place."""

    def table(examples: Sequence[Example]) -> np.ndarray:
        rows = [[*e.features, *([e.outside] if outside else [])] for e in examples]
        return np.array(rows)

    groups = ([e.group for e in a], [e.group for e in b])
    return classifier_auroc(table(a), table(b), seed, groups, name)


def real_against_real(real: Sequence[Example], repeats: int, outside: bool = False) -> list[float]:
    """The same between halves of the real patients, dealt at random."""
    patients = sorted({e.subject for e in real})
    values = []
    for seed in range(repeats):
        order = np.random.default_rng([seed, 3]).permutation(patients)
        first = set(order[: len(order) // 2])
        halves = (
            [e for e in real if e.subject in first],
            [e for e in real if e.subject not in first],
        )
        values.append(auroc(*halves, seed, outside))
    return values
