"""Masks made in memory by every way, and how well a classifier tells them from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from fcdsynth.masks.laws.lesions import lesions_of, mask_of
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.placement import place
from fcdsynth.masks.proof.examples import Example, example_of, read_real
from fcdsynth.masks.ways.choice import choose_donor
from fcdsynth.masks.ways.gather import gallery_of, load_donors
from fcdsynth.measure.two_sample import classifier_auroc

WAYS = ("growth", "transplant", "ellipsoid", "warped")
SETS = 20


def law_of(cohort: Cohort, prior: LesionPrior, method: str, seed: int, workers: int) -> Law:
    """What `fcdsynth draw` would draw by, from the training patients of a cohort."""
    patients = [s for s in cohort.subjects if s.is_patient and s.split is Split.TRAIN]
    donors = load_donors(cohort, patients, workers)
    return Law(seed, prior, method, None, Limits(), 1, donors, gallery_of(donors))


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
    out: dict[str, list[list[Example]]] = {way: [[] for _ in range(sets)] for way in WAYS}
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
            task = Task(1000 * one + number, "lesion", f"draw-{one}-{number}")
            drawn = draw_subject(placement, law, task)
            found.append((law.method, one, _example(host, drawn.grown[0])))
    law = laws[0]
    for one, number in numbers:
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


def real_examples(cohort: Cohort, split: Split, workers: int) -> list[Example]:
    """Every piece of the masks of a split's patients."""
    patients: list[Subject] = [s for s in cohort.subjects if s.is_patient and s.split is split]
    return [_light(e) for e in read_real(cohort, patients, workers)]


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
