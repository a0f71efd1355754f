"""Every method spends the same, on the same start, under the same errors."""

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.book import Book
from fcdsynth.study.relabelling.methods import METHODS, find_methods
from fcdsynth.study.relabelling.network import NetworkSettings
from fcdsynth.study.relabelling.noise import NoiseSettings, draw_annotations
from fcdsynth.study.relabelling.protocol import Protocol
from fcdsynth.study.relabelling.sets import load_set
from fcdsynth.study.relabelling.simulate import simulate

SMALL = Protocol(start=80, batch=20, rounds=3, network=NetworkSettings(epochs=6))
NOISE = NoiseSettings("symmetric", 0.3, "noisy")


@pytest.fixture(scope="module")
def digits():
    return load_set("digits", None, 600, 200, 0)


@pytest.fixture(scope="module")
def curves(digits):
    return {name: simulate(digits, m, NOISE, SMALL, 0) for name, m in METHODS.items()}


def test_all_spend_the_same_from_the_same_start(curves):
    for name, curve in curves.items():
        assert curve.annotations == (80, 100, 120, 140), name
        assert curve.items + curve.looks == 140, name
        if name not in ("noise-free", "activelab"):
            assert curve.wrong[0] == curves["passive"].wrong[0], name
        if METHODS[name].plain_labels and name != "noise-free":
            assert curve.accuracy[0] == curves["passive"].accuracy[0], name


def test_shares_and_counts(curves):
    for name in ("random", "self-confidence", "cross-entropy", "boundary", "neighbours", "fixed",
                 "dynamic", "smoothed", "engine", "oracle"):  # fmt: skip
        curve = curves[name]
        assert curve.looks == 18, name
        assert curve.hits >= curve.repaired >= 0, name
        assert curve.damaged <= curve.looks - curve.hits, name
    for name in ("passive", "none", "dfal", "withheld", "noise-free"):
        assert (curves[name].looks, curves[name].most_looks) == (0, 1), name
    assert curves["oracle"].hits == curves["oracle"].looks
    assert curves["noise-free"].wrong == (0, 0, 0, 0)


def test_the_engine_finds_more_errors_than_chance_and_nobody_is_asked_for_ever(curves):
    assert curves["engine"].hits > 1.5 * 0.3 * curves["engine"].looks
    for name in ("self-confidence", "boundary", "neighbours", "engine"):
        assert curves[name].most_looks <= 3


def test_what_is_withheld_is_mostly_wrong(curves):
    for name, curve in curves.items():
        if METHODS[name].withheld:
            assert curve.withheld > 0
            assert curve.wrong_training < 0.7 * curve.wrong[-1], name
        else:
            assert curve.withheld == 0
            assert curve.wrong_training == curve.wrong[-1], name


def test_a_run_repeats(digits, curves):
    again = simulate(digits, METHODS["engine"], NOISE, SMALL, 0)
    assert again.accuracy == curves["engine"].accuracy
    assert again.wrong == curves["engine"].wrong


def test_a_clean_reader_damages_nothing(digits):
    clean = NoiseSettings("symmetric", 0.3, "clean")
    for name in ("random", "engine"):
        curve = simulate(digits, METHODS[name], clean, SMALL, 0)
        assert curve.damaged == 0
        assert curve.repaired == curve.hits > 0


def test_random_looks_at_equal_skill_do_not_clean(digits):
    """Break-even: replacing at random by labels as bad as the first keeps the share wrong."""
    answers = draw_annotations(digits, NOISE, 2, 0)
    book = Book(answers, digits.truth, "replace")
    for item in range(600):
        book.ask(item)
    before = book.wrong_share
    looks = [book.ask(int(item)) for item in np.random.default_rng(0).permutation(600)[:300]]
    hit_rate = np.mean([look.was_wrong for look in looks])
    error = np.mean([look.is_wrong for look in looks])
    assert (book.wrong_share - before) * 600 == pytest.approx(300 * (error - hit_rate))
    assert abs(book.wrong_share - before) < 0.04


def test_what_cannot_be_is_refused(digits):
    with pytest.raises(SettingsError, match="600 items"):
        simulate(digits, METHODS["none"], NOISE, Protocol(start=300, batch=100), 0)
    with pytest.raises(SettingsError, match="methods"):
        find_methods("none,magic")
    with pytest.raises(SettingsError, match="share"):
        Protocol(share=2.0)
