"""Which file is whose: the maps of another tool in a folder, found by the ids of a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, RunError
from fcdsynth.core.subject import Split

PREFIX = "sub-"
_NARROW = "Narrow the choice with --pattern, such as '*prediction*', or move the others away."


def aliases(cohort: Cohort) -> dict[str, str]:
    """Every name a subject may go by, with and without ``sub-``, and its id.

    Raises:
        CohortError: If two ids differ only by the prefix.
    """
    names: dict[str, str] = {}
    for subject in cohort.subjects:
        bare = subject.id.removeprefix(PREFIX)
        for name in (bare, PREFIX + bare):
            if names.setdefault(name, subject.id) != subject.id:
                raise CohortError(
                    f"{names[name]}, {subject.id}", "two ids that differ only by 'sub-'",
                    "ids that tell maps apart", "Rename one of the two subjects and its files.",
                )  # fmt: skip
    return names


def find_maps(
    folder: Path, cohort: Cohort, pattern: str = "*"
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the one map of each subject.

    Looked for are ``ID.nii.gz``, ``ID_*.nii.gz`` and anything below ``ID/``, also ``.nii``; ``ID``
    may stand with or without ``sub-``. Where one id begins another, the longer one owns the
    file. Where the table has a test split, subjects of the split train are left aside; a table
    with training subjects alone is refused.

    Args:
        folder: Folder of the maps.
        cohort: The subjects.
        pattern: Shell pattern that file names must match; one with a slash is matched against
            the path below ``folder``.

    Returns:
        Map of each subject that has one, in the order of the cohort, and the names of maps, or
        of folders with maps, that belong to no subject of it.

    Raises:
        RunError: If the folder is absent or holds no map of any subject.
        CohortError: If a subject has several candidates, or two ids differ only by ``sub-``.
        LeakageError: If training subjects have maps in a table without a test split.
    """
    owned, strangers = _sorted_by_owner(folder, cohort, pattern)
    several = {name: paths for name, paths in owned.items() if len(paths) > 1}
    if several:
        name, paths = next(iter(several.items()))
        shown = ", ".join(str(path.relative_to(folder)) for path in paths[:4])
        raise CohortError(
            name, f"{len(paths)} maps ({shown}{', ...' if len(paths) > 4 else ''}); "
            f"{len(several)} subjects have several", f"one map in {folder}", _NARROW,
        )  # fmt: skip
    if not owned:
        asked = f" that match {pattern!r}" if pattern != "*" else ""
        others = f"; maps of unknown names: {', '.join(strangers[:5])}" if strangers else ""
        raise RunError(
            str(folder), f"no NIfTI maps{asked} of any of {len(cohort)} subjects{others}",
            "ID.nii.gz, ID_*.nii.gz or ID/**/*.nii.gz for ids of the cohort table",
            "Name files or folders after the ids, or mend --pattern.",
        )  # fmt: skip
    tests = any(s.split is Split.TEST for s in cohort.subjects)
    splits = (Split.TRAIN, Split.VAL) if tests else (Split.TRAIN,)
    trained = [s.id for s in cohort.subjects if s.split in splits and s.id in owned]
    if trained and not tests:
        raise LeakageError(
            ", ".join(trained[:5]), f"maps of {len(trained)} subjects of the split train",
            "maps of subjects that the tool has not trained on",
            "Give a table with a test split, or empty the split cells if the tool has seen none "
            "of them.",
        )  # fmt: skip
    return {name: paths[0] for name, paths in owned.items() if name not in trained}, strangers


def _sorted_by_owner(
    folder: Path, cohort: Cohort, pattern: str
) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    if not folder.is_dir():
        raise RunError(str(folder), "no such folder", "a folder with one map per subject",
                       "Check the path.")  # fmt: skip
    names = aliases(cohort)
    owned: dict[str, list[Path]] = {}
    strangers = []
    for entry in sorted(folder.iterdir()):
        files = [p for p in _images(entry) if _matches(p, folder, pattern)]
        owner = names.get(entry.name) if entry.is_dir() else _owner(entry.name, names)
        if files and owner is None:
            strangers.append(entry.name)
        elif files and owner is not None:
            owned.setdefault(owner, []).extend(files)
    order = {s.id: owned[s.id] for s in cohort.subjects if s.id in owned}
    return order, tuple(strangers)


def _images(entry: Path) -> Iterator[Path]:
    # Hidden files too look like NIfTI: macOS leaves ._sub-1.nii.gz on foreign disks.
    if entry.name.startswith("."):
        return
    if entry.is_dir():
        for inner in sorted(entry.iterdir()):
            yield from _images(inner)
    elif entry.name.endswith((".nii", ".nii.gz")):
        yield entry


def _matches(path: Path, folder: Path, pattern: str) -> bool:
    text = path.relative_to(folder).as_posix() if "/" in pattern else path.name
    return fnmatchcase(text, pattern)


def _owner(name: str, names: Mapping[str, str]) -> str | None:
    stem = name.removesuffix(".gz").removesuffix(".nii")
    while stem:
        if stem in names:
            return names[stem]
        stem = stem.rpartition("_")[0]
    return None
