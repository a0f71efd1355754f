"""The verb synthesize: paired T1w and FLAIR volumes from drawn masks."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run, item_folder
from fcdsynth.core.subject import Origin, Parent, Role, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.trained import TrainedRun
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.synthesis.crops import covering
from fcdsynth.synthesis.data import contrasts_of
from fcdsynth.synthesis.realism import describe, write_table
from fcdsynth.synthesis.redraw import RedrawSpec, redraw
from fcdsynth.synthesis.regions import near
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.training.data import Arrays, load_arrays
from fcdsynth.training.device import choose_device

_KEPT = ("brain", "tissue", "depth", "lesion", "soft", "track", "transforms")
_NUMBERS = "realism.json"


def synthesize(
    run: str,
    drawn: str,
    out: str,
    seed: int = 0,
    styles: Literal["training", "normal"] = "training",
    device: str = "auto",
    threads: int = 0,
) -> Path:
    """Make T1w and FLAIR volumes from drawn masks: blank a region of the host, redraw it.

    Every voxel outside the redrawn region stays the host's. Subjects drawn as patients get a
    lesion where the mask says, subjects drawn as controls get a redrawn healthy region, so that
    "redrawn" never means "lesion".

    Args:
        run: Folder of a finished ``fit`` of a generator.
        drawn: Cohort written by ``draw``.
        out: Folder to write: ``cohort.csv``, volumes and a spec per subject, ``realism.csv``.
        seed: Seed of styles and noise.
        styles: Where a lesion's look comes from: ``training`` draws around the code of one
            training lesion (its patient becomes a parent), ``normal`` from the standard normal
            law the codes were pulled towards.
        device: auto, cpu, cuda or cuda:1; auto takes a GPU when there is one.
        threads: Torch threads; 0 leaves them.

    Returns:
        The output folder.

    Raises:
        RunError: If ``run`` is not the run of a generator or ``out`` holds something else.
        LeakageError: If a host is a validation subject of the run.
        SettingsError: If the cohort's spacing is not the generator's, or no style is there.
        CohortError: If the cohort is empty, a subject lacks a file or its region is empty.
    """
    trained = TrainedRun.open(run)
    known = Styles.read(trained.folder)
    cohort = Cohort.read(drawn)
    _check(trained, known, cohort, styles)
    if threads:
        torch.set_num_threads(threads)
    settings = {"run": run, "drawn": drawn, "styles": styles, "seed": seed, "device": device}
    work = Run(out, "synthesize", settings, [run, drawn], seed)
    if work.complete:
        return work.out
    task = SynthesisTask.load_from_checkpoint(
        trained.checkpoint, map_location=choose_device(device), weights_only=True
    )
    task.eval()
    subjects, rows = [], []
    with work:
        for index, subject in enumerate(track(cohort.subjects, "synthesize")):
            if not work.has(subject.id):
                rng = np.random.default_rng([seed, index])
                with item_folder(work.folder, subject.id) as folder:
                    _make(folder, cohort, subject, task, known, rng, styles)
            spec = json.loads((work.folder / subject.id / f"{subject.id}_spec.json").read_text())
            numbers = json.loads((work.folder / subject.id / _NUMBERS).read_text())
            rows.append({"id": subject.id, "group": subject.group.value, **numbers})
            files = _files(cohort.moved(work.folder)[subject.id], known)
            subjects.append(_child(subject, spec["synthesis"]["style"], files))
        write_table(work.folder, rows)
        fitted = tuple(sorted(trained.seen | set(cohort.fitted_on)))
        made = Cohort(work.folder, tuple(subjects), "synthetic", fitted_on=fitted)
        made.write()
    return work.out


def _check(trained: TrainedRun, known: Styles, cohort: Cohort, styles: str) -> None:
    if not cohort.subjects:
        raise CohortError(cohort.name, "no subject", "at least one drawn subject",
                          "Run fcdsynth draw first.")  # fmt: skip
    held_out = set(trained.validated_on)
    for subject in cohort.subjects:
        _host(subject)
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
    if lesional and styles == "training" and not known.lesions:
        raise SettingsError(
            "styles", "training, with a generator that saw no lesion",
            "a generator trained on patients", "Fit it on a cohort with lesion masks.",
        )  # fmt: skip


def _host(subject: Subject) -> str:
    hosts = [p.subject for p in subject.parents if p.role is Role.HOST]
    if len(hosts) != 1:
        raise CohortError(
            subject.id, f"{len(hosts)} host parents", "exactly one",
            "Give the cohort that fcdsynth draw wrote.",
        )  # fmt: skip
    return hosts[0]


def _load(cohort: Cohort, subject: Subject, known: Styles) -> tuple[Arrays, Grid]:
    keys = [*contrasts_of(known.flair), "tissue", "region"]
    cohort.path(subject, "region")
    if subject.is_patient:
        cohort.path(subject, "lesion")
        keys += ["lesion", "soft"]
    arrays, grid = load_arrays(cohort, subject, keys)
    if not np.allclose(grid.spacing_mm, known.spacing_mm, rtol=0.01):
        raise SettingsError(
            f"{subject.id} spacing", f"{grid.spacing_mm} mm",
            f"{known.spacing_mm} mm, at which the generator was trained",
            "Prepare both cohorts with one spacing.",
        )  # fmt: skip
    empty = np.zeros(grid.shape, dtype=np.uint8)
    arrays.setdefault("lesion", empty)
    arrays.setdefault("soft", empty.astype(np.float32))
    if subject.is_patient and not arrays["lesion"].any():
        raise CohortError(subject.id, "an empty lesion mask", "at least one voxel",
                          "Run fcdsynth draw again.")  # fmt: skip
    return arrays, grid


def _make(
    folder: Path,
    cohort: Cohort,
    subject: Subject,
    task: SynthesisTask,
    known: Styles,
    rng: np.random.Generator,
    styles: str,
) -> None:
    arrays, grid = _load(cohort, subject, known)
    contrasts = contrasts_of(known.flair)
    tissue, lesion = arrays["tissue"], arrays["lesion"] > 0
    # Around a drawn shape lies a redrawn rim, as in training.
    shape = (arrays["region"] > 0) | lesion
    region = near(shape, known.margin_mm, grid.spacing_mm) & (tissue != Tissue.BACKGROUND)
    if not region.any():
        raise CohortError(subject.id, "no brain in the region", "a region inside the brain",
                          "Run fcdsynth draw again.")  # fmt: skip
    corner, size = covering(region, known.crop, known.crop // 8, 8)
    style, code = "", np.zeros(task.hparams.lesion_style, dtype=np.float32)
    if subject.is_patient and styles == "training":
        chosen = known.lesions[int(rng.integers(len(known.lesions)))]
        style, code = chosen.subject, chosen.sample(rng)
    elif subject.is_patient:
        code = rng.standard_normal(len(code)).astype(np.float32)
    spec = RedrawSpec(
        subject.id, _host(subject), style, tuple(round(float(x), 6) for x in code),
        int(rng.integers(2**31)), corner, size, int(task.hparams.feather_vox),
    )  # fmt: skip
    before = np.stack([arrays[key] for key in contrasts]).astype(np.float32)
    after = redraw(task.drawer, before, tissue, lesion, arrays["soft"], region, spec)
    for key, array in zip(contrasts, after, strict=True):
        write_volume(folder / f"{subject.id}_{key}.nii.gz", Volume(array, grid))
    write_volume(folder / f"{subject.id}_region.nii.gz", Volume(region, grid))
    record: dict[str, Any] = {"synthesis": asdict(spec)}
    if subject.has("spec"):
        record["draw"] = json.loads(cohort.path(subject, "spec").read_text(encoding="utf-8"))
    text = json.dumps(record, indent=1) + "\n"
    (folder / f"{subject.id}_spec.json").write_text(text, encoding="utf-8")
    numbers = describe(before, after, lesion, region, tissue, contrasts)
    (folder / _NUMBERS).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def _files(moved: Subject, known: Styles) -> dict[str, str]:
    files = {key: moved.files[key] for key in _KEPT if moved.has(key)}
    if not moved.is_patient:
        for key in ("lesion", "soft", "track"):
            files.pop(key, None)
    name = moved.id
    for key in (*contrasts_of(known.flair), "region"):
        files[key] = f"{name}/{name}_{key}.nii.gz"
    return files | {"spec": f"{name}/{name}_spec.json"}


def _child(subject: Subject, style: str, files: dict[str, str]) -> Subject:
    parents = [p for p in subject.parents if p.role is not Role.STYLE]
    if style:
        parents.append(Parent(style, Role.STYLE))
    return replace(
        subject, origin=Origin.SYNTHETIC, split=Split.TRAIN, parents=tuple(parents), files=files
    )
