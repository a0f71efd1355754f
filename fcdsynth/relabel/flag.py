"""The verb flag: rank the masks of a prepared cohort that are probably wrong."""

from __future__ import annotations

from pathlib import Path

import yaml

from fcdsynth.core.cohort import TABLE as COHORT_TABLE
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import map_items, track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin
from fcdsynth.core.volume import read_volume
from fcdsynth.relabel.channels import ChannelSettings
from fcdsynth.relabel.facts import MASK_KEY, MaskFacts, read_facts
from fcdsynth.relabel.further import measure_further
from fcdsynth.relabel.fusion import RULES, Suspicion, Verdict, rank_masks
from fcdsynth.relabel.gate import GateSettings, check_masks
from fcdsynth.relabel.learned import FEWEST_MASKS, LearnedSettings, judge
from fcdsynth.relabel.planting.copies import Measured, Task, measure_subject
from fcdsynth.relabel.profile.maps import IMAGES, LABEL_FREE
from fcdsynth.relabel.rounds import STATE, begin, read_state, remember, tell
from fcdsynth.relabel.tables import (
    GATE,
    QUEUE,
    SECOND_READER,
    SUMMARY,
    place,
    write_gate,
    write_queue,
    write_second_reader,
    write_summary,
)
from fcdsynth.review.pictures import three_planes, write_png

PICTURES = "pictures"
_READ = (MASK_KEY, "brain", "transforms", "tissue", "lobes", *IMAGES, *LABEL_FREE)


def flag(
    cohort: str,
    detections: str,
    out: str,
    threshold: float | None = None,
    link_mm: float = 3.0,
    rim_mm: float = 1.5,
    debris_vox: int = 5,
    twin_dice: float = 0.95,
    outside_share: float = 0.05,
    volume_deviations: float = 3.0,
    lobe_share: float = 0.1,
    rule: str = "auto",
    copies: int = 1,
    error_share: float = 0.2,
    mix: str = "realistic",
    trees: int = 300,
    fits: str | None = None,
    channels: str = "",
    previous: str | None = None,
    ledger: str | None = None,
    seed: int = 0,
    workers: int = 1,
    pictures: int = 10,
    convention: str = "radiological",
) -> Path:
    """Rank the lesion masks of a prepared cohort by how likely they are wrong, with a cause.

    First a gate that needs no model (empty, copied, on another grid, outside the brain, side and
    lobe against the participants table, unusual volume). Then the support of every mask in
    probability maps of models that never saw its subject, and, by the rule ``learned``, its
    likeness to copies of the cohort's own masks with planted errors, which never leave memory.
    The output folder holds queue.csv (all masks, most suspicious first; p_err is the probability
    that a mask is wrong; the column minutes is left empty for the reviewer), second_reader.csv
    (masks that are doubtful or like no other, which does not make them wrong), gate.csv (every
    finding of the gate), flag.json (settings, counts, what to bear in mind) and pictures of the
    first masks. Exact truth masks of simulated patients are never read. Synthetic subjects are
    passed over.

    Args:
        cohort: Folder or table of a prepared cohort.
        detections: Folder written by fcdsynth detect with out_of_fold on.
        out: Output folder.
        threshold: Probability that a place outside the mask must reach to count as overlooked;
            the detector's own operating point when not given.
        link_mm: Places nearer to the mask than this, in mm, belong to it.
        rim_mm: Width of the rims inside and outside the outline, in mm; at least one voxel.
        debris_vox: Components with fewer voxels are reported and not scored.
        twin_dice: Dice overlap in voxel space above which two subjects' masks count as copies.
        outside_share: Accepted share of a mask outside the brain.
        volume_deviations: Accepted robust deviations of log volume from the cohort's median.
        lobe_share: Least share of each component in the lobes and on the side that the
            participants table names, where it names them.
        rule: What orders the queue: ``learned`` (forests trained on planted errors, from 12
            masks on), ``deviation`` (the worst channel's robust deviations from the cohort's
            median), ``percentile`` (the same by percentiles), or ``auto``: learned where there
            are masks enough, else deviation.
        copies: How often each kind of error is planted in each mask, for ``learned``.
        error_share: Share of masks believed to be wrong before any review: p_err rests on it.
        mix: How often each error is believed to be made: realistic, or stress (all alike).
        trees: Trees of a forest.
        fits: Folder of the detector's fits, for what their snapshots tell of each mask: aum,
            memory and forgotten.
        channels: Further channels that count in the learned order, comma separated: margin and
            margin_overlooked (need ``detect --features true``), neighbours, aum, memory,
            forgotten. All that can be measured are listed in queue.csv either way.
        previous: Folder of the last round's flag: its suspicions are remembered.
        ledger: The ledger: its reviews teach, and the scores are written into it; what was
            recorded there must be the masks of this cohort.
        seed: Seed of planted errors and forests.
        workers: Number of processes.
        pictures: How many of the first masks get a picture; 0 for none.
        convention: radiological or neurological, written on every picture.

    Returns:
        The output folder.

    Raises:
        SettingsError: If the maps are not out of fold or a setting is out of range.
        CohortError: If the cohort holds no patient, or a file is absent or damaged.
        RunError: If the folders cannot be read or the output was made otherwise.
    """
    settings = {name: value for name, value in locals().items() if name not in ("out", "workers")}
    if convention not in ("radiological", "neurological") or pictures < 0:
        raise SettingsError(
            "convention, pictures", f"{convention!r}, {pictures}",
            "radiological or neurological, and 0 or more pictures", "Change the setting.",
        )  # fmt: skip
    if rule not in ("auto", *RULES) or copies < 1:
        raise SettingsError(
            "rule, copies", f"{rule!r}, {copies}",
            f"auto, {', '.join(RULES)}, and 1 copy or more", "Change the setting.",
        )  # fmt: skip
    learning = LearnedSettings(trees, error_share, mix, seed)
    counted = [name.strip() for name in channels.split(",") if name.strip()]
    gate = GateSettings(twin_dice, outside_share, volume_deviations, debris_vox, lobe_share)
    table = Cohort.read(cohort).select(lambda subject: subject.origin is not Origin.SYNTHETIC)
    if not any(subject.is_patient for subject in table.subjects):
        raise CohortError(
            table.name, "no real or simulated patient", "patients with lesion masks",
            "Give the prepared cohort whose masks are to be looked at.",
        )  # fmt: skip
    maps = Detections.read(detections)
    _require_out_of_fold(maps.folder)
    if threshold is None:
        threshold = maps.operating_point.threshold
    channel = ChannelSettings(link_mm, rim_mm, threshold, debris_vox)
    known = read_state(ledger)
    settings["reviews"] = len(known.reviews) if known else 0
    inputs = _inputs(table, Path(cohort), maps) + ([Path(previous) / STATE] if previous else [])
    run = Run(out, "flag", settings, inputs)
    if run.complete:
        return run.out
    with run:
        masks = [read_facts(table, subject) for subject in track(table.subjects, "reading masks")]
        scored = [facts for facts in masks if _can_be_scored(facts)]
        if rule == "auto":
            rule = "learned" if len(scored) >= FEWEST_MASKS else "deviation"
        measured = _measure(table, scored, maps, channel, copies * (rule == "learned"), seed,
                            workers)  # fmt: skip
        support = {own[0].subject: own[0].regions for own in measured
                   if own[0].subject in maps.subjects}  # fmt: skip
        findings = check_masks(masks, gate)
        hit = {finding.subject for finding in findings}
        queued = [f for f in masks if f.subject.is_patient or f.subject.id in hit]
        families = {facts.subject.id: facts.subject.family for facts in scored}
        past = begin(previous, known, rule)
        judged = judge(measured, families, past.reviews, learning) if rule == "learned" else None
        given = {facts.subject.id: facts.mask() for facts in scored if not facts.empty}
        further = measure_further(measured, given, maps.folder, maps.subjects,
                                  Path(fits) if fits else None, threshold)  # fmt: skip
        verdicts: dict[str, Verdict] = {}
        now = None
        if judged:
            now, verdicts = remember(past, judged.masks, further, counted, given, known)
        queue = rank_masks([facts.subject.id for facts in queued], support, findings, rule,
                           verdicts)  # fmt: skip
        facts_of = {facts.subject.id: facts for facts in masks}
        names = [
            _draw(
                run.folder, rank, entry, table, facts_of[entry.subject], maps, channel, convention
            )
            if rank <= pictures
            else ""
            for rank, entry in enumerate(track(queue, "drawing pictures"), start=1)
        ]
        rests = {entry.subject: now.rests(entry.subject) for entry in queue} if now else {}
        write_queue(run.folder / QUEUE, queue, facts_of, names, len(support), further, rests)
        write_second_reader(run.folder / SECOND_READER, further)
        write_gate(run.folder / GATE, findings)
        write_summary(run.folder / SUMMARY, queue, findings, masks, maps, support, channel, rule,
                      judged)  # fmt: skip
        if now and judged:
            now.write(run.folder)
            if ledger:
                order = [entry.subject for entry in queue]
                tell(ledger, now, given, judged.masks, further, order, maps.folder.name)
    return run.out


def _require_out_of_fold(folder: Path) -> None:
    path = folder / "config.yaml"
    record = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(record, dict) or record.get("out_of_fold") is not True:
        raise SettingsError(
            f"{folder} out_of_fold", "maps of models that may have trained on these masks",
            "each subject's map made by models that never saw it",
            "Run fcdsynth detect again with --out_of_fold true, from fold-wise trainings.",
        )  # fmt: skip


def _inputs(cohort: Cohort, given: Path, maps: Detections) -> list[Path]:
    """What decides the result: table, masks, images, prepared maps, detections; no truth."""
    files = [given if given.suffix == ".csv" else given / COHORT_TABLE, maps.folder]
    for subject in cohort.subjects:
        keys = _READ if subject.has(MASK_KEY) else ()
        files += [cohort.path(subject, key) for key in keys if subject.has(key)]
    return files


def _can_be_scored(facts: MaskFacts) -> bool:
    """Whether a mask lies on its image's grid, so that maps can be compared with it."""
    on_image = facts.grid is not None and (
        facts.image_grid is None or facts.image_grid.close_to(facts.grid)
    )
    return facts.subject.is_patient and on_image


def _measure(
    cohort: Cohort, scored: list[MaskFacts], maps: Detections, settings: ChannelSettings,
    copies: int, seed: int, workers: int,
) -> list[tuple[Measured, ...]]:  # fmt: skip
    donors = [facts.subject.id for facts in scored if not facts.empty]
    tasks = []
    for facts in scored:
        subject = facts.subject
        seen = subject.id in maps.subjects
        tasks.append(
            Task(cohort, subject, str(maps.probability_path(subject.id)) if seen else None,
                 tuple(name for name in donors if name != subject.id), settings,
                 0 if facts.empty else copies, seed)
        )  # fmt: skip
    return map_items(measure_subject, tasks, "measuring masks", workers)


def _draw(
    folder: Path,
    rank: int,
    entry: Suspicion,
    cohort: Cohort,
    facts: MaskFacts,
    maps: Detections,
    settings: ChannelSettings,
    convention: str,
) -> str:
    subject = facts.subject
    centre = place(entry, facts)[2]
    if centre is None or not subject.has("t1w"):
        return ""
    t1w = read_volume(cohort.path(subject, "t1w"))
    flair = read_volume(cohort.path(subject, "flair")) if subject.has("flair") else None
    outlines = {} if facts.empty else {"mask": facts.mask()}
    levels = {}
    if subject.id in maps.subjects:
        label = f"detector, probability {settings.threshold:.2g}"
        outlines[label] = read_volume(maps.probability_path(subject.id))
        levels[label] = settings.threshold
    title = f"{rank}.  {subject.id}   {entry.cause.value if entry.cause else 'not scored'}"
    figure = three_planes(t1w, flair, outlines, centre, title, facts.midplane, levels, convention)
    name = f"{PICTURES}/{rank:03d}_{subject.id}.png"
    write_png(folder / name, figure)
    return name
