"""The verbs: a cohort recorded, reviewed, adopted, exported, through the real command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Origin, Parent, Role, Split
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.ledger.records import LabelMade, LabelStatus, ReaderJoined, Reviewed, label_id
from fcdsynth.ledger.store import Ledger
from fcdsynth.study.training_set import relabelled


@pytest.fixture
def recorded(tmp_path):
    """Four patients and a control; the fourth tests and has histology; one synthetic subject."""
    cohort = prepared_cohort(tmp_path / "cohort", patients=4, controls=1)
    rows = []
    for number, s in enumerate(cohort.subjects):
        files = dict(s.files)
        if s.is_patient:
            mask = read_mask(cohort.path(s, "lesion"))
            array = np.roll(mask.array, number, axis=1)
            files["lesion_t1w"] = files["lesion"] = f"{s.id}/{s.id}_mask.nii.gz"
            write_volume(cohort.folder / files["lesion"], Volume(array, mask.grid))
        split = Split.TEST if number == 3 else Split.TRAIN
        rows.append(replace(s, files=files, split=split, subtype="IIb" if number == 3 else "",
                            origin=Origin.REAL))  # fmt: skip
    made = replace(rows[0], id="sub-syn1", origin=Origin.SYNTHETIC, subtype="",
                   parents=(Parent(rows[1].id, Role.MASK),))  # fmt: skip
    cohort = replace(cohort, subjects=(*rows, made))
    cohort.write()
    assert run("ledger", "record", cohort.folder, tmp_path / "labels.db") == 0
    return cohort, tmp_path


def run(*words):
    return cli.main([str(word) for word in words])


def review(ledger, number, subject, after, rank=2, reason="", new_label="", **told):
    label = ledger.state.active[subject]
    ledger.append(
        Reviewed(f"v{number}", label, told.pop("reader", "r1"), told.pop("task", "inspect"), after,
                 after, rank, reason=reason, new_label=new_label, seconds_active=90,
                 **{"signed": True, **told}),
        "test",
    )  # fmt: skip


def test_what_is_recorded_is_what_the_cohort_has_and_only_once(recorded, capsys):
    cohort, folder = recorded
    with Ledger.open(folder / "labels.db") as ledger:
        state = ledger.state
        assert set(state.subjects) == {s.id for s in cohort.subjects}
        assert set(state.active) == {s.id for s in cohort.subjects[:4]}
        for s in cohort.subjects[:4]:
            made = state.labels[state.active[s.id]]
            mask = read_mask(cohort.path(s, "lesion_t1w"))
            assert np.array_equal(ledger.mask(made.mask).array, mask.array)
            assert made.evidence_rank == (4 if s.subtype else 2)
            assert made.volume_ml == pytest.approx(mask.array.sum() * mask.grid.voxel_ml)
        assert state.subjects["sub-syn1"].parents == (cohort.subjects[1].id,)
        head = ledger.head
    capsys.readouterr()
    assert run("ledger", "record", cohort.folder, folder / "labels.db") == 0
    assert f"0 events added, head {head}" in capsys.readouterr().out
    assert run("ledger", "record", cohort.folder, folder / "l.db", "--evidence_rank", 5) == 1
    assert "0 to 4" in capsys.readouterr().err


def test_signed_decisions_make_the_next_version_and_nothing_else_changes(recorded, capsys):
    cohort, folder = recorded
    first, second, third, fourth = (s.id for s in cohort.subjects[:4])
    old = {s.id: read_mask(cohort.path(s, "lesion_t1w")) for s in cohort.subjects[:4]}
    drawn = np.roll(old[first].array, 1, axis=0)
    with Ledger.open(folder / "labels.db") as ledger:
        ledger.append(ReaderJoined("r1", "neuroradiologist"), "test")
        mask = Volume(drawn, old[first].grid)
        digest = ledger.store_mask(mask)
        new = label_id(first, digest)
        parent = ledger.state.active[first]
        ledger.append(LabelMade(new, first, digest, "human", 2, parent=parent), "test")
        review(ledger, 1, first, "edit", new_label=new)
        review(ledger, 2, second, "reject", reason="not a lesion")
        review(ledger, 3, third, "reject", signed=False)
        review(ledger, 4, fourth, "reject", rank=1)  # an MRI read against histology
    before = {p: p.read_bytes() for p in cohort.folder.rglob("*") if p.is_file()}
    assert run("adopt", cohort.folder, folder / "labels.db", folder / "next") == 0
    assert {p: p.read_bytes() for p in cohort.folder.rglob("*") if p.is_file()} == before
    adopted = Cohort.read(folder / "next")
    assert adopted.version == cohort.version + 1
    rows = {s.id: s for s in adopted.subjects}
    assert np.array_equal(read_mask(adopted.path(rows[first], "lesion")).array, drawn)
    assert not rows[second].has("lesion")
    assert rows[second].split is Split.NONE
    assert np.array_equal(read_mask(adopted.path(rows[third], "lesion")).array, old[third].array)
    assert np.array_equal(read_mask(adopted.path(rows[fourth], "lesion")).array, old[fourth].array)
    assert rows[fourth].split is Split.TEST  # disputed, and still what is tested on
    told = json.loads((folder / "next" / "adopt.json").read_text())
    assert told["decisions"] == {"kept": 0, "edited": 1, "withdrawn": 1, "disputed": 1}
    assert told["in_test"]["disputed"] == 1
    assert set(told["excluded"]) == {second, fourth}
    with Ledger.open(folder / "labels.db") as ledger:
        assert ledger.state.active[first] == new
        assert second not in ledger.state.active
        head = ledger.head
    assert run("adopt", cohort.folder, folder / "labels.db", folder / "next") == 0
    with Ledger.open(folder / "labels.db") as ledger:
        assert ledger.head == head  # the same call twice writes once
    capsys.readouterr()
    assert run("ledger", "verify", folder / "labels.db") == 0
    assert run("ledger", "log", folder / "labels.db", "--subject", second) == 0
    log = capsys.readouterr().out
    assert "read by r1: reject, not a lesion" in log
    assert "withdrawn" in log

    # The next version's masks train in a study's arm; who was put aside does not.
    arm = {s.id: s for s in relabelled(cohort, adopted, "after").subjects}
    assert arm[second].split is Split.NONE
    assert arm[first].split is Split.TRAIN
    assert np.array_equal(
        read_mask(relabelled(cohort, adopted, "after").path(arm[first], "lesion")).array, drawn
    )
    assert arm[fourth].files["lesion"] == cohort.subjects[3].files["lesion"]


def test_the_export_is_all_events_and_a_bids_derivative(recorded):
    cohort, folder = recorded
    first = cohort.subjects[0].id
    with Ledger.open(folder / "labels.db") as ledger:
        events = list(ledger.events())
        planted = Volume(~ledger.mask(ledger.state.labels[ledger.state.active[first]].mask).array,
                         read_mask(cohort.path(cohort.subjects[0], "lesion_t1w")).grid)  # fmt: skip
        digest = ledger.store_mask(planted)
        ledger.append(LabelMade(label_id(first, digest), first, digest, "planted", 0), "test")
    assert run("ledger", "export", folder / "labels.db", folder / "out") == 0
    lines = [json.loads(x) for x in (folder / "out" / "events.jsonl").read_text().splitlines()]
    assert [line["hash"] for line in lines][:-1] == [e.hash for e in events]
    assert [line["seq"] for line in lines] == list(range(1, len(events) + 2))
    assert json.loads((folder / "out" / "head.json").read_text())["hash"] == lines[-1]["hash"]
    described = json.loads((folder / "out" / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    found = sorted(p.name for p in (folder / "out" / first / "anat").iterdir())
    stem = f"{first}_space-orig_label-lesion_desc-v01_mask"
    assert found == [f"{stem}.json", f"{stem}.nii.gz"]  # the planted one never leaves
    mask = read_mask(folder / "out" / first / "anat" / f"{stem}.nii.gz")
    own = read_mask(cohort.path(cohort.subjects[0], "lesion_t1w"))
    assert np.array_equal(mask.array, own.array)
    side = json.loads((folder / "out" / first / "anat" / f"{stem}.json").read_text())
    assert (side["Origin"], side["EvidenceRank"], side["Status"]) == ("human", 2, "active")


def test_a_cohort_that_is_not_in_the_ledger_is_not_adopted(recorded, tmp_path_factory, capsys):
    _, folder = recorded
    other = prepared_cohort(tmp_path_factory.mktemp("other") / "cohort", patients=1, controls=0)
    rows = [replace(s, id="sub-new", files={**s.files, "lesion_t1w": s.files["lesion"]})
            for s in other.subjects]  # fmt: skip
    replace(other, subjects=tuple(rows)).write()
    assert run("adopt", other.folder, folder / "labels.db", folder / "next") == 1
    assert "ledger record" in capsys.readouterr().err
    assert not (folder / "next").exists()


def test_three_readers_are_joined_and_readers_who_differ_about_presence_are_not(recorded):
    cohort, folder = recorded
    first, second, third = (s.id for s in cohort.subjects[:3])
    masks = {s.id: read_mask(cohort.path(s, "lesion_t1w")) for s in cohort.subjects[:3]}
    moved = {n: Volume(np.roll(masks[first].array, 1, axis=n), masks[first].grid) for n in (1, 2)}
    with Ledger.open(folder / "labels.db") as ledger:
        for reader in ("r1", "r2", "r3"):
            ledger.append(ReaderJoined(reader, "neuroradiologist"), "test")
        names = {}
        for n, mask in moved.items():
            digest = ledger.store_mask(mask)
            names[n] = label_id(first, digest)
            ledger.append(LabelMade(names[n], first, digest, "human", 2), "test")
        review(ledger, 1, first, "accept", reader="r1")
        review(ledger, 2, first, "edit", reader="r2", new_label=names[1])
        review(ledger, 3, first, "edit", reader="r3", new_label=names[2])
        review(ledger, 4, second, "accept", reader="r1")
        review(ledger, 5, second, "reject", reader="r2", reason="not a lesion")
        review(ledger, 6, third, "accept", reader="r1")
        review(ledger, 7, third, "reject", reader="r2", reason="not a lesion")
        review(ledger, 8, third, "reject", reader="r3", task="disagreement", reason="not a lesion")
    assert run("adopt", cohort.folder, folder / "labels.db", folder / "next") == 0
    rows = {s.id: s for s in Cohort.read(folder / "next").subjects}
    votes = sum(m.array.astype(int) for m in (masks[first], *moved.values()))
    joint = read_mask(folder / "next" / rows[first].files["lesion_t1w"])
    # Of equally good readers the joint outline is the majority's.
    assert np.array_equal(joint.array, votes >= 2)
    assert rows[second].split is Split.NONE
    assert rows[second].has("lesion")  # disputed: put aside, not deleted
    assert not rows[third].has("lesion")
    with Ledger.open(folder / "labels.db") as ledger:
        state = ledger.state
        made = state.labels[state.active[first]]
        assert (made.origin, made.evidence_rank) == ("consensus", 2)
        told = {state.labels[d.label].subject: d for d in state.disagreements}
        assert set(told) == {first, second, third}
        a, b, c = (m.array for m in (masks[first], *moved.values()))
        pairs = [2 * (x & y).sum() / (x.sum() + y.sum()) for x, y in ((a, b), (a, c), (b, c))]
        assert told[first].dice == pytest.approx(np.mean(pairs))
        assert told[first].presence_agreed
        assert told[first].resolution == "edited"
        assert (told[second].presence_agreed, told[second].dice) == (False, 0.0)
        assert told[second].resolution == ""  # it stays open
        assert (told[third].resolver, told[third].resolution) == ("r3", "withdrawn")
    assert run("ledger", "verify", folder / "labels.db") == 0


def test_a_disputed_mask_waits_for_a_decision_and_comes_back_with_its_split(recorded):
    cohort, folder = recorded
    first, second = (s.id for s in cohort.subjects[:2])
    with Ledger.open(folder / "labels.db") as ledger:
        for reader in ("r1", "r2", "r3"):
            ledger.append(ReaderJoined(reader, "neuroradiologist"), "test")
        for number, subject in enumerate((first, second)):
            review(ledger, 2 * number, subject, "accept", reader="r1")
            review(ledger, 2 * number + 1, subject, "reject", reader="r2", reason="not a lesion")
    assert run("adopt", cohort.folder, folder / "labels.db", folder / "two") == 0
    with Ledger.open(folder / "labels.db") as ledger:
        assert not {first, second} & set(ledger.state.active)
        disputed = ledger.state.versions[first][0]
        events = ledger.head.seq
    # Nobody has decided: the next version says the same, and nothing is written down twice.
    assert run("adopt", folder / "two", folder / "labels.db", folder / "three") == 0
    three = Cohort.read(folder / "three")
    assert three[first].split is Split.NONE
    with Ledger.open(folder / "labels.db") as ledger:
        assert ledger.head.seq == events + 1  # the release
        told = Reviewed("v9", disputed, "r3", "disagreement", "accept", "accept", 2, signed=True)
        ledger.append(told, "test")
    assert run("adopt", folder / "three", folder / "labels.db", folder / "four") == 0
    four = Cohort.read(folder / "four")
    assert (four[first].split, four[second].split) == (Split.TRAIN, Split.NONE)
    assert np.array_equal(read_mask(four.path(four[first], "lesion")).array,
                          read_mask(cohort.path(cohort[first], "lesion")).array)  # fmt: skip
    with Ledger.open(folder / "labels.db") as ledger:
        assert ledger.state.active[first] == disputed


def test_a_mask_drawn_for_a_patient_without_one_is_adopted(recorded):
    cohort, folder = recorded
    bare = cohort.subjects[0]
    files = {k: v for k, v in bare.files.items() if k not in ("lesion", "lesion_t1w")}
    other = replace(cohort, subjects=(replace(bare, id="sub-new", files=files, lobe="", side=""),
                                      *cohort.subjects))  # fmt: skip
    other.write(folder / "more")
    assert run("ledger", "record", folder / "more", folder / "labels.db") == 0
    drawn = Volume(np.roll(read_mask(cohort.path(bare, "lesion_t1w")).array, 2, axis=2),
                   read_mask(cohort.path(bare, "lesion_t1w")).grid)  # fmt: skip
    with Ledger.open(folder / "labels.db") as ledger:
        digest = ledger.store_mask(drawn)
        label = label_id("sub-new", digest)
        ledger.append(LabelMade(label, "sub-new", digest, "human", 2), "test")
        ledger.append(LabelStatus(label, "active", "drawn"), "test")
    assert run("adopt", folder / "more", folder / "labels.db", folder / "next") == 0
    after = Cohort.read(folder / "next")
    for key in ("lesion", "lesion_t1w"):
        assert np.array_equal(read_mask(after.path(after["sub-new"], key)).array, drawn.array)
    assert after["sub-new"].split is Split.TRAIN
