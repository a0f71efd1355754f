"""The training step: gradients, own counter, schedule, moving average, and that it learns."""

import pytest
import torch
from drawn_heads import SMALL
from phantom import prepared_cohort
from torch.utils.data import default_collate

from fcdsynth.core.errors import RunError, SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import (
    LESION,
    REGION,
    conditions,
    joined,
    label_channels,
    seam_weight,
)
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.objective import draw, region_terms
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.synthesis.weights import weights_at


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One lesional and one healthy patch."""
    folder = tmp_path_factory.mktemp("tiny")
    splits = {"sub-00001": Split.TRAIN, "sub-00002": Split.TRAIN}
    prepared_cohort(folder, 1, 1, splits=splits)
    data = SynthesisData(str(folder), crop=16, margin_mm=8.0)
    dataset = data.make_dataset(data.cohort, training=False)
    return default_collate([dataset[0], dataset[1]])


def generator_loss(task, batch):
    target, labels, context = conditions(batch)
    mean, log_variance = task.generator.encode_lesion(target, context, labels)
    noise = task.generator.draw_noise(2, (16, 16, 16))
    smooth, fake = task.generator(context, labels, mean * batch["lesional"][:, None], noise)
    terms = losses.reconstruction(smooth, fake, target, labels, 4.0, task.generator.reach_vox)
    return terms, losses.kl_divergence(mean, log_variance, batch["lesional"])


def test_gradients_reach_every_parameter(batch):
    task = SynthesisTask(**SMALL)
    terms, kl = generator_loss(task, batch)
    (sum(terms.values()) + kl).backward()
    dead = [n for n, p in task.generator.named_parameters() if not p.grad.abs().sum() > 0]
    assert not dead
    target, labels, _ = conditions(batch)
    real = task.discriminator(target, labels)
    fake = task.discriminator(-target, labels)
    losses.hinge_discriminator(real, fake, labels[:, REGION : REGION + 1]).backward()
    dead = [n for n, p in task.discriminator.named_parameters() if not p.grad.abs().sum() > 0]
    # A bias before instance normalisation shifts what is then centred.
    assert not [n for n in dead if not n.endswith("bias")]


def test_overfitting_one_patch_halves_its_error(batch):
    torch.manual_seed(0)
    task = SynthesisTask(**SMALL)
    optimiser = torch.optim.Adam(task.generator.parameters(), 5e-3)
    errors = []
    for _ in range(60):
        terms, _ = generator_loss(task, batch)
        errors.append(terms["inside"].item())
        optimiser.zero_grad()
        (terms["inside"] + terms["texture"]).backward()
        optimiser.step()
    assert sum(errors[-5:]) / 5 < errors[0] / 2


def test_the_lesion_label_decides_inside_and_nothing_outside_the_seam(batch):
    task = SynthesisTask(**SMALL)
    torch.nn.init.normal_(task.generator.last.weight, std=0.3)
    target, labels, context = conditions(batch)
    region = labels[:, REGION : REGION + 1]
    bare = labels.clone()
    bare[:, LESION : LESION + 2] = 0
    code = torch.ones(2, 2)
    with torch.no_grad():
        images = [joined(task.generator(context, k, code)[0], target, k, 1) for k in (labels, bare)]
    change = (images[0] - images[1]).abs()
    assert change[0][:, labels[0, LESION] > 0].mean() > 1e-3
    for image in images:
        outside = (region == 0).expand_as(image)
        assert torch.equal(image[outside], target[outside])
    assert torch.equal(images[0][1], images[1][1])  # the healthy patch has no lesion label


def test_the_seam_lies_against_the_host_and_not_against_the_brains_border():
    tissue = torch.full((1, 7, 7, 7), int(Tissue.CORTEX))
    tissue[:, 5:] = Tissue.BACKGROUND
    region = torch.zeros(1, 7, 7, 7)
    region[:, 1:5] = 1
    empty = torch.zeros_like(region)
    weight = seam_weight(label_channels(tissue, empty, empty, region), 1)
    # Host in layer 0, redrawn layers 1 to 4, background from 5 on.
    assert weight[0, 0, :, 3, 3].tolist() == [0, 0.5, 1, 1, 1, 0, 0]


def test_the_adversarial_weight_waits_and_rises():
    h = SynthesisTask(**SMALL, adversarial=2.0, adversarial_from=10, adversarial_ramp=4).hparams
    steps = (0, 9, 10, 11, 13, 50)
    assert [weights_at(h, s)["adversarial"] for s in steps] == [0, 0, 0.5, 1.0, 2.0, 2.0]
    assert [weights_at(h, s)["matching"] for s in steps] == [0, 0, 5.0, 10.0, 20.0, 20.0]


def test_kl_rises_and_the_rare_region_loss_weighs_as_much_in_sum():
    h = SynthesisTask(**SMALL, kl=0.4, kl_ramp=4, region=3.0, region_every=5).hparams
    assert [weights_at(h, s)["kl"] for s in (0, 1, 3, 9)] == pytest.approx([0.1, 0.2, 0.4, 0.4])
    drawn = [weights_at(h, step)["region_same"] for step in range(10)]
    assert drawn == [0, 0, 0, 0, 15, 0, 0, 0, 0, 15]
    assert sum(drawn) / 10 == 3


def test_the_region_loss_draws_the_same_lesion_without_its_label(batch):
    task = SynthesisTask(**SMALL)
    torch.nn.init.normal_(task.generator.last.weight, std=0.3)
    drawing = draw(task.generator, conditions(batch), batch["lesional"], 1)
    terms = region_terms(task.generator, drawing, margin=5.0, reach_vox=0)
    # Only patch 0 is lesional; by hand from its two images.
    labels = drawing.labels[:1].clone()
    lesion = labels[:, LESION : LESION + 1]
    bare = labels.clone()
    bare[:, LESION : LESION + 2] = 0
    with torch.no_grad():
        smooth, fake = task.generator(
            drawing.context[:1], bare, torch.zeros(1, 2), drawing.noise[:1]
        )
    rim = ((drawing.region[:1] > 0) & (lesion == 0)).expand(1, 2, -1, -1, -1)
    same = (drawing.fake[:1] - fake).abs()[rim].mean()
    change = (drawing.smooth[:1] - smooth).abs()[(lesion > 0).expand_as(smooth)].mean()
    assert terms["region_same"].item() == pytest.approx(same.item(), rel=1e-4)
    assert terms["region_different"].item() == pytest.approx(5 - change.item(), rel=1e-4)
    healthy = draw(task.generator, conditions(batch), torch.zeros(2), 1)
    assert region_terms(task.generator, healthy, 5.0, 0) == {}


def test_a_label_without_effect_learns_one_from_the_region_loss(batch):
    torch.manual_seed(0)
    task = SynthesisTask(**SMALL)
    optimiser = torch.optim.Adam(task.generator.parameters(), 5e-3)
    seen = []
    for _ in range(15):
        drawing = draw(task.generator, conditions(batch), batch["lesional"], 1)
        terms = region_terms(task.generator, drawing, margin=0.05, reach_vox=0)
        seen.append(terms["region_different"].item())
        optimiser.zero_grad()
        terms["region_different"].backward()
        optimiser.step()
    assert seen[0] > 0.03
    assert seen[-1] < 0.01


def test_the_average_holds_no_gradient_and_is_saved():
    task = SynthesisTask(**SMALL)
    assert not any(p.requires_grad for p in task.average.parameters())
    assert any(k.startswith("average.module.") for k in task.state_dict())


def test_a_step_that_is_not_finite_stops_with_its_name(batch):
    task = SynthesisTask(**SMALL)
    optimiser = torch.optim.Adam(task.generator.parameters())
    before = [p.clone() for p in task.generator.parameters()]
    task.manual_backward = lambda loss: loss.backward()
    loss = sum(p.sum() for p in task.generator.parameters()) * float("nan")
    with pytest.raises(RunError, match="synthesis/train/total at step 0"):
        task._step(optimiser, task.generator, loss, "total")
    assert all(torch.equal(a, b) for a, b in zip(before, task.generator.parameters(), strict=True))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden", 0),
        ("channels", []),
        ("kl", -1.0),
        ("average_decay", 1.0),
        ("generator_rate", 0.0),
        ("region_every", 0),
        ("perceptual", -1.0),
    ],
)
def test_settings_out_of_range(key, value):
    with pytest.raises(SettingsError, match=f"model.{key}"):
        SynthesisTask(**SMALL | {key: value})
