"""What a step takes, tiny convolutions in bfloat16, network options, pictures for TensorBoard."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch.autograd.graph import saved_tensors_hooks

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis import refusals
from fcdsynth.synthesis.conditions import LABELS, LESION, REGION
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.memory import estimate
from fcdsynth.synthesis.objective import Drawing, draw
from fcdsynth.synthesis.pictures import Sample, sheet, show
from fcdsynth.synthesis.small_convolutions import single_where_small
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.synthesis.watch import Watch

SMALL = {
    "channels": [12, 8, 4],
    "hidden": 6,
    "style": 4,
    "lesion_style": 2,
    "discriminator_channels": 4,
    "discriminator_layers": 1,
}


def patches(batch, side):
    """Target, labels and context; a lesion in the middle of the region."""
    labels = torch.zeros(batch, LABELS, side, side, side)
    labels[:, 2] = 1
    third = side // 3
    labels[:, REGION, third:-third, third:-third, third:-third] = 1
    labels[:, LESION, side // 2, side // 2, side // 2] = 1
    target = torch.rand(batch, 2, side, side, side, generator=torch.Generator().manual_seed(0))
    return target, labels, target * (1 - labels[:, REGION : REGION + 1])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_the_estimate_counts_what_a_real_forward_pass_keeps(checkpointing, half):
    task = SynthesisTask(**SMALL, checkpointing=checkpointing)
    conditions = patches(2, 16)
    kept, known = {}, {p.data_ptr() for p in task.generator.parameters()}
    known |= {t.data_ptr() for t in conditions}

    def note(tensor):
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with (
        saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        drawing = draw(task.generator, conditions, torch.ones(2), 1)
    counted = sum(t.untyped_storage().nbytes() for t in kept.values())
    assert drawing.fake.requires_grad
    networks = (task.generator, task.discriminator)
    once = estimate(*networks, 2, 16, False, False, half)
    twice = estimate(*networks, 2, 16, False, True, half)  # draws the generator once more
    assert (twice.saved - once.saved) * 2**30 == pytest.approx(counted, rel=0.05)
    judged = estimate(*networks, 2, 16, True, False, half)
    assert judged.saved > once.saved
    weights = sum(p.nbytes for n in networks for p in n.parameters())
    average = sum(p.nbytes for p in task.generator.parameters())
    assert once.fixed * 2**30 == pytest.approx(4 * weights + average)


def test_the_estimate_grows_with_batch_and_crop_and_touches_nothing():
    task = SynthesisTask(**SMALL)
    before = {key: value.clone() for key, value in task.state_dict().items()}
    networks = (task.generator, task.discriminator)
    one, batch, crop = (
        estimate(*networks, *size, True, True, False).saved for size in ((1, 16), (3, 16), (1, 32))
    )
    assert batch == pytest.approx(3 * one, rel=0.1)  # normalised weights are kept once
    assert crop == pytest.approx(8 * one, rel=0.1)
    assert all(torch.equal(value, before[key]) for key, value in task.state_dict().items())
    wide = SMALL | {"channels": [32, 16]}
    plain, lean = (SynthesisTask(**wide, checkpointing=checked) for checked in (False, True))
    one, less = (
        estimate(each.generator, each.discriminator, 1, 16, True, True, False).saved
        for each in (plain, lean)
    )
    assert less < one / 2


def test_a_tiny_convolution_in_bfloat16_has_the_gradient_of_single_precision():
    torch.manual_seed(0)
    network = TwoScaleDiscriminator(LABELS + 2, 16, 2).eval()
    single_where_small(network)
    image, labels, _ = patches(2, 32)

    def gradient(half):
        # Memory that an unset read would show.
        rubbish = [torch.full((n,), float("inf")) for n in (64, 1000, 20_000, 200_000)]
        del rubbish
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            scores = network(image, labels)[1][-1]
        return torch.autograd.grad(scores.float().square().mean(), last.original)[0]

    last = network.scales[1].final_conv.conv.parametrizations.weight
    exact, first = gradient(False), gradient(True)
    assert all(torch.equal(gradient(True), first) for _ in range(5))
    assert (first - exact).norm() < 0.05 * exact.norm()


def test_a_scale_too_small_for_bfloat16_on_a_cpu_is_refused():
    settings = SynthesisTask(**SMALL).hparams
    device = SimpleNamespace(root_device=torch.device("cpu"))
    half = SimpleNamespace(precision="bf16-mixed", strategy=device)
    refusals.refuse_tiny_scale(half, settings, 16)  # 16, 8, 4
    with pytest.raises(SettingsError, match="the coarsest of 2 voxels"):
        refusals.refuse_tiny_scale(half, settings, 8)
    single = SimpleNamespace(precision="32-true", strategy=device)
    refusals.refuse_tiny_scale(single, settings, 8)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_network_options_are_passed_on():
    task = SynthesisTask(**SMALL, checkpointing=True, channels_last=False, compile=True)
    assert task.generator.checkpointing
    assert not task.generator.channels_last
    assert task.generator._compiled_call_impl is not None
    assert task.drawer._compiled_call_impl is None
    plain = SynthesisTask(**SMALL)
    assert task.state_dict().keys() == plain.state_dict().keys()
    # Nothing is compiled for the estimate.
    assert estimate(task.generator, task.discriminator, 1, 16, True, True, False).saved > 0


def drawing_of(present):
    target, labels, context = patches(len(present), 16)
    labels[:, LESION] *= torch.tensor(present)[:, None, None, None]
    mean = torch.arange(float(len(present)))[:, None] * torch.tensor([1.0, 0.0])
    still = (mean, torch.zeros_like(mean), torch.zeros_like(target), target)
    return Drawing(target, labels, context, torch.tensor(present), *still, target, target)


def test_a_watch_keeps_lesions_and_one_healthy_patch_and_counts_active_units():
    watch = Watch(3)
    watch.add(drawing_of([1.0, 1.0, 1.0]), ["a", "b", "c"])
    watch.add(drawing_of([0.0, 0.0]), ["d", "e"])
    assert [sample.subject for sample in watch.samples] == ["a", "b", "d"]
    assert watch.active_units() == 1  # means 0, 1, 2 in the first part, 0 in the second
    only = Watch(3)
    only.add(drawing_of([0.0, 0.0]), ["d", "e"])
    assert [sample.subject for sample in only.samples] == ["d", "e"]
    assert only.active_units() is None
    for number, expected in ((0, []), (1, ["a"])):
        few = Watch(number)
        few.add(drawing_of([1.0, 0.0]), ["a", "d"])
        assert [sample.subject for sample in few.samples] == expected


class Board(TensorBoardLogger):
    """Keeps what it is given; the tensorboard package is not needed."""

    def __init__(self):
        self.given = []

    @property
    def experiment(self):
        return SimpleNamespace(add_figure=lambda *a, **k: self.given.append((a, k)))


def test_a_tensorboard_logger_gets_the_figure_and_no_file_is_written(tmp_path):
    mask = np.zeros((8, 8, 8), bool)
    mask[2:5, 2:5, 6] = True
    image = np.random.default_rng(0).random((2, 8, 8, 8), dtype=np.float32)
    sample = Sample("a", image, image, image, mask, mask)
    figure = sheet([sample], ("t1w", "flair"), "title")
    assert len(figure.axes) == 8
    shown = figure.axes[4].images[0].get_array()
    assert np.array_equal(shown, image[1, :, :, 6].T)  # FLAIR, the slice with the lesion
    board = Board()
    trainer = SimpleNamespace(loggers=[board], is_global_zero=True, default_root_dir=str(tmp_path))
    show(trainer, figure, 7)
    assert board.given[0][0] == ("synthesis/val/samples", figure, 7)
    assert not list(tmp_path.iterdir())
    trainer.loggers, trainer.is_global_zero = [], False
    show(trainer, figure, 7)
    assert not list(tmp_path.iterdir())
    trainer.is_global_zero = True
    show(trainer, figure, 7)
    assert (tmp_path / "samples" / "step-0000007.png").is_file()
