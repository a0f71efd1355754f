"""The rules a drawn mask must keep, checked again without the code that drew it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.host import Host, load_host
from fcdsynth.masks.job import Drawn, Law, Task, draw_subject
from fcdsynth.masks.placement import place

RULES = ("one component", "exact volume", "in ribbon, band or track", "one hemisphere",
         "no deep grey, ventricle, brainstem or cerebellum")  # fmt: skip


def broken_rules(host: Host, drawn: Drawn) -> list[str]:
    """Names of the rules that a drawn subject breaks."""
    broken = set()
    to_cortex = ndimage.distance_transform_edt(
        host.tissue != Tissue.CORTEX, sampling=host.grid.spacing_mm
    )
    for spec, grown in zip(drawn.specs, drawn.grown, strict=True):
        mask = grown.mask_on(host.grid)
        _, pieces = ndimage.label(mask, np.ones((3, 3, 3)))
        if pieces != 1:
            broken.add(RULES[0])
        wanted = round(spec.volume_ml * 1000 / float(np.prod(host.grid.spacing_mm)))
        if mask.sum() != wanted or spec.size_vox != wanted:
            broken.add(RULES[1])
        track = np.zeros_like(mask)
        track[tuple(grown.vox[grown.on_track].T)] = True
        white = host.tissue == Tissue.WHITE_MATTER
        band = white & (to_cortex <= spec.growth.juxtacortical_mm + 1e-4)
        if (mask & ~((host.tissue == Tissue.CORTEX) | band | (white & track))).any():
            broken.add(RULES[2])
        if len(np.unique(host.right[mask])) != 1:
            broken.add(RULES[3])
        foreign = (Tissue.BACKGROUND, Tissue.CSF, Tissue.DEEP_GREY, Tissue.VENTRICLE,
                   Tissue.INFRATENTORIAL)  # fmt: skip
        if np.isin(host.tissue[mask], foreign).any():
            broken.add(RULES[4])
    return sorted(broken)


def count_broken(
    cohort: Cohort, law: Law, count: int, workers: int
) -> tuple[int, int, dict[str, int], dict[str, int]]:
    """Draw subjects over all hosts of a cohort and check them.

    Returns:
        Number of subjects drawn and of those that break a rule, counts by rule, and counts of
        refused tries by rejection test.
    """
    hosts = [s.id for s in cohort.subjects if not s.is_patient]
    deals: dict[str, list[int]] = {}
    for number in range(count):
        deals.setdefault(hosts[number % len(hosts)], []).append(number)
    found = map_items(partial(_check, cohort.folder, law), list(deals.items()), "drawing", workers)
    rules: dict[str, int] = {}
    refused: dict[str, int] = {}
    n = bad = 0
    for part in found:
        for broken, faults in part:
            n, bad = n + 1, bad + bool(broken)
            for rule in broken:
                rules[rule] = rules.get(rule, 0) + 1
            for test, times in faults.items():
                refused[test] = refused.get(test, 0) + times
    return n, bad, rules, refused


def _check(
    folder: Path, law: Law, deal: tuple[str, list[int]]
) -> list[tuple[list[str], dict[str, int]]]:
    name, numbers = deal
    table = Cohort.read(folder)
    placement = place(load_host(table, table[name]), law.prior)
    out = []
    for number in numbers:
        drawn = draw_subject(placement, law, Task(number, "lesion", f"draw-{number}"))
        out.append((broken_rules(placement.host, drawn), dict(drawn.refused)))
    return out
