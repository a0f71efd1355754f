"""Cohort: a table of subjects in a folder, as CSV with a JSON sidecar."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.subject import FILE_KEYS, Group, Origin, Parent, Split, Subject
from fcdsynth.core.volume import read_grid

TABLE = "cohort.csv"
SIDECAR = "cohort.json"
_TEXT = ("site", "scanner", "sex", "age_code", "subtype", "side", "lobe", "mri_negative",
         "family")  # fmt: skip
COLUMNS = (
    "id",
    "group",
    "origin",
    "split",
    *_TEXT,
    "parents",
    *FILE_KEYS,
)


@dataclass(frozen=True)
class Cohort:
    """A named, versioned table of subjects.

    Args:
        folder: Folder of the table; file paths of the subjects are relative to it.
        subjects: The rows, ids unique.
        name: What the cohort is called.
        version: Grows by one with each adopted round of reviews.
        fitted_on: Ids of the real subjects that the generator and the mask prior behind a
            synthetic cohort were fitted on.

    Raises:
        CohortError: If an id occurs twice.
    """

    folder: Path
    subjects: tuple[Subject, ...]
    name: str = "cohort"
    version: int = 1
    fitted_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for subject in self.subjects:
            if subject.id in seen:
                raise CohortError(
                    subject.id,
                    "two rows with this id",
                    "one row per subject",
                    f"Rename or remove one of them in {self.folder / TABLE}.",
                )
            seen.add(subject.id)

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, subject_id: str) -> Subject:
        for subject in self.subjects:
            if subject.id == subject_id:
                return subject
        raise CohortError(
            subject_id, "no row with this id", f"one of {len(self)} ids in {self.name}",
            f"See the id column of {self.folder / TABLE}.",
        )  # fmt: skip

    def path(self, subject: Subject, key: str) -> Path:
        """Absolute path of one of a subject's files.

        Raises:
            CohortError: If the subject has no file of this key.
        """
        if key not in FILE_KEYS:
            raise KeyError(key)
        if not subject.has(key):
            raise CohortError(
                subject.id, f"no {key} file", f"a {FILE_KEYS[key]}",
                f"Fill the {key} column of {self.folder / TABLE} or leave the subject out.",
            )  # fmt: skip
        return (self.folder / subject.files[key]).resolve()

    def select(self, keep: Callable[[Subject], bool]) -> Cohort:
        """The same cohort with only the subjects for which ``keep`` holds."""
        return replace(self, subjects=tuple(s for s in self.subjects if keep(s)))

    def of_split(self, split: Split | str) -> Cohort:
        """The subjects of one split."""
        return self.select(lambda subject: subject.split == split)

    def training(self) -> list[Subject]:
        """Subjects of split train, or everyone when no subject has a split; never synthetic ones.

        By rising id: what is fitted and drawn does not hang on the order of a table's rows.
        """
        split = any(s.split is not Split.NONE for s in self.subjects)
        chosen = [s for s in self.subjects if s.origin is not Origin.SYNTHETIC
                  and (s.split is Split.TRAIN or not split)]  # fmt: skip
        return sorted(chosen, key=lambda s: s.id)

    def with_splits(self, splits: Mapping[str, Split]) -> Cohort:
        """Set the split of every subject; ids that are not named get ``none``."""
        rows = (replace(s, split=splits.get(s.id, Split.NONE)) for s in self.subjects)
        return replace(self, subjects=tuple(rows))

    def moved(self, folder: Path) -> Cohort:
        """The same cohort as seen from another folder; file paths are rewritten."""
        rows = []
        for subject in self.subjects:
            files = {
                key: os.path.relpath((self.folder / path).resolve(), folder.resolve())
                for key, path in subject.files.items()
                if path
            }
            rows.append(replace(subject, files=files))
        return replace(self, folder=folder, subjects=tuple(rows))

    def merged(self, other: Cohort) -> Cohort:
        """This cohort followed by another one, in this one's folder.

        Raises:
            CohortError: If an id occurs in both.
        """
        fitted = tuple(sorted({*self.fitted_on, *other.fitted_on}))
        rows = (*self.subjects, *other.moved(self.folder).subjects)
        return replace(self, subjects=rows, fitted_on=fitted)

    def write(self, folder: Path | None = None) -> Path:
        """Write table and sidecar into a folder (its own by default); return the table's path."""
        folder = self.folder if folder is None else Path(folder)
        cohort = self.moved(folder) if folder.resolve() != self.folder.resolve() else self
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".partial-{TABLE}"
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for subject in cohort.subjects:
                writer.writerow(_to_row(subject))
        sidecar = {
            "name": self.name,
            "version": self.version,
            "n_subjects": len(self),
            "n_patients": sum(s.is_patient for s in self.subjects),
            "fitted_on": list(self.fitted_on),
            "columns": {key: FILE_KEYS[key] for key in FILE_KEYS},
        }
        (folder / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, folder / TABLE)
        return folder / TABLE

    @classmethod
    def read(cls, path: Path | str) -> Cohort:
        """Read a cohort from its folder or its table.

        Raises:
            CohortError: If the table is absent, lacks a column, or a cell cannot be read.
        """
        path = Path(path)
        table = path if path.suffix == ".csv" else path / TABLE
        if not table.is_file():
            raise CohortError(
                str(path), f"no {table.name} there", "a folder written by a fcdsynth verb",
                "Run fcdsynth index on a BIDS folder first, and give its output folder.",
            )  # fmt: skip
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = set(reader.fieldnames or ())
            missing = [c for c in ("id", "group", "origin") if c not in header]
            unknown = sorted(header - set(COLUMNS))
            if missing or unknown:
                raise CohortError(
                    str(table), f"missing columns {missing} and unknown columns {unknown}",
                    f"columns {', '.join(COLUMNS)}", "Mend the header line of the table.",
                )  # fmt: skip
            subjects = tuple(_from_row(row, table) for row in reader)
        sidecar_path = table.with_name(SIDECAR)
        sidecar: dict[str, Any] = {}
        if sidecar_path.is_file():
            sidecar = json.loads(sidecar_path.read_text(encoding="utf-8"))
        return cls(
            table.parent,
            subjects,
            str(sidecar.get("name", table.parent.resolve().name)),
            int(sidecar.get("version", 1)),
            tuple(sidecar.get("fitted_on", ())),
        )

    def check(self, one_grid: Iterable[str] = ()) -> list[FcdsynthError]:
        """Read every file's header and return all faults, without raising.

        Args:
            one_grid: File keys that must lie on one grid within each subject
                (``t1w, flair, lesion, brain, tissue`` in a prepared cohort).
        """
        faults: list[FcdsynthError] = []
        keys = tuple(one_grid)
        for subject in self.subjects:
            grids = {}
            for key, relative in subject.files.items():
                if not relative or key in ("transforms", "spec"):
                    continue
                try:
                    grids[key] = read_grid(self.folder / relative)
                except FcdsynthError as error:
                    faults.append(CohortError(f"{subject.id} {key}", error.found, error.expected,
                                              error.remedy))  # fmt: skip
            first = next((key for key in keys if key in grids), None)
            for key in keys:
                if first is None or key not in grids:
                    continue
                try:
                    grids[first].require_same(
                        grids[key], f"{subject.id} {key}", f"Resample {key} to the grid of {first}."
                    )
                except FcdsynthError as error:
                    faults.append(error)
        return faults


def _to_row(subject: Subject) -> dict[str, str]:
    row = {
        "id": subject.id,
        "group": subject.group.value,
        "origin": subject.origin.value,
        "split": subject.split.value,
        "parents": ";".join(str(parent) for parent in subject.parents),
    }
    row.update({name: getattr(subject, name) for name in _TEXT})
    row.update({key: subject.files.get(key, "") for key in FILE_KEYS})
    return row


def _from_row(row: Mapping[str, str], table: Path) -> Subject:
    subject_id = (row.get("id") or "").strip()
    try:
        return Subject(
            subject_id,
            Group(row["group"]),
            Origin(row["origin"]),
            split=Split(row.get("split") or Split.NONE),
            parents=tuple(Parent.parse(t) for t in (row.get("parents") or "").split(";") if t),
            files={key: row[key] for key in FILE_KEYS if row.get(key)},
            **{name: row.get(name) or "" for name in _TEXT},
        )
    except ValueError as error:
        raise CohortError(
            f"{subject_id or 'a row'} in {table}", str(error),
            "group patient or control; origin real, phantom or synthetic; split train, val, "
            "test or none; parents as id:role", "Mend the cell.",
        ) from error  # fmt: skip
