"""An arm's training set: the real subjects of a fold, their labels, and what was synthesised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Split, Subject
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm

_SURPLUS = 1.2


def fold_cohort(
    folder: StudyFolder, plan: Plan, draw: Draw, arm: Arm, fold: int, out: Path
) -> Path:
    """Write the prepared cohort's table with the splits, and the labels, of one fold of an arm."""
    table = Cohort.read(folder.prepared).with_splits(plan.splits(draw, arm, fold))
    if arm.labels is not None:
        table = relabelled(table, Cohort.read(arm.labels), arm.name)
    table.moved(out).write()
    return out


def relabelled(table: Cohort, labels: Cohort, arm: str) -> Cohort:
    """A table whose training and validation patients have the lesion masks of another one.

    Test subjects keep theirs: an arm is not judged by its own labels. Patients whose masks the
    other table has put aside (no mask, split none: withdrawn, see ``fcdsynth adopt``) do not
    train, nor do those that it lists with a mask that is disputed.

    Raises:
        CohortError: If the other table lacks a patient or the mask.
    """
    known = {s.id: s for s in labels.subjects}
    moved = labels.moved(table.folder)
    rows = []
    for s in table.subjects:
        if s.split in (Split.TRAIN, Split.VAL) and s.is_patient:
            put_aside = s.id in known and known[s.id].split is Split.NONE
            if put_aside and labels.version > table.version:
                rows.append(replace(s, split=Split.NONE))
                continue
            if s.id not in known or not known[s.id].has("lesion"):
                raise CohortError(
                    s.id, f"no lesion mask in {labels.folder}", f"one for each patient of {arm}",
                    f"Add it, or change labels of arm {arm}.",
                )  # fmt: skip
            s = replace(s, files={**s.files, "lesion": moved[s.id].files["lesion"]})
        rows.append(s)
    return replace(table, subjects=tuple(rows))


def training_table(folder: StudyFolder, plan: Plan, draw: Draw, arm: Arm, fold: int) -> Path:
    """Write the fold's table with its synthetic subjects added; leakage is checked here too."""
    where = folder.fold(draw, arm, fold)
    table = Cohort.read(where / "cohort")
    if arm.synthetic:
        made = where / "synthetic"
        number = synthetic_number(plan, draw, arm, fold)
        pool = Cohort.read(made if arm.pool is None else arm.pool)
        table = table.merged(of_pool(pool, number, table, arm))
    check_leakage(table, draw.test)
    table.write(where / "training")
    return where / "training"


def synthetic_number(plan: Plan, draw: Draw, arm: Arm, fold: int) -> int:
    """Synthetic patients, and controls, of one fold of an arm."""
    return round(arm.synthetic * plan.in_fold(draw, arm, fold))


def to_draw(number: int, refuse: bool) -> int:
    """How many subjects to draw so that enough are left when some pairs are refused."""
    return math.ceil(_SURPLUS * number) + 1 if refuse and number else number


def of_pool(pool: Cohort, number: int, table: Cohort, arm: Arm) -> Cohort:
    """The first synthetic patients and controls of a pool with no held-out parent.

    Of an arm's own pool all are taken where more were refused than expected; ``synthesize`` says
    how many.

    Raises:
        CohortError: If a pool made elsewhere holds too few.
    """
    held_out = {s.id for s in table.subjects if s.split in (Split.VAL, Split.TEST)}
    free = [s for s in pool.subjects if not any(p.subject in held_out for p in s.parents)]
    groups = ([s for s in free if s.is_patient], [s for s in free if not s.is_patient])
    if arm.pool is not None and min(map(len, groups)) < number:
        raise CohortError(
            pool.name or str(pool.folder),
            f"{len(groups[0])} patients and {len(groups[1])} controls without a held-out parent",
            f"{number} of each for arm {arm.name}", "Give a larger pool, or lower synthetic.",
        )  # fmt: skip
    chosen: Sequence[Subject] = [s for group in groups for s in group[:number]]
    rows = tuple(replace(s, split=Split.TRAIN) for s in chosen)
    return replace(pool, subjects=rows)
