"""Draw lesion masks in controls, by a prior fitted on training patients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.masks.checks import Limits
from fcdsynth.masks.dealing import check_targets, deal, tasks_for, without_place
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.host import load_host
from fcdsynth.masks.job import Job, Law, work
from fcdsynth.masks.laws.fit import prior_from
from fcdsynth.masks.laws.prior import PUBLISHED, named_prior
from fcdsynth.masks.make import make_all
from fcdsynth.masks.outcome import row_of, write_outcome
from fcdsynth.masks.settings import check_aims, trials_of
from fcdsynth.masks.spec import Growth, read_specs
from fcdsynth.masks.targets import Target, narrowed, read_targets
from fcdsynth.masks.training import (
    anatomy_files,
    refuse_held_out,
    training_hosts,
    training_patients,
)
from fcdsynth.masks.ways.gather import (
    gallery_of,
    load_donors,
    measure_with_donors,
    usable_donors,
)

_LOG = logging.getLogger(__name__)


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
    growth_trials: int | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    workers: int = 1,
) -> Path:
    """Draw lesion masks in controls, from a prior fitted on the training patients' masks.

    Writes a cohort of synthetic subjects that still lack images of their own: each row names
    its host's volumes and tissue maps and holds the drawn region, its soft map and its spec;
    lesional rows hold it as lesion too, and rows whose region has a transmantle track hold that
    on its own. Also writes prior.json, refusals.json, summary.json.

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
            draw and how many of each. Controls get regions of the same kinds. Not for ellipsoids.
        prior: A prior.json to use instead of fitting, or the word published. Settings of the fit
            are refused with it.
        hosts: Ids of the controls to draw in; all training controls by default.
        median_ml: Median lesion volume in ml instead of the prior's.
        sigma_ln: Standard deviation of ln volume instead of the prior's.
        fwhm_mm: Bandwidth of the fitted site law in mm; chosen by likelihood by default.
        lobe_weight: Weight in [0, 1] of the lobe shares in the fitted site law; chosen by
            likelihood by default.
        growth: How all masks grow, in place of what was fitted.
        growth_trials: Growths tried at the place of each training lesion when a prior is fitted:
            160 by default, else at least 2, or 0 to leave growth at its defaults.
        limits: Thresholds of the rejection tests.
        workers: Number of processes.

    Returns:
        The output folder.

    Raises:
        CohortError: If there is no host or nothing to draw, or a host refuses every try.
        LeakageError: If a host or a patient behind the prior is a validation or test subject.
        SettingsError: If a setting is out of range or contradicts another one, or no host can
            serve a target.
    """
    trials = trials_of(prior, fwhm_mm, lobe_weight, growth_trials)
    check_aims(per_subject, method, target)
    table = Cohort.read(cohort)
    patients, chosen = training_patients(table), training_hosts(table, hosts)
    targets = () if target is None else read_targets(target)
    placeless = without_place(table, chosen, targets)
    check_targets(targets, table, chosen, placeless)
    n_lesions = _number_of_lesions(lesions, patients, targets)
    n_controls = n_lesions if controls is None else controls
    if min(n_lesions, n_controls) < 0 or n_lesions + n_controls == 0:
        raise SettingsError("lesions", f"{n_lesions} lesions and {n_controls} controls",
                            "at least one mask to draw", "Give --lesions.")  # fmt: skip
    taught = anatomy_files(table, patients, "lesion")
    if prior is not None:  # a patient that cannot be read is passed over then
        taught = [path for path in taught if path.exists()]
    read = [*anatomy_files(table, chosen), *taught]
    read += [Path(f) for f in (prior, target) if f is not None and f != PUBLISHED]
    settings = {
        "cohort": cohort, "lesions": n_lesions, "controls": n_controls, "method": method,
        "per_subject": per_subject, "target": target, "prior": prior, "hosts": hosts,
        "median_ml": median_ml, "sigma_ln": sigma_ln, "fwhm_mm": fwhm_mm,
        "lobe_weight": lobe_weight, "growth": growth, "growth_trials": trials,
        "limits": limits,
    }  # fmt: skip
    run = Run(out, "draw", settings, [table.folder / TABLE, *read], seed)
    if run.complete:
        return run.out
    notices = [f"{name} has no t1w_to_mni, so no target by lobe is drawn in it."
               for name in sorted(placeless)]  # fmt: skip
    if prior is None:
        measured, donors = measure_with_donors(table, patients, workers, trials)
        law = prior_from(measured, fwhm_mm, lobe_weight, cohort=table.name)
    else:
        law = named_prior(prior)
        donors, left_out = usable_donors(table, patients, workers)
        notices += left_out
    refuse_held_out(table, law.fitted_on, "a patient behind the prior")
    for text in notices:
        _LOG.warning("%s", text)
    given: dict[str, Any] = {"median_ml": median_ml, "sigma_ln": sigma_ln}
    size = replace(law.size, **{name: v for name, v in given.items() if v is not None})
    law = replace(law, size=size)
    for aim in targets:
        narrowed(size, aim)  # refuses what the law cannot meet before anything is drawn
    decides = Law(seed, law, method, growth, limits, per_subject,
                  donors if method == "transplant" else {}, gallery_of(donors))  # fmt: skip
    with run:
        dealt = deal(tasks_for(n_lesions, n_controls, targets), chosen, seed, placeless)
        jobs = [Job(table.folder, host, run.folder, share, decides)
                for host, share in dealt.items()]  # fmt: skip
        drawn = [row for rows in map_items(work, jobs, "drawing masks", workers) for row in rows]
        drawn.sort(key=lambda row: str(row["id"]))
        rows = tuple(row_of(table, run.folder, record) for record in drawn)
        Cohort(run.folder, rows, f"{table.name}-drawn", fitted_on=law.fitted_on).write()
        law.write(run.folder / "prior.json")
        write_outcome(run.folder, drawn, notices)
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
