"""A drawn cohort of tiny heads, what synthesize leaves, and generators that lie or do not."""

from __future__ import annotations

import json

import numpy as np
import torch

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, write_volume
from fcdsynth.synthesis import job as job_module
from fcdsynth.synthesis.conditions import LESION, SOFT

# Settings of a generator of which nothing is asked but that it runs.
SMALL = {
    "channels": [8, 6, 4],
    "hidden": 6,
    "style": 4,
    "lesion_style": 2,
    "discriminator_channels": 4,
    "discriminator_layers": 1,
}


def drawn_cohort(real, folder, host="sub-00005"):
    """One lesional and one healthy subject in a control: a box in cortex and white matter."""
    subjects = []
    source = real[host]
    tissue = read_labels(real.path(source, "tissue"))
    box = np.zeros(tissue.grid.shape, bool)
    box[15:19, 13:17, 12:16] = True
    shape = box & np.isin(tissue.array, [Tissue.CORTEX, Tissue.WHITE_MATTER])
    for group in (Group.PATIENT, Group.CONTROL):
        name = f"drawn-{group.value}"
        files = dict(real.moved(folder)[host].files)
        arrays = {"region": shape, "soft": shape.astype(np.float32) * 0.5}
        if group is Group.PATIENT:
            arrays["lesion"] = shape
        for key, array in arrays.items():
            write_volume(folder / name / f"{name}_{key}.nii.gz", Volume(array, tissue.grid))
            files[key] = f"{name}/{name}_{key}.nii.gz"
        spec = folder / name / f"{name}_spec.json"
        spec.write_text(json.dumps({"seed": 1}))
        files["spec"] = f"{name}/{spec.name}"
        parents = (Parent(host, Role.HOST),)
        subjects.append(Subject(name, group, Origin.SYNTHETIC, split=Split.TRAIN,
                                parents=parents, files=files))  # fmt: skip
    cohort = Cohort(folder, tuple(subjects), "drawn", fitted_on=("sub-00002",))
    cohort.write()
    return cohort


def files(folder):
    """Bytes of all that a run made, without what holds paths, times or settings."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in ("config.yaml", "provenance.json")
    }


class Blind(torch.nn.Module):
    """A trained generator whose lesion label is cut off."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole
        self.blocks, self.reach_vox = whole.blocks, whole.reach_vox
        self.draw_noise, self.encode_style = whole.draw_noise, whole.encode_style

    def forward(self, context, labels, code, noise, style_code=None):
        labels = labels.clone()
        labels[:, [LESION, SOFT]] = 0
        return self.whole(context, labels, torch.zeros_like(code), noise, style_code=style_code)


class Honest(Blind):
    """It gives the host back, and adds to it what a tiny head's lesion shows, in a part of it.

    The host's own values are taken from the context; where that is blank, the tissue's level of
    the tiny heads is drawn, with a grain.
    """

    # The seam of 6 mm voxels takes a quarter of a contrast of (-0.06, 0.25).
    SHIFT = (-0.08, 0.33)
    LEVELS = ([0, 0.18, 0.48, 0.66, 0.54, 0.15, 0.55], [0, 0.12, 0.60, 0.50, 0.58, 0.10, 0.55])
    part = slice(None)

    def forward(self, context, labels, code, noise, style_code=None):
        image = torch.stack([torch.einsum("bkxyz,k->bxyz", labels[:, :7], torch.tensor(levels))
                             for levels in self.LEVELS], 1)  # fmt: skip
        lesion = torch.zeros_like(labels[:, LESION])
        lesion[:, self.part] = labels[:, LESION, self.part]
        shift = torch.tensor(self.SHIFT)[:, None, None, None] * lesion[:, None]
        image = (image + 0.015 * noise + shift) * 2 - 1
        return image, image


def with_generator(monkeypatch, kind, **traits):
    load = job_module.trained_task.__wrapped__

    class Wrapped:
        def __init__(self, task):
            self.hparams, self.drawer = task.hparams, kind(task.drawer)
            for name, value in traits.items():
                setattr(self.drawer, name, value)

    monkeypatch.setattr(job_module, "trained_task", lambda *words: Wrapped(load(*words)))


def checks_of_whole_mask(made, drawn):
    """Assert that the patient's mask was kept as it was drawn; what the tests said of it."""
    patient = made["drawn-patient"]
    mask = read_mask(made.path(patient, "lesion")).array
    assert np.array_equal(mask, read_mask(drawn.path(drawn["drawn-patient"], "lesion")).array)
    checks = json.loads(made.path(patient, "spec").read_text())["checks"]
    assert checks["changed_share"] == 1
    assert checks["trimmed_share"] == checks["beyond"] == 0
    return checks
