"""Which link of the chain holds the study back? The truth in its place, on the development world.

The world, the detectors of 35 + 35 and of 70 + 70 and how they are looked at are those of
`detector` (its ``--work`` is taken as it is, or made). Each link trains the same detector for as
many steps on the 35 + 35 and something more:

    pool        35 + 35 synthetic subjects of our own, by a generator of these 35 + 35
    carvemix    35 + 35 of CarveMix
    heads       35 + 35 more simulated heads of the same four anatomies: what a perfect generator,
                mask model and lesion model would give without new anatomies
    controls    the 35 controls of four other anatomies: new anatomies without new lesions
    nothing     nothing; another seed tells how much two trainings differ

``--links`` says which; what is done is kept, and figures name the link. No study's world is
touched. Not a stage of its own: what it told is in docs/study.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from dataclasses import replace
from pathlib import Path

import torch
from detector import Bench, Size, looked
from detector_froc import add_difference, add_sensitivity
from detector_world import FCDD1, FCDD3
from figures import Figures, arguments, finish
from fits import fitted_apart

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.masks.draw import draw
from fcdsynth.phantom.parted import Part
from fcdsynth.phantom.phantom import phantom
from fcdsynth.synthesis.carvemix import carvemix
from fcdsynth.synthesis.synthesize import synthesize

SEED = 1104
DRAWN = 43  # a fifth more than is needed: some pairs are refused


def made(link: str, bench: Bench, anatomies: Path) -> Cohort:
    """The subjects that a link adds."""
    place, table = bench.work / "links" / link, bench.tables[FCDD1]
    if link in ("controls", "nothing"):
        few = {s.id for s in Cohort.read(table).of_split(Split.TRAIN).subjects}
        many = Cohort.read(bench.tables[FCDD3])
        return many.select(lambda s: link == "controls" and s.split is Split.TRAIN
                           and not s.is_patient and s.id not in few)  # fmt: skip
    if link == "heads":
        names = tuple(f"training_seg_{k:02d}.nii.gz" for k in range(1, 5))
        phantom(str(place), seed=SEED, workers=bench.workers, sites=3, spacing=2.0,
                parts=[Part(names, FCDD1, FCDD1, "train")], anatomies=str(anatomies),
                difficulty="study", prepared=True, report=False)  # fmt: skip
        heads = Cohort.read(place)
        return replace(heads, subjects=tuple(
            replace(s, id=s.id.replace("sub-0", "sub-9")) for s in heads.subjects))  # fmt: skip
    if link == "carvemix":
        carvemix(str(table), str(place), FCDD1, FCDD1, workers=bench.workers)
        return Cohort.read(place)
    generator = fitted_apart(bench.work / "links" / "generator", table,
                             "configs/synthesis/phantom-2mm.yaml")  # fmt: skip
    drawn = place.with_name(f"{link}-drawn")
    draw(str(table), str(drawn), lesions=DRAWN, controls=DRAWN, workers=bench.workers)
    synthesize(str(generator), str(drawn), str(place), workers=bench.workers)
    return Cohort.read(place)


def training_table(link: str, bench: Bench, anatomies: Path) -> Path:
    """The 35 + 35 and what the link adds."""
    out = bench.work / "links" / f"{link}-training"
    pool = made(link, bench, anatomies)
    chosen = [s for patients in (True, False)
              for s in [s for s in pool.subjects if s.is_patient is patients][:FCDD1]]  # fmt: skip
    table = Cohort.read(bench.tables[FCDD1])
    listed = {s.id for s in chosen}
    table = table.select(lambda s: s.id not in listed)  # the larger table's rows are there, unused
    more = replace(pool, subjects=tuple(replace(s, split=Split.TRAIN) for s in chosen))
    table.merged(more).write(out)
    return out


def main() -> None:
    """Run it."""
    args = arguments(__doc__ or "", links="pool,heads,carvemix,controls,nothing")
    torch.set_num_threads(1)
    if args.work is None:
        raise SystemExit("--work FOLDER is needed: the folder of benchmarks/detector.py")
    size = Size()
    bench = Bench(args.work, size, args.data, args.workers, quick=False)
    few, many = (bench.seen[n] for n in (size.small, size.large))
    figures = Figures("study-links", args.quick)
    add_sensitivity(figures, "fcdd1", few)
    add_sensitivity(figures, "fcdd3", many)
    add_difference(figures, "gap", many, few)
    for link in args.links.split(","):
        table = training_table(link, bench, args.data / "anatomies")
        place = bench.work / "links"
        run = fitted_apart(place / f"{link}-fit", table, size.config, "--trainer.max_steps",
                           str(size.steps), "--data.cache", str(bench.work / "cache"),
                           "--seed_everything", "7" if link == "nothing" else "0")  # fmt: skip
        found = looked(run, table, place / f"{link}-found")
        add_sensitivity(figures, link, found)
        add_difference(figures, f"{link}_gain", found, few)
        figures.show()
    finish(figures, args.out)


if __name__ == "__main__":
    main()
