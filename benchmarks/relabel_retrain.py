"""What a detector gains when reviewed masks are adopted, against the same minutes spent at random.

Four of ten masks are wrong. A reader spends the plan's minutes on the masks that `plan` chose, or
on masks drawn at random; he takes as long for either, errs at times (a wrong mask is accepted, or
a right one is drawn anew by a hasty hand), and redraws a wrong mask as it should be. The plan pays
for its own quality control: an audit, and copies with planted errors that change nothing. The
decisions go through ledger and adopt; then a detector is trained on each version and tested on
anatomies that nobody has trained on, against the exact lesions.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from detector_froc import add_difference, add_sensitivity, scored
from figures import ROOT, Figures
from fits import fitted as fitted_here
from fits import fitted_apart
from relabel_planted import ends
from relabel_world import Size, fitted, flagged, planted_errors, seen

from fcdsynth.cli import main as fcdsynth
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.resample import resample_mask
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.volume import Volume, read_grid, read_mask, read_volume
from fcdsynth.detector.detect import detect
from fcdsynth.ledger.records import LabelMade, ReaderJoined, Reviewed, label_id
from fcdsynth.ledger.store import Ledger
from fcdsynth.phantom.parted import Part
from fcdsynth.phantom.phantom import phantom
from fcdsynth.relabel.budget.minutes import MinutesLaw

SEED = 310
READER = "reader-1"
ARMS = ("before", "random", "plan")


@dataclass(frozen=True)
class Retraining:
    """How large it is.

    Args:
        size: Cohort, folds and detectors of the maps; ``steps`` for each fold.
        test: Patients, and half as many controls, that are tested on.
        steps: Training steps of each detector that is compared.
        seeds: Detectors of each arm.
        minutes: What the reader has.
        misjudged: Share of masks that the reader misjudges.
    """

    size: Size
    test: int = 80
    steps: int = 2000
    seeds: int = 2
    minutes: float = 120.0
    misjudged: float = 0.05


FULL = Retraining(Size(patients=70, controls=35, errors=0.4, steps=1000))
_TINY = Size(12, 3, 0.5, "configs/detector/smoke.yaml", 10, 4.0, 2, 30, 100, False)
QUICK = Retraining(_TINY, 4, 10, 1, 20.0)


def heads(
    work: Path, told: Retraining, anatomies: Path | None, workers: int
) -> tuple[Path, dict[str, str]]:
    """Training subjects with wrong masks, test subjects of other anatomies; and the errors."""
    size, more = told.size, {}
    if anatomies is not None:
        parts = yaml.safe_load((ROOT / "configs/study/study-phantom.yaml").read_text())["parts"]
        names = [tuple(p["anatomies"]) for p in parts]
        known, held_out = names[0] + names[1] + names[2], names[3]
        more = {"anatomies": str(anatomies),
                "parts": [Part(known, size.patients, size.controls, "train"),
                          Part(held_out, told.test, told.test // 2, "test")]}  # fmt: skip
    place = phantom(
        str(work / "phantom-retrain"), size.patients + told.test, size.controls + told.test // 2, 3,
        SEED, spacing=size.spacing, workers=workers, difficulty="study", errors="dealt",
        error_share=size.errors, prepared=True, report=False, **more,
    )  # fmt: skip
    if anatomies is None:
        table = Cohort.read(place)
        splits = {}
        for group in (True, False):
            rows = [s.id for s in table.subjects if s.is_patient is group]
            first = size.patients if group else size.controls
            splits |= {name: Split.TRAIN if k < first else Split.TEST
                       for k, name in enumerate(rows)}  # fmt: skip
        table.with_splits(splits).write(work / "cohort-retrain")
        return work / "cohort-retrain", planted_errors(place)
    return place, planted_errors(place)


def chosen_by_plan(
    flags: Path, out: Path, ledger: Path, minutes: float
) -> tuple[list[str], frozenset[str]]:
    """Masks that the plan has inspected, in order, and which are copies with a planted error."""
    words = ["plan", str(flags), str(out), "--minutes", str(minutes), "--ledger", str(ledger)]
    if fcdsynth(words):
        raise SystemExit("there is no plan")
    with (out / "plan.csv").open(newline="", encoding="utf-8") as stream:
        order = [row["subject"] for row in csv.DictReader(stream) if row["kind"] == "inspect"]
    sealed = json.loads((out / "planted.json").read_text(encoding="utf-8"))
    return order, frozenset(item["subject"] for item in sealed["planted"])


def review(
    ledger: Path, cohort: Cohort, errors: Mapping[str, str], subjects: Sequence[str],
    copies: frozenset[str], minutes: float, misjudged: float, seed: int, planned: bool,
) -> int:  # fmt: skip
    """Let the reader look at masks until the minutes are spent; how many he changed.

    Args:
        ledger: The ledger.
        cohort: The cohort, with the truth that the reader sees.
        errors: Planted error of each mask.
        subjects: Whose masks, in order.
        copies: Of whom the reader is shown a copy with a planted error: that takes time and
            changes nothing.
        minutes: What he has.
        misjudged: Share of masks that he misjudges.
        seed: Seed of his errors.
        planned: Whether a plan chose the masks, whose round the reviews belong to.
    """
    rng, spent, changed, law = np.random.default_rng(seed), 0.0, 0, MinutesLaw()
    rows = {s.id: s for s in cohort.subjects}
    with Ledger.open(ledger) as book:
        if READER not in book.state.readers:
            book.append(ReaderJoined(READER, "simulated"), "benchmark")
        for number, name in enumerate(subjects):
            label = book.state.active[name]
            made = book.state.labels[label]
            takes = law.minutes("inspect", made.volume_ml, made.components)
            if spent + takes > minutes:
                break
            spent += takes
            if name in copies:
                continue
            wrong = (errors[name] != "none") != (rng.random() < misjudged)
            told = Reviewed(f"v{number}", label, READER, "inspect", "accept",
                            "accept", 2, round=int(planned), source="suspected" * planned,
                            seconds_active=60 * takes, signed=True)  # fmt: skip
            if not wrong:
                book.append(told, READER)
                continue
            mask = drawn(cohort, rows[name], rng if errors[name] == "none" else None)
            digest = book.store_mask(mask)
            new = label_id(name, digest)
            if new != label:
                book.append(LabelMade(
                    new, name, digest, "human", 2, parent=label,
                    volume_ml=float(mask.array.sum() * mask.grid.voxel_ml), components=1,
                ), READER)  # fmt: skip
                told = replace(told, before="edit", after="edit", new_label=new)
                changed += errors[name] != "none"
            book.append(told, READER)
    return changed


def drawn(cohort: Cohort, subject: Subject, hasty: np.random.Generator | None) -> Volume:
    """The mask as it should be, or, by a hasty hand, the present one moved by two voxels."""
    grid = read_grid(cohort.path(subject, "lesion_t1w"))
    if hasty is None:
        return resample_mask(read_mask(cohort.path(subject, "truth")), grid)
    now = read_mask(cohort.path(subject, "lesion_t1w")).array
    moved = np.roll(now, int(hasty.choice([-2, 2])), axis=int(hasty.integers(3)))
    return Volume(moved, grid)


def adopted(work: Path, cohort: Path, ledger: Path, arm: str) -> Path:
    """The next version of the cohort."""
    out = work / f"cohort-{arm}"
    if fcdsynth(["adopt", str(cohort), str(ledger), str(out)]):
        raise SystemExit(f"{arm} could not be adopted")
    return out


def measure_retrain(
    figures: Figures, work: Path, told: Retraining, anatomies: Path | None, workers: int
) -> None:
    """Add the figures of retraining.

    Args:
        figures: Where to.
        work: Folder that is kept; a stopped run goes on.
        told: How large.
        anatomies: Folder of label maps.
        workers: Processes.
    """
    place, errors = heads(work, told, anatomies, workers)
    table = Cohort.read(place)
    train = table.select(lambda s: s.split is Split.TRAIN)
    known = work / "cohort-reviewed"
    train.write(known)
    fits = fitted(work, known, told.size, workers, "retrain")
    maps = seen(work, fits, known, told.size, "retrain", workers)
    flags = flagged(work, known, maps, fits, told.size, "retrain", workers)
    tables, corrected = {"before": place}, {}
    masks = [s.id for s in train.subjects if s.is_patient]
    for arm in ARMS[1:]:
        ledger = work / f"labels-{arm}.db"
        done = work / f"cohort-{arm}"
        if not done.is_dir():
            for left in work.glob(f"labels-{arm}.db*"):
                left.unlink()
            fcdsynth(["ledger", "record", str(place), str(ledger)])
            if arm == "plan":
                order, copies = chosen_by_plan(flags, work / "plan", ledger, told.minutes)
            else:
                order = [masks[k] for k in np.random.default_rng(17).permutation(len(masks))]
                copies = frozenset()
            changed = review(ledger, table, errors, order, copies, told.minutes, told.misjudged, 19,
                             arm == "plan")  # fmt: skip
            (work / f"changed-{arm}").write_text(str(changed))
        tables[arm] = adopted(work, place, ledger, arm)
        corrected[arm] = int((work / f"changed-{arm}").read_text())
    compare(figures, work, tables, told, workers)
    add_outcome(figures, work)
    wrong = sum(errors[name] != "none" for name in masks)
    for arm, number in corrected.items():
        figures.add(f"retrain_masks_corrected_{arm}", number, wrong, (number, number))


def add_outcome(figures: Figures, work: Path) -> None:
    """Add what the plan expected of the masks that were reviewed, and what it got."""
    words = ["plan", "outcome", str(work / "labels-plan.db"), str(work / "plan"),
             str(work / "outcome")]  # fmt: skip
    if fcdsynth(words):
        raise SystemExit("the plan has no outcome")
    told = json.loads((work / "outcome" / "outcome.json").read_text(encoding="utf-8"))[
        "inspections"
    ]
    done = told["expected_of_reviewed"]
    figures.add("retrain_plan_expected", done["changed"], done["n"], tuple(done["interval"]))
    figures.add("retrain_plan_got", told["changed"], done["n"], (told["changed"],) * 2)
    within = float(told["within"])
    figures.add("retrain_plan_within", within, 1, (within, within), at_least=1.0)


def compare(
    figures: Figures, work: Path, tables: dict[str, Path], told: Retraining, workers: int
) -> None:
    """Train a detector on each version, and compare them on the test subjects."""
    jobs = {}
    fit = fitted_apart if told.size.apart else fitted_here
    with ThreadPoolExecutor(workers if told.size.apart else 1) as pool:
        for seed in range(told.seeds):
            for arm, table in tables.items():
                words = ("--trainer.max_steps", str(told.steps), "--seed_everything", str(seed),
                         "--data.cache", str(work / f"cache-{arm}"))  # fmt: skip
                jobs[arm, seed] = pool.submit(
                    fit, work / f"fit-{arm}-{seed}",
                    with_validation(work, table, arm), told.size.config, *words,
                )  # fmt: skip
        runs = {key: job.result() for key, job in jobs.items()}
    looks, dice = {}, {}
    test = Cohort.read(tables["before"]).select(lambda s: s.split is Split.TEST)
    cohort = work / "cohort-test"
    test.write(cohort)
    for arm in tables:
        found = [_look(work, runs[arm, seed], cohort, f"{arm}-{seed}")
                 for seed in range(told.seeds)]  # fmt: skip
        looks[arm] = [scored(f, cohort, f.with_name(f"{f.name}-report"), 1) for f in found]
        dice[arm] = np.mean([_dice(f.with_name(f"{f.name}-own"), test) for f in found], axis=0)
    for arm in tables:
        for seed, look in enumerate(looks[arm]):
            add_sensitivity(figures, f"retrain_sensitivity_{arm}_{seed}", look)
        figures.add(f"retrain_dice_{arm}", float(dice[arm].mean()), len(dice[arm]),
                    _ends(dice[arm]))  # fmt: skip
    for other in ("before", "random"):
        for seed in range(told.seeds):
            add_difference(figures, f"retrain_sensitivity_gain_vs_{other}_{seed}",
                           looks["plan"][seed], looks[other][seed])  # fmt: skip
        gain = dice["plan"] - dice[other]
        name = "retrain_gain" if other == "before" else "retrain_gain_vs_random"
        low, high = _ends(gain)
        figures.add(name, float(gain.mean()), len(gain), (low, high), at_least=1e-9)
        figures.add(f"{name}_low", low, len(gain), (low, high), at_least=1e-9)


def with_validation(work: Path, table: Path, arm: str) -> Path:
    """The version with a fifth of its training subjects, two families of ten, validating."""
    out = work / f"train-{arm}"
    cohort = Cohort.read(table)
    train = [s for s in cohort.subjects if s.split is Split.TRAIN]
    families = sorted({s.family or s.id for s in train})
    held_out = set(families[:: max(len(families) // 2, 1)][:2])
    splits = {s.id: s.split for s in cohort.subjects}
    splits |= {s.id: Split.VAL for s in train if (s.family or s.id) in held_out}
    cohort.with_splits(splits).write(out)
    return out


def _look(work: Path, run: Path, cohort: Path, name: str) -> Path:
    """Clusters cut low for the FROC, and beside it at the run's own operating point."""
    out = work / f"found-{name}"
    told = {"pages": False, "precision": "bf16", "windows": 8}
    detect(str(run), str(cohort), str(out), threshold=0.1, min_volume_ml=0.05, **told)
    detect(str(run), str(cohort), str(out.with_name(f"{out.name}-own")), **told)
    return out


def _dice(found: Path, test: Cohort) -> list[float]:
    """Dice of clusters and exact lesion of every patient."""
    from fcdsynth.core.detection import Detections

    there, rows = Detections.read(found), []
    for s in test.subjects:
        if s.is_patient:
            truth = read_mask(test.path(s, "truth")).array
            clusters = read_volume(there.clusters_path(s.id)).array > 0
            total = truth.sum() + clusters.sum()
            rows.append(2 * float((truth & clusters).sum()) / total if total else 1.0)
    return rows


def _ends(values: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(23)
    n = len(values)
    return ends(np.array([values[rng.integers(0, n, n)].mean() for _ in range(2000)]))
