"""Full mode in training: patches, the thinned head, losses, the law of scan styles."""

import numpy as np
import pytest
import torch
from drawn_heads import SMALL
from phantom import prepared_cohort, tiny_grid, tiny_head
from torch.utils.data import default_collate

from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis import objective
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.objective import draw_batch, draw_whole, reconstruction_terms, region_terms
from fcdsynth.synthesis.scans import Scan, code_of, law_of, sample
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.synthesis.thinned import thinned

TRAIN = {f"sub-{n:05d}": Split.TRAIN for n in range(1, 9)}
STYLE = {"style_target", "style_tissue", "style_lesion"}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return prepared_cohort(tmp_path_factory.mktemp("tiny"), splits=TRAIN)


def patches(table, training=True, crop=16, **settings):
    data = SynthesisData(str(table.folder), crop=crop, margin_mm=8.0, **settings)
    return data.make_dataset(data.cohort, training)


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_all_patches_of_a_step_are_of_one_mode_and_the_share_is_kept(table):
    dataset = patches(table, full_share=0.3, batch_size=3)
    full = [dataset._is_full(index) for index in range(3000)]
    steps = np.array(full).reshape(1000, 3)
    assert (steps == steps[:, :1]).all()
    assert steps[:, 0].mean() == pytest.approx(0.3, abs=0.05)
    assert all((dataset[i].keys() >= STYLE) == full[i] for i in range(12))


def test_insert_patches_do_not_know_of_full_ones(table):
    alone, beside = patches(table, full_share=0.0), patches(table, full_share=0.5)
    kinds = set()
    for index in range(16):
        a, b = alone[index], beside[index]
        assert not a.keys() & STYLE
        assert equal(a, b) == (not b.keys() & STYLE)
        kinds.add("style_target" in b)
    assert kinds == {True, False}
    for index in range(8):
        a = patches(table, training=False, full_share=0.0)[index]
        b = patches(table, training=False, full_share=0.5)[index]
        assert not a.keys() & STYLE
        assert b.keys() - a.keys() == STYLE
        assert equal(a, {k: v for k, v in b.items() if k not in STYLE})


def test_without_full_steps_no_scan_is_encoded(table, monkeypatch):
    def never(*_):
        raise AssertionError("a style was encoded")

    monkeypatch.setattr(objective, "style_code", never)
    dataset = patches(table, full_share=0.0)
    drawing = draw_batch(SynthesisTask(**SMALL).generator, default_collate([dataset[0]]), 1)
    assert drawing.style is None


def test_a_full_patch_blanks_the_brain_and_keeps_its_lesion(table):
    dataset = patches(table, crop=8, full_share=1.0, lesion_share=0.5, light=0.0, bend_vox=0.8)
    seen = set()
    for index in range(40):
        patch = dataset[index]
        brain = patch["tissue"] != Tissue.BACKGROUND
        assert brain.any()
        assert np.array_equal(patch["region"] > 0, brain)
        assert patch["lesional"] == patch["lesion"].any()
        assert np.array_equal(patch["soft"] > 0, patch["lesion"] > 0)
        # The tiny lesions are bright on FLAIR: where the channel says none, there is none.
        healthy = np.isin(patch["tissue"], [Tissue.CORTEX, Tissue.WHITE_MATTER])
        healthy &= patch["lesion"] == 0
        assert (patch["target"][1][healthy] < 0.72).all()
        assert patch["style_target"].shape == (2, 35, 35, 35)
        seen.add((bool(patch["lesional"]), patch["subject"] in sorted(TRAIN)[:4]))
    assert seen == {(True, True), (False, True), (False, False)}


def test_light_and_mirror_change_a_patch_and_its_scan_alike(table):
    settings = {"full_share": 1.0, "bend_vox": 0.0}
    plain = patches(table, flip=False, light=0.0, **settings)
    lit = patches(table, flip=False, light=0.3, **settings)
    turned = patches(table, flip=True, light=0.0, **settings)
    flips = 0
    for index in range(6):
        a, b, c = plain[index], lit[index], turned[index]
        for number in range(2):  # one exponent for both, and no field
            pairs = [(a[k][number], b[k][number]) for k in ("target", "style_target")]
            gammas = [np.log(y[x > 0]) / np.log(x[x > 0]) for x, y in pairs]
            gamma = np.median(np.concatenate(gammas))
            assert gamma != pytest.approx(1, abs=1e-3)
            assert all(np.median(np.abs(g - gamma)) < 1e-3 for g in gammas)
        if np.array_equal(a["target"], c["target"]):
            continue
        flips += 1
        for key in ("target", "tissue", "style_target", "style_tissue", "style_lesion"):
            assert np.array_equal(a[key][..., ::-1, :, :], c[key])
    assert 0 < flips < 6


def test_a_thinned_head_has_voxels_of_the_head_whatever_lies_around_it():
    grid = tiny_grid(size=80, spacing_mm=1.9)  # every second voxel: 3.8 mm
    head = tiny_head(grid, 1, (34.0, 20.0, 12.0))
    image = np.stack([head["t1w"], head["flair"]])
    thin = thinned(image, head["tissue"], head["lesion"], grid.spacing_mm)
    assert thin["style_target"].shape == (2, 55, 55, 55)  # 208 mm
    count = np.bincount(head["tissue"].ravel(), minlength=7)[1:]
    found = np.bincount(thin["style_tissue"].ravel(), minlength=7)[1:]
    np.testing.assert_allclose(found, count / 8, rtol=0.15)
    for label in (Tissue.CORTEX, Tissue.WHITE_MATTER):
        where, here = head["tissue"] == label, thin["style_tissue"] == label
        for number in range(2):
            whole, few = image[number][where], thin["style_target"][number][here]
            assert few.mean() == pytest.approx(whole.mean(), abs=0.002)
            assert few.std() == pytest.approx(whole.std(), rel=0.1)  # the grain is not averaged
    bright = thin["style_target"][1][thin["style_lesion"] > 0]
    assert bright.mean() == pytest.approx(image[1][head["lesion"]].mean(), abs=0.02)
    wide = [np.pad(a, [(0, 0)] * (a.ndim - 3) + [(3, 4), (0, 9), (7, 0)])
            for a in (image, head["tissue"], head["lesion"])]  # fmt: skip
    assert equal(thin, thinned(*wide, grid.spacing_mm))


def test_the_losses_of_a_whole_brain_have_no_outside_and_no_seam(table):
    task = SynthesisTask(**SMALL, feather_vox=2)
    dataset = patches(table, full_share=1.0, lesion_share=1.0)
    batch = default_collate([dataset[0], dataset[1]])
    drawing = draw_batch(task.generator, batch, 2)
    assert drawing.style.shape == (2, 4)
    region = (drawing.region > 0).expand_as(drawing.fake)
    torch.testing.assert_close(drawing.whole[region], drawing.fake[region], rtol=0, atol=1e-6)
    assert (drawing.whole[~region] == -1).all()
    # Of the image nothing but the style is told: it is blank where there is brain.
    assert not (drawing.context * drawing.region).any()
    terms = reconstruction_terms(task.generator, drawing, 4.0)
    assert terms["outside"] == 0
    assert all(terms[name].item() > 0 for name in ("inside", "texture", "contrast"))
    # The drawing without the lesion has the same style: nothing changes but by the label.
    found = region_terms(task.generator, drawing, 1.0, 0)
    moved = []
    bare = {**batch, "lesion": 0 * batch["lesion"], "soft": 0 * batch["soft"]}
    for style in (drawing.style, None):
        labels = objective.conditions(objective.whole_brain(bare))[1]
        with torch.no_grad():
            smooth, _ = task.generator(drawing.context, labels, torch.zeros(2, 2), drawing.noise,
                                       style_code=style)  # fmt: skip
        change = (drawing.smooth - smooth).abs().mean(1)
        lesion = batch["lesion"] > 0
        moved.append(np.mean([1 - float(change[i][lesion[i]].mean().detach()) for i in range(2)]))
    assert found["region_different"].item() == pytest.approx(moved[0], rel=1e-4)
    assert found["region_different"].item() != pytest.approx(moved[1], rel=1e-4)


def test_gradients_reach_every_parameter_from_whole_brains_alone(table):
    task = SynthesisTask(**SMALL)
    dataset = patches(table, full_share=1.0, lesion_share=1.0)
    drawing = draw_whole(task.generator, default_collate([dataset[0], dataset[1]]))
    terms = reconstruction_terms(task.generator, drawing, 4.0)
    (terms["inside"] + terms["texture"] + terms["contrast"] + drawing.mean.square().sum()
     + drawing.log_variance.sum()).backward()  # fmt: skip
    dead = [n for n, p in task.generator.named_parameters() if not p.grad.abs().sum() > 0]
    assert not dead


def test_full_mode_starts_from_the_tissue_means_of_the_scan(table):
    dataset = patches(table, full_share=1.0)
    thin = dataset.head(dataset.subjects[5]).thinned
    task = SynthesisTask(**SMALL | {"style": 12})
    before = [p.clone() for p in task.generator.parameters()]
    task.generator.start_from_means()
    code = torch.tensor([code_of(task.generator, thin)])
    with torch.no_grad():
        means = (task.generator.guessed_means(code)[0] + 1) / 2
    for label in range(1, 7):
        for number in range(2):
            seen = thin["style_target"][number][thin["style_tissue"] == label].mean()
            # The guess passes through a tanh, which bends what lies near black.
            assert means[label, number] == pytest.approx(seen, abs=0.07)
            if 0.4 < seen < 0.7:
                assert means[label, number] == pytest.approx(seen, abs=0.01)
    assert sum(not torch.equal(a, b) for a, b in
               zip(before, task.generator.parameters(), strict=True)) == 4  # fmt: skip
    short = SynthesisTask(**SMALL)
    before = [p.clone() for p in short.generator.parameters()]
    short.generator.start_from_means()
    assert all(torch.equal(a, b) for a, b in zip(before, short.generator.parameters(), strict=True))


def test_a_scan_is_encoded_without_its_lesion(table):
    task = SynthesisTask(**SMALL)
    dataset = patches(table, full_share=1.0)
    head = dataset.head(dataset.subjects[0])
    thin = head.thinned
    code = code_of(task.generator, thin)
    changed = np.where(thin["style_lesion"] > 0, 0.9, thin["style_target"]).astype(np.float32)
    assert code_of(task.generator, thin | {"style_target": changed}) == code
    darker = (thin["style_target"] * 0.8).astype(np.float32)
    assert code_of(task.generator, thin | {"style_target": darker}) != code


def test_sampled_styles_have_mean_and_covariance_of_the_training_styles():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(6, 3)) @ np.diag([1.0, 0.3, 0.0]) + [5.0, -2.0, 1.0]
    scans = [Scan(f"sub-{n}", "", tuple(code)) for n, code in enumerate(codes)]
    law = law_of(scans)
    np.testing.assert_allclose(law["mean"], codes.mean(0), atol=1e-6)
    centred = codes - codes.mean(0)
    np.testing.assert_allclose(law["covariance"], centred.T @ centred / 5, atol=1e-8)
    drawn = np.array([sample(scans, rng) for _ in range(20000)])
    np.testing.assert_allclose(drawn.mean(0), law["mean"], atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), law["covariance"], atol=0.03)
    assert (drawn[:, 2] == 1.0).all()  # no scan differs there
    assert law_of(scans[:1]) is None
