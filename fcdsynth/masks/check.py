"""Check drawn masks against real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Role, Split, Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.masks.proof.arrays import Masks, require_enough
from fcdsynth.masks.proof.comparison import compare
from fcdsynth.masks.proof.examples import Example, read_drawn, read_real, regrouped
from fcdsynth.masks.proof.report import write_report
from fcdsynth.masks.proof.wording import status_words
from fcdsynth.masks.training import anatomy_files

_MNI_MM = (100.0, 135.0, 110.0)  # no centroid of a lesion lies farther out along x, y, z
_SAME_MM = 0.5
_SAME_VOXEL = 1.05


def check(
    drawn: str,
    cohort: str,
    out: str,
    held_out: bool = False,
    repeats: int = 20,
    permutations: int = 999,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Compare drawn masks with real ones: features, place, a classifier, copies, pictures.

    Every statistic stands beside real masks against real masks at the same number, and the
    report says what the prior behind the drawn masks saw of the patients compared with. Writes
    report.html, check.json (every number) and features.csv (a row a mask). Lesional rows and
    control regions both count, since one law draws them.

    Args:
        drawn: A cohort written by draw.
        cohort: The prepared cohort of the real patients. Compared are those of split train, or
            all when no subject has a split.
        out: Folder of the report.
        held_out: Also compare with the validation and test patients, on their own.
        repeats: Number of random splits of the real patients into halves.
        permutations: Number of label shuffles behind each p value.
        seed: Seed of splits, shuffles and classifiers.
        workers: Number of processes.

    Returns:
        The output folder.

    Raises:
        CohortError: If there are no or too few real patients or drawn masks, a drawn row has no
            region, or the two cohorts have different voxels or another template.
        LeakageError: If the prior behind the drawn masks saw a validation or test patient.
        SettingsError: If a setting is out of range.
    """
    for name, value, least in (("repeats", repeats, 2), ("permutations", permutations, 19),
                               ("workers", workers, 1)):  # fmt: skip
        if value < least:
            raise SettingsError(name, str(value), f"at least {least}", "Change the setting.")
    tables = {True: Cohort.read(drawn), False: Cohort.read(cohort)}
    rows = _drawn_rows(tables[True])
    sets = _real_sets(tables[False], held_out)
    _require_one_template(tables, rows)
    seen = _seen(tables)
    patients = [p for chosen in sets.values() for p in chosen]
    read = [
        *anatomy_files(tables[True], rows, "region"),
        *anatomy_files(tables[False], patients, "lesion"),
    ]
    settings = {"held_out": held_out, "repeats": repeats, "permutations": permutations}
    inputs = [t.folder / TABLE for t in tables.values()] + sorted(set(read))
    run = Run(out, "draw check", {"drawn": drawn, "cohort": cohort, **settings}, inputs, seed)
    if run.complete:
        return run.out
    examples = regrouped(read_drawn(tables[True], rows, workers), tables[False])
    real = {
        name: regrouped(read_real(tables[False], chosen, workers), tables[False])
        for name, chosen in sets.items()
    }
    for others in real.values():
        require_enough(Masks.of(examples), Masks.of(others))
    notices = _notices(examples, [e for others in real.values() for e in others])
    with run:
        found = [
            compare(name, examples, others, repeats, permutations, seed, workers)
            for name, others in real.items()
        ]
        status = [status_words(name, seen, [s.id for s in chosen]) for name, chosen in sets.items()]
        write_report(run.folder, found, status, tables, notices, {**settings, "seed": seed})
    return run.out


def _drawn_rows(table: Cohort) -> list[Subject]:
    rows = [s for s in table.subjects if s.origin is Origin.SYNTHETIC]
    missing = [s.id for s in rows if not s.has("region")]
    if not rows or missing:
        found = f"{len(missing)} of {len(rows)} rows without a region" if rows else "no drawn row"
        raise CohortError(
            missing[0] if missing else table.name, found, "a cohort written by fcdsynth draw",
            "Give the output folder of draw as the first word.",
        )  # fmt: skip
    return rows


def _real_sets(table: Cohort, held_out: bool) -> dict[str, list[Subject]]:
    sets = {"training": [s for s in table.training() if s.is_patient]}
    if held_out:
        sets["held-out"] = [
            s for s in table.subjects
            if s.is_patient and s.origin is not Origin.SYNTHETIC
            and s.split in (Split.VAL, Split.TEST)
        ]  # fmt: skip
    for name, chosen in sets.items():
        if not chosen:
            raise CohortError(
                table.name, f"no {name} patient among {len(table)} subjects",
                "real patients with lesion masks",
                "Give a prepared cohort with patients, or leave --held_out away.",
            )  # fmt: skip
    return sets


def _seen(tables: dict[bool, Cohort]) -> list[str]:
    """Patients that the prior was fitted on or that gave a shape."""
    table = tables[True]
    donors = {p.subject for s in table.subjects for p in s.parents if p.role is Role.MASK}
    seen = sorted({*table.fitted_on, *donors})
    held = {s.id for s in tables[False].subjects if s.split in (Split.VAL, Split.TEST)}
    leaked = sorted(held & set(seen))
    if leaked:
        raise LeakageError(
            leaked[0], "a validation or test patient behind the drawn masks",
            "a prior and donors of training patients only", "Draw again.",
        )  # fmt: skip
    return seen


def _require_one_template(tables: dict[bool, Cohort], rows: Sequence[Subject]) -> None:
    """A host must lie in MNI as the cohort knows it: place is compared in one space."""
    known = {s.id: s for s in tables[False].subjects}
    for row in rows:
        for parent in row.parents:
            if parent.role is not Role.HOST or parent.subject not in known:
                continue
            here = read_to_mni(tables[True], row)
            there = read_to_mni(tables[False], known[parent.subject])
            if here is None or there is None:
                continue
            if np.abs(here - there)[:3, 3].max() > _SAME_MM or np.abs(here - there).max() > 0.01:
                raise CohortError(
                    row.id, f"its host {parent.subject} elsewhere in MNI than the cohort says",
                    "masks drawn in this preparation of the cohort", "Draw the masks again.",
                )  # fmt: skip


def _notices(drawn: Sequence[Example], real: Sequence[Example]) -> list[str]:
    """What a reader must know; raises where the two sides cannot be compared."""
    sizes = [e.voxel_ml for e in (*drawn, *real)]
    if max(sizes) > _SAME_VOXEL * min(sizes):
        edges = [1000 ** (1 / 3) * v ** (1 / 3) for v in (min(sizes), max(sizes))]
        raise CohortError(
            "voxels", f"edges of {edges[0]:.2f} to {edges[1]:.2f} mm",
            "one size of voxel for all masks, as shape depends on it",
            "Prepare both cohorts with one spacing.",
        )  # fmt: skip
    for e in (*drawn, *real):
        if e.mni_mm is not None and (np.abs(e.mni_mm) > _MNI_MM).any():
            raise CohortError(
                e.name, f"a mask at {', '.join(f'{v:.0f}' for v in e.mni_mm)} mm in MNI",
                "a place within the MNI152 brain", "Look at its t1w_to_mni, prepare it again.",
            )  # fmt: skip
    notices = []
    for name, side in (("drawn", drawn), ("real", real)):
        unknown = sum(e.mni_mm is None for e in side)
        if unknown:
            notices.append(
                f"The place in MNI is unknown for {unknown} of {len(side)} {name} masks."
            )
    return notices
