"""Cases: what nnU-Net calls the subjects of an export, and which of them train which fold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Subject
from fcdsynth.core.whole import write_whole

FILE = "cases.json"


def case_id(subject_id: str) -> str:
    """Subject id as a file name that nnU-Net reads without harm.

    Anything but letters, digits, ``-`` and ``_`` becomes ``_``. nnU-Net takes a preprocessed
    file that ends in ``_seg`` for a segmentation, so such an id gets one ``_`` more.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", subject_id)
    return f"{safe}_" if safe.endswith("_seg") else safe


def name_cases(subjects: Iterable[Subject]) -> dict[str, str]:
    """Subject id by case id.

    Raises:
        CohortError: If two subjects would get one case id.
    """
    names: dict[str, str] = {}
    for subject in subjects:
        case = case_id(subject.id)
        if case in names:
            raise CohortError(
                subject.id, f"the case id {case}, which {names[case]} has too",
                "ids that differ in letters, digits, - or _", "Rename one of them.",
            )  # fmt: skip
        names[case] = subject.id
    return names


@dataclass(frozen=True)
class Fold:
    """Subject ids of one fold.

    Args:
        train: Training subjects.
        val: Validation subjects.
        parents: Real subjects that its synthetic training subjects were made from.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cases:
    """What an export says about its subjects.

    Args:
        dataset: Name of nnU-Net's data set, such as ``Dataset601_FCD``.
        subjects: Subject id by case id.
        folds: The folds, in nnU-Net's order.
        test: Ids of the test subjects.
    """

    dataset: str
    subjects: Mapping[str, str]
    folds: tuple[Fold, ...]
    test: tuple[str, ...]

    @property
    def splits(self) -> list[dict[str, list[str]]]:
        """Case ids of the folds, as nnU-Net's ``splits_final.json`` holds them."""
        case = {subject: name for name, subject in self.subjects.items()}
        return [
            {"train": [case[s] for s in fold.train], "val": [case[s] for s in fold.val]}
            for fold in self.folds
        ]

    def trained_on(self, fold: int | None = None) -> tuple[str, ...]:
        """Ids that a fold's model may know, parents of synthetic ones too; None is all folds.

        Raises:
            SettingsError: If there is no such fold.
        """
        if fold is not None and not 0 <= fold < len(self.folds):
            raise SettingsError("fold", str(fold), f"0 to {len(self.folds) - 1}",
                                "Give a fold of the export, or leave --fold out.")  # fmt: skip
        chosen: Sequence[Fold] = self.folds if fold is None else [self.folds[fold]]
        return tuple(sorted({name for f in chosen for name in (*f.train, *f.parents)}))

    def write(self, folder: Path) -> Path:
        """Write ``cases.json`` into a folder."""
        return write_whole(folder / FILE, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, raw: Path | str) -> Cases:
        """Read the record of an export.

        Args:
            raw: The export's folder, or its ``nnUNet_raw`` or data set folder inside.

        Raises:
            RunError: If there is none, or it is damaged.
        """
        path = cls.path(raw)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            folds = tuple(
                Fold(tuple(f["train"]), tuple(f["val"]), tuple(f["parents"]))
                for f in record["folds"]
            )
            return cls(record["dataset"], dict(record["subjects"]), folds, tuple(record["test"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                str(path), f"{type(error).__name__}: {error}", "the record of an export",
                "Export again, or restore the file.",
            ) from error  # fmt: skip

    @staticmethod
    def path(raw: Path | str) -> Path:
        """Where the record of an export lies.

        Raises:
            RunError: If there is none.
        """
        folder = Path(raw).resolve()
        for place in (folder, *folder.parents[:2]):
            if (place / FILE).is_file():
                return place / FILE
        raise RunError(str(raw), f"no {FILE}", "the output folder of fcdsynth export nnunet",
                       "Give that folder as --raw, or leave --raw out.")  # fmt: skip
