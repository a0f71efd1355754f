"""Expert minutes: worth, minutes, choice and expectation by hand; the verbs through the door."""

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.records import (
    Disagreed,
    Failed,
    ImageAdded,
    LabelMade,
    LabelStatus,
    ReaderJoined,
    Reviewed,
    RoundPlanned,
    SubjectAdded,
    label_id,
)
from fcdsynth.ledger.store import Ledger
from fcdsynth.relabel.budget.belief import Belief, Beliefs, read_beliefs
from fcdsynth.relabel.budget.candidates import (
    Setting,
    failures,
    inspections,
    may_do,
    new_cases,
    open_disagreements,
    synthetic_cases,
)
from fcdsynth.relabel.budget.choose import ChoiceSettings, choose
from fcdsynth.relabel.budget.expected import expect
from fcdsynth.relabel.budget.gains import LearningCurve, fit_curve, novelty
from fcdsynth.relabel.budget.inputs import Failure, Row, read_failures, read_queue
from fcdsynth.relabel.budget.looks import seen_enough
from fcdsynth.relabel.budget.minutes import ASSUMED, MinutesLaw, Timed, fit_minutes
from fcdsynth.relabel.budget.work import Work

GRID = Grid.of((6, 6, 6), np.diag([2.0, 2, 2, 1]))


def rows_of(values):
    return [Row(f"sub-{i:03d}", p, "too small", 2.8) for i, p in enumerate(values)]


def masks(values, minutes=2.0, e=0.1):
    return [
        Work("inspect", f"sub-{i:03d}", p * (1 - e), 1.0, minutes, p_harm=(1 - p) * e, harm=1.0,
             p_err=p, source="suspected")
        for i, p in enumerate(values)
    ]  # fmt: skip


def others(kind, number, worth, minutes):
    return [Work(kind, f"{kind}-{i}", 1.0, worth, minutes) for i in range(number)]


def write_queue(folder, values, columns=("rank", "subject", "cause", "p_err", "volume_ml")):
    folder.mkdir(exist_ok=True)
    with (folder / "queue.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        for i, p in enumerate(values):
            writer.writerow({"rank": i + 1, "subject": f"sub-{i:03d}", "cause": "too small",
                             "p_err": p, "volume_ml": 2.8})  # fmt: skip
    record = {"certainty": {"base_rate": 0.2, "base_from": "assumed"}}
    (folder / "flag.json").write_text(json.dumps(record))
    return folder


def add_label(ledger, subject, seed, rank=2, status="active", origin="human", parent=""):
    array = np.random.default_rng(seed).random(GRID.shape) > 0.7
    digest = ledger.store_mask(Volume(array, GRID))
    label = label_id(subject, digest)
    if subject not in ledger.state.subjects:
        ledger.append(SubjectAdded(subject, "patient", "real"), "test")
    made = LabelMade(label, subject, digest, origin, 0 if origin == "planted" else rank,
                     parent=parent, volume_ml=2.8, components=1)  # fmt: skip
    ledger.append(made, "test")
    if status:
        ledger.append(LabelStatus(label, status, "test"), "test")
    return label


def add_review(ledger, label, after, number=0, task="inspect", seconds=240.0, **told):
    name = f"v{len(ledger.state.reviews)}"
    new = {"new_label": label} if after == "edit" else {}
    record = Reviewed(name, label, told.pop("reader", "r1"), task, after, after, 2, round=number,
                      seconds_active=seconds, **new, **told)  # fmt: skip
    ledger.append(record, "test")


@pytest.fixture
def ledger(tmp_path):
    with Ledger.create(tmp_path / "labels.db") as opened:
        opened.append(ReaderJoined("r1", "neuroradiologist"), "test")
        yield opened


def run(*words):
    return cli.main([str(word) for word in words])


# Worth


def test_the_worth_of_an_inspection_is_p_err_less_the_readers_error_rate():
    work, _ = inspections(rows_of([0.5, 0.1, 0.05]), Setting())
    assert [w.worth for w in work] == pytest.approx([0.4, 0.0, -0.05])
    assert work[0].p_change == pytest.approx(0.45)
    assert work[0].minutes == pytest.approx(4 * math.exp(0.4**2 / 2))
    assert work[0].roi == pytest.approx(0.4 / work[0].minutes)
    assert work[0].minutes_from == "assumed"


def test_a_new_case_is_worth_the_margin_over_the_average_of_the_curve():
    curve = LearningCurve(0.5)
    # M = 1 - n^-0.5: M'(4) = 0.5 / 8; (M(4) - M(1)) / 3 = 0.5 / 3.
    assert curve.new_case(4) == pytest.approx((0.5 / 8) / (0.5 / 3))
    assert curve.new_case(100) < curve.new_case(30) < curve.new_case(4)
    assert curve.new_case(1) == 1


def test_the_curve_is_found_again_and_a_falling_one_refused():
    n = [10, 20, 40, 80, 160]
    found = fit_curve([(k, 0.9 - 1.5 * k**-0.7) for k in n])
    assert found.c == pytest.approx(0.7, abs=0.011)
    assert (found.points, found.source) == (5, "fitted")
    with pytest.raises(SettingsError, match="does not rise"):
        fit_curve([(k, -k) for k in n])
    with pytest.raises(SettingsError, match="2 different n"):
        fit_curve([(10, 0.1), (20, 0.2)])


def test_novelty_is_half_to_one_and_a_half():
    def one(name, **told):
        return Subject(name, Group.PATIENT, Origin.REAL, **told)

    labelled = [one("a", site="x", lobe="FL"), one("b", site="x", lobe="TL")]
    assert novelty(one("n", site="x"), labelled) == pytest.approx(0.5)
    assert novelty(one("n", site="y"), labelled) == pytest.approx(1.5)
    assert novelty(one("n", site="y", lobe="FL"), labelled) == pytest.approx(0.5 + 0.75)
    assert novelty(one("n"), labelled) == 1


def test_new_and_synthetic_cases_of_a_cohort(tmp_path):
    def one(name, origin=Origin.REAL, **told):
        return Subject(name, Group.PATIENT, origin, **told)

    cohort = Cohort(tmp_path, (
        one("drawn", files={"lesion": "x"}), one("bare"),
        Subject("control", Group.CONTROL, Origin.REAL), one("made", Origin.SYNTHETIC),
        one("tests", Origin.SYNTHETIC, split=Split.TEST),
    ))  # fmt: skip
    setting = Setting()
    (new,) = new_cases(cohort, [cohort["drawn"]], 35, setting)
    assert new.subject == "bare"
    gain = LearningCurve(0.5).new_case(35)
    assert new.worth == pytest.approx(gain * 0.9)  # novelty 1; the reader errs in a tenth
    (made,) = synthetic_cases(cohort, 35, setting)
    assert made.subject == "made"
    assert made.worth == pytest.approx(0.22 * gain * (0.7 - 0.3 * 0.1))


def test_failures_are_worth_two_at_most():
    told = [Failure("a", "missed", 1), Failure("b", "missed", 9), Failure("b", "false", 2)]
    work = {w.subject: w for w in failures(told, Setting())}
    assert work["a"].worth == pytest.approx(0.3)
    assert work["b"].worth == pytest.approx(0.6)
    assert work["b"].cause == "missed, 9 in a row"


# Minutes


def test_minutes_are_the_assumed_ones_until_reviews_tell_better():
    assert fit_minutes([]) == MinutesLaw()
    law = fit_minutes([Timed("inspect", 0.0)])
    assert law.minutes("new") == pytest.approx(ASSUMED["new"] * math.exp(0.08))
    # Five reviews of one minute against an assumption worth five: half way in logs.
    law = fit_minutes([Timed("inspect", 1.0) for _ in range(5)])
    assert law.tasks["inspect"] == pytest.approx(math.log(4) / 2)
    assert law.source("inspect") == "fitted"
    assert law.source("new") == "assumed"
    assert law.minutes("new") > 20


def test_a_known_law_of_minutes_is_found_again():
    rng = np.random.default_rng(0)
    timed = []
    for i in range(1500):
        task = ("inspect", "new")[i % 2]
        volume, parts = float(np.exp(rng.normal(1, 1.2))), int(rng.integers(1, 5))
        reader = ("slow", "fast")[(i // 2) % 2]
        mu = {"inspect": math.log(3), "new": math.log(12)}[task]
        mu += 0.4 * math.log(volume / 2.8) + 0.1 * math.log(parts)
        mu += {"slow": 0.3, "fast": -0.3}[reader] + rng.normal(0, 0.25)
        timed.append(Timed(task, math.exp(mu), volume, parts, reader))
    law = fit_minutes(timed)
    assert law.volume == pytest.approx(0.4, abs=0.03)
    assert law.components == pytest.approx(0.1, abs=0.05)
    assert law.sigma == pytest.approx(0.25, abs=0.02)
    assert law.readers["slow"] - law.readers["fast"] == pytest.approx(0.6, abs=0.05)
    true = math.exp(math.log(3) + 0.3 + 0.25**2 / 2)
    assert law.minutes("inspect", 2.8, 1, "slow") == pytest.approx(true, rel=0.08)


# Choice


def test_the_best_item_a_minute_first_until_the_minutes_are_used():
    work = masks([0.9, 0.8, 0.7, 0.6, 0.5])
    choice = choose(work, ChoiceSettings(6.5, audit=0, planted=0))
    assert {i.subject for i in choice.items} == {"sub-000", "sub-001", "sub-002"}
    assert choice.minutes == pytest.approx(6)
    assert choice.next_item.subject == "sub-003"
    assert choice.next_item.roi == pytest.approx(0.25)
    assert choice.stops == {"inspect": "minutes are used"}


def test_every_kind_with_work_gets_its_floor():
    work = [*masks([0.9] * 60), *others("failure", 9, 0.001, 2.0), *others("new", 9, 0.001, 3.0)]
    work += others("synthetic", 3, -1.0, 1.0)
    choice = choose(work, ChoiceSettings(100, second_looks=1.0))
    assert sum(i.minutes for i in choice.of("failure")) == pytest.approx(6)  # 5, in items of 2
    assert sum(i.minutes for i in choice.of("new")) == pytest.approx(6)
    assert not choice.of("synthetic")
    assert choice.stops["synthetic"] == "what is left would do more harm than good"
    assert choice.minutes <= 100


def test_second_looks_stay_below_half_while_other_work_is_left():
    looks = masks([0.9] * 60)
    plenty = choose([*looks, *others("new", 60, 0.01, 2.0)], ChoiceSettings(100))
    assert sum(i.minutes for i in plenty.of("inspect")) <= 50
    assert plenty.minutes == pytest.approx(100)
    alone = choose(looks, ChoiceSettings(100))
    assert sum(i.minutes for i in alone.of("inspect")) == pytest.approx(100)
    few = choose([*looks, *others("new", 2, 0.01, 2.0)], ChoiceSettings(100))
    assert sum(i.minutes for i in few.of("inspect")) == pytest.approx(96)


def test_one_item_a_patient_and_a_cap_against_fatigue():
    work = [*masks([0.9] * 10), *(replace(w, kind="failure") for w in masks([0.8] * 10))]
    choice = choose(work, ChoiceSettings(100))
    subjects = [i.subject for i in choice.items]
    assert len(subjects) == len(set(subjects)) == 10
    capped = choose(masks([0.9] * 30), ChoiceSettings(100, most=7))
    assert len(capped.items) == 7
    assert capped.stops == {"inspect": "the most items, 7"}


@pytest.mark.parametrize(("n", "planted"), [(8, 0), (12, 1), (20, 1), (40, 2), (60, 3)])
def test_a_tenth_is_audited_and_five_to_ten_percent_planted(n, planted):
    choice = choose(masks(np.linspace(0.9, 0.12, 200)), ChoiceSettings(2.0 * n))
    sources = [i.source for i in choice.items]
    assert len(sources) == n
    assert sources.count("audit") == math.ceil(0.1 * n)
    assert sources.count("planted") == planted
    assert all(i.p_err < 0.52 for i in choice.items if i.source == "planted")


def test_the_audit_is_drawn_from_all_masks_alike():
    values = np.linspace(0.9, 0.0, 60)
    seen = np.zeros(60)
    for seed in range(300):
        for item in choose(masks(values), ChoiceSettings(40, seed=seed)).items:
            if item.source == "audit":
                seen[int(item.subject[4:])] += 1
    assert seen.sum() == 600
    assert seen[:30].sum() == pytest.approx(300, abs=50)
    assert seen[30:].sum() == pytest.approx(300, abs=50)


def test_the_order_tells_nothing_of_the_source():
    places = {"suspected": [], "audit": [], "planted": []}
    for seed in range(200):
        choice = choose(masks(np.linspace(0.9, 0.12, 80)), ChoiceSettings(40, seed=seed))
        for place, item in enumerate(choice.items):
            places[item.source].append(place)
    assert np.mean(places["audit"]) == pytest.approx(9.5, abs=1)
    assert np.mean(places["planted"]) == pytest.approx(9.5, abs=1.3)
    assert choice == choose(masks(np.linspace(0.9, 0.12, 80)), ChoiceSettings(40, seed=199))


def test_inspection_stops_at_break_even_and_the_floor_goes_to_the_audit():
    values = [0.5, 0.3, *[0.05] * 100]
    choice = choose(masks(values), ChoiceSettings(100, break_even=0.1, planted=0))
    suspected = [i for i in choice.items if i.source == "suspected"]
    assert all(i.p_err >= 0.1 for i in suspected)
    assert sum(i.minutes for i in choice.items) == pytest.approx(6)  # 5 % of 100, in items of 2
    assert choice.next_item is None
    assert "break-even: the best mask left has P(err) 0.050" in choice.stops["inspect"]


@pytest.mark.parametrize(
    "told", [{"minutes": 0}, {"floor": 0.3}, {"audit": 2}, {"planted": 0.2}, {"most": -1}]
)
def test_settings_out_of_range_are_refused(told):
    with pytest.raises(SettingsError, match=next(iter(told))):
        ChoiceSettings(**{"minutes": 100, **told})


# Expectation


def test_expected_changes_by_hand():
    certain = Belief(0.1, 10**6, 10**7)
    found = expect([0.5, 1.0, 0.0], Belief(0.2), certain)
    assert found.changed == pytest.approx(0.5 + 0.9 + 0.1, abs=1e-6)
    assert found.errors == pytest.approx(1.5 * 0.9, abs=1e-6)
    assert (found.low, found.high) == (0, 3)
    assert (found.errors_low, found.errors_high) == (0, 2)
    assert expect([], Belief(0.2), certain).plain()["n"] == 0


def test_the_interval_covers_rounds_whose_base_rate_is_not_the_assumed_one():
    rng = np.random.default_rng(1)
    base, errs = Belief(0.2), Belief(0.1)
    inside = 0
    for number in range(200):
        p = rng.beta(1, 3, 30)
        rate, e = rng.beta(base.a, base.b), rng.beta(errs.a, errs.b)
        shift = math.log(rate / (1 - rate)) - math.log(0.25)
        odds = p / (1 - p) * math.exp(shift)
        q = odds / (1 + odds)
        wrong = rng.random(30) < q
        changed = int((wrong != (rng.random(30) < e)).sum())
        found = expect(p, base, errs, number, 500)
        inside += found.low <= changed <= found.high
    assert 0.91 <= inside / 200 <= 1
    narrow = expect([0.5] * 20, Belief(0.2, worth=1e6), Belief(0.1, worth=1e6))
    wide = expect([0.5] * 20, base, errs)
    assert wide.high - wide.low > narrow.high - narrow.low


# The ledger


def test_the_readers_error_rate_comes_from_planted_errors(ledger):
    label = add_label(ledger, "sub-000", 1)
    copy = add_label(ledger, "sub-000", 2, status="", origin="planted", parent=label)
    assert read_beliefs(ledger.state, []).reader_errs.plain()["from"] == "assumed"
    for after in ("accept", "accept", "reject", "reject", "unsure"):
        add_review(ledger, copy, after, source="planted")
    ledger.append(ReaderJoined("r2", "neuroradiologist"), "test")
    add_review(ledger, copy, "accept", source="planted", reader="r2")
    assert read_beliefs(ledger.state, [], "r1").reader_errs.mean == pytest.approx((1 + 2) / 14)
    assert read_beliefs(ledger.state, []).reader_errs.mean == pytest.approx((1 + 3) / 15)
    found = read_beliefs(ledger.state, ["label", "model", "unknown"])
    assert found.explains.mean == pytest.approx((3 + 1) / 12)


@pytest.mark.parametrize(
    ("review", "label", "expected"),
    [(2, 2, "edit, remove"), (2, 3, "edit, dispute"), (2, 4, "dispute"), (1, 2, "edit, dispute")],
)
def test_what_a_reader_may_do(review, label, expected):
    assert may_do(review, label) == expected


def test_evidence_decides_what_is_listed(ledger):
    for number, rank in enumerate((2, 3, 4)):
        add_label(ledger, f"sub-00{number}", number, rank=rank)
    work, left = inspections(rows_of([0.5, 0.5, 0.5, None, 0.5]), Setting(state=ledger.state))
    assert [(w.subject, w.may) for w in work] == [
        ("sub-000", "edit, remove"), ("sub-001", "edit, dispute")]  # fmt: skip
    assert work[1].harm == 2  # one rank above the review
    assert "rank 4" in left["sub-002"]
    assert "no p_err" in left["sub-003"]
    assert left["sub-004"] == "no active label in the ledger"


def test_a_mask_that_rests_in_the_queue_rests():
    rows = [Row("sub-000", 0.9, "", 2.8, "confirmed in the last round"), *rows_of([0.5])[1:]]
    assert inspections(rows, Setting()) == ([], {"sub-000": "confirmed in the last round"})


def test_two_looks_and_rest_and_new_evidence(ledger):
    twice, rests, once = (add_label(ledger, f"sub-00{i}", i) for i in range(3))
    for number in (1, 2):
        add_review(ledger, twice, "unsure", number)
    add_review(ledger, rests, "accept", 2)
    add_review(ledger, once, "unsure", 2)
    assert seen_enough(ledger, 3) == {
        "sub-000": "2 looks without new evidence",
        "sub-001": "confirmed, rests until round 5",
    }
    assert set(seen_enough(ledger, 4)) == {"sub-000", "sub-001"}
    assert set(seen_enough(ledger, 5)) == {"sub-000"}
    image = ImageAdded("sub-000", "t1w_native", "h", (6, 6, 6), tuple(np.eye(4).ravel()), "RAS")
    ledger.append(image, "test")
    assert seen_enough(ledger, 5) == {}


def test_open_disagreements_are_worth_what_readers_differ(ledger):
    labels = [add_label(ledger, f"sub-00{i}", i) for i in range(4)]
    for label in labels[:3]:
        add_review(ledger, label, "accept")
    ledger.append(Disagreed(labels[0], ("v0",), True, 0.8, 0.9, 1.0), "test")
    ledger.append(Disagreed(labels[1], ("v1",), False, 0.0, 0.0, None), "test")
    ledger.append(Disagreed(labels[2], ("v2",), True, 0.2, 0.2, 9.0, resolution="r1"), "test")
    ledger.append(LabelStatus(labels[3], "disputed", "test"), "test")
    work = {w.subject: w.gain for w in open_disagreements(Setting(state=ledger.state))}
    assert work == pytest.approx({"sub-000": 0.2, "sub-001": 1.0, "sub-003": 0.5})


# Inputs


def test_a_queue_without_calibrated_probabilities_is_refused(tmp_path, capsys):
    folder = write_queue(tmp_path / "flags", ["", "", ""])
    assert run("plan", folder, tmp_path / "out") == 1
    shown = capsys.readouterr().err
    assert "--rule learned" in shown
    assert not (tmp_path / "out").exists()


def test_bad_tables_are_refused(tmp_path):
    with pytest.raises(CohortError, match="a probability, 0 to 1"):
        read_queue(write_queue(tmp_path / "a", [1.5]))
    with pytest.raises(CohortError, match="no column p_err"):
        read_queue(write_queue(tmp_path / "b", [0.5], ("subject", "cause", "volume_ml")))
    with pytest.raises(CohortError, match="no such file"):
        read_queue(tmp_path)
    with pytest.raises(CohortError, match="a number"):
        read_queue(write_queue(tmp_path / "c", ["high"]))
    path = tmp_path / "failures.csv"
    path.write_text("subject,kind,times\nsub-1,missed,0\n")
    with pytest.raises(CohortError, match="line 2 times"):
        read_failures(path)


# The verbs


def test_a_plan_without_a_ledger_and_its_list_keeps_the_source(tmp_path, capsys):
    folder = write_queue(tmp_path / "flags", [*np.linspace(0.9, 0.11, 60).round(3), ""])
    table = tmp_path / "failures.csv"
    table.write_text("subject,kind,times\nsub-007,missed,3\nsub-100,false,1\n")
    assert run("plan", folder, tmp_path / "out", "--minutes", 90, "--failures", table) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "plan.csv").read_text().splitlines()))
    record = json.loads((tmp_path / "out" / "plan.json").read_text())
    sealed = json.loads((tmp_path / "out" / "planted.json").read_text())["planted"]
    assert [int(r["order"]) for r in rows] == list(range(1, len(rows) + 1))
    assert "source" not in rows[0]
    for row in rows:
        hidden = row["kind"] == "inspect"
        assert hidden == (row["p"] == row["gain"] == row["roi"] == row["cause"] == "")
    inspected = [r for r in rows if r["kind"] == "inspect"]
    assert len({(r["minutes"], r["may"], r["reason"], r["label"]) for r in inspected}) == 1
    sources = {i["subject"]: i["source"] for i in record["items"]}
    assert {s["subject"] for s in sealed} == {s for s, v in sources.items() if v == "planted"}
    assert 0.05 * len(inspected) <= len(sealed) <= 0.1 * len(inspected)
    assert {"error", "seed"} < set(sealed[0])
    spent = record["minutes"]
    assert spent["planned"] == pytest.approx(sum(spent["by_kind"].values()), abs=0.01)
    assert spent["planned"] <= 90
    assert record["round"] is None
    assert record["next"]["roi"] > 0
    told = record["expected"]["inspections"]
    assert told["interval"][0] <= told["changed"] <= told["interval"][1]
    assert record["assumptions"]["beliefs"]["reader_error"]["from"] == "assumed"
    assert record["left_out"]["sub-060"].startswith("no p_err")
    assert (tmp_path / "out" / "provenance.json").is_file()
    assert run("plan", folder, tmp_path / "again", "--minutes", 90, "--failures", table) == 0
    assert (tmp_path / "again/plan.csv").read_bytes() == (tmp_path / "out/plan.csv").read_bytes()
    assert run("plan", "outcome", tmp_path / "l.db", tmp_path / "out", tmp_path / "o") == 1
    assert "--ledger" in capsys.readouterr().err


def test_a_round_from_plan_to_outcome(tmp_path, ledger, capsys):
    path, n = tmp_path / "labels.db", 40
    labels = {f"sub-{i:03d}": add_label(ledger, f"sub-{i:03d}", i) for i in range(n)}
    ledger.append(Failed("sub-039", "missed", 4), "test")
    ledger.append(Failed("sub-038", "missed", 4, cause="model"), "test")
    folder = write_queue(tmp_path / "flags", np.linspace(0.8, 0.12, n).round(3))
    words = ("plan", folder, tmp_path / "plan", "--ledger", path, "--reader", "r1")
    assert run("plan", folder, tmp_path / "x", "--ledger", path, "--reader", "nobody") == 1
    assert run("plan", folder, tmp_path / "x", "--reader", "r1") == 1
    assert run(*words) == 0
    assert run(*words) == 0  # whole already: nothing more is written
    planned = ledger.state.planned
    assert list(planned) == [1]
    record = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert record["round"] == 1
    assert planned[1].minutes == pytest.approx(record["minutes"]["by_kind"])
    assert [i["subject"] for i in record["items"] if i["kind"] == "failure"] == ["sub-039"]
    told = record["expected"]["inspections"]
    assert planned[1].expected["inspect"] == pytest.approx(told["changed"], abs=1e-3)

    assert run("plan", "outcome", path, tmp_path / "plan", tmp_path / "none") == 1
    assert "no review of it" in capsys.readouterr().err
    changed = 0
    inspected = [i for i in record["items"] if i["kind"] == "inspect"]
    for number, item in enumerate(inspected):
        label, wrong = labels[item["subject"]], number % 2 == 0
        if item["source"] == "planted":
            label = add_label(ledger, item["subject"], 500, status="", origin="planted",
                              parent=label)  # fmt: skip
            wrong = True
        else:
            changed += wrong
        add_review(ledger, label, "reject" if wrong else "accept", 1, seconds=120,
                   source=item["source"], reason="wrong place" if wrong else "")  # fmt: skip
    add_review(ledger, labels["sub-039"], "unsure", 1, task="failure", seconds=300)
    assert run("plan", "outcome", path, tmp_path / "plan", tmp_path / "look", "--close",
               "false") == 0  # fmt: skip
    assert not ledger.state.closed
    assert run("plan", "outcome", path, tmp_path / "plan", tmp_path / "end") == 0
    found = json.loads((tmp_path / "end" / "outcome.json").read_text())
    n_planted = sum(i["source"] == "planted" for i in inspected)
    assert found["kinds"]["inspect"]["changed"] == changed == found["inspections"]["changed"]
    assert found["kinds"]["inspect"]["spent_minutes"] == pytest.approx(2 * len(inspected))
    assert found["kinds"]["failure"] == {
        "planned_items": 1, "reviewed": 1, "spent_minutes": 5.0, "changed": 0,
        "planned_minutes": pytest.approx(8 * math.exp(0.08), abs=0.01),
    }  # fmt: skip
    assert found["planted"]["found"] == found["planted"]["n"] == n_planted > 0
    assert found["inspections"]["expected_of_reviewed"] == told
    assert found["audit"]["n"] == sum(i["source"] == "audit" for i in inspected)
    assert found["minutes_law"]["from"]["inspect"] == "fitted"
    assert found["reviews_out_of_plan"] == 0
    closed = ledger.state.closed[1]
    assert closed.minutes == pytest.approx({"inspect": 2 * len(inspected), "failure": 5})
    assert closed.got["planted found"] == n_planted
    assert "Round 1" in (tmp_path / "end" / "outcome.md").read_text()
    # The next round's plan is shorter-minded: it reckons with two minutes, and masks rest.
    assert run("plan", folder, tmp_path / "plan-2", "--ledger", path) == 0
    after = json.loads((tmp_path / "plan-2" / "plan.json").read_text())
    assert after["round"] == 2
    assert after["assumptions"]["minutes_law"]["from"]["inspect"] == "fitted"
    assert any("rests until" in why for why in after["left_out"].values())
    assert {i["minutes_from"] for i in after["items"] if i["kind"] == "inspect"} == {"fitted"}


def test_a_run_that_stopped_after_the_ledger_was_written_opens_no_second_round(
    tmp_path, ledger, capsys
):
    add_label(ledger, "sub-000", 0)
    folder = write_queue(tmp_path / "flags", [0.5])
    words = ("plan", folder, tmp_path / "plan", "--ledger", tmp_path / "labels.db")
    assert run(*words) == 0
    (tmp_path / "plan").rename(tmp_path / "lost")
    assert run(*words) == 0
    assert list(ledger.state.planned) == [1]
    ledger.append(RoundPlanned(1, {}, {}, "by hand"), "test")
    words = (tmp_path / "labels.db", tmp_path / "plan", tmp_path / "end")
    assert run("plan", "outcome", *words) == 1
    assert "another plan's round 1" in capsys.readouterr().err
    assert json.loads((tmp_path / "plan" / "plan.json").read_text())["round"] == 1


# The benchmark's arithmetic


def test_simulated_readers_confirm_more_with_a_plan_than_at_random():
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        from figures import Figures
        from relabel_readers import measure_readers
    finally:
        sys.path.pop(0)
    rng = np.random.default_rng(2)
    p = rng.beta(0.5, 2.0, 150)
    queue = [(f"sub-{i}", float(v), 2.8) for i, v in enumerate(p)]
    wrong = {f"sub-{i}": bool(rng.random() < v) for i, v in enumerate(p)}
    figures = Figures("readers", quick=False)
    measure_readers(figures, queue, wrong, repeats=40)
    ratio = figures.figures["errors_per_minute_ratio"]
    assert ratio.met
    assert ratio.interval[0] <= ratio.value <= ratio.interval[1]
    said, got = (figures.figures[f"plan_{name}_errors"] for name in ("expected", "got"))
    assert said.interval[0] <= got.value <= said.interval[1]
    # A queue that knows nothing is no better than chance.
    blind = Figures("readers", quick=False)
    measure_readers(blind, [(s, 0.2, v) for s, _, v in queue], wrong, repeats=40)
    assert blind.figures["errors_per_minute_ratio"].value == pytest.approx(1, abs=0.25)


def test_beliefs_are_shares():
    assert Beliefs().reader_errs.mean == pytest.approx(0.1)
    assert Belief(0.1, 5, 10).mean == pytest.approx(6 / 20)
