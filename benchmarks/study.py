"""Benchmark of the study: do synthetic patients close half of the gap to twice the real ones?

Full: ``fcdsynth study`` with ``configs/study/study.yaml`` on the world of `study_world` (240 test
patients and 120 test controls of four anatomies that nobody trains on), under one locked plan;
``--draws`` choices of training subjects. Then the planted artefact (`study_planted`) on the
development world. ``--quick`` uses tiny heads, the smoke configs and no planted artefact, and
holds no goals.

With ``--work`` all is kept, and a stopped run goes on; a larger ``--draws`` adds draws under a
further plan. Results of finished arms and the plans are kept in ``benchmarks/results/study`` too:
in another folder, or on another machine, only what is missing there is trained.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from detector_world import FCDD1, table_of, world
from figures import RESULTS, Figures, arguments, finish, part
from study_planted import measure_planted, planted_pool
from study_world import study_world

from fcdsynth.core.cohort import Cohort
from fcdsynth.study.choice import make_plan
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.settings import Arm, find_config
from fcdsynth.study.study import study
from fcdsynth.synthesis.carvemix import carvemix

DRAWS = 3
Record = dict[str, Any]


def run_study(work: Path, world_folder: Path, quick: bool, workers: int, draws: int) -> Record:
    """Run the study, or go on with it; its report."""
    settings = yaml.safe_load(find_config("study/study.yaml").read_text(encoding="utf-8"))
    arms = [Arm(**arm) for arm in settings.pop("arms")]
    if quick:
        arms = arms[:3]
        settings |= {"n": 2, "detector": "detector/smoke.yaml", "refuse": False,
                     "synthesis": "synthesis/smoke.yaml", "within_families": False}  # fmt: skip
    out = work / "study"
    study(str(world_folder), str(out), arms=arms, draws=draws, workers=workers, new_plan=True,
          results=None if quick else str(RESULTS / "study"), **settings)  # fmt: skip
    return dict(json.loads((out / "report.json").read_text(encoding="utf-8")))


def add(figures: Figures, name: str, told: Record, **goal: float) -> None:
    """Add an estimate of the report."""
    figures.add(name, told["value"], told["n"], (told["low"], told["high"]), **goal)


def measure(figures: Figures, report: Record) -> None:
    """Add the issue's figures from a report."""
    endpoint = report["endpoint"]
    names = {"sensitivity_fcdd1": "FCDD-1", "sensitivity_fcdd2": "FCDD-2",
             "sensitivity_fcdd3": "FCDD-3"}  # fmt: skip
    for name, arm in names.items():
        add(figures, name, endpoint["sensitivity"][arm])
    for arm, told in endpoint["sensitivity"].items():
        if arm not in names.values():
            add(figures, f"sensitivity_{arm.lower().replace('-', '_')}", told)
    gap, gain = endpoint["gap"], endpoint["gain"]["FCDD-2"]
    add(figures, "gap", gap, at_least=0.15)
    figures.add("gap_low", gap["low"], gap["n"], (gap["low"], gap["high"]), at_least=1e-9)
    add(figures, "gain", gain)
    figures.add("gain_low", gain["low"], gain["n"], (gain["low"], gain["high"]), at_least=1e-9)
    closed = endpoint["gap_closed"]["FCDD-2"]
    if closed is not None:
        add(figures, "gap_closed", closed, at_least=0.5)
    harms = {c["name"]: c["difference"] for c in report["harms"]["FCDD-2"]}
    rise = harms["false_positives_per_subject"]
    figures.add("fp_rise_high", rise["high"], rise["n"], (rise["low"], rise["high"]), at_most=0.10)
    lost = harms["specificity"]
    figures.add("specificity_loss_high", -lost["low"], lost["n"], (-lost["high"], -lost["low"]),
                at_most=0.05)  # fmt: skip
    for c in report["places"]["FCDD-2"]:
        name = c["name"].replace("lesion_site", "site").removesuffix("_probability")
        goal = {"at_least": 1e-9} if name == "site" else {}
        add(figures, f"{name}_probability_gain", c["difference"], **goal)
        figures.notes.append(f"{c['name']}: {c['a']:.3f} to {c['b']:.3f}, Wilcoxon p {c['p']}")
    for other in ("CarveMix", "ellipsoid"):
        if other in endpoint["over"]["FCDD-2"]:
            add(figures, f"{other.lower()}_gain", endpoint["over"]["FCDD-2"][other], at_least=0.0)
    for found in report["worth"]:
        if found["arm"] == "FCDD-2":
            figures.add("equivalent_real_patients", found["patients"], gap["n"],
                        (found["low"], found["high"]))  # fmt: skip
            if found["beyond"]:
                figures.notes.append("equivalent_real_patients is the curve's last point: more")
    figures.add("n_draws", report["plan"]["draws"], 1, (report["plan"]["draws"],) * 2)
    figures.add("plans_opened", report["plans_opened"], 1, (report["plans_opened"],) * 2)
    for row in next(t for t in report["tracing"] if t["arm"] == "FCDD-2")["shares"]:
        figures.add_share(f"nearest_synthetic_{row['group']}", row["synthetic"], row["n"])


def measure_trace(figures: Figures, work: Path, anatomies: Path, workers: int) -> None:
    """Add the figures of the planted artefact, on the development world."""
    place = work / "planted"
    table = table_of(place, world(place, anatomies, workers, quick=False), FCDD1)
    clean = carvemix(str(table), str(place / "clean"), FCDD1, FCDD1, workers=workers)
    pool, ids = planted_pool(Cohort.read(clean), place / "pool")
    arms = [Arm("real"), Arm("clean", synthetic=1.0, pool=str(clean)),
            Arm("planted", synthetic=1.0, pool=str(pool))]  # fmt: skip
    settings = yaml.safe_load(find_config("study/study.yaml").read_text(encoding="utf-8"))
    settings.pop("arms")
    out = StudyFolder(place / "study")
    cohort = Cohort.read(table)
    used = cohort.select(lambda s: s.split != "none")
    used.moved(place / "used").write()
    study(str(place / "used"), str(out.root), arms=arms, workers=workers, **settings)
    told = {k: settings[k] for k in ("n", "folds", "within_families")}
    plan = make_plan(Cohort.read(out.prepared), arms, **told)
    measure_planted(figures, out, plan, arms[1], arms[2], ids)


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__ or "", draws=DRAWS)
    figures = Figures("study", args.quick)
    anatomies = args.data / "anatomies" if (args.data / "anatomies").is_dir() else None
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        heads = study_world(work, anatomies, args.workers, args.quick)
        draws = 1 if args.quick else args.draws
        measure(figures, run_study(work, heads, args.quick, args.workers, draws))
        if anatomies is not None and not args.quick:
            part(
                figures, work, "planted", lambda f: measure_trace(f, work, anatomies, args.workers)
            )
    finish(figures, args.out)


if __name__ == "__main__":
    main()
