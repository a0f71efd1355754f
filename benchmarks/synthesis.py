"""Benchmark of stage 2: redrawn lesions that look like real ones, from a network that is cheap.

Full: simulated heads at 2 mm on the label maps of 14 people. The generator of
``configs/synthesis/phantom-2mm.yaml`` is fitted on 35 patients and 35 controls; masks are drawn in
these controls by the prior of these patients, and redrawn by ``fcdsynth synthesize`` with its
tests on. They are told from 60 patients that nothing has seen, both by the annotators' outlines
(`synthesis_looks`). The cheap alternatives (`synthesis_baselines`) put a lesion in the same hosts
and masks; MONAI's network (`synthesis_monai`) is trained in the same task for as many steps.
``_same_masks``: the held-out lesions redrawn in place (`synthesis_same_masks`). ``_training``:
the real training lesions, which is what a generator that copied them would show.
``--quick`` uses tiny heads and the smoke config, and holds no goals.

The weights of the losses were chosen on other heads (seed 7), not on those of this benchmark.

With ``--work`` all fits, cohorts and drawings are kept, and a stopped run goes on.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import synthesis_network
import torch
import yaml
from figures import Figures, arguments, finish, part
from fits import fitted
from synthesis_baselines import blurred_offset
from synthesis_controls import Detector, detector, measure_controls
from synthesis_full import measure_full, parted
from synthesis_looks import (
    CONTRASTS,
    Shown,
    add_looks,
    host_of,
    shown,
    shown_in,
    stacked,
    synthetic,
)
from synthesis_monai import ShippedTask, drawn_by
from synthesis_same_masks import redrawn_in_place
from synthesis_speed import measure_insert

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.trained import TrainedRun
from fcdsynth.masks.draw import draw
from fcdsynth.phantom.phantom import phantom
from fcdsynth.synthesis.carve import Donor, Made, carve, centre_vox
from fcdsynth.synthesis.crops import paste
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.synthesize import synthesize
from fcdsynth.training.data import load_arrays


@dataclass(frozen=True)
class Size:
    """How large the benchmark is.

    Args:
        train: Patients, and as many controls, that the generator is fitted on.
        validated: Patients and controls that it is validated on.
        held_out: Patients that nothing has seen.
        lesions: Lesions to synthesise.
        controls: Synthetic controls.
        spacing_mm: Voxel size.
        config: Config of the generator.
        draws: Draws of the probe.
        trials: Growths tried at each training lesion.
        whole: Brains to draw whole, with and without a lesion each.
        fine: Config of the generator that is timed at 1 mm, and how many pairs.
    """

    train: int = 35
    validated: int = 6
    held_out: int = 60
    lesions: int = 70
    controls: int = 70
    spacing_mm: float = 2.0
    config: str = "configs/synthesis/phantom-2mm.yaml"
    draws: int = 20
    trials: int = 60
    whole: int = 20
    fine: tuple[str, int] = ("configs/synthesis/insert.yaml", 4)


QUICK = Size(4, 1, 8, 8, 2, 4.0, "configs/synthesis/smoke.yaml", 2, 2)


def simulated(work: Path, size: Size, anatomies: Path | None, workers: int) -> Cohort:
    """The cohort: training and validation patients and controls first, held-out patients last."""
    patients = size.train + size.validated + size.held_out
    controls = size.train + size.validated
    folder = phantom(
        str(work / "phantom"), patients=patients, controls=controls, sites=3, seed=11,
        prepared=True, anatomies=None if anatomies is None else str(anatomies),
        spacing=size.spacing_mm, workers=workers, report=False,
    )  # fmt: skip
    table, splits = Cohort.read(folder), {}
    for patient in (True, False):
        ids = [s.id for s in table.subjects if s.is_patient is patient]
        for number, name in enumerate(ids):
            known = number < size.train + size.validated
            splits[name] = (
                (Split.TRAIN if number < size.train else Split.VAL) if known else Split.TEST
            )
    out = work / "cohort"
    table.with_splits(splits).write(out)
    return Cohort.read(out)


def cheap(
    table: Cohort, drawn: Cohort, put: Callable[..., Made], subject: Subject
) -> Shown:  # fmt: skip
    """A lesion put into the host of a drawn patient by a cheap alternative."""
    host = host_of(table, subject)
    arrays, grid = load_arrays(table, host, [*CONTRASTS, "tissue"])
    mask = load_arrays(drawn, subject, ["lesion"])[0]["lesion"] > 0
    image = stacked(arrays)
    rng = np.random.default_rng([11, *subject.id.encode()])
    made = put(image, arrays["tissue"], mask, rng, grid.spacing_mm)
    people = frozenset({host.family or host.id})
    lesion = made.lesion if made.lesion.any() else mask
    return shown_in(made.image, arrays["tissue"], lesion, grid.spacing_mm, people)


def pasted(patients: Sequence[Donor], image, tissue, mask, rng, spacing) -> Made:
    """A random training patient's lesion, moved to where one was drawn."""
    donor = patients[int(rng.integers(len(patients)))]
    way = np.rint(centre_vox(mask) - centre_vox(donor.lesion)).astype(int)
    return carve(image, tissue, donor, rng, way)


def painted(lesions, margin_mm, image, tissue, mask, rng, spacing) -> Made:
    """A random training lesion's contrasts."""
    return blurred_offset(image, tissue, mask, lesions, rng, spacing, margin_mm)


def donors_of(table: Cohort) -> list[Donor]:
    """The training patients."""
    found = []
    for subject in table.of_split(Split.TRAIN).subjects:
        if subject.is_patient:
            arrays, grid = load_arrays(table, subject, [*CONTRASTS, "tissue", "lesion"])
            image = stacked(arrays)
            found.append(Donor(subject.id, image, arrays["tissue"], arrays["lesion"] > 0,
                                 grid.spacing_mm))  # fmt: skip
    return found


def shipped_config(work: Path, config: str) -> Path:
    """The config with MONAI's network in the task."""
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    settings["model"]["class_path"] = f"{ShippedTask.__module__}.{ShippedTask.__name__}"
    settings["data"]["init_args"]["full_share"] = 0.0  # it has no style of a scan
    path = work / "monai.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def shipped_lesions(run: Path, table: Cohort, drawn: Cohort) -> list[Shown]:
    """What MONAI's network draws in the same hosts and masks, by the same tests."""
    task = ShippedTask.load_from_checkpoint(TrainedRun.open(run).checkpoint, weights_only=True)
    task.eval()
    known, found = Styles.read(run), []
    for subject in (s for s in drawn.subjects if s.is_patient):
        one = drawn_by(task, known, drawn, subject, 3)
        if one is None:
            continue
        host = host_of(table, subject)
        arrays, grid = load_arrays(table, host, [*CONTRASTS, "tissue"])
        image = stacked(arrays)
        lesion = np.zeros(grid.shape, dtype=bool)
        paste(image, one.image, one.spec.corner)
        paste(lesion, one.lesion, one.spec.corner)
        paste(arrays["tissue"], one.tissue, one.spec.corner)
        people = frozenset({host.family or host.id})
        found.append(shown_in(image, arrays["tissue"], lesion, grid.spacing_mm, people))
    return found


def made_of(run: Path, drawn: Path, out: Path, workers: int, refuse: bool) -> tuple[Cohort, bool]:
    """The synthetic cohort; without its tests where it would lose more than half."""
    try:
        synthesize(str(run), str(drawn), str(out), seed=3, workers=workers,
                   checks=Checks(refuse=refuse))  # fmt: skip
    except RunError as error:
        print(f"tests on: {error}")
        out = out.with_name(f"{out.name}-untested")
        synthesize(str(run), str(drawn), str(out), seed=3, workers=workers,
                   checks=Checks(refuse=False))  # fmt: skip
        return Cohort.read(out), False
    return Cohort.read(out), refuse


def add_training(figures: Figures, run: Path, config: str) -> None:
    """Time of the fit, over all calls where it was resumed."""
    record = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    steps = int(torch.load(TrainedRun.open(run).checkpoint, weights_only=True)["global_step"])
    seconds = float(record["wall_s"])
    figures.notes.append(f"generator: {config}, {steps} steps")
    figures.add("training_minutes", seconds / 60, 1, (0, 0), at_most=45)
    figures.add("train_step_seconds", seconds / steps, steps, (0, 0), at_most=1)


def main() -> None:
    """Run it."""
    options = arguments(__doc__ or "")
    size = QUICK if options.quick else Size()
    figures = Figures("synthesis", options.quick)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch) / "work"
        work = work / "quick" if options.quick else work
        work.mkdir(parents=True, exist_ok=True)
        anatomies = None if options.quick else options.data / "anatomies"
        table = simulated(work, size, anatomies, options.workers)
        if options.quick:  # a process takes longer to start than its share of tiny heads
            options.workers = 1
        run = fitted(work / "generator", work / "cohort", size.config)
        drawn = draw(str(work / "cohort"), str(work / "drawn"), lesions=size.lesions,
                     controls=size.controls, seed=5, growth_trials=size.trials,
                     workers=options.workers)  # fmt: skip
        made, tested = made_of(run, drawn, work / "synthetic", options.workers, not options.quick)
        masks = Cohort.read(drawn)
        seen = [s for s in table.of_split(Split.TEST).subjects if s.is_patient]
        real = map_items(shown, [(table, s) for s in seen], "reading real lesions", options.workers)

        def own(found: Figures) -> None:
            add_training(found, run, size.config)
            found.notes.append("tests of synthesize " + ("on" if tested else "off"))
            jobs = [(table, made, s) for s in made.subjects]
            rows = map_items(synthetic, jobs, "reading synthetic lesions", options.workers)
            found.add("outside_changed_voxels", sum(r.changed_outside for r in rows), len(rows),
                      (0, 0), at_most=0)  # fmt: skip
            lesional = [r for r in rows if r.contrast]
            found.add_share("patients_left_out", size.lesions - len(lesional), size.lesions)
            add_looks(found, "", lesional, real, size.draws)
            add_looks(found, "same_masks", *redrawn_in_place(run, work / "cohort", 3), size.draws)
            learnt = [s for s in table.of_split(Split.TRAIN).subjects if s.is_patient]
            rows = map_items(shown, [(table, s) for s in learnt], "reading training lesions",
                             options.workers)  # fmt: skip
            add_looks(found, "training", rows, real, size.draws)

        def alternatives(found: Figures) -> None:
            known = Styles.read(run)
            puts = {
                "copypaste": partial(pasted, donors_of(table)),
                "offset": partial(painted, [x.contrasts for x in known.lesions], known.margin_mm),
            }
            wanted = [s for s in masks.subjects if s.is_patient]
            for name, put in puts.items():
                add_looks(found, name, [cheap(table, masks, put, s) for s in wanted], real,
                          size.draws)  # fmt: skip

        def shipped(found: Figures) -> None:
            monai = fitted(work / "monai", work / "cohort", shipped_config(work, size.config))
            rows = shipped_lesions(monai, table, masks)
            found.add_share("patients_left_out_monai", size.lesions - len(rows), size.lesions)
            add_looks(found, "monai", rows, real, size.draws)

        def controls(found: Figures) -> None:
            measure_controls(found, detector(work, table, Detector()), table, made)

        def full(found: Figures) -> None:
            fit, hosts = parted(table, work / "phantom", work)
            whole = fitted(work / "full-generator", fit, size.config, "--data.full_share", "1.0")
            measure_full(found, whole, hosts, work, size.whole, size.trials, options.workers)

        def fine(found: Figures) -> None:
            measure_insert(found, work, anatomies, *size.fine, workers=options.workers)

        def network(found: Figures) -> None:
            synthesis_network.measure(found, options.quick)

        parts = [own, alternatives, network]
        parts += [] if options.quick else [shipped, controls, full, fine]
        for measure in parts:
            part(figures, work, measure.__name__, measure)
    finish(figures, options.out)


if __name__ == "__main__":
    main()
