"""Build the tissue atlas that fcdsynth.prepare carries (fcdsynth/prepare/atlas/*.nii.gz).

    python benchmarks/build_atlas.py ../shared/data/anatomies

Source: eight of the fourteen whole-head label maps that SynthSeg was trained on (Billot et al.,
Med Image Anal 2023; Apache-2.0): 01, 02, 03, 05, 07, 09, 11 and 13. The other six are left out, so
that phantoms made from them are a test. The ICBM152 2009a symmetric maps (Fonov et al. 2009) of
nilearn give the space.

Each map is painted like a T1w brain, brought to ICBM152 by an affine and a diffeomorphic
registration, and its tissues are averaged, with left and right mirrored; a second pass registers
to the painted average of the first. One file a tissue holds the right half (|x| in MNI space),
2 mm, its share in 255ths rounded to a few steps. What the shares leave to 1 is no brain.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, canonical, read_labels, read_volume, write_volume
from fcdsynth.measure.warp import warp_to
from fcdsynth.phantom.parts import Part, from_freesurfer
from fcdsynth.prepare.template import place, template

NUMBERS = (1, 2, 3, 5, 7, 9, 11, 13)
PARTS = {
    "csf": Part.CSF, "cortex": Part.CORTEX, "white": Part.WHITE, "deep": Part.DEEP_GREY,
    "ventricle": Part.VENTRICLE, "lower_grey": Part.LOWER_GREY, "lower_white": Part.LOWER_WHITE,
}  # fmt: skip
PAINT = {
    "csf": 0.25, "cortex": 0.66, "white": 1.0, "deep": 0.80, "ventricle": 0.2,
    "lower_grey": 0.66, "lower_white": 0.95,
}  # fmt: skip
CLOSING_MM = 6.0
STEP = 8  # the smallest difference of two stored shares, in 255ths
SPACING_MM = 2.0
HALF = Grid.of((39, 96, 82), [[2, 0, 0, 0], [0, 2, 0, -112], [0, 0, 2, -76], [0, 0, 0, 1]])


def read_parts(path: Path) -> Volume:
    """Parts of a label map, upright, only what lies in or next to the brain."""
    labels = canonical(read_labels(path))
    parts = from_freesurfer(labels.array.astype(np.int16))
    brain = np.isin(parts, [p for p in PARTS.values() if p != Part.CSF])
    near = ndimage.distance_transform_edt(~brain) <= CLOSING_MM
    closed = brain | (ndimage.distance_transform_edt(near) > CLOSING_MM)
    # The strands of spinal cord below the brainstem are no part of a brain mask.
    parts[~closed] = Part.AIR
    parts[closed & ~np.isin(parts, list(PARTS.values()))] = Part.CSF
    return Volume(parts, labels.grid)


def painted(parts: Volume) -> Volume:
    """What a T1w scan of the parts would look like, skull-stripped."""
    image = np.zeros(parts.array.shape, dtype=np.float32)
    for name, part in PARTS.items():
        image[parts.array == part] = PAINT[name]
    smooth = ndimage.gaussian_filter(image, 0.6)
    return Volume(np.where(image > 0, smooth, 0).astype(np.float32), parts.grid)


def average_image() -> Volume:
    """The ICBM152 brain painted from its own tissue maps."""
    from importlib.util import find_spec

    folder = Path(find_spec("nilearn").origin).parent / "datasets" / "data"
    grey, white = (
        read_volume(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
        for kind in ("gm", "wm")
    )
    _, brain = template()
    g, w = grey.array / grey.array.max(), white.array / white.array.max()
    image = PAINT["cortex"] * g + PAINT["white"] * w + PAINT["csf"] * np.clip(1 - g - w, 0, 1)
    return Volume(np.where(brain.array, image, 0).astype(np.float32), grey.grid)


def full_grid() -> Grid:
    """Both halves of the atlas."""
    n = HALF.shape[0]
    matrix = HALF.matrix.copy()
    matrix[0, 3] = -SPACING_MM * (n - 1)
    return Grid.of((2 * n - 1, *HALF.shape[1:]), matrix)


def shares_of(parts: Volume, points: np.ndarray) -> np.ndarray:
    """Share of each tissue at points of the label map's world, shape (tissue, x, y, z)."""
    index = np.moveaxis(parts.grid.to_vox(points), -1, 0)
    out = []
    for part in PARTS.values():
        one = ndimage.gaussian_filter((parts.array == part).astype(np.float32), 0.8)
        out.append(ndimage.map_coordinates(one, index, order=1))
    return np.stack(out)


def paint_shares(shares: np.ndarray, grid: Grid) -> Volume:
    """The average as a T1w image."""
    image = np.tensordot(list(PAINT.values()), shares, 1)
    return Volume(np.where(shares.sum(axis=0) > 0.5, image, 0).astype(np.float32), grid)


def build(folder: Path, passes: int) -> np.ndarray:
    """Mean shares on both halves."""
    grid = full_grid()
    target = average_image()
    for number in range(passes):
        total = np.zeros((len(PARTS), *grid.shape))
        for n in NUMBERS:
            start = time.perf_counter()
            parts = read_parts(folder / f"training_seg_{n:02d}.nii.gz")
            image = painted(parts)
            to_mni = place(image, Volume(image.array > 0, image.grid), str(n))
            if not to_mni.trusted:
                raise SystemExit(f"{n}: no way into MNI space")
            warp = warp_to(target, image, np.linalg.inv(to_mni.t1w_to_mni), SPACING_MM,
                           (40, 40, 20))  # fmt: skip
            total += shares_of(parts, warp.on(grid))
            print(f"pass {number + 1}, map {n:02d}: Dice {to_mni.dice:.3f}, smallest Jacobian "
                  f"{warp.smallest_jacobian():.2f}, {time.perf_counter() - start:.0f} s",
                  flush=True)  # fmt: skip
        total /= len(NUMBERS)
        mean = (total + total[:, ::-1]) / 2
        target = paint_shares(mean, grid)
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("anatomies", type=Path)
    parser.add_argument("--out", type=Path,
                        default=Path(__file__).parents[1] / "fcdsynth/prepare/atlas")  # fmt: skip
    parser.add_argument("--passes", type=int, default=2)
    args = parser.parse_args()
    mean = build(args.anatomies, args.passes)
    half = mean[:, HALF.shape[0] - 1 :]
    for name, share in zip(PARTS, half, strict=True):
        stored = (np.rint(share * 255 / STEP) * STEP).clip(0, 255).astype(np.uint8)
        path = write_volume(args.out / f"{name}.nii.gz", Volume(stored, HALF))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {share.sum() * 2 * 8e-3:.0f} ml")


if __name__ == "__main__":
    main()
