"""From the maps of one subject to its record."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.detection import Detection
from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.cases import ClusterRecord, Found, LesionRecord, SubjectRecord
from fcdsynth.evaluation.chance import Chance, Places, chance_level
from fcdsynth.evaluation.matching import Match, match
from fcdsynth.evaluation.pairs import LesionField, Pairs, Voxels, measure_pairs
from fcdsynth.evaluation.reading import (
    Scoring,
    read_brain,
    read_clusters,
    read_mirror,
    read_probability,
    read_reference,
)
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import SiteProbability, mirrored_site, random_site


def score_subject(task: Scoring) -> SubjectRecord:
    """Measure one subject.

    Volumes are turned to the nearest RAS orientation first, so that the same image stored with
    other axes gives the same numbers.

    Args:
        task: The subject with its paths.

    Raises:
        CohortError: If a patient's reference is empty, a control's is not, or probabilities
            leave [0, 1].
        RunError: If cluster map and cluster table disagree.
        GeometryError: If the brain mask does not meet the map.
    """
    subject = task.subject
    volume = read_probability(task)
    probability, grid = volume.array, volume.grid
    clusters = read_clusters(task)
    scores = [d.score for d in task.detections]
    lesions, reference = read_reference(task, grid)
    fields = [LesionField.of(voxels, grid) for voxels in lesions]
    pairs = measure_pairs(fields, clusters, grid)
    matches = {rule: match(rule, pairs, scores) for rule in Rule}
    chance: Chance | None = None
    records: tuple[LesionRecord, ...] = ()
    whole_site = whole_mirror = None
    mirror_by = ""
    if fields:
        brain = read_brain(task, grid)
        flip, mirror_by = read_mirror(task, brain, grid)
        biggest = max(len(voxels) for voxels in [*clusters, *lesions])
        places = Places(brain, grid, biggest)
        rng = np.random.default_rng([task.seed, zlib.crc32(subject.id.encode())])
        if task.chance_draws:
            sizes = [len(voxels) for voxels in clusters]
            chance = chance_level(fields, sizes, scores, places, task.chance_draws, rng)
        records = tuple(
            LesionRecord(
                number + 1,
                len(field.voxels),
                len(field.voxels) * grid.voxel_ml,
                _point(field.centre_mm),
                float(brain[tuple(field.voxels.T)].mean()),
                SiteProbability.of(probability[tuple(field.voxels.T)]),
                mirrored_site(probability, brain, reference, grid, field.voxels, flip),
                random_site(
                    probability, reference, len(field.voxels), places, task.chance_draws, rng
                ),
                _fates(number, task.detections, pairs, matches, chance),
            )
            for number, field in enumerate(fields)
        )
        everything = np.concatenate(lesions)
        whole_site = SiteProbability.of(probability[tuple(everything.T)])
        whole_mirror = mirrored_site(probability, brain, reference, grid, everything, flip)
    return SubjectRecord(
        subject.id,
        subject.group,
        subject.origin.value,
        subject.site,
        subject.scanner,
        subject.subtype,
        subject.lobe,
        subject.mri_negative,
        subject.has("flair"),
        task.reference_key if fields else "",
        records,
        tuple(_cluster_records(task.detections, clusters, pairs, matches, grid)),
        _whole_dice(lesions, clusters, pairs) if fields else None,
        whole_site,
        whole_mirror,
        mirror_by,
        None if chance is None else chance.subject,
    )


def _point(mm: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(mm[0]), float(mm[1]), float(mm[2]))


def _fates(
    number: int,
    detections: Sequence[Detection],
    pairs: Pairs,
    matches: Mapping[Rule, Match],
    chance: Chance | None,
) -> dict[Rule, Found]:
    fates = {}
    for rule, outcome in matches.items():
        luck = None if chance is None else chance.lesions[rule][number]
        column = outcome.found_by[number]
        if column is None:
            fates[rule] = Found(None, None, None, luck)
        else:
            winner = detections[column]
            dice = float(pairs.dice[number, column])
            fates[rule] = Found(winner.cluster, winner.score, dice, luck)
    return fates


def _cluster_records(
    detections: Sequence[Detection],
    clusters: Sequence[Voxels],
    pairs: Pairs,
    matches: Mapping[Rule, Match],
    grid: Grid,
) -> list[ClusterRecord]:
    records = []
    for column, (listed, voxels) in enumerate(zip(detections, clusters, strict=True)):
        gap = float(pairs.gap_mm[:, column].min(initial=np.inf))
        records.append(
            ClusterRecord(
                listed.cluster,
                listed.score,
                len(voxels),
                len(voxels) * grid.voxel_ml,
                _point(grid.to_mm(voxels.mean(axis=0))),
                gap if np.isfinite(gap) else None,
                {rule: outcome.roles[column] for rule, outcome in matches.items()},
            )
        )
    return records


def _whole_dice(lesions: Sequence[Voxels], clusters: Sequence[Voxels], pairs: Pairs) -> float:
    # Lesions are disjoint and so are clusters: shared voxels add up.
    total = sum(len(voxels) for voxels in [*lesions, *clusters])
    return float(2 * pairs.shared_vox.sum() / total)
