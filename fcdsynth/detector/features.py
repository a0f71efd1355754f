"""Deep features of regions: what the networks made of a mask, a cluster or any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume
from fcdsynth.detector.augment import Patch
from fcdsynth.detector.ensemble import Ensemble
from fcdsynth.detector.inputs import Kinds, standardise
from fcdsynth.detector.networks import ResidualUNet
from fcdsynth.detector.patches import cut
from fcdsynth.detector.plane import midplane_of
from fcdsynth.measure.components import label_components
from fcdsynth.measure.mirror import Midplane

MASK, CLUSTER, MIRROR, BACKGROUND = "mask", "cluster", "mirror", "background"
_BACKGROUND_ML = 2.0
_BACKGROUNDS = 4
_LEAST_VOX = 3


@dataclass(frozen=True, eq=False)
class Region:
    """A region of one subject.

    Args:
        kind: ``mask`` (a component of the subject's lesion mask), ``cluster`` (found by the
            detector), ``mirror`` (the mirrored place of a mask component) or ``background`` (a
            ball at random in the brain).
        number: Which of its kind, from 1.
        voxels: Its voxels on the prepared grid, (n, 3).
    """

    kind: str
    number: int
    voxels: NDArray[np.int64]

    def centre_mm(self, grid: Grid) -> tuple[float, float, float]:
        """Centre of mass, RAS+ mm."""
        x, y, z = grid.to_mm(self.voxels).mean(axis=0)
        return (round(float(x), 2), round(float(y), 2), round(float(z), 2))


def regions_of(
    mask: NDArray[np.bool_], found: NDArray[np.bool_], brain: NDArray[np.bool_], grid: Grid,
    plane: Midplane, seed: Sequence[int],
) -> list[Region]:  # fmt: skip
    """A subject's regions.

    Args:
        mask: The subject's lesion mask, (x, y, z); empty in controls.
        found: Voxels above the detector's threshold, (x, y, z).
        brain: Brain, (x, y, z).
        grid: Their grid.
        plane: Mid-sagittal plane.
        seed: Decides the places of the background balls.
    """
    regions: list[Region] = []
    for kind, array in ((MASK, mask), (CLUSTER, found)):
        labels, parts = label_components(array, grid)
        for part in parts:
            if part.size_vox >= _LEAST_VOX:
                voxels = np.argwhere(labels.array == part.label)
                regions.append(Region(kind, sum(r.kind == kind for r in regions) + 1, voxels))
    for region in [r for r in regions if r.kind == MASK]:
        places = grid.to_vox(plane.mirrored(grid.to_mm(region.voxels)))
        inside = np.unique(np.rint(places).astype(np.int64), axis=0)
        inside = inside[((inside >= 0) & (inside < grid.shape)).all(axis=1)]
        inside = inside[brain[tuple(inside.T)]]
        if len(inside) >= _LEAST_VOX:
            regions.append(Region(MIRROR, region.number, inside))
    return regions + _backgrounds(mask | found, brain, grid, seed)


def _backgrounds(
    taken: NDArray[np.bool_], brain: NDArray[np.bool_], grid: Grid, seed: Sequence[int]
) -> list[Region]:
    rng = np.random.default_rng(list(seed))
    free = np.argwhere(brain & ~taken)
    radius_mm = (3 * _BACKGROUND_ML * 1000 / (4 * np.pi)) ** (1 / 3)
    half = np.ceil(radius_mm / np.asarray(grid.spacing_mm)).astype(int)
    offsets = np.stack(np.meshgrid(*[np.arange(-h, h + 1) for h in half], indexing="ij"), -1)
    offsets = offsets.reshape(-1, 3)
    offsets = offsets[np.linalg.norm(offsets * np.asarray(grid.spacing_mm), axis=1) <= radius_mm]
    regions: list[Region] = []
    for _ in range(_BACKGROUNDS if len(free) else 0):
        voxels = free[rng.integers(len(free))] + offsets
        voxels = voxels[((voxels >= 0) & (voxels < grid.shape)).all(axis=1)]
        voxels = voxels[brain[tuple(voxels.T)] & ~taken[tuple(voxels.T)]]
        if len(voxels) >= _LEAST_VOX:
            regions.append(Region(BACKGROUND, len(regions) + 1, voxels))
    return regions


@torch.inference_mode()
def region_features(
    network: ResidualUNet, image: NDArray[np.float32], inputs: Sequence[str], patch: Patch,
    regions: Sequence[Region], device: torch.device,
) -> NDArray[np.float32]:  # fmt: skip
    """Mean features of a network over each region, of its two finest levels and its coarsest.

    The network sees a patch around the region's centre, as it did in training.

    Args:
        network: The network.
        image: Channels as `load_channels` gives them, (channel, x, y, z).
        inputs: Names of the channels.
        patch: Size of the patch.
        regions: The regions.
        device: Where to compute.

    Returns:
        (regions, features).
    """
    network = network.to(device).eval()
    rows = []
    for region in regions:
        mask = np.zeros((1, *image.shape[1:]), dtype=np.float32)
        mask[(0, *region.voxels.T)] = 1
        centre = np.rint(region.voxels.mean(axis=0))
        box = standardise(cut(image, centre, patch), inputs)
        weight = torch.from_numpy(cut(mask, centre, patch))[None].to(device)
        features = network.features(torch.from_numpy(box)[None].to(device))
        parts = []
        for level in dict.fromkeys((0, 1, len(features) - 1)):
            x, y, z = features[level].shape[2:]
            share = F.adaptive_avg_pool3d(weight, (x, y, z))
            total = share.sum().clamp(min=1e-6)
            parts.append(((features[level] * share).sum((2, 3, 4)) / total)[0].float())
        rows.append(torch.cat(parts).cpu().numpy())
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), dtype=np.float32)


def write_features(
    path: Path, models: Sequence[str], trained: Sequence[bool],
    features: Sequence[NDArray[np.float32]], regions: Sequence[Region], grid: Grid,
) -> None:  # fmt: skip
    """Write a subject's region features as ``.npz``.

    ``features`` (models, regions, features); ``models`` their names and ``trained`` whether the
    subject trained them: features of two networks live in two spaces, and a classifier on one
    network's features needs those of the other subjects from the same network. ``kind``,
    ``number``, ``centre_mm`` and ``volume_ml`` say what the regions are.

    Args:
        path: File to write.
        models: Names of the networks.
        trained: Whether the subject trained each.
        features: Of each network, (regions, features).
        regions: The regions.
        grid: The prepared grid.
    """
    centres = np.array([r.centre_mm(grid) for r in regions], dtype=np.float32).reshape(-1, 3)
    np.savez_compressed(
        path,
        features=np.stack(features),
        models=np.array(models),
        trained=np.array(trained, dtype=bool),
        kind=np.array([r.kind for r in regions]),
        number=np.array([r.number for r in regions], dtype=np.int16),
        centre_mm=centres,
        volume_ml=np.array([len(r.voxels) * grid.voxel_ml for r in regions], dtype=np.float32),
    )


def write_region_features(
    folder: Path, ensemble: Ensemble, cohort: Cohort, subject: Subject,
    image: NDArray[np.float32], lesion: NDArray[np.bool_], probability: Volume, threshold: float,
    device: torch.device,
) -> None:  # fmt: skip
    """Write ``ID_regions.npz`` of a subject whose map was just made, see `write_features`.

    Args:
        folder: The subject's folder.
        ensemble: The models: all of them, also those that the subject trained.
        cohort: The cohort.
        subject: The subject.
        image: Channels as `load_channels` gives them, (channel, x, y, z).
        lesion: Its mask on the prepared grid.
        probability: Calibrated map on the prepared grid.
        threshold: Where clusters are cut.
        device: Where to compute.
    """
    grid, inputs = probability.grid, ensemble.models[0].inputs
    brain = Kinds(inputs).brain(image)
    plane = midplane_of(read_to_mni(cohort, subject), Volume(brain, grid))
    seed = [4, *subject.id.encode()]
    found = regions_of(lesion, probability.array >= threshold, brain, grid, plane, seed)
    made = [region_features(m.task.detecting, image, inputs, m.patch, found, device)
            for m in ensemble.models]  # fmt: skip
    names = [model.run.folder.name for model in ensemble.models]
    trained = [subject.id in model.run.seen for model in ensemble.models]
    write_features(folder / f"{subject.id}_regions.npz", names, trained, made, found, grid)
