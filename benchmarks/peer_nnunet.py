"""nnU-Net v2 on an exported cohort, in an environment of its own: run by `detector_nnunet`.

It imports nothing of fcdsynth, as nnU-Net's requirements may not go with ours. Commands:

    prepare EXPORT --patch 32 --batch 8 --features 8 16 32 64
    train EXPORT --steps 2000
    predict EXPORT OUT --cases A B ...       logits of lesion against background, (x, y, z)
    speed EXPORT --steps 20                  seconds per step: all of it, and network alone

Plans are nnU-Net's own 3d_fullres with patch, batch and features replaced; its preprocessing,
augmentation, oversampling, loss, optimiser and schedule are untouched. Two things differ from an
installed nnU-Net: bfloat16 on the CPU (which it leaves out there), and seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path


def _environment(export: Path, loaders: int) -> None:
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (export / name).mkdir(exist_ok=True)
        os.environ[name] = str(export / name)
    os.environ |= {"nnUNet_n_proc_DA": str(loaders), "nnUNet_compile": "f", "OMP_NUM_THREADS": "1"}


def _dataset(export: Path) -> str:
    return next((export / "nnUNet_raw").glob("Dataset*")).name


def prepare(export: Path, patch: int, batch: int, features: list[int]) -> None:
    """Fingerprint, plan, replace what decides the cost, preprocess."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    name = _dataset(export)
    number = int(name[7:10])
    api.extract_fingerprints([number], num_processes=1, check_dataset_integrity=True)
    identifier = api.plan_experiments([number])
    path = export / "nnUNet_preprocessed" / name / f"{identifier}.json"
    plans = json.loads(path.read_text())
    full = plans["configurations"]["3d_fullres"]
    print("nnU-Net's own plan:", full["patch_size"], full["batch_size"],
          full["architecture"]["arch_kwargs"]["features_per_stage"])  # fmt: skip
    full["patch_size"], full["batch_size"] = [patch] * 3, batch
    network, n = full["architecture"]["arch_kwargs"], len(features)
    network |= {
        "n_stages": n, "features_per_stage": features, "kernel_sizes": [[3, 3, 3]] * n,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (n - 1)],
        "n_conv_per_stage": [2] * n, "n_conv_per_stage_decoder": [2] * (n - 1),
    }  # fmt: skip
    path.write_text(json.dumps(plans, indent=1))
    api.preprocess_dataset(number, identifier, ["3d_fullres"], [1])


@contextmanager
def _half():
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        yield


def _trainer(export: Path, steps: int):
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as module

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - batchgenerators draws from it
    # The CPU's place for autocast: nnU-Net leaves it out there.
    module.dummy_context = _half
    folder = export / "nnUNet_preprocessed" / _dataset(export)
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False
    data = json.loads((folder / "dataset.json").read_text())
    trainer = module.nnUNetTrainer(plans, "3d_fullres", 0, data, torch.device("cpu"))
    trainer.num_iterations_per_epoch = min(250, steps)
    trainer.num_epochs = max(steps // trainer.num_iterations_per_epoch, 1)
    trainer.num_val_iterations_per_epoch = 4
    trainer.save_every = 1
    trainer.plot_network_architecture = lambda: None
    trainer.perform_actual_validation = lambda *_args, **_kwargs: None
    trainer.initialize()
    return trainer


def train(export: Path, steps: int) -> None:
    """Train, or go on where it was stopped."""
    trainer = _trainer(export, steps)
    latest = Path(trainer.output_folder) / "checkpoint_latest.pth"
    if (Path(trainer.output_folder) / "checkpoint_final.pth").is_file():
        return
    if latest.is_file():
        trainer.load_checkpoint(str(latest))
    start = time.monotonic()
    trainer.run_training()
    done = {"seconds": time.monotonic() - start, "steps": steps}
    (export / "trained.json").write_text(json.dumps(done))


def predict(export: Path, out: Path, cases: list[str], flips: bool) -> None:
    """Logits of whole volumes by nnU-Net's own predictor."""
    import numpy as np
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = _predictor(export, flips, nnUNetPredictor, torch)
    out.mkdir(parents=True, exist_ok=True)
    for case in cases:
        if (out / f"{case}.npz").is_file():
            continue
        data, properties, _ = _read(export, case, predictor)
        with torch.autocast("cpu", torch.bfloat16):
            logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
        found = (logits[1] - logits[0]).float().numpy()
        whole = np.full(properties["shape_before_cropping"], -20.0, dtype=np.float32)
        whole[tuple(slice(a, b) for a, b in properties["bbox_used_for_cropping"])] = found
        partial = out / f".{case}.npz"
        np.savez(partial, logits=whole.transpose(2, 1, 0).astype(np.float16))
        partial.rename(out / f"{case}.npz")


def _predictor(export: Path, flips: bool, kind, torch):
    torch.set_num_threads(1)
    predictor = kind(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=flips, device=torch.device("cpu"),
        perform_everything_on_device=False, verbose=False, allow_tqdm=False,
    )  # fmt: skip
    results = export / "nnUNet_results" / _dataset(export)
    predictor.initialize_from_trained_model_folder(
        str(next(results.glob("nnUNetTrainer__*__3d_fullres"))), (0,), "checkpoint_final.pth"
    )
    return predictor


def _read(export: Path, case: str, predictor):
    raw = export / "nnUNet_raw" / _dataset(export)
    folder = raw / "imagesTs" if (raw / "imagesTs" / f"{case}_0000.nii.gz").is_file() else (
        raw / "imagesTr")  # fmt: skip
    files = sorted(str(p) for p in folder.glob(f"{case}_0*.nii.gz"))
    manager = predictor.configuration_manager
    data, _, properties = manager.preprocessor_class(verbose=False).run_case(
        files, None, predictor.plans_manager, manager, predictor.dataset_json
    )
    return data, properties, files


def _with_network_of(trainer, config: Path) -> None:
    """Put the network of one of our configs, with two classes, in the place of nnU-Net's."""
    import torch
    import yaml

    from fcdsynth.detector.task import DetectorTask

    class TwoClasses(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            return [torch.cat([torch.zeros_like(x), x], 1) for x in self.network(image)]

    told = yaml.safe_load(config.read_text())["model"]["init_args"]
    trainer.network = TwoClasses(DetectorTask(**told | {"inputs": ("t1w", "flair")}).network)
    trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()


def speed(export: Path, steps: int, config: Path | None) -> None:
    """Seconds per training step, loader included, and of the network alone; medians.

    With a config of ours the network is that one's. ``gflop`` is what one forward and backward
    pass of the network costs.
    """
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    trainer = _trainer(export, steps)
    trainer.on_train_start()
    if config is not None:
        _with_network_of(trainer, config)
    trainer.network.train()
    with FlopCounterMode(display=False) as counter:
        sum(o.mean() for o in trainer.network(next(trainer.dataloader_train)["data"])).backward()
    whole, alone = [], []
    for step in range(steps + 2):
        start = time.perf_counter()
        batch = next(trainer.dataloader_train)
        trainer.train_step(batch)
        whole.append(time.perf_counter() - start)
        data = batch["data"]
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            total = sum(o.float().mean() for o in trainer.network(data))
        total.backward()
        alone.append(time.perf_counter() - start)
        if step == 1:
            whole, alone = [], []
    print(json.dumps({"step_s": float(np.median(whole)), "network_s": float(np.median(alone)),
                      "gflop": counter.get_total_flops() / 1e9}))  # fmt: skip


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("prepare", "train", "predict", "speed"))
    parser.add_argument("export", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--features", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--cases", nargs="+", default=[])
    parser.add_argument("--flips", action="store_true")
    parser.add_argument("--config", type=Path, help="of a detector of ours, to time its network")
    args = parser.parse_args()
    export = args.export.resolve()
    # Its planner wants a process of its own, its trainer loads in ours.
    _environment(export, 1 if args.command == "prepare" else 0)
    if args.command == "prepare":
        prepare(export, args.patch, args.batch, args.features)
    elif args.command == "train":
        train(export, args.steps)
    elif args.command == "predict":
        predict(export, args.out, args.cases, args.flips)
    else:
        speed(export, args.steps, args.config)


if __name__ == "__main__":
    main()
