"""fit and synthesize through the command line, on a drawn cohort made by hand."""

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_heads import Blind, Honest, checks_of_whole_mask, drawn_cohort, files, with_generator
from phantom import prepared_cohort
from torch.nn import functional as F

from fcdsynth import __version__
from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.provenance import hash_path
from fcdsynth.core.subject import Origin, Role, Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.synthesis import attempt as attempt_module
from fcdsynth.synthesis.conditions import LESION
from fcdsynth.synthesis.honesty import Checks, Fault, Judge
from fcdsynth.synthesis.synthesize import synthesize as verb
from fcdsynth.synthesis.task import SynthesisTask

CONFIGS = Path(__file__).parents[2] / "configs"
IDS = [f"sub-{n:05d}" for n in range(1, 9)]
# Three steps of training teach no lesion: without these words every patient would be refused.
TAKE_ALL = ("--checks.refuse", "false")
PATIENT, CONTROL = "sub-drawnpatient", "sub-drawncontrol"
SPLITS = {i: Split.VAL if i in (IDS[3], IDS[7]) else Split.TRAIN for i in IDS}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cohort, a fitted run, a drawn cohort and what synthesize made of them."""
    folder = tmp_path_factory.mktemp("chain")
    real = prepared_cohort(folder / "real", splits=SPLITS)
    words = ["fit", "-c", str(CONFIGS / "synthesis" / "smoke.yaml"), "--trainer.accelerator", "cpu",
             "--data.cohort", str(real.folder), "--out", str(folder / "run")]  # fmt: skip
    assert main([*words, "--trainer.enable_progress_bar", "false"]) == 0
    drawn = drawn_cohort(real, folder / "drawn")
    assert synthesize(folder, "made", *TAKE_ALL) == 0
    return folder, real, drawn, Cohort.read(folder / "made")


def synthesize(folder, out, *words, run="run", drawn="drawn"):
    return main(["synthesize", *(str(folder / name) for name in (run, drawn, out)), *words])


def test_what_is_written(world):
    folder, _, _, made = world
    assert [s.id for s in made.subjects] == ["drawn-control", "drawn-patient"]
    control, patient = made.subjects
    assert {s.origin for s in made.subjects} == {Origin.SYNTHETIC}
    assert {s.split for s in made.subjects} == {Split.TRAIN}
    assert not any(s.has("t1w_native") or s.has("truth") for s in made.subjects)
    assert not control.has("lesion")
    assert not made.check(("t1w", "flair", "brain", "tissue", "region", "lesion", "soft"))
    roles = {p.role: p.subject for p in patient.parents}
    assert roles[Role.HOST] == IDS[4]
    assert roles[Role.STYLE] in IDS[:3]
    assert [p.role for p in control.parents] == [Role.HOST]
    assert set(made.fitted_on) == {i for i in IDS if SPLITS[i] is Split.TRAIN}
    record = json.loads((folder / "run" / "styles.json").read_text())
    assert [r["subject"] for r in record["lesions"]] == IDS[:3]
    spec = json.loads(made.path(patient, "spec").read_text())
    assert spec["draw"] == {"seed": 1}
    assert len(spec["synthesis"]["code"]) == 2
    assert any(spec["synthesis"]["code"])
    spec = json.loads(made.path(control, "spec").read_text())
    assert spec["synthesis"]["code"] == [0, 0]


def test_everything_outside_the_region_is_the_hosts(world):
    _, real, _, made = world
    for subject in made.subjects:
        region = read_mask(made.path(subject, "region")).array
        brain = read_mask(made.path(subject, "brain")).array
        assert region.any()
        assert not (region & ~brain).any()
        for key in ("t1w", "flair"):
            host = read_volume(real.path(real[IDS[4]], key)).array
            new = read_volume(made.path(subject, key)).array
            assert np.array_equal(new[~region], host[~region])
            assert (new[region] != host[region]).mean() > 0.9
            assert new[region].min() >= 0.01 - 1e-6
            assert new.max() <= 1


def test_the_region_is_the_drawn_shape_and_a_rim(world):
    _, _, drawn, made = world
    shape = read_mask(drawn.path(drawn["drawn-control"], "region")).array
    region = read_mask(made.path(made["drawn-control"], "region")).array
    assert (region | ~shape).all()
    assert region.sum() > shape.sum()
    # margin_mm 8 at 6 mm voxels: one voxel along an axis (6 mm), no diagonal (8.5 mm).
    reach = shape.copy()
    for axis in range(3):
        for step in (-1, 1):
            reach |= np.roll(shape, step, axis)
    brain = read_mask(made.path(made["drawn-control"], "brain")).array
    assert np.array_equal(region, reach & brain)


def test_a_lesion_gets_cortex_as_thick_as_its_style_givers(world, monkeypatch):
    folder, _, drawn, _ = world
    wanted = []

    def thicker(tissue, lesion, border, spacing_mm):
        wanted.append(border)
        made = tissue.copy()
        made[lesion & (tissue == Tissue.WHITE_MATTER)] = Tissue.CORTEX
        return made

    monkeypatch.setattr(attempt_module, "thickened", thicker)
    shutil.copytree(folder / "run", folder / "thick-run")
    styles = folder / "thick-run" / "styles.json"
    record = json.loads(styles.read_text())
    for row in record["lesions"]:
        row["border"] = 1.25
    styles.write_text(json.dumps(record))
    assert synthesize(folder, "thick", *TAKE_ALL, run="thick-run") == 0
    made = Cohort.read(folder / "thick")
    patient, control = made["drawn-patient"], made["drawn-control"]
    assert wanted == [1.25]
    labels = read_labels(made.path(patient, "tissue")).array
    host = read_labels(drawn.path(drawn["drawn-patient"], "tissue")).array
    lesion = read_mask(made.path(patient, "drawn")).array
    white = lesion & (host == Tissue.WHITE_MATTER)
    assert white.any()
    assert np.array_equal(labels != host, white)
    assert (labels[white] == Tissue.CORTEX).all()
    spec = json.loads(made.path(patient, "spec").read_text())
    assert spec["synthesis"]["border"] == 1.25
    assert json.loads(made.path(control, "spec").read_text())["synthesis"]["border"] is None
    # A control keeps the host's labels.
    assert made.path(control, "tissue").samefile(drawn.path(drawn["drawn-control"], "tissue"))


def test_realism_numbers_are_those_of_the_files(world):
    folder, real, _, made = world
    with (folder / "made" / "realism.csv").open() as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {s.id for s in made.subjects}
    subject = made["drawn-control"]
    row = rows[subject.id]
    region = read_mask(made.path(subject, "region")).array
    host = read_volume(real.path(real[IDS[4]], "flair")).array
    new = read_volume(made.path(subject, "flair")).array
    change = np.abs(new - host)[region].mean()
    assert float(row["flair_change_inside"]) == pytest.approx(change, abs=1e-4)
    assert all(float(r["t1w_change_outside"]) == 0 for r in rows.values())
    assert row["flair_contrast"] == ""
    assert np.isfinite(float(rows["drawn-patient"]["flair_contrast"]))


def test_two_runs_give_the_same_bytes_and_another_seed_other_bytes(world):
    folder, _, _, _ = world
    assert synthesize(folder, "again", *TAKE_ALL) == 0
    assert synthesize(folder, "other", *TAKE_ALL, "--seed", "1") == 0
    flair = f"{PATIENT}/anat/{PATIENT}_desc-synthetic_FLAIR.nii.gz"
    first, again, other = (folder / name / flair for name in ("made", "again", "other"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert hash_path(folder / "made" / "realism.csv") == hash_path(folder / "again" / "realism.csv")


def test_styles_from_the_normal_law_have_no_style_parent(world):
    folder, _, _, _ = world
    assert synthesize(folder, "normal", *TAKE_ALL, "--styles", "normal") == 0
    made = Cohort.read(folder / "normal")
    assert [p.role for p in made["drawn-patient"].parents] == [Role.HOST]
    assert sidecar(folder / "normal", PATIENT, "T1w")["StyleSource"] == (
        "normal law of the training lesions"
    )


def test_a_stopped_run_goes_on(world, monkeypatch):
    folder, _, _, _ = world
    whole = attempt_module.draw
    calls = []

    def stop_at_second(generator, scene, spec, lesional=True):
        calls.append(spec.subject)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(generator, scene, spec, lesional)

    monkeypatch.setattr(attempt_module, "draw", stop_at_second)
    words = [str(folder / name) for name in ("run", "drawn", "stopped")]
    with pytest.raises(KeyboardInterrupt):
        verb(*words, checks=Checks(refuse=False))
    assert not (folder / "stopped").exists()
    verb(*words, checks=Checks(refuse=False))
    # The control was not made twice; the patient is drawn with and without its lesion label.
    assert calls == ["drawn-control", *["drawn-patient"] * 3]
    assert files(folder / "stopped") == files(folder / "made")


def test_workers_and_the_order_of_rows_change_no_byte(world):
    folder, _, drawn, _ = world
    assert synthesize(folder, "two", *TAKE_ALL, "--workers", "2") == 0
    backwards = replace(drawn, subjects=drawn.subjects[::-1])
    path = folder / "drawn" / "backwards.csv"
    shutil.copy(backwards.write(folder / "elsewhere"), path)
    path.write_text(path.read_text().replace("../drawn/", ""))
    assert synthesize(folder, "back", *TAKE_ALL, drawn="drawn/backwards.csv") == 0
    assert files(folder / "two") == files(folder / "back") == files(folder / "made")


def test_it_is_a_bids_derivative_that_says_where_it_comes_from(world):
    folder, _, _, made = world
    described = json.loads((folder / "made" / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Version"] == __version__
    for subject, name in zip(made.subjects, (CONTROL, PATIENT), strict=True):
        for image, key in (("T1w", "t1w"), ("FLAIR", "flair")):
            path = made.path(subject, key)
            assert path.name == f"{name}_desc-synthetic_{image}.nii.gz"
            record = sidecar(folder / "made", name, image)
            assert record["Sources"] == [IDS[4]]
            people = [(p["Subject"], p["Role"]) for p in record["Parents"]]
            assert people == [(p.subject, p.role.value) for p in subject.parents]
            assert record["MaskSpec"] == {"seed": 1}
            digest = hashlib.sha256((folder / "run" / "last.ckpt").read_bytes()).hexdigest()
            assert record["CheckpointSHA256"] == digest
            provenance = json.loads((folder / "run" / "provenance.json").read_text())
            assert record["GeneratorRunKey"] == provenance["key"]
            assert record["Seed"] == 0
            assert record["SoftwareVersion"] == __version__
        images = sorted(p.name[:-7] for p in (folder / "made" / name).rglob("*.nii.gz"))
        texts = sorted(p.name[:-5] for p in (folder / "made" / name / "anat").glob("*.json"))
        assert images == texts
    style = next(p.subject for p in made["drawn-patient"].parents if p.role is Role.STYLE)
    assert sidecar(folder / "made", PATIENT, "T1w")["StyleSource"] == style
    assert sidecar(folder / "made", CONTROL, "T1w")["StyleSource"] == "none"


def sidecar(folder, name, image):
    return json.loads((folder / name / "anat" / f"{name}_desc-synthetic_{image}.json").read_text())


def test_a_generator_that_ignores_the_label_is_refused(world, monkeypatch, capsys):
    folder, _, _, _ = world
    with_generator(monkeypatch, Blind)
    words = ("--checks.tries", "2")
    assert synthesize(folder, "blind", *words) == 1
    message = capsys.readouterr().err
    for part in ("patients of the run", "1 of 1 refused at every draw", "changed 2",
                 "0.00 of the mask changed", "train it longer"):  # fmt: skip
        assert part in message
    assert not (folder / "blind").exists()
    told = json.loads((folder / "blind.partial" / "refusals.json").read_text())
    tests = [[f["test"] for f in draw] for draw in told["by_subject"]["drawn-patient"]["refused"]]
    assert [t[0] for t in tests] == ["changed", "changed"]
    assert "drawn-patient was left out after 2 draws" in " ".join(told["notices"])


def test_an_honest_generator_is_taken_and_its_mask_kept_whole(world, monkeypatch):
    folder, _, drawn, _ = world
    with_generator(monkeypatch, Honest)
    assert synthesize(folder, "honest") == 0
    made = Cohort.read(folder / "honest")
    told = json.loads((folder / "honest" / "refusals.json").read_text())
    assert (told["subjects"], told["made"], told["left_out"]) == (2, 2, [])
    checks = checks_of_whole_mask(made, drawn)
    limits = told["limits"]["lesions"]
    for key, truth in (("t1w", -0.06), ("flair", 0.25)):  # of the tiny heads' lesions
        assert limits[key]["low"] < truth < limits[key]["high"]
        assert limits[key]["low"] <= checks["contrast"][key] <= limits[key]["high"]


def test_the_mask_is_cut_down_to_what_changed(world, monkeypatch):
    folder, _, drawn, _ = world
    whole = read_mask(drawn.path(drawn["drawn-patient"], "lesion")).array
    region = read_mask(drawn.path(drawn["drawn-patient"], "region")).array
    assert np.array_equal(whole, region)
    # The label acts in half of the crop alone; where the crop lies is known from the first run.
    made = json.loads((folder / "made" / PATIENT / f"{PATIENT}_spec.json").read_text())
    first = made["synthesis"]["corner"][0]
    with_generator(monkeypatch, Honest, part=slice(0, 18 - first))
    assert synthesize(folder, "half") == 0
    half = Cohort.read(folder / "half")
    subject = half["drawn-patient"]
    mask = read_mask(half.path(subject, "lesion")).array
    expected = whole.copy()
    expected[18:] = False
    assert 0.5 <= expected.sum() / whole.sum() < 1
    assert np.array_equal(mask, expected)
    soft = read_volume(half.path(subject, "soft")).array
    assert np.array_equal(soft > 0, expected)
    drawn_mask = (
        folder / "half" / PATIENT / "anat" / f"{PATIENT}_label-lesion_desc-drawn_mask.nii.gz"
    )
    assert np.array_equal(read_mask(drawn_mask).array, whole)
    checks = json.loads(half.path(subject, "spec").read_text())["checks"]
    assert checks["trimmed_share"] == pytest.approx(1 - expected.sum() / whole.sum(), abs=1e-4)


def test_a_control_with_a_lesions_contrast_is_refused(world, monkeypatch, capsys):
    class Lesional(Honest):
        def forward(self, context, labels, code, noise, style_code=None):
            image, _ = super().forward(context, labels, code, noise)
            # Bright in the drawn shape: what is not within a voxel of the region's border.
            shape = -F.max_pool3d(-labels[:, 9:10], 3, stride=1, padding=1)
            shape = shape * (1 - labels[:, LESION].amax())
            image = image + 0.6 * shape * torch.tensor([0.0, 1.0])[:, None, None, None]
            return image, image

    folder, _, _, _ = world
    with_generator(monkeypatch, Lesional)
    assert synthesize(folder, "bright", "--checks.tries", "1") == 1
    message = capsys.readouterr().err
    assert "controls of the run" in message
    assert "healthy_flair 1" in message


def test_a_subject_that_fails_is_drawn_again_and_left_out_with_a_notice(world, monkeypatch):
    folder, real, _, _ = world
    cohort = drawn_cohort(real, folder / "three")
    patient = cohort["drawn-patient"]
    more = [replace(patient, id=f"drawn-patient{n}") for n in (2, 3)]
    replace(cohort, subjects=(*cohort.subjects, *more)).write()
    seen = []

    def lesion(self, shown):
        seen.append(shown)
        # Subjects come in the order of their ids: the first passes at its second draw, the
        # second never.
        return [Fault("contrast_flair", "too dark", "more")] if len(seen) in (1, 3, 4) else []

    monkeypatch.setattr(Judge, "lesion", lesion)
    with_generator(monkeypatch, Honest)
    assert synthesize(folder, "some", "--checks.tries", "2", drawn="three") == 0
    made = Cohort.read(folder / "some")
    assert [s.id for s in made.subjects] == ["drawn-control", "drawn-patient", "drawn-patient3"]
    assert not (folder / "some" / "sub-drawnpatient2").exists()
    told = json.loads((folder / "some" / "refusals.json").read_text())
    assert told["left_out"] == ["drawn-patient2"]
    assert told["by_test"] == {"contrast_flair": 3}
    assert told["draws_refused"] == 3
    assert told["by_subject"]["drawn-patient"]["tries"] == 2
    assert told["by_subject"]["drawn-patient"]["made"]
    assert len(seen) == 5
    with (folder / "some" / "realism.csv").open() as stream:
        tries = {row["id"]: row["tries"] for row in csv.DictReader(stream)}
    assert tries == {"drawn-control": "1", "drawn-patient": "2", "drawn-patient3": "1"}


def test_a_resumed_fit_equals_an_unbroken_one(world, monkeypatch):
    folder, real, _, _ = world
    words = ["fit", "-c", str(CONFIGS / "synthesis" / "smoke.yaml"), "--trainer.accelerator", "cpu",
             "--data.cohort", str(real.folder), "--trainer.enable_progress_bar", "false",
             "--checkpoint_every", "1"]  # fmt: skip
    step = SynthesisTask.training_step

    def stop(task, batch):
        if int(task.steps) == 2:
            raise KeyboardInterrupt
        step(task, batch)

    with monkeypatch.context() as patched:
        patched.setattr(SynthesisTask, "training_step", stop)
        assert main([*words, "--out", str(folder / "broken")]) != 0
    assert (folder / "broken.partial" / "last.ckpt").is_file()
    assert not (folder / "broken").exists()
    assert main([*words, "--out", str(folder / "broken")]) == 0
    whole, resumed = (
        torch.load(folder / name / "last.ckpt", weights_only=True) for name in ("run", "broken")
    )
    assert int(resumed["state_dict"]["steps"]) == resumed["global_step"] == 3
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key
    assert len(resumed["optimizer_states"]) == 2


def refused(folder, capsys, *parts, **where):
    assert synthesize(folder, "refused", **where) == 1
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message
    assert not (folder / "refused").exists()
    shutil.rmtree(folder / "refused.partial", ignore_errors=True)


def test_a_validation_host_is_a_leak(world, capsys):
    folder, real, _, _ = world
    drawn_cohort(real, folder / "leak", host=IDS[7])
    refused(folder, capsys, "drawn-patient", IDS[7], "validation subject", drawn="leak")


def test_bad_inputs_are_named(world, capsys):
    folder, _, drawn, _ = world
    refused(folder, capsys, "nowhere", "no ", run="nowhere")
    refused(folder, capsys, "nowhere", "cohort.csv", drawn="nowhere")
    refused(folder, capsys, "sub-00001", "0 host parents", drawn="real")
    shutil.copytree(folder / "run", folder / "detector")
    (folder / "detector" / "styles.json").unlink()
    refused(folder, capsys, "styles.json", "run of a generator", run="detector")
    shutil.copytree(folder / "run", folder / "coarse")
    path = folder / "coarse" / "styles.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spacing_mm": [1.0] * 3}))
    refused(folder, capsys, "spacing", "(1.0, 1.0, 1.0) mm", run="coarse")
    path.write_text(json.dumps(json.loads((folder / "run" / "styles.json").read_text())
                               | {"lesions": []}))  # fmt: skip
    refused(folder, capsys, "styles", "saw no lesion", run="coarse")
    bare = replace(drawn, subjects=tuple(
        replace(s, files={k: v for k, v in s.files.items() if k != "region"})
        for s in drawn.subjects
    ))  # fmt: skip
    bare.write(folder / "bare")
    refused(folder, capsys, "drawn-patient", "no region file", drawn="bare")


def test_an_empty_region_is_named(world, capsys):
    folder, real, _, _ = world
    cohort = drawn_cohort(real, folder / "empty")
    path = cohort.path(cohort["drawn-control"], "region")
    volume = read_mask(path)
    write_volume(path, Volume(np.zeros_like(volume.array), volume.grid))
    refused(folder, capsys, "drawn-control", "no brain in the region", drawn="empty")


@pytest.mark.parametrize("name", ["insert", "full", "demo", "smoke", "phantom-2mm"])
def test_shipped_configs_build_and_stay_short(name, tmp_path, capsys):
    path = CONFIGS / "synthesis" / f"{name}.yaml"
    assert len(path.read_text().splitlines()) <= 40
    code = main(["fit", "-c", str(path), "--trainer.accelerator", "cpu",
                 "--data.cohort", str(tmp_path), "--out", str(tmp_path / "run")])  # fmt: skip
    assert code == 1
    assert "no cohort.csv there" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_settings_that_do_not_go_together(world, tmp_path, capsys):
    _, real, _, _ = world
    for words, part in (
        (["--model.flair", "false"], "model.flair"),
        (["--model.discriminator_layers", "3"], "data.crop"),
    ):
        code = main(["fit", "-c", str(CONFIGS / "synthesis" / "smoke.yaml"),
                     "--trainer.accelerator", "cpu", "--data.cohort", str(real.folder),
                     "--out", str(tmp_path / "run"), *words])  # fmt: skip
        assert code == 1
        assert part in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
