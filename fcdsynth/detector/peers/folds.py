"""The folds of an export: one cohort table, or the tables of a folder of folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, LeakageError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Split
from fcdsynth.detector.peers.cases import Fold

_LEARNING = (Split.TRAIN, Split.VAL)


@dataclass(frozen=True)
class Folds:
    """Tables of the same subjects with different splits, leakage checked.

    Args:
        tables: The table files, fold 0 first.
        cohorts: What they hold.
    """

    tables: tuple[Path, ...]
    cohorts: tuple[Cohort, ...]

    @classmethod
    def read(cls, path: Path | str) -> Folds:
        """Read a cohort, or the ``fold-*`` cohorts inside a folder.

        A fold's table lies in ``fold-0/`` or, in an arm of a study, in ``fold-0/training/``.

        Raises:
            CohortError: If a table cannot be read, a fold lacks training patients or validation
                subjects, or the folds list different subjects or files.
            LeakageError: If a training subject descends from a held-out one, or a subject is
                for testing in one fold and for learning in another.
        """
        tables = tuple(_tables(Path(path)))
        cohorts = tuple(Cohort.read(table) for table in tables)
        found = cls(tables, cohorts)
        for table, cohort in zip(tables, cohorts, strict=True):
            _check_same(cohorts[0], cohort, table)
            check_leakage(cohort, found.test_ids)
            _check_filled(cohort, table)
        _check_apart(found)
        return found

    @cached_property
    def splits(self) -> dict[str, set[Split]]:
        """Splits of each subject over all folds, by id."""
        found: dict[str, set[Split]] = {}
        for cohort in self.cohorts:
            for subject in cohort.subjects:
                found.setdefault(subject.id, set()).add(subject.split)
        return found

    @property
    def test_ids(self) -> tuple[str, ...]:
        """Ids of the test subjects, of all folds."""
        return tuple(name for name, splits in self.splits.items() if Split.TEST in splits)

    @property
    def learning(self) -> Cohort:
        """Subjects that train or validate at least one fold."""
        return self.cohorts[0].select(lambda s: bool(self.splits[s.id].intersection(_LEARNING)))

    @property
    def testing(self) -> Cohort:
        """The test subjects."""
        return self.cohorts[0].select(lambda s: Split.TEST in self.splits[s.id])

    def as_folds(self) -> tuple[Fold, ...]:
        """Ids by fold."""
        return tuple(
            Fold(
                tuple(s.id for s in cohort.of_split(Split.TRAIN).subjects),
                tuple(s.id for s in cohort.of_split(Split.VAL).subjects),
                tuple(sorted({p.subject for s in cohort.of_split(Split.TRAIN).subjects
                              for p in s.parents})),
            )
            for cohort in self.cohorts
        )  # fmt: skip


def _tables(path: Path) -> Sequence[Path]:
    if path.suffix == ".csv":
        return [path]
    folders = [p for p in path.glob("fold-*") if re.fullmatch(r"fold-\d+", p.name) and p.is_dir()]
    if (path / TABLE).is_file() or not folders:
        return [path / TABLE]  # Cohort.read says what is wrong where there is none
    numbers = sorted(int(p.name[5:]) for p in folders)
    if numbers != list(range(len(numbers))):
        raise CohortError(
            str(path), f"folds {', '.join(map(str, numbers))}",
            f"fold-0 to fold-{len(numbers) - 1}", "Add the missing fold or number them anew.",
        )  # fmt: skip
    tables = []
    for number in numbers:
        plain, study = path / f"fold-{number}" / TABLE, path / f"fold-{number}" / "training" / TABLE
        tables.append(study if study.is_file() and not plain.is_file() else plain)
    return tables


def _check_same(first: Cohort, cohort: Cohort, table: Path) -> None:
    """All folds must hold the same subjects with the same files."""
    remedy = ("Export each fold's table on its own: nnU-Net has one set of images, and synthetic "
              "subjects of one fold must not reach another.")  # fmt: skip
    rows = {s.id: s for s in first.subjects}
    odd = sorted(rows.keys() ^ {s.id for s in cohort.subjects})
    if odd:
        raise CohortError(
            ", ".join(odd[:5]), f"{len(odd)} subjects that {table} and fold 0 do not share",
            "the same subjects in all folds", remedy,
        )  # fmt: skip
    for subject in cohort.subjects:
        other = rows[subject.id]
        for key in sorted({*subject.files, *other.files}):
            paths = [c.path(s, key) if s.has(key) else None
                     for c, s in ((cohort, subject), (first, other))]  # fmt: skip
            if paths[0] != paths[1]:
                raise CohortError(
                    f"{subject.id} {key}", f"one file in {table} and another in fold 0",
                    "one file in all folds", remedy,
                )  # fmt: skip


def _check_filled(cohort: Cohort, table: Path) -> None:
    remedy = "Fill the split column of the table."
    train, val = cohort.of_split(Split.TRAIN), cohort.of_split(Split.VAL)
    if not any(s.is_patient for s in train.subjects):
        raise CohortError(str(table), f"{len(train)} training subjects, none of them a patient",
                          "at least one patient with split train", remedy)  # fmt: skip
    if not val.subjects:
        raise CohortError(
            str(table), "no subject with split val",
            "at least one: nnU-Net cannot train a fold without", remedy,
        )  # fmt: skip


def _check_apart(folds: Folds) -> None:
    both = {s.id for s in folds.learning.subjects}.intersection(folds.test_ids)
    if both:
        raise LeakageError(
            min(both), "split test in one fold and train or val in another",
            "the same test subjects in all folds", "Mend the split columns of the folds.",
        )  # fmt: skip
