"""Weights and memory: the formulas by hand, values that do not change, JSON and back."""

import json

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.memory import Memory, MemorySettings
from fcdsynth.relabel.weights import ChannelRecord, Outcome, credit, mix, ranks


def test_weights_by_hand():
    start = ChannelRecord.of(["a", "b"])
    assert start.weights == {"a": 0.5, "b": 0.5}
    after = start.after([Outcome({"a": 0.75, "b": 0.25}, True), Outcome({"a": 0, "b": 1}, False)])
    a, b = (1 + 0.75) / 2.75, (1 + 0.25) / 3.25
    assert after.weights["a"] == pytest.approx(a / (a + b))
    later = after.after([])
    assert later.hits == {"a": pytest.approx(0.6), "b": pytest.approx(0.2)}
    assert start.hits == {"a": 0.0, "b": 0.0}


def test_no_channel_is_silenced():
    record = ChannelRecord.of(["a", "b"])
    for _ in range(30):
        record = record.after(
            [Outcome({"a": 1, "b": 0}, True), Outcome({"a": 0, "b": 1}, False)] * 9
        )
    assert record.weights["b"] == pytest.approx(0.1 / (0.1 + (1 + 45) / (2 + 45)), abs=0.01)
    assert ChannelRecord.from_plain(json.loads(json.dumps(record.plain()))) == record


def test_mix_and_credit():
    scores = {"a": [1.0, 2.0, 3.0], "b": [9.0, np.nan, 1.0]}
    np.testing.assert_allclose(ranks(scores["b"]), [0.75, np.nan, 0.25])
    mixed = mix(scores, {"a": 0.5, "b": 0.5})
    np.testing.assert_allclose(mixed, [(1 / 6 + 0.75) / 2, 0.5, (5 / 6 + 0.25) / 2])
    assert credit(scores, {"a": 0.5, "b": 0.5}, 1) == {"a": 1.0, "b": 0.0}
    shares = credit(scores, {"a": 0.5, "b": 0.5}, 0)
    assert shares["b"] == pytest.approx(0.75 / (0.75 + 1 / 6))
    assert np.isnan(mix({"a": [np.nan]}, {"a": 1.0})).all()


def test_unknown_channels_are_refused():
    with pytest.raises(SettingsError, match="'c'"):
        ChannelRecord.of(["a"]).after([Outcome({"c": 1.0}, True)])
    with pytest.raises(SettingsError, match="decay"):
        ChannelRecord.of(["a"], decay=2)


def test_the_average_by_hand_and_its_reset():
    memory = Memory(MemorySettings(beta=0.5)).observe({"x": ("1", 0.8)})
    assert memory.report("x") == pytest.approx(0.8)
    memory = memory.next_round().observe({"x": ("1", 0.2)})
    assert memory.report("x") == pytest.approx((0.5 * 0.4 + 0.5 * 0.2) / 0.75)
    edited = memory.edited("x", "2").next_round().observe({"x": ("2", 0.6)})
    assert edited.report("x") == pytest.approx(0.6)
    assert memory.report("x") == pytest.approx(0.4)
    assert np.isnan(Memory().report("x"))


def test_a_new_version_alone_starts_anew():
    memory = Memory().observe({"x": ("1", 0.9)}).observe({"x": ("2", 0.1)})
    assert memory.report("x") == pytest.approx(0.1)


def test_a_confirmed_item_rests_and_looks_end():
    memory = Memory().observe({"x": ("1", 0.8)}).confirmed("x", "1")
    assert memory.report("x") == pytest.approx(0.24)
    allowed = []
    for _ in range(4):
        allowed.append(memory.may_look("x"))
        memory = memory.next_round()
    assert allowed == [False, False, False, True]
    again = memory.edited("x", "2")
    assert not again.may_look("x")
    assert again.renewed("x").may_look("x")
    assert again.may_look("never seen")
    assert Memory.from_plain(json.loads(json.dumps(again.plain()))) == again


def test_settings_out_of_range():
    with pytest.raises(SettingsError, match="beta"):
        MemorySettings(beta=0.9)
