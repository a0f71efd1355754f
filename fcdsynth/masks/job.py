"""A host's share of the draws: place, make, test, write; one process a host."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.run import item_folder
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.masks.checks import NO_ROOM, Candidate, Limits, first_failure, give_up
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.host import load_host
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.size import SizeLaw
from fcdsynth.masks.make import APART_MM, Donors, make
from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.placement import Placement, Wanted, draw_spec, draw_wanted, place
from fcdsynth.masks.spec import Growth, LesionSpec, read_specs, write_specs
from fcdsynth.masks.targets import Target, narrowed, seeds_in
from fcdsynth.masks.ways.choice import choose_donor


@dataclass(frozen=True)
class Law:
    """What decides about a draw; the same in every process.

    Args:
        seed: Seed of the whole run.
        prior: What lesions are like.
        method: How masks are made, see `fcdsynth.masks.spec.METHODS`.
        growth: How fronts grow; None lets the prior decide, lesion by lesion.
        limits: Thresholds of the rejection tests.
        per_subject: Number of lesions in each subject; None lets the prior decide.
        donors: Lesions to transplant; empty for other methods.
        gallery: Training masks that a drawn one must not copy; None where there are none.
    """

    seed: int
    prior: LesionPrior
    method: str
    growth: Growth | None
    limits: Limits
    per_subject: int | None
    donors: Donors
    gallery: Gallery | None


@dataclass(frozen=True)
class Task:
    """One subject to draw.

    Args:
        number: Its number in the cohort, from 0; with the seed it decides everything.
        kind: ``lesion`` or ``control``.
        name: Id of the new subject.
        target: What it is drawn for; None for anything.
    """

    number: int
    kind: str
    name: str
    target: Target | None = None


@dataclass(frozen=True)
class Job:
    """All subjects of one host; what a worker process needs, and nothing else.

    Args:
        cohort: Folder of the prepared cohort.
        host: Subject id.
        folder: Where the item folders go.
        tasks: The subjects.
        law: What decides.
    """

    cohort: Path
    host: str
    folder: Path
    tasks: tuple[Task, ...]
    law: Law


@dataclass(frozen=True, eq=False)
class Drawn:
    """The lesions of one drawn subject.

    Args:
        specs: Their specs, in order.
        grown: Their masks.
        refused: How often each test refused an earlier try.
    """

    specs: tuple[LesionSpec, ...]
    grown: tuple[Grown, ...]
    refused: Counter[str]


def work(job: Job) -> list[dict[str, Any]]:
    """Draw all subjects of a host that are not there yet.

    Returns:
        One record a subject: ``id``, its ``specs``, ``refused`` counts and ``track_vox``.

    Raises:
        CohortError: If the host cannot be read, or refuses every try.
    """
    table = Cohort.read(job.cohort)
    placement: Placement | None = None
    rows = []
    for task in job.tasks:
        done = job.folder / task.name
        if not done.exists():
            if placement is None:
                placement = place(load_host(table, table[job.host]), job.law.prior)
            drawn = draw_subject(placement, job.law, task)
            with item_folder(job.folder, task.name) as folder:
                _write_item(folder, task, placement, drawn)
        record = json.loads((done / f"{task.name}_draw.json").read_text(encoding="utf-8"))
        rows.append({"id": task.name, "specs": read_specs(done / f"{task.name}_spec.json"),
                     **record})  # fmt: skip
    return rows


def draw_subject(placement: Placement, law: Law, task: Task) -> Drawn:
    """Draw the lesions of one subject, each of which passes every test.

    Several lesions of one subject lie on one side, the others in order of size.
    A target holds for the first.

    Args:
        placement: The host with its seed probabilities.
        law: What decides.
        task: The subject.

    Raises:
        CohortError: If every try of a lesion was refused.
        SettingsError: If the host has no cortex that a target asks for.
    """
    rng = np.random.default_rng([law.seed, task.number])
    count = law.per_subject or law.prior.number.draw(rng)
    # Volume and subtype are kept over the tries: redrawing them would bend the size law
    # towards what is easily placed.
    size = law.prior.size if task.target is None else narrowed(law.prior.size, task.target)[0]
    targeted = task.target is not None and task.target.names_place
    first = size.draw(rng)
    others = sorted((law.prior.size.draw(rng) for _ in range(count - 1)), reverse=True)
    specs: list[LesionSpec] = []
    made: list[Grown] = []
    refused: Counter[str] = Counter()
    for place_number, volume_ml in enumerate([first, *others]):
        wanted = draw_wanted(law.prior, rng, task.kind, volume_ml, law.method)
        if law.method == "transplant":
            wanted = replace(wanted, donor=choose_donor(law.donors, volume_ml, rng))
        allowed: NDArray[np.bool_] | None = None
        if place_number:
            placement = placement.beside(made[-1].vox, APART_MM)
            right = placement.host.right[tuple(placement.host.ribbon_vox.T)]
            allowed = right == (specs[0].side == "R")
            size = law.prior.size
        elif task.target is not None:
            allowed = seeds_in(placement.host, task.target)
        spec, grown, faults = _draw_one(
            placement, law, rng, wanted, allowed, size, targeted and not place_number
        )
        specs.append(spec)
        made.append(grown)
        refused.update(faults)
    return Drawn(tuple(specs), tuple(made), refused)


def _draw_one(
    placement: Placement, law: Law, rng: np.random.Generator, wanted: Wanted,
    allowed: NDArray[np.bool_] | None, size: SizeLaw, targeted: bool,
) -> tuple[LesionSpec, Grown, Counter[str]]:  # fmt: skip
    host, limits, refused = placement.host, law.limits, Counter[str]()
    for _ in range(limits.tries):
        growth = law.growth or law.prior.growths.draw(rng, wanted.volume_ml)
        spec = draw_spec(placement, rng, wanted, growth, allowed)
        try:
            grown = make(host, spec, law.donors)
        except NoRoom:
            refused[NO_ROOM] += 1
            continue
        candidate = Candidate(placement, spec, grown, limits, size.bounds_ml, law.gallery, targeted)
        fault = first_failure(candidate)
        if fault is None:
            return spec, grown, refused
        refused[fault] += 1
    raise give_up(host.subject, wanted.volume_ml, refused, limits.tries)


def _write_item(folder: Path, task: Task, placement: Placement, drawn: Drawn) -> None:
    grid, name = placement.host.grid, task.name
    mask = np.zeros(grid.shape, dtype=bool)
    track = np.zeros(grid.shape, dtype=bool)
    soft = np.zeros(grid.shape, dtype=np.float32)
    for grown in drawn.grown:
        mask |= grown.mask_on(grid)
        track[tuple(grown.vox[grown.on_track].T)] = True
        soft = np.maximum(soft, grown.soft_on(grid))
    region = write_volume(folder / f"{name}_region.nii.gz", Volume(mask, grid))
    if task.kind == "lesion":
        shutil.copyfile(region, folder / f"{name}_lesion.nii.gz")
    write_volume(folder / f"{name}_soft.nii.gz", Volume(soft, grid))
    if track.any():
        write_volume(folder / f"{name}_track.nii.gz", Volume(track, grid))
    write_specs(folder / f"{name}_spec.json", drawn.specs)
    record = {
        "refused": dict(sorted(drawn.refused.items())),
        "track_vox": sum(int(grown.on_track.sum()) for grown in drawn.grown),
    }
    text = json.dumps(record, indent=1) + "\n"
    (folder / f"{name}_draw.json").write_text(text, encoding="utf-8")
