"""Source: the maps of one run, written by detect or by any other tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import TABLE, Detection, Detections, OperatingPoint
from fcdsynth.core.errors import CohortError, LeakageError, RunError, SettingsError
from fcdsynth.core.provenance import hash_path
from fcdsynth.core.subject import Subject
from fcdsynth.evaluation.outside.cut import Outside, is_outside

# What a report's folder holds beside the folders of runs.
_TAKEN = ("report.html", "comparison.json", "failures.csv", "config.yaml", "provenance.json",
          "_records")  # fmt: skip


@dataclass(frozen=True)
class SubjectMaps:
    """Where one subject's maps lie.

    Args:
        map: Path of the map.
        clusters: Path of detect's cluster map; None for another tool.
        detections: Detect's clusters.
        outside: How to cut the map of another tool; None for the output of detect.
    """

    map: Path
    clusters: Path | None = None
    detections: tuple[Detection, ...] = ()
    outside: Outside | None = None


@dataclass(frozen=True)
class Source:
    """The maps of one run.

    Args:
        name: Name of the run.
        folders: Where they lie; several when folds or left-out sites were merged.
        maps: By subject id.
        kind: What they hold: ``probability``, ``binary`` or ``labels``.
        operating_point: How clusters were cut, as a plain dictionary.
        trained_on: By subject id, the ids that trained the models behind its map.
        chosen_on: By subject id, those that its threshold was chosen on.
        strangers: Maps in the folder whose subject is not in the cohort.
    """

    name: str
    folders: tuple[Path, ...]
    maps: Mapping[str, SubjectMaps]
    kind: str
    operating_point: Mapping[str, Any]
    trained_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    chosen_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()

    def fingerprint(self) -> list[str]:
        """What tells its folders apart, so that two runs that change names are noticed."""
        found = []
        for folder in self.folders:
            table = folder / TABLE
            if table.is_file():
                found.append(hash_path(table))
            else:
                sizes = [(p.name, p.stat().st_size) for p in sorted(folder.rglob("*.nii*"))]
                found.append(f"{folder.name}, {len(sizes)} maps, {sum(n for _, n in sizes)} bytes")
        return found

    @property
    def n_trained_on(self) -> int:
        """Number of different subjects that trained any of the models."""
        return len(frozenset().union(*self.trained_on.values()))

    def check_unseen(self, subjects: Sequence[Subject]) -> None:
        """Raise if a model was trained or tuned on an evaluated subject or its parents.

        Args:
            subjects: The evaluated subjects. Detect lists the parents of synthetic training
                subjects among those it was trained on.

        Raises:
            LeakageError: Naming the first subject at fault.
        """
        for ids, what in ((self.trained_on, "trained"), (self.chosen_on, "tuned")):
            for subject in subjects:
                mine = {subject.id, *(parent.subject for parent in subject.parents)}
                seen = mine & ids.get(subject.id, frozenset())
                if seen:
                    raise LeakageError(
                        subject.id, f"a detector {what} on {', '.join(sorted(seen))}",
                        "a detector that has not seen the evaluated subjects or their parents",
                        "Evaluate on held-out subjects, or detect out of fold.",
                    )  # fmt: skip

    def seen_site(self, subject: Subject, cohort: Cohort) -> str:
        """Whether its models were trained at the subject's site: ``yes``, ``no`` or unknown."""
        trained = self.trained_on.get(subject.id, frozenset())
        sites = {s.site for s in cohort.subjects if s.id in trained and s.site}
        if not subject.site or not sites:
            return ""
        return "yes" if subject.site in sites else "no"


def read_sources(words: Sequence[str], cohort: Cohort, **cutting: Any) -> list[Source]:
    """Read the runs named on the command line, in order.

    Args:
        words: Each ``FOLDER`` or ``NAME=FOLDER``. Folders of one name are merged; a name is the
            folder's own where none is given.
        cohort: Cohort that they are about.
        **cutting: How maps of other tools are cut, as for `Outside.read`.

    Raises:
        SettingsError: If two runs would get one name by accident, or a name is no file name.
        RunError: If a folder is empty or damaged.
        CohortError: If two merged folders hold one subject, or one that is not in the cohort.
    """
    if not words:
        raise SettingsError("detections", "none", "at least one folder", "Name a folder.")
    found: dict[str, list[Source]] = {}
    seen: set[Path] = set()
    for word in words:
        name, equals, folder = word.partition("=")
        path = Path(folder if equals else word)
        name = name if equals else path.resolve().name
        first = name.partition("/")[0]
        taken = first.startswith(".") or first in _TAKEN
        if taken or any(part in ("", ".", "..") for part in name.split("/")):
            raise SettingsError("detections", repr(word), "FOLDER or NAME=FOLDER, such as "
                                "arm/seed-1=found, and no name of a file that a report holds",
                                "Give the run another name.")  # fmt: skip
        if not equals and name in found:
            raise SettingsError("detections", f"two runs called {name!r}", "different names",
                                f"Name them: first={words[0]} ...")  # fmt: skip
        if path.resolve() in seen:
            raise SettingsError("detections", f"{str(path)!r} twice", "each folder once",
                                "Name another folder, or leave one out.")  # fmt: skip
        seen.add(path.resolve())
        found.setdefault(name, []).append(read_source(name, path, cohort, **cutting))
    return [_merged(sources) for sources in found.values()]


def read_source(name: str, folder: Path, cohort: Cohort, **cutting: Any) -> Source:
    """Read one folder of maps.

    Raises:
        RunError: If it is empty or damaged.
        CohortError: If a detected subject is not in the cohort.
    """
    if is_outside(folder):
        given = Outside.read(folder, cohort, **cutting)
        _require_no_detect(folder, given)
        point: dict[str, Any] = {
            "min_volume_ml": given.min_volume_ml, "chosen_on": [],
            "pattern": cutting.get("pattern", "*"),
        }  # fmt: skip
        if given.kind == "probability":
            point["threshold"] = given.threshold
        maps = {s: SubjectMaps(path, outside=_alone(given, s)) for s, path in given.maps.items()}
        return Source(name, (folder,), maps, given.kind, point, strangers=given.unknown)
    found = Detections.read(folder)
    if not found.subjects:
        raise RunError(str(folder), "no subjects", "at least one detected subject",
                       "Run fcdsynth detect on the subjects to evaluate.")  # fmt: skip
    repeated = sorted({s for s in found.subjects if found.subjects.count(s) > 1})
    if repeated:
        raise RunError(", ".join(repeated), "several rows in subjects.csv", "one each",
                       "Run fcdsynth detect again.")  # fmt: skip
    rows = {subject.id for subject in cohort.subjects}
    strangers = [s for s in found.subjects if s not in rows]
    if strangers:
        raise CohortError(
            ", ".join(strangers[:5]), f"detections of {len(strangers)} subjects without a row",
            f"subjects of {cohort.name}", "Give the cohort that was detected on.",
        )  # fmt: skip
    trained = frozenset(found.trained_on)
    chosen = frozenset(found.operating_point.chosen_on)
    return Source(
        name, (folder,),
        {
            s: SubjectMaps(found.probability_path(s), found.clusters_path(s), found.of(s))
            for s in found.subjects
        },
        "probability", found.operating_point.to_json(), dict.fromkeys(found.subjects, trained),
        dict.fromkeys(found.subjects, chosen),
    )  # fmt: skip


def _require_no_detect(folder: Path, given: Outside) -> None:
    """Without its tables nobody knows whom detect's models were trained on."""
    for subject in given.maps:
        if Detections(folder, (), (), OperatingPoint()).clusters_path(subject).is_file():
            raise RunError(
                str(folder), "maps and cluster maps as of detect, but not its tables",
                "the whole output of detect",
                "Restore detections.csv, subjects.csv and operating_point.json, or detect again.",
            )  # fmt: skip


def _alone(given: Outside, subject: str) -> Outside:
    """What one subject needs of it: a task is handed to another process."""
    scores = None if given.scores is None else {subject: given.scores.get(subject, {})}
    return replace(given, maps={}, scores=scores, unknown=())


def _merged(sources: Sequence[Source]) -> Source:
    first, *others = sources
    if not others:
        return first
    maps: dict[str, SubjectMaps] = {}
    trained: dict[str, frozenset[str]] = {}
    chosen: dict[str, frozenset[str]] = {}
    for source in sources:
        both = sorted(set(maps) & set(source.maps))
        if both:
            raise CohortError(
                ", ".join(both[:5]), f"maps in more than one folder of run {first.name!r}",
                "folders of different subjects under one name",
                "Give seeds and arms names of their own: arm/seed-1=FOLDER arm/seed-2=FOLDER.",
            )  # fmt: skip
        maps |= source.maps
        trained |= source.trained_on
        chosen |= source.chosen_on
    if len({source.kind for source in sources}) > 1:
        raise RunError(first.name, "folders of different kinds of maps", "one kind", "Split it.")
    point: dict[str, Any] = {}
    for key in first.operating_point.keys() - {"chosen_on"}:
        values = list(dict.fromkeys(source.operating_point.get(key) for source in sources))
        point[key] = values[0] if len(values) == 1 else ", ".join(sorted(map(str, values)))
    point["chosen_on"] = sorted(frozenset().union(*chosen.values()))
    strangers = tuple(name for source in sources for name in source.strangers)
    folders = tuple(folder for source in sources for folder in source.folders)
    return Source(
        first.name, folders, maps, first.kind, point, trained, chosen, strangers
    )  # fmt: skip
