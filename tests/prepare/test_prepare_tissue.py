"""The atlas, tissue labels, the closed brain, lobes and sides, each on its own."""

import numpy as np
import pytest
from nilearn import datasets as nilearn_datasets
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.measure.hull import closed_brain, depth_below_hull
from fcdsynth.measure.lobes import label_of
from fcdsynth.prepare.labelling import BY_ATLAS, BY_PLACE, label_brain
from fcdsynth.prepare.regions import label_lobes
from fcdsynth.prepare.shares import TISSUES, average_head, shares_at
from fcdsynth.prepare.template import Placement, template
from fcdsynth.prepare.tissue import classify

MNI = Grid.covering((-78, -114, -78), (78, 82, 90), 3.0)
LABELS = (Tissue.CSF, Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.VENTRICLE,
          Tissue.INFRATENTORIAL, Tissue.INFRATENTORIAL)  # fmt: skip
# Not the brightness that the classifier starts from.
PAINT = {Tissue.BACKGROUND: 0.0, Tissue.CSF: 150.0, Tissue.CORTEX: 520.0,
         Tissue.WHITE_MATTER: 700.0, Tissue.DEEP_GREY: 590.0, Tissue.VENTRICLE: 110.0,
         Tissue.INFRATENTORIAL: 540.0}  # fmt: skip


def coordinates(grid):
    return grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="session")
def drawn():
    """A head drawn from the atlas: labels, T1w with bias and noise, shares at true places.

    The borders are moved by smooth noise of their own, so that the most likely label of the
    atlas alone is often wrong.
    """
    rng = np.random.default_rng(3)
    shares = shares_at(coordinates(MNI))
    rest = np.clip(1 - shares.sum(axis=0, keepdims=True), 0, 1)
    noise = ndimage.gaussian_filter(rng.normal(size=(8, *MNI.shape)), (0, 1.2, 1.2, 1.2))
    noise *= 0.16 / noise.std()
    best = np.argmax(np.concatenate([rest, shares]) + noise * (rest < 0.9), axis=0)
    labels = np.array([0, *LABELS], dtype=np.uint8)[best]
    clear = ndimage.gaussian_filter(np.vectorize(PAINT.get)(labels).astype(float), 0.5)
    mm = coordinates(MNI)
    bias = np.exp(0.2 * np.sin(mm[..., 1] / 40) + 0.15 * mm[..., 2] / 80)
    t1w = np.abs(clear * bias + rng.normal(0, 40, clear.shape)).astype(np.float32)
    return labels, Volume(t1w, MNI), shares


def test_the_atlas_is_a_probability_and_symmetric():
    mm = coordinates(Grid.covering((-80, -110, -75), (80, 80, 90), 5.0))
    shares = shares_at(mm)
    assert len(shares) == len(TISSUES)
    assert shares.min() >= 0
    assert shares.sum(axis=0).max() <= 1.1  # stored in steps of 3 %
    np.testing.assert_allclose(shares, shares_at(mm * [-1, 1, 1]), atol=1e-5)
    assert (shares_at(np.array([[0.0, 0, 200]])) == 0).all()


@pytest.mark.parametrize(
    ("place", "tissue"),
    [((12, -20, 8), "deep"), ((-26, 4, 2), "deep"), ((0, -25, -30), "lower_white"),
     ((35, -65, -40), "lower_grey"), ((-25, 30, 20), "white"), ((8, 10, 12), "ventricle")],
)  # fmt: skip
def test_the_atlas_knows_landmarks(place, tissue):
    shares = shares_at(np.array([place], dtype=float))[:, 0]
    assert TISSUES[int(shares.argmax())] == tissue


def test_an_unsure_atlas_is_blurred():
    edge = np.array([[12.0, -20, 8], [60.0, 0, 20]])
    sure, unsure = shares_at(edge), shares_at(edge, sure=False)
    assert unsure[TISSUES.index("deep"), 0] < 0.9 < sure[TISSUES.index("deep"), 0]
    assert 0 < unsure.sum(axis=0)[1] <= 1.05


def test_the_average_head_lies_on_icbm152():
    head, (_, brain) = average_head(), template()
    inside = resample_mask(brain, head.grid).array
    assert dice(head.array > 0, inside) > 0.94


def test_labels_of_a_drawn_head(drawn):
    truth, t1w, shares = drawn
    brain = Volume(ndimage.binary_dilation(truth > 0), MNI)
    found = classify(t1w, brain, shares, "sub-1")
    by_atlas = np.array(LABELS, dtype=np.uint8)[shares.argmax(axis=0)]
    for tissue, least in ((Tissue.CSF, 0.9), (Tissue.CORTEX, 0.93), (Tissue.WHITE_MATTER, 0.94),
                          (Tissue.DEEP_GREY, 0.9), (Tissue.VENTRICLE, 0.9),
                          (Tissue.INFRATENTORIAL, 0.97)):  # fmt: skip
        mine = dice(found == tissue, truth == tissue)
        assert mine > least, tissue
        assert mine > dice((by_atlas == tissue) & (truth > 0), truth == tissue), tissue
    assert (found[~brain.array] == 0).all()


def test_the_scale_of_the_scanner_does_not_matter(drawn):
    truth, t1w, shares = drawn
    brain = Volume(truth > 0, MNI)
    once = classify(t1w, brain, shares, "sub-1")
    scaled = classify(Volume(t1w.array * np.float32(1024), MNI), brain, shares, "sub-1")
    np.testing.assert_array_equal(once, scaled)


def test_a_given_mask_is_all_brain_and_a_found_one_is_not(drawn):
    truth, t1w, shares = drawn
    shell = ndimage.binary_dilation(truth > 0, iterations=3) & ~ndimage.binary_dilation(truth > 0)
    brain = Volume(ndimage.binary_dilation(truth > 0, iterations=3), MNI)
    with_dura = Volume(np.where(shell, np.float32(900), t1w.array), MNI)
    ours = classify(with_dura, brain, shares, "sub-1")
    assert (ours[shell] > 0).mean() < 0.05
    theirs = classify(with_dura, brain, shares, "sub-1", given=True)
    assert (theirs[brain.array] > 0).all()


def test_a_brain_without_contrast_is_refused(drawn):
    flat = Volume(np.ones(MNI.shape, np.float32), MNI)
    with pytest.raises(CohortError, match=r"sub-1.*single intensity"):
        classify(flat, Volume(drawn[0] > 0, MNI), drawn[2], "sub-1")


def test_icbm152_against_its_own_tissue_maps():
    """nilearn's grey and white matter maps were made by other people with other software."""
    volume, brain = template()
    grid = Grid.covering((-72, -108, -70), (72, 76, 84), 2.0)
    rng = np.random.default_rng(0)
    t1w = resample(volume, grid).array + rng.normal(0, 6, grid.shape)
    mask = resample_mask(brain, grid)
    placement = Placement(np.eye(4), True, 1.0)
    made = label_brain(Volume(t1w.astype(np.float32), grid), mask, placement, "icbm")
    folder = nilearn_datasets.__path__[0] + "/data"
    grey, white = (
        resample(read_volume(f"{folder}/mni_icbm152_{k}_tal_nlin_sym_09a_converted.nii.gz"), grid)
        .array / 255 for k in ("gm", "wm")
    )  # fmt: skip
    fluid = np.clip(1 - grey - white, 0, 1)
    above = made.tissue.array != Tissue.INFRATENTORIAL
    inside = made.brain.array & above & (grey + white > 0.1)
    mine = np.isin(made.tissue.array, (Tissue.CORTEX, Tissue.DEEP_GREY))
    assert dice(mine & inside, (grey > np.maximum(white, fluid)) & inside) > 0.84
    white_true = (white > np.maximum(grey, fluid)) & inside
    assert dice((made.tissue.array == Tissue.WHITE_MATTER) & inside, white_true) > 0.9
    assert made.tissue_from == BY_ATLAS
    assert made.lobes_from == BY_PLACE
    assert made.jacobian_min > 0
    ml = made.quality()["tissue_ml"]
    assert 100 < ml["infratentorial"] < 300
    assert 5 < ml["ventricle"] < 60


def test_sides_follow_the_head_and_not_the_world(drawn):
    """A head turned and 40 mm off: the world's x = 0 runs through its left hemisphere."""
    truth = drawn[0]
    turn = np.deg2rad(15)
    world = np.eye(4)
    world[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    world[:3, 3] = [40, -5, 8]
    grid = Grid.of(MNI.shape, world @ MNI.matrix)
    places = (coordinates(grid) - world[:3, 3]) @ world[:3, :3]
    lobes = label_lobes(truth, places)
    cerebral = np.isin(truth, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    np.testing.assert_array_equal(lobes > 0, cerebral)
    x = coordinates(MNI)[..., 0]
    assert (lobes[cerebral & (x > 1)] > 10).all()
    assert (lobes[cerebral & (x < -1)] <= 5).all()
    straight = label_lobes(truth, coordinates(MNI))
    assert (straight == lobes).mean() > 0.999

    def at(*mm):
        i, j, k = np.rint(MNI.to_vox(mm)).astype(int)
        near = straight[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2]
        return int(np.bincount(near[near > 0]).argmax())

    assert at(-40, 40, 20) == label_of("FL", "L")  # middle frontal
    assert at(40, -60, 45) == label_of("PL", "R")  # angular
    assert at(-58, -20, -18) == label_of("TL", "L")  # middle temporal
    assert at(15, -92, 5) == label_of("OL", "R")  # cuneus
    assert at(38, 5, 2) == label_of("IL", "R")  # insula


def test_the_warp_finds_the_midplane_that_the_affine_missed(drawn):
    """An affine 7 mm too far to the right puts a strip of the left hemisphere on the right."""
    truth, t1w, _ = drawn
    off = np.eye(4)
    off[0, 3] = 7.0
    made = label_brain(t1w, Volume(truth > 0, MNI), Placement(off, True, 0.9), "sub-1", True)
    x = coordinates(MNI)[..., 0]
    known = (made.lobes > 0) & (np.abs(x) > 2)
    by_affine = label_lobes(made.tissue.array, coordinates(MNI) + off[:3, 3])
    wrong, without = (((lobes > 10) != (x > 0))[known].mean() for lobes in (made.lobes, by_affine))
    assert wrong < 0.003
    assert without > 6 * wrong


def test_without_a_trusted_way_there_are_no_lobes(drawn):
    truth, t1w, _ = drawn
    brain = Volume(truth > 0, MNI)
    made = label_brain(t1w, brain, Placement(np.eye(4), False, 0.5), "sub-1")
    assert made.lobes is None
    assert made.lobes_from is None
    assert made.jacobian_min is None
    np.testing.assert_array_equal(made.brain.array, brain.array)
    assert dice(made.tissue.array == Tissue.CORTEX, truth == Tissue.CORTEX) > 0.6


def test_the_closed_brain_bridges_sulci_and_leaves_the_outer_fluid():
    grid = Grid.of((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1]))
    radius = np.linalg.norm(coordinates(grid) - 59, axis=-1)
    tissue = np.zeros(grid.shape, dtype=np.uint8)
    tissue[radius < 50] = Tissue.CSF
    tissue[radius < 40] = Tissue.CORTEX
    tissue[29:32, :, 30:] = np.where(radius < 50, Tissue.CSF, 0)[29:32, :, 30:]  # 6 mm wide
    tissue[2, 2, 2] = Tissue.CORTEX
    brain = closed_brain(Volume(tissue, grid)).array
    assert brain[30, 30, 35]
    assert not brain[2, 2, 2]
    assert not brain[radius > 41].any()
    assert brain[radius < 34].all()
    within = radius < 30
    inside = closed_brain(Volume(tissue, grid), Volume(within, grid)).array
    np.testing.assert_array_equal(inside, brain & within)
    depth = depth_below_hull(Volume(brain, grid))
    assert depth[30, 30, 40] == pytest.approx(40 - radius[30, 30, 40], abs=4)
