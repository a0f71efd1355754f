"""Annotators that err as they were told, and the same whatever asks them."""

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.book import Book
from fcdsynth.study.relabelling.noise import NoiseSettings, draw_annotations
from fcdsynth.study.relabelling.runs import parse_noise
from fcdsynth.study.relabelling.sets import load_set

KINDS = ("symmetric", "pair", "clustered", "boundary")


@pytest.fixture(scope="module")
def digits():
    return load_set("digits", None, 1257, 540, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_is_what_was_asked_for(digits, kind, rate):
    given = draw_annotations(digits, NoiseSettings(kind, rate), 3, 0)
    wrong = (given != digits.truth[:, None]).mean(axis=0)
    np.testing.assert_allclose(wrong, rate, atol=0.045)
    assert given.min() == 0
    assert given.max() == 9


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_look_is_the_same_for_both_readers(digits, kind):
    noisy = draw_annotations(digits, NoiseSettings(kind, 0.3, "noisy"), 3, 5)
    clean = draw_annotations(digits, NoiseSettings(kind, 0.3, "clean"), 3, 5)
    np.testing.assert_array_equal(noisy[:, 0], clean[:, 0])
    assert (clean[:, 1:] == digits.truth[:, None]).all()
    assert (noisy[:, 1] != digits.truth).any()


def test_looks_are_drawn_afresh(digits):
    """Independent looks: the second is wrong as often where the first was wrong."""
    given = draw_annotations(digits, NoiseSettings("symmetric", 0.3), 2, 1)
    wrong = given != digits.truth[:, None]
    assert wrong[wrong[:, 0], 1].mean() == pytest.approx(0.3, abs=0.06)


def test_pair_noise_goes_to_the_next_class(digits):
    given = draw_annotations(digits, NoiseSettings("pair", 0.3), 1, 2)[:, 0]
    wrong = given != digits.truth
    assert ((given - digits.truth) % 10)[wrong].tolist() == [1] * int(wrong.sum())


def test_boundary_noise_strikes_near_the_boundary(digits):
    from sklearn.linear_model import LogisticRegression

    given = draw_annotations(digits, NoiseSettings("boundary", 0.2), 1, 3)[:, 0]
    p = LogisticRegression(max_iter=500).fit(digits.pool, digits.truth).predict_proba(digits.pool)
    best = np.sort(p, axis=1)
    near = best[:, -1] - best[:, -2]
    wrong = given != digits.truth
    assert np.median(near[wrong]) < np.median(near[~wrong])


def test_clustered_noise_strikes_neighbours_together(digits):
    from scipy.spatial import cKDTree

    nearest = cKDTree(digits.pool).query(digits.pool, k=2)[1][:, 1]
    for kind, low, high in (("clustered", 0.6, 1.0), ("symmetric", 0.2, 0.4)):
        given = draw_annotations(digits, NoiseSettings(kind, 0.3), 1, 4)[:, 0]
        wrong = given != digits.truth
        assert low < wrong[nearest[wrong]].mean() < high


def test_words_of_noise():
    found = parse_noise("symmetric-30,pair-10", "clean,noisy")
    assert [(n.kind, n.rate, n.reader) for n in found] == [
        ("symmetric", 0.3, "clean"), ("symmetric", 0.3, "noisy"),
        ("pair", 0.1, "clean"), ("pair", 0.1, "noisy"),
    ]  # fmt: skip
    assert [n.second_error for n in found] == [0, 0.3, 0, 0.1]
    refused = (("symmetric", "clean", "noise"), ("odd-10", "clean", "kind"),
               ("pair-90", "clean", "rate"), ("pair-10", "odd", "reader"))  # fmt: skip
    for words, readers, said in refused:
        with pytest.raises(SettingsError, match=said):
            parse_noise(words, readers)


def test_which_label_counts():
    answers = np.array([[1, 2, 1, 3], [1, 2, 3, 3]])
    truth = np.array([2, 3])
    majority, newest = (Book(answers, truth, rule) for rule in ("majority", "replace"))
    seen = {"majority": [], "replace": []}
    for book in (majority, newest):
        for _ in range(4):
            book.ask(0)
            seen[book.rule].append(int(book.labels[0]))
    assert seen == {"majority": [1, 2, 1, 1], "replace": [1, 2, 1, 3]}
    assert majority.spent == 4
    assert majority.labelled.tolist() == [0]
    assert not majority.may_ask(np.array([0]))[0]
    look = [newest.ask(1), newest.ask(1), newest.ask(1), newest.ask(1)][2]
    assert look.was_wrong
    assert not look.is_wrong
    assert look.changed
    assert newest.version[1] == 2
    assert newest.given(np.array([1, 0])).tolist() == [[1, 2, 3, 3], [1, 2, 1, 3]]
