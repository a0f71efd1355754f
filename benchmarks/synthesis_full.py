"""Full mode on anatomies that the generator has not seen: labels found again, whole-brain KID.

A generator is fitted in full mode alone on the training subjects of ten of the 14 label maps.
Lesions and healthy regions are drawn in the controls of the other four and whole brains are
drawn for them. Cortex and white matter are found again by T1w alone
(`fcdsynth.synthesis.proof.anatomy`) in the drawn brain and in the host's own image: the gap is
how much lower the drawn brain's Dice is. Features of whole brains: `proof.hand.head_features`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from figures import Figures
from synthesis_looks import CONTRASTS, add_mean, host_of

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Split
from fcdsynth.masks.draw import draw
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.proof.distances import distance
from fcdsynth.synthesis.proof.measured import Job, Measured, measure
from fcdsynth.synthesis.proof.sample import Sample
from fcdsynth.synthesis.synthesize import synthesize

HELD_OUT = 4


def anatomy_of(phantom: Path, subject: str) -> str:
    """Which label map a simulated head was made of."""
    truth = phantom / "bids" / "derivatives" / "truth" / subject / f"{subject}_truth.json"
    return str(json.loads(truth.read_text(encoding="utf-8"))["spec"]["anatomy"])


def parted(table: Cohort, phantom: Path, work: Path) -> tuple[Path, Path]:
    """The table without the held-out anatomies, and that of these, all their subjects training.

    Held out are those with the most controls.
    """
    kinds = {s.id: anatomy_of(phantom, s.id) for s in table.subjects}
    controls = [kinds[s.id] for s in table.subjects if not s.is_patient]
    kept_out = set(sorted(set(kinds.values()), key=lambda k: (-controls.count(k), k))[:HELD_OUT])
    fit = table.select(lambda s: kinds[s.id] not in kept_out)
    hosts = table.select(lambda s: kinds[s.id] in kept_out)
    hosts = hosts.with_splits({s.id: Split.TRAIN for s in hosts.subjects})
    folders = work / "full-fit", work / "full-hosts"
    for part, folder in zip((fit, hosts), folders, strict=True):
        part.write(folder)
    return folders


def measure_full(
    figures: Figures, run: Path, hosts: Path, work: Path, lesions: int, trials: int, workers: int
) -> None:
    """Add the figures of full mode.

    Args:
        figures: Where to.
        run: The generator, trained in full mode.
        hosts: Cohort of subjects whose anatomies it has not seen.
        work: Folder to write in.
        lesions: Lesional brains to draw, and as many without a lesion.
        trials: Growths tried at each training lesion by the prior.
        workers: Number of processes.
    """
    drawn = draw(str(hosts), str(work / "full-drawn"), lesions=lesions, controls=lesions, seed=6,
                 growth_trials=trials, workers=workers)  # fmt: skip
    out = synthesize(str(run), str(drawn), str(work / "full"), seed=4, mode="full",
                     checks=Checks(refuse=False), workers=workers)  # fmt: skip
    made, table = Cohort.read(out), Cohort.read(hosts)

    def job(cohort: Cohort, subject, *host) -> Job:
        bare = Cohort(cohort.folder, (), cohort.name)
        return Job(bare, subject, CONTRASTS, 24, False, *host)

    jobs = [job(made, s, Cohort(table.folder, (), table.name), host_of(table, s))
            for s in made.subjects]  # fmt: skip
    real = [job(table, s) for s in table.subjects]
    found = map_items(measure, [*jobs, *real], "measuring brains", workers)
    ours, theirs = found[: len(jobs)], found[len(jobs) :]
    gaps = {t: [m.host_dice[t] - m.dice[t] for m in ours] for t in ("cortex", "white")}
    worst = max(gaps, key=lambda t: float(np.mean(gaps[t])))
    add_mean(figures, "full_cortex_dice_gap", gaps[worst], 23, at_most=0.05)
    for tissue in gaps:
        figures.add_values(f"full_dice_{tissue}", [m.dice[tissue] for m in ours], "mean")
        figures.add_values(f"full_dice_{tissue}_host", [m.host_dice[tissue] for m in ours], "mean")
    sides = [_sample(ours, [host_of(table, s).id for s in made.subjects]),
             _sample(theirs, [s.id for s in table.subjects])]  # fmt: skip
    beside = distance("brains", *sides, 200, 19, 0)
    if beside is not None:
        kid = beside.kid
        figures.add("full_brain_kid", kid.mean, beside.n, (kid.low, kid.high))
        figures.add("full_brain_kid_null_high", kid.null_high, beside.n,
                    (kid.null_low, kid.null_high))  # fmt: skip
    figures.notes.append(f"full mode: the gap is that of {worst}")


def _sample(rows: list[Measured], people: list[str]) -> Sample:
    return Sample(np.array([m.head for m in rows]), tuple(frozenset({p}) for p in people))
