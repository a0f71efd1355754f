"""The verb readers: a blinded reading kit of real and synthetic patients."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fcdsynth.core.cohort import SIDECAR, TABLE, Cohort
from fcdsynth.core.errors import GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.volume import read_grid, read_volume, write_volume
from fcdsynth.review.pictures import write_png
from fcdsynth.synthesis.kit.choice import REAL, Item, choose, write_key
from fcdsynth.synthesis.kit.images import Shape, brain_shape, image_path, montage, scrubbed
from fcdsynth.synthesis.kit.sheets import COLUMNS

KIT, KEY = "kit", "key"
_SPACING_SHARE = 0.01
_WORDS = {"t1w": "T1w", "flair": "FLAIR"}
_README = """Reading kit: real or synthetic?

{n} images of each of two contrasts, T1w (folder t1w) and FLAIR (folder flair). Each shows the
brain of a patient with a focal cortical dysplasia. Some were scanned; in the others the lesion
and its surroundings were made by a computer. Nothing is marked.

Each image comes as case-NN.nii.gz (open it in any viewer) and as case-NN.png (20 slices at
places that are the same for everyone, so a lesion may lie between them). The order is another one
in each folder: t1w/case-01 and flair/case-01 are not one person.

1. Copy answers.csv and name the copy after yourself, answers-NAME.csv.
2. Read on your own, in the order of the sheet. Do not go back to earlier rows.
3. In each row write "real" or "synthetic" under answer. Confidence, 1 (a guess) to 5 (sure), and
   cue, what you went by, may stay empty; the cue is worth a word.
4. Send the sheet back. An empty answer cannot be scored.

Images are prepared: skull-stripped, at one voxel size, intensities normalised. Not for diagnosis.
"""


def readers(
    real: str,
    synthetic: str,
    out: str,
    n_real: int = 14,
    n_synthetic: int = 14,
    split: Literal["train", "val", "test", "none", "all"] = "all",
    seed: int = 0,
) -> Path:
    """Make a blinded reading kit: real and synthetic patients, both contrasts, in random order.

    Writes ``kit`` (NIfTI without headers that tell, PNG montages by one rule, README.txt and the
    answer sheet answers.csv) and, beside it, ``key``. Hand out the kit alone.

    Args:
        real: Prepared cohort of the real patients.
        synthetic: Cohort written by synthesize at the same spacing.
        out: Folder to write.
        n_real: Real patients.
        n_synthetic: Synthetic patients.
        split: Split of the real patients.
        seed: Seed of choice and order.

    Returns:
        The output folder.

    Raises:
        CohortError: If there are too few patients of different people with both contrasts.
        GeometryError: If voxels differ between the patients.
        SettingsError: If a number is below 1.
    """
    for name, value in (("n_real", n_real), ("n_synthetic", n_synthetic)):
        if value < 1:
            raise SettingsError(name, str(value), "at least 1", "Change the setting.")
    first, second = Cohort.read(real), Cohort.read(synthetic)
    items = choose(first, second, n_real, n_synthetic, split, seed)
    paths = [_path(item, first, second) for item in items]
    _require_one_spacing(items, paths)
    settings = {"real": real, "synthetic": synthetic, "n_real": n_real,
                "n_synthetic": n_synthetic, "split": split}  # fmt: skip
    tables = [c.folder / name for c in (first, second) for name in (TABLE, SIDECAR)
              if (c.folder / name).is_file()]  # fmt: skip
    run = Run(out, "readers", settings, [*tables, *sorted(set(paths))], seed)
    if run.complete:
        return run.out
    with run:
        kit, key = run.folder / KIT, run.folder / KEY
        for folder in (kit, key):
            folder.mkdir(exist_ok=True)
        shape = _shape(items, first, second)
        for item, path in zip(track(items, "writing the kit"), paths, strict=True):
            target = image_path(kit, item.contrast, item.case)
            if target.exists():
                continue
            volume = scrubbed(read_volume(path), shape)
            picture = target.with_name(f"{item.case}.png")
            write_png(picture, montage(volume, f"{item.case}  {_WORDS[item.contrast]}"), dpi=100)
            write_volume(target, volume)  # last: where it lies, its picture is whole
        _write_sheet(kit / "answers.csv", items)
        count = len(items) // 2
        (kit / "README.txt").write_text(_README.format(n=count), encoding="utf-8")
        write_key(key / "key.csv", items)
    return run.out


def _path(item: Item, real: Cohort, synthetic: Cohort) -> Path:
    cohort = real if item.kind == REAL else synthetic
    return cohort.path(cohort[item.subject], item.contrast)


def _shape(items: Sequence[Item], real: Cohort, synthetic: Cohort) -> Shape:
    found = []
    for item in items:
        cohort = real if item.kind == REAL else synthetic
        found.append(brain_shape(cohort, cohort[item.subject], item.contrast))
    x, y, z = (max(sizes) for sizes in zip(*found, strict=True))
    return (x, y, z)


def _require_one_spacing(items: Sequence[Item], paths: Sequence[Path]) -> None:
    grids: list[Grid] = [read_grid(path) for path in paths]
    for item, grid in zip(items, grids, strict=True):
        if not np.allclose(sorted(grid.spacing_mm), sorted(grids[0].spacing_mm),
                           rtol=_SPACING_SHARE):  # fmt: skip
            raise GeometryError(
                item.subject, f"voxels of {grid.spacing_mm} mm", f"{grids[0].spacing_mm} mm",
                "Prepare both cohorts with one spacing; a reader would tell them by it.",
            )  # fmt: skip


def _write_sheet(path: Path, items: Sequence[Item]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for item in items:
            writer.writerow([item.contrast, item.case, "", "", ""])
