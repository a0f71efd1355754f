"""The verb synthesize: paired T1w and FLAIR volumes from drawn masks."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from fcdsynth.core import provenance
from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.core.trained import SUBJECTS, TrainedRun
from fcdsynth.synthesis.attempt import StyleSource
from fcdsynth.synthesis.drawn import host_of
from fcdsynth.synthesis.heads import contrasts_of
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.job import Job, Law, work
from fcdsynth.synthesis.numbers import write_table
from fcdsynth.synthesis.outcome import refuse_too_many, write_refusals
from fcdsynth.synthesis.scans import HOST, require_scans
from fcdsynth.synthesis.sidecar import ENDS, bids_name, bids_names, file_name, write_description
from fcdsynth.synthesis.styles import FILE as STYLES
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.writing import parents_of
from fcdsynth.training.device import choose_device

Mode = Literal["insert", "full"]
_LOG = logging.getLogger(__name__)
# What a synthetic subject shares with its host.
_HOSTS = ("brain", "tissue", "depth", "transforms")
_READ = ("t1w", "flair", "tissue", "region", "lesion", "soft", "track", "spec")


def synthesize(
    run: str,
    drawn: str,
    out: str,
    seed: int = 0,
    styles: StyleSource = "training",
    mode: Mode = "insert",
    scan_style: str = HOST,
    checks: Checks = Checks(),  # noqa: B008 (frozen)
    device: str = "auto",
    workers: int = 1,
    threads: int = 1,
) -> Path:
    """Make T1w and FLAIR volumes from drawn masks: blank a region of the host, redraw it.

    In insert mode every voxel outside the redrawn region stays the host's. Subjects drawn as
    patients get a lesion where the mask says, subjects drawn as controls get a redrawn healthy
    region, so that "redrawn" never means "lesion". In full mode the whole brain is drawn, of
    patients and controls alike, from the host's labels, the lesion and the style of a scan:
    nothing of the host's images stays.

    Each pair is tested. A lesion's contrast against its ring must lie where those of the
    training lesions lie, in each contrast and together; the lesion label must have changed the
    tissue in the mask, and the mask is cut down to what changed; a control's redrawn region must
    show no more than untouched places do. A pair that fails is drawn again with a new style and
    new noise, and in the end left out.

    Args:
        run: Folder of a finished ``fit`` of a generator.
        drawn: Cohort written by ``draw``.
        out: Folder to write: ``cohort.csv``, a folder per subject with volumes and sidecars named
            as in a BIDS derivative, ``realism.csv``, ``refusals.json``.
        seed: Seed of styles and noise; with a subject's id it decides all that is random.
        styles: Where a lesion's look comes from: ``training`` draws around the code of one
            training lesion (its patient becomes a parent), ``normal`` from the normal law of all
            their codes.
        mode: ``insert`` redraws a region, ``full`` the whole brain.
        scan_style: In full mode, where grey values come from: ``host`` is the host's own scan,
            ``sampled`` a new style of the law of the training scans, and the id of a training
            subject that subject's scan (it becomes a parent, and its site the site).
        checks: The tests of each pair.
        device: auto, cpu, cuda or cuda:1; auto takes a GPU when there is one.
        workers: Number of processes; the images do not depend on it.
        threads: Torch threads of each process; another number may change the last bits.

    Returns:
        The output folder.

    Raises:
        RunError: If ``run`` is not the run of a generator, ``out`` holds something else, or
            more than half of the patients or of the controls are refused at every draw.
        LeakageError: If a host is a validation subject of the run.
        SettingsError: If the cohort's spacing is not the generator's, no style is there, or
            full mode is asked of a generator that was not trained in it.
        CohortError: If the cohort is empty, a subject lacks a file or its region is empty.
    """
    for key, value in (("workers", workers), ("threads", threads)):
        if value < 1:
            raise SettingsError(key, str(value), "at least 1", f"Change --{key}.")
    if mode == "insert" and scan_style != HOST:
        raise SettingsError("scan_style", f"{scan_style}, with mode insert", "mode full",
                            "The host's images stay in insert mode: give --mode full.")  # fmt: skip
    trained = TrainedRun.open(run)
    known = Styles.read(trained.folder)
    cohort = Cohort.read(drawn)
    _check(trained, known, cohort)
    if mode == "full":
        require_scans(known.scans, scan_style)
    choose_device(device)
    settings = {"run": run, "drawn": drawn, "styles": styles, "mode": mode,
                "scan_style": scan_style, "checks": checks, "seed": seed, "device": device,
                "threads": threads}  # fmt: skip
    table = Path(drawn) if Path(drawn).suffix == ".csv" else cohort.folder / TABLE
    read = [cohort.path(s, key) for s in cohort.subjects for key in _READ if s.has(key)]
    inputs = [trained.checkpoint, trained.folder / STYLES, trained.folder / SUBJECTS, table]
    output = Run(out, "synthesize", settings, [*inputs, *dict.fromkeys(read)], seed)
    if output.complete:
        return output.out
    law = Law(
        trained.checkpoint, output.inputs[str(trained.checkpoint)], _key(trained), known, styles,
        scan_style if mode == "full" else None, checks, seed, device, threads,
    )  # fmt: skip
    rows = sorted(cohort.subjects, key=lambda subject: subject.id)
    before = torch.get_num_threads()
    try:
        with output:
            jobs = [Job(cohort.folder, subject, output.folder, law) for subject in rows]
            records = map_items(work, jobs, "synthesize", workers)
            for text in write_refusals(output.folder, law.judge, records):
                _LOG.warning("%s", text)
            refuse_too_many(output.folder, records)
            _write_cohort(output.folder, cohort, trained, law, rows, records)
    finally:
        torch.set_num_threads(before)
    return output.out


def _check(trained: TrainedRun, known: Styles, cohort: Cohort) -> None:
    if not cohort.subjects:
        raise CohortError(cohort.name, "no subject", "at least one drawn subject",
                          "Run fcdsynth draw first.")  # fmt: skip
    bids_names(subject.id for subject in cohort.subjects)
    held_out = set(trained.validated_on)
    for subject in cohort.subjects:
        host_of(subject)
        for key in ("region", *contrasts_of(known.flair), *(["lesion"] * subject.is_patient)):
            cohort.path(subject, key)
        for parent in subject.parents:
            if parent.subject in held_out:
                raise LeakageError(
                    subject.id,
                    f"{parent.subject} as its {parent.role.value}, a validation subject of "
                    f"{trained.folder}",
                    "hosts and masks from training subjects only",
                    "Draw in training controls only.",
                )
    lesional = any(subject.is_patient for subject in cohort.subjects)
    if lesional and not known.lesions:
        raise SettingsError(
            "styles", "a generator that saw no lesion",
            "a generator trained on patients", "Fit it on a cohort with lesion masks.",
        )  # fmt: skip


def _key(trained: TrainedRun) -> str:
    """Key of the run that trained a generator; empty where it left no record."""
    path = trained.folder / provenance.FILE
    if not path.is_file():
        return ""
    return str(json.loads(path.read_text(encoding="utf-8")).get("key", ""))


def _write_cohort(
    folder: Path,
    cohort: Cohort,
    trained: TrainedRun,
    law: Law,
    rows: list[Subject],
    records: list[dict[str, Any]],
) -> None:
    """Write tables and description, and drop the folders of those that were left out."""
    moved = cohort.moved(folder)
    numbers, subjects = [], []
    for subject, record in zip(rows, records, strict=True):
        if not record["made"]:
            shutil.rmtree(folder / bids_name(subject.id))
            continue
        measured = {k: float("nan") if v is None else v for k, v in record["realism"].items()}
        numbers.append({"id": subject.id, "group": subject.group.value, **measured,
                        "tries": record["tries"]})  # fmt: skip
        subjects.append(_child(moved[subject.id], record, law.known))
    write_table(folder, numbers)
    fitted = tuple(sorted(trained.seen | set(cohort.fitted_on)))
    Cohort(folder, tuple(subjects), "synthetic", fitted_on=fitted).write()
    write_description(folder, law.scan_style is not None)


def _child(subject: Subject, record: dict[str, Any], known: Styles) -> Subject:
    scan = record["scan"]
    if scan not in ("", HOST):
        # The scanner is what the image looks like; a sampled style belongs to none.
        site = next((s.site for s in known.scans if s.subject == scan), "")
        subject = replace(subject, site=site, scanner="")
    name = bids_name(subject.id)
    files = {key: subject.files[key] for key in _HOSTS if subject.has(key)}
    files |= {key: f"{name}/anat/{file_name(name, ENDS[key])}" for key in record["images"]}
    files["spec"] = f"{name}/{name}_spec.json"
    return replace(
        subject, origin=Origin.SYNTHETIC, split=Split.TRAIN,
        parents=parents_of(subject, record["style"], scan), files=files,
    )  # fmt: skip
