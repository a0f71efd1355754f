"""The verb realism: whether synthetic images look real, against what real ones differ by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fcdsynth.core.cohort import SIDECAR, TABLE, Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.synthesis.proof.findings import find
from fcdsynth.synthesis.proof.measured import Job, crop_side, measure
from fcdsynth.synthesis.proof.report import write_report
from fcdsynth.synthesis.proof.sides import Sides, read_sides

_KEYS = ("t1w", "flair", "lesion", "region", "tissue")


def realism(
    real: str,
    synthetic: str,
    out: str,
    split: Literal["train", "val", "test", "all"] = "train",
    sources: str | None = None,
    encoder: bool = True,
    splits: int = 200,
    permutations: int = 999,
    pairs: int = 200,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Measure whether synthetic images look real, beside how real ones differ from each other.

    KID and MMD on features of lesion crops and of whole brains, lesion contrast, diversity,
    fidelity where the host shows the same thing, tissue agreement, copies of training lesions,
    checkerboards. Writes report.html, realism.json (every number) and subjects.csv.

    Args:
        real: Prepared cohort of the real (or phantom) subjects.
        synthetic: Cohort written by synthesize at the same spacing.
        out: Folder of the report.
        split: Which real subjects are compared; without splits in the table all are training
            ones. Test subjects are for the end.
        sources: Prepared cohort of the hosts, mask donors and training patients, when they are
            not in the first one.
        encoder: Whether to compare whole T1w brains by deepbet's encoder too.
        splits: Random splits of the real subjects into halves, behind each null.
        permutations: Label shuffles behind each p value.
        pairs: Most pairs of crops for the diversity.
        seed: Seed of splits, shuffles and bootstraps.
        workers: Number of processes.

    Returns:
        The output folder.

    Raises:
        CohortError: If there are too few subjects or lesions, or a file is absent or unreadable.
        GeometryError: If voxels differ, or a synthetic subject lies on another grid than its host.
        SettingsError: If a setting is out of range.
    """
    for name, value, least in (("splits", splits, 20), ("permutations", permutations, 19),
                               ("pairs", pairs, 1), ("workers", workers, 1)):  # fmt: skip
        if value < least:
            raise SettingsError(name, str(value), f"at least {least}", "Change the setting.")
    sides = read_sides(real, synthetic, sources, split)
    settings = {"split": split, "encoder": encoder, "splits": splits,
                "permutations": permutations, "pairs": pairs}  # fmt: skip
    named = {"real": real, "synthetic": synthetic, "sources": sources}
    run = Run(out, "realism", named | settings, _inputs(sides), seed)
    if run.complete:
        return run.out
    jobs = _jobs(sides, encoder)
    flat = [job for group in jobs for job in group]
    with run:
        found = iter(map_items(measure, flat, "measuring images", workers))
        made, compared, training = ({job.subject.id: next(found) for job in group}
                                    for group in jobs)  # fmt: skip
        training |= {i: compared[i] for i in _both(sides)}
        findings = find(sides, made, compared, training, splits, permutations, pairs, seed)
        write_report(run.folder, sides, findings, made, compared, settings | {"seed": seed})
    return run.out


def _both(sides: Sides) -> list[str]:
    """Training patients that are among the compared ones, in one table: measured once."""
    if sides.sources is not sides.real:
        return []
    chosen = {s.id for s in sides.chosen}
    return [s.id for s in sides.training if s.id in chosen]


def _jobs(sides: Sides, encoder: bool) -> tuple[list[Job], list[Job], list[Job]]:
    side = crop_side(sides.spacing_mm)
    # A training patient counts for its lesion alone.
    once = set(_both(sides))
    learnt = [s for s in sides.training if s.id not in once]
    lean = [_lean(c) for c in (sides.synthetic, sides.real, sides.sources)]

    def job(cohort: Cohort, subject: Subject, wanted: bool) -> Job:
        return Job(cohort, subject, sides.contrasts, side, wanted)

    made = [
        Job(lean[0], s, sides.contrasts, side, encoder, *_hosted(lean[2], sides.host(s)))
        for s in sides.made
    ]
    return (
        made,
        [job(lean[1], s, encoder) for s in sides.chosen],
        [job(lean[2], s, False) for s in learnt],
    )


def _lean(cohort: Cohort) -> Cohort:
    """The cohort's folder alone: a job needs its paths, and not every other row."""
    return Cohort(cohort.folder, (), cohort.name)


def _hosted(sources: Cohort, host: Subject | None) -> tuple[Cohort | None, Subject | None]:
    return (None, None) if host is None else (sources, host)


def _inputs(sides: Sides) -> list[Path]:
    read: set[Path] = set()
    hosts = [h for h in map(sides.host, sides.made) if h is not None]
    groups: Sequence[tuple[Cohort, Sequence[Subject]]] = (
        (sides.real, sides.chosen), (sides.synthetic, sides.made),
        (sides.sources, (*sides.training, *hosts)),
    )  # fmt: skip
    for cohort, subjects in groups:
        read |= {cohort.path(s, key) for s in subjects for key in _KEYS if s.has(key)}
        read |= {cohort.folder / name for name in (TABLE, SIDECAR)
                 if (cohort.folder / name).is_file()}  # fmt: skip
    return sorted(read)
