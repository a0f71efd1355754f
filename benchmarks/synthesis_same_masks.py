"""The generator without the mask model: real lesions redrawn under their own masks and labels.

Each held-out patient's lesion is blanked and redrawn with the style of a random training lesion.
Drawn masks lie elsewhere in the tissue than real ones (`masks.py`); here both sides have the same
masks, and what tells them apart is the image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from synthesis_looks import Shown, shown_in
from torch.utils.data import default_collate

from fcdsynth.core.subject import Split
from fcdsynth.core.trained import TrainedRun
from fcdsynth.synthesis.conditions import conditions, joined, to_prepared
from fcdsynth.synthesis.contrasts import rng_for
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.redraw import LEAST_INTENSITY
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.task import SynthesisTask


@torch.inference_mode()
def redrawn_in_place(run: Path, cohort: Path, seed: int) -> tuple[list[Shown], list[Shown]]:
    """What the redrawn lesions of the test patients show, and the real ones in the same crops."""
    task = SynthesisTask.load_from_checkpoint(TrainedRun.open(run).checkpoint, weights_only=True)
    task.eval()
    known = Styles.read(run)
    data = SynthesisData(str(cohort), crop=known.crop, margin_mm=known.margin_mm, full_share=0.0)
    patches = data.make_dataset(data.cohort.of_split(Split.TEST), training=False)
    made, real = [], []
    for subject in patches.patients:
        patch = default_collate([patches.lesion_patch(subject)])
        rng = rng_for(seed, subject.id)
        style = known.lesions[int(rng.integers(len(known.lesions)))]
        target, labels, context = conditions(patch)
        source = torch.Generator().manual_seed(int(rng.integers(2**31)))
        noise = task.drawer.draw_noise(1, target.shape[2:], source)
        code = torch.from_numpy(known.code_like(style, rng))[None]
        _, fake = task.drawer(context, labels, code, noise)
        whole = joined(fake, target, labels, int(task.hparams.feather_vox))
        tissue, lesion = (patch[key][0].numpy() for key in ("tissue", "lesion"))
        for side, image in ((made, whole), (real, target)):
            shown = to_prepared(image[0]).clamp(LEAST_INTENSITY, 1).numpy()
            shown = np.where(tissue > 0, shown, 0).astype(np.float32)
            people = frozenset({subject.id})
            side.append(shown_in(shown, tissue, lesion > 0, known.spacing_mm, people))
    return made, real
