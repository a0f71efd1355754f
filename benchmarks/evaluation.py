"""Benchmark of the evaluator: right by hand, right by other tools, honest intervals, fast.

Full: every hand-counted case, 200 random volumes against panoptica, picai_eval, statsmodels and
scipy (in an environment of their own that is made with pip), 1,000 simulated cohorts each for the
heterogeneity test and for the intervals of clustered data, and 500 subjects at 1 mm through the
verb on two processes. ``--quick`` leaves out what needs other libraries and uses small numbers.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
from big_cohort import POINT, big_cohort
from evaluation_oracles import agreement, oracle_environment, speed, tasks_of
from evaluation_simulations import (
    bootstrap_coverage,
    curve_coverage,
    false_alarms_by_place,
    heterogeneity_false_alarm,
    heterogeneity_power,
)
from figures import ROOT, Figures, arguments, finish, peak_children_gib
from oracle_scenes import Scene, random_scenes
from oracle_speed import OURS, OURS_ALIKE, PANOPTICA, SWEEP

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.intervals import wilson
from fcdsynth.evaluation.statistics.paired import mcnemar_exact

MOST = {"most_seconds": 240.0, "most_gib": 3.0, "least_speedup": 5.0}


def hand_cases(figures: Figures, scratch: Path) -> None:
    """Run the hand-counted cases and count those that come out equal."""
    report = scratch / "hand.xml"
    files = sorted((ROOT / "tests" / "evaluation").glob("test_evaluation_hand_counted*.py"))
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         *map(str, files)], cwd=ROOT, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    wrong = [c.get("name") for c in cases if len(c) and c[0].tag in ("failure", "error", "skipped")]
    n = len(cases)
    interval = wilson(n - len(wrong), n)
    figures.add("hand_cases_equal", n - len(wrong), n, (interval.low * n, interval.high * n),
                at_least=max(n, 30))  # fmt: skip
    figures.notes += [f"hand-counted case that differs: {name}" for name in wrong]


def published(figures: Figures) -> None:
    """36.1, 44.3 and 73.8 % of 61, 6 gained and 1 lost; MONAI's FROC on one right detection."""
    p = mcnemar_exact(6, 1)
    figures.add("mcnemar_p", p, 7, (p, p), at_least=0.125, at_most=0.125)
    for count in (22, 27, 45):
        found = wilson(count, 61)
        figures.add(f"wilson_{count}_of_61", count / 61, 61, (found.low, found.high))
    from monai.metrics import compute_froc_curve_data, compute_froc_score

    curve = compute_froc_curve_data(
        fp_probs=np.array([]), tp_probs=np.array([0.9]), num_targets=1, num_images=1
    )
    theirs = compute_froc_score(*curve, eval_thresholds=(1.0,))
    figures.add("froc_of_one_right_detection_monai", float(np.max(theirs)), 1, (theirs, theirs))


def orientations(figures: Figures, n: int, scratch: Path) -> None:
    """Score scenes as they are, with turned axes, and with every voxel split into eight."""
    equal, total = 0, 0
    for scene in random_scenes(n, 1):
        first, _ = scene.score(scratch / "as-is")
        for name, other in (("turned", _turned(scene)), ("split", _split(scene))):
            second, _ = other.score(scratch / name)
            equal += _same(first, second, split=name == "split")
            total += 1
    low, high = _counts(equal, total)
    figures.add("reoriented_or_split_cases_equal", equal, total, (low, high), at_least=total)


def _counts(hits: int, n: int) -> tuple[float, float]:
    interval = wilson(hits, n)
    return interval.low * n, interval.high * n


def _turned(scene: Scene) -> Scene:
    rng = np.random.default_rng(len(scene.name) + scene.lesion.sum())
    order, flips = rng.permutation(3), rng.integers(0, 2, 3).astype(bool)
    matrix = scene.grid.matrix[:, [*order, 3]].copy()
    arrays = [a.transpose(order) for a in (scene.lesion, scene.detection)]
    for axis in np.flatnonzero(flips):
        size = arrays[0].shape[axis]
        matrix[:3, 3] += matrix[:3, axis] * (size - 1)
        matrix[:3, axis] *= -1
        arrays = [np.flip(a, axis) for a in arrays]
    lesion, detection = (np.ascontiguousarray(a) for a in arrays)
    return replace(scene, grid=Grid.of(lesion.shape, matrix), lesion=lesion, detection=detection)


def _split(scene: Scene) -> Scene:
    matrix = scene.grid.matrix.copy()
    matrix[:3, :3] /= 2
    matrix[:3, 3] -= matrix[:3, :3].sum(axis=1) / 2
    lesion, detection = (
        a.repeat(2, 0).repeat(2, 1).repeat(2, 2) for a in (scene.lesion, scene.detection)
    )
    return replace(scene, grid=Grid.of(lesion.shape, matrix), lesion=lesion, detection=detection)


def _same(one: SubjectRecord, other: SubjectRecord, split: bool) -> bool:
    """Whether found and missed, roles, volumes, centres, probabilities and Dice agree.

    Splitting a voxel halves the step between voxel centres, so distances between them (the rule
    near, surface distances) may move by up to a voxel and are left out there.
    """
    rules = [r for r in Rule if not (split and r is Rule.NEAR)]

    def lesions(s: SubjectRecord) -> list:
        return sorted(
            [round(le.volume_ml, 6), *np.round(le.centre_mm, 3), round(le.site.mean, 6)]
            + [v for r in rules for v in _fate(le.found[r], split)]
            for le in s.lesions
        )  # fmt: skip

    def clusters(s: SubjectRecord) -> list:
        return sorted(
            [round(c.volume_ml, 6), round(c.score, 6), *np.round(c.centre_mm, 3)]
            + [float(c.roles[r] is Role.TRUE) + 2 * (c.roles[r] is Role.EXTRA) for r in rules]
            for c in s.clusters
        )  # fmt: skip

    return all(
        len(a(one)) == len(a(other)) and np.allclose(a(one), a(other), atol=2e-3)
        for a in (lesions, clusters)
    )


def _fate(found: object, split: bool) -> list[float]:
    if found.cluster is None:
        return [-1.0] * (2 if split else 4)
    distances = [] if split else [found.assd_mm, found.hd95_mm]
    return [found.score, found.dice, *distances]


def oracles(figures: Figures, n: int, scratch: Path, environment: Path) -> Path:
    """Compare with other tools on random volumes; list what differs and why."""
    python = oracle_environment(environment)
    equal, total, differences = agreement(python, n, 0, scratch / "oracles")
    figures.add("oracle_cases", total, total, (total, total))
    figures.add("oracle_cases_equal", equal, total, _counts(equal, total), at_least=total)
    reasons: dict[str, int] = {}
    for difference in differences:
        reason = difference.reason or f"UNEXPLAINED {difference}"
        reasons[reason] = reasons.get(reason, 0) + 1
    figures.notes += [f"definitions differ, {k} times: {why}" for why, k in reasons.items()]
    return python


def simulations(figures: Figures, n: int) -> None:
    """False alarms and power of the heterogeneity test, and coverage of the intervals."""
    rejected, total = heterogeneity_false_alarm(n, 0)
    figures.add_share("heterogeneity_false_alarm", rejected, total, 0.03, 0.07)
    by_place = false_alarms_by_place(n, 1, "false_positives_per_patient").values()
    hits, runs = sum(r for r, _ in by_place), sum(m for _, m in by_place)
    figures.add_share("heterogeneity_false_alarm_false_positives", hits, runs, 0.03, 0.07)
    for name, (hits, runs) in heterogeneity_power(max(n // 5, 20), 2).items():
        figures.add_share(f"heterogeneity_power: {name}", hits, runs)
    covered = bootstrap_coverage(n, 0)
    shares = {name: hits / runs for name, (hits, runs) in covered.items()}
    worst = max(shares, key=lambda name: abs(shares[name] - 0.95))
    figures.add_share("bootstrap_coverage", *covered[worst], 0.93, 0.97)
    figures.notes.append(f"bootstrap_coverage is the one farthest from 95 %: {worst}")
    for name, (hits, runs) in covered.items():
        figures.add_share(f"coverage: {name}", hits, runs, 0.93, 0.97)
    for name, (hits, runs) in curve_coverage(max(n // 2, 20), 3).items():
        figures.add_share(f"coverage, no families: {name}", hits, runs)


def verb(cohort: Path, found: Path, out: Path, workers: int) -> tuple[float, float]:
    """Seconds and peak GiB (verb and workers together) of one evaluation through the door."""
    code = "import sys; from fcdsynth.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["evaluate", str(found), str(cohort), str(out), "--workers", str(workers)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _tree_gib(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"evaluate ended with {process.returncode}")
    return time.perf_counter() - start, peak


def _tree_gib(pid: int) -> float:
    """Resident memory of a process and its children, GiB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
        except OSError:
            continue
        if int(status.parent.name) == pid or int(text["PPid"]) == pid:
            total += int(text.get("VmRSS", "0 kB").split()[0])
    return total / 2**20


def at_size(figures: Figures, folder: Path, sizes: tuple[int, ...], workers: int) -> list[Path]:
    """Time cohorts of several sizes at 1 mm; return the maps for the race with panoptica."""
    cohort, found = big_cohort(folder / "big", sizes[-1], workers=workers)
    whole, table = Cohort.read(cohort), Detections.read(found)
    seconds, peak = {}, 0.0
    for n in sizes:
        ids = {s.id for s in whole.subjects[:n]}
        part = folder / f"part-{n}"
        for name in ids:
            link = part / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(found / name)
        mine = tuple(c for c in table.clusters if c.subject in ids)
        replace(table, folder=part, subjects=tuple(sorted(ids)), clusters=mine).write_tables()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            seconds[n], gib = verb(cohort, part, Path(out) / "report", workers)
        peak = max(peak, gib)
    last = sizes[-1]
    one = (seconds[last], seconds[last])
    figures.add(f"seconds_{last}", seconds[last], last, one, at_most=MOST["most_seconds"])
    figures.add("peak_gib", peak, last, (peak, peak), at_most=MOST["most_gib"])
    if len(sizes) > 2:
        x, y = np.array(sizes, float), np.array([seconds[n] for n in sizes])
        slope, start = np.polyfit(x, y, 1)
        off = float(np.abs(y - (start + slope * x)).max() / y[-1])
        figures.add("seconds_per_subject", slope, len(sizes), (slope, slope))
        figures.add("seconds_start", start, len(sizes), (start, start))
        figures.add("departure_from_a_line", off, len(sizes), (off, off), at_most=0.1)
        figures.notes.append("seconds: " + ", ".join(f"{n}: {seconds[n]:.1f}" for n in sizes))
    patients = [s for s in whole.subjects if s.is_patient and table.of(s.id)]
    return [
        (table.probability_path(s.id), whole.path(s, "truth"), whole.path(s, "brain"))
        for s in patients[:10]
    ]  # fmt: skip


def race(figures: Figures, python: Path, maps: list, scratch: Path) -> None:
    """Time panoptica on the same maps, by turns with ours, on one core.

    The speed-up is that of the same figures (found and missed under overlap and IoU at every
    score, Dice, IoU, surface distances) from arrays; the interval holds the ratio with reading
    the files, which is the same work for both.
    """
    (scratch / "race").mkdir(exist_ok=True)
    rows = {row.work: row for row in speed(python, tasks_of(maps, scratch / "race", POINT))}
    n = len(maps)
    default = rows[next(iter(PANOPTICA))]
    for name, ours, theirs, goal in (
        ("speedup_vs_panoptica", rows[OURS_ALIKE], rows[SWEEP], MOST["least_speedup"]),
        ("speedup_vs_panoptica_one_rule_one_score", rows[OURS_ALIKE], default, None),
        ("speedup_whole_record_vs_panoptica_one_rule_one_score", rows[OURS], default, None),
        ("speedup_whole_record_vs_panoptica", rows[OURS], rows[SWEEP], None),
    ):
        ratios = sorted((theirs.arrays_s / ours.arrays_s, theirs.files_s / ours.files_s))
        arrays = theirs.arrays_s / ours.arrays_s
        figures.add(name, arrays, n, (ratios[0], ratios[1]), at_least=goal)
    figures.notes += [
        f"{row.work}: {row.arrays_s:.3f} s from arrays, {row.files_s:.3f} s with the files"
        for row in rows.values()
    ]


def main() -> None:
    """Measure, print, write."""
    args = arguments(__doc__ or "")
    figures = Figures("evaluation", args.quick)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = args.work or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        hand_cases(figures, scratch)
        published(figures)
        orientations(figures, 6 if args.quick else 60, scratch / "scenes")
        simulations(figures, 60 if args.quick else 1000)
        if args.quick:
            at_size(figures, scratch, (4,), 1)
        else:
            maps = at_size(figures, scratch, (125, 250, 500), args.workers)
            python = oracles(figures, 200, scratch, scratch / "oracle-environment")
            race(figures, python, maps, scratch)
    figures.notes.append(f"largest single child process {peak_children_gib():.2f} GiB")
    finish(figures, args.out)


if __name__ == "__main__":
    main()
