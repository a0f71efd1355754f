"""What draw refuses, passes over and writes: contradictions, unusable files, targets, tracks."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import prepared_cohort
from scipy import ndimage

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, write_volume
from fcdsynth.masks.draw import draw, execute
from fcdsynth.masks.laws import lesions
from fcdsynth.masks.laws.fit import fit_prior
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import read_specs
from fcdsynth.masks.training import training_patients


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return prepared_cohort(tmp_path_factory.mktemp("draw") / "cohort").folder


def target_file(tmp_path, *targets):
    path = tmp_path / "target.json"
    path.write_text(json.dumps({"targets": list(targets)}))
    return str(path)


def specs_in(out):
    return [read_specs(p)[0] for p in sorted(Path(out).glob("syn-*/*_spec.json"))]


def empty_lesion(table, name):
    path = table.path(table[name], "lesion")
    write_volume(path, Volume(np.zeros((24, 24, 24), dtype=bool), read_mask(path).grid))


def test_contradictions_are_told_before_anything_is_read(tmp_path, capsys):
    nowhere, out = str(tmp_path / "none"), tmp_path / "o"
    cases = {
        "fwhm_mm": ["--prior", "published", "--fwhm_mm", "12"],
        "lobe_weight": ["--prior", "mine.json", "--lobe_weight", "0"],
        "growth_trials": ["--prior", "published", "--growth_trials", "0"],
        "growth_trials: found -1": ["--growth_trials", "-1"],
        "growth_trials: found 1;": ["--growth_trials", "1"],
        "target: found t.json with method ellipsoid": ["--target", "t.json", "--method",
                                                       "ellipsoid"],
        "per_subject: found 0": ["--per_subject", "0"],
    }  # fmt: skip
    for expected, words in cases.items():
        assert main(["draw", nowhere, str(out), *words]) == 1, expected
        assert f"fcdsynth draw: {expected}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_each_patient_is_read_once(cohort, tmp_path, monkeypatch):
    read, load = [], lesions.load_host
    monkeypatch.setattr(
        lesions, "load_host", lambda table, subject, **more: read.append(subject.id)
        or load(table, subject, **more),
    )  # fmt: skip
    out = draw(str(cohort), str(tmp_path / "o"), lesions=1, controls=0, growth_trials=2,
               method="transplant", lobe_weight=0.4)  # fmt: skip
    assert read == [f"sub-{i:05d}" for i in range(1, 5)]
    table = Cohort.read(cohort)
    fitted = fit_prior(table, training_patients(table), lobe_weight=0.4, growth_trials=2)
    assert LesionPrior.read(out / "prior.json").digest == fitted.digest


@pytest.mark.parametrize("absent", [False, True])
def test_an_unusable_patient_is_passed_over_where_nothing_is_fitted(tmp_path, caplog, absent):
    table = prepared_cohort(tmp_path / "c", patients=3, controls=1)
    empty_lesion(table, "sub-00002")
    if absent:
        table.path(table["sub-00002"], "lesion").unlink()
    words = ["draw", str(tmp_path / "c"), str(tmp_path / "o"), "--prior", "published",
             "--method", "transplant", "--lesions", "6", "--controls", "0"]  # fmt: skip
    assert main(words) == 0
    assert {s.donor for s in specs_in(tmp_path / "o")} <= {"sub-00001", "sub-00003"}
    (notice,) = json.loads((tmp_path / "o" / "summary.json").read_text())["notices"]
    assert notice.startswith("sub-00002 is left out: ")
    assert notice in caplog.text
    with pytest.raises((CohortError, RunError), match="sub-00002"):
        draw(str(tmp_path / "c"), str(tmp_path / "x"), lesions=1, growth_trials=0)
    assert not (tmp_path / "x").exists()


def test_no_host_of_the_site(cohort, tmp_path, capsys):
    target = target_file(tmp_path, {"site": "site-2"})
    words = ["draw", str(cohort), str(tmp_path / "o"), "--target", target, "--hosts",
             "[sub-00005]", "--prior", "published"]  # fmt: skip
    assert main(words) == 1
    assert "target 1: found site 'site-2'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["target.json"]


def test_a_host_of_unknown_place_serves_other_targets_only(tmp_path, caplog):
    table = prepared_cohort(tmp_path / "c", patients=1, controls=3)
    table.path(table["sub-00002"], "transforms").write_text('{"t1w_to_mni": null}')
    target = target_file(tmp_path, {"lobe": "FL", "count": 5}, {"side": "L", "count": 4})
    out = draw(str(tmp_path / "c"), str(tmp_path / "o"), target=target, prior="published",
               controls=0)  # fmt: skip
    specs = specs_in(out)
    assert {s.lobe for s in specs[:5]} == {"FL"}
    assert {s.host for s in specs[:5]} == {"sub-00003", "sub-00004"}
    assert "sub-00002" in {s.host for s in specs[5:]}
    (notice,) = json.loads((out / "summary.json").read_text())["notices"]
    assert notice.startswith("sub-00002 has no t1w_to_mni")
    assert notice in caplog.text
    with pytest.raises(SettingsError, match="lobe FL, but no t1w_to_mni in any host"):
        draw(str(tmp_path / "c"), str(tmp_path / "x"), target=target, prior="published",
             hosts=["sub-00002"])  # fmt: skip


def test_the_site_law_has_no_say_only_where_a_place_is_asked_for(cohort, tmp_path):
    prior = LesionPrior(site_floor=1e6).write(tmp_path / "prior.json")  # no place is that likely
    for number, aim in enumerate(({"lobe": "FL"}, {"side": "R"})):
        draw(str(cohort), str(tmp_path / f"o{number}"), controls=0, prior=str(prior),
             target=target_file(tmp_path, aim))  # fmt: skip
    for aim in ({"high_ml": 4}, {"site": "site-1"}, {}):
        with pytest.raises(CohortError, match="R7_site refused"):
            draw(str(cohort), str(tmp_path / "x"), controls=0, prior=str(prior),
                 target=target_file(tmp_path, aim))  # fmt: skip


def test_a_volume_that_the_law_cannot_meet_is_told_first(cohort, tmp_path):
    target = target_file(tmp_path, {}, {"low_ml": 1000})
    with pytest.raises(SettingsError, match="outside a size law"):
        draw(str(cohort), str(tmp_path / "o"), prior="published", target=target)
    assert [p.name for p in tmp_path.iterdir()] == ["target.json"]


def test_a_track_has_a_file_of_its_own(cohort, tmp_path):
    prior = LesionPrior(track_share=1.0, subtypes=(("IIb", 1.0),)).write(tmp_path / "prior.json")
    out = draw(str(cohort), str(tmp_path / "o"), lesions=5, controls=3, prior=str(prior),
               median_ml=20, sigma_ln=0.3)  # fmt: skip
    table = Cohort.read(out)
    found = [s for s in table.subjects if s.has("track")]
    assert len(found) == json.loads((out / "summary.json").read_text())["tracks"] > 2
    assert {p.name[:9] for p in out.glob("*/*_track.nii.gz")} == {s.id for s in found}
    assert table.check(["tissue", "region", "soft", "track"]) == []
    for subject in found:
        path = table.path(subject, "track")
        assert nib.load(path).get_data_dtype() == np.uint8
        track = read_mask(path).array
        region = read_mask(table.path(subject, "region"))
        tissue = read_labels(table.path(subject, "tissue")).array
        (spec,) = read_specs(table.path(subject, "spec"))
        (grown,) = execute(str(cohort), str(table.path(subject, "spec")))
        assert {*map(tuple, np.argwhere(track))} == {*map(tuple, grown.vox[grown.on_track])}
        assert region.array[track].all()
        # It is in white matter, but for cortex at the seed, and ends at the ventricle.
        away = np.linalg.norm((np.argwhere(track) - spec.centre_vox) * 6.0, axis=1)
        labels = tissue[track]
        near = (labels == Tissue.CORTEX) & (away <= 8)
        assert ((labels == Tissue.WHITE_MATTER) | near).all()
        around = ndimage.binary_dilation(track, np.ones((3, 3, 3)))
        assert (tissue[around] == Tissue.VENTRICLE).any()
