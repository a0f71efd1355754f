"""Rules on every write, and the questions that a ledger answers."""

import numpy as np
import pytest
from written_labels import add_label, mask_of

from fcdsynth.core.errors import LedgerError
from fcdsynth.ledger.questions import (
    children_of,
    disagreements,
    history,
    models_that_saw,
    trained_on,
    yields,
)
from fcdsynth.ledger.records import (
    Disagreed,
    LabelMade,
    LabelStatus,
    ModelTrained,
    ReaderJoined,
    Released,
    Reviewed,
    RoundClosed,
    RoundPlanned,
    SubjectAdded,
    SyntheticMade,
    label_id,
)
from fcdsynth.ledger.rules import may
from fcdsynth.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path):
    with Ledger.create(tmp_path / "a.ledger") as opened:
        add_label(opened, "sub-1", 1, rank=2)
        add_label(opened, "sub-2", 2, rank=4)  # histology
        opened.append(SubjectAdded("sub-9", "patient", "real", "test"), "test")
        opened.append(ReaderJoined("r1", "neuroradiologist"), "test")
        opened.append(ReaderJoined("r2", "resident"), "test")
        yield opened


def review(ledger, name, subject, after, rank=2, **more):
    given = {"reader": "r1", "task": "inspect", "before": after, "after": after,
             "evidence_rank": rank, "signed": True} | more  # fmt: skip
    record = Reviewed(name, ledger.state.active[subject], **given)
    ledger.append(record, given["reader"])
    return record


def refused(ledger, record, match):
    head = ledger.head
    with pytest.raises(LedgerError, match=match):
        ledger.append(record, "test")
    assert ledger.head == head


@pytest.mark.parametrize("origin", ["synthetic", "planted"])
def test_synthetic_and_planted_labels_never_become_real(ledger, origin):
    label = add_label(ledger, "sub-1", 50, origin=origin, rank=0, status="")
    assert ledger.state.status[label].value == "never active"
    refused(ledger, LabelStatus(label, "active"), f"{origin} label to be made active")
    where = {"sub-1": "test"}
    refused(ledger, Released("v2", "h", {"sub-1": label}, {}, where), r"test set|planted label")
    refused(ledger, LabelMade("x@1", "sub-1", "", origin, 3), "rests on nothing")


def test_a_planted_label_never_trains(ledger):
    label = add_label(ledger, "sub-1", 50, origin="planted", rank=0, status="")
    refused(ledger, ModelTrained("m", (label,)), "planted label")


def test_a_test_subject_and_its_children_never_train(ledger):
    label = add_label(ledger, "sub-9", 9)
    refused(ledger, ModelTrained("m", (label,)), "a test subject")
    ledger.append(SubjectAdded("syn-1", "patient", "synthetic", "train", parents=("sub-9",)), "t")
    refused(ledger, ModelTrained("m", (), ("syn-1",)), "made from test subject sub-9")
    refused(ledger, SubjectAdded("syn-2", "patient", "synthetic", "test"), "synthetic subject")


def test_a_label_is_only_followed_by_one_of_its_own_subject(ledger):
    mine, other = ledger.state.active["sub-1"], ledger.state.active["sub-2"]
    digest = ledger.store_mask(mask_of(60))
    made = LabelMade(label_id("sub-1", digest), "sub-1", digest, "human", 2, parent=other)
    refused(ledger, made, "a label of sub-2")
    new = add_label(ledger, "sub-1", 60, parent=mine)
    assert ledger.state.active["sub-1"] == new
    assert ledger.state.status[mine].value == "superseded"
    refused(ledger, LabelMade("sub-1@x", "sub-1", "f" * 64, "human", 2), "no mask ffff")
    refused(ledger, LabelStatus(new, "withdrawn"), "a reason")


@pytest.mark.parametrize(("action", "review_rank", "label_rank", "allowed"), [
    ("remove", 2, 4, False), ("remove", 2, 2, True), ("remove", 4, 4, True),
    ("edit", 2, 4, False), ("edit", 2, 3, True), ("edit", 1, 2, True), ("edit", 0, 2, False),
])  # fmt: skip
def test_the_evidence_rank_rule(action, review_rank, label_rank, allowed):
    assert may(action, review_rank, label_rank) is allowed


def test_an_mri_read_never_deletes_a_mask_with_histology_behind_it(ledger):
    review(ledger, "v1", "sub-2", "reject", rank=2, reason="not a lesion")
    label = ledger.state.active["sub-2"]
    refused(ledger, LabelStatus(label, "withdrawn", "not seen", "v1"), "remove a label of rank 4")
    ledger.append(LabelStatus(label, "disputed", "not seen", "v1"), "test")
    assert "sub-2" not in ledger.state.active
    review(ledger, "v2", "sub-1", "reject", rank=2, reason="not a lesion")
    ledger.append(
        LabelStatus(ledger.state.active["sub-1"], "withdrawn", "not a lesion", "v2"), "test"
    )
    assert ledger.state.active == {}


def test_a_round_is_closed_with_the_minutes_of_its_reviews(ledger):
    ledger.append(RoundPlanned(1, {"inspect": 10.0}, {"errors": 1.0}), "test")
    review(ledger, "v1", "sub-1", "accept", round=1, seconds_active=90.0)
    review(ledger, "v2", "sub-2", "accept", round=1, seconds_active=60.0)
    refused(ledger, RoundClosed(1, {"inspect": 3.0}, {}), "2.50, the sum of its reviews")
    refused(ledger, RoundClosed(1, {"inspect": 2.5, "new": 1.0}, {}), "0.00, the sum")
    refused(ledger, RoundClosed(2, {}, {}), "no round")
    ledger.append(RoundClosed(1, {"inspect": 2.5}, {"errors": 0.0}), "test")


def test_names_are_pseudonyms_and_words_are_known(ledger):
    refused(ledger, SubjectAdded("John Smith", "patient", "real"), "pseudonym")
    refused(ledger, ReaderJoined("Dr. Who?", "reader"), "pseudonym")
    label = ledger.state.active["sub-1"]
    good = {"reader": "r1", "task": "inspect", "before": "accept", "after": "accept",
            "evidence_rank": 2}  # fmt: skip
    for key, bad in (("reader", "r7"), ("task", "sleep"), ("after", "maybe"), ("reason", "hm"),
                     ("source", "me"), ("evidence_rank", 7), ("confidence", 4),
                     ("seconds_active", -1.0)):  # fmt: skip
        refused(ledger, Reviewed("v1", label, **(good | {key: bad})), r"found|no reader")
    refused(ledger, Reviewed("v1", label, **(good | {"after": "edit"})), "without a new label")
    other = ledger.state.active["sub-2"]
    refused(ledger, Reviewed("v1", label, **(good | {"new_label": other})), "a new label of sub-2")
    review(ledger, "v1", "sub-1", "accept")
    refused(ledger, Reviewed("v1", label, **good), "of this id already")


def test_the_history_tells_who_when_on_what_seeing_what_in_how_many_minutes(ledger):
    old = ledger.state.active["sub-1"]
    new = add_label(ledger, "sub-1", 61, parent=old, status="")
    review(ledger, "v1", "sub-1", "edit", new_label=new, seen=("score", "model"),
           reason="too large", seconds_active=150.0, before="accept")  # fmt: skip
    ledger.append(LabelStatus(new, "active", "edited", "v1"), "r1")
    told = [step.words for step in history(ledger, subject="sub-1")]
    assert any(words.startswith(f"{old} made: human") for words in told)
    (read,) = [words for words in told if "read by r1" in words]
    assert read == (f"{old} read by r1: edit (first accept), too large; evidence rank 2, saw "
                    "score, model, 2.5 min, signed")  # fmt: skip
    assert f"{new} is now active: edited" in told
    assert not [words for words in told if "sub-2" in words]
    assert next(s.event.verb for s in history(ledger, label=new)) == "label made"
    assert len(history(ledger)) == ledger.head.seq
    with pytest.raises(LedgerError, match="no such subject"):
        history(ledger, subject="sub-7")


def test_which_models_saw_a_mask_and_whose_children_there_are(ledger):
    one, two = ledger.state.active["sub-1"], ledger.state.active["sub-2"]
    ledger.append(ModelTrained("m1", (one, two)), "fit")
    ledger.append(ModelTrained("m2", (two,)), "fit")
    ledger.append(LabelStatus(two, "withdrawn", "wrong"), "test")
    assert [m.model for m in models_that_saw(ledger.state, two)] == ["m1", "m2"]
    assert [label.subject for label in trained_on(ledger.state, "m1")] == ["sub-1", "sub-2"]
    ledger.append(
        SubjectAdded("syn-1", "patient", "synthetic", "train", parents=("sub-1",)), "test"
    )
    label = add_label(ledger, "syn-1", 70, origin="synthetic", rank=0, status="")
    ledger.append(SyntheticMade(label, "syn-1", {"host": "sub-1", "mask": "sub-2"}, "g"), "test")
    assert children_of(ledger.state, "sub-1") == ("syn-1",)
    assert children_of(ledger.state, "sub-2") == ("syn-1",)


def test_what_readers_differed_about_and_what_a_confirmed_error_costs(ledger):
    review(ledger, "v1", "sub-1", "accept", channel="too large", seconds_active=60.0)
    review(ledger, "v2", "sub-1", "reject", reader="r2", channel="too large",
           seconds_active=120.0, reason="not a lesion")  # fmt: skip
    review(ledger, "v3", "sub-2", "accept", reader="r2", seconds_active=30.0)
    label = ledger.state.active["sub-1"]
    ledger.append(Disagreed(label, ("v1", "v2"), True, 0.4, 0.5, 6.0, "v1 kept", "r1"), "test")
    ((found, reviews),) = disagreements(ledger.state)
    assert (found.resolver, [r.reader for r in reviews]) == ("r1", ["r1", "r2"])
    by = yields(ledger.state, "channel")
    assert (by["too large"].reviews, by["too large"].confirmed) == (2, 1)
    assert by["too large"].minutes_per_error == pytest.approx(3.0)
    assert np.isinf(by[""].minutes_per_error)
    assert set(yields(ledger.state, "reader")) == {"r1", "r2"}
    with pytest.raises(LedgerError, match="column"):
        yields(ledger.state, "shoe size")
