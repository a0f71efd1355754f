"""The draw verb through the command line, on tiny prepared cohorts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, RunError, SettingsError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Group, Origin, Split
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.masks.draw import draw, execute
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import read_specs
from fcdsynth.masks.ways.gather import measure_with_donors
from fcdsynth.measure.components import label_components


@pytest.fixture(autouse=True, scope="module")
def few_trials():
    """Eight growths a lesion in place of 60; what they find is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fcdsynth.masks.draw.measure_with_donors",
            lambda table, patients, workers, trials: measure_with_donors(
                table, patients, workers, min(trials, 8)
            ),
        )
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("draw") / "cohort"
    prepared_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def drawn(cohort):
    out = cohort.parent / "drawn"
    assert main(["draw", str(cohort), str(out), "--seed", "4"]) == 0
    return out


def data_bytes(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "provenance.json"
    }  # fmt: skip


def nothing_left(out):
    return not out.exists() and not Path(f"{out}.partial").exists()


def test_rows(cohort, drawn):
    source, table = Cohort.read(cohort), Cohort.read(drawn)
    assert [s.id for s in table.subjects] == [f"syn-{i:05d}" for i in range(1, 9)]
    assert table.fitted_on == ("sub-00001", "sub-00002", "sub-00003", "sub-00004")
    assert (
        table.check(["t1w", "flair", "brain", "tissue", "depth", "soft", "region", "lesion"]) == []
    )
    hosts = [s.parents[0].subject for s in table.subjects]
    assert sorted(hosts[:4]) == sorted(hosts[4:]) == [f"sub-{i:05d}" for i in range(5, 9)]
    for number, subject in enumerate(table.subjects):
        host = source[subject.parents[0].subject]
        assert subject.origin is Origin.SYNTHETIC
        assert subject.split is Split.TRAIN
        assert (subject.site, subject.scanner, subject.sex) == (host.site, host.scanner, host.sex)
        assert table.path(subject, "t1w") == source.path(host, "t1w")
        assert subject.group is (Group.PATIENT if number < 4 else Group.CONTROL)
        assert subject.has("lesion") is (number < 4)
        region = read_mask(table.path(subject, "region"))
        spec = read_specs(table.path(subject, "spec"))[0]
        assert int(region.array.sum()) == spec.size_vox
        soft = read_volume(table.path(subject, "soft"))
        assert ((soft.array > 0) == region.array).all()
        if subject.has("lesion"):
            assert (read_mask(table.path(subject, "lesion")).array == region.array).all()
            assert subject.side == ("R" if spec.centre_mm[0] > 0 else "L")
            assert subject.subtype in ("IIa", "IIb")
        else:
            assert (subject.side, subject.lobe, subject.subtype) == ("", "", "")
    check_leakage(table)


def test_records(drawn):
    prior = LesionPrior.read(drawn / "prior.json")
    specs = [read_specs(p)[0] for p in sorted(drawn.glob("syn-*/*_spec.json"))]
    assert {s.prior for s in specs} == {prior.digest}
    summary = json.loads((drawn / "summary.json").read_text())
    assert summary["kind"] == {"control": 4, "lesion": 4}
    assert set(summary["masks_per_host"].values()) == {2}
    assert summary["volume_ml"]["q50"] == pytest.approx(
        np.median([s.volume_ml for s in specs]), abs=1e-3
    )
    refusals = json.loads((drawn / "refusals.json").read_text())
    assert refusals["accepted"] == 8
    assert refusals["refused"] == sum(refusals["by_test"].values())


def test_a_spec_executed_again_gives_the_same_mask(cohort, drawn):
    table = Cohort.read(drawn)
    for subject in table.subjects[:3]:
        (grown,) = execute(str(cohort), str(table.path(subject, "spec")))
        region = read_mask(table.path(subject, "region"))
        assert (grown.mask_on(region.grid) == region.array).all()
        soft = read_volume(table.path(subject, "soft"))
        assert (grown.soft_on(soft.grid) == soft.array).all()


def test_same_seed_same_bytes_on_two_processes(cohort, drawn):
    again = draw(str(cohort), str(cohort.parent / "again"), seed=4, workers=2)
    first, second = data_bytes(drawn), data_bytes(again)
    assert set(first) == set(second)
    assert [n for n in first if first[n] != second[n]] == []
    other = draw(str(cohort), str(cohort.parent / "other"), seed=5)
    assert (
        data_bytes(other)["syn-00001/syn-00001_region.nii.gz"]
        != first["syn-00001/syn-00001_region.nii.gz"]
    )


def test_a_mask_does_not_depend_on_how_many_follow(cohort, drawn):
    few = draw(str(cohort), str(cohort.parent / "few"), lesions=2, controls=0, seed=4)
    name = "syn-00002/syn-00002_region.nii.gz"
    assert (few / name).read_bytes() == (drawn / name).read_bytes()


def test_a_stopped_run_goes_on(cohort, drawn, monkeypatch):
    import fcdsynth.masks.job as job

    out = cohort.parent / "stopped"
    real, calls = job.draw_subject, []

    def stop_at_fifth(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(job, "draw_subject", stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        draw(str(cohort), str(out), seed=4)
    assert not out.exists()
    monkeypatch.setattr(job, "draw_subject", lambda *args: calls.append(1) or real(*args))
    draw(str(cohort), str(out), seed=4)
    assert len(calls) == 5 + 4
    assert data_bytes(out) == data_bytes(drawn)
    draw(str(cohort), str(out), seed=4)
    assert len(calls) == 9


def test_a_changed_patient_is_not_passed_over(tmp_path):
    cohort = prepared_cohort(tmp_path / "c", patients=2, controls=1)
    draw(str(tmp_path / "c"), str(tmp_path / "o"), lesions=1, controls=0)
    path = cohort.path(cohort.subjects[0], "tissue")
    tissue = read_labels(path)
    write_volume(path, Volume(np.roll(tissue.array, 1, axis=0), tissue.grid))
    with pytest.raises(RunError, match="other inputs"):
        draw(str(tmp_path / "c"), str(tmp_path / "o"), lesions=1, controls=0)


def test_splits_choose_hosts_and_patients(tmp_path):
    splits = {f"sub-{i:05d}": s for i, s in
              ((1, Split.TRAIN), (2, Split.TEST), (3, Split.VAL), (5, Split.TRAIN),
               (6, Split.TRAIN), (7, Split.TEST))}  # fmt: skip
    prepared_cohort(tmp_path / "c", splits=splits)
    out = draw(str(tmp_path / "c"), str(tmp_path / "o"), lesions=3, controls=2)
    table = Cohort.read(out)
    assert table.fitted_on == ("sub-00001",)
    hosts = [s.parents[0].subject for s in table.subjects]
    assert set(hosts) == {"sub-00005", "sub-00006"}
    assert abs(hosts.count("sub-00005") - hosts.count("sub-00006")) == 1
    with pytest.raises(LeakageError, match="sub-00007: found a host of split test"):
        draw(str(tmp_path / "c"), str(tmp_path / "x"), hosts=["sub-00005", "sub-00007"])
    everyone = {f"sub-{i:05d}": Split.TRAIN for i in range(1, 9)}
    prepared_cohort(tmp_path / "all", splits=everyone)
    leaky = draw(str(tmp_path / "all"), str(tmp_path / "leaky"), lesions=1) / "prior.json"
    with pytest.raises(LeakageError, match="a patient behind the prior of split"):
        draw(str(tmp_path / "c"), str(tmp_path / "x"), prior=str(leaky))
    assert nothing_left(tmp_path / "x")


def test_published_prior_and_size_flags(cohort, tmp_path):
    out = tmp_path / "o"
    words = ["draw", str(cohort), str(out), "--prior", "published", "--lesions", "5", "--controls",
             "0", "--median_ml", "9", "--sigma_ln", "0.01",
             "--growth.roughness", "0.2"]  # fmt: skip
    assert main(words) == 0
    table = Cohort.read(out)
    assert table.fitted_on == ()
    specs = [read_specs(table.path(s, "spec"))[0] for s in table.subjects]
    assert all(s.volume_ml == pytest.approx(9, abs=0.5) for s in specs)
    assert {s.growth.roughness for s in specs} == {0.2}
    again = tmp_path / "again"
    assert main(["draw", str(cohort), str(again), "--prior", str(out / "prior.json"),
                 "--lesions", "1", "--controls", "0"]) == 0  # fmt: skip


def test_transplants_name_their_donors(cohort, tmp_path):
    words = ["draw", str(cohort), str(tmp_path / "o"), "--method", "transplant", "--lesions", "3",
             "--controls", "0"]  # fmt: skip
    assert main(words) == 0
    table = Cohort.read(tmp_path / "o")
    for subject in table.subjects:
        (spec,) = read_specs(table.path(subject, "spec"))
        assert spec.method == "transplant"
        assert [str(p) for p in subject.parents] == [f"{spec.host}:host", f"{spec.donor}:mask"]
        (grown,) = execute(str(cohort), str(table.path(subject, "spec")))
        region = read_mask(table.path(subject, "region"))
        assert (grown.mask_on(region.grid) == region.array).all()
    check_leakage(table)
    prepared_cohort(tmp_path / "bare", patients=0, controls=2)
    with pytest.raises(SettingsError, match="transplant without a training lesion"):
        draw(str(tmp_path / "bare"), str(tmp_path / "x"), lesions=1, method="transplant",
             prior="published")  # fmt: skip


def test_ellipsoids_are_drawn_for_comparison(cohort, tmp_path):
    out = draw(str(cohort), str(tmp_path / "o"), lesions=3, controls=0, method="ellipsoid")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["method"] == {"ellipsoid": 3}
    assert summary["tracks"] == 0


def test_several_lesions_lie_apart_on_one_side(cohort, tmp_path):
    out = draw(str(cohort), str(tmp_path / "o"), lesions=4, controls=0, per_subject=2, seed=1,
               median_ml=3, sigma_ln=0.2)  # fmt: skip
    table = Cohort.read(out)
    for subject in table.subjects:
        specs = read_specs(table.path(subject, "spec"))
        assert len(specs) == 2
        assert len({s.side for s in specs}) == 1
        region = read_mask(table.path(subject, "region"))
        assert region.array.sum() == sum(s.size_vox for s in specs)
        _, found = label_components(region.array, region.grid)
        assert len(found) == 2
        both = execute(str(cohort), str(table.path(subject, "spec")))
        assert (sum(g.mask_on(region.grid) for g in both) == region.array).all()
    assert json.loads((out / "summary.json").read_text())["lesions_per_subject"] == {"2": 4}


def test_targets_are_met(cohort, tmp_path):
    target = tmp_path / "target.json"
    left = {"side": "L", "low_ml": 2, "high_ml": 4, "count": 2}
    target.write_text(json.dumps({"targets": [left, {"side": "R", "low_ml": 8}]}))
    out = tmp_path / "o"
    assert main(["draw", str(cohort), str(out), "--target", str(target), "--controls", "1"]) == 0
    specs = [read_specs(p)[0] for p in sorted(out.glob("syn-*/*_spec.json"))]
    assert [s.side for s in specs[:3]] == ["L", "L", "R"]
    voxel = 0.216
    assert all(2 - voxel <= s.volume_ml <= 4 + voxel for s in specs[:2])
    assert specs[2].volume_ml >= 8 - voxel
    assert [s.kind for s in specs] == ["lesion"] * 3 + ["control"]
    # Of three lesions two are small left ones, so the first control's region is one too.
    assert (specs[3].side, 2 - voxel <= specs[3].volume_ml <= 4 + voxel) == ("L", True)
    with pytest.raises(SettingsError, match="the targets ask for 3"):
        draw(str(cohort), str(tmp_path / "x"), lesions=5, target=str(target))


def test_missing_flair_is_no_fault(tmp_path):
    cohort = prepared_cohort(tmp_path / "c", patients=1, controls=1)
    from dataclasses import replace

    rows = [replace(s, files={k: v for k, v in s.files.items() if k != "flair"})
            for s in cohort.subjects]  # fmt: skip
    replace(cohort, subjects=tuple(rows)).write()
    table = Cohort.read(draw(str(tmp_path / "c"), str(tmp_path / "o")))
    assert not any(s.has("flair") for s in table.subjects)


def test_bad_inputs_are_named_and_leave_nothing(cohort, tmp_path, capsys):
    out = tmp_path / "o"
    cases = {
        "no cohort": ([str(tmp_path), str(out)], "cohort.csv"),
        "no mask": ([str(cohort), str(out), "--lesions", "0"], "at least one mask"),
        "negative": ([str(cohort), str(out), "--lesions", "-1"], "at least one mask"),
        "patient as host": ([str(cohort), str(out), "--hosts", "[sub-00001]"], "a patient"),
        "unknown host": ([str(cohort), str(out), "--hosts", "[sub-9]"], "no row with this id"),
        "absent prior": ([str(cohort), str(out), "--prior", str(tmp_path / "p.json")], "p.json"),
        "bad median": ([str(cohort), str(out), "--median_ml", "-3"], "size"),
        "too large": ([str(cohort), str(out), "--median_ml", "59", "--sigma_ln", "0.001",
                       "--growth.juxtacortical_mm", "0", "--limits.tries", "3",
                       "--limits.margin_vox", "11"], "R10_in_view refused 3"),
    }  # fmt: skip
    for name, (words, expected) in cases.items():
        assert main(["draw", *words]) == 1, name
        assert expected in capsys.readouterr().err, name
        assert nothing_left(out), name


def test_no_host(tmp_path):
    prepared_cohort(tmp_path / "c", patients=2, controls=0)
    with pytest.raises(CohortError, match="no control to draw in"):
        draw(str(tmp_path / "c"), str(tmp_path / "o"))
    prepared_cohort(tmp_path / "d", patients=0, controls=2)
    with pytest.raises(SettingsError, match="lesions"):
        draw(str(tmp_path / "d"), str(tmp_path / "o"))
    assert nothing_left(tmp_path / "o")


def test_an_unusable_host_is_named(tmp_path):
    cohort = prepared_cohort(tmp_path / "c", patients=1, controls=1)
    cohort.path(cohort.subjects[1], "tissue").unlink()
    assert main(["draw", str(tmp_path / "c"), str(tmp_path / "o")]) == 1
    assert nothing_left(tmp_path / "o")
