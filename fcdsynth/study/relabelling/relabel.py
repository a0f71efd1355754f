"""The verb benchmark relabel: what second looks are worth where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.run import Run
from fcdsynth.study.relabelling.methods import find_methods
from fcdsynth.study.relabelling.pages import write_report, write_tables
from fcdsynth.study.relabelling.protocol import Protocol
from fcdsynth.study.relabelling.runs import parse_noise, plan, run_jobs
from fcdsynth.study.relabelling.sets import folder_of
from fcdsynth.study.relabelling.summary import Cell

QUICK_METHODS, QUICK_SEEDS = "none,random,activelab,engine", 3


def relabel(
    out: str,
    data: Literal["digits", "fashion-mnist", "mnist", "cifar10", "pathmnist"] = "digits",
    noise: str = "symmetric-30",
    readers: str = "clean,noisy",
    methods: str = "all",
    seeds: int = 10,
    first_seed: int = 0,
    folder: str | None = None,
    share: float = 0.3,
    rule: Literal["replace", "majority"] = "majority",
    quick: bool = False,
) -> Path:
    """Measure re-labelling on a classification set with planted noise.

    Every method spends the same number of annotations on the same pool; those that look twice
    spend a share of them on labels they suspect. Reports accuracy against annotations, wrong
    labels left, hits against break-even, and paired differences with intervals, and says where
    combining, weighting or smoothing channels adds nothing. A stopped run goes on where it was.

    Args:
        out: Folder to write: ``runs.jsonl``, ``methods.csv``, ``differences.csv``, learning
            curves, ``report.md``.
        data: The set. Digits come with scikit-learn; Fashion-MNIST from Debian's package
            dataset-fashion-mnist or a folder; the others from a folder. Nothing is downloaded.
        noise: Kinds and percent wrong, joined by commas: symmetric-30,pair-30,clustered-30,
            boundary-30.
        readers: Second readers, joined by commas: clean (is right) and noisy (errs as the first).
        methods: Names joined by commas, or all.
        seeds: Number of seeds.
        first_seed: The first of them.
        folder: Folder of the set's files.
        share: Share of a round's annotations for second looks.
        rule: Which label counts: the newest (replace), or the commonest, the newest of those that
            tie (majority).
        quick: Three seeds of four methods with a noisy reader; a minute.

    Returns:
        Path of ``report.md``.

    Raises:
        SettingsError: If an option is not understood or the set's files are absent.
        RunError: If ``out`` holds something else.
    """
    if quick:
        methods, seeds, readers = QUICK_METHODS, QUICK_SEEDS, "noisy"
    if seeds < 1:
        raise SettingsError("seeds", str(seeds), "1 or more", "Change the number.")
    noises = parse_noise(noise, readers)
    compared = find_methods(methods)
    protocol = Protocol(share=share, rule=rule)
    source = None if data == "digits" else folder_of(data, Path(folder) if folder else None)
    settings = {
        "data": data, "noise": noise, "readers": readers, "methods": methods, "seeds": seeds,
        "first_seed": first_seed, "share": share, "rule": rule,
    }  # fmt: skip
    run = Run(out, "benchmark relabel", settings, [source] if source else [], first_seed)
    if run.complete:
        return run.out / "report.md"
    chosen = range(first_seed, first_seed + seeds)
    with run:
        curves = run_jobs(plan(data, compared, noises, chosen), run.folder, source, protocol)
        cells = [Cell(data, one, compared, chosen, curves) for one in noises]
        write_tables(run.folder, cells)
        write_report(run.folder, cells)
    return run.out / "report.md"
