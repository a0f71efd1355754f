"""prepare through its front door: tiny heads in three orientations, moved FLAIR, bad inputs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid, tiny_head
from scipy.spatial.transform import Rotation

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample_mask
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.prepare import person
from fcdsynth.prepare.prepare import prepare
from fcdsynth.prepare.template import Placement

MAPS = {"lobes", "ribbon", "t1w_mirror", "flair_mirror", "t1w_z", "flair_z"}
CENTRE_MM = (34.0, 20.0, 12.0)


def world_matrix(angles_deg, shift_mm):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


MOVED = world_matrix([6, -5, 8], [5, -7, 4])  # T1w world to FLAIR world


def raw_subject(folder, number, orientation, patient, roi_on="flair", flair=True):
    """A T1w in one orientation, a FLAIR whose header is displaced by MOVED, and a given brain."""
    name = f"sub-{number:05d}"
    t1w_grid, flair_grid = tiny_grid(orientation), tiny_grid("oblique")
    centre = CENTRE_MM if patient else None
    here, there = (tiny_head(g, number, centre) for g in (t1w_grid, flair_grid))
    displaced = Grid.of(flair_grid.shape, MOVED @ flair_grid.matrix)
    volumes = {
        "t1w": Volume(here["t1w"] * 800, t1w_grid),
        "brain": Volume(here["brain"], t1w_grid),
    }
    if flair:
        volumes["flair"] = Volume(there["flair"] * 300, displaced)
    if patient:
        on_flair = roi_on == "flair"
        volumes["lesion"] = Volume(
            there["lesion"] if on_flair else here["lesion"], displaced if on_flair else t1w_grid
        )
    files = {}
    for key, volume in volumes.items():
        files[key] = f"raw/{name}_{key}.nii.gz"
        write_volume(folder / files[key], volume)
    group = Group.PATIENT if patient else Group.CONTROL
    return Subject(name, group, Origin.PHANTOM, files=files), here["lesion"]


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """Three patients (RAS, LAS, oblique; the last one's mask on T1w) and a control, prepared."""
    folder = tmp_path_factory.mktemp("cohort")
    made = [raw_subject(folder, n + 1, o, True, "t1w" if n == 2 else "flair")
            for n, o in enumerate(ORIENTATIONS)]  # fmt: skip
    made.append(raw_subject(folder, 4, "RAS", False, flair=False))
    truths = {}
    subjects = []
    for subject, lesion in made:
        truths[subject.id] = lesion
        subjects.append(subject)
    Cohort(folder, tuple(subjects)).write()
    out = prepare(str(folder), str(folder / "prepared"), spacing=5.0)
    return Cohort.read(out), truths


def test_the_cohort_is_clean_and_complete(done):
    cohort, _ = done
    assert cohort.check(one_grid=("t1w", "flair", "lesion", "brain", "tissue", "depth")) == []
    for subject in cohort.subjects:
        wanted = {"t1w", "brain", "tissue", "depth", "transforms", "t1w_native"}
        if subject.is_patient:
            wanted |= {"flair", "flair_native", "lesion", "lesion_t1w"}
        assert wanted <= set(subject.files)
        assert set(subject.files) - wanted <= MAPS
        assert subject.has("flair") == subject.is_patient
    files = {p.name for p in cohort.folder.iterdir()}
    assert {"cohort.csv", "cohort.json", "config.yaml", "provenance.json"} <= files


def test_grids_are_upright_multiples_of_eight_around_the_brain(done):
    cohort, _ = done
    for subject in cohort.subjects:
        brain = read_mask(cohort.path(subject, "brain"))
        matrix = brain.grid.matrix[:3, :3]
        np.testing.assert_allclose(matrix, np.eye(3) * 5.0, atol=1e-6)
        assert all(n % 8 == 0 for n in brain.grid.shape)
        index = np.argwhere(brain.array)
        assert index.min() >= 1
        assert (index.max(axis=0) < np.array(brain.grid.shape) - 1).all()
        native = read_mask(cohort.folder.parent / f"raw/{subject.id}_brain.nii.gz")
        ml = [m.array.sum() * m.grid.voxel_ml for m in (brain, native)]
        assert ml[0] == pytest.approx(ml[1], rel=0.05)


def test_intensities_keep_their_contract(done):
    cohort, _ = done
    for subject in cohort.subjects:
        brain = read_mask(cohort.path(subject, "brain")).array
        for key in ("t1w", "flair"):
            if not subject.has(key):
                continue
            values = read_volume(cohort.path(subject, key)).array
            assert (values[~brain] == 0).all()
            assert values[brain].min() >= 0.0099
            assert values.max() <= 1
            assert np.median(values[brain]) == pytest.approx(0.5, abs=1e-3)


def test_flair_lies_on_t1w(done):
    cohort, _ = done
    for subject in cohort.subjects[:3]:
        record = json.loads(cohort.path(subject, "transforms").read_text())
        found = np.array(record["flair_to_t1w"])
        corners = np.array(np.meshgrid(*[(-45, 45)] * 3)).reshape(3, -1).T
        gap = corners @ (found @ MOVED - np.eye(4))[:3, :3].T + (found @ MOVED)[:3, 3]
        assert np.linalg.norm(gap, axis=1).max() < 4.5  # three quarters of a raw voxel


def test_the_lesion_is_carried_to_both_grids(done):
    cohort, truths = done
    for subject in cohort.subjects[:3]:
        native = read_mask(cohort.path(subject, "lesion_t1w"))
        t1w = read_volume(cohort.path(subject, "t1w_native"))
        assert native.grid.close_to(t1w.grid)
        truth = truths[subject.id]
        dice = 2 * (native.array & truth).sum() / (native.array.sum() + truth.sum())
        assert dice > (0.99 if subject.id == "sub-00003" else 0.7)
        prepared = read_mask(cohort.path(subject, "lesion"))
        back = resample_mask(prepared, t1w.grid).array
        assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.55
        flair = read_volume(cohort.path(subject, "flair")).array
        tissue = read_labels(cohort.path(subject, "tissue")).array
        assert flair[prepared.array].mean() > flair[(tissue > 1) & ~prepared.array].mean() + 0.1


def test_sides_are_not_swapped(done):
    cohort, _ = done
    for subject in cohort.subjects[:3]:
        lesion = read_mask(cohort.path(subject, "lesion"))
        x, y, z = lesion.grid.to_mm(np.argwhere(lesion.array)).mean(axis=0)
        assert (x, y, z) == pytest.approx(CENTRE_MM, abs=6)


def test_a_tiny_head_has_no_trusted_way_into_mni_or_a_sane_one(done):
    cohort, _ = done
    for subject in cohort.subjects:
        way = json.loads(cohort.path(subject, "transforms").read_text())["t1w_to_mni"]
        if way is not None:
            assert 0.5 < np.linalg.det(np.array(way)[:3, :3]) < 6


def small_cohort(folder, **change):
    subject, _ = raw_subject(folder, 1, "RAS", True)
    subject = replace(subject, files={**subject.files, **change})
    subject = replace(subject, files={k: v for k, v in subject.files.items() if v})
    Cohort(folder, (subject,)).write()
    return folder


@pytest.fixture
def no_template(monkeypatch):
    """Tiny heads are no human brains: save the seconds of placing them in MNI space."""
    monkeypatch.setattr(person, "place", lambda *_: Placement(np.eye(4), False, 0.0))


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch, no_template):
    subjects = [raw_subject(tmp_path, n, "RAS", False, flair=n == 2)[0] for n in (1, 2)]
    Cohort(tmp_path, tuple(subjects)).write()
    once = prepare(str(tmp_path), str(tmp_path / "once"), spacing=6.0)
    prepared = []
    original = person._prepare

    def stop_at_the_second(job, folder):
        prepared.append(job.subject)
        if len(prepared) == 2:
            raise KeyboardInterrupt
        return original(job, folder)

    monkeypatch.setattr(person, "_prepare", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        prepare(str(tmp_path), str(tmp_path / "twice"), spacing=6.0)
    assert not (tmp_path / "twice").exists()
    twice = prepare(str(tmp_path), str(tmp_path / "twice"), spacing=6.0)
    assert prepared == ["sub-00001", "sub-00002", "sub-00002"]
    for path in sorted(once.rglob("sub-*/*")):
        assert path.read_bytes() == (twice / path.relative_to(once)).read_bytes(), path.name
    assert (once / "cohort.csv").read_bytes() == (twice / "cohort.csv").read_bytes()


def test_foreground_needs_no_network_and_no_given_mask(tmp_path, no_template):
    folder = small_cohort(tmp_path, brain="", flair="", lesion="")
    out = prepare(str(folder), str(tmp_path / "out"), spacing=6.0, brain_mask="foreground")
    cohort = Cohort.read(out)
    brain = read_mask(cohort.path(cohort.subjects[0], "brain"))
    truth = tiny_head(tiny_grid(), 1)["brain"].sum() * tiny_grid().voxel_ml
    assert brain.array.sum() * brain.grid.voxel_ml == pytest.approx(truth, rel=0.05)


def refused(folder, tmp_path, match, **settings):
    with pytest.raises(CohortError, match=match):
        prepare(str(folder), str(tmp_path / "out"), spacing=6.0, **settings)
    assert not (tmp_path / "out").exists()


def test_a_mask_must_be_given_when_asked_for(tmp_path):
    refused(small_cohort(tmp_path, brain=""), tmp_path, "sub-00001.*no brain mask",
            brain_mask="given")  # fmt: skip


def test_broken_voxels_name_the_subject(tmp_path):
    folder = small_cohort(tmp_path)
    path = Path(folder / "raw/sub-00001_t1w.nii.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    refused(folder, tmp_path, "sub-00001")


def test_a_brain_mask_on_another_grid_names_the_subject(tmp_path):
    folder = small_cohort(tmp_path)
    small = tiny_grid(size=20)
    write_volume(folder / "raw/sub-00001_brain.nii.gz", Volume(np.ones(small.shape, bool), small))
    refused(folder, tmp_path, "sub-00001.*brain")


def test_an_absent_file_is_found_before_any_compute(tmp_path, monkeypatch):
    folder = small_cohort(tmp_path)
    (folder / "raw/sub-00001_flair.nii.gz").unlink()
    monkeypatch.setattr(person, "_prepare", lambda *_: pytest.fail("computed"))
    refused(folder, tmp_path, "sub-00001.*flair.*no such file")


def test_a_prepared_cohort_is_not_prepared_again(done, tmp_path):
    cohort, _ = done
    refused(cohort.folder, tmp_path, "prepared already")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"spacing": 0.0}, "spacing"),
        ({"workers": -1}, "workers"),
        ({"brain_mask": "x"}, "brain_mask"),
    ],
)
def test_settings_are_checked(tmp_path, settings, key):
    with pytest.raises(SettingsError, match=key):
        prepare(str(small_cohort(tmp_path)), str(tmp_path / "out"), **settings)


def test_the_command_line_says_what_went_wrong(tmp_path, capsys):
    assert main(["prepare", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert "Run fcdsynth index" in capsys.readouterr().err
