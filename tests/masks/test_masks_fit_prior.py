"""The verb fit-prior: its files, what it refuses, and that nothing half-written is left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.cli import main
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.masks import fit_prior as module
from fcdsynth.masks.fit_prior import fit_prior
from fcdsynth.masks.laws.prior import LesionPrior

sys.path.insert(0, str(Path(__file__).parent))
from phantom import prepared_cohort

FILES = ["prior.html", "prior.json", "prior_provenance.json", "prior_site.nii.gz"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    splits = dict.fromkeys((f"sub-{number:05d}" for number in range(1, 7)), Split.TRAIN)
    splits |= {"sub-00003": Split.TEST, "sub-00004": Split.VAL}
    return prepared_cohort(tmp_path_factory.mktemp("c"), patients=5, controls=1, splits=splits)


@pytest.fixture
def quick(monkeypatch):
    """Leave out the growths, which take most of the time."""
    measure = module.measure_patients
    monkeypatch.setattr(
        module, "measure_patients", lambda *a, growth_trials: measure(*a, growth_trials=0)
    )


def test_files_of_training_patients_only(tmp_path, cohort, quick):
    path = tmp_path / "new" / "prior.json"
    assert fit_prior(str(cohort.folder), str(path), lobe_weight=0.5) == path
    assert sorted(p.name for p in path.parent.iterdir()) == FILES
    prior = LesionPrior.read(path)
    assert prior.fitted_on == ("sub-00001", "sub-00002", "sub-00005")
    assert (prior.site.lobe_weight, prior.site.density is None) == (0.5, False)
    page = (path.parent / "prior.html").read_text()
    assert "3 lesions of 3 training patients" in page
    assert prior.digest in page
    record = json.loads((path.parent / "prior_provenance.json").read_text())
    read = [Path(name).name for name in record["inputs"]]
    assert "sub-00001_lesion.nii.gz" in read
    assert not any("sub-00003" in name or "sub-00004" in name for name in read)


def test_the_same_fit_gives_the_same_bytes_on_any_number_of_processes(tmp_path, cohort):
    one, two = tmp_path / "one" / "prior.json", tmp_path / "two" / "prior.json"
    fit_prior(str(cohort.folder), str(one), lobe_weight=0.5)
    fit_prior(str(cohort.folder), str(two), lobe_weight=0.5, workers=2)
    assert LesionPrior.read(one).growths.examples
    for name in ("prior.json", "prior_site.nii.gz", "prior.html"):
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes()


def test_growths_are_tried_as_often_as_asked(tmp_path, cohort):
    words = ["draw", "fit-prior", str(cohort.folder)]
    for trials, name in ((4, "four.json"), (0, "none.json")):
        path = tmp_path / name
        assert main([*words, str(path), "--growth_trials", str(trials)]) == 0
        law = LesionPrior.read(path).growths
        assert bool(law.examples) == (trials > 0)
    with pytest.raises(RunError, match="other inputs, settings"):
        fit_prior(str(cohort.folder), str(tmp_path / "none.json"), growth_trials=2)


def test_a_finished_fit_is_kept_and_another_one_refused(tmp_path, cohort, quick, monkeypatch):
    path = tmp_path / "prior.json"
    fit_prior(str(cohort.folder), str(path), lobe_weight=0.5)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "measure_patients", lambda *_, **__: pytest.fail("measured again"))
        assert fit_prior(str(cohort.folder), str(path), lobe_weight=0.5) == path
        with pytest.raises(RunError, match="other inputs, settings"):
            fit_prior(str(cohort.folder), str(path), lobe_weight=0.6)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    (tmp_path / "prior_site.nii.gz").unlink()
    with pytest.raises(SettingsError, match="no site map"):
        fit_prior(str(cohort.folder), str(path), lobe_weight=0.5)


def test_a_foreign_file_is_left_alone(tmp_path, cohort, quick):
    (tmp_path / "prior_site.nii.gz").write_text("mine")
    with pytest.raises(RunError, match="prior_site"):
        fit_prior(str(cohort.folder), str(tmp_path / "prior.json"))
    assert [p.name for p in tmp_path.iterdir()] == ["prior_site.nii.gz"]


@pytest.mark.parametrize("stop_at", [1, 4])
def test_a_fit_that_stops_while_files_appear_leaves_no_prior_and_can_be_repeated(
    tmp_path, cohort, quick, monkeypatch, stop_at
):
    path = tmp_path / "prior.json"
    replace, moved = module.os.replace, []

    def stop(source, target):
        if Path(target).parent == tmp_path:
            moved.append(target)
            if len(moved) == stop_at:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            fit_prior(str(cohort.folder), str(path), lobe_weight=0.5)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == stop_at - 1  # no scratch folder either
    fit_prior(str(cohort.folder), str(path), lobe_weight=0.5)
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES


def test_nobody_to_learn_from(tmp_path):
    table = prepared_cohort(tmp_path / "c", patients=1, controls=1,
                            splits={"sub-00001": Split.TEST, "sub-00002": Split.TRAIN})  # fmt: skip
    with pytest.raises(CohortError, match="published"):
        fit_prior(str(table.folder), str(tmp_path / "prior.json"))
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_an_unusable_mask_leaves_nothing(tmp_path):
    table = prepared_cohort(tmp_path / "c", patients=2, controls=0)
    path = table.path(table.subjects[1], "lesion")
    write_volume(path, Volume(np.zeros((24, 24, 24), dtype=bool), read_mask(path).grid))
    with pytest.raises(CohortError, match="sub-00002"):
        fit_prior(str(table.folder), str(tmp_path / "prior.json"))
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(("settings", "name"), [
    ({"mirror": 2.0}, "mirror"), ({"fwhm_mm": 500.0, "lobe_weight": 0.5}, "fwhm_mm"),
    ({"lobe_weight": -1.0}, "lobe_weight"), ({"growth_trials": -3}, "growth_trials"),
    ({"growth_trials": 1}, "growth_trials"),
])  # fmt: skip
def test_settings_out_of_range_leave_nothing(tmp_path, cohort, quick, settings, name):
    with pytest.raises(SettingsError, match=name):
        fit_prior(str(cohort.folder), str(tmp_path / "prior.json"), **settings)
    assert list(tmp_path.iterdir()) == []


def test_the_name_must_end_in_json(tmp_path, cohort):
    with pytest.raises(SettingsError, match=r"ends in \.json"):
        fit_prior(str(cohort.folder), str(tmp_path / "prior"))
