"""The phantom verb through its door: names, bytes, truth and bad settings."""

import csv
import hashlib
import json

import numpy as np
import pytest
from scipy import ndimage

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.measure.lobes import name_of
from fcdsynth.phantom import simulate
from fcdsynth.phantom.bids import participant_rows
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.phantom import phantom
from fcdsynth.phantom.roster import draw_roster

SPACING = 3.0
SETTINGS = {
    "patients": 2, "controls": 1, "spacing": SPACING, "difficulty": "easy", "error_share": 0.0,
    "world": 0, "report": False,
}  # fmt: skip


def bytes_of(folder):
    skip = {"provenance.json", "config.yaml"}
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in skip
    }


def paths(folder, subject):
    anat = folder / subject / "anat"
    truth = folder / "derivatives" / "truth" / subject
    return {
        "t1w": anat / f"{subject}_acq-iso08_T1w.nii.gz",
        "flair": anat / f"{subject}_acq-T2sel_FLAIR.nii.gz",
        "roi": anat / f"{subject}_acq-T2sel_FLAIR_roi.nii.gz",
        "mask": truth / "anat" / f"{subject}_space-T1w_label-lesion_mask.nii.gz",
        "dseg": truth / "anat" / f"{subject}_space-T1w_dseg.nii.gz",
        "record": truth / f"{subject}_truth.json",
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "bids"
    return phantom(str(out), **SETTINGS)


def test_names_and_tables_are_those_of_ds004199(made, shared_data):
    raw = (made / "participants.tsv").read_bytes()
    real = (shared_data / "ds004199" / "participants.tsv").read_bytes()
    assert raw.split(b"\r\n")[0] == real.split(b"\r\n")[0]
    assert raw[:3] == b"\xef\xbb\xbf"
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines(), delimiter="\t"))
    assert [r["participant_id"] for r in rows] == ["sub-00001", "sub-00002", "sub-00003"]
    assert [r["group"] for r in rows] == ["fcd", "hc", "fcd"]
    assert {r["split"] for r in rows} == {"n/a"}
    for subject, patient in (("sub-00001", True), ("sub-00002", False)):
        files = paths(made, subject)
        assert files["t1w"].is_file()
        assert files["flair"].with_name(f"{subject}_acq-T2sel_FLAIR.json").is_file()
        assert files["roi"].is_file() == patient
        assert files["mask"].is_file() == patient
    facts = json.loads(paths(made, "sub-00002")["t1w"].with_name(
        "sub-00002_acq-iso08_T1w.json").read_text())  # fmt: skip
    assert facts["InstitutionName"] == "Phantom site 1"
    assert not list(made.rglob(".scratch-*"))


def test_the_split_column_is_filled_where_asked_for(made, tmp_path):
    out = phantom(
        str(tmp_path / "b"), patients=4, controls=0, spacing=4.0, split=True, report=False
    )
    table = (out / "participants.tsv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    assert [row["split"] for row in rows] == ["train", "train", "test", "val"]


def test_images_are_whole_numbers_and_brains_are_brain_sized(made):
    for subject in ("sub-00001", "sub-00002", "sub-00003"):
        files = paths(made, subject)
        t1w, dseg = read_volume(files["t1w"]), read_labels(files["dseg"])
        assert np.array_equal(t1w.array, np.rint(t1w.array))
        assert t1w.grid.close_to(dseg.grid)
        brain_ml = (dseg.array > 0).sum() * t1w.grid.voxel_ml
        assert 1100 < brain_ml < 1800
        assert json.loads(files["record"].read_text())["jacobian_min"] > 0.05
        mean = [np.median(t1w.array[dseg.array == t])
                for t in (Tissue.CSF, Tissue.CORTEX, Tissue.WHITE_MATTER)]  # fmt: skip
        assert mean[0] < mean[1] < mean[2]


def test_contrast_order_turns_round_on_flair(made):
    files = paths(made, "sub-00002")
    flair, dseg = read_volume(files["flair"]), read_labels(files["dseg"])
    to_flair = np.linalg.inv(json.loads(files["record"].read_text())["flair_to_t1w"])
    moved = resample(flair, dseg.grid, 1, to_flair).array
    cortex, white, ventricle = (
        np.median(moved[dseg.array == t])
        for t in (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.VENTRICLE)
    )
    assert ventricle < white < cortex


def test_flair_lies_on_its_own_grid(made):
    files = paths(made, "sub-00001")
    t1w, flair = read_volume(files["t1w"]).grid, read_volume(files["flair"]).grid
    assert flair.spacing_mm == pytest.approx((1.1 * SPACING,) * 3, abs=1e-4)
    assert not np.allclose(t1w.matrix[:3, :3] / SPACING, flair.matrix[:3, :3] / 1.1 / SPACING)
    assert read_mask(files["roi"]).grid.close_to(flair)


@pytest.mark.parametrize("subject", ["sub-00001", "sub-00003"])
def test_lesion_is_cortical_one_sided_and_brighter_as_asked(made, subject):
    files = paths(made, subject)
    mask, dseg = read_mask(files["mask"]).array, read_labels(files["dseg"])
    flair = read_volume(files["flair"])
    record = json.loads(files["record"].read_text())
    wanted = record["spec"]["lesion"]
    assert record["lesions"][0]["volume_ml"] == pytest.approx(wanted["volume_ml"], rel=0.45)
    tissues = np.isin(dseg.array[mask], [Tissue.CORTEX, Tissue.WHITE_MATTER])
    assert tissues.mean() > 0.85
    assert (dseg.array[mask] == Tissue.CORTEX).mean() > 0.2
    # Independent of the painter: the finished FLAIR, lesion against healthy cortex around it.
    moved = resample(flair, dseg.grid, 1, np.linalg.inv(record["flair_to_t1w"])).array
    away = ndimage.distance_transform_edt(~mask) * SPACING
    z = 0.0
    for kind in (Tissue.CORTEX, Tissue.WHITE_MATTER):
        own = mask & (dseg.array == kind)
        ring = moved[(dseg.array == kind) & (away > 4) & (away < 16)]
        spread = 1.4826 * np.median(np.abs(ring - np.median(ring)))
        z += own.sum() * (moved[own].mean() - ring.mean()) / spread
    assert 1.0 < z / mask.sum() < wanted["contrast_sd"]
    assert record["measures"]["flair_change_sd"] == pytest.approx(wanted["contrast_sd"], abs=0.01)


@pytest.mark.parametrize("subject", ["sub-00001", "sub-00003"])
def test_the_annotator_is_near_the_truth_and_not_on_it(made, subject):
    files = paths(made, subject)
    mask, roi = read_mask(files["mask"]), read_mask(files["roi"])
    to_flair = np.linalg.inv(json.loads(files["record"].read_text())["flair_to_t1w"])
    drawn = resample_mask(roi, mask.grid, to_flair).array
    dice = 2 * (drawn & mask.array).sum() / (drawn.sum() + mask.array.sum())
    assert 0.35 < dice < 0.95


def test_a_larger_cohort_on_two_processes_begins_with_the_same_bytes(made, tmp_path):
    larger = phantom(str(tmp_path / "b"), **(SETTINGS | {"patients": 3, "workers": 2}))
    small, large = bytes_of(made), bytes_of(larger)
    own = [name for name in small if "sub-0" in name]
    assert len(own) == 2 * (5 + 5) + (4 + 4)  # images and truth of patients, of the control
    assert all(small[name] == large[name] for name in own)
    assert paths(larger, "sub-00005")["mask"].is_file()


def test_a_stopped_phantom_resumes_to_the_same_bytes(made, tmp_path, monkeypatch):
    from fcdsynth.phantom import phantom as verb

    calls = []

    def stop_at_third(spec, *rest):
        calls.append(spec.id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return simulate.simulate(spec, *rest)

    monkeypatch.setattr(verb, "simulate", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        phantom(str(tmp_path / "again"), **SETTINGS)
    assert not (tmp_path / "again").exists()
    done = phantom(str(tmp_path / "again"), **SETTINGS)
    assert len(calls) == 4  # two before the stop, the stopped one, and that one again
    assert bytes_of(done) == bytes_of(made)
    assert phantom(str(tmp_path / "again"), **SETTINGS) == done
    assert len(calls) == 4


def test_confounded_controls_share_one_scanner(tmp_path):
    out = phantom(str(tmp_path / "c"), 2, 2, spacing=4.0, confounded=True, report=False)

    def serial(subject):
        name = f"{subject}_acq-iso08_T1w.json"
        return json.loads((out / subject / "anat" / name).read_text())["DeviceSerialNumber"]

    assert serial("sub-00002") == serial("sub-00004") == serial("sub-00001")
    assert serial("sub-00003") != serial("sub-00001")


@pytest.mark.parametrize(
    ("bad", "key"),
    [
        ({"patients": 0, "controls": 0}, "patients"),
        ({"spacing": 0.1}, "spacing"),
        ({"sites": 0}, "sites"),
        ({"contrast_sd": (3.0, 1.0)}, "contrast_sd"),
        ({"error_share": 2.0}, "error_share"),
        ({"world": -1}, "world"),
        ({"sites": 1, "confounded": True}, "confounded"),
        ({"workers": 0}, "workers"),
        ({"seed": -1}, "seed"),
        ({"difficulty": "brutal"}, "difficulty"),
        ({"errors": "few"}, "mix"),
    ],
)
def test_bad_settings_name_their_key_and_leave_nothing(tmp_path, bad, key):
    with pytest.raises(SettingsError) as caught:
        phantom(str(tmp_path / "x"), **bad)
    assert caught.value.subject == key
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_of_anatomies_is_refused(tmp_path):
    (tmp_path / "maps").mkdir()
    with pytest.raises(SettingsError, match="anatomies"):
        phantom(str(tmp_path / "x"), anatomies=str(tmp_path / "maps"))
    assert not (tmp_path / "x").exists()


def test_a_map_without_a_brain_is_refused_by_name(tmp_path):
    (tmp_path / "maps").mkdir()
    empty = Volume(np.full((12, 12, 12), 24, np.int16), Grid.of((12,) * 3, np.eye(4)))
    write_volume(tmp_path / "maps" / "water.nii.gz", empty)
    with pytest.raises(CohortError, match="water"):
        phantom(str(tmp_path / "x"), 1, 0, anatomies=str(tmp_path / "maps"), spacing=4.0)
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "x" / "sub-00001").exists()


def test_an_occupied_folder_is_left_alone(made):
    before = bytes_of(made)
    with pytest.raises(RunError):
        phantom(str(made), patients=5, controls=1, spacing=SPACING)
    assert bytes_of(made) == before


def test_label_maps_of_real_heads(tmp_path, shared_data):
    source = shared_data / "anatomies" / "training_seg_01.nii.gz"
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "whole.nii.gz").symlink_to(source)
    out = phantom(str(tmp_path / "w"), 1, 0, anatomies=str(maps), spacing=SPACING, report=False)
    dseg = read_labels(paths(out, "sub-00001")["dseg"])
    assert 1000 < (dseg.array > 0).sum() * dseg.grid.voxel_ml < 1800
    # The same map without what lies outside the brain gets a skull and a scalp of our own.
    labels = read_labels(source)
    (maps / "whole.nii.gz").unlink()
    bare = np.where(labels.array >= 500, 0, labels.array).astype(np.int16)
    write_volume(maps / "whole.nii.gz", Volume(bare, labels.grid))
    grown = phantom(str(tmp_path / "g"), 1, 0, anatomies=str(maps), spacing=SPACING, report=False)
    t1w = read_volume(paths(grown, "sub-00001")["t1w"])
    brain = read_labels(paths(grown, "sub-00001")["dseg"]).array > 0
    away = ndimage.distance_transform_edt(~brain) * SPACING
    scalp = t1w.array[(away > 9) & (away < 13)]
    assert np.median(scalp) > 0.3 * np.median(t1w.array[brain])


def test_truth_tells_of_world_errors_lobes_and_mimics(made):
    truth = made / "derivatives" / "truth"
    laws = json.loads((truth / "world.json").read_text())
    assert (laws["world"]["seed"], laws["world"]["law"]) == (0, "field")
    assert len(laws["readers"]) == 2
    rows = list(csv.DictReader((truth / "truth.tsv").read_text().splitlines(), delimiter="\t"))
    main = [row for row in rows if row["lesion"] == "1"]
    assert [row["participant_id"] for row in main] == ["sub-00001", "sub-00003"]
    assert {row["error"] for row in rows} == {"none"}
    for row in main:
        files = paths(made, row["participant_id"])
        mask = read_mask(files["mask"])
        lobes = read_labels(files["mask"].with_name(
            f"{row['participant_id']}_space-T1w_desc-lobes_dseg.nii.gz"))  # fmt: skip
        labels = lobes.array[mask.array]
        lobe, side = name_of(int(np.bincount(labels[labels > 0]).argmax()))
        assert side == row["side"]
        assert lobe in row["lobes"].split(",")
    assert not [p for p in made.glob("sub-*/**/*") if "truth" in p.name]


def test_a_missed_patient_is_listed_as_a_control_and_all_errors_are_recorded():
    law = LesionLaw(error_share=1.0, mix="stress")
    roster = draw_roster(60, 0, 2, 0, ("icbm152",), law)
    missed = [s for s in roster.specs if s.annotator.error == "missed_whole"]
    assert 0 < len(missed) < 12
    rows = {row["participant_id"]: row for row in participant_rows(roster.specs, False)}
    for spec in roster.specs:
        row = rows[spec.id]
        assert (row["group"] == "hc") == (spec in missed)
        if spec in missed:
            assert row["lobe"] == row["mri_diagnosis"] == row["histopathology"] == "n/a"


def test_a_report_shows_how_hard_the_lesions_are(tmp_path):
    out = phantom(str(tmp_path / "r"), 1, 1, spacing=4.0, contrast_sd=(3.0, 3.0), error_share=0.0)
    truth = out / "derivatives" / "truth"
    record = json.loads((truth / "difficulty.json").read_text())
    assert set(record) == {"flair_threshold", "asymmetry"}
    assert record["asymmetry"]["n_patients"] == 1
    assert record["asymmetry"]["n_subjects"] == 2
    page = (truth / "report.html").read_text()
    assert page.count("data:image/png;base64") == 1
    assert "1 simulated patients, 1 simulated controls" in page
    assert not list(out.glob("sub-*/**/*.png"))
