"""fit and synthesize through the command line, on a drawn cohort made by hand."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.provenance import hash_path
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.synthesis.task import SynthesisTask

CONFIGS = Path(__file__).parents[2] / "configs"
IDS = [f"sub-{n:05d}" for n in range(1, 9)]
SPLITS = {i: Split.VAL if i in (IDS[3], IDS[7]) else Split.TRAIN for i in IDS}


def drawn_cohort(real, folder, host=IDS[4]):
    """One lesional and one healthy subject in a control: a box in cortex and white matter."""
    subjects = []
    source = real[host]
    tissue = read_labels(real.path(source, "tissue"))
    box = np.zeros(tissue.grid.shape, bool)
    box[15:19, 13:17, 12:16] = True
    shape = box & np.isin(tissue.array, [Tissue.CORTEX, Tissue.WHITE_MATTER])
    for group in (Group.PATIENT, Group.CONTROL):
        name = f"drawn-{group.value}"
        files = dict(real.moved(folder)[host].files)
        arrays = {"region": shape, "soft": shape.astype(np.float32) * 0.5}
        if group is Group.PATIENT:
            arrays["lesion"] = shape
        for key, array in arrays.items():
            write_volume(folder / name / f"{name}_{key}.nii.gz", Volume(array, tissue.grid))
            files[key] = f"{name}/{name}_{key}.nii.gz"
        spec = folder / name / f"{name}_spec.json"
        spec.write_text(json.dumps({"seed": 1}))
        files["spec"] = f"{name}/{spec.name}"
        parents = (Parent(host, Role.HOST),)
        subjects.append(Subject(name, group, Origin.SYNTHETIC, split=Split.TRAIN,
                                parents=parents, files=files))  # fmt: skip
    cohort = Cohort(folder, tuple(subjects), "drawn", fitted_on=("sub-00002",))
    cohort.write()
    return cohort


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A cohort, a fitted run, a drawn cohort and what synthesize made of them."""
    folder = tmp_path_factory.mktemp("chain")
    real = prepared_cohort(folder / "real", splits=SPLITS)
    words = ["fit", "-c", str(CONFIGS / "synthesis" / "smoke.yaml"), "--trainer.accelerator", "cpu",
             "--data.cohort", str(real.folder), "--out", str(folder / "run")]  # fmt: skip
    assert main([*words, "--trainer.enable_progress_bar", "false"]) == 0
    drawn = drawn_cohort(real, folder / "drawn")
    assert synthesize(folder, "made") == 0
    return folder, real, drawn, Cohort.read(folder / "made")


def synthesize(folder, out, *words, run="run", drawn="drawn"):
    return main(["synthesize", *(str(folder / name) for name in (run, drawn, out)), *words])


def test_what_is_written(world):
    folder, _, _, made = world
    assert [s.id for s in made.subjects] == ["drawn-patient", "drawn-control"]
    patient, control = made.subjects
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
    assert synthesize(folder, "again") == 0
    assert synthesize(folder, "other", "--seed", "1") == 0
    flair = "drawn-patient/drawn-patient_flair.nii.gz"
    first, again, other = (folder / name / flair for name in ("made", "again", "other"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()
    assert hash_path(folder / "made" / "realism.csv") == hash_path(folder / "again" / "realism.csv")


def test_styles_from_the_normal_law_have_no_style_parent(world):
    folder, _, _, _ = world
    assert synthesize(folder, "normal", "--styles", "normal") == 0
    made = Cohort.read(folder / "normal")
    assert [p.role for p in made["drawn-patient"].parents] == [Role.HOST]


def test_a_stopped_run_goes_on(world, monkeypatch):
    from fcdsynth.synthesis import synthesize as module

    folder, _, _, _ = world
    whole = module.redraw
    calls = []

    def stop_at_second(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(module, "redraw", stop_at_second)
    words = [str(folder / name) for name in ("run", "drawn", "stopped")]
    with pytest.raises(KeyboardInterrupt):
        module.synthesize(*words)
    assert not (folder / "stopped").exists()
    module.synthesize(*words)
    assert len(calls) == 3  # the first subject was not made twice
    for subject in Cohort.read(folder / "made").subjects:
        name = f"{subject.id}/{subject.id}_t1w.nii.gz"
        assert (folder / "stopped" / name).read_bytes() == (folder / "made" / name).read_bytes()


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


@pytest.mark.parametrize("name", ["insert", "demo", "smoke"])
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
