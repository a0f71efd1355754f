"""Benchmark of stage 3: a detector whose scores can be believed, beside nnU-Net.

Full: a development world (`detector_world`) of simulated heads at 2 mm, preset ``study``. The
detector of ``configs/detector/phantom-2mm.yaml`` is fitted on 35 + 35 subjects of 4 anatomies and
on 70 + 70 of 8, validated on 12 + 12 of 2 and tested on 80 + 40 of 4 others; nnU-Net v2 is trained
on the 70 + 70 for as many steps, of patches and batches of the same size, in the same dtype, with
a network that costs at least as much. ``nnunet_*`` need nnunetv2 (see `detector_nnunet`).
``--quick`` uses tiny heads of one anatomy, the smoke config and no nnU-Net, and holds no goals.

Sensitivities are read off the FROC curve at half a false cluster per subject; clusters are cut at
a low probability for it, so that the curve reaches that far (`detector_froc`).

With ``--work`` all is kept, and a stopped run goes on. Parts that are done are kept in
``benchmarks/results/detector`` too, with commit and date; ``--parts`` measures these anew and takes
the others as kept: found (what is found after each training set, the calibration, FLAIR or none),
sites, nnunet, speed (of training and inference; wants an idle machine).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
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
from figures import ROOT, Figures, add_kept, arguments, finish, keep_part
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


class Bench:
    """Everything that parts share: the world, its tables, and our detectors on them.

    Args:
        work: Folder that is kept.
        size: How large.
        data: Folder of label maps.
        workers: Processes.
        quick: Tiny heads.
    """

    def __init__(
        self, work: Path, size: Size, data: Path | None, workers: int, quick: bool
    ) -> None:
        self.work, self.size, self.workers = work, size, workers
        anatomies = None if data is None or not (data / "anatomies").is_dir() else (
            data / "anatomies")  # fmt: skip
        heads = world(work, anatomies, workers, quick)
        self.tables = {n: table_of(work, heads, n) for n in (size.small, size.large)}
        self.table = self.tables[size.large]

    @cached_property
    def runs(self) -> dict[int, Path]:
        """Our detectors, by training patients."""
        steps = ("--trainer.max_steps", str(self.size.steps), "--data.cache",
                 str(self.work / "cache"))  # fmt: skip
        with ThreadPoolExecutor(self.workers) as pool:
            fits = {n: pool.submit(fitted_apart, self.work / f"fit-{n}", table, self.size.config,
                                   *steps) for n, table in self.tables.items()}  # fmt: skip
            return {n: fit.result() for n, fit in fits.items()}

    @cached_property
    def seen(self) -> dict[int, Scored]:
        """What they find, by training patients."""
        with ThreadPoolExecutor(self.workers) as pool:
            found = {n: pool.submit(looked, run, self.tables[n], self.work / f"found-{n}")
                     for n, run in self.runs.items()}  # fmt: skip
            return {n: f.result() for n, f in found.items()}

    @property
    def run(self) -> Path:
        """The detector of the larger training set."""
        return self.runs[self.size.large]

    @cached_property
    def export(self) -> Path:
        """The larger training set as nnU-Net's."""
        return exported(self.work, self.table, self.size.patch, self.size.batch)


def measure_found(figures: Figures, bench: Bench) -> None:
    """Add what is found after each training set, the calibration of scores, and FLAIR's part."""
    ours = bench.seen[bench.size.large]
    measure_preset(figures, bench.seen)
    measure_calibration(figures, ours)
    if Ensemble.open(bench.run).models[0].flair_optional:
        bare = without_flair(bench.table, bench.work / "cohort-without-flair")
        add_sensitivity(figures, "sensitivity_with_flair", ours)
        blind = looked(bench.run, bare, bench.work / "found-without-flair")
        add_sensitivity(figures, "sensitivity_without_flair", blind)
        add_difference(figures, "flair_gain", ours, blind)


def measure_nnunet(figures: Figures, bench: Bench) -> None:
    """Train nnU-Net and add what both find."""
    told = train_nnunet(bench.export, bench.size.steps)
    cohort = Cohort.read(bench.table)
    place = their_detections(bench.work, bench.export, cohort, CANDIDATES, bench.run)
    theirs = scored(place, bench.table, bench.work / "nnunet-report", 1)
    measure_against_nnunet(figures, bench.seen[bench.size.large], theirs)
    figures.notes.append(f"nnU-Net: {told['steps']} steps in {told['seconds'] / 60:.1f} min")


def measure_speed(figures: Figures, bench: Bench) -> None:
    """Add the figures of training and inference against nnU-Net's."""
    size = bench.size
    measure_throughput(figures, bench.table, bench.export, ROOT / size.config, *size.timed)
    fine = whole_heads(bench.work, size.fine[0], 1.0, bench.workers)
    measure_inference(figures, Ensemble.open(bench.run).models[0], fine, Cohort.read(bench.table),
                      size.fine[1], size.judged)  # fmt: skip


def measure_left_out(figures: Figures, bench: Bench) -> None:
    """Add what is found at a site that training has not seen."""
    size = bench.size
    measure_sites(figures, bench.work, bench.table, size.config, size.sites, looked, bench.workers)


PARTS: dict[str, Callable[[Figures, Bench], None]] = {
    "found": measure_found, "sites": measure_left_out, "nnunet": measure_nnunet,
    "speed": measure_speed,
}  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__ or "", parts=",".join(PARTS))
    torch.set_num_threads(1)
    figures = Figures("detector", args.quick)
    asked = args.parts.split(",") if not args.quick else ["found"]
    if not is_installed() and {"nnunet", "speed"} & set(asked):
        raise SystemExit("nnunet and speed need nnunetv2: install it, or give other --parts")
    if args.quick:
        figures.notes.append("nnU-Net is not measured here")
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work, QUICK if args.quick else Size(), args.data, args.workers, args.quick)
        for name in asked:
            found = Figures("detector", args.quick)
            PARTS[name](found, bench)
            figures.figures |= found.figures
            figures.notes += found.notes
            if not args.quick:
                keep_part(found, name)
    for name in () if args.quick else PARTS:
        if name not in asked:
            add_kept(figures, name)
    finish(figures, args.out)


if __name__ == "__main__":
    main()
