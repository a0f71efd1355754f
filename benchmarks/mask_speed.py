"""How fast masks come on one core, and the same bytes from runs in another order.

`masks_per_second` is whole draws by `fcdsynth.masks.job.draw_subject`: choice of place, growth,
every rejection test, and the tries that these refuse; the host's maps are ready, nothing is
written. `masks_per_second_growth_alone` is `fcdsynth.masks.growing.growth.grow` on the specs that
were kept.

`speedup_vs_heap` compares `grow` with `heap_growth`: Dijkstra's algorithm by `heapq` over
dictionaries, which decides voxel by voxel where the front may step. `speedup_vs_list_heap`
compares it with `list_heap_growth`, the same with flat lists and the project's own step map, which
is as much as plain Python can be made to do; no goal was set against it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figures
from heap_growth import heap_growth, list_heap_growth

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split, Subject
from fcdsynth.masks.draw import draw
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import load_host
from fcdsynth.masks.job import Law, Task, draw_subject
from fcdsynth.masks.placement import Placement, draw_spec, draw_wanted, place
from fcdsynth.masks.spec import LesionSpec

MOST_HOSTS = 3
# Voxels that come at one time, to the last bit, may change places at the end of the front.
LARGEST_SHARE_OF_TIES = 1e-4
_RUNS = (("growth", 1), ("transplant", 1), ("growth", None))


def add_speed(figures: Figures, cohort: Cohort, law: Law, timed: int, compared: int) -> None:
    """Masks a second, and how much faster than plain Python.

    Args:
        figures: Where the figures go.
        cohort: Its first controls on three label maps are drawn in.
        law: A law of growth.
        timed: Masks drawn, over all hosts.
        compared: Specs grown by plain Python too, over all hosts.
    """
    whole, alone = [], []
    plain: list[float] = []
    listed: list[float] = []
    unlike = [0, 0, 0]
    hosts = _hosts(cohort)
    each = timed // len(hosts)
    for subject in hosts:
        placement = place(load_host(cohort, subject), law.prior)
        draw_subject(placement, law, Task(10**6, "lesion", "warm"))
        specs: list[LesionSpec] = []
        began = time.process_time()
        for number in range(each):
            specs += draw_subject(placement, law, Task(number, "lesion", f"draw-{number}")).specs
        whole.append(len(specs) / (time.process_time() - began))
        began = time.process_time()
        for spec in specs:
            grow(placement.host, spec)
        alone.append(len(specs) / (time.process_time() - began))
        found = _against_plain(placement, law, compared // len(hosts))
        plain += found[0]
        listed += found[1]
        unlike = [a + b for a, b in zip(unlike, found[2], strict=True)]
    n = each * len(hosts)
    _add_rate(figures, "masks_per_second", whole, n, at_least=20)
    for number, rate in enumerate(whole, start=1):
        figures.add(f"masks_per_second_host_{number}", rate, each, (0, 0))
    _add_rate(figures, "masks_per_second_growth_alone", alone, n)
    figures.add_values("speedup_vs_heap", plain, "median", at_least=10)
    figures.add_values("speedup_vs_list_heap", listed, "median")
    differ, voxels, total = unlike
    figures.add("heap_masks_that_differ", differ, 2 * len(plain), (0, 0))
    figures.add("heap_voxels_that_differ", voxels / total, total, (0, 0),
                at_most=LARGEST_SHARE_OF_TIES)  # fmt: skip


def _hosts(cohort: Cohort) -> list[Subject]:
    first: dict[str, Subject] = {}
    for subject in cohort.subjects:
        if not subject.is_patient:
            first.setdefault(subject.family or subject.id, subject)
    return list(first.values())[:MOST_HOSTS]


def _add_rate(figures: Figures, name: str, rates: Sequence[float], n: int, **goal: Any) -> None:
    """All masks over all time (each host drew as many), with the slowest and fastest host."""
    value = len(rates) / sum(1 / rate for rate in rates)
    figures.add(name, value, n, (min(rates), max(rates)), **goal)


def _against_plain(
    placement: Placement, law: Law, count: int
) -> tuple[list[float], list[float], list[int]]:
    """Ratios of time against both heaps; and masks and voxels that differ, and voxels in all."""
    host, rng = placement.host, np.random.default_rng(0)
    plain, listed, unlike = [], [], [0, 0, 0]
    while len(plain) < count:
        wanted = draw_wanted(law.prior, rng, "lesion", law.prior.size.draw(rng), "growth")
        growth = law.prior.growths.draw(rng, wanted.volume_ml)
        spec = draw_spec(placement, rng, replace(wanted, track=False), growth)
        try:
            ours, grown = _timed(lambda s=spec: grow(host, s))
        except NoRoom:  # a crumb of cortex
            continue
        for ratios, other in ((plain, heap_growth), (listed, list_heap_growth)):
            seconds, voxels = _timed(lambda s=spec, f=other: f(host, s))
            ratios.append(seconds / ours)
            away = len({*map(tuple, grown.vox.tolist())} ^ set(voxels))
            unlike = [unlike[0] + bool(away), unlike[1] + away, unlike[2] + 2 * spec.size_vox]
    return plain, listed, unlike


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def add_same_bytes(figures: Figures, cohort: Cohort, prior: Path, scratch: Path) -> None:
    """Files of `fcdsynth draw` that differ between one process and two with all rows reversed.

    Four hosts and six patients; growth, transplants, and as many lesions as the prior draws.

    Args:
        figures: Where the figure goes.
        cohort: The cohort.
        prior: A prior to draw by.
        scratch: Folder for the runs, on the same level as the cohort's.
    """
    few = [s for s in cohort.subjects if not s.is_patient][:4]
    few += [s for s in cohort.subjects if s.is_patient][:6]
    differ = n = 0
    tables = []
    for name, order in (("in-order", np.arange(len(few))),
                        ("reversed", np.arange(len(few))[::-1])):  # fmt: skip
        rows = tuple(replace(few[i], split=Split.TRAIN) for i in order)
        table = Cohort(cohort.folder, rows, "few")
        table.write(scratch / name)
        tables.append(scratch / name)
    for method, per_subject in _RUNS:
        runs = [
            _hashes(draw(str(table), str(scratch / f"{table.name}-{method}-{per_subject}"),
                         lesions=6, controls=2, seed=3, method=method, per_subject=per_subject,
                         prior=str(prior), workers=workers))
            for workers, table in enumerate(tables, start=1)
        ]  # fmt: skip
        names = {*runs[0], *runs[1]}
        differ += sum(runs[0].get(name) != runs[1].get(name) for name in names)
        n += len(names)
    figures.add("files_that_differ", differ, n, (0, 0), at_most=0)


def _hashes(out: Path) -> dict[str, str]:
    """Hash of every file but those that name the command and the time."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("provenance.json", "config.yaml")
    }
