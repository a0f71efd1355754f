"""Benchmark of stage 2: redrawn lesions that look like real ones, from a network that is cheap.

Full: simulated heads at 2 mm on the label maps of 14 people. The generator of
``configs/synthesis/phantom-2mm.yaml`` is fitted on 35 patients and 35 controls; masks are drawn in
these controls by the prior of these patients, and redrawn by ``fcdsynth synthesize`` with its
tests on. They are told from 60 patients that nothing has seen, both by the annotators' outlines.
``--quick`` uses tiny heads and the smoke config, and holds no goals.

Features: the 24 of a lesion by hand (`fcdsynth.synthesis.proof.hand`). ``lesion_kid``: kernel
inception distance, mean over random halves of the real lesions, beside that of the other half.
``probe_auroc``: cross-validated logistic regression on the features and their squares, 20 draws
of equally many lesions a side. The cheap alternatives (`synthesis_baselines`) put a lesion in the
same hosts and masks. ``contrast_error_*``: difference of mean contrasts over the real lesions' SD.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import synthesis_network
import torch
from figures import Figures, arguments, finish
from numpy.typing import NDArray
from synthesis_baselines import Made, Patient, blurred_offset, copy_paste

from fcdsynth.cli import main as fcdsynth
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Role, Split, Subject
from fcdsynth.core.tissue import INTENSITY_PER_SD
from fcdsynth.core.trained import TrainedRun
from fcdsynth.masks.draw import draw
from fcdsynth.measure.two_sample import classifier_auroc
from fcdsynth.phantom.phantom import phantom
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.numbers import ring_contrast
from fcdsynth.synthesis.proof.distances import distance
from fcdsynth.synthesis.proof.hand import lesion_features
from fcdsynth.synthesis.proof.sample import Sample
from fcdsynth.synthesis.proof.surroundings import reach_mm
from fcdsynth.synthesis.regions import near
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.synthesize import synthesize
from fcdsynth.training.data import load_arrays

CONTRASTS = ("t1w", "flair")


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
    """

    train: int = 35
    validated: int = 6
    held_out: int = 60
    lesions: int = 70
    controls: int = 35
    spacing_mm: float = 2.0
    config: str = "configs/synthesis/phantom-2mm.yaml"
    draws: int = 20
    trials: int = 60


QUICK = Size(4, 1, 8, 8, 2, 4.0, "configs/synthesis/smoke.yaml", 2, 2)


@dataclass(frozen=True, eq=False)
class Shown:
    """What a lesion shows.

    Args:
        people: Whose anatomy it lies in.
        features: See `lesion_features`.
        contrast: Against the ring, by contrast, robust SD of the brain.
        changed_outside: Voxels that differ from the host's outside the redrawn region.
    """

    people: frozenset[str]
    features: NDArray[np.float64]
    contrast: tuple[float, ...]
    changed_outside: int = 0


def simulated(work: Path, size: Size, anatomies: Path | None, workers: int) -> Cohort:
    """The cohort: training and validation patients and controls first, held-out patients last."""
    patients = size.train + size.validated + size.held_out
    controls = size.train + size.validated
    folder = phantom(
        str(work / "phantom"), patients=patients, controls=controls, sites=3, seed=7, prepared=True,
        anatomies=None if anatomies is None else str(anatomies), spacing=size.spacing_mm,
        workers=workers, report=False,
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


def fitted(work: Path, size: Size) -> Path:
    """The generator; resumed where a fit was stopped."""
    out = work / "generator"
    words = ["fit", "-c", size.config, "-c", "configs/machine/cpu.yaml",
             "--data.cohort", str(work / "cohort"), "--out", str(out)]  # fmt: skip
    if fcdsynth(words):
        raise SystemExit("the generator could not be fitted")
    return out


def shown(job: tuple[Cohort, Subject]) -> Shown:
    """What a subject's lesion shows in its own images."""
    cohort, subject = job
    arrays, grid = load_arrays(cohort, subject, [*CONTRASTS, "tissue", "lesion"])
    image = np.stack([arrays[key] for key in CONTRASTS]).astype(np.float32)
    people = frozenset({subject.family or subject.id})
    return _shown(image, arrays["tissue"], arrays["lesion"] > 0, grid.spacing_mm, people)


def _shown(image, tissue, lesion, spacing, people, outside=0) -> Shown:
    ring = near(lesion, reach_mm(spacing), spacing)
    contrast = tuple(ring_contrast(c, lesion, ring, tissue) / INTENSITY_PER_SD for c in image)
    return Shown(people, lesion_features(image, tissue, lesion, spacing), contrast, outside)


def synthetic(job: tuple[Cohort, Cohort, Subject]) -> Shown:
    """What a synthetic subject's lesion shows, and what changed outside its region."""
    table, made, subject = job
    keys = [*CONTRASTS, "tissue", "region"] + ["lesion"] * subject.is_patient
    arrays, grid = load_arrays(made, subject, keys)
    host = _host(table, subject)
    theirs, _ = load_arrays(table, host, list(CONTRASTS))
    image = np.stack([arrays[key] for key in CONTRASTS]).astype(np.float32)
    before = np.stack([theirs[key] for key in CONTRASTS]).astype(np.float32)
    outside = int(((image != before).any(axis=0) & ~(arrays["region"] > 0)).sum())
    people = frozenset({host.family or host.id})
    if not subject.is_patient:
        return Shown(people, np.empty(0), (), outside)
    lesion = arrays["lesion"] > 0
    return _shown(image, arrays["tissue"], lesion, grid.spacing_mm, people, outside)


def _host(table: Cohort, subject: Subject) -> Subject:
    return table[next(p.subject for p in subject.parents if p.role is Role.HOST)]


def cheap(
    table: Cohort, drawn: Cohort, put: Callable[..., Made], subject: Subject
) -> Shown:  # fmt: skip
    """A lesion put into the host of a drawn patient by a cheap alternative."""
    host = _host(table, subject)
    arrays, grid = load_arrays(table, host, [*CONTRASTS, "tissue"])
    mask = load_arrays(drawn, subject, ["lesion"])[0]["lesion"] > 0
    image = np.stack([arrays[key] for key in CONTRASTS]).astype(np.float32)
    rng = np.random.default_rng([11, *subject.id.encode()])
    made = put(image, arrays["tissue"], mask, rng, grid.spacing_mm)
    people = frozenset({host.family or host.id})
    lesion = made.lesion if made.lesion.any() else mask
    return _shown(made.image, arrays["tissue"], lesion, grid.spacing_mm, people)


def pasted(patients: Sequence[Patient], image, tissue, mask, rng, spacing) -> Made:
    """A random training patient's lesion."""
    return copy_paste(image, tissue, mask, patients[int(rng.integers(len(patients)))], rng)


def painted(lesions, margin_mm, image, tissue, mask, rng, spacing) -> Made:
    """A random training lesion's contrasts."""
    return blurred_offset(image, tissue, mask, lesions, rng, spacing, margin_mm)


def donors_of(table: Cohort) -> list[Patient]:
    """The training patients."""
    found = []
    for subject in table.of_split(Split.TRAIN).subjects:
        if subject.is_patient:
            arrays, grid = load_arrays(table, subject, [*CONTRASTS, "tissue", "lesion"])
            image = np.stack([arrays[key] for key in CONTRASTS]).astype(np.float32)
            found.append(Patient(subject.id, image, arrays["tissue"], arrays["lesion"] > 0,
                                 grid.spacing_mm))  # fmt: skip
    return found


def sample(rows: Sequence[Shown]) -> Sample:
    """Features with the people behind them."""
    return Sample(np.array([r.features for r in rows]), tuple(r.people for r in rows))


def probe(rows: Sequence[Shown], real: Sequence[Shown], draws: int) -> list[float]:
    """AUROC of the linear probe for draws of equally many lesions a side."""
    n = min(len(rows), len(real))
    found = []
    for seed in range(draws):
        rng = np.random.default_rng([seed, 13])
        a, b = ([side[i] for i in rng.permutation(len(side))[:n]] for side in (rows, real))
        groups = tuple([min(r.people) for r in side] for side in (a, b))
        x, y = (np.array([r.features for r in side]) for side in (a, b))
        found.append(classifier_auroc(x, y, seed, groups, "logistic"))
    return found


def add_looks(
    figures: Figures, name: str, rows: Sequence[Shown], real: Sequence[Shown], draws: int
) -> None:
    """How far lesions lie from real ones; the generator's own have no name."""
    end = f"_{name}" if name else ""
    goals = not name
    mine, theirs = (np.array([r.contrast for r in side]) for side in (rows, real))
    for column, contrast in enumerate(CONTRASTS):
        a, b = (side[~np.isnan(side[:, column]), column] for side in (mine, theirs))
        rng = np.random.default_rng(17)
        errors, ratios = [], []
        for _ in range(2000):
            x, y = (rng.choice(side, len(side)) for side in (a, b))
            errors.append(abs(x.mean() - y.mean()) / y.std(ddof=1))
            ratios.append(x.std(ddof=1) / y.std(ddof=1))
        error = abs(a.mean() - b.mean()) / b.std(ddof=1)
        ratio = a.std(ddof=1) / b.std(ddof=1)
        figures.add(f"contrast_error_{contrast}_sd{end}", error, len(a), _middle(errors),
                    **({"at_most": 0.2} if goals else {}))  # fmt: skip
        figures.add(f"contrast_sd_ratio_{contrast}{end}", ratio, len(a), _middle(ratios),
                    **({"at_least": 0.8, "at_most": 1.25} if goals else {}))  # fmt: skip
    gap = abs(_correlation(mine) - _correlation(theirs))
    rng = np.random.default_rng(19)
    gaps = []
    for _ in range(2000):
        x, y = (rng.choice(side, len(side)) for side in (mine, theirs))
        gaps.append(abs(_correlation(x) - _correlation(y)))
    figures.add(f"contrast_correlation_gap{end}", gap, len(mine), _middle(gaps),
                **({"at_most": 0.1} if goals else {}))  # fmt: skip
    found = distance("lesions", sample(rows), sample(real), 200, 19, 0)
    if found is not None:
        high = found.kid.null_high
        figures.add(f"lesion_kid{end}", found.kid.mean, found.n, (found.kid.low, found.kid.high),
                    **({"at_most": high} if goals else {}))  # fmt: skip
        if goals:
            figures.add("lesion_kid_null_high", high, found.n,
                        (found.kid.null_low, found.kid.null_high))  # fmt: skip
    aurocs = probe(rows, real, draws)
    figures.add(f"probe_auroc{end}", float(np.mean(aurocs)), len(aurocs), _middle(aurocs),
                **({"at_most": 0.70} if goals else {}))  # fmt: skip


def _middle(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _correlation(rows: NDArray[np.float64]) -> float:
    known = rows[~np.isnan(rows).any(axis=1)]
    return float(np.corrcoef(known.T)[0, 1])


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
        began = time.monotonic()
        run = fitted(work, size)
        record = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
        print(f"fitted in {time.monotonic() - began:.0f} s")
        steps = int(torch.load(TrainedRun.open(run).checkpoint, weights_only=True)["global_step"])
        seconds = float(record["wall_s"])
        figures.notes.append(f"generator: {size.config}, {steps} steps")
        figures.add("training_minutes", seconds / 60, 1, (0, 0), at_most=45)
        figures.add("train_step_seconds", seconds / steps, steps, (0, 0), at_most=1)
        drawn = draw(str(work / "cohort"), str(work / "drawn"), lesions=size.lesions,
                     controls=size.controls, seed=5, growth_trials=size.trials,
                     workers=options.workers)  # fmt: skip
        made, tested = made_of(run, drawn, work / "synthetic", options.workers, not options.quick)
        figures.notes.append("tests of synthesize " + ("on" if tested else "off"))
        seen = [s for s in table.of_split(Split.TEST).subjects if s.is_patient]
        real = map_items(shown, [(table, s) for s in seen], "reading real lesions", options.workers)
        jobs = [(table, made, s) for s in made.subjects]
        rows = map_items(synthetic, jobs, "reading synthetic lesions", options.workers)
        figures.add("outside_changed_voxels", sum(r.changed_outside for r in rows), len(rows),
                    (0, 0), at_most=0)  # fmt: skip
        lesional = [r for r in rows if r.contrast]
        figures.add_share("patients_left_out", size.lesions - len(lesional), size.lesions)
        add_looks(figures, "", lesional, real, size.draws)
        wanted = [s for s in Cohort.read(drawn).subjects if s.is_patient]
        known = Styles.read(run)
        puts = {
            "copypaste": partial(pasted, donors_of(table)),
            "offset": partial(painted, [x.contrasts for x in known.lesions], known.margin_mm),
        }
        for name, put in puts.items():
            found = [cheap(table, Cohort.read(drawn), put, s) for s in wanted]
            add_looks(figures, name, found, real, size.draws)
        synthesis_network.measure(figures, options.quick)
    finish(figures, options.out)


if __name__ == "__main__":
    main()
