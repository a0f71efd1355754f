"""The arithmetic of realism against values by hand and against other libraries."""

import numpy as np
import pytest
import torch
from phantom import tiny_grid, tiny_head
from scipy import stats

from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.two_sample import mmd_test, pool
from fcdsynth.synthesis.proof.anatomy import agreement, reclassified
from fcdsynth.synthesis.proof.contrasts import against, paired
from fcdsynth.synthesis.proof.copies import correlation
from fcdsynth.synthesis.proof.distances import cubic_kernel, distance, gaussian_kernel, unbiased
from fcdsynth.synthesis.proof.diversity import BETAS, diversity, ms_ssim
from fcdsynth.synthesis.proof.encoder import encoder_features, encoder_file
from fcdsynth.synthesis.proof.fidelity import fidelity
from fcdsynth.synthesis.proof.hand import (
    head_features,
    head_names,
    lesion_features,
    lesion_names,
)
from fcdsynth.synthesis.proof.sample import Sample, deal, standardised
from fcdsynth.synthesis.proof.spectrum import nyquist_shares

BOTH = ("t1w", "flair")


def rows(values, first=0, shown=None):
    people = shown or [frozenset([f"p{first + i}"]) for i in range(len(values))]
    return Sample(np.asarray(values, dtype=float), tuple(people))


def test_kid_is_that_of_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 5)), rng.normal(0.4, 1.2, size=(7, 5))
    kernel = cubic_kernel(np.concatenate([x, y]))
    ours = unbiased(kernel, np.arange(9), np.arange(9, 16))
    theirs = poly_mmd(torch.from_numpy(x), torch.from_numpy(y), degree=3, gamma=None, coef=1.0)
    # Theirs takes two samples of one size.
    square = unbiased(cubic_kernel(np.concatenate([x[:7], y])), np.arange(7), np.arange(7, 14))
    theirs = poly_mmd(torch.from_numpy(x[:7]), torch.from_numpy(y), degree=3, gamma=None, coef=1.0)
    assert square == pytest.approx(float(theirs), rel=1e-9)
    assert ours == pytest.approx(square, abs=5)


def test_kid_by_hand():
    # x = 0, 0 and y = 1, 1 in one dimension: k(0, .) = 1, k(1, 1) = 8.
    kernel = cubic_kernel(np.array([[0.0], [0.0], [1.0], [1.0]]))
    assert unbiased(kernel, np.array([0, 1]), np.array([2, 3])) == 1 + 8 - 2


def test_mmd_is_that_of_the_shared_test():
    rng = np.random.default_rng(1)
    pooled = pool(rng.normal(size=(12, 3)), rng.normal(0.5, 1, size=(10, 3)))
    ours = unbiased(gaussian_kernel(pooled.values), np.arange(12), np.arange(12, 22))
    assert ours == pytest.approx(mmd_test(pooled, 0).statistic, rel=1e-9)


def test_one_law_lies_in_the_null_and_a_shift_does_not():
    rng = np.random.default_rng(2)
    real = rows(rng.normal(size=(24, 6)))
    alike = distance("x", rows(rng.normal(size=(12, 6)), 100), real, 60, 99, 0)
    shifted = distance("x", rows(rng.normal(1.2, 1, size=(12, 6)), 100), real, 60, 99, 0)
    assert alike.kid.inside
    assert alike.mmd.inside
    assert alike.kid_p > 0.05
    assert not shifted.kid.inside
    assert not shifted.mmd.inside
    assert shifted.kid_p <= 0.02
    assert shifted.auroc > 0.8
    assert (alike.n, alike.n_synthetic, alike.n_real, alike.dimensions) == (12, 12, 24, 6)


def test_nobody_is_on_both_sides_of_a_split():
    rng = np.random.default_rng(3)
    real = rows(rng.normal(size=(16, 2)))
    hosts = [frozenset([f"p{i}"]) for i in range(8)] * 2
    synthetic = rows(rng.normal(size=(16, 2)), shown=hosts)
    splits = deal(synthetic, real, 30, 0)
    for split in splits:
        held = {p for r in split.reference for p in real.people[r]}
        assert not held & {p for r in split.other for p in real.people[r]}
        assert not held & {p for r in split.synthetic for p in synthetic.people[r]}
        assert len(split.reference) == len(split.other) == len(split.synthetic) == 8
    assert splits[0].reference.tolist() != splits[1].reference.tolist()
    assert not deal(rows(np.zeros((3, 2)), 50), real, 5, 0)


def test_many_features_become_at_most_64():
    rng = np.random.default_rng(4)
    values = standardised(rows(rng.normal(size=(40, 300))), rows(rng.normal(size=(50, 300)), 40))
    assert values.shape == (90, 64)
    assert np.square(values).sum(axis=1).mean() == pytest.approx(64)
    few = standardised(rows(rng.normal(size=(10, 300))), rows(rng.normal(size=(12, 300)), 40))
    assert few.shape == (22, 21)


def test_features_see_what_they_are_named_after():
    arrays = tiny_head(tiny_grid(), 0, (34.0, 20.0, 12.0))
    spacing = tiny_grid().spacing_mm
    image = np.stack([arrays[k] for k in BOTH])
    lesion, tissue = arrays["lesion"], arrays["tissue"]

    def named(changed):
        found = lesion_features(changed, tissue, lesion, spacing)
        return dict(zip(lesion_names(BOTH), found, strict=True))

    before = named(image)
    assert before["flair_contrast_cortex"] == pytest.approx(2.5, abs=0.2)
    assert before["t1w_contrast_white"] == pytest.approx(-0.6, abs=0.2)
    for shell in ("deep", "edge"):
        assert before[f"flair_shell_{shell}"] == pytest.approx(2.5, abs=0.3)
    assert abs(before["flair_shell_away"]) < 0.2
    brighter = image.copy()
    brighter[0][lesion] += 0.05
    after = named(brighter)
    assert after["t1w_mean"] - before["t1w_mean"] == pytest.approx(0.5, abs=1e-3)
    assert after["flair_mean"] == before["flair_mean"]
    noise = np.random.default_rng(0).normal(0, 0.15, lesion.shape)
    rough = image.copy()
    rough[1] += np.where(lesion, noise, 0).astype(np.float32)
    after = named(rough)
    assert after["flair_rough_fine"] > 1.1 * before["flair_rough_fine"]
    assert after["flair_gradient"] > before["flair_gradient"]
    linked = image.copy()
    linked[1][lesion] = 0.5 + noise[lesion]
    linked[0][lesion] = 0.5 - noise[lesion]
    assert named(linked)["relation_lesion"] < -0.8
    whole = dict(zip(head_names(BOTH), head_features(image, tissue, spacing), strict=True))
    # 0.66 on T1w, 0.50 on FLAIR: 1.6 and 0 SD from the median.
    assert whole["t1w_mean_white"] == pytest.approx(1.6, abs=0.1)
    assert whole["flair_sd_cortex"] == pytest.approx(0.15, abs=0.35)


def test_white_noise_has_a_quarter_near_the_nyquist_frequency_and_a_checkerboard_all():
    rng = np.random.default_rng(5)
    region = np.zeros((24, 24, 24), dtype=bool)
    region[4:20, 4:20, 4:20] = True
    assert nyquist_shares(rng.normal(size=region.shape), region) == pytest.approx(0.27, abs=0.06)
    stripes = (np.indices(region.shape)[1] % 2 * 2.0) - 1
    shares = nyquist_shares(stripes, region)
    assert shares[1] > 0.97
    assert shares[0] < 0.05
    assert shares[2] < 0.05
    assert np.isnan(nyquist_shares(np.ones(region.shape), region)).all()


def test_tissue_is_found_again_where_it_shows():
    arrays = tiny_head(tiny_grid(), 0)
    tissue, brain = arrays["tissue"], arrays["brain"]
    dice = agreement(reclassified(arrays["t1w"], tissue), tissue, brain)
    assert min(dice.values()) > 0.97
    lost = agreement(
        reclassified(np.where(tissue == Tissue.CORTEX, 0.66, arrays["t1w"]), tissue), tissue, brain
    )
    assert lost["cortex"] < 0.1


def test_fidelity_by_hand():
    rng = np.random.default_rng(6)
    real = rng.uniform(0.2, 0.8, (30, 30, 30))
    inside = np.zeros(real.shape, dtype=bool)
    inside[12:18, 12:18, 12:18] = True
    brain = np.ones(real.shape, dtype=bool)
    made = np.where(inside, real + 0.1, real)
    numbers = fidelity(made, real, inside, brain, (1.0, 1.0, 1.0))
    assert numbers["psnr_inside"] == pytest.approx(20)  # 10 log10(1 / 0.1^2)
    assert numbers["l1_inside"] == pytest.approx(0.1)
    assert numbers["l1_ring"] == numbers["l1_outside"] == 0
    assert np.isnan(numbers["psnr_outside"])
    assert numbers["ssim_outside"] == pytest.approx(1)
    assert numbers["ssim_inside"] < numbers["ssim_ring"] < 1


def test_ms_ssim_of_like_crops_is_one_and_a_narrow_window_fits_small_ones():
    rng = np.random.default_rng(7)
    for side in (24, 48):
        crops = rng.uniform(0, 1, (2, 1, side, side, side)).astype(np.float32)
        assert ms_ssim(crops, crops) == pytest.approx(1, abs=1e-4)
        assert (ms_ssim(crops, crops[::-1]) < 0.6).all()
    assert sum(BETAS) == pytest.approx(1)
    people = [frozenset([str(i)]) for i in range(4)]
    crops = list(rng.uniform(0, 1, (4, 1, 24, 24, 24)).astype(np.float32))
    varied = diversity(crops, people, 50, 0)
    alike = diversity([crops[0]] * 4, people, 50, 0)
    assert varied.pairs == alike.pairs == 6
    assert alike.mean == pytest.approx(1, abs=1e-4)
    assert varied.high < alike.low
    assert diversity(crops, [people[0]] * 4, 50, 0) is None


def test_correlation_forgives_small_shifts_only():
    rng = np.random.default_rng(8)
    blob = np.zeros((2, 24, 24, 24))
    blob[:, 8:16, 8:16, 8:16] = rng.normal(size=(2, 8, 8, 8))
    assert correlation(blob, blob) == pytest.approx(1, abs=1e-5)
    assert correlation(blob, np.roll(blob, 2, axis=2)) == pytest.approx(1, abs=1e-5)
    assert correlation(blob, np.roll(blob, 5, axis=2)) < 0.5
    assert correlation(blob, 3 * blob) == pytest.approx(1, abs=1e-5)
    assert correlation(blob, np.zeros_like(blob)) == 0


def test_contrast_of_two_samples_by_hand():
    real = np.array([0.0, 1.0, 2.0, 3.0, 4.0, np.nan])
    synthetic = real[:5] * 0.5 + 2
    found = against("t1w", synthetic, real, [], 0)
    sd = np.std(real[:5], ddof=1)
    assert found.difference.value == pytest.approx((3 - 2) / sd)
    assert found.sd_ratio.value == pytest.approx(0.5)
    assert found.ks == stats.ks_2samp(synthetic, real[:5]).statistic
    assert found.quantile_bias == pytest.approx(1)
    assert (found.n_synthetic, found.n_real) == (5, 5)
    assert found.difference.low < found.difference.value < found.difference.high
    pairs = paired("t1w", np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 1.0]), 0)
    assert pairs.bias.value == pytest.approx(1)
    assert pairs.limits == pytest.approx((1 - 1.96, 1 + 1.96))  # differences 1, 0, 2
    assert against("t1w", synthetic[:1], real, [], 0) is None


def test_the_encoder_reads_its_file_and_sees_contrast():
    assert encoder_file() is not None  # deepbet is one of the project's own requirements
    arrays = tiny_head(tiny_grid(), 0)
    first = encoder_features(arrays["t1w"], arrays["brain"])
    assert first.shape == (512,)
    assert np.isfinite(first).all()
    again = encoder_features(arrays["t1w"], arrays["brain"])
    assert np.array_equal(first, again)
    other = encoder_features(arrays["flair"], arrays["brain"])
    assert np.abs(other - first).max() > 0.1
