"""Who may teach and who may be drawn in: training patients, and training controls as hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError
from fcdsynth.core.subject import Origin, Split, Subject

ANATOMY = ("tissue", "brain", "depth", "transforms")


def anatomy_files(table: Cohort, subjects: Iterable[Subject], *more: str) -> list[Path]:
    """The files that loading subjects as hosts or patients reads: what a result depends on.

    Args:
        table: The cohort.
        subjects: The subjects.
        more: Other keys that are read, such as ``lesion``.
    """
    return [table.path(s, key) for s in subjects for key in (*ANATOMY, *more) if s.has(key)]


def training_patients(table: Cohort) -> list[Subject]:
    """The training subjects that are patients with a lesion mask."""
    return [s for s in table.training() if s.is_patient and s.has("lesion")]


def training_hosts(table: Cohort, names: Sequence[str] | None = None) -> list[Subject]:
    """The controls to draw in.

    Args:
        table: A prepared cohort.
        names: Their ids; all training controls by default.

    Raises:
        CohortError: If there is none, or one named is a patient or synthetic.
        LeakageError: If one named is a validation or test subject.
    """
    if names is None:
        train = table.training()
        chosen = [s for s in train if not s.is_patient]
    else:
        chosen = train = [table[name] for name in sorted(names)]
        refuse_held_out(table, names, "a host")
    if not chosen:
        raise CohortError(
            table.name, f"no control to draw in among {len(train)} training subjects",
            "at least one real control of split train", "Add controls or mend the splits.",
        )  # fmt: skip
    wrong = [s.id for s in chosen if s.is_patient or s.origin is Origin.SYNTHETIC]
    if wrong:
        raise CohortError(wrong[0], "a patient or a synthetic subject as host", "a real control",
                          "Name controls only in --hosts.")  # fmt: skip
    return chosen


def refuse_held_out(table: Cohort, ids: Sequence[str], what: str) -> None:
    """Refuse subjects that must not be seen in training.

    Args:
        table: The cohort with its splits.
        ids: Subject ids; those that the table does not hold say nothing.
        what: What they would be used as, for the message.

    Raises:
        LeakageError: If one is a validation or test subject.
    """
    held = {s.id: s.split.value for s in table.subjects if s.split in (Split.VAL, Split.TEST)}
    for subject in ids:
        if subject in held:
            raise LeakageError(subject, f"{what} of split {held[subject]}", "split train",
                               "Use training subjects only.")  # fmt: skip
