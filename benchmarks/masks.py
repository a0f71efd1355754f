"""Benchmark of stage 1: masks that keep the rules, look real to a classifier, and come fast.

Full: for each of the worlds 0, 1, 2 (three laws of shape, none of which grows along the cortex)
105 patients and 30 controls at 1 mm on label maps of 14 heads, masks as simulated annotators
outlined them, images left out. Seven times a world, 35 patients are dealt out at random to fit a
prior on; one set of 70 masks is drawn in the controls by each way and told from the masks of the
other 70 patients by a classifier. So each c2st figure is a mean over 21 repetitions of the whole
of fitting, drawing and comparing, its interval Student's t over the 21 (one world: over its 7).
Dealings of a world share its 105 patients, so an interval says how far the mean hangs on dealing,
fit and draw in these worlds, not how far on other worlds. ``--quick`` uses one world at 3 mm and
few of everything, and holds no goals.

Features: the eight descriptors of `fcdsynth.measure.shape`, |x|, y and z of the centroid in MNI,
depth rank of the seed; of every piece, on either side, of a mask within cortex and white matter.
Classifier: 100 extremely randomised trees, 5-fold cross-validation, masks on one label map kept
in one fold (`mask_proof` says why; ``_by_subject``: patients and hosts kept together instead,
``_by_donor``: transplanted and warped masks by the patient they come from). Beside them:
``_real``: half of the 105 patients (52) against the others (53). ``_training``: the 35 against
the 70. ``_bootstrap``: 70 rows of a smoothed bootstrap of the 35's rows against the 70, which is
what knowing 35 patients only costs by itself.

Rules are judged on all drawn masks but the ellipsoids, by `mask_rules`. ``violations`` counts
broken rules, ``violations_<rule>`` masks that break it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from figures import Figures, arguments, finish
from mask_cohort import mask_cohort
from mask_draws import WAYS, Made, dealt, draw_all, laws_of, spare_hosts
from mask_kept import kept
from mask_proof import Fit, compare, fit_splits, read_patients
from mask_rules import RULES
from mask_speed import add_same_bytes, add_speed
from scipy import stats

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.masks.laws.growths import TRIALS

LAWS = {0: "field", 1: "funnel", 2: "rebel"}


@dataclass(frozen=True)
class Size:
    """How large the benchmark is.

    Args:
        worlds: Which worlds.
        train: Patients that a prior is fitted on.
        held_out: Patients it is compared with.
        controls: Heads to draw in.
        spacing_mm: Voxel size.
        splits: Dealings of each world.
        per_set: Masks drawn by each way in each dealing.
        several: Subjects of each world with as many lesions as the prior draws.
        timed: Masks whose drawing is timed.
        plain: Masks grown by plain Python too.
        trials: Growths tried at each lesion.
        by: What the classifier keeps in one fold, see `mask_proof.auroc`.
    """

    worlds: tuple[int, ...] = (0, 1, 2)
    train: int = 35
    held_out: int = 70
    controls: int = 30
    spacing_mm: float = 1.0
    splits: int = 7
    per_set: int = 70
    several: int = 120
    timed: int = 201
    plain: int = 21
    trials: int = TRIALS
    by: str = "family"


# One label map for all, so that heads are what is kept apart.
QUICK = Size((0,), 8, 8, 3, 3.0, 2, 12, 6, 18, 3, 5, "subject")


@dataclass(frozen=True, eq=False)
class World:
    """What was found in one world.

    Args:
        cohort: The cohort.
        fits: The dealings with their priors.
        made: Everything drawn.
        auroc: AUROC by what was compared, one dictionary a dealing.
        laws: File of what was drawn by.
        families: Label maps drawn on.
    """

    cohort: Cohort
    fits: list[Fit]
    made: list[Made]
    auroc: list[dict[str, float]]
    laws: Path
    families: set[str]


def measure_world(
    world: int, size: Size, work: Path, anatomies: Path | None, workers: int
) -> World:
    """Simulate, read, fit, draw and compare in one world; each part is kept in the work folder."""
    cohort = mask_cohort(
        work / f"world-{world}", anatomies, world, size.train, size.held_out, size.controls,
        size.spacing_mm, workers=workers,
    )  # fmt: skip
    if size is QUICK:  # starting processes would take longer than the rest
        workers = 1
    part = partial(kept, work, world, size)
    patients, _ = part("patients", lambda: read_patients(cohort, size.trials, workers))
    fits, _ = part("fits", lambda: fit_splits(patients, size.train, size.splits, world,
                                              cohort.name, workers))  # fmt: skip
    _, laws = part("laws", lambda: laws_of(fits, 1000 * (world + 1)))
    orders = dealt(cohort, size.splits, size.per_set, size.several)
    made, _ = part("drawn", lambda: draw_all(cohort, laws, orders, workers))
    jobs = [
        (fit.train, fit.held, {way: [p for m in made for p in m.pieces
                                     if m.order.way == way and m.order.split == number]
                               for way in WAYS}, 100 * world + number)
        for number, fit in enumerate(fits)
    ]  # fmt: skip
    auroc, _ = part(
        "auroc", lambda: map_items(partial(compare, size.by), jobs, "comparing", workers)
    )
    families = {s.family for s in [*spare_hosts(cohort),
                                   *(s for s in cohort.subjects if not s.is_patient)]}  # fmt: skip
    return World(cohort, fits, made, auroc, laws, families)


def add_rules(figures: Figures, worlds: Sequence[World]) -> None:
    """Rules broken, tries refused, and how deep masks reach."""
    made = [one for world in worlds for one in world.made]
    verdicts = [verdict for one in made for verdict in one.verdicts]
    broken = Counter(rule for verdict in verdicts for rule in verdict.broken)
    n = len(verdicts)
    figures.add("violations", sum(broken.values()), n, (0, 0), at_most=0)
    for rule in RULES:
        figures.add(f"violations_{rule}", broken[rule], n, (0, 0), at_most=0)
    families = set().union(*(world.families for world in worlds))
    figures.add("anatomies", len(families), n, (0, 0), at_least=14)
    lesions = Counter(len(one.verdicts) for one in made if one.order.way == "several")
    figures.add("subjects_of_several_lesions", sum(k for c, k in lesions.items() if c > 1),
                sum(lesions.values()), (0, 0))  # fmt: skip
    depths = [verdict.depth_mm for verdict in verdicts]
    figures.add_values("deepest_white_matter_mm", depths, "median")
    for way in ("growth", "transplant"):
        own = [one for one in made if one.order.way == way]
        refused: Counter[str] = Counter()
        for one in own:
            refused.update(dict(one.refused))
        tries = len(own) + sum(refused.values())
        for test, times in sorted(refused.items()):
            figures.add_share(f"refused_{way}_{test}", times, tries)
    figures.add("draws_given_up", sum(one.given_up for one in made), len(made), (0, 0))


def add_proof(figures: Figures, worlds: dict[int, World]) -> None:
    """How well a classifier tells each kind of mask from the held-out ones."""
    rows = [row for world in worlds.values() for row in world.auroc]
    growth = float(np.mean([row["growth"] for row in rows]))
    goals = {
        "growth": {"at_most": 0.60}, "ellipsoid": {"at_least": max(0.85, growth)},
        "warped": {"at_least": growth}, "real": {"at_least": 0.45, "at_most": 0.55},
    }  # fmt: skip
    for name in rows[0]:
        _add_mean(figures, f"c2st_auroc_{name}", [r[name] for r in rows], **goals.get(name, {}))
    for number, world in worlds.items():
        for name in (*WAYS, "real", "training", "bootstrap"):
            goal = {"at_most": 0.60} if name == "growth" else {}
            _add_mean(figures, f"c2st_auroc_{name}_{LAWS[number % 3]}",
                      [row[name] for row in world.auroc], **goal)  # fmt: skip
    for other in ("ellipsoid", "warped", "transplant", "bootstrap"):
        less = [row[other] - row["growth"] for row in rows]
        _add_mean(figures, f"c2st_{other}_above_growth", less)


def _add_mean(figures: Figures, name: str, values: Sequence[float], **goal: float) -> None:
    mean, n = float(np.mean(values)), len(values)
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    figures.add(name, mean, n, (mean - half, mean + half), **goal)


def add_site(figures: Figures, worlds: dict[int, World]) -> None:
    """Held-out log-likelihood of seed voxels over an even ribbon.

    A patient's value is its mean over the dealings that held it out; patients are resampled
    within their world, 4000 times.
    """
    tables = {number: _gains(world.fits) for number, world in worlds.items()}
    value, low, high = _resampled(list(tables.values()))
    patients = sum(len(table) for table in tables.values())
    figures.add("site_loglik_gain", value, patients, (low, high), at_least=0.0)
    figures.add("site_loglik_gain_low", low, patients, (low, high), at_least=1e-9)
    for number, table in tables.items():
        value, low, high = _resampled([table])
        figures.add(f"site_loglik_gain_{LAWS[number % 3]}", value, len(table), (low, high))


def _gains(fits: Sequence[Fit]) -> np.ndarray:
    """A row a patient: gain summed over its lesions, mean over dealings; number of lesions."""
    sums: dict[str, list[float]] = {}
    lesions: dict[str, int] = {}
    for fit in fits:
        own: dict[str, list[float]] = {}
        for subject, _, gain in fit.gain:
            own.setdefault(subject, []).append(gain)
        for subject, gains in own.items():
            sums.setdefault(subject, []).append(sum(gains))
            lesions[subject] = len(gains)
    return np.array([(np.mean(sums[s]), lesions[s]) for s in sorted(sums)])


def _resampled(tables: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Gain a lesion over all tables, and its 95 % interval."""
    rng = np.random.default_rng(0)
    totals = sum(table[rng.integers(len(table), size=(4000, len(table)))].sum(axis=1)
                 for table in tables)  # fmt: skip
    whole = sum(table.sum(axis=0) for table in tables)
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [0.025, 0.975])
    return float(whole[0] / whole[1]), float(low), float(high)


def main() -> None:
    """Run it."""
    options = arguments(__doc__ or "")
    size = QUICK if options.quick else Size()
    figures = Figures("masks", options.quick)
    figures.notes.append("intervals: c2st Student's t over the repetitions, site patients "
                         "resampled, masks_per_second slowest and fastest host")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch) / "work"
        if options.quick:  # heads of another size must not be taken for those of a full run
            work = work / "quick"
        anatomies = None if options.quick else options.data / "anatomies"
        began = time.monotonic()
        worlds = {}
        for world in size.worlds:
            worlds[world] = measure_world(world, size, work, anatomies, options.workers)
            print(f"world {world}: {time.monotonic() - began:.0f} s since the start", flush=True)
        add_rules(figures, list(worlds.values()))
        add_proof(figures, worlds)
        add_site(figures, worlds)
        first = worlds[size.worlds[0]]
        law = pickle.loads(first.laws.read_bytes())[0]["growth"]
        add_speed(figures, first.cohort, law, size.timed, size.plain)
        prior = law.prior.write(Path(scratch) / "prior.json")
        add_same_bytes(figures, first.cohort, prior, Path(scratch))
        print(f"all: {time.monotonic() - began:.0f} s")
    finish(figures, options.out)


if __name__ == "__main__":
    main()
