"""Benchmark of stage 1: masks that keep the rules, look real to a classifier, and come fast.

Full: for each of the worlds 0, 1, 2 (three laws of shape, none of which grows along the cortex)
35 training patients, 70 held-out patients and 30 controls at 1 mm on label maps of 14 heads,
masks as simulated annotators outlined them, images left out. A prior is fitted on the 35; 20 sets
of 70 masks are grown in the controls (5 sets by each other way) and told from the held-out masks
by a classifier. ``--quick`` uses one world at 3 mm and few of everything.

Features: the eight descriptors of `fcdsynth.measure.shape`, |x|, y and z of the centroid in MNI,
depth rank of the seed; of every piece of a mask within cortex and white matter. Classifier:
extremely randomised trees, cross-validated with patients and hosts kept together.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hashlib
import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figures, arguments, finish
from heap_growth import heap_growth, list_heap_growth
from mask_cohort import mask_cohort
from mask_proof import (
    SETS,
    WAYS,
    auroc,
    drawn_examples,
    laws_of,
    read_patients,
    real_against_real,
)
from mask_rules import count_broken

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.masks.draw import draw
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import load_host
from fcdsynth.masks.job import Law, Task, draw_subject
from fcdsynth.masks.laws.fit import prior_from
from fcdsynth.masks.laws.growths import TRIALS
from fcdsynth.masks.laws.held_out import held_out_gain
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.placement import draw_spec, draw_wanted, place

LAWS = {0: "field", 1: "funnel", 2: "rebel"}


@dataclass(frozen=True)
class Size:
    """How large the benchmark is."""

    worlds: tuple[int, ...] = (0, 1, 2)
    train: int = 35
    held_out: int = 70
    controls: int = 30
    spacing_mm: float = 1.0
    sets: int = SETS
    per_set: int = 70
    ruled: int = 334  # subjects a world whose rules are checked
    timed: int = 200
    trials: int = TRIALS


QUICK = Size((0,), 8, 8, 2, 3.0, 2, 12, 20, 20, 8)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """The pickled result of a part that takes long, made once for a work folder."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(make()))
        partial.replace(path)
    return pickle.loads(path.read_bytes())


def measure_world(
    world: int, cohort: Cohort, size: Size, work: Path, workers: int
) -> dict[str, Any]:
    """Fit, draw and compare in one world."""
    train = read_patients(cohort, Split.TRAIN, size.trials, workers)
    held = read_patients(cohort, Split.TEST, 0, workers)
    prior = prior_from([p.measured for p in train], cohort=cohort.name)
    prior.write(work / f"prior-{world}.json")
    laws = laws_of(prior, train, 1000 + world)
    return {
        "prior": prior,
        "law": laws[0],
        "train": [e for p in train for e in p.examples],
        "real": [e for p in held for e in p.examples],
        "drawn": drawn_examples(cohort, laws, size.per_set, size.sets, workers),
        "gain": held_out_gain(prior, [p.measured for p in held]),
        "rules": count_broken(cohort, laws[0], size.ruled, workers),
        "anatomies": {s.family for s in cohort.subjects if not s.is_patient},
    }


def add_proof(figures: Figures, found: dict[int, dict[str, Any]]) -> None:
    """How well a classifier tells each kind of mask from the held-out ones."""
    by_way: dict[str, list[float]] = {way: [] for way in WAYS}
    with_fluid: list[float] = []
    real: list[float] = []
    linear: list[float] = []
    for world, one in found.items():
        law = LAWS[world % 3]
        for way in WAYS:
            values = [auroc(a, one["real"], n) for n, a in enumerate(one["drawn"][way])]
            by_way[way] += values
            figures.add_values(f"c2st_auroc_{way}_{law}", values, "mean")
        sets = one["drawn"]["growth"]
        with_fluid += [auroc(a, one["real"], n, outside=True) for n, a in enumerate(sets)]
        linear += [auroc(a, one["real"], n, name="logistic") for n, a in enumerate(sets)]
        figures.add(f"c2st_auroc_training_{law}", auroc(one["train"], one["real"], 0),
                    len(one["train"]), (0, 1))  # fmt: skip
        real += real_against_real([*one["train"], *one["real"]], len(sets))
    growth = float(np.mean(by_way["growth"]))
    figures.add_values("c2st_auroc_growth", by_way["growth"], "mean", at_most=0.60)
    figures.add_values("c2st_auroc_transplant", by_way["transplant"], "mean")
    figures.add_values("c2st_auroc_ellipsoid", by_way["ellipsoid"], "mean",
                       at_least=max(0.85, growth))  # fmt: skip
    figures.add_values("c2st_auroc_warped", by_way["warped"], "mean", at_least=growth)
    figures.add_values("c2st_auroc_real", real, "mean", at_least=0.45, at_most=0.55)
    figures.add_values("c2st_auroc_growth_with_outside_share", with_fluid, "mean")
    figures.add_values("c2st_auroc_growth_logistic", linear, "mean")


def add_site(figures: Figures, found: dict[int, dict[str, Any]]) -> None:
    """Held-out log-likelihood of seed voxels over an even ribbon; patients resampled."""
    rows = [(f"{world}/{subject}", value) for world, one in found.items()
            for subject, _, value in one["gain"].per_lesion]  # fmt: skip
    names = sorted({name for name, _ in rows})
    sums = np.array([sum(v for name, v in rows if name == one) for one in names])
    sizes = np.array([sum(name == one for name, _ in rows) for one in names])
    picks = np.random.default_rng(0).integers(len(names), size=(4000, len(names)))
    low, high = np.quantile(sums[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])
    value = float(sums.sum() / sizes.sum())
    figures.add("site_loglik_gain", value, len(rows), (low, high), at_least=0.0)
    figures.add("site_loglik_gain_low", low, len(names), (low, high), at_least=1e-9)
    for world, one in found.items():
        gain = one["gain"]
        name = f"site_loglik_gain_{LAWS[world % 3]}"
        figures.add(name, gain.mean, gain.n_lesions, (gain.low, gain.high))


def add_speed(figures: Figures, cohort: Cohort, prior: LesionPrior, law: Law, size: Size) -> None:
    """Masks a second on one core with the host's maps ready, and against plain Python."""
    control = next(s for s in cohort.subjects if not s.is_patient)
    placement = place(load_host(cohort, control), prior)
    draw_subject(placement, law, Task(10**6, "lesion", "warm"))
    began = time.process_time()
    for number in range(size.timed):
        draw_subject(placement, law, Task(number, "lesion", f"draw-{number}"))
    figures.add("masks_per_second", size.timed / (time.process_time() - began), size.timed,
                (0, 0), at_least=20)  # fmt: skip
    plain, listed = [], []
    rng = np.random.default_rng(0)
    for _ in range(max(6, size.timed // 10)):
        wanted = draw_wanted(prior, rng, "lesion", prior.size.draw(rng), "growth")
        spec = draw_spec(placement, rng, replace(wanted, track=False), prior.growths.draw(
            rng, wanted.volume_ml))  # fmt: skip
        times = []
        for grown in (grow, heap_growth, list_heap_growth):
            began = time.process_time()
            result = grown(placement.host, spec)
            times.append(time.process_time() - began)
        assert len(result) == spec.size_vox
        plain.append(times[1] / times[0])
        listed.append(times[2] / times[0])
    figures.add_values("speedup_vs_heap", plain, "median", at_least=10)
    figures.add_values("speedup_vs_list_heap", listed, "median")


def add_same_bytes(figures: Figures, cohort: Cohort, prior: Path, scratch: Path) -> None:
    """Files that differ between two runs of the verb: one process, and two in another order."""
    few = [s.id for s in cohort.subjects if not s.is_patient][:4]

    def hashes(out: Path) -> dict[str, str]:
        return {
            str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(out.rglob("*")) if p.is_file() and p.name != "provenance.json"
        }  # fmt: skip

    runs = [
        hashes(draw(str(cohort.folder), str(scratch / str(workers)), lesions=6, controls=2, seed=3,
                    hosts=few, prior=str(prior), workers=workers))
        for workers in (1, 2)
    ]  # fmt: skip
    alone = hashes(draw(str(cohort.folder), str(scratch / "few"), lesions=2, controls=0, seed=3,
                        hosts=few, prior=str(prior)))  # fmt: skip
    differ = sum(runs[0].get(name) != runs[1].get(name) for name in {*runs[0], *runs[1]})
    masks = [name for name in alone if name.endswith("_region.nii.gz")]
    differ += sum(alone[name] != runs[0][name] for name in masks)
    figures.add("files_that_differ", differ, len(runs[0]) + len(masks), (0, 0), at_most=0)


def main() -> None:
    """Run it."""
    options = arguments(__doc__ or "")
    size = QUICK if options.quick else Size()
    figures = Figures("masks", options.quick)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch) / "work"
        anatomies = None if options.quick else options.data / "anatomies"
        found: dict[int, dict[str, Any]] = {}
        cohorts: dict[int, Cohort] = {}
        for world in size.worlds:
            cohorts[world] = mask_cohort(
                work / f"world-{world}", anatomies, world, size.train, size.held_out,
                size.controls, size.spacing_mm, workers=options.workers,
            )  # fmt: skip
            found[world] = kept(work / f"measured-{world}.pickle", partial(
                measure_world, world, cohorts[world], size, work, options.workers))  # fmt: skip
        n, bad = (sum(one["rules"][k] for one in found.values()) for k in (0, 1))
        figures.add("violations", bad, n, (0, 0), at_most=0)
        figures.add("anatomies", len(set().union(*(one["anatomies"] for one in found.values()))),
                    n, (0, 0), at_least=14)  # fmt: skip
        refused: Counter[str] = Counter()
        for one in found.values():
            refused.update(one["rules"][3])
        for test, times in sorted(refused.items()):
            figures.add(f"refused_{test}", times / (n + sum(refused.values())), n, (0, 1))
        add_proof(figures, found)
        add_site(figures, found)
        first = size.worlds[0]
        prior: LesionPrior = found[first]["prior"]
        add_speed(figures, cohorts[first], prior, found[first]["law"], size)
        add_same_bytes(figures, cohorts[first], work / f"prior-{first}.json", Path(scratch))
    finish(figures, options.out)


if __name__ == "__main__":
    main()
