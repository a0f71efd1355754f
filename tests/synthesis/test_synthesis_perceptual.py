"""The perceptual loss: on deepbet's features and on a file of the user's."""

import sys

import numpy as np
import pytest
import torch
from phantom import LESION_CENTRES_MM, tiny_grid, tiny_head
from scipy import ndimage
from torch import nn

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis import perceptual
from fcdsynth.synthesis.perceptual import DEEPBET, PerceptualLoss

GRID = tiny_grid(size=48, spacing_mm=3.0)


def tensors(*arrays):
    return [torch.tensor(np.asarray(a), dtype=torch.float32)[None, None] for a in arrays]


@pytest.fixture(scope="module", params=range(3))
def pair(request):
    """A T1w head's lesion crop in [-1, 1], the same without its lesion, and the region."""
    centre = LESION_CENTRES_MM[request.param]
    made = tiny_head(GRID, request.param, centre)
    healthy = tiny_head(GRID, request.param)
    where = np.argwhere(made["lesion"]).mean(0).astype(int)
    box = tuple(slice(max(c - 16, 0), max(c - 16, 0) + 32) for c in where)
    region = ndimage.binary_dilation(made["lesion"], iterations=2)
    return made["t1w"][box] * 2 - 1, healthy["t1w"][box] * 2 - 1, region[box]


def test_damage_of_the_region_raises_the_loss_on_deepbet(pair):
    real, removed, region = pair
    cases = {
        "same": real,
        "faint noise": real + np.random.default_rng(0).normal(0, 0.002, real.shape),
        "removed": removed,
        "blurred": ndimage.gaussian_filter(real, 1),
        "shifted": np.roll(real, 1, 0),
    }
    loss = PerceptualLoss(DEEPBET, (0,))
    target, where = tensors(real, region)
    found = {}
    for name, image in cases.items():
        (fake,) = tensors(np.where(region, image, real))
        found[name] = loss(fake, target, where).item()
    assert found["same"] == 0
    for damage in ("removed", "blurred", "shifted"):
        assert found[damage] > 1.5 * found["faint noise"], found


def test_the_gradient_reaches_the_image_and_not_the_network(pair):
    real, _, region = pair
    loss = PerceptualLoss(DEEPBET, (0,))
    target, where = tensors(real, region)
    fake = (target + 0.1 * where * torch.randn_like(target)).requires_grad_()
    loss(fake, target, where).backward()
    assert fake.grad[where > 0].abs().sum() > 0
    assert not any(p.requires_grad for p in loss._network.parameters())


def test_reading_deepbet_does_not_import_the_package():
    assert perceptual.deepbet_file().is_file()
    before = {name for name in sys.modules if name.split(".")[0] == "deepbet"}
    PerceptualLoss(DEEPBET, (0,))
    assert {name for name in sys.modules if name.split(".")[0] == "deepbet"} == before


def script(path, network):
    network.eval()
    torch.jit.save(torch.jit.script(network), str(path))
    return str(path)


class Doubled(nn.Module):
    """Features are the image twice over, so that the loss can be worked out by hand."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        kind = nn.Conv3d if dims == 3 else nn.Conv2d
        self.conv = kind(channels, 1, 1, bias=False)
        nn.init.constant_(self.conv.weight, 2.0 / channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("dims", "channels"), [(3, 1), (3, 2), (2, 3)])
def test_a_file_of_the_users_sees_what_its_first_layer_wants(tmp_path, dims, channels):
    network = script(tmp_path / "net.pt", Doubled(dims, channels))
    real = torch.zeros(1, 2, 8, 8, 8)
    fake = real.clone()
    fake[:, 0, :4] = 0.2  # 0.1 in [0, 1]; features 1 everywhere in the real image, 1.2 here
    fake[:, 1] = 1.0
    region = torch.zeros(1, 1, 8, 8, 8)
    region[:, :, 2:6] = 1
    assert PerceptualLoss(network, (0,))(fake, real, region).item() == pytest.approx(0.1)
    # The second contrast: 0.5 in [0, 1] more, features 2 for 1.
    assert PerceptualLoss(network, (0, 1))(fake, real, region).item() == pytest.approx(0.55)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_file_that_is_none_is_named(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"perceptual_network: found /nowhere/net.pt"):
        PerceptualLoss("/nowhere/net.pt", (0,))
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(SettingsError, match="no TorchScript file"):
        PerceptualLoss(str(tmp_path / "text.pt"), (0,))
    with pytest.raises(SettingsError, match="without a convolution"):
        PerceptualLoss(script(tmp_path / "flat.pt", nn.Linear(3, 3)), (0,))
    monkeypatch.setattr(perceptual, "_DEEPBET_NETWORK", "absent.pt")
    with pytest.raises(SettingsError, match="an installed deepbet"):
        PerceptualLoss(DEEPBET, (0,))
