"""A host's share of the draws: place, grow, test, write; one process a host."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.run import item_folder
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.masks.checks import NO_ROOM, Candidate, Limits, first_failure, give_up
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import load_host
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.placement import Placement, draw_kind, draw_spec, place
from fcdsynth.masks.spec import Growth, LesionSpec


@dataclass(frozen=True)
class Job:
    """All masks of one host; what a worker process needs, and nothing else.

    Args:
        cohort: Folder of the prepared cohort.
        host: Subject id.
        folder: Where the item folders go.
        draws: For each mask its number (from 0), kind and the id of the new subject.
        seed: Seed of the whole run.
        prior: What lesions are like.
        growth: How masks grow.
        limits: Thresholds of the rejection tests.
    """

    cohort: Path
    host: str
    folder: Path
    draws: tuple[tuple[int, str, str], ...]
    seed: int
    prior: LesionPrior
    growth: Growth
    limits: Limits


def work(job: Job) -> list[dict[str, Any]]:
    """Draw all masks of a host that are not there yet.

    Returns:
        One record a mask: ``id``, its ``spec``, ``refused`` counts and ``track_vox``.

    Raises:
        CohortError: If the host cannot be read, or refuses every try.
    """
    table = Cohort.read(job.cohort)
    placement: Placement | None = None
    rows = []
    for number, kind, name in job.draws:
        done = job.folder / name
        if not done.exists():
            if placement is None:
                placement = place(load_host(table, table[job.host]), job.prior)
            spec, grown, refused = draw_one(placement, job, number, kind)
            with item_folder(job.folder, name) as folder:
                _write_item(folder, name, placement, spec, grown, refused)
        record = json.loads((done / f"{name}_draw.json").read_text(encoding="utf-8"))
        spec = LesionSpec.read(done / f"{name}_spec.json")
        rows.append({"id": name, "spec": spec, **record})
    return rows


def draw_one(
    placement: Placement, job: Job, number: int, kind: str
) -> tuple[LesionSpec, Grown, Counter[str]]:
    """Draw one mask that passes every test.

    Args:
        placement: The host with its seed probabilities.
        job: Seed, prior and settings.
        number: Number of the mask in the cohort; with the seed it decides everything.
        kind: ``lesion`` or ``control``.

    Returns:
        The spec, the grown mask, and how often each test refused an earlier try.

    Raises:
        CohortError: If every try was refused.
    """
    rng = np.random.default_rng([job.seed, number])
    # Volume and subtype are kept over the tries: redrawing them would bend the size law
    # towards what is easily placed.
    volume_ml, subtype, track = draw_kind(job.prior, rng)
    refused: Counter[str] = Counter()
    for _ in range(job.limits.tries):
        spec = draw_spec(placement, rng, kind, job.growth, volume_ml, subtype, track)
        try:
            grown = grow(placement.host, spec)
        except NoRoom:
            refused[NO_ROOM] += 1
            continue
        fault = first_failure(Candidate(placement.host, spec, grown, job.prior, job.limits))
        if fault is None:
            return spec, grown, refused
        refused[fault] += 1
    raise give_up(job.host, volume_ml, refused, job.limits.tries)


def _write_item(
    folder: Path, name: str, placement: Placement, spec: LesionSpec, grown: Grown,
    refused: Counter[str],
) -> None:  # fmt: skip
    grid = placement.host.grid
    region = write_volume(folder / f"{name}_region.nii.gz", Volume(grown.mask_on(grid), grid))
    if spec.kind == "lesion":
        shutil.copyfile(region, folder / f"{name}_lesion.nii.gz")
    write_volume(folder / f"{name}_soft.nii.gz", Volume(grown.soft_on(grid), grid))
    (folder / f"{name}_spec.json").write_text(spec.to_json(), encoding="utf-8")
    record = {"refused": dict(sorted(refused.items())), "track_vox": int(grown.on_track.sum())}
    text = json.dumps(record, indent=1) + "\n"
    (folder / f"{name}_draw.json").write_text(text, encoding="utf-8")
