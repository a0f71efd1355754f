"""z-scores against controls whose values are known by construction."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort, tiny_grid, tiny_head

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Origin, Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.prepare import reference
from fcdsynth.prepare.controls import affine_place
from fcdsynth.prepare.reference import GRID, SD_FLOOR, Face, Sums
from fcdsynth.prepare.zscores import RECORD, write_zscores

NEAR = tiny_grid()
SHARED = tiny_head(NEAR, 0)["tissue"]
COMPARED = np.isin(SHARED, (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY))
MM = NEAR.to_mm(np.moveaxis(np.indices(NEAR.shape), 0, -1))
REGION = (MM[..., 0] > 5) & (MM[..., 1] > 5) & (MM[..., 2] > 0)  # an eighth: medians stay
CORE = COMPARED & (MM[..., 0] > 17) & (MM[..., 1] > 17) & (MM[..., 2] > 12)
AWAY = COMPARED & (MM[..., 0] < -7)
LEVELS = (0.02, -0.03, 0.05, 0.0, -0.02, 0.04, -0.05, 0.01, 0.03, -0.01)


@pytest.fixture
def coarse(monkeypatch):
    """A common space of 6 mm instead of 3 mm: an eighth of the work."""
    monkeypatch.setattr(reference, "GRID", Grid.covering((-81, -117, -81), (81, 84, 90), 6.0))


def put(cohort, name, level):
    """Give a subject the shared brain, its region raised by a level on FLAIR, lowered on T1w."""
    for key, sign in (("flair", 1), ("t1w", -1)):
        image = np.choose(SHARED, [0, 0.2, 0.5, 0.6, 0.55, 0.2, 0.5]) + sign * level * REGION
        image = np.where(SHARED > 0, image, 0).astype(np.float32)
        write_volume(cohort.path(cohort[name], key), Volume(image, NEAR))


def made(folder, levels, patients=1, scanners=None, splits=None):
    """Patients first, then one control a level; the patients' level is 0."""
    cohort = prepared_cohort(folder, patients, len(levels), sites=1)
    rows = []
    for number, subject in enumerate(cohort.subjects):
        control = number - patients
        write_volume(cohort.path(subject, "tissue"), Volume(SHARED, NEAR))
        put(cohort, subject.id, levels[control] if control >= 0 else 0.0)
        scanner = scanners[control] if scanners and control >= 0 else "A"
        split = splits[control] if splits and control >= 0 else Split.NONE
        rows.append(replace(subject, scanner=scanner, split=split))
    return replace(cohort, subjects=tuple(rows))


def read(folder, name, key="flair"):
    return read_volume(folder / name / f"{name}_{key}_z.nii.gz").array


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*_z.nii.gz")}


def test_a_rise_of_three_sd_scores_three(tmp_path):
    """Ten controls; the patient's region lies three of their SD above their mean."""
    cohort = made(tmp_path, LEVELS)
    mean, sd = np.mean(LEVELS), np.std(LEVELS, ddof=1)
    put(cohort, "sub-00001", mean + 3 * sd)
    record = write_zscores(cohort, tmp_path)
    z = read(tmp_path, "sub-00001")
    assert z.dtype == np.float32
    assert CORE.sum() > 50
    np.testing.assert_allclose(z[CORE], 3.0, atol=0.03)
    np.testing.assert_allclose(read(tmp_path, "sub-00001", "t1w")[CORE], -3.0, atol=0.03)
    np.testing.assert_allclose(z[AWAY], 0.0, atol=0.03)
    assert (z[~COMPARED] == 0).all()
    names = [f"sub-{n:05d}" for n in range(2, 12)]
    assert record["controls"] == {"t1w": {"A": names}, "flair": {"A": names}}
    assert record["compared_with"]["sub-00001"] == {"t1w": "A", "flair": "A"}
    assert record["notes"] == []
    assert json.loads((tmp_path / RECORD).read_text()) == record
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("coarse")
def test_a_control_is_compared_with_the_others(tmp_path):
    """Three controls by hand: each against mean and SD of the other two."""
    levels = (0.00, 0.04, 0.10)
    write_zscores(made(tmp_path, levels), tmp_path, least=3)
    for number, own in enumerate(levels):
        others = [x for i, x in enumerate(levels) if i != number]
        expected = (own - sum(others) / 2) / (abs(others[0] - others[1]) / 2**0.5)
        z = read(tmp_path, f"sub-{number + 2:05d}")
        np.testing.assert_allclose(z[CORE], expected, rtol=0.02)
    patient = (0 - 0.14 / 3) / np.std(levels, ddof=1)
    np.testing.assert_allclose(read(tmp_path, "sub-00001")[CORE], patient, rtol=0.02)


@pytest.mark.usefixtures("coarse")
def test_the_scanner_comes_first_and_all_of_them_second(tmp_path):
    """Eight controls make a reference of their own, three do not and meet all eleven."""
    levels = (*LEVELS[:8], 0.3, 0.34, 0.35)
    scanners = ["A"] * 8 + ["B"] * 3
    cohort = made(tmp_path, levels, patients=2, scanners=scanners)
    rows = [replace(s, scanner="B") if s.id == "sub-00002" else s for s in cohort.subjects]
    record = write_zscores(replace(cohort, subjects=tuple(rows)), tmp_path)
    own = (0 - np.mean(levels[:8])) / np.std(levels[:8], ddof=1)
    pooled = (0 - np.mean(levels)) / np.std(levels, ddof=1)
    np.testing.assert_allclose(read(tmp_path, "sub-00001")[CORE], own, atol=0.02)
    np.testing.assert_allclose(read(tmp_path, "sub-00002")[CORE], pooled, atol=0.02)
    last = (0.35 - np.mean(levels[:-1])) / np.std(levels[:-1], ddof=1)
    np.testing.assert_allclose(read(tmp_path, "sub-00013")[CORE], last, rtol=0.02)
    assert record["compared_with"]["sub-00002"]["flair"] == "all scanners"
    assert record["compared_with"]["sub-00003"]["flair"] == "A"
    assert any("4 subjects are compared with the controls of all" in n for n in record["notes"])


@pytest.mark.usefixtures("coarse")
def test_an_unknown_scanner_is_no_scanner(tmp_path):
    record = write_zscores(made(tmp_path, LEVELS, scanners=[""] * 10), tmp_path)
    assert record["compared_with"]["sub-00002"]["flair"] == "all scanners"
    assert list(record["controls"]["flair"]) == ["unknown"]


@pytest.mark.parametrize("split", [Split.VAL, Split.TEST])
@pytest.mark.usefixtures("coarse")
def test_held_out_controls_change_nothing(tmp_path, split):
    splits = [Split.TRAIN] * 8 + [split] * 2
    cohort = made(tmp_path, LEVELS, splits=splits)
    record = write_zscores(cohort, tmp_path)
    before = files_of(tmp_path)
    held_out = ["sub-00010", "sub-00011"]
    assert record["controls_held_out"] == held_out
    assert not set(held_out) & set(record["controls"]["flair"]["A"])
    z = read(tmp_path, "sub-00010")  # judged all the same, by all eight
    expected = (LEVELS[8] - np.mean(LEVELS[:8])) / np.std(LEVELS[:8], ddof=1)
    np.testing.assert_allclose(z[CORE], expected, atol=0.03)

    for path in tmp_path.rglob("*_z.nii.gz"):
        path.unlink()
    put(cohort, "sub-00010", 0.4)
    write_zscores(cohort, tmp_path)
    after = files_of(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"sub-00010_flair_z.nii.gz", "sub-00010_t1w_z.nii.gz"}

    for path in tmp_path.rglob("*_z.nii.gz"):
        path.unlink()
    put(cohort, "sub-00005", 0.4)  # a training control does change the others
    write_zscores(cohort, tmp_path)
    assert files_of(tmp_path)["sub-00001_flair_z.nii.gz"] != before["sub-00001_flair_z.nii.gz"]


@pytest.mark.usefixtures("coarse")
def test_patients_and_synthetic_controls_are_no_reference(tmp_path):
    cohort = made(tmp_path, LEVELS, patients=3)
    rows = [replace(s, origin=Origin.SYNTHETIC) if s.id == "sub-00013" else s
            for s in cohort.subjects]  # fmt: skip
    record = write_zscores(replace(cohort, subjects=tuple(rows)), tmp_path)
    assert record["controls"]["flair"]["A"] == [f"sub-{n:05d}" for n in range(4, 13)]
    assert record["controls_synthetic"] == ["sub-00013"]


@pytest.mark.usefixtures("coarse")
def test_too_few_controls_make_no_maps_and_a_note(tmp_path):
    record = write_zscores(made(tmp_path, LEVELS[:7]), tmp_path)
    assert not files_of(tmp_path)
    assert record["notes"] == [f"{key}: no z-scores; 7 controls to compare with, 8 are needed"
                               for key in ("t1w", "flair")]  # fmt: skip
    assert record["compared_with"]["sub-00001"] == {"t1w": None, "flair": None}


def test_a_stopped_pass_goes_on_and_workers_agree(tmp_path):
    cohort = made(tmp_path, LEVELS[:8])
    write_zscores(cohort, tmp_path)
    whole, record = files_of(tmp_path), (tmp_path / RECORD).read_bytes()
    kept = tmp_path / "sub-00002" / "sub-00002_flair_z.nii.gz"
    stamp = kept.stat().st_mtime_ns
    for name in ("sub-00001", "sub-00005"):
        (tmp_path / name / f"{name}_flair_z.nii.gz").unlink()
    write_zscores(cohort, tmp_path, workers=2)
    assert files_of(tmp_path) == whole
    assert (tmp_path / RECORD).read_bytes() == record
    assert kept.stat().st_mtime_ns == stamp


@pytest.mark.usefixtures("coarse")
def test_other_controls_make_all_maps_anew(tmp_path):
    """A subject that failed at first comes in at the second call: no map keeps the old sums."""
    cohort = made(tmp_path, LEVELS)
    write_zscores(cohort.select(lambda s: s.id != "sub-00011"), tmp_path)
    write_zscores(cohort, tmp_path)
    z = read(tmp_path, "sub-00001")
    expected = -np.mean(LEVELS) / np.std(LEVELS, ddof=1)
    np.testing.assert_allclose(z[CORE], expected, atol=0.01)


@pytest.mark.usefixtures("coarse")
def test_subjects_without_flair_or_without_a_way_into_mni(tmp_path):
    cohort = made(tmp_path, LEVELS)
    lost = cohort.path(cohort["sub-00003"], "transforms")
    lost.write_text(json.dumps({"flair_to_t1w": None, "t1w_to_mni": None}))
    rows = [replace(s, files={k: v for k, v in s.files.items() if k != "flair"})
            if s.id == "sub-00001" else s for s in cohort.subjects]  # fmt: skip
    record = write_zscores(replace(cohort, subjects=tuple(rows)), tmp_path)
    written = files_of(tmp_path)
    assert "sub-00001_t1w_z.nii.gz" in written
    assert "sub-00001_flair_z.nii.gz" not in written
    assert not any(name.startswith("sub-00003") for name in written)
    assert record["without_way_into_mni"] == ["sub-00003"]
    assert "sub-00003" not in record["controls"]["flair"]["A"]
    assert record["compared_with"]["sub-00003"] == {"t1w": None, "flair": None}


def shifted(cohort, subject):
    """A way into MNI space that is not the matrix: 12 mm to the left of the affine's."""
    way = affine_place(cohort, subject)
    return lambda points: way(points) - [12.0, 0, 0]


@pytest.mark.usefixtures("coarse")
def test_another_way_into_mni_may_be_given(tmp_path):
    """The same shift for all moves the common space, not the result."""
    cohort = made(tmp_path, LEVELS)
    put(cohort, "sub-00001", 0.2)
    write_zscores(cohort, tmp_path)
    before = read(tmp_path, "sub-00001")
    (tmp_path / "sub-00001" / "sub-00001_flair_z.nii.gz").unlink()
    write_zscores(cohort, tmp_path, place=shifted)
    np.testing.assert_allclose(read(tmp_path, "sub-00001")[CORE], before[CORE], rtol=0.01)


@pytest.mark.usefixtures("coarse")
def test_places_are_matched_in_mni_space_not_by_voxel(tmp_path):
    """One head at another place and voxel size, its matrix saying so: the same z-scores."""
    cohort = made(tmp_path, LEVELS)
    put(cohort, "sub-00001", 0.2)
    write_zscores(cohort, tmp_path)
    before = read(tmp_path, "sub-00001")
    subject = cohort["sub-00001"]
    moved = np.eye(4)
    moved[:3, 3] = [24.0, -12.0, 36.0]
    for key in ("flair", "t1w", "tissue"):
        old = read_volume(cohort.path(subject, key))
        kind = np.uint8 if key == "tissue" else np.float32
        turned = Grid.of(NEAR.shape, moved @ NEAR.matrix)
        write_volume(cohort.path(subject, key), Volume(old.array.astype(kind), turned))
    back = np.linalg.inv(moved).tolist()
    cohort.path(subject, "transforms").write_text(json.dumps({"t1w_to_mni": back}))
    for path in (tmp_path / "sub-00001").glob("*_z.nii.gz"):
        path.unlink()
    write_zscores(cohort, tmp_path)
    np.testing.assert_allclose(read(tmp_path, "sub-00001"), before, atol=1e-4)


def test_sums_by_hand():
    """One place seen by three controls, one by one only, one by none."""
    sums = Sums.empty()
    shape = sums.total.shape
    for first, second in ((1.0, 5.0), (2.0, np.nan), (4.0, np.nan)):
        maps = np.full(shape, np.nan, np.float32)
        maps[0, 0, 0, :2] = first, second
        sums = sums.plus(maps)
    own = np.full(shape, np.nan, np.float32)
    own[0, 0, 0, :2] = 7.0, 7.0
    z = sums.z_scores(own)
    assert z[0, 0, 0, 0] == pytest.approx((7 - 7 / 3) / np.sqrt(7 / 3), rel=1e-6)
    assert np.isnan(z.ravel()[1:]).all()
    maps[0, 0, 0, :2] = 4.0, np.nan
    fewer = sums.plus(maps, -1)
    assert fewer.controls == 2
    assert fewer.z_scores(own)[0, 0, 0, 0] == pytest.approx(5.5 / np.sqrt(0.5), rel=1e-6)


def test_controls_that_agree_by_chance_are_not_believed():
    sums = Sums.empty()
    maps = np.zeros(sums.total.shape, np.float32)
    for _ in range(4):
        sums = sums.plus(maps)
    np.testing.assert_allclose(sums.z_scores(maps + np.float32(SD_FLOOR)), 1.0, rtol=1e-5)


def test_a_whole_image_brighter_than_another_is_the_same():
    """The tissue's own median is taken out before anything is compared."""
    face = Face.of(Volume(SHARED, NEAR), lambda points: points)
    rng = np.random.default_rng(0)
    image = rng.normal(0.5, 0.05, NEAR.shape).astype(np.float32)
    first, second = face.averages(image), face.averages(image + np.float32(0.1))
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert first.shape == (3, *GRID.shape)
    assert np.isfinite(first[0]).sum() > 1000


@pytest.mark.usefixtures("coarse")
def test_bad_words_and_lost_files_are_named(tmp_path):
    cohort = made(tmp_path, LEVELS)
    with pytest.raises(SettingsError, match="at least 3 controls"):
        write_zscores(cohort, tmp_path, least=2)
    cohort.path(cohort["sub-00004"], "flair").write_bytes(b"junk")
    with pytest.raises(CohortError, match="sub-00004_flair"):
        write_zscores(cohort, tmp_path)
    assert not files_of(tmp_path)
    assert not (tmp_path / RECORD).exists()
    assert not list(tmp_path.glob(".*"))
    keep = ("t1w", "transforms")
    bare = [replace(s, files={k: s.files[k] for k in keep}) for s in cohort.subjects]
    with pytest.raises(CohortError, match="no tissue file"):
        write_zscores(Cohort(tmp_path, tuple(bare)), tmp_path)
