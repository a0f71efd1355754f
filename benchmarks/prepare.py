"""Benchmark of prepare on 20 whole-head phantoms of 1 mm with known truth, and on real raw pairs.

The phantoms come from the six label maps that the tissue atlas was not built from; each FLAIR is
moved by 10 mm and turned by 10 degrees about an axis at random, which its header does not tell.
Without the label maps (``--quick``, or where they are absent) the ICBM152 brain is used.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figures, arguments, finish, peak_children_gib, peak_gib
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.measure.components import label_components
from fcdsynth.measure.lobes import name_of
from fcdsynth.phantom.phantom import phantom
from fcdsynth.prepare.brain import deep_brain
from fcdsynth.prepare.index import index
from fcdsynth.prepare.person import near_brain
from fcdsynth.prepare.prepare import prepare
from fcdsynth.prepare.registration import register

HELD_OUT = (4, 6, 8, 10, 12, 14)  # see build_atlas.py
SHIFT_MM, TURN_DEG = 10.0, 10.0
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def held_out(data: Path, work: Path) -> Path | None:
    """Folder of links to the label maps that the atlas has not seen, None where there are none."""
    maps = [data / "anatomies" / f"training_seg_{n:02d}.nii.gz" for n in HELD_OUT]
    if not all(path.is_file() for path in maps):
        return None
    folder = work / "held-out"
    folder.mkdir(exist_ok=True)
    for path in maps:
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path)
    return folder


def disturb(bids: Path, seed: int) -> None:
    """Move every FLAIR and its mask in the world, and mend the truth accordingly; once."""
    done = bids / ".disturbed"
    if done.exists():
        return
    for number, folder in enumerate(sorted(bids.glob("sub-*"))):
        rng = np.random.default_rng([seed, number])
        axis, way = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
        flairs = sorted((folder / "anat").glob("*_FLAIR*.nii.gz"))
        scans = [(path, read_volume(path)) for path in flairs]
        centre = scans[0][1].grid.corners_mm().mean(axis=0)
        move = np.eye(4)
        move[:3, :3] = Rotation.from_rotvec(axis * np.deg2rad(TURN_DEG)).as_matrix()
        move[:3, 3] = centre + way * SHIFT_MM - move[:3, :3] @ centre
        for path, volume in scans:
            moved = Grid.of(volume.grid.shape, move @ volume.grid.matrix)
            array = volume.array.astype(bool if path.name.endswith("_roi.nii.gz") else np.int16)
            write_volume(path, Volume(array, moved))
        record = bids / "derivatives" / "truth" / folder.name / f"{folder.name}_truth.json"
        truth = json.loads(record.read_text())
        truth["flair_to_t1w"] = (np.array(truth["flair_to_t1w"]) @ np.linalg.inv(move)).tolist()
        record.write_text(json.dumps(truth))
    done.touch()


def apart_mm(
    one: NDArray[np.float64], other: NDArray[np.float64], points: NDArray[np.float64]
) -> float:
    """Mean distance of points moved by two 4 x 4 matrices."""
    gap = one - other
    return float(np.linalg.norm(points @ gap[:3, :3].T + gap[:3, 3], axis=1).mean())


def majority(labels: Volume, grid: Grid) -> NDArray[np.uint8]:
    """Label that fills most of each voxel of another grid.

    Nearest neighbours would move every border by up to half a voxel, which is no mistake of the
    labels that are scored.
    """
    best = np.zeros(grid.shape, dtype=np.uint8)
    most = np.full(grid.shape, 0.0, dtype=np.float32)
    for label in Tissue:
        mask = Volume((labels.array == label).astype(np.float32), labels.grid)
        share = resample(mask, grid, 1, outside=float(label == 0)).array
        best[share > most] = label
        most = np.maximum(share, most)
    return best


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Overlap of two masks."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def lesion_place(lobes: Volume, truth: Volume, centre_mm: list[float]) -> tuple[str, str] | None:
    """Lobe and side that a lobe map gives to the lesion nearest a point."""
    mask = resample_mask(truth, lobes.grid)
    labels, parts = label_components(mask.array, mask.grid)
    near = min(parts, key=lambda p: np.linalg.norm(np.subtract(p.centre_mm, centre_mm)))
    values = lobes.array[(labels.array == near.label) & (lobes.array > 0)]
    return name_of(int(np.bincount(values).argmax())) if values.size else None


def judge(bids: Path, cohort: Cohort, subject: Subject) -> dict[str, float | str | bool]:
    """Compare one prepared subject with its truth."""
    folder = bids / "derivatives" / "truth" / subject.id
    true_native = read_labels(folder / "anat" / f"{subject.id}_space-T1w_dseg.nii.gz")
    record = json.loads((folder / f"{subject.id}_truth.json").read_text())
    tissue = read_labels(cohort.path(subject, "tissue"))
    brain = read_mask(cohort.path(subject, "brain"))
    true = majority(true_native, tissue.grid)
    nearest = resample(true_native, tissue.grid, 0).array
    matrix = json.loads(cohort.path(subject, "transforms").read_text())["flair_to_t1w"]
    flair_points = tissue.grid.to_mm(np.argwhere(true > 0)[::100])
    to_flair = np.linalg.inv(record["flair_to_t1w"])
    flair_points = flair_points @ to_flair[:3, :3].T + to_flair[:3, 3]
    found: dict[str, float | str | bool] = {
        "id": subject.id,
        "anatomy": record["spec"]["anatomy"],
        "register_mm": apart_mm(np.array(matrix), np.array(record["flair_to_t1w"]), flair_points),
        "brain_dice": dice(brain.array, true > 0),
    }
    for label in Tissue:
        if label:
            name = label.name.lower()
            found[f"{name}_dice"] = dice(tissue.array == label, true == label)
            found[f"{name}_dice_nearest"] = dice(tissue.array == label, nearest == label)
    if record["lesions"]:
        main = record["lesions"][0]
        mask = f"{subject.id}_space-T1w_label-lesion_mask.nii.gz"
        place = None
        if subject.has("lobes"):
            place = lesion_place(read_labels(cohort.path(subject, "lobes")),
                                 read_mask(folder / "anat" / mask), main["centre_mm"])  # fmt: skip
        found["lobe"] = f"{place[0] if place else 'none'} for {','.join(main['lobes'])}"
        found["lobe_right"] = place is not None and place[0] == main["lobes"][0]
        found["hemisphere_right"] = place is not None and place[1] == main["side"]
    return found


def seconds_between(prepared: Path, workers: int) -> list[float]:
    """Seconds each subject took, from the times at which a worker finished one after another."""
    ends = sorted(p.stat().st_mtime for p in prepared.glob("sub-*/*_quality.json"))
    return [late - early for early, late in zip(ends, ends[workers:], strict=False)]


def openms(data: Path) -> dict[str, float]:
    """Mean distance over the brain from the authors' T1w to FLAIR affine, mm, by pair."""
    gaps = {}
    for patient in sorted((data / "openms-raw").glob("patient*")):
        for study in ("study1", "study2"):
            t1w = read_volume(patient / f"{study}_T1W.nii.gz")
            flair = read_volume(patient / f"{study}_FLAIR.nii.gz")
            lines = (patient / f"{study}_T1W_intrastudy_to_FLAIR.txt").read_text().splitlines()
            numbers, centre = (np.array(lines[i].split()[1:], float) for i in (3, 4))
            lps = np.eye(4)
            lps[:3, :3] = numbers[:9].reshape(3, 3)
            lps[:3, 3] = numbers[9:] + centre - lps[:3, :3] @ centre
            authors = np.linalg.inv(_FLIP @ lps @ _FLIP)
            brain = deep_brain(t1w, patient.name)
            found = register(t1w, flair, near_brain(brain), subject=patient.name).matrix
            points = t1w.grid.to_mm(np.argwhere(brain.array)[::500])
            gaps[f"{patient.name} {study}"] = apart_mm(found, authors, points)
    return gaps


def main() -> None:
    """Measure, print, write."""
    args = arguments(__doc__ or "")
    figures = Figures("prepare", args.quick)
    n, spacing = (2, 3.0) if args.quick else (20, 1.0)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        anatomies = None if args.quick else held_out(args.data, work)
        figures.notes.append("anatomies: ICBM152" if anatomies is None
                             else f"anatomies: SynthSeg label maps {HELD_OUT}")  # fmt: skip
        bids = phantom(
            str(work / "bids"), patients=n, controls=0, sites=2, seed=404, spacing=spacing,
            anatomies=str(anatomies) if anatomies else None, workers=args.workers, report=False,
            errors="none",
        )  # fmt: skip
        disturb(bids, seed=7)
        raw = index(str(bids), str(work / "cohort"))
        start = time.perf_counter()
        prepared = prepare(str(raw), str(work / "prepared"), spacing=spacing, workers=args.workers)
        # A resumed benchmark keeps the time and the memory of the run that did the work.
        kept = work / "measured.json"
        if not kept.exists():
            peak = peak_gib() + args.workers * peak_children_gib()
            kept.write_text(json.dumps([time.perf_counter() - start, peak]))
        wall_s, peak = json.loads(kept.read_text())
        cohort = Cohort.read(prepared)
        rows = [judge(bids, cohort, subject) for subject in cohort.subjects]
        seconds = seconds_between(prepared, args.workers)
        figures.notes += [" ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                                   for k, v in row.items()) for row in rows]  # fmt: skip

        def values(name: str) -> list[float]:
            return [float(row[name]) for row in rows]

        figures.add_values("register_mm_median", values("register_mm"), at_most=0.5)
        figures.add_values("register_mm_max", values("register_mm"), "max", at_most=1.5)
        figures.add_values("brain_dice_median", values("brain_dice"), at_least=0.95)
        figures.add_values("cortex_dice_median", values("cortex_dice"), at_least=0.85)
        figures.add_values("wm_dice_median", values("white_matter_dice"), at_least=0.90)
        for name in ("csf", "deep_grey", "ventricle", "infratentorial"):
            figures.add_values(f"{name}_dice_median", values(f"{name}_dice"))
        for name in ("cortex", "white_matter"):
            figures.add_values(f"{name}_dice_nearest_median", values(f"{name}_dice_nearest"))
        for name, least in (("lobe_right", 0.95), ("hemisphere_right", 1.0)):
            hits = [bool(row[name]) for row in rows if name in row]
            figures.add_share(name, sum(hits), len(hits), at_least=least)
        figures.add_values("seconds_median", seconds or [wall_s], at_most=120)
        figures.add("seconds_a_subject_on_all_cores", wall_s / n, n, (wall_s / n, wall_s / n))
        # No process takes more at once than the largest of them.
        figures.add("peak_gib", peak, n, (peak, peak), at_most=6)
        figures.add("prepared_share", len(cohort) / n, n, (len(cohort) / n,) * 2, at_least=1.0)
        if not args.quick and (args.data / "openms-raw").is_dir():
            gaps = openms(args.data)
            figures.notes.append("openms: " + ", ".join(f"{k} {v:.2f} mm" for k, v in gaps.items()))
            figures.add_values("openms_affine_mm_max", list(gaps.values()), "max", at_most=1.5)
    finish(figures, args.out)


if __name__ == "__main__":
    main()
