"""The verb: a prepared cohort with hand-made out-of-fold maps, through the real command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flagged_cohort import make_cohort, make_maps, mask_of, rows_of, set_mask

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Origin
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.measure.lobes import label_of
from fcdsynth.relabel.causes import Cause
from fcdsynth.relabel.facts import read_facts
from fcdsynth.relabel.gate import GateSettings, check_masks


@pytest.fixture
def made(tmp_path):
    cohort = make_cohort(tmp_path / "cohort")
    make_maps(cohort, tmp_path / "maps")
    return cohort, tmp_path


def run(tmp_path, *words, out="out"):
    return cli.main(
        ["flag", str(tmp_path / "cohort"), str(tmp_path / "maps"), str(tmp_path / out), *words]
    )


def test_a_missed_and_a_mirrored_mask_lead_the_queue_without_any_truth_file(made, capsys):
    cohort, folder = made
    second = np.zeros(mask_of(cohort, 2).shape, bool)
    second[15:18, 16:19, 14:17] = True
    path = Detections.read(folder / "maps").probability_path("sub-00003")
    old = read_volume(path)
    write_volume(path, Volume(np.maximum(old.array, second * np.float32(0.8)), old.grid))
    set_mask(cohort, 1, mask_of(cohort, 1)[::-1])  # left lesion, mask on the right
    assert run(folder, "--pictures", "2") == 0
    out = folder / "out"
    assert capsys.readouterr().out.strip() == str(out)
    queue = rows_of(out / "queue.csv")
    assert [row["rank"] for row in queue] == [str(i) for i in range(1, 7)]
    first, second = queue[:2]
    assert (first["subject"], first["cause"]) == ("sub-00002", Cause.WRONG_SIDE.value)
    assert first["severity"] == "error"
    assert "mirrored place in the left hemisphere" in first["evidence"]
    assert (second["subject"], second["cause"]) == ("sub-00003", Cause.OVERLOOKED.value)
    assert second["component"] == "0"
    assert second["minutes"] == ""
    for row in queue[:2]:
        assert (out / row["picture"]).read_bytes().startswith(b"\x89PNG")
    assert all(row["picture"] == "" for row in queue[2:])
    summary = json.loads((out / "flag.json").read_text())
    assert (summary["n_patients"], summary["n_controls"], summary["n_scored"]) == (6, 2, 6)
    assert summary["threshold"] == 0.4
    assert not summary["small_cohort"]
    assert rows_of(out / "gate.csv")[0]["cause"] == Cause.WRONG_SIDE.value


def test_every_planted_fault_is_in_the_gate_and_ranks_first(made):
    cohort, folder = made
    set_mask(cohort, 0, np.zeros(mask_of(cohort, 0).shape, bool))  # empty
    set_mask(cohort, 1, mask_of(cohort, 1) * np.float32(2.5))  # not binary
    shifted = Grid.of((24, 24, 24), read_volume(cohort.path(cohort.subjects[2], "t1w")).grid.matrix
                      + np.eye(4, k=3) * 5)  # fmt: skip
    set_mask(cohort, 2, mask_of(cohort, 2), shifted)  # another grid
    outside = mask_of(cohort, 3).copy()
    outside[:3, :3, :3] = True
    set_mask(cohort, 3, outside)
    set_mask(cohort, 4, mask_of(cohort, 5))  # copied from sub-00006
    control = cohort.subjects[6]
    rows = [
        replace(s, files={**s.files, "lesion_t1w": cohort.subjects[5].files["lesion_t1w"]})
        if s is control
        else s
        for s in cohort.subjects
    ]
    replace(cohort, subjects=tuple(rows)).write()
    assert run(folder, "--pictures", "0") == 0
    found = {(row["subject"], row["cause"]) for row in rows_of(folder / "out" / "gate.csv")}
    assert {
        ("sub-00001", Cause.EMPTY.value),
        ("sub-00002", Cause.NOT_BINARY.value),
        ("sub-00003", Cause.OTHER_GRID.value),
        ("sub-00004", Cause.OUTSIDE_BRAIN.value),
        ("sub-00005", Cause.SAME_AS_OTHER.value),
        ("sub-00006", Cause.SAME_AS_OTHER.value),
        ("sub-00007", Cause.IN_CONTROL.value),
    } <= found
    assert not any(subject == "sub-00008" for subject, _ in found)
    queue = rows_of(folder / "out" / "queue.csv")
    assert {row["subject"] for row in queue} == {f"sub-0000{i}" for i in range(1, 8)}
    summary = json.loads((folder / "out" / "flag.json").read_text())
    assert "sub-00003" in summary["notes"][-1]  # on another grid: not scored


def test_a_mask_that_is_its_image_or_almost_anothers_is_told(made):
    cohort, _ = made
    set_mask(cohort, 0, read_volume(cohort.path(cohort.subjects[0], "t1w_native")).array)
    big = np.zeros((24, 24, 24), bool)
    big[14:19, 10:15, 10:15] = True
    set_mask(cohort, 2, big)
    nearly = big.copy()
    nearly[14, 10, 10:13] = False  # Dice 2 * 122 / 247 = 0.988
    set_mask(cohort, 3, nearly)
    masks = [read_facts(cohort, subject) for subject in cohort.subjects]
    found = {(f.subject, f.cause): f.evidence for f in check_masks(masks, GateSettings())}
    assert ("sub-00001", Cause.SAME_AS_IMAGE) in found
    assert "Dice overlap of 0.988" in found["sub-00003", Cause.LIKE_OTHER]
    assert ("sub-00004", Cause.LIKE_OTHER) in found
    strict = {(f.subject, f.cause) for f in check_masks(masks, GateSettings(twin_dice=0.99))}
    assert ("sub-00003", Cause.LIKE_OTHER) not in strict


def test_an_unusual_volume_needs_five_masks(made):
    cohort, _ = made
    tiny = np.zeros((24, 24, 24), bool)
    tiny[16, 13, 13] = True
    set_mask(cohort, 0, tiny)
    masks = [read_facts(cohort, subject) for subject in cohort.subjects]
    causes = {f.cause for f in check_masks(masks, GateSettings()) if f.subject == "sub-00001"}
    assert causes == {Cause.ODD_VOLUME, Cause.DEBRIS}
    few = [facts for facts in masks if facts.subject.id in ("sub-00001", "sub-00002", "sub-00003")]
    assert Cause.ODD_VOLUME not in {f.cause for f in check_masks(few, GateSettings())}


@pytest.mark.parametrize("known", [True, False])
def test_the_side_is_taken_from_mni_or_from_the_brains_own_midline(made, known):
    """World x alone would be wrong here: the head sits 80 mm to the right of the origin."""
    cohort, folder = made
    subject = cohort.subjects[0]
    for key in ("lesion_t1w", "brain"):
        volume = read_volume(cohort.path(subject, key))
        matrix = volume.grid.matrix.copy()
        matrix[0, 3] += 80
        write_volume(folder / f"{key}.nii.gz", Volume(volume.array > 0, Grid.of(
            volume.grid.shape, matrix)))  # fmt: skip
    to_mni = np.eye(4)
    to_mni[0, 3] = -80
    (folder / "t.json").write_text(json.dumps({"t1w_to_mni": to_mni.tolist() if known else None}))
    files = {"lesion_t1w": "../lesion_t1w.nii.gz", "brain": "../brain.nii.gz",
             "transforms": "../t.json"}  # fmt: skip
    for side, wrong in (("R", False), ("L", True), ("", False), ("bilateral", False)):
        facts = read_facts(cohort, replace(subject, side=side, files=files))
        assert facts.midplane.source == ("mni" if known else "fitted")
        causes = {f.cause for f in check_masks([facts], GateSettings())}
        assert (Cause.WRONG_SIDE in causes) == wrong


def test_maps_that_are_not_out_of_fold_are_refused_and_nothing_is_left(tmp_path, capsys):
    cohort = make_cohort(tmp_path / "cohort", 1, 0)
    make_maps(cohort, tmp_path / "maps", out_of_fold=False)
    assert run(tmp_path) == 1
    assert "out_of_fold" in capsys.readouterr().err
    (tmp_path / "maps" / "config.yaml").unlink()
    assert run(tmp_path) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cohort", "maps"]


def test_bad_inputs_are_refused_with_a_reason(made, capsys):
    cohort, folder = made
    for words, reason in (
        (["--convention", "mirror"], "radiological"),
        (["--threshold", "0"], "threshold"),
        (["--twin_dice", "2"], "twin_dice"),
        (["--rule", "sum"], "rule"),
    ):
        assert run(folder, *words) == 1
        assert reason in capsys.readouterr().err
    Detections.read(folder / "maps").probability_path("sub-00001").unlink()
    assert run(folder) == 1
    assert "sub-00001_probability" in capsys.readouterr().err
    rows = [replace(s, origin=Origin.SYNTHETIC) for s in cohort.subjects]
    replace(cohort, subjects=tuple(rows)).write()
    assert run(folder) == 1
    assert "no real or simulated patient" in capsys.readouterr().err
    assert not [path for path in folder.iterdir() if path.name.startswith("out")]


def test_a_small_cohort_is_called_small_and_the_same_call_gives_the_same_bytes(tmp_path):
    cohort = make_cohort(tmp_path / "cohort", 2, 1)
    make_maps(cohort, tmp_path / "maps")
    assert run(tmp_path, "--pictures", "1") == 0
    assert run(tmp_path, "--pictures", "1") == 0  # complete: nothing to do
    assert run(tmp_path, "--pictures", "1", out="again") == 0
    summary = json.loads((tmp_path / "out" / "flag.json").read_text())
    assert summary["small_cohort"]
    assert any("Only 2 masks" in note for note in summary["notes"])
    for name in ("queue.csv", "gate.csv", "flag.json", "pictures"):
        first, second = tmp_path / "out" / name, tmp_path / "again" / name
        files = sorted(first.iterdir()) if first.is_dir() else [first]
        others = sorted(second.iterdir()) if second.is_dir() else [second]
        assert [f.read_bytes() for f in files] == [f.read_bytes() for f in others]


def test_a_changed_mask_makes_another_run(made, capsys):
    cohort, folder = made
    assert run(folder, "--pictures", "0") == 0
    set_mask(cohort, 0, mask_of(cohort, 1))
    assert run(folder, "--pictures", "0") == 1
    assert "other inputs" in capsys.readouterr().err


def test_a_patient_without_mask_or_map_is_listed_and_not_scored(made):
    cohort, folder = made
    rows = list(cohort.subjects)
    rows[0] = replace(rows[0], files={k: v for k, v in rows[0].files.items() if k != "lesion_t1w"})
    replace(cohort, subjects=tuple(rows)).write()
    maps = Detections.read(folder / "maps")
    replace(maps, subjects=maps.subjects[2:]).write_tables()
    assert run(folder, "--pictures", "0") == 0
    queue = {row["subject"]: row for row in rows_of(folder / "out" / "queue.csv")}
    assert queue["sub-00001"]["cause"] == Cause.EMPTY.value
    assert (queue["sub-00002"]["cause"], queue["sub-00002"]["score"]) == ("", "")
    assert Cohort.read(folder / "cohort")["sub-00002"].has("lesion_t1w")


def test_from_twelve_masks_on_the_queue_is_learned_from_planted_errors(tmp_path, capsys):
    cohort = make_cohort(tmp_path / "cohort", patients=13, controls=1)
    make_maps(cohort, tmp_path / "maps")
    wrong = cohort.subjects[2].id
    set_mask(cohort, 2, mask_of(cohort, 2)[::-1].astype(np.uint8))
    before = {path: path.read_bytes() for path in (tmp_path / "cohort").rglob("*.nii.gz")}
    words = ("--trees", "40", "--pictures", "0", "--mix", "stress")
    assert run(tmp_path, *words) == 0
    queue = rows_of(tmp_path / "out" / "queue.csv")
    summary = json.loads((tmp_path / "out" / "flag.json").read_text())
    assert summary["rule"] == "learned"
    assert summary["n_planted"] > 13 * 5
    assert any("20% of all masks are wrong (assumed)" in note for note in summary["notes"])
    patients = [row for row in queue if row["p_err"]]
    assert len(patients) == 13
    assert wrong in [row["subject"] for row in queue[:3]]
    told = next(row for row in queue if row["subject"] == wrong)
    assert "with planted errors" in told["evidence"]
    assert 0 <= float(told["p_err"]) <= 1
    # Nothing planted is ever written.
    after = {path: path.read_bytes() for path in (tmp_path / "cohort").rglob("*.nii.gz")}
    assert after == before
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
    assert run(tmp_path, *words, "--workers", "2", out="again") == 0
    assert rows_of(tmp_path / "again" / "queue.csv") == queue
    assert run(tmp_path, "--rule", "deviation", "--pictures", "0", out="third") == 0
    assert not any(row["p_err"] for row in rows_of(tmp_path / "third" / "queue.csv"))
    capsys.readouterr()
    assert run(tmp_path, "--rule", "guess", out="fourth") == 1
    assert "auto, deviation, percentile, learned" in capsys.readouterr().err


def test_a_component_outside_the_lobe_that_the_table_names_is_told(made):
    """Frontal in front of y = 12, parietal behind it: half a component is enough, none is not."""
    cohort, folder = made
    subject = cohort.subjects[0]
    grid = read_volume(cohort.path(subject, "lesion_t1w")).grid
    lobes = np.full(grid.shape, label_of("PL", "L"), np.int16)
    lobes[:, 12:] = label_of("FL", "L")
    write_volume(folder / "lobes.nii.gz", Volume(lobes, grid))
    mask = np.zeros(grid.shape, bool)
    mask[10:13, 14:17, 10:13] = True  # frontal
    mask[10:13, 10:14, 16:19] = True  # half and half
    mask[10:13, 4:7, 4:7] = True  # parietal, 27 voxels
    mask[20, 20, 20] = True  # a speck
    write_volume(folder / "mask.nii.gz", Volume(mask, grid))
    files = {**subject.files, "lesion_t1w": "../mask.nii.gz", "lobes": "../lobes.nii.gz"}

    def causes(**told):
        facts = read_facts(cohort, replace(subject, files=files, **told))
        return facts, [f for f in check_masks([facts], GateSettings())
                       if f.cause is Cause.WRONG_LOBE]  # fmt: skip

    facts, found = causes(lobe="FL", side="L")
    assert sorted(facts.in_named_lobe) == pytest.approx([0, 0.5, 1, 1])
    assert len(found) == 1
    assert "0% of a component" in found[0].evidence
    assert "L FL" in found[0].evidence
    assert not causes(lobe="FL,PL", side="L")[1]
    assert not causes(lobe="FL,PL", side="")[1]
    assert len(causes(lobe="FL", side="R")[1]) == 1  # the map is of the left side
    silent, found = causes(lobe="", side="L")
    assert (silent.in_named_lobe, found) == ((), [])
