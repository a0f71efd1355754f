"""Who is in a reading kit, in which order: drawn once, written down as the key."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Origin, Role, Split, Subject

COLUMNS = ("contrast", "case", "kind", "subject")
CONTRASTS = ("t1w", "flair")
REAL, SYNTHETIC = "real", "synthetic"
Answer = Literal["real", "synthetic"]


@dataclass(frozen=True)
class Item:
    """One image of the kit.

    Args:
        contrast: ``t1w`` or ``flair``.
        case: Neutral name, such as ``case-01``; of its own in each contrast.
        kind: ``real`` or ``synthetic``, the truth.
        subject: Id in its cohort.
    """

    contrast: str
    case: str
    kind: str
    subject: str


def choose(
    real: Cohort, synthetic: Cohort, n_real: int, n_synthetic: int, split: str, seed: int
) -> tuple[Item, ...]:
    """Draw patients and their order, anew for each contrast.

    Nobody's anatomy is in the kit twice: who has seen a brain as real knows it again. So a
    synthetic patient counts as its host, and relatives as one person.

    Args:
        real: Prepared cohort.
        synthetic: Cohort written by synthesize.
        n_real: Real patients.
        n_synthetic: Synthetic ones.
        split: Split of the real ones, or ``all``.
        seed: Seed of the draw.

    Returns:
        Contrast by contrast, in the order of the case names.

    Raises:
        CohortError: If there are too few patients with both images, or too few different people.
    """
    rng = np.random.default_rng(seed)
    kinds = {
        REAL: (real, n_real, [s for s in real.subjects if s.origin is not Origin.SYNTHETIC
                              and (split == "all" or s.split == Split(split))]),
        SYNTHETIC: (synthetic, n_synthetic,
                    [s for s in synthetic.subjects if s.origin is Origin.SYNTHETIC]),
    }  # fmt: skip
    families = {s.id: s.family or s.id for s in real.subjects}
    chosen: list[tuple[str, str]] = []
    used: set[str] = set()
    # The scarcer kind first, so that the other leaves it its people.
    order = sorted(kinds, key=lambda k: len(_usable(kinds[k][2])) - kinds[k][1])
    for kind in order:
        cohort, wanted, rows = kinds[kind]
        usable = _usable(rows)
        taken: list[tuple[str, str]] = []
        for index in rng.permutation(len(usable)):
            people = _people(usable[index], families)
            if len(taken) < wanted and not people & used:
                used |= people
                taken.append((kind, usable[index].id))
        if len(taken) < wanted:
            raise CohortError(
                cohort.name,
                f"{len(taken)} {kind} patients of different people with T1w and FLAIR, of "
                f"{len(usable)} patients",
                f"{wanted}", f"Lower --n_{kind}, or give a larger cohort.",
            )  # fmt: skip
        chosen += taken
    chosen.sort()
    digits = max(2, len(str(len(chosen))))
    items = []
    for contrast in CONTRASTS:
        for number, index in enumerate(rng.permutation(len(chosen))):
            items.append(Item(contrast, f"case-{number + 1:0{digits}d}", *chosen[index]))
    return tuple(items)


def _usable(rows: Sequence[Subject]) -> list[Subject]:
    return [s for s in rows if s.is_patient and all(s.has(c) for c in CONTRASTS)]


def _people(subject: Subject, families: dict[str, str]) -> set[str]:
    shown = [p.subject for p in subject.parents if p.role is Role.HOST] or [subject.id]
    return {families.get(s, s) for s in shown}


def write_key(path: Path, items: Sequence[Item]) -> None:
    """Write the key as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for item in items:
            writer.writerow([item.contrast, item.case, item.kind, item.subject])


def read_key(path: Path) -> tuple[Item, ...]:
    """Read a key; its folder will do as well.

    Raises:
        CohortError: If it is absent or not a key.
    """
    path = path / "key.csv" if path.is_dir() else path
    if not path.is_file():
        raise CohortError(str(path), "no key.csv there", "the key that fcdsynth readers wrote",
                          "Give the key folder beside the kit.")  # fmt: skip
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS or not rows:
        raise CohortError(path.name, f"columns {reader.fieldnames}, {len(rows)} rows",
                          f"columns {', '.join(COLUMNS)}", "Restore the key.")  # fmt: skip
    items = []
    for number, row in enumerate(rows, start=2):
        if row["kind"] not in (REAL, SYNTHETIC) or row["contrast"] not in CONTRASTS:
            raise CohortError(f"{path.name} row {number}", f"{row}", "a contrast and a kind",
                              "Restore the key.")  # fmt: skip
        items.append(Item(*(row[c] for c in COLUMNS)))
    return tuple(items)
