"""The check of drawn masks against real ones, on tiny prepared cohorts."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantom import prepared_cohort
from sklearn.ensemble import ExtraTreesClassifier

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.subject import Parent, Role, Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.masks.check import check
from fcdsynth.masks.draw import draw
from fcdsynth.masks.proof.arrays import Masks
from fcdsynth.masks.proof.copies import find_copies
from fcdsynth.masks.proof.examples import FEATURES, Example, origin_of, read_real, regrouped
from fcdsynth.masks.proof.matched import compare_matched
from fcdsynth.masks.proof.pictures import pairs_by_volume
from fcdsynth.masks.proof.wording import status_words
from fcdsynth.measure.two_sample import CLASSIFIERS

FAST = {"repeats": 2, "permutations": 19}
TRAIN = {f"sub-{i:05d}": Split.TRAIN for i in (*range(1, 9), *range(17, 21))}
HELD = {f"sub-{i:05d}": Split.VAL if i % 2 else Split.TEST for i in range(9, 17)}


@pytest.fixture(scope="module", autouse=True)
def small_forests():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CLASSIFIERS, "trees", lambda seed: ExtraTreesClassifier(5, random_state=seed))
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """8 training patients, 8 held-out ones and 4 training controls."""
    folder = tmp_path_factory.mktemp("check") / "cohort"
    prepared_cohort(folder, 16, 4, splits=TRAIN | HELD)
    return folder


@pytest.fixture(scope="module")
def drawn(cohort):
    return draw(str(cohort), str(cohort.parent / "drawn"), lesions=6, controls=4, seed=1)


@pytest.fixture(scope="module")
def report(cohort, drawn):
    return check(str(drawn), str(cohort), str(cohort.parent / "report"), **FAST)


def changed(table, folder, change):
    """A copy of a table in another folder with every row changed."""
    moved = table.moved(folder)
    rows = tuple(change(s) for s in moved.subjects)
    replace(moved, subjects=tuple(s for s in rows if s is not None)).write()
    return folder


def without(subject, *keys):
    return replace(subject, files={k: v for k, v in subject.files.items() if k not in keys})


def test_files(cohort, drawn, report):
    names = ["check.json", "config.yaml", "features.csv", "provenance.json", "report.html"]
    assert sorted(p.name for p in report.iterdir()) == names
    (comparison,) = json.loads((report / "check.json").read_text())["comparisons"]
    assert comparison["name"] == "training"
    assert comparison["n_groups_real"] == 8
    assert comparison["n_drawn"] >= 10
    assert [f["name"] for f in comparison["features"]] == list(FEATURES)
    assert comparison["matched"]["repeats"] == 2
    assert comparison["matched"]["n"] <= comparison["n_real"] / 2
    for beside in comparison["matched"]["statistics"].values():
        for spread in beside.values():
            assert spread["low"] <= spread["mean"] <= spread["high"]
    for test in comparison["classifiers"].values():
        assert test["permutations"] == 19
        assert test["p"] * 20 == pytest.approx(round(test["p"] * 20))
    assert "saw 8 of these 8 training patients" in comparison["prior"]


def test_held_out_patients_stand_on_their_own(cohort, drawn, tmp_path, monkeypatch):
    got = []
    monkeypatch.setattr("fcdsynth.masks.check.compare", lambda *given: got.append(given))
    monkeypatch.setattr("fcdsynth.masks.check.write_report", lambda *given: got.append(given))
    check(str(drawn), str(cohort), str(tmp_path / "out"), held_out=True, **FAST)
    training, held_out, (_, _, status, *_) = got
    assert (training[0], held_out[0]) == ("training", "held-out")
    assert {e.subject for e in training[2]} == {s for s in TRAIN if s < "sub-00009"}
    assert {e.subject for e in held_out[2]} == set(HELD)
    assert training[1] == held_out[1]
    assert {e.subject for e in training[1]} == {s.id for s in Cohort.read(drawn).subjects}
    (_, first), (words, second) = status
    assert (first, second) == (True, False)
    assert words == "The prior saw 8 patients, none of the 8 held-out ones."


def test_page_stands_alone_and_says_the_verdict(report):
    page = (report / "report.html").read_text()
    record = json.loads((report / "check.json").read_text())
    for comparison in record["comparisons"]:
        assert comparison["verdict"] in page
        shown = comparison["classifiers"]["trees"]["auroc"]
        assert f"real masks: {shown:.2f} (chance alone" in comparison["verdict"]
    assert page.count("<img") == page.count('src="data:image/png;base64,') == 9
    assert "http" not in page
    assert str(report.parent) not in page


def test_features_are_those_of_the_files(cohort, drawn, report):
    with (report / "features.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    table = Cohort.read(drawn)
    mine = [r for r in rows if r["origin"] == "drawn"]
    assert {r["mask"].split()[0] for r in mine} == {s.id for s in table.subjects}
    assert len({r["mask"] for r in mine}) == len(mine)
    for subject in table.subjects:
        region = read_mask(table.path(subject, "region"))
        row = next(r for r in mine if r["mask"] == subject.id)
        # Voxels of 6 mm hold 0.216 ml. Transforms are the identity: MNI is the world.
        assert float(row["volume_ml"]) == pytest.approx(region.array.sum() * 0.216, rel=1e-5)
        assert float(row["ln_volume"]) == pytest.approx(np.log(region.array.sum() * 0.216), 1e-5)
        centre = region.grid.to_mm(np.argwhere(region.array)).mean(axis=0)
        assert float(row["mni_abs_x_mm"]) == pytest.approx(abs(centre[0]), abs=1e-3)
        assert float(row["mni_z_mm"]) == pytest.approx(centre[2], abs=1e-3)
        assert row["group"] == subject.parents[0].subject
        assert row["outside"] == "0"
    assert {r["set"] for r in rows if r["origin"] == "real"} == {"training"}


def test_same_bytes_and_held_out_patients_unread(cohort, drawn, report, tmp_path):
    def blind(subject):
        if subject.split in (Split.VAL, Split.TEST):
            return replace(subject, files=dict.fromkeys(subject.files, "nowhere.nii.gz"))
        return subject

    folder = changed(Cohort.read(cohort), tmp_path / "blind", blind)
    again = check(str(drawn), str(folder), str(tmp_path / "again"), **FAST)
    for name in ("check.json", "features.csv", "report.html"):
        assert (again / name).read_bytes() == (report / name).read_bytes()
    before = (again / "provenance.json").stat().st_mtime_ns
    check(str(drawn), str(folder), str(again), **FAST)
    assert (again / "provenance.json").stat().st_mtime_ns == before  # whole: nothing redone


def test_outlines_over_fluid_are_cut_and_counted(cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "c")
    table = Cohort.read(tmp_path / "c")
    patient = table["sub-00001"]
    tissue, lesion = (read(table.path(patient, k)) for read, k in
                      ((read_labels, "tissue"), (read_mask, "lesion")))  # fmt: skip
    before = read_real(table, [patient])[0]
    fluid = np.argwhere(tissue.array == Tissue.CSF)[:40]
    wide = lesion.array.copy()
    wide[tuple(fluid.T)] = True
    write_volume(table.path(patient, "lesion"), Volume(wide, lesion.grid))
    after = read_real(table, [patient])[0]
    assert after.outside == pytest.approx(40 / (lesion.array.sum() + 40))
    assert before.outside == 0
    assert after.features == before.features


def test_two_processes_read_the_same(cohort):
    table = Cohort.read(cohort)
    patients = [s for s in table.subjects if s.is_patient][:3]
    one, two = (read_real(table, patients, workers) for workers in (1, 2))
    assert [(e.name, e.features) for e in one] == [(e.name, e.features) for e in two]


def test_a_real_mask_may_count_in_its_family_only(cohort):
    table = Cohort.read(cohort)
    patients = [s for s in table.subjects if s.is_patient][:3]
    found = read_real(table, patients)
    kin = replace(table, subjects=tuple(
        replace(s, family="A") if s.id in ("sub-00001", "sub-00003") else s for s in table.subjects
    ))  # fmt: skip
    groups = {e.subject: e.group for e in regrouped(found, kin)}
    assert groups["sub-00001"] == groups["sub-00003"] == "family A"
    assert groups["sub-00002"] == "sub-00002"


def test_a_drawn_mask_goes_with_its_donor(drawn):
    row = Cohort.read(drawn).subjects[0]
    host = row.parents[0]
    assert origin_of(row) == host.subject
    given = replace(row, parents=(host, Parent("sub-00007", Role.MASK)))
    assert origin_of(given) == "sub-00007"
    assert origin_of(replace(row, parents=())) == row.id


def blob(name, drawn, seed, volume_ml=None, turn=False, shift=0.0):
    """A lump of random bumps of 2 mm voxels."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), -1) * 2.0
    inside = np.zeros(grid.shape[:3], dtype=bool)
    for _ in range(5):
        centre, axes = rng.normal(size=3) * [9, 5, 3], 3 + 5 * rng.random(3)
        inside |= np.linalg.norm((grid - centre) / axes, axis=-1) < 1
    points = grid[inside]
    if turn:
        points = points[:, [1, 2, 0]] * [1, -1, 1]
    points = points + shift
    size = len(points) * 0.008 if volume_ml is None else volume_ml
    return Example(name, 0, drawn, name, (0.0,) * 12, 0.0, size, 0.008, "FL", "L",
                   (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), points, points)  # fmt: skip


def test_a_copy_is_found_wherever_it_lies_and_however_turned():
    real = [blob(f"r{i}", False, i) for i in range(8)]
    new = blob("new", True, 100, shift=200.0)
    copy = blob("copy", True, 3, turn=True, shift=150.0)
    found = find_copies([new, copy], real)
    assert [m.name for m in found.flagged] == ["copy"]
    match = found.flagged[0]
    assert (match.alike, match.donor) == ("r3", False)
    assert match.shape_dice > 0.95 > found.shape_limit
    assert found.expected == 2 / 9
    donated = find_copies([replace(copy, group="r3")], real).flagged[0]
    assert donated.donor
    # A second piece of the same patient is no other patient's mask.
    twins = [*real, replace(blob("r3 again", False, 3), group="r3")]
    assert find_copies([new], twins).shape_limit < 0.95


def test_a_copy_of_a_second_piece_is_named_by_that_piece():
    second = replace(blob("r3", False, 50, shift=70.0), number=1)
    real = [*[blob(f"r{i}", False, i) for i in range(8)], second]
    copy = blob("copy", True, 50, shift=70.0)
    match = find_copies([copy], real).flagged[0]
    assert (match.alike, match.nearby) == ("r3 piece 2", "r3 piece 2")
    # Where it overlaps none no mask is named.
    far = find_copies([blob("far", True, 50, shift=300.0)], real).flagged[0]
    assert (far.alike, far.nearby, far.place_dice) == ("r3 piece 2", "", 0.0)


def test_small_masks_are_not_searched():
    real = [blob(f"r{i}", False, i) for i in range(3)]
    tiny = blob("tiny", True, 1, volume_ml=0.2)
    assert find_copies([tiny], real) is None
    found = find_copies([tiny, blob("new", True, 100)], real)
    assert ([m.name for m in found.drawn], found.left_out) == (["new"], 1)


def test_pairs_are_of_like_volume_and_used_once():
    drawn = [blob(f"d{i}", True, i, v) for i, v in enumerate([1.0, 2, 4, 8])]
    real = [blob(f"r{i}", False, i, v) for i, v in enumerate([0.9, 3.9, 4.1, 9, 50])]
    pairs = pairs_by_volume(drawn, real, 4)
    # 2 is nearer to 3.9 than to 0.9 on a logarithmic axis, but 0.9 went to 1 already.
    assert [(a.volume_ml, b.volume_ml) for a, b in pairs] == [(1, 0.9), (2, 3.9), (4, 4.1), (8, 9)]
    assert pairs_by_volume([], real) == []


def masks(n, seed, shift=0.0, per_group=1):
    rng = np.random.default_rng(seed)
    groups = tuple(f"{seed}-{i // per_group}" for i in range(n))
    values = rng.normal(size=(n, 12))
    values[:, 0] += shift
    return Masks(values, np.zeros(n), groups, ("FL", "TL") * (n // 2), ("L", "R") * (n // 2))


def test_equal_numbers_beside():
    drawn, real = masks(40, 0, shift=3.0), masks(30, 1, per_group=2)
    found = compare_matched(drawn, real, 6, 0)
    assert found.n == 14  # 15 patients of two: halves of 7 and 8
    for half in found.halves:
        assert len(half) == 14
        assert {i ^ 1 for i in half} == set(half)  # rows 2k and 2k + 1 stay together
    shifted = found.statistics["wasserstein/ln_volume"]
    assert shifted.drawn.low > 2 > 1.5 > shifted.real.high
    other = found.statistics["wasserstein/depth_rank"]  # not shifted
    assert other.drawn.mean == pytest.approx(other.real.mean, abs=0.3)
    assert found.statistics["auroc_logistic"].drawn.mean > 0.7
    assert found.statistics["cramers_v_lobe"].real.low >= 0


def test_status():
    assert status_words("training", [], ["a"]) == (
        "The masks were drawn from the published prior, which saw no patient.", False
    )  # fmt: skip
    words, alarming = status_words("training", ["a", "c"], ["a", "b"])
    assert alarming
    assert "saw 1 of these 2 training patients" in words


def nothing_left(out):
    return not out.exists() and not Path(f"{out}.partial").exists()


def test_refusals(cohort, drawn, tmp_path):
    out = tmp_path / "out"
    source, table = Cohort.read(cohort), Cohort.read(drawn)

    def bad(fault, match, drawn=drawn, cohort=cohort, **more):
        with pytest.raises(fault, match=match):
            check(str(drawn), str(cohort), str(out), **FAST | more)
        assert nothing_left(out)

    bad(SettingsError, "repeats", repeats=1)
    bad(SettingsError, "permutations", permutations=0)
    bad(CohortError, "no drawn row", drawn=cohort)
    folder = changed(table, tmp_path / "a", lambda s: without(s, "region"))
    bad(CohortError, "without a region", drawn=folder)
    folder = changed(source, tmp_path / "b", lambda s: None if s.is_patient else s)
    bad(CohortError, "no training patient", cohort=folder)
    folder = changed(source, tmp_path / "c", lambda s: None if s.id == "sub-00001" else s)
    bad(CohortError, "7 of 7 independent patients|7 independent patients", cohort=folder)
    folder = changed(table, tmp_path / "d", lambda s: s if s.id < "syn-00008" else None)
    bad(CohortError, "drawn masks: found 7", drawn=folder)
    folder = changed(source, tmp_path / "e", lambda s: None if s.id in HELD else s)
    bad(CohortError, "no held-out patient", cohort=folder, held_out=True)
    leaked = replace(table.moved(tmp_path / "f"), fitted_on=("sub-00009",))
    leaked.write()
    bad(LeakageError, "sub-00009", drawn=tmp_path / "f")


def test_other_space_is_refused(cohort, drawn, tmp_path):
    table = Cohort.read(drawn)

    def transforms(shift_mm):
        matrix = np.eye(4)
        matrix[0, 3] = shift_mm
        path = tmp_path / f"mni{shift_mm}.json"
        path.write_text(json.dumps({"t1w_to_mni": matrix.tolist()}))
        return path

    def placed(shift_mm, known_host):
        path = transforms(shift_mm)
        return lambda s: replace(
            s, files={**s.files, "transforms": str(path)},
            parents=s.parents if known_host else (Parent(f"not-{s.parents[0]}", Role.HOST),),
        )  # fmt: skip

    out = tmp_path / "out"
    for number, (change, match) in enumerate([
        (placed(3, True), "elsewhere in MNI"), (placed(300, False), "mm in MNI"),
    ]):  # fmt: skip
        folder = changed(table, tmp_path / f"d{number}", change)
        with pytest.raises(CohortError, match=match):
            check(str(folder), str(cohort), str(out), **FAST)
        assert nothing_left(out)


def test_other_voxels_are_refused(cohort, drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "drawn")
    table = Cohort.read(drawn).moved(tmp_path / "drawn")
    row = table.subjects[0]
    files = dict(row.files)
    for key in ("tissue", "brain", "depth", "region"):
        volume = read_volume(table.path(row, key))
        affine = volume.grid.matrix @ np.diag([0.8, 0.8, 0.8, 1])
        name = f"fine_{key}.nii.gz"
        write_volume(tmp_path / "drawn" / name, Volume(
            volume.array, type(volume.grid).of(volume.grid.shape, affine)))  # fmt: skip
        files[key] = name
    rows = (replace(row, files=files), *table.subjects[1:])
    replace(table, subjects=rows).write()
    with pytest.raises(CohortError, match=r"4.80 to 6.00 mm"):
        check(str(tmp_path / "drawn"), str(cohort), str(tmp_path / "out"), **FAST)
    assert nothing_left(tmp_path / "out")


def test_unknown_place_is_said(cohort, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr("fcdsynth.masks.proof.report.pictures_of", lambda *given: [])
    folder = changed(Cohort.read(drawn), tmp_path / "d", lambda s: without(s, "transforms"))
    out = check(str(folder), str(cohort), str(tmp_path / "out"), **FAST)
    record = json.loads((out / "check.json").read_text())["comparisons"][0]
    assert record["place"] is record["lobes"] is None
    unknown = [f["name"] for f in record["features"] if f["ks"] is None]
    assert unknown == ["mni_abs_x_mm", "mni_y_mm", "mni_z_mm"]
    page = (out / "report.html").read_text()
    assert "The place in MNI is unknown for 10 of 10 drawn masks." in page
    assert "nothing is said about it" in page
