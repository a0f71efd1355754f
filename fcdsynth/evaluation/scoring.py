"""From the maps of one subject to its record."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.evaluation.calibration import voxel_bins
from fcdsynth.evaluation.cases import (
    ClusterRecord,
    Found,
    LesionRecord,
    Point,
    SubjectRecord,
)
from fcdsynth.evaluation.chance import Chance, Places, chance_level
from fcdsynth.evaluation.matching import Match, match
from fcdsynth.evaluation.pairs import LesionField, Pairs, Voxels, measure_pairs
from fcdsynth.evaluation.reading import (
    Maps,
    Scoring,
    read_brain,
    read_maps,
    read_reference,
    read_ribbon,
)
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import SiteProbability, mirror_matrix, mirrored_site, random_site
from fcdsynth.evaluation.surface import surface_distances
from fcdsynth.evaluation.whereabouts import Whereabouts


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
    maps = read_maps(task)
    lesions, reference = read_reference(task, maps.grid)
    fields = [LesionField.of(voxels, maps.grid) for voxels in lesions]
    pairs = measure_pairs(fields, maps.clusters, maps.grid)
    scores = [d.score for d in maps.detections]
    matches = {rule: match(rule, pairs, scores) for rule in Rule}
    brain = read_brain(task, maps.grid)
    where = Whereabouts(None, None)
    if lesions or maps.clusters:
        where = Whereabouts.read(task, brain, maps.grid)
    sites = _Sites.none(len(lesions))
    if lesions and (brain is not None or maps.probability is not None):
        sites = _Sites.of(task, maps, lesions, fields, reference, brain, where, scores)
    records = []
    distances: dict[tuple[int, int], tuple[float, float]] = {}
    for number, lesion in enumerate(fields):
        lobe, side = where.lobe(lesion.voxels, maps.grid)
        inside = None if brain is None else float(brain[tuple(lesion.voxels.T)].mean())
        records.append(
            LesionRecord(
                number + 1,
                len(lesion.voxels),
                len(lesion.voxels) * maps.grid.voxel_ml,
                _point(lesion.centre_mm),
                lobe or (subject.lobe if "," not in subject.lobe else ""),
                side or subject.side,
                inside,
                sites.site[number],
                sites.mirror[number],
                sites.random[number],
                _fates(number, lesion, maps, pairs, matches, sites.chance, distances),
            )
        )
    return SubjectRecord(
        subject.id,
        subject.group,
        subject.origin.value,
        subject.site,
        subject.scanner,
        subject.subtype,
        subject.lobe,
        subject.mri_negative,
        task.flair_kind(),
        subject.family,
        task.seen_site,
        task.reference_key if lesions else "",
        tuple(records),
        tuple(_cluster_records(maps, pairs, matches, where)),
        _whole_dice(lesions, maps.clusters, pairs) if lesions else None,
        sites.whole_site,
        sites.whole_mirror,
        maps.ranked,
        brain is not None,
        sites.mirror_by,
        sites.random_in,
        None if sites.chance is None else sites.chance.subject,
        None if maps.probability is None else voxel_bins(maps.probability, reference, brain),
    )


@dataclass(frozen=True)
class _Sites:
    """What the map says at the lesions and at their sites of comparison, and the luck of it."""

    site: Sequence[SiteProbability | None]
    mirror: Sequence[SiteProbability | None]
    random: Sequence[SiteProbability | None]
    whole_site: SiteProbability | None = None
    whole_mirror: SiteProbability | None = None
    mirror_by: str = ""
    random_in: str = ""
    chance: Chance | None = None

    @classmethod
    def none(cls, lesions: int) -> _Sites:
        empty = [None] * lesions
        return cls(empty, empty, empty)

    @classmethod
    def of(
        cls,
        task: Scoring,
        maps: Maps,
        lesions: Sequence[Voxels],
        fields: Sequence[LesionField],
        reference: NDArray[np.bool_],
        brain: NDArray[np.bool_] | None,
        where: Whereabouts,
        scores: Sequence[float],
    ) -> _Sites:
        everything = np.concatenate(lesions)
        empty = [None] * len(lesions)
        site: Sequence[SiteProbability | None] = empty
        whole_site = None
        if maps.probability is not None:
            site = [SiteProbability.of(maps.probability[tuple(v.T)]) for v in lesions]
            whole_site = SiteProbability.of(maps.probability[tuple(everything.T)])
        if brain is None:
            return cls(site, empty, empty, whole_site)
        biggest = max(len(voxels) for voxels in [*maps.clusters, *lesions])
        anywhere = Places(brain, maps.grid, biggest)
        rng = np.random.default_rng([task.seed, zlib.crc32(task.subject.id.encode())])
        chance = None
        if task.chance_draws:
            sizes = [len(voxels) for voxels in maps.clusters]
            chance = chance_level(fields, sizes, scores, anywhere, task.chance_draws, rng)
        probability = maps.probability
        if probability is None:
            return cls(site, empty, empty, whole_site, chance=chance)
        seeds = read_ribbon(task, brain, maps.grid)
        cortex = anywhere if seeds is None else Places(brain, maps.grid, biggest, seeds)
        flip = mirror_matrix(where.to_mni, where.middle_mm)
        mirror_by = "brain centre" if where.to_mni is None else "mni"

        def mirrored(voxels: Voxels) -> SiteProbability | None:
            return mirrored_site(probability, brain, reference, maps.grid, voxels, flip)

        random = [
            random_site(probability, reference, len(v), cortex, task.chance_draws, rng)
            for v in lesions
        ]
        random_in = "" if not task.chance_draws else "brain" if seeds is None else "ribbon"
        return cls(
            site, [mirrored(v) for v in lesions], random, whole_site, mirrored(everything),
            mirror_by, random_in, chance,
        )  # fmt: skip


def _point(mm: NDArray[np.float64]) -> Point:
    return (float(mm[0]), float(mm[1]), float(mm[2]))


def _fates(
    number: int,
    lesion: LesionField,
    maps: Maps,
    pairs: Pairs,
    matches: Mapping[Rule, Match],
    chance: Chance | None,
    distances: dict[tuple[int, int], tuple[float, float]],
) -> dict[Rule, Found]:
    fates = {}
    for rule, outcome in matches.items():
        luck = None if chance is None else chance.lesions[rule][number]
        column = outcome.found_by[number]
        if column is None:
            fates[rule] = Found(None, None, None, None, None, luck)
            continue
        winner, pair = maps.detections[column], (number, column)
        if pair not in distances:
            distances[pair] = surface_distances(lesion.voxels, maps.clusters[column], maps.grid)
        dice = float(pairs.dice[number, column])
        fates[rule] = Found(winner.cluster, winner.score, dice, *distances[pair], luck)
    return fates


def _cluster_records(
    maps: Maps,
    pairs: Pairs,
    matches: Mapping[Rule, Match],
    where: Whereabouts,
) -> list[ClusterRecord]:
    records = []
    for column, (listed, voxels) in enumerate(zip(maps.detections, maps.clusters, strict=True)):
        gap = float(pairs.gap_mm[:, column].min(initial=np.inf))
        centre_mm = maps.grid.to_mm(voxels.mean(axis=0))
        lobe, side = where.lobe(voxels, maps.grid)
        records.append(
            ClusterRecord(
                listed.cluster,
                listed.score,
                len(voxels),
                len(voxels) * maps.grid.voxel_ml,
                _point(centre_mm),
                where.mni_mm(centre_mm),
                lobe,
                side or where.side(centre_mm),
                gap if np.isfinite(gap) else None,
                {rule: outcome.roles[column] for rule, outcome in matches.items()},
            )
        )
    return records


def _whole_dice(lesions: Sequence[Voxels], clusters: Sequence[Voxels], pairs: Pairs) -> float:
    # Lesions are disjoint and so are clusters: shared voxels add up.
    total = sum(len(voxels) for voxels in [*lesions, *clusters])
    return float(2 * pairs.shared_vox.sum() / total)
