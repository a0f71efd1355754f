"""Snapshots: what the network thinks of each patient's mask as it learns, for `flag`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_only
from scipy import ndimage

from fcdsynth.detector.augment import Patch
from fcdsynth.detector.inputs import Kinds, standardise
from fcdsynth.detector.patches import LoadedSubject, cut, cut_corner

FOLDER = "snapshots"
PLACES = "places.npz"
_MOST_VOXELS = 2000
_BAND_VOX = 2


@dataclass(frozen=True, eq=False)
class Watched:
    """Voxels of one patient that are looked at again and again.

    Args:
        subject: Subject id.
        split: ``train`` or ``val``.
        image: Patch around the lesion as the network sees it, float32, (channel, x, y, z).
        inside: Indices of the voxels in the patch, (n, 3).
        voxels: Their flat indices (C order) in the prepared volume, (n,).
        given: Whether the mask holds them, (n,).
    """

    subject: str
    split: str
    image: NDArray[np.float32]
    inside: NDArray[np.int64]
    voxels: NDArray[np.int64]
    given: NDArray[np.bool_]


def watch(
    subject: LoadedSubject, split: str, patch: Patch, inputs: Sequence[str], seed: int
) -> Watched | None:
    """Choose at most 2,000 voxels of a patient's mask and of a band of two voxels around it.

    Args:
        subject: The subject; None comes back for one without a mask.
        split: Its split.
        patch: Size of the patch.
        inputs: Names of the channels.
        seed: Seed of the choice.
    """
    if not subject.lesion.any():
        return None
    mask = np.asarray(subject.lesion) > 0
    centre = np.rint(np.argwhere(mask).mean(axis=0))
    corner = cut_corner(centre, mask.shape, patch)
    box = cut(subject.image, centre, patch).astype(np.float32)
    lesion = cut(mask[None], centre, patch)[0]
    near = ndimage.binary_dilation(lesion, iterations=_BAND_VOX)
    inside = np.argwhere(near & (Kinds(tuple(inputs)).brain(box) | lesion))
    if len(inside) > _MOST_VOXELS:
        rng = np.random.default_rng([seed, 3, *subject.id.encode()])
        inside = inside[np.sort(rng.choice(len(inside), _MOST_VOXELS, replace=False))]
    voxels = np.ravel_multi_index(tuple((inside + corner).T), mask.shape)
    given = lesion[tuple(inside.T)]
    return Watched(subject.id, split, standardise(box, inputs), inside, voxels, given)


class Snapshots(pl.Callback):
    """Write the logits at watched voxels, evenly often over a fit.

    ``snapshots/places.npz`` holds ``ID/voxels`` and ``ID/given`` of every watched patient,
    ``snapshots/places.json`` their splits, and ``snapshots/step-000100.npz`` the logits
    (float16, in the order of the voxels) by id after so many steps.

    Args:
        count: How often.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.places: Sequence[Watched] = ()

    @staticmethod
    def steps(count: int, most: int) -> list[int]:
        """Steps after which a snapshot is taken; the last is the last of the fit."""
        return sorted({round(most * (k + 1) / count) for k in range(count)} - {0})

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write where the logits will be from: what the data module watches."""
        self.places = trainer.datamodule.watched
        folder = Path(trainer.default_root_dir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {}
        for place in self.places:
            arrays[f"{place.subject}/voxels"] = place.voxels
            arrays[f"{place.subject}/given"] = place.given
        np.savez_compressed(folder / PLACES, **arrays)  # type: ignore[arg-type]
        splits = {place.subject: place.split for place in self.places}
        (folder / "places.json").write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *_args: Any
    ) -> None:
        """Take a snapshot where one is due."""
        if trainer.global_step in self.steps(self.count, trainer.max_steps):
            self._take(trainer, module)

    @rank_zero_only
    @torch.inference_mode()
    def _take(self, trainer: pl.Trainer, module: Any) -> None:
        network = module.network.eval()
        found = {}
        for place in self.places:
            batch = torch.from_numpy(place.image)[None].to(module.device)
            logits = network(batch)[0, 0].float().cpu().numpy()
            found[place.subject] = logits[tuple(place.inside.T)].astype(np.float16)
        network.train()
        path = Path(trainer.default_root_dir) / FOLDER / f"step-{trainer.global_step:06d}.npz"
        np.savez_compressed(path, **found)  # type: ignore[arg-type]


def read_snapshots(folder: Path) -> tuple[Mapping[str, NDArray[np.float32]], list[int]]:
    """Logits over training by subject, (snapshots, voxels), and the steps they are from.

    Args:
        folder: Folder of a finished fit.
    """
    files = sorted((folder / FOLDER).glob("step-*.npz"))
    loaded = [np.load(file) for file in files]
    names = list(loaded[0].files) if loaded else []
    logits = {name: np.stack([f[name] for f in loaded]).astype(np.float32) for name in names}
    return logits, [int(file.stem.split("-")[1]) for file in files]
