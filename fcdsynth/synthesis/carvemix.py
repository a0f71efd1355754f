"""The verb carvemix: patients made by laying a training lesion over another training head."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run, item_folder
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.synthesis.carve import Donor, Made, carve, centre_vox
from fcdsynth.synthesis.contrasts import rng_for
from fcdsynth.synthesis.heads import contrasts_of
from fcdsynth.synthesis.sidecar import bids_name
from fcdsynth.training.data import load_arrays

Hosts = Literal["all", "patients", "controls"]
_HOSTS = ("brain", "tissue", "depth", "transforms")
_TRIES = 20  # levels and donors tried until a piece holds lesion and meets the host's brain


@dataclass(frozen=True)
class Spec:
    """One subject to make.

    Args:
        id: Its id.
        host: Training subject whose head it is.
        donor: Training subject that a piece is taken from; a patient, or a control for a control.
        mask: Patient along whose lesion it is carved; the donor itself for a patient.
    """

    id: str
    host: str
    donor: str
    mask: str

    @property
    def lesional(self) -> bool:
        """Whether the piece brings a lesion."""
        return self.donor == self.mask


@dataclass(frozen=True)
class _Job:
    cohort: Cohort
    specs: tuple[Spec, ...]
    folder: Path
    flair: bool
    seed: int


def carvemix(
    cohort: str,
    out: str,
    lesions: int | None = None,
    controls: int = 0,
    hosts: Hosts = "all",
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Make patients by laying a lesion of one training patient over another training head.

    CarveMix (Zhang et al. 2021, MICCAI), to compare the generator with: a training patient's
    lesion is carved out with some of its surroundings, or only its core, and laid over the head of
    another training subject, where it lies in MNI space; the lesion masks are mixed likewise.
    Nothing is blended, and nothing is trained. Controls, which CarveMix does not have, get a piece
    of another control, carved along a patient's lesion, so that a pasted edge never means a lesion.

    Args:
        cohort: A prepared cohort. Training subjects are those of split train, or everyone when no
            subject has a split; synthetic ones are left out.
        out: Folder to write: ``cohort.csv`` and a folder per subject.
        lesions: Number of patients to make; as many as training patients by default.
        controls: Number of controls to make.
        hosts: Whose heads get a lesion: ``all`` training subjects, ``patients`` (who keep their
            own lesion, as in the publication) or ``controls``.
        seed: Seed of the choice of heads and of how much is carved.
        workers: Number of processes; the images do not depend on it.

    Returns:
        The output folder.

    Raises:
        SettingsError: If a number is out of range.
        CohortError: If there are too few subjects, a mask is empty or a file is absent.
        GeometryError: If two heads differ in spacing or axes.
        RunError: If ``out`` holds something else.
    """
    for key, value, least in (("workers", workers, 1), ("controls", controls, 0),
                              ("lesions", 1 if lesions is None else lesions, 0)):  # fmt: skip
        if value < least:
            raise SettingsError(key, str(value), f"at least {least}", f"Change --{key}.")
    table = Cohort.read(cohort)
    train = table.training()
    patients = [s for s in train if s.is_patient and s.has("lesion")]
    number = len(patients) if lesions is None else lesions
    specs = _deal(table, train, patients, number, controls, hosts, seed)
    flair = all(s.has("flair") for s in train)
    keys = (*contrasts_of(flair), "tissue", "lesion", "transforms")
    read = [table.path(s, key) for s in train for key in keys if s.has(key)]
    path = Path(cohort) if Path(cohort).suffix == ".csv" else table.folder / TABLE
    settings = {"cohort": cohort, "lesions": number, "controls": controls, "hosts": hosts,
                "seed": seed}  # fmt: skip
    run = Run(out, "carvemix", settings, [path, *read], seed)
    if run.complete:
        return run.out
    with run:
        jobs = [_Job(table, tuple(tries), run.folder, flair, seed) for tries in specs]
        rows = map_items(_make, jobs, "carvemix", workers)
        fitted = tuple(sorted(s.id for s in train))
        Cohort(run.folder, tuple(rows), "carvemix", fitted_on=fitted).write()
    return run.out


def _deal(
    table: Cohort, train: list[Subject], patients: list[Subject], lesions: int, controls: int,
    hosts: Hosts, seed: int,
) -> list[list[Spec]]:  # fmt: skip
    """Who lies over whom: for each subject to make its choices, the first of which is taken."""
    healthy = [s for s in train if not s.is_patient]
    under = {"all": train, "patients": patients, "controls": healthy}[hosts]
    if ((lesions or controls) and not patients) or (lesions and len(under) < 2):
        raise CohortError(
            table.name, f"{len(patients)} training patients with a mask, {len(under)} {hosts} as "
            "hosts", "at least one patient, and two hosts", "Mend the splits, or change --hosts.",
        )  # fmt: skip
    if controls and len(healthy) < 2:
        raise CohortError(table.name, f"{len(healthy)} training controls", "at least two",
                          "Give --controls 0.")  # fmt: skip
    dealt = []
    for place in range(lesions + controls):
        name = f"mix-{place + 1:05d}"
        rng, tries = rng_for(seed, name), []
        for _ in range(_TRIES):
            mask = patients[int(rng.integers(len(patients)))]
            donor = mask if place < lesions else healthy[int(rng.integers(len(healthy)))]
            below = under if place < lesions else healthy
            others = [s for s in below if s.id != donor.id]
            tries.append(Spec(name, others[int(rng.integers(len(others)))].id, donor.id, mask.id))
        dealt.append(tries)
    return dealt


def _make(job: _Job) -> Subject:
    name = bids_name(job.specs[0].id)
    record = job.folder / name / f"{name}_spec.json"
    if not record.is_file():
        with item_folder(job.folder, name) as folder:
            spec, made, grid = _mix(job)
            arrays: dict[str, Any] = dict(zip(contrasts_of(job.flair), made.image, strict=True)) | {
                "region": made.touched
            }
            if made.lesion.any():
                arrays["lesion"] = made.lesion
            for key, array in arrays.items():
                write_volume(folder / f"{name}_{key}.nii.gz", Volume(array, grid))
            text = json.dumps(asdict(spec) | {"files": list(arrays)}, indent=1) + "\n"
            (folder / record.name).write_text(text, encoding="utf-8")
    told = json.loads(record.read_text(encoding="utf-8"))
    spec = Spec(**{key: told[key] for key in Spec.__dataclass_fields__})
    host = job.cohort.moved(job.folder)[spec.host]
    files = {key: host.files[key] for key in _HOSTS if host.has(key)}
    files |= {key: f"{name}/{name}_{key}.nii.gz" for key in told["files"]}
    people = {(spec.host, Role.HOST), (spec.donor, Role.STYLE), (spec.mask, Role.MASK)}
    return Subject(
        spec.id, Group.PATIENT if "lesion" in files else Group.CONTROL, Origin.SYNTHETIC,
        site=host.site, scanner=host.scanner, split=Split.TRAIN,
        parents=tuple(Parent(*p) for p in sorted(people, key=lambda p: p[1].value)),
        files=files | {"spec": f"{name}/{record.name}"},
    )  # fmt: skip


def _mix(job: _Job) -> tuple[Spec, Made, Grid]:
    rng = np.random.default_rng([job.seed, 11, *job.specs[0].id.encode()])
    keys = (*contrasts_of(job.flair), "tissue", "lesion")
    for spec in job.specs:
        host, grid = load_arrays(job.cohort, job.cohort[spec.host], keys)
        donor, donor_grid = load_arrays(job.cohort, job.cohort[spec.donor], keys)
        mask = donor["lesion"] > 0
        if not spec.lesional:
            other, other_grid = load_arrays(job.cohort, job.cohort[spec.mask], keys)
            way = _shift(job.cohort, other["lesion"] > 0, (spec.mask, other_grid),
                         (spec.donor, donor_grid))  # fmt: skip
            mask = _moved(other["lesion"] > 0, way, donor_grid.shape)
            if not mask.any():
                continue
        if not mask.any():
            raise CohortError(spec.donor, "an empty lesion mask", "at least one lesion voxel",
                              "Correct the mask, or clear its cell.")  # fmt: skip
        stack = [np.stack([a[k] for k in contrasts_of(job.flair)]) for a in (host, donor)]
        piece = Donor(spec.donor, stack[1], donor["tissue"], mask, donor_grid.spacing_mm)
        way = _shift(job.cohort, mask, (spec.donor, donor_grid), (spec.host, grid))
        made = carve(stack[0], host["tissue"], piece, rng, way)
        own = (host["lesion"] > 0) & ~made.touched
        if made.lesion.any() or (not spec.lesional and made.touched.any()):
            lesion = own | (made.lesion if spec.lesional else np.zeros_like(own))
            return spec, Made(made.image, lesion, made.touched), grid
    raise CohortError(
        job.specs[0].id, f"no piece that meets its host's brain, of {len(job.specs)}",
        "lesions inside the brain", "Look at the lesion masks and the MNI matrices.",
    )  # fmt: skip


def _shift(
    cohort: Cohort, mask: NDArray[Any], source: tuple[str, Grid], target: tuple[str, Grid]
) -> NDArray[np.int_]:
    """Whole voxels that bring a mask's centre from one head to the same MNI place in another."""
    (name, grid), (other, other_grid) = source, target
    if not np.allclose(grid.matrix[:3, :3], other_grid.matrix[:3, :3], atol=1e-3):
        raise GeometryError(
            other, f"a grid of {other_grid.describe()}", f"spacing and axes of {name}, "
            f"{grid.describe()}", "Run fcdsynth prepare on the whole cohort with one spacing.",
        )  # fmt: skip
    centre = centre_vox(mask)
    there, back = (_to_mni(cohort, cohort[n]) for n in (name, other))
    mni = there @ np.append(grid.to_mm(centre), 1)
    return np.rint(other_grid.to_vox((np.linalg.inv(back) @ mni)[:3]) - centre).astype(int)


def _to_mni(cohort: Cohort, subject: Subject) -> NDArray[np.float64]:
    given = read_to_mni(cohort, subject)
    if given is None:
        raise CohortError(subject.id, "no matrix to MNI", "transforms with t1w_to_mni",
                          "Run fcdsynth prepare again, or leave the subject out.")  # fmt: skip
    return given


def _moved(
    mask: NDArray[Any], way: NDArray[np.int_], shape: tuple[int, ...]
) -> NDArray[np.bool_]:  # fmt: skip
    at = np.argwhere(mask) + way
    at = at[((at >= 0) & (at < shape)).all(axis=1)]
    new = np.zeros(shape, dtype=bool)
    new[tuple(at.T)] = True
    return new
