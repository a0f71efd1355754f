"""Codes spread until drawn lesions differ as much as real ones."""

import numpy as np
import pytest
import torch

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import LESION, label_channels, to_network
from fcdsynth.synthesis.stretch import best_stretch, stretch_of, stretched
from fcdsynth.synthesis.styles import LesionStyle, Styles


def test_stretched_codes_keep_their_mean():
    codes = np.array([[1.0, 0.0], [3.0, 4.0]])
    assert stretched(codes, codes.mean(0), 1.5).tolist() == [[0.5, -1.0], [3.5, 5.0]]


def test_the_best_factor_brings_the_ratios_to_one():
    tried = (1.0, 1.5, 2.0)
    # In logarithms: 1 + 0.5 ln(1 / 0.8) / ln(1.2 / 0.8).
    assert best_stretch(tried, np.array([[0.8], [1.2], [1.6]])) == pytest.approx(1.275, abs=0.01)
    # The second contrast does not depend on the factor, and has no say.
    both = np.array([[0.8, 0.9], [1.2, 0.9], [1.6, 0.9]])
    assert best_stretch(tried, both) == pytest.approx(1.275, abs=0.01)
    assert best_stretch(tried, np.array([[1.3], [1.6], [2.0]])) == 1
    assert best_stretch(tried, np.array([[0.2], [0.3], [0.4]])) == 2


class Faint:
    """Draws every lesion at a share of the brightness its code asks for."""

    def __init__(self, share):
        self.share = share

    def draw_noise(self, batch, size, source):
        return torch.zeros(batch, 1, *size)

    def __call__(self, context, labels, code, noise):
        step = self.share * code[:, :1, None, None, None]
        image = 2 * step * labels[:, LESION : LESION + 1]
        return image, image


def lesions(count):
    """Patches whose lesions stand out by their codes, in prepared units."""
    tissue = torch.full((1, 12, 12, 12), int(Tissue.WHITE_MATTER))
    lesion, region = torch.zeros(1, 12, 12, 12), torch.zeros(1, 12, 12, 12)
    lesion[:, 4:8, 4:8, 4:8] = 1
    region[:, 2:10, 2:10, 2:10] = 1
    labels = label_channels(tissue, lesion, lesion, region)
    codes = np.linspace(-0.2, 0.2, count)[:, None]
    images = [to_network(0.5 + float(c) * lesion[:, None]) for c in codes[:, 0]]
    return [(image, labels) for image in images], codes


@pytest.mark.parametrize("share", [1.0, 0.8, 0.6])
def test_a_faint_generator_gets_codes_farther_apart(share):
    found = stretch_of(Faint(share), *lesions(12))
    assert found == pytest.approx(1 / share, abs=0.02)


def test_few_lesions_decide_nothing():
    assert stretch_of(Faint(0.5), *lesions(7)) == 1


def test_codes_are_drawn_around_the_stretched_mean():
    styles = tuple(LesionStyle(f"sub-{n}", (float(n), 0.0), (0.0, 0.0), (), 1.0) for n in (1, 3))
    known = Styles(32, 4.0, (1.0, 1.0, 1.0), False, styles, (), (), 2.0)
    assert known.code_like(styles[0], np.random.default_rng(0)).tolist() == [0, 0]
    assert known.code_like(styles[1], np.random.default_rng(0)).tolist() == [4, 0]
    wide = LesionStyle("sub-5", (2.0, 0.0), (0.5, 0.0), (), 1.0)
    known = Styles(32, 4.0, (1.0, 1.0, 1.0), False, (wide,), (), (), 2.0)
    rng = np.random.default_rng(0)
    drawn = np.array([known.code_like(wide, rng)[0] for _ in range(400)])
    assert drawn.mean() == pytest.approx(2, abs=0.15)
    assert drawn.std() == pytest.approx(1, abs=0.1)


def test_codes_between_lesions_have_their_covariance_and_the_stretch():
    codes = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, -2.0]])
    lesions = tuple(LesionStyle(f"sub-{n}", tuple(code), (0.5, 0.5), (), 1.0)
                    for n, code in enumerate(codes))  # fmt: skip
    known = Styles(32, 4.0, (1.0, 1.0, 1.0), False, lesions, (), (), 1.5)
    rng = np.random.default_rng(0)
    drawn = np.array([known.code_between(rng) for _ in range(20000)])
    np.testing.assert_allclose(drawn.mean(0), [1.0, 0.0], atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), 1.5**2 * np.cov(codes.T), atol=0.15)
    alone = Styles(32, 4.0, (1.0, 1.0, 1.0), False, lesions[:1], (), (), 1.5)
    assert alone.code_between(rng).tolist() == [0, 1]
