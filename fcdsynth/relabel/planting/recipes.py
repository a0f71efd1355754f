"""The errors themselves: what an annotator with this fault would have drawn.

Kinds and sizes are those of the project's notes, reference/relabelling.md 5.4; extents are
changed in millimetres, not in voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.measure.components import bounding_box, label_components
from fcdsynth.relabel.planting.scene import Bools, Scene
from fcdsynth.relabel.planting.spec import REDRAWN, PlantSpec

_LEAST_LEFT = 0.2  # a mask that is too small keeps this share of its volume
_SMOOTH_MM = 1.5
_WOBBLE_MM = 6.0
_READER_MM = 0.4
_MARGIN_MM = 14.0
_SLAB_MM = 3.0
_NEAREST = 40
_SNAP_MM = 15.0
_APART_MM = 20.0
_DEBRIS_VOX = 5
Box = tuple[slice, ...]


def plant(spec: PlantSpec, scene: Scene, donor: Scene | None = None) -> Bools:
    """The mask with the error, same shape as the scene's; empty where a lone lesion is missed.

    Args:
        spec: The error.
        scene: Mask and head.
        donor: Mask and head of `PlantSpec.other`, for the errors that paste.
    """
    rng = np.random.default_rng([spec.seed, 1])
    if spec.error in ("false", "subject"):
        assert donor is not None
        paste = _false if spec.error == "false" else _subject
        return paste(scene, donor, rng)
    return _ALONE[spec.error](scene, spec.amount, rng)


def _near(scene: Scene) -> tuple[Box, NDArray[np.float64]]:
    """A box around the mask, and the signed distance from its outline there, mm, out positive."""
    found = bounding_box(scene.mask)
    assert found is not None
    spacing = scene.grid.spacing_mm
    margins = [int(np.ceil(_MARGIN_MM / mm)) for mm in spacing]
    box = tuple(slice(max(0, s.start - m), min(n, s.stop + m))
                for s, m, n in zip(found, margins, scene.mask.shape, strict=True))  # fmt: skip
    mask = scene.mask[box]
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    # Each counts from the centre of the nearest voxel beyond; the outline lies half way.
    half = float(np.mean(spacing)) / 2
    return box, np.asarray(np.where(mask, half - inside, outside - half))


def _whole(scene: Scene, box: Box, part: NDArray[np.bool_]) -> Bools:
    found = np.zeros_like(scene.mask)
    found[box] = part
    return found


def _sigma(scene: Scene, mm: float) -> list[float]:
    return [mm / side for side in scene.grid.spacing_mm]


def _too_large(scene: Scene, amount: float, _rng: np.random.Generator) -> Bools:
    box, distance = _near(scene)
    smooth = ndimage.gaussian_filter(distance, _sigma(scene, _SMOOTH_MM))
    return _whole(scene, box, (smooth <= amount) & scene.brain[box] | scene.mask[box])


def _too_small(scene: Scene, amount: float, _rng: np.random.Generator) -> Bools:
    box, distance = _near(scene)
    limit = max(-amount, float(np.quantile(distance[scene.mask[box]], _LEAST_LEFT)))
    return _whole(scene, box, scene.mask[box] & (distance <= limit))


def _wobbly(scene: Scene, amount: float, rng: np.random.Generator) -> Bools:
    box, distance = _near(scene)
    noise = ndimage.gaussian_filter(rng.standard_normal(distance.shape),
                                    _sigma(scene, _WOBBLE_MM / 2.355))  # fmt: skip
    noise *= amount / noise.std()
    # Unbiased in the mean distance, as the notes ask for.
    return _whole(scene, box, (distance + noise <= 0) & scene.brain[box])


def _redrawn(scene: Scene, amount: float, rng: np.random.Generator) -> Bools:
    """Another outline by a reader of the same habits: a small bias and a small wobble."""
    box, distance = _near(scene)
    noise = ndimage.gaussian_filter(rng.standard_normal(distance.shape),
                                    _sigma(scene, _WOBBLE_MM / 2.355))  # fmt: skip
    bias = rng.uniform(-_READER_MM, _READER_MM)
    drawn = (distance + noise * (amount / noise.std()) <= bias) & scene.brain[box]
    return _whole(scene, box, drawn if drawn.any() else scene.mask[box])


def _holes(scene: Scene, amount: float, _rng: np.random.Generator) -> Bools:
    axis = int(np.argmax(scene.grid.spacing_mm))
    slab = np.floor(np.arange(scene.mask.shape[axis]) * scene.grid.spacing_mm[axis] / _SLAB_MM)
    shape = [1, 1, 1]
    shape[axis] = -1
    first = slab[np.argwhere(scene.mask)[:, axis].min()]
    missing = (slab - first) % int(amount) == int(amount) - 1
    return np.asarray(scene.mask & ~missing.reshape(shape))


def _missed(scene: Scene, _amount: float, rng: np.random.Generator) -> Bools:
    labels, parts = label_components(scene.mask, scene.grid)
    drawn = [part.label for part in parts if part.size_vox >= _DEBRIS_VOX]
    if len(drawn) < 2:
        return np.zeros_like(scene.mask)
    left_out = drawn[int(rng.integers(len(drawn)))]
    return np.asarray(scene.mask & (labels.array != left_out))


def _shifted(scene: Scene, amount: float, rng: np.random.Generator) -> Bools:
    start = scene.nearest_cortex(scene.centre_mm())
    places = scene.grid.to_mm(np.argwhere(scene.cortex)) - start
    length = np.linalg.norm(places, axis=1)
    nearest = np.argsort(np.abs(length - amount), kind="stable")[:_NEAREST]
    nearest = nearest[length[nearest] > 0]
    step = places[nearest[int(rng.integers(len(nearest)))]]
    return _moved(scene, scene, step / np.linalg.norm(step) * amount)


def _side(scene: Scene, _amount: float, _rng: np.random.Generator) -> Bools:
    anchor = scene.nearest_cortex(scene.centre_mm())
    mirrored = scene.midplane.mirrored(anchor)
    snap = scene.nearest_cortex(mirrored) - mirrored
    snap = snap if np.linalg.norm(snap) <= _SNAP_MM else np.zeros(3)
    places = scene.grid.to_mm(np.argwhere(scene.brain))
    there = scene.midplane.mirrored(places - snap)
    right = scene.midplane.right_mm(places) >= 0
    same = right == (scene.midplane.right_mm(scene.centre_mm()) < 0)
    return _filled(scene, _sampled(scene.mask, scene.grid.to_vox(there)) & same)


def _false(scene: Scene, donor: Scene, rng: np.random.Generator) -> Bools:
    """A lesion's shape, hung up at healthy cortex far from the mask."""
    labels, parts = label_components(donor.mask, donor.grid)
    shape = donor.with_mask(labels.array == parts[0].label)
    far = ndimage.distance_transform_edt(~scene.mask, sampling=scene.grid.spacing_mm) > _APART_MM
    free = np.argwhere(scene.cortex & far)
    free = free if len(free) else np.argwhere(scene.cortex & ~scene.mask)
    target = scene.grid.to_mm(free[int(rng.integers(len(free)))])
    return scene.mask | _moved(scene, shape, target - shape.nearest_cortex(shape.centre_mm()))


def _subject(scene: Scene, donor: Scene, _rng: np.random.Generator) -> Bools:
    """The donor's mask at the same place of MNI space."""
    from_here = np.linalg.inv(donor.to_mni) @ scene.to_mni
    places = scene.grid.to_mm(np.argwhere(scene.brain))
    there = places @ from_here[:3, :3].T + from_here[:3, 3]
    return _filled(scene, _sampled(donor.mask, donor.grid.to_vox(there)))


def _moved(scene: Scene, shape: Scene, step_mm: NDArray[np.float64]) -> Bools:
    """A shape moved by a step in mm, in the brain of a scene."""
    places = scene.grid.to_mm(np.argwhere(scene.brain))
    return _filled(scene, _sampled(shape.mask, shape.grid.to_vox(places - step_mm)))


def _sampled(mask: Bools, voxels: NDArray[np.float64]) -> Bools:
    share = ndimage.map_coordinates(mask.astype(np.float32), voxels.T, order=1)
    return np.asarray(share >= 0.5)


def _filled(scene: Scene, inside: Bools) -> Bools:
    found = np.zeros_like(scene.mask)
    found[scene.brain] = inside
    return found


_ALONE: Mapping[str, Callable[[Scene, float, np.random.Generator], Bools]] = {
    "too_large": _too_large,
    "too_small": _too_small,
    "wobbly": _wobbly,
    REDRAWN: _redrawn,
    "holes": _holes,
    "missed": _missed,
    "shifted": _shifted,
    "side": _side,
}
