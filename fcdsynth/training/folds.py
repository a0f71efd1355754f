"""The verb folds: tables of a cohort whose held-out subjects take turns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from sklearn.model_selection import StratifiedGroupKFold

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Split, Subject

RECORD = "folds.json"
_VALIDATED = 5  # a fifth of what remains validates where a site is left out


def folds(
    cohort: str,
    out: str,
    number: int = 5,
    by: Literal["subject", "site"] = "subject",
    seed: int = 0,
) -> Path:
    """Write one cohort table for each fold of a cross-validation.

    Every fold holds out other subjects for validation, and all folds keep the test subjects of
    the table. Subjects of one family (relatives, repeated scans) stay together; patients and
    controls of every site are spread evenly. A synthetic subject trains wherever none of its
    parents is held out, and is left out elsewhere.

    Fit each fold with ``--data.cohort OUT/fold-K`` into a folder ``fold-K`` of one common
    folder, which ``detect`` takes as an ensemble.

    Args:
        cohort: Folder or table of a prepared cohort.
        out: Folder to write: ``fold-0``, ``fold-1``, ..., or ``site-1``, ...
        number: Number of folds; not used with ``by`` site.
        by: ``subject``, or ``site`` to leave one site out at a time: its subjects test, a fifth
            of the others validates.
        seed: Seed of the choice.

    Returns:
        The folder.

    Raises:
        SettingsError: If there are fewer families than folds, or only one site.
        CohortError: If there is no patient to train on.
        LeakageError: If what synthetic subjects were made with was fitted on held-out ones.
    """
    if number < 2:
        raise SettingsError("number", str(number), "at least 2", "Change --number.")
    table = Cohort.read(cohort)
    dealt = list(_dealt(table, number, by, seed))
    path = Path(cohort)
    settings = {"cohort": cohort, "number": number, "by": by, "seed": seed}
    run = Run(out, "folds", settings, [path if path.suffix == ".csv" else path / TABLE], seed)
    if run.complete:
        return run.out
    with run:
        record = {}
        for name, splits, what in dealt:
            fold = without_children(table.with_splits(splits))
            check_leakage(fold)
            # Paths as they will be once the folder has its own name.
            moved = fold.moved(run.out / name)
            place = run.folder / name
            Cohort(place, moved.subjects, moved.name, moved.version, moved.fitted_on).write()
            record[name] = what | {"counts": _counts(fold)}
        text = json.dumps(record, indent=2) + "\n"
        (run.folder / RECORD).write_text(text, encoding="utf-8")
    return run.out


def without_children(table: Cohort) -> Cohort:
    """The table with synthetic children of held-out subjects left out of training."""
    held_out = {s.id for s in table.subjects if s.split in (Split.VAL, Split.TEST)}
    return table.with_splits({
        s.id: Split.NONE if any(p.subject in held_out for p in s.parents) else s.split
        for s in table.subjects
    })  # fmt: skip


def _dealt(
    table: Cohort, number: int, by: str, seed: int
) -> Iterator[tuple[str, Mapping[str, Split], dict[str, str]]]:
    """Name, splits and a description of each fold."""
    real = [s for s in table.subjects if s.origin is not Origin.SYNTHETIC]
    made = {s.id: Split.TRAIN for s in table.subjects if s.origin is Origin.SYNTHETIC}
    test = [s for s in real if s.split is Split.TEST]
    pool = [s for s in real if s.split is not Split.TEST]
    if by == "subject":
        kept = {s.id: Split.TEST for s in test}
        for k, held_out in enumerate(deal(pool, number, seed)):
            yield f"fold-{k}", made | kept | _splits(pool, held_out), {}
        return
    sites = sorted({s.site for s in real})
    if len(sites) < 2:
        raise SettingsError("by", f"site, with one site {sites[0] if sites else ''!r}",
                            "at least two sites", "Leave --by out.")  # fmt: skip
    for k, site in enumerate(sites, start=1):
        rest = [s for s in real if s.site != site]
        away = {s.id: Split.TEST for s in real if s.site == site}
        held_out = deal(rest, _VALIDATED, seed)[0]
        yield f"site-{k}", made | away | _splits(rest, held_out), {"site": site}


def _splits(subjects: Sequence[Subject], held_out: frozenset[str]) -> dict[str, Split]:
    return {s.id: Split.VAL if s.id in held_out else Split.TRAIN for s in subjects}


def deal(subjects: Sequence[Subject], number: int, seed: int) -> list[frozenset[str]]:
    """Ids held out by each fold: every subject by one, families together, sites spread.

    Args:
        subjects: Real subjects.
        number: Number of folds.
        seed: Seed of the choice.

    Raises:
        CohortError: If there is no patient.
        SettingsError: If there are fewer families than folds.
    """
    if not any(s.is_patient for s in subjects):
        raise CohortError("cohort", "no patient outside the test set", "at least one",
                          "Change the splits.")  # fmt: skip
    families = [s.family or s.id for s in subjects]
    if len(set(families)) < number:
        raise SettingsError("number", f"{number} folds of {len(set(families))} families",
                            "at most as many folds as families", "Ask for fewer.")  # fmt: skip
    strata = [f"{s.group}|{s.site}|{s.scanner}" for s in subjects]
    least = min(Counter(strata).values())
    if least < number:  # a stratum that cannot reach every fold is spread with its group
        strata = [f"{s.group}" for s in subjects] if least < 2 else strata
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    return [
        frozenset(subjects[n].id for n in held_out)
        for _, held_out in splitter.split(subjects, strata, families)
    ]


def _counts(table: Cohort) -> dict[str, int]:
    found = Counter(
        f"{s.split}_{'synthetic_' if s.origin is Origin.SYNTHETIC else ''}{s.group}s"
        for s in table.subjects if s.split is not Split.NONE
    )  # fmt: skip
    return dict(sorted(found.items()))
