"""The verb fit plan: a detector's settings from the cohort it is to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import read_volume
from fcdsynth.core.whole import write_whole
from fcdsynth.detector.augment import Patch
from fcdsynth.detector.inputs import CONTRASTS, check_inputs, common_spacing
from fcdsynth.detector.losses import DetectionLoss
from fcdsynth.detector.networks import make_network
from fcdsynth.training.memory import Ledger, Need

_GIB = 2.0**30
_COARSEST_VOX = 4  # a level is added while every axis keeps this many voxels in it
_MOST_LEVELS = 6
_MOST_FEATURES = 320
_BLOCKS = (1, 2, 2, 4, 4, 4)
_LOOKED_AT = 30


@dataclass(frozen=True)
class Fingerprint:
    """What a plan depends on.

    Args:
        spacing_mm: Voxel size of the cohort.
        brain_vox: Median size of the brain's box, voxels.
        subjects: Number of subjects that were looked at.
    """

    spacing_mm: tuple[float, float, float]
    brain_vox: Patch
    subjects: int


@dataclass(frozen=True)
class Plan:
    """Settings of a fit.

    Args:
        fingerprint: What they come from.
        patch: Patch size, voxels.
        batch_size: Patches per batch.
        widths: Features of each level.
        blocks: Residual blocks of each level.
        supervised: Levels that enter the loss.
        need: Memory of a training step.
    """

    fingerprint: Fingerprint
    patch: Patch
    batch_size: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    supervised: int
    need: Need


def fingerprint_of(cohort: Cohort, inputs: tuple[str, ...]) -> Fingerprint:
    """Voxel size and median brain of the training and validation subjects.

    Args:
        cohort: A prepared cohort; all subjects where no split is set. At most 30 are read.
        inputs: Names of the channels.

    Raises:
        CohortError: If there is no subject, or one has no brain.
        GeometryError: If voxel sizes differ.
    """
    used = cohort.select(lambda s: s.split in (Split.TRAIN, Split.VAL))
    used = used if len(used) else cohort
    key = next(name for name in inputs if name in CONTRASTS)
    spacing = common_spacing(used, key)
    step = max(len(used) // _LOOKED_AT, 1)
    boxes = []
    for subject in track(used.subjects[::step], "looking at subjects"):
        brain = read_volume(used.path(subject, key)).array > 0
        if not brain.any():
            raise CohortError(subject.id, "images that are 0 everywhere", "a brain",
                              "Prepare the subject again.")  # fmt: skip
        boxes.append([int(np.ptp(np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis}))))) + 1
                      for axis in range(3)])  # fmt: skip
    x, y, z = (int(median(sizes)) for sizes in zip(*boxes, strict=True))
    return Fingerprint(spacing, (x, y, z), len(boxes))


def step_memory(
    channels: int, widths: Sequence[int], blocks: Sequence[int], supervised: int, fold: int,
    batch_size: int, patch: Patch, half: bool,
) -> Need:  # fmt: skip
    """Memory of a training step, from a network and tensors that have shapes but no values.

    Args:
        channels: Input channels.
        widths: Features of each level.
        blocks: Residual blocks of each level.
        supervised: Levels that enter the loss.
        fold: As of the network.
        batch_size: Patches per batch.
        patch: Their size.
        half: Whether the step runs under bfloat16 autocast.
    """
    # Without the overlap, which asks for a value that shapes do not have.
    loss = DetectionLoss("none")
    with FakeTensorMode():
        network = make_network(channels, widths, blocks, supervised, fold)
        weights = list(network.parameters())
        image = torch.zeros(batch_size, channels, *patch)
        target = torch.ones(batch_size, 1, *patch)
        ledger = Ledger([*weights, image, target])
        with saved_tensors_hooks(ledger.note, lambda tensor: tensor):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = network.train()(image)
            total, _ = loss(logits, target)
        kept = (ledger.bytes + image.nbytes + target.nbytes) / _GIB
        del total
    # Weights, their moving average, gradients and AdamW's two moments.
    fixed = 5 * sum(p.nbytes for p in weights) / _GIB
    return Need(fixed, kept, (6 if half else 3) * ledger.largest / _GIB)


def make_plan(
    found: Fingerprint,
    channels: int,
    memory_gib: float,
    width: int = 32,
    batch_size: int = 2,
    half: bool = True,
) -> Plan:
    """The largest patch that fits, as deep as it allows.

    As in nnU-Net (Isensee et al. 2021) the patch begins as the whole brain and its longest axis
    is shortened, in physical units, until a step fits into the memory; each resolution doubles
    the features up to 320.

    Args:
        found: The cohort's fingerprint.
        channels: Input channels.
        memory_gib: Memory of one process for a training step.
        width: Features at full resolution.
        batch_size: Patches per batch.
        half: Whether training runs in bfloat16.

    Raises:
        SettingsError: If not even the smallest patch fits.
    """
    size = np.array(found.brain_vox, dtype=float)
    while True:
        levels = _levels(size)
        factor = 2 ** (levels - 1)
        patch = tuple(max(round(float(s) / factor), 2) * factor for s in size)
        x, y, z = patch
        widths = tuple(min(width * 2**n, _MOST_FEATURES) for n in range(levels))
        blocks, supervised = _BLOCKS[:levels], max(levels - 2, 1)
        need = step_memory(channels, widths, blocks, supervised, 1, batch_size, (x, y, z), half)
        if need.total <= memory_gib:
            return Plan(found, (x, y, z), batch_size, widths, blocks, supervised, need)
        longest = int(np.argmax(size * found.spacing_mm))
        if size[longest] <= 4 * _COARSEST_VOX:
            raise SettingsError(
                "memory_gib", f"{memory_gib:g}", f"at least {need.total:.1f} GiB, for patches of "
                f"{x} x {y} x {z} voxels", "Give more memory, or a smaller --width.",
            )  # fmt: skip
        size[longest] *= 0.9


def _levels(size: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    levels = 1
    while levels < _MOST_LEVELS and size.min() / 2**levels >= _COARSEST_VOX:
        levels += 1
    return max(levels, 2)


def plan(
    cohort: str,
    out: str,
    memory_gib: float = 10.0,
    inputs: tuple[str, ...] = ("t1w", "flair"),
    width: int = 32,
    batch_size: int = 2,
    steps: int = 50_000,
    half: bool = True,
) -> Path:
    """Write the settings of a detector for a cohort, as a file to read, edit and fit with.

    Patch, depth and features follow from the voxel size, the size of the brains and the memory.
    Use it with ``fcdsynth fit -c OUT -c configs/machine/gpu.yaml --data.cohort COHORT --out RUN``;
    a key that ``fit`` does not know is refused there.

    Args:
        cohort: Folder or table of a prepared cohort; its training and validation subjects
            are looked at, or all where no split is set.
        out: YAML file to write.
        memory_gib: Memory that a training step may take, GiB of the GPU (or of the machine).
        inputs: Channels, see ``data.inputs`` of ``fit``.
        width: Features at full resolution, doubled at each level.
        batch_size: Patches per batch.
        steps: Training steps.
        half: Train in bfloat16.

    Returns:
        The file.

    Raises:
        SettingsError: If a setting is out of range, or no patch fits into the memory.
        CohortError: If the cohort holds no subject.
        RunError: If the file exists.
    """
    chosen = check_inputs(inputs, "inputs")
    for key, value, least in (("memory_gib", memory_gib, 0.1), ("width", width, 4),
                              ("batch_size", batch_size, 1), ("steps", steps, 1)):  # fmt: skip
        if value < least:
            raise SettingsError(key, str(value), f"at least {least}", f"Change --{key}.")
    path = Path(out)
    if path.exists():
        raise RunError(out, "a file that exists", "a new file",
                       "Give another name, or remove it.")  # fmt: skip
    found = fingerprint_of(Cohort.read(cohort), chosen)
    made = make_plan(found, len(chosen), memory_gib, width, batch_size, half)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, plan_text(made, chosen, steps, half))
    return path


def plan_text(made: Plan, inputs: tuple[str, ...], steps: int, half: bool) -> str:
    """The plan as a config of ``fit``, what it comes from in its comments."""
    found, need = made.fingerprint, made.need
    size = " x ".join(str(n) for n in found.brain_vox)
    voxel = " x ".join(f"{mm:.3g}" for mm in found.spacing_mm)
    head = (
        f"# Planned for {found.subjects} subjects: voxels of {voxel} mm, median brain of {size} "
        f"voxels.\n# A training step takes about {need.total:.1f} GiB: {need.fixed:.1f} for the "
        f"weights, {need.saved:.1f} kept for the\n# backward pass. Change what you like; fit "
        "refuses keys that it does not know.\n"
    )
    epoch = min(250, steps)
    config = {
        "model": {
            "class_path": "fcdsynth.detector.task.DetectorTask",
            "init_args": {
                "inputs": list(inputs), "widths": list(made.widths), "blocks": list(made.blocks),
                "supervised": made.supervised,
            },
        },
        "data": {
            "class_path": "fcdsynth.detector.data.DetectorData",
            "init_args": {
                "inputs": list(inputs), "patch_size": list(made.patch),
                "batch_size": made.batch_size, "steps_per_epoch": epoch,
            },
        },
        "trainer": {
            "max_steps": steps, "gradient_clip_val": 12.0,
            **({"precision": "bf16-mixed"} if half else {}),
        },
    }  # fmt: skip
    return head + yaml.safe_dump(config, sort_keys=False, default_flow_style=None)
