"""Rounds: reviews teach, suspicion is remembered, confirmed masks rest; by hand and by the verb."""

import json
import math

import pytest
import simulated_support as sim
from flagged_cohort import make_cohort, make_maps, mask_of, rows_of, set_mask

from fcdsynth import cli
from fcdsynth.core.errors import LedgerError, RunError, SettingsError
from fcdsynth.ledger.records import LabelMade, LabelStatus, ReaderJoined, Reviewed, SubjectAdded
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.relabel.causes import Cause
from fcdsynth.relabel.further import Further
from fcdsynth.relabel.fusion import Verdict
from fcdsynth.relabel.rounds import Rounds, begin, remember, versions_of


def verdict(score):
    return Verdict(score, score / 2, {Cause.SHIFTED: 1.0})


def reviewed(state, number, label, after, **told):
    state.take(Reviewed(f"v{number}", label, "r1", told.pop("task", "inspect"), after, after, 2,
                        **told))  # fmt: skip


@pytest.fixture
def scored():
    """Four masks of score 0.8, 0.6, 0.4, 0.2 in round 0, and a ledger that knows them."""
    state = State()
    masks = {f"sub-{k}": sim.volume(sim.MM[..., 0] > 3 * k) for k in range(4)}
    versions = versions_of(masks)
    for subject, label in versions.items():
        state.take(SubjectAdded(subject, "patient", "real"))
        state.take(LabelMade(label, subject, label.split("@")[1], "human", 2))
        state.take(LabelStatus(label, "active"))
    raw = {f"sub-{k}": verdict(0.8 - 0.2 * k) for k in range(4)}
    first, ordered = remember(Rounds(), raw, Further(), [], masks, state)
    assert ordered["sub-1"].score == pytest.approx(0.6)  # one score: its own average
    return state, masks, versions, raw, first


def test_reviews_teach_with_the_score_that_the_mask_had(scored, tmp_path):
    state, _, versions, _, first = scored
    reviewed(state, 1, versions["sub-0"], "reject")
    reviewed(state, 2, versions["sub-1"], "accept", source="audit")
    reviewed(state, 3, versions["sub-2"], "unsure")
    reviewed(state, 4, versions["sub-3"], "reject", source="planted")
    second = first.after(state)
    assert [(r.score, r.wrong, r.audit) for r in second.reviews] == [
        (pytest.approx(0.8), True, False), (pytest.approx(0.6), False, True)]  # fmt: skip
    assert second.after(state).reviews == second.reviews  # nothing is taken in twice
    # One hit and one miss of the only channel: (1 + 1) / (2 + 2), and it is all the weight.
    assert second.record.hits == {"planted": 1.0}
    assert second.record.misses == {"planted": 1.0}
    second.write(tmp_path)
    assert Rounds.read(tmp_path) == second


def test_a_confirmed_mask_rests_two_rounds_and_a_changed_one_begins_anew(scored):
    state, masks, versions, raw, first = scored
    reviewed(state, 1, versions["sub-1"], "accept")
    edited = sim.volume(sim.MM[..., 1] > 0)
    new = versions_of({"sub-0": edited})["sub-0"]
    state.take(LabelMade(new, "sub-0", new.split("@")[1], "human", 2))
    reviewed(state, 2, versions["sub-0"], "edit", new_label=new)
    again = {**raw, "sub-0": verdict(0.1), "sub-2": verdict(0.8)}
    second, ordered = remember(first.after(state), again, Further(), [],
                               {**masks, "sub-0": edited}, state)  # fmt: skip
    assert ordered["sub-0"].score == pytest.approx(0.1)  # the old version is forgotten
    assert ordered["sub-1"].score == pytest.approx(0.3 * 0.6)  # calmed
    # E = 0.5 * (0.5 * 0.4) + 0.5 * 0.8 = 0.5; corrected by 1 - 0.25
    assert ordered["sub-2"].score == pytest.approx(0.5 / 0.75)
    assert ordered["sub-2"].p_err == pytest.approx(0.4)  # P(wrong) is of this round's score
    assert second.rests("sub-1") == "confirmed; rests until round 3"
    assert second.rests("sub-0") == second.rests("sub-3") == ""
    third = second.after(state)
    fourth = third.after(state)
    assert (third.rests("sub-1"), fourth.rests("sub-1")) != ("", "")
    reviewed(state, 3, versions["sub-1"], "accept")
    fifth = fourth.after(state)
    assert "looked at 2 times" in fifth.rests("sub-1")


def test_the_ledger_is_told_scores_weights_and_ranks(scored):
    _, _, versions, raw, first = scored
    further = Further({"margin": {"sub-0": 0.9, "sub-1": math.nan}})
    order = ["sub-1", "sub-0", "sub-9"]
    told = first.records(versions, raw, further, order, "maps")
    assert [(r.label, r.channel, r.rank) for r in told] == [
        (versions["sub-1"], "planted", 1), (versions["sub-0"], "planted", 2),
        (versions["sub-0"], "margin", 0)]  # fmt: skip
    assert told[0].p_err == pytest.approx(0.3)
    assert told[0].ema == pytest.approx(0.6)
    assert told[1].model == "maps"


def test_what_cannot_be_remembered_is_refused(scored, tmp_path):
    state, _, _, raw, _ = scored
    with pytest.raises(RunError, match="earlier flag"):
        begin(str(tmp_path), None, "learned")
    with pytest.raises(SettingsError, match="rule deviation"):
        begin(None, state, "deviation")
    with pytest.raises(LedgerError, match="ledger record"):
        remember(Rounds(), raw, Further(), [], {"sub-0": sim.volume(sim.MM[..., 2] > 9)}, state)


def test_two_rounds_by_the_verbs(tmp_path, capsys):
    cohort = make_cohort(tmp_path / "cohort", patients=13, controls=1)
    make_maps(cohort, tmp_path / "maps")
    set_mask(cohort, 2, mask_of(cohort, 2)[::-1].astype("uint8"))
    book = str(tmp_path / "labels.db")

    def flag(out, *words):
        return cli.main(["flag", str(tmp_path / "cohort"), str(tmp_path / "maps"),
                         str(tmp_path / out), "--trees", "30", "--pictures", "0", "--mix",
                         "stress", *words])  # fmt: skip

    assert cli.main(["ledger", "record", str(tmp_path / "cohort"), book]) == 0
    assert flag("one", "--ledger", book) == 0
    one = rows_of(tmp_path / "one" / "queue.csv")
    assert not any(row["rests"] for row in one)
    scores = {row["subject"]: float(row["score"]) for row in one if row["p_err"]}
    with Ledger.open(book) as ledger:
        told = [e.fields for e in ledger.events("scored") if e.fields["channel"] == "planted"]
        assert len(told) == 13
        best = max(told, key=lambda t: t["raw"])
        assert best["raw"] == pytest.approx(max(scores.values()), abs=1e-4)
        ledger.append(ReaderJoined("r1", "neuroradiologist"), "test")
        calm = one[-1]["subject"]
        for number, row in enumerate((one[0], one[-1])):
            after = "accept" if row is one[-1] else "reject"
            ledger.append(
                Reviewed(f"v{number}", ledger.state.active[row["subject"]], "r1", "inspect", after,
                         after, 2, source="audit", signed=True), "test",
            )  # fmt: skip
    assert flag("one", "--ledger", book) == 1  # the same folder with more reviews is another run
    assert "the same run again" in capsys.readouterr().err
    assert flag("two", "--ledger", book, "--previous", str(tmp_path / "one")) == 0
    two = {row["subject"]: row for row in rows_of(tmp_path / "two" / "queue.csv")}
    assert two[calm]["rests"].startswith("confirmed")
    assert float(two[calm]["score"]) == pytest.approx(0.3 * scores[calm], abs=2e-4)
    summary = json.loads((tmp_path / "two" / "flag.json").read_text())
    # The audit found 1 of 2 wrong; the assumed 0.2 is worth 10 reviews: (1 + 2) / 12.
    assert summary["certainty"]["base_from"] == "audit"
    assert summary["certainty"]["base_rate"] == pytest.approx(3 / 12)
    assert flag("three", "--rule", "deviation", "--ledger", book) == 1
    assert "rule deviation" in capsys.readouterr().err
