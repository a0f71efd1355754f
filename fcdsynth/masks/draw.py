"""Draw lesion masks in controls, by a prior fitted on training patients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.masks.checks import Limits
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import load_host
from fcdsynth.masks.job import Job, work
from fcdsynth.masks.laws.fit import fit_prior
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import Growth, LesionSpec

PUBLISHED = "published"
_FROM_HOST = ("t1w", "flair", "brain", "tissue", "depth", "transforms")
_READ = ("tissue", "brain", "depth", "transforms")


def draw(
    cohort: str,
    out: str,
    lesions: int | None = None,
    controls: int | None = None,
    seed: int = 0,
    prior: str | None = None,
    hosts: list[str] | None = None,
    median_ml: float | None = None,
    sigma_ln: float | None = None,
    fwhm_mm: float = 16.0,
    lobe_weight: float | None = None,
    growth: Growth = Growth(),  # noqa: B008 (frozen)
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    workers: int = 1,
) -> Path:
    """Draw lesion masks in controls, from a prior fitted on the training patients' masks.

    Writes a cohort of synthetic subjects that still lack images of their own: each row names
    its host's volumes and tissue maps and holds the drawn region, its soft map and its spec;
    lesional rows hold it as lesion too. Also writes prior.json, refusals.json, summary.json.

    Args:
        cohort: A prepared cohort. Training subjects are those of split train, or everyone
            when no subject has a split.
        out: Folder of the drawn cohort.
        lesions: Number of lesional subjects; as many as training patients by default.
        controls: Number of subjects that get a region but no lesion; as many as lesional
            ones by default.
        seed: Seed of every draw.
        prior: A prior.json to use instead of fitting, or the word published.
        hosts: Ids of the controls to draw in; all training controls by default.
        median_ml: Median lesion volume in ml instead of the prior's.
        sigma_ln: Standard deviation of ln volume instead of the prior's.
        fwhm_mm: Bandwidth of the fitted site law in mm.
        lobe_weight: Weight in [0, 1] of the published lobe counts in the fitted site law;
            20 / (20 + number of lesions) by default.
        growth: How masks grow.
        limits: Thresholds of the rejection tests.
        workers: Number of processes.

    Returns:
        The output folder.

    Raises:
        CohortError: If there is no host or nothing to draw, or a host refuses every try.
        LeakageError: If a host or a patient behind the prior is a validation or test subject.
        SettingsError: If a setting is out of range.
    """
    table = Cohort.read(cohort)
    patients, chosen = _training(table, hosts)
    n_lesions = len(patients) if lesions is None else lesions
    n_controls = n_lesions if controls is None else controls
    if min(n_lesions, n_controls) < 0 or n_lesions + n_controls == 0:
        raise SettingsError("lesions", f"{n_lesions} lesions and {n_controls} controls",
                            "at least one mask to draw", "Give --lesions.")  # fmt: skip
    read = [table.path(s, key) for s in chosen for key in _READ if s.has(key)]
    if prior is None:
        read += [table.path(s, "lesion") for s in patients]
    elif prior != PUBLISHED:
        read.append(Path(prior))
    settings = {
        "cohort": cohort, "lesions": n_lesions, "controls": n_controls, "prior": prior,
        "hosts": hosts, "median_ml": median_ml, "sigma_ln": sigma_ln, "fwhm_mm": fwhm_mm,
        "lobe_weight": lobe_weight, "growth": growth, "limits": limits,
    }  # fmt: skip
    run = Run(out, "draw", settings, [table.folder / TABLE, *read], seed)
    if run.complete:
        return run.out
    law = _prior(table, patients, prior, fwhm_mm, lobe_weight)
    _refuse_held_out(table, law.fitted_on, "a patient behind the prior")
    given: dict[str, Any] = {"median_ml": median_ml, "sigma_ln": sigma_ln}
    size = replace(law.size, **{name: v for name, v in given.items() if v is not None})
    law = replace(law, size=size)
    with run:
        jobs = _share(table, chosen, run, n_lesions, n_controls, seed, law, growth, limits)
        drawn = [row for rows in map_items(work, jobs, "drawing masks", workers) for row in rows]
        drawn.sort(key=lambda row: str(row["id"]))
        rows = tuple(_row(table, run.folder, record) for record in drawn)
        Cohort(run.folder, rows, f"{table.name}-drawn", fitted_on=law.fitted_on).write()
        law.write(run.folder / "prior.json")
        _write(run.folder / "refusals.json", _refusals(drawn))
        _write(run.folder / "summary.json", _summary(drawn))
    return run.out


def execute(cohort: str, spec: str) -> Grown:
    """Grow a written spec again in its host; gives the mask that draw wrote.

    Args:
        cohort: The prepared cohort of the host.
        spec: A spec.json.
    """
    table = Cohort.read(cohort)
    plan = LesionSpec.read(Path(spec))
    return grow(load_host(table, table[plan.host]), plan)


def _training(table: Cohort, hosts: Sequence[str] | None) -> tuple[list[Subject], list[Subject]]:
    """Training patients and the hosts."""
    split = any(s.split is not Split.NONE for s in table.subjects)
    train = [s for s in table.subjects if not split or s.split is Split.TRAIN]
    patients = [s for s in train if s.is_patient and s.origin is not Origin.SYNTHETIC]
    if hosts is not None:
        chosen = [table[name] for name in hosts]
        _refuse_held_out(table, hosts, "a host")
    else:
        chosen = [s for s in train if not s.is_patient and s.origin is not Origin.SYNTHETIC]
    if not chosen:
        raise CohortError(
            table.name, f"no control to draw in among {len(train)} training subjects",
            "at least one real control of split train", "Add controls or mend the splits.",
        )  # fmt: skip
    wrong = [s.id for s in chosen if s.is_patient or s.origin is Origin.SYNTHETIC]
    if wrong:
        raise CohortError(wrong[0], "a patient or a synthetic subject as host", "a real control",
                          "Name controls only in --hosts.")  # fmt: skip
    return patients, chosen


def _refuse_held_out(table: Cohort, ids: Sequence[str], what: str) -> None:
    held = {s.id: s.split.value for s in table.subjects if s.split in (Split.VAL, Split.TEST)}
    for subject in ids:
        if subject in held:
            raise LeakageError(subject, f"{what} of split {held[subject]}", "split train",
                               "Use training subjects only.")  # fmt: skip


def _prior(
    table: Cohort, patients: Sequence[Subject], prior: str | None, fwhm_mm: float,
    lobe_weight: float | None,
) -> LesionPrior:  # fmt: skip
    if prior == PUBLISHED:
        return LesionPrior()
    if prior is not None:
        return LesionPrior.read(Path(prior))
    return fit_prior(table, patients, fwhm_mm, lobe_weight)


def _share(
    table: Cohort, hosts: Sequence[Subject], run: Run, n_lesions: int, n_controls: int, seed: int,
    law: LesionPrior, growth: Growth, limits: Limits,
) -> list[Job]:  # fmt: skip
    """Deal the masks out to the hosts: every round visits each host once, in a new order."""
    rng = np.random.default_rng(seed)
    total = n_lesions + n_controls
    order: list[int] = []
    while len(order) < total:
        order += [int(i) for i in rng.permutation(len(hosts))]
    dealt: dict[str, list[tuple[int, str, str]]] = {}
    for number in range(total):
        kind = "lesion" if number < n_lesions else "control"
        draw_id = f"syn-{number + 1:05d}"
        dealt.setdefault(hosts[order[number]].id, []).append((number, kind, draw_id))
    return [
        Job(table.folder, host, run.folder, tuple(draws), seed, law, growth, limits)
        for host, draws in sorted(dealt.items())
    ]


def _row(table: Cohort, folder: Path, record: dict[str, Any]) -> Subject:
    spec: LesionSpec = record["spec"]
    name = record["id"]
    host = table.moved(folder)[spec.host]
    lesional = spec.kind == "lesion"
    files = {key: host.files[key] for key in _FROM_HOST if host.has(key)}
    own = ("lesion", "soft", "region") if lesional else ("soft", "region")
    files |= {key: f"{name}/{name}_{key}.nii.gz" for key in own}
    files["spec"] = f"{name}/{name}_spec.json"
    return Subject(
        name,
        Group.PATIENT if lesional else Group.CONTROL,
        Origin.SYNTHETIC,
        site=host.site,
        scanner=host.scanner,
        split=Split.TRAIN,
        parents=(Parent(host.id, Role.HOST),),
        sex=host.sex,
        age_code=host.age_code,
        subtype=spec.subtype if lesional else "",
        side=spec.side if lesional else "",
        lobe=spec.lobe if lesional else "",
        files=files,
    )


def _refusals(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    refused: Counter[str] = Counter()
    for record in drawn:
        refused.update(record["refused"])
    total = sum(refused.values())
    return {"accepted": len(drawn), "refused": total, "by_test": dict(sorted(refused.items()))}


def _summary(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    specs: list[LesionSpec] = [record["spec"] for record in drawn]
    volumes = [s.volume_ml for s in specs]
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "kind": dict(sorted(Counter(s.kind for s in specs).items())),
        "volume_ml": {f"q{round(100 * q):02d}": round(float(np.quantile(volumes, q)), 3)
                      for q in shares},
        "side": dict(sorted(Counter(s.side for s in specs).items())),
        "lobe": dict(sorted(Counter(s.lobe or "unknown" for s in specs).items())),
        "subtype": dict(sorted(Counter(s.subtype for s in specs).items())),
        "tracks": sum(record["track_vox"] > 0 for record in drawn),
        "masks_per_host": dict(sorted(Counter(s.host for s in specs).items())),
    }  # fmt: skip


def _write(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
