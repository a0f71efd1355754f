"""Benchmark of stage 3: a detector whose scores can be believed, beside nnU-Net.

Full: a development world (`detector_world`) of simulated heads at 2 mm, preset ``study``. The
detector of ``configs/detector/phantom-2mm.yaml`` is fitted on 35 + 35 subjects of 4 anatomies and
on 70 + 70 of 8, validated on 12 + 12 of 2 and tested on 80 + 40 of 4 others; nnU-Net v2 is trained
on the 70 + 70 for as many steps, of patches and batches of the same size, in the same dtype, with
a network that costs at least as much. ``nnunet_*`` need nnunetv2 (see `detector_nnunet`).
``--quick`` uses tiny heads of one anatomy, the smoke config and no nnU-Net, and holds no goals.

Sensitivities are read off the FROC curve at half a false cluster per subject; clusters are cut at
a low probability for it, so that the curve reaches that far (`detector_froc`).

With ``--work`` all is kept, and a stopped run goes on.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from detector_froc import (
    Scored,
    add_difference,
    add_sensitivity,
    expected_calibration_error,
    scored,
)
from detector_nnunet import detections as their_detections
from detector_nnunet import exported, is_installed
from detector_nnunet import trained as train_nnunet
from detector_sites import measure_sites
from detector_speed import measure_inference, measure_throughput, whole_heads
from detector_world import FCDD1, FCDD3, table_of, world
from figures import Figures, arguments, finish, part
from fits import fitted_apart
from scipy.stats import wilcoxon

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.detector.detect import detect
from fcdsynth.detector.ensemble import Ensemble


@dataclass(frozen=True)
class Size:
    """How large the benchmark is.

    Args:
        config: Config of the detector.
        steps: Its training steps; nnU-Net's too.
        small: Patients, and as many controls, of the smaller training set.
        large: Of the larger one.
        patch: Patch size of both.
        batch: Patches per batch of both.
        sites: Steps of the fits that leave a site out; 0 for none.
        fine: Heads at 1 mm that inference is timed on, and pairs of runs.
        judged: Patients whose Dice is compared between the predictors.
        timed: Steps and turns that training is timed for.
    """

    config: str = "configs/detector/phantom-2mm.yaml"
    steps: int = 4000
    small: int = FCDD1
    large: int = FCDD3
    patch: int = 32
    batch: int = 8
    sites: int = 2000
    fine: tuple[int, int] = (2, 4)
    judged: int = 20
    timed: tuple[int, int] = (12, 3)


QUICK = Size("configs/detector/smoke.yaml", 60, 2, 4, 16, 2, 0, (1, 1), 2, (2, 1))
CANDIDATES = 0.1


def looked(run: Path, cohort: Path, out: Path, own_point: bool = False) -> Scored:
    """Detections of a run in the test subjects, and their evaluation.

    Args:
        run: The detector.
        cohort: The table.
        out: Folder to write.
        own_point: Cut clusters at the detector's operating point, not low.
    """
    cut = {} if own_point else {"threshold": CANDIDATES, "min_volume_ml": 0.05}
    detect(str(run), str(cohort), str(out), pages=False, precision="bf16", windows=8, **cut)
    return scored(out, cohort, out.with_name(f"{out.name}-report"), 1)


def without_flair(cohort: Path, out: Path) -> Path:
    """The same table, FLAIR and all that was made of it taken from the test subjects."""
    table = Cohort.read(cohort)
    rows = tuple(
        replace(s, files={k: v for k, v in s.files.items() if not k.startswith("flair")})
        if s.split is Split.TEST else s
        for s in table.subjects
    )  # fmt: skip
    replace(table, subjects=rows).moved(out).write()
    return out


def measure_preset(figures: Figures, found: dict[int, Scored]) -> None:
    """Add what the detector finds after each training set."""
    (few, small), (many, large) = sorted(found.items())
    add_sensitivity(figures, f"preset_sensitivity_{few}", small, at_least=0.30, at_most=0.55)
    add_sensitivity(figures, f"preset_sensitivity_{many}", large)
    add_difference(figures, "preset_gap", large, small, at_least=0.15)


def measure_calibration(figures: Figures, found: Scored) -> None:
    """Add the expected calibration error of cluster scores."""
    error, rows = expected_calibration_error(found.clusters)
    rng = np.random.default_rng(3)
    n = len(found.clusters)
    draws = [expected_calibration_error([found.clusters[i] for i in rng.integers(0, n, n)])[0]
             for _ in range(300)] if n else [0.0]  # fmt: skip
    low, high = np.quantile(draws, (0.025, 0.975))
    figures.add("ece", error, n, (low, high), at_most=0.10)
    figures.notes.append("clusters by score: " + "; ".join(
        f"{count} of mean {mean:.2f}, {share:.2f} hit" for count, mean, share in rows))  # fmt: skip


def measure_against_nnunet(figures: Figures, ours: Scored, theirs: Scored) -> None:
    """Add sensitivities and lesion-site probabilities of both on the same subjects."""
    add_sensitivity(figures, "sensitivity_at_half_fp", ours)
    add_sensitivity(figures, "nnunet_sensitivity_at_half_fp", theirs)
    add_difference(figures, "sensitivity_gain_vs_nnunet", ours, theirs, at_least=0.0)
    pairs = [(a, b) for a, b in zip(ours.site, theirs.site, strict=True)
             if a is not None and b is not None]  # fmt: skip
    gain = np.array([a - b for a, b in pairs])
    rng = np.random.default_rng(7)
    draws = [gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(2000)]
    low, high = np.quantile(draws, (0.025, 0.975))
    figures.add("site_probability_gain_vs_nnunet", gain.mean(), len(gain), (low, high),
                at_least=1e-9)  # fmt: skip
    a, b = (np.mean([p[k] for p in pairs]) for k in (0, 1))
    figures.notes.append(f"largest probability in the lesion: ours {a:.3f}, nnU-Net {b:.3f}, "
                         f"Wilcoxon p {wilcoxon(gain).pvalue:.2g}")  # fmt: skip


def measure(figures: Figures, work: Path, size: Size, data: Path | None, workers: int) -> None:
    """Add all figures."""
    anatomies = None if data is None or not (data / "anatomies").is_dir() else data / "anatomies"
    heads = world(work, anatomies, workers, figures.quick)
    tables = {n: table_of(work, heads, n) for n in (size.small, size.large)}
    steps = ("--trainer.max_steps", str(size.steps), "--data.cache", str(work / "cache"))
    with ThreadPoolExecutor(workers) as pool:
        fits = {n: pool.submit(fitted_apart, work / f"fit-{n}", table, size.config, *steps)
                for n, table in tables.items()}  # fmt: skip
        runs = {n: fit.result() for n, fit in fits.items()}
        found = {n: pool.submit(looked, run, tables[n], work / f"found-{n}")
                 for n, run in runs.items()}  # fmt: skip
        seen = {n: f.result() for n, f in found.items()}
    run, table, ours = runs[size.large], tables[size.large], seen[size.large]
    part(figures, work, "preset", lambda f: measure_preset(f, seen))
    part(figures, work, "calibration", lambda f: measure_calibration(f, ours))

    def flair(f: Figures) -> None:
        bare = without_flair(table, work / "cohort-without-flair")
        add_sensitivity(f, "sensitivity_with_flair", ours)
        blind = looked(run, bare, work / "found-without-flair")
        add_sensitivity(f, "sensitivity_without_flair", blind)
        add_difference(f, "flair_gain", ours, blind)

    if Ensemble.open(run).models[0].flair_optional:
        part(figures, work, "flair", flair)
    if size.sites:
        measure_sites(figures, work, table, size.config, size.sites, looked, workers)
    if not is_installed() or figures.quick:
        figures.notes.append("nnU-Net is not measured here")
        return
    export = exported(work, table, size.patch, size.batch)

    def peer(f: Figures) -> None:
        told = train_nnunet(export, size.steps)
        cohort = Cohort.read(table)
        place = their_detections(work, export, cohort, CANDIDATES, run)
        theirs = scored(place, table, work / "nnunet-report", 1)
        measure_against_nnunet(f, ours, theirs)
        f.notes.append(f"nnU-Net: {told['steps']} steps in {told['seconds'] / 60:.1f} min")

    part(figures, work, "nnunet", peer)
    part(figures, work, "throughput", lambda f: measure_throughput(
        f, table, export, Path(size.config), *size.timed))  # fmt: skip
    fine = whole_heads(work, size.fine[0], 1.0, workers)
    judged = Cohort.read(table)
    part(figures, work, "inference", lambda f: measure_inference(
        f, Ensemble.open(run).models[0], fine, judged, size.fine[1], size.judged))  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__ or "")
    torch.set_num_threads(1)
    figures = Figures("detector", args.quick)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        measure(figures, work, QUICK if args.quick else Size(), args.data, args.workers)
    finish(figures, args.out)


if __name__ == "__main__":
    main()
