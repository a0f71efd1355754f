"""The draw verb through the command line, on tiny prepared cohorts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Group, Origin, Split
from fcdsynth.core.volume import read_mask, read_volume
from fcdsynth.masks.draw import draw, execute
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import LesionSpec


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
        spec = LesionSpec.read(table.path(subject, "spec"))
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
    specs = [LesionSpec.read(p) for p in sorted(drawn.glob("syn-*/*_spec.json"))]
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
        grown = execute(str(cohort), str(table.path(subject, "spec")))
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
    real, calls = job.draw_one, []

    def stop_at_fifth(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(job, "draw_one", stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        draw(str(cohort), str(out), seed=4)
    assert not out.exists()
    monkeypatch.setattr(job, "draw_one", lambda *args: calls.append(1) or real(*args))
    draw(str(cohort), str(out), seed=4)
    assert len(calls) == 5 + 4
    assert data_bytes(out) == data_bytes(drawn)
    draw(str(cohort), str(out), seed=4)
    assert len(calls) == 9


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
    specs = [LesionSpec.read(table.path(s, "spec")) for s in table.subjects]
    assert all(s.volume_ml == pytest.approx(9, abs=0.5) for s in specs)
    assert {s.growth.roughness for s in specs} == {0.2}
    again = tmp_path / "again"
    assert main(["draw", str(cohort), str(again), "--prior", str(out / "prior.json"),
                 "--lesions", "1", "--controls", "0"]) == 0  # fmt: skip


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
