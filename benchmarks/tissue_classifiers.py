"""Compare tissue classifiers on simulated heads with known truth and on the ICBM152 average.

    python benchmarks/tissue_classifiers.py BIDS_OF_PHANTOMS --subjects sub-00001 sub-00002

The phantoms should be made from label maps that the atlas has not seen (numbers 04, 06, 08, 10, 12
and 14 of ../shared/data/anatomies). All classifiers see the same bias-corrected T1w, the same
first brain mask (deepbet) and the same atlas shares in the subject's space; those that know three
classes only take the place of each class from the atlas. Scored inside the true brain, so that
no classifier is judged by the mask. Atropos runs where antspyx can be imported, which fcdsynth
does not need.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_volume
from fcdsynth.measure.warp import warp_to
from fcdsynth.prepare.bias import correct_bias
from fcdsynth.prepare.brain import deep_brain
from fcdsynth.prepare.shares import TISSUES, average_head, shares_at
from fcdsynth.prepare.template import place, template
from fcdsynth.prepare.tissue import classify

FLUID, GREY, WHITE = 1, 2, 3
LABELS = np.array([Tissue.CSF, Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY,
                   Tissue.VENTRICLE, Tissue.INFRATENTORIAL, Tissue.INFRATENTORIAL],
                  dtype=np.uint8)  # fmt: skip
MAY_BE = {FLUID: (0, 4), GREY: (1, 3, 5), WHITE: (2, 3, 6)}
SCORED = (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.VENTRICLE,
          Tissue.INFRATENTORIAL, Tissue.CSF)  # fmt: skip


def placed(classes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Six labels from three classes: each voxel the likeliest tissue its class may be."""
    labels = np.zeros(classes.shape, dtype=np.uint8)
    for kind, may_be in MAY_BE.items():
        best = np.asarray(may_be)[shares[list(may_be)].argmax(axis=0)]
        labels[classes == kind] = LABELS[best][classes == kind]
    return labels


def by_atlas(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    return np.where(brain.array, LABELS[shares.argmax(axis=0)], 0)


def by_mixture(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    values = t1w.array[brain.array].astype(float)
    start = np.quantile(values, [0.05, 0.4, 0.85])[:, None]
    sample = np.random.default_rng(0).choice(values, 60_000)[:, None]
    model = GaussianMixture(3, means_init=start, random_state=0).fit(sample)
    rank = np.argsort(np.argsort(model.means_[:, 0]))
    classes = np.zeros(brain.array.shape, dtype=int)
    classes[brain.array] = rank[model.predict(values[:, None])] + 1
    return placed(classes, shares)


def by_hmrf(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    from dipy.segment.tissue import TissueClassifierHMRF

    image = np.where(brain.array, t1w.array, 0).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, classes, _ = TissueClassifierHMRF(verbose=False).classify(image, 3, 0.1, max_iter=20)
    return placed(np.where(brain.array, np.asarray(classes), 0), shares)


def _ants(volume: Volume) -> object:
    import ants

    return ants.from_numpy(volume.array.astype(np.float32), spacing=volume.grid.spacing_mm)


def by_atropos(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    import ants

    found = ants.atropos(_ants(t1w), _ants(brain), i="KMeans[3]", m="[0.1,1x1x1]", c="[5,0]")
    return placed(np.rint(found["segmentation"].numpy()).astype(int), shares)


def by_atropos_with_priors(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    import ants

    rest = np.maximum(shares, 1e-3)
    rest /= rest.sum(axis=0)
    priors = [_ants(Volume(share, t1w.grid)) for share in rest]
    found = ants.atropos(_ants(t1w), _ants(brain), i=priors, m="[0.1,1x1x1]", c="[5,0]",
                         priorweight=0.5)  # fmt: skip
    kinds = np.rint(found["segmentation"].numpy()).astype(int)
    return np.where(brain.array, LABELS[np.clip(kinds - 1, 0, len(TISSUES) - 1)], 0)


def by_ours(t1w: Volume, brain: Volume, shares: np.ndarray) -> np.ndarray:
    return classify(t1w, brain, shares, "benchmark")


def classifiers() -> dict[str, Callable[[Volume, Volume, np.ndarray], np.ndarray]]:
    ways = {"atlas alone": by_atlas, "mixture of 3": by_mixture, "dipy HMRF": by_hmrf}
    if find_spec("ants"):
        ways |= {"Atropos": by_atropos, "Atropos, atlas priors": by_atropos_with_priors}
    return ways | {"fcdsynth": by_ours}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max((a.sum() + b.sum()), 1))


def shares_for(t1w: Volume, brain: Volume, name: str) -> np.ndarray:
    to_mni = place(t1w, brain, name).t1w_to_mni
    stripped = Volume(np.where(brain.array, t1w.array, 0).astype(np.float32), t1w.grid)
    return shares_at(warp_to(stripped, average_head(), to_mni).on(t1w.grid))


def phantom_case(bids: Path, name: str) -> tuple[Volume, Volume, np.ndarray]:
    """T1w without bias, first brain mask and true labels of one phantom, upright at 1 mm."""
    raw = read_volume(next((bids / name / "anat").glob("*_T1w.nii.gz")))
    native = deep_brain(raw, name)
    points = native.grid.to_mm(np.argwhere(native.array))
    grid = Grid.covering(points.min(axis=0) - 8, points.max(axis=0) + 8, 1.0)
    brain = resample_mask(native, grid)
    t1w = correct_bias(resample(raw, grid, 3), brain)
    truth = read_labels(next((bids / "derivatives/truth" / name / "anat").glob("*dseg.nii.gz")))
    return t1w, brain, resample(Volume(truth.array.astype(np.uint8), truth.grid), grid, 0).array


def report(name: str, scores: list[list[float]], seconds: list[float], heads: list[str]) -> None:
    cells = [f"{value:.3f}" for value in np.median(scores, axis=0)]
    print(f"| {name} | " + " | ".join(cells) + f" | {np.median(seconds):.0f} |", flush=True)


def compare_on_phantoms(bids: Path, names: list[str]) -> None:
    heads = [kind.name.lower() for kind in SCORED]
    scores: dict[str, list[list[float]]] = {}
    seconds: dict[str, list[float]] = {}
    for name in names:
        t1w, brain, truth = phantom_case(bids, name)
        shares = shares_for(t1w, brain, name)
        inside = truth > 0
        for way, classifier in classifiers().items():
            start = time.process_time()
            labels = classifier(t1w, brain, shares)
            seconds.setdefault(way, []).append(time.process_time() - start)
            row = [dice((labels == k) & inside, truth == k) for k in SCORED]
            scores.setdefault(way, []).append(row)
            print("#", name, way, [round(v, 3) for v in row], flush=True)
    print(f"\nDice, median of {len(names)} phantoms; processor seconds\n")
    print("| classifier | " + " | ".join(heads) + " | s |\n|" + "---|" * (len(heads) + 2))
    for way, rows in scores.items():
        report(way, rows, seconds[way], heads)


def compare_on_average(spacing_mm: float = 1.0, noise: float = 6.0) -> None:
    """ICBM152's own grey and white matter maps as truth, above the tentorium."""
    volume, mask = template()
    grid = Grid.covering((-74, -110, -72), (74, 78, 86), spacing_mm)
    brain = resample_mask(mask, grid)
    rng = np.random.default_rng(0)
    t1w = resample(volume, grid).array + rng.normal(0, noise, grid.shape)
    t1w = Volume(np.where(brain.array, np.clip(t1w, 1, None), 0).astype(np.float32), grid)
    shares = shares_for(t1w, brain, "icbm152")
    folder = Path(find_spec("nilearn").origin).parent / "datasets/data"
    grey, white = (
        resample(read_volume(folder / f"mni_icbm152_{k}_tal_nlin_sym_09a_converted.nii.gz"), grid)
        .array / 255 for k in ("gm", "wm")
    )  # fmt: skip
    fluid = np.clip(1 - grey - white, 0, 1)
    scored = brain.array & (shares[5] + shares[6] < 0.05)
    truth = np.argmax([fluid, grey, white], axis=0)
    print("\nICBM152 average, noise 2.4 % of white matter, above the tentorium\n")
    print("| classifier | grey matter | white matter | s |\n|---|---|---|---|")
    for way, classifier in classifiers().items():
        start = time.process_time()
        labels = classifier(t1w, brain, shares)
        seconds = time.process_time() - start
        grey_found = np.isin(labels, (Tissue.CORTEX, Tissue.DEEP_GREY))
        row = [dice(found & scored, (truth == k) & scored)
               for found, k in ((grey_found, 1), (labels == Tissue.WHITE_MATTER, 2))]  # fmt: skip
        report(way, [row], [seconds], [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bids", type=Path)
    parser.add_argument("--subjects", nargs="+", required=True)
    args = parser.parse_args()
    compare_on_average()
    compare_on_phantoms(args.bids, args.subjects)


if __name__ == "__main__":
    main()
