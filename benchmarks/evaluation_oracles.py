"""The evaluator against panoptica, picai_eval, statsmodels and scipy: agreement and speed.

`agreement` makes random small volumes and compares every figure both sides define; `speed` times
both on the same maps, in turn. The libraries live in an environment of their own and are asked
through oracle_side.py.
"""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from oracle_compare import (
    PICAI_LAST,
    PICAI_PAIRING,
    Aligned,
    Difference,
    Ledger,
    best_matching,
    compare_case,
)
from oracle_scenes import Table, random_scenes
from oracle_speed import SIDE, Speed, speed, tasks_of

from fcdsynth.evaluation.froc import froc
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import auroc, wilson
from fcdsynth.evaluation.statistics.paired import mcnemar_exact

__all__ = ["Difference", "Speed", "agreement", "oracle_environment", "speed", "tasks_of"]

PINS = ("panoptica==2.1.7", "picai_eval==1.4.13", "statsmodels==0.15.0", "SimpleITK==2.5.7")


def oracle_environment(folder: Path) -> Path:
    """Python of an environment that holds the libraries; made with pip where it is absent."""
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINS], check=True)
        (folder / "ready").touch()
    return python


def agreement(
    python: Path, n_cases: int, seed: int, work: Path
) -> tuple[int, int, list[Difference]]:
    """Compare on random volumes.

    Args:
        python: Python that has the libraries.
        n_cases: Number of volumes.
        seed: Seed.
        work: Folder for them.

    Returns:
        Cases without an unexplained difference, in themselves and in their cohort of 20; cases;
        and every difference, the explained ones with their reason.
    """
    work.mkdir(parents=True, exist_ok=True)
    for old in work.glob("case-*.npz"):
        old.unlink()
    scenes = random_scenes(n_cases, seed)
    for scene in scenes:
        scene.write(work)
    out = work / "theirs.json"
    subprocess.run([python, SIDE, "agree", work, out], check=True, stdout=subprocess.DEVNULL)
    theirs = json.loads(out.read_text())
    ledgers, cohorts = [], {}
    for scene, says in zip(scenes, theirs["cases"], strict=True):
        record, labels = scene.score(work)
        mine = Aligned.of(record, Table.of(scene), labels)
        ledgers.append((scene.cohort, compare_case(mine, says)))
        cohorts.setdefault(scene.cohort, []).append((mine, says))
    of_cohorts = {n: compare_cohort(n, m, theirs["cohorts"][str(n)]) for n, m in cohorts.items()}
    bad = {n for n, log in of_cohorts.items() if any(not d.reason for d in log.differences)}
    equal = sum(
        number not in bad and all(d.reason for d in log.differences) for number, log in ledgers
    )
    everything = [log for _, log in ledgers] + list(of_cohorts.values())
    return equal, len(scenes), [d for log in everything for d in log.differences]


def compare_cohort(
    number: int, members: Sequence[tuple[Aligned, Mapping[str, Any]]], says: Mapping[str, Any]
) -> Ledger:
    """AUROC, FROC, average precision, Wilson and McNemar of one cohort."""
    log = Ledger(f"cohort-{number}")
    records = [mine.record for mine, _ in members]
    scores = {group: [s.score for s in records if s.is_patient == group] for group in (True, False)}
    log.equal("auroc", auroc(scores[True], scores[False])[0], says["auroc"])
    # What each side's own pairs give, worked out from the table: only then is a reason given.
    entries = [entry for _, case in members for entry in case["picai"]]
    picai = [score for lesion, score, overlap in entries if lesion and overlap]
    own = [
        score
        for mine, _ in members
        for score in best_matching(mine.table.iou >= 0.1, mine.table, True)[1]
    ]
    false = [c.score for s in records for c in s.clusters if c.roles[Rule.IOU] is Role.FALSE]
    n_lesions = says["n_lesions"]
    ours = _average_precision(
        [f.score for s in records for le in s.lesions if (f := le.found[Rule.IOU]).cluster],
        false, n_lesions,
    )  # fmt: skip
    both = np.isclose(ours, _average_precision(own, false, n_lesions)) and np.isclose(
        says["ap"], _average_precision(picai, false, n_lesions)
    )
    log.equal("average precision", ours, says["ap"], PICAI_PAIRING if both else "")
    points = {p.threshold: p for p in froc(records, Rule.IOU) if p.threshold is not None}
    last = len(says["thresholds"]) - 1
    for place, (threshold, tp, fp) in enumerate(
        zip(says["thresholds"], says["tp"], says["fp"], strict=True)
    ):
        if threshold == 0:
            continue  # misses, which it lists with a confidence of 0
        point = points[threshold]
        fps, found = (
            point.false_positives_per_subject * len(records),
            point.lesion_recall * n_lesions,
        )
        if place == last:
            log.equal("lowest threshold kept", True, False, PICAI_LAST)
            continue
        log.equal("false positives at a threshold", fps, fp)
        both = np.isclose(found, sum(x >= threshold for x in own)) and tp == sum(
            x >= threshold for x in picai
        )
        log.equal("lesions found at a threshold", found, tp, PICAI_PAIRING if both else "")
    hits, n = sum(s.n_found(Rule.IOU) > 0 for s in records), len(scores[True])
    log.equal("patients found", (hits, n), says["wilson_of"])
    for name, ends in says["wilson"].items():
        interval = wilson(hits, n)
        log.equal(f"wilson by {name}", (interval.low, interval.high), ends)
    for gained, lost, p in says["mcnemar"]:
        log.equal(f"mcnemar {gained} {lost}", mcnemar_exact(gained, lost), p)
    return log


def _average_precision(found: Sequence[float], false: Sequence[float], n_lesions: int) -> float:
    """Area under precision and recall of clusters, extra ones left out, as picai_eval defines it.

    The evaluator reports no such figure; it is built from its roles and scores to check those.
    """
    area = before = 0.0
    for threshold in sorted({*found, *false}, reverse=True):
        right = sum(score >= threshold for score in found)
        wrong = sum(score >= threshold for score in false)
        area += (right / n_lesions - before) * right / (right + wrong)
        before = right / n_lesions
    return area
