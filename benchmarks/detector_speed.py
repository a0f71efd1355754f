"""Time and memory: our training step and inference beside nnU-Net's, in one process, in turns.

Inference: one network, run over whole brains at 1 mm by our sliding windows (eight at once) and by
nnU-Net's predictor (its settings: windows overlapping by half, Gaussian weights; no flips in
either), both in bfloat16 on one thread. Dice is compared on held-out patients at the spacing it was
trained on.

Training: our loader and step, and nnU-Net's, on patches of one size in batches of one size. The
two networks are chosen to cost about as many operations; how many, and what each takes alone, is
reported too, and nnU-Net's loader and step around our network, which leaves the recipes alone to
differ.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from detector_nnunet import peer
from figures import Figures

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.detector.data import DetectorData
from fcdsynth.detector.ensemble import Model
from fcdsynth.detector.infer import infer_logits
from fcdsynth.detector.inputs import Kinds, load_channels, standardise
from fcdsynth.detector.task import DetectorTask
from fcdsynth.phantom.phantom import phantom

CPU = torch.device("cpu")


class TwoClasses(torch.nn.Module):
    """A network of one logit as nnU-Net wants it: background 0, lesion the logit."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logit = self.network(image)
        return torch.cat([torch.zeros_like(logit), logit], 1)


def their_predictor(network: torch.nn.Module, patch: Sequence[int]) -> Callable[..., np.ndarray]:
    """nnU-Net's predictor around a network of ours: standardised channels to logits."""
    from types import SimpleNamespace

    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=CPU,
        perform_everything_on_device=False, verbose=False, allow_tqdm=False,
    )  # fmt: skip
    predictor.network = TwoClasses(network).eval()
    predictor.configuration_manager = SimpleNamespace(patch_size=list(patch))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=2)
    predictor.allowed_mirroring_axes = None

    def run(image: np.ndarray) -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
        return (logits[1] - logits[0]).float().numpy()

    return run


def whole_heads(work: Path, subjects: int, spacing_mm: float, workers: int) -> Cohort:
    """Simulated heads at 1 mm."""
    folder = phantom(str(work / "fine"), patients=subjects, controls=0, sites=1, seed=104,
                     spacing=spacing_mm, prepared=True, report=False, workers=workers)  # fmt: skip
    return Cohort.read(folder)


def measure_inference(
    figures: Figures, model: Model, fine: Cohort, cohort: Cohort, pairs: int, judged: int
) -> None:
    """Add the figures of inference.

    Args:
        figures: Where to.
        model: A trained detector.
        fine: Heads at 1 mm.
        cohort: The cohort whose test patients are judged for Dice.
        pairs: Pairs of runs that are timed.
        judged: Test patients that are judged.
    """
    network, inputs, patch = model.task.detecting, model.inputs, model.patch
    theirs = their_predictor(network, patch)

    def ours(image: np.ndarray) -> np.ndarray:
        return infer_logits(network, image, inputs, patch, CPU, windows=8, half=True)

    loaded = [load_channels(fine, s, inputs, model.flair_optional, lesion=False)[0]
              for s in fine.subjects]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours(loaded[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures.notes.append(f"whole brains of {loaded[0].shape[1:]} voxels, windows of {patch}; "
                         f"{before / 2**20:.2f} GiB were held before")  # fmt: skip
    times = []
    for n in range(pairs):
        image = loaded[n % len(loaded)]
        ready, _ = _cropped(standardise(image, inputs), Kinds(inputs).brain(image))
        start = time.perf_counter()
        ours(image)
        middle = time.perf_counter()
        theirs(ready)
        times.append((middle - start, time.perf_counter() - middle))
    figures.add_values("inference_seconds", [a for a, _ in times])
    figures.add_values("inference_time_ratio", [a / b for a, b in times], at_most=0.7)
    figures.add("inference_peak_gib", peak, 1, (peak, peak), at_most=4.0)
    dice = []
    for subject in [s for s in cohort.of_split(Split.TEST).subjects if s.is_patient][:judged]:
        image, labels, _ = load_channels(cohort, subject, inputs, model.flair_optional, lesion=True)
        brain = Kinds(inputs).brain(image)
        ready, box = _cropped(standardise(image, inputs), brain)
        other = np.full(brain.shape, -20.0, dtype=np.float32)
        other[box] = theirs(ready)
        other[~brain] = -20
        truth = labels[0] > 0
        dice.append([_dice(found > 0, truth) for found in (ours(image), other)])
    gap = [a - b for a, b in dice]
    spread = 1.96 * float(np.std(gap)) / max(len(gap), 1) ** 0.5
    mean = float(np.mean(gap))
    figures.add("inference_dice_gap", mean, len(gap), (mean - spread, mean + spread),
                at_least=-0.01)  # fmt: skip


def _cropped(image: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, tuple[slice, ...]]:
    """The brain's own box, to which nnU-Net crops."""
    box = tuple(
        slice(int(w[0]), int(w[-1]) + 1)
        for w in (np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a}))) for a in range(3))
    )
    return np.ascontiguousarray(image[(slice(None), *box)]), box


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    total = found.sum() + truth.sum()
    return float(2 * (found & truth).sum() / total) if total else 1.0


def our_step(cohort: Path, config: Path, steps: int) -> tuple[float, float]:
    """Seconds of our loader and step, and of the network's two passes alone; medians."""
    settings = yaml.safe_load(config.read_text())
    # What nnU-Net gets: both contrasts, and a plain training set.
    told = settings["data"]["init_args"] | {"inputs": ("t1w", "flair"), "flair_dropout": 0.0}
    data = DetectorData(str(cohort), **{k: tuple(v) if isinstance(v, list) else v
                                        for k, v in told.items()})  # fmt: skip
    patches = data.make_dataset(data.cohort.of_split(Split.TRAIN), training=True)
    task = DetectorTask(**settings["model"]["init_args"] | {"inputs": ("t1w", "flair")})
    task.train()
    optimizer = torch.optim.AdamW(task.network.parameters(), task.hparams.learning_rate)
    whole, alone = [], []
    for step in range(steps + 2):
        start = time.perf_counter()
        items = [patches[step * data.batch_size + n] for n in range(data.batch_size)]
        image = torch.stack([item["image"] for item in items])
        lesion = torch.stack([item["lesion"] for item in items])
        with torch.autocast("cpu", torch.bfloat16):
            logits = task.network(image)
            loss, _ = task.loss(logits, lesion)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), 12)
        optimizer.step()
        task.average.update_parameters(task.network)
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            total = sum(o.float().mean() for o in task.network(image))
        total.backward()
        alone.append(time.perf_counter() - start)
    return median(whole[2:]), median(alone[2:])


def measure_throughput(
    figures: Figures, cohort: Path, export: Path, config: Path, steps: int, turns: int
) -> None:
    """Add the figures of training: ours and nnU-Net's in turns.

    Args:
        figures: Where to.
        cohort: The table both train on.
        export: The same for nnU-Net, prepared.
        config: Config of our detector.
        steps: Steps that are timed in each turn.
        turns: Turns.
    """
    rows = []
    for _ in range(turns):
        ours = our_step(cohort, config, steps)
        told = json.loads(peer("speed", export, "--steps", str(steps)))
        same = json.loads(peer("speed", export, "--steps", str(steps), "--config", str(config)))
        rows.append((*ours, told["step_s"], told["network_s"], same["step_s"]))
    flops = same["gflop"] / told["gflop"]
    figures.add_values("training_throughput_ratio", [r[2] / r[0] for r in rows], at_least=1.3)
    figures.add_values("training_step_seconds", [r[0] for r in rows])
    figures.add_values("nnunet_step_seconds", [r[2] for r in rows])
    figures.add_values("same_network_throughput_ratio", [r[4] / r[0] for r in rows])
    figures.add_values("network_time_ratio", [r[1] / r[3] for r in rows])
    figures.add("network_flop_ratio", flops, 1, (flops, flops))
