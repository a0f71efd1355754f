"""The verb coverage: where a cohort's lesions are few, and what to draw to fill it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.masks.covering.cells import Placed, all_cells, place_lesion
from fcdsynth.masks.covering.expected import (
    expected_shares,
    places_in,
    published_places,
    site_shares,
    size_shares,
)
from fcdsynth.masks.covering.files import TEXT, write_survey
from fcdsynth.masks.covering.survey import Survey, judged
from fcdsynth.masks.laws.lesions import load_patient
from fcdsynth.masks.laws.prior import PUBLISHED, LesionPrior, named_prior
from fcdsynth.masks.training import anatomy_files, refuse_held_out


def coverage(
    cohort: str,
    out: str,
    prior: str | None = None,
    at_least: int = 1,
    patients: int | None = None,
    seed: int = 0,
) -> Path:
    """Show where a cohort's training lesions are few: lobe x side x size x site.

    Compares the number of lesions in each cell with the number that a law leads one to expect.
    The output folder holds report.html (a heat map at a glance), coverage.txt (also shown on
    the screen), coverage.csv (one row a cell), coverage.json (the rule and the counts) and
    target.json, which fcdsynth draw --target reads to draw what is missing.

    Args:
        cohort: A prepared cohort. Only real training patients are counted: those of split
            train, or everyone when no subject has a split.
        out: Output folder.
        prior: The law to compare with: a prior.json, or the word published (the default).
        at_least: Lesions that every cell should hold.
        patients: Count only this many of the training patients, chosen by the seed: what a
            smaller training set would leave uncovered.
        seed: Chooses the patients.

    Returns:
        The output folder.

    Raises:
        CohortError: If there is no training patient with a mask, or a file cannot be used.
        LeakageError: If the prior was fitted on a validation or test subject.
        SettingsError: If a setting is out of range, or the prior cannot be read.
    """
    if at_least < 1:
        raise SettingsError("at_least", str(at_least), "1 or more", "Change the setting.")
    table = Cohort.read(cohort)
    people = table.training()
    chosen, maskless = _patients(table, people, patients, seed)
    read = anatomy_files(table, chosen, "lesion")
    law = named_prior(prior or PUBLISHED)
    if prior not in (None, PUBLISHED):
        refuse_held_out(table, law.fitted_on, "a patient behind the prior")
        read.append(Path(prior))
    settings = {"cohort": cohort, "prior": prior, "at_least": at_least, "patients": patients}
    run = Run(out, "coverage", settings, [table.folder / TABLE, *read], seed)
    if not run.complete:
        with run:
            counted = {s.id for s in chosen}
            base = [s for s in people if not s.is_patient or s.id in counted]
            survey = _survey(table, chosen, base, maskless, prior, law, at_least)
            write_survey(survey, run.folder, table.name)
    text = (run.out / TEXT).read_text(encoding="utf-8")
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
    return run.out


def _patients(
    table: Cohort, people: Sequence[Subject], count: int | None, seed: int
) -> tuple[list[Subject], tuple[str, ...]]:
    """Patients with a mask that are counted, in the table's order, and ids of those without."""
    every = [s for s in people if s.is_patient]
    usable = [s for s in every if s.has("lesion")]
    if not usable:
        raise CohortError(
            table.name, f"no lesion mask among {len(every)} training patients",
            "at least one real training patient with a mask",
            "Give the prepared cohort with its patients, or mend the splits.",
        )  # fmt: skip
    maskless = tuple(s.id for s in every if not s.has("lesion"))
    if count is None:
        return usable, maskless
    if not 1 <= count <= len(usable):
        raise SettingsError("patients", str(count), f"1 to {len(usable)} training patients",
                            "Give a number in that range.")  # fmt: skip
    kept = np.sort(np.random.default_rng(seed).permutation(len(usable))[:count])
    return [usable[int(i)] for i in kept], maskless


def _survey(
    table: Cohort, chosen: Sequence[Subject], people: Sequence[Subject],
    maskless: tuple[str, ...], prior: str | None, law: LesionPrior, at_least: int,
) -> Survey:  # fmt: skip
    published = prior in (None, PUBLISHED)
    lesions: list[Placed] = []
    places: list[NDArray[np.float64]] = []
    for subject in track(chosen, "placing training lesions"):
        host, found = load_patient(table, subject)
        lesions += [place_lesion(host, lesion, subject) for lesion in found]
        share = None if published else places_in(host, law)
        if share is not None:
            places.append(share)
    if not published and not places:
        raise CohortError(
            table.name, "no patient with a known t1w_to_mni", "MNI positions, to place the prior",
            "Prepare the cohort again, or compare with the published law.",
        )  # fmt: skip
    sites = site_shares(people)
    cells = all_cells(tuple(sites))
    place = published_places() if published else np.mean(places, axis=0)
    shares = expected_shares(place, size_shares(law.size), sites, cells)
    named = "the published law (Bonn's lobes and sides, published sizes)"
    controls = Counter(s.site for s in people if not s.is_patient)
    return Survey(
        judged(cells, shares, lesions, sites, at_least), tuple(lesions),
        named if published else f"the law of {Path(str(prior)).name}", at_least,
        {site: controls[site] for site in sites}, len(chosen), maskless,
    )  # fmt: skip
