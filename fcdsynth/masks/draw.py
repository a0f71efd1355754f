"""Draw lesion masks in controls, by a prior fitted on training patients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.masks.checks import Limits
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.host import load_host
from fcdsynth.masks.job import Job, Law, Task, work
from fcdsynth.masks.laws.fit import fit_prior
from fcdsynth.masks.laws.growths import TRIALS
from fcdsynth.masks.laws.prior import PUBLISHED, LesionPrior, named_prior
from fcdsynth.masks.make import make_all
from fcdsynth.masks.spec import Growth, LesionSpec, read_specs
from fcdsynth.masks.targets import Target, check_targets, hosts_for, read_targets
from fcdsynth.masks.training import (
    anatomy_files,
    refuse_held_out,
    training_hosts,
    training_patients,
)
from fcdsynth.masks.ways.gather import gallery_of, load_donors

_FROM_HOST = ("t1w", "flair", "brain", "tissue", "depth", "transforms")


def draw(
    cohort: str,
    out: str,
    lesions: int | None = None,
    controls: int | None = None,
    seed: int = 0,
    method: Literal["growth", "transplant", "ellipsoid"] = "growth",
    per_subject: int | None = 1,
    target: str | None = None,
    prior: str | None = None,
    hosts: list[str] | None = None,
    median_ml: float | None = None,
    sigma_ln: float | None = None,
    fwhm_mm: float | None = None,
    lobe_weight: float | None = None,
    growth: Growth | None = None,
    growth_trials: int = TRIALS,
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
        lesions: Number of lesional subjects; as many as training patients by default, or as
            many as the target asks for.
        controls: Number of subjects that get a region but no lesion; as many as lesional
            ones by default.
        seed: Seed of every draw.
        method: ``growth`` follows the cortex; ``transplant`` grows a training lesion again in
            the host's cortex; ``ellipsoid`` is the baseline of the literature, blind to folds,
            for comparisons.
        per_subject: Number of lesions in each subject, all on one side; null draws it from
            what the training patients have.
        target: A target.json of `fcdsynth coverage`, or written by hand: the kinds of lesion to
            draw and how many of each.
        prior: A prior.json to use instead of fitting, or the word published.
        hosts: Ids of the controls to draw in; all training controls by default.
        median_ml: Median lesion volume in ml instead of the prior's.
        sigma_ln: Standard deviation of ln volume instead of the prior's.
        fwhm_mm: Bandwidth of the fitted site law in mm; chosen by likelihood by default.
        lobe_weight: Weight in [0, 1] of the lobe shares in the fitted site law; chosen by
            likelihood by default.
        growth: How all masks grow, in place of what was fitted.
        growth_trials: Growths tried at the place of each training lesion when a prior is fitted,
            at least 2; 0 leaves growth at its defaults.
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
    patients, chosen = training_patients(table), training_hosts(table, hosts)
    targets = () if target is None else read_targets(target)
    check_targets(targets, table)
    n_lesions = _number_of_lesions(lesions, patients, targets)
    n_controls = n_lesions if controls is None else controls
    if min(n_lesions, n_controls) < 0 or n_lesions + n_controls == 0:
        raise SettingsError("lesions", f"{n_lesions} lesions and {n_controls} controls",
                            "at least one mask to draw", "Give --lesions.")  # fmt: skip
    if per_subject is not None and per_subject < 1:
        raise SettingsError("per_subject", str(per_subject), "at least 1, or null",
                            "Change the setting.")  # fmt: skip
    read = [*anatomy_files(table, chosen), *anatomy_files(table, patients, "lesion")]
    read += [Path(f) for f in (prior, target) if f is not None and f != PUBLISHED]
    settings = {
        "cohort": cohort, "lesions": n_lesions, "controls": n_controls, "method": method,
        "per_subject": per_subject, "target": target, "prior": prior, "hosts": hosts,
        "median_ml": median_ml, "sigma_ln": sigma_ln, "fwhm_mm": fwhm_mm,
        "lobe_weight": lobe_weight, "growth": growth, "growth_trials": growth_trials,
        "limits": limits,
    }  # fmt: skip
    run = Run(out, "draw", settings, [table.folder / TABLE, *read], seed)
    if run.complete:
        return run.out
    law = _prior(table, patients, prior, fwhm_mm, lobe_weight, workers, growth_trials)
    refuse_held_out(table, law.fitted_on, "a patient behind the prior")
    given: dict[str, Any] = {"median_ml": median_ml, "sigma_ln": sigma_ln}
    size = replace(law.size, **{name: v for name, v in given.items() if v is not None})
    law = replace(law, size=size)
    donors = load_donors(table, patients, workers)
    gallery = gallery_of(donors)
    decides = Law(seed, law, method, growth, limits, per_subject,
                  donors if method == "transplant" else {}, gallery)  # fmt: skip
    with run:
        tasks = _tasks(n_lesions, n_controls, targets)
        jobs = _share(table, chosen, run, tasks, seed, decides)
        drawn = [row for rows in map_items(work, jobs, "drawing masks", workers) for row in rows]
        drawn.sort(key=lambda row: str(row["id"]))
        rows = tuple(_row(table, run.folder, record) for record in drawn)
        Cohort(run.folder, rows, f"{table.name}-drawn", fitted_on=law.fitted_on).write()
        law.write(run.folder / "prior.json")
        _write(run.folder / "refusals.json", _refusals(drawn))
        _write(run.folder / "summary.json", _summary(drawn))
    return run.out


def execute(cohort: str, spec: str) -> tuple[Grown, ...]:
    """Make the lesions of a written spec again in their host; gives the mask that draw wrote.

    Args:
        cohort: The prepared cohort of the host and of the donors.
        spec: A spec.json.
    """
    table = Cohort.read(cohort)
    specs = read_specs(Path(spec))
    given = [table[name] for name in sorted({s.donor for s in specs if s.donor})]
    return make_all(load_host(table, table[specs[0].host]), specs, load_donors(table, given))


def _number_of_lesions(
    lesions: int | None, patients: Sequence[Subject], targets: Sequence[Target]
) -> int:
    """As asked, as the targets ask, or one for each training patient."""
    if not targets:
        return len(patients) if lesions is None else lesions
    wanted = sum(target.count for target in targets)
    if lesions is not None and lesions != wanted:
        raise SettingsError(
            "lesions", f"{lesions}, but the targets ask for {wanted}", "one of the two",
            "Leave out --lesions or mend the counts of the target.",
        )  # fmt: skip
    return wanted


def _prior(
    table: Cohort, patients: Sequence[Subject], prior: str | None, fwhm_mm: float | None,
    lobe_weight: float | None, workers: int, growth_trials: int,
) -> LesionPrior:  # fmt: skip
    if prior is not None:
        return named_prior(prior)
    return fit_prior(
        table, patients, fwhm_mm, lobe_weight, workers=workers, growth_trials=growth_trials
    )


def _tasks(n_lesions: int, n_controls: int, targets: Sequence[Target]) -> list[Task]:
    wanted: list[Target | None] = [t for t in targets for _ in range(t.count)]
    wanted += [None] * (n_lesions + n_controls - len(wanted))
    return [
        Task(number, "lesion" if number < n_lesions else "control", f"syn-{number + 1:05d}", aim)
        for number, aim in enumerate(wanted)
    ]


def _share(
    table: Cohort, hosts: Sequence[Subject], run: Run, tasks: Sequence[Task], seed: int, law: Law
) -> list[Job]:
    """Deal the subjects out to the hosts: every round visits each host once, in a new order.

    What is drawn for a site goes to the hosts of that site, the least used first.
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < len(tasks):
        order += [int(i) for i in rng.permutation(len(hosts))]
    dealt: dict[str, list[Task]] = {}
    for task, index in zip(tasks, order, strict=False):
        host = hosts[index]
        if task.target is not None and task.target.site not in ("", host.site):
            fitting = hosts_for(task.target, hosts)
            host = min(fitting, key=lambda s: (len(dealt.get(s.id, ())), hosts.index(s)))
        dealt.setdefault(host.id, []).append(task)
    return [
        Job(table.folder, host, run.folder, tuple(share), law)
        for host, share in sorted(dealt.items())
    ]


def _row(table: Cohort, folder: Path, record: dict[str, Any]) -> Subject:
    specs: tuple[LesionSpec, ...] = record["specs"]
    spec, name = specs[0], record["id"]
    host = table.moved(folder)[spec.host]
    donors = sorted({s.donor for s in specs if s.donor})
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
        parents=(Parent(host.id, Role.HOST), *(Parent(d, Role.MASK) for d in donors)),
        sex=host.sex,
        age_code=host.age_code,
        subtype=spec.subtype if lesional else "",
        side=spec.side if lesional else "",
        lobe=",".join(dict.fromkeys(s.lobe for s in specs if s.lobe)) if lesional else "",
        files=files,
    )


def _refusals(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    refused: Counter[str] = Counter()
    for record in drawn:
        refused.update(record["refused"])
    total = sum(refused.values())
    return {"accepted": len(drawn), "refused": total, "by_test": dict(sorted(refused.items()))}


def _summary(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    specs: list[LesionSpec] = [spec for record in drawn for spec in record["specs"]]
    volumes = [s.volume_ml for s in specs]
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "kind": dict(sorted(Counter(s.kind for s in specs).items())),
        "volume_ml": {f"q{round(100 * q):02d}": round(float(np.quantile(volumes, q)), 3)
                      for q in shares},
        "side": dict(sorted(Counter(s.side for s in specs).items())),
        "lobe": dict(sorted(Counter(s.lobe or "unknown" for s in specs).items())),
        "method": dict(sorted(Counter(s.method for s in specs).items())),
        "lesions_per_subject": dict(sorted(Counter(len(r["specs"]) for r in drawn).items())),
        "subtype": dict(sorted(Counter(s.subtype for s in specs).items())),
        "tracks": sum(record["track_vox"] > 0 for record in drawn),
        "masks_per_host": dict(sorted(Counter(s.host for s in specs).items())),
    }  # fmt: skip


def _write(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
