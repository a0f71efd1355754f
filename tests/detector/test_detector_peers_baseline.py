"""baseline: its arithmetic by hand, and a cohort of tiny heads through it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort, tiny_grid

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import CohortError, GeometryError, LeakageError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.detector.peers.baseline import baseline
from fcdsynth.detector.peers.evidence import Evidence, height, in_robust_sd
from fcdsynth.detector.peers.standard import Standard, fit_logistic, highest_peaks

SD = 1.4826


def test_robust_sd_by_hand():
    assert np.allclose(in_robust_sd(np.arange(5.0)), np.array([-2, -1, 0, 1, 2]) / SD)
    assert not in_robust_sd(np.array([3.0, 3.0, 3.0, 9.0])).any()  # half are the same


def test_evidence_by_hand(tmp_path):
    """Five voxels each of cortex and white matter, one outside, nothing smoothed."""
    grid = Grid.of((11, 1, 1), np.diag([2.0, 2, 2, 1]))
    steps = np.arange(5.0)
    maps = {
        "tissue": [Tissue.CORTEX] * 5 + [Tissue.WHITE_MATTER] * 5 + [Tissue.CSF],
        "flair": [*(steps / 10), *(steps / 100 + 0.7), 1.0],
        "flair_mirror": [*(2 * steps), *(steps[::-1]), 99.0],
    }
    files = {}
    for key, values in maps.items():
        kind = np.uint8 if key == "tissue" else np.float32
        array = np.array(values).astype(kind).reshape(grid.shape)
        files[key] = write_volume(tmp_path / f"{key}.nii.gz", Volume(array, grid)).name
    subject = Subject("a", Group.PATIENT, Origin.REAL, files=files)
    cohort = Cohort(tmp_path, (subject,))
    one = Evidence("flair", 1.0, 0.0, 0.0).of(cohort, subject).array.ravel()
    steps_sd = (steps - 2) / SD  # whatever the tissue's own median and spread
    assert np.allclose(one[:10], [*steps_sd, *steps_sd], atol=1e-5)
    assert np.isnan(one[10])
    both = Evidence("flair", 1.0, 1.0, 0.0).of(cohort, subject).array.ravel()
    # Cortex adds up to 2 x (-2 .. 2), white matter to 0: half of ten values are 0 and more, so
    # the median deviation is that of the sorted 0 x 6, 2, 2, 4, 4: 0, and nothing can be said.
    assert not both[:10].any()
    more = Evidence("flair", 3.0, 1.0, 0.0).of(cohort, subject).array.ravel()
    # 4 x (-2 .. 2) and 2 x (-2 .. 2): deviations 0 0 2 2 4 4 4 4 8 8, median 4.
    assert np.allclose(more[:10], np.array([-8, -4, 0, 4, 8, -4, -2, 0, 2, 4]) / 4 / SD, atol=1e-5)


def test_evidence_is_smoothed_within_its_tissue(tmp_path):
    grid = tiny_grid(size=12, spacing_mm=2.0)
    tissue = np.full(grid.shape, Tissue.CORTEX, np.uint8)
    tissue[6:] = Tissue.WHITE_MATTER
    rng = np.random.default_rng(0)
    image = rng.normal(0.5, 0.01, grid.shape).astype(np.float32)
    image[6:] += 100  # never reaches the cortex
    image[2, 6, 6] = 0.8
    files = {key: write_volume(tmp_path / f"{key}.nii.gz", Volume(array, grid)).name
             for key, array in (("tissue", tissue), ("flair", image))}  # fmt: skip
    subject = Subject("a", Group.CONTROL, Origin.REAL, files=files)
    map_ = Evidence("flair", 1.0, 0.0, 6.0).of(Cohort(tmp_path, (subject,)), subject)
    assert np.unravel_index(np.argmax(map_.array), grid.shape) == (2, 6, 6)
    assert abs(map_.array[5].mean()) < 1


def test_height_is_that_of_the_highest_tenth_of_a_millilitre():
    values = np.array([1.0, 7.0, np.nan, 5.0, 3.0], np.float32).reshape(5, 1, 1)
    assert height(Volume(values, Grid.of((5, 1, 1), np.diag([5.0, 5, 4, 1])))) == 7  # 0.1 ml each
    assert height(Volume(values, Grid.of((5, 1, 1), np.diag([5.0, 5, 2, 1])))) == 6
    assert height(Volume(values * np.nan, Grid.of((5, 1, 1), np.eye(4)))) == 0


def test_the_yardstick_by_hand():
    assert Standard.of_controls([9, 4, 5, 5, 6]) == Standard(5.0, SD)  # deviations 4 1 0 0 1
    assert Standard.of_controls([5.0] * 6) == Standard(5.0, 0.25)
    assert Standard.of_controls([9, 9, 9, 9]) == Standard()


def test_probability_by_hand():
    values = np.array([4.0, 4 + 2 * np.log(3), 4 - 2 * np.log(3), np.nan], np.float32)
    evidence = Volume(values.reshape(4, 1, 1), Grid.of((4, 1, 1), np.eye(4)))
    found = Standard(4.0, 2.0).probability(evidence).array.ravel()
    assert np.allclose(found, [0.5, 0.75, 0.25, 0], atol=1e-6)
    assert found[3] == 0
    found = Standard(4.0, 2.0, slope=2.0, intercept=-np.log(3)).probability(evidence).array.ravel()
    assert np.allclose(found[:2], [0.25, 0.75], atol=1e-6)  # odds 1/3, and 9/3
    assert Standard().logits(evidence).ravel()[3] == -20


def test_peaks_are_apart_and_highest_first():
    logits = np.full((30, 6, 6), -5.0, np.float32)
    brain = np.ones(logits.shape, bool)
    logits[3, 3, 3], logits[5, 3, 3], logits[20, 3, 3], logits[28, 1, 1] = 2, 1, 3, 9
    brain[28, 1, 1] = False
    peaks = highest_peaks(logits, brain, (2.0, 2.0, 2.0))  # 2 voxels to each side
    assert peaks[:2].tolist() == [[20, 3, 3], [3, 3, 3]]
    assert [5, 3, 3] not in peaks.tolist()
    assert [28, 1, 1] not in peaks.tolist()
    assert len(peaks) == 20


def test_a_logistic_is_recovered():
    rng = np.random.default_rng(3)
    values = rng.normal(0, 2, 20_000)
    hits = rng.random(values.size) < 1 / (1 + np.exp(-(0.8 * values - 1)))
    assert fit_logistic(values, hits) == pytest.approx((0.8, -1.0), abs=0.05)
    assert fit_logistic(-values, hits)[0] == pytest.approx(0.1)  # higher never counts less
    assert fit_logistic(values, np.zeros(values.size, bool)) is None
    assert fit_logistic(values, np.ones(values.size, bool)) is None


SPLITS = {
    "sub-00001": Split.VAL, "sub-00002": Split.TEST, "sub-00003": Split.TRAIN,
    **{f"sub-{n:05d}": Split.TRAIN for n in range(4, 9)},
    "sub-00009": Split.VAL, "sub-00010": Split.TEST,
}  # fmt: skip


def heads(folder, splits):
    """3 patients and 7 controls with maps of the difference from the mirrored side."""
    cohort = prepared_cohort(folder, patients=3, controls=7, splits=splits)
    rows = []
    for subject in cohort.subjects:
        flair = read_volume(cohort.path(subject, "flair"))
        mirror = Volume((flair.array - flair.array[::-1]) / 0.1, flair.grid)
        name = f"{subject.id}/{subject.id}_flair_mirror.nii.gz"
        write_volume(folder / name, mirror)
        rows.append(replace(subject, files={**subject.files, "flair_mirror": name}))
    cohort = replace(cohort, subjects=tuple(rows))
    cohort.write()
    return cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return heads(tmp_path_factory.mktemp("cohort"), SPLITS)


@pytest.fixture(scope="module")
def out(cohort, tmp_path_factory):
    return baseline(str(cohort.folder), str(tmp_path_factory.mktemp("baseline") / "out"))


def table(cohort, folder, change):
    """The cohort's table in another folder, rows changed."""
    rows = [change(s) for s in cohort.moved(folder).subjects]
    replace(cohort, folder=folder, subjects=tuple(r for r in rows if r)).write()
    return str(folder)


def test_a_bright_lesion_is_found(cohort, out):
    found = Detections.read(out)
    assert found.subjects == ("sub-00002", "sub-00010")
    best = found.of("sub-00002")[0]
    lesion = read_mask(cohort.path(cohort["sub-00002"], "lesion")).array
    cluster = read_labels(found.clusters_path("sub-00002")).array == best.cluster
    assert cluster.any()
    assert lesion[cluster].mean() > 0.5
    assert best.side == "L"
    assert best.flair_contrast > 0.5  # as detect says it: 2.5 SD where the lesion is
    assert all(c.score < best.score for c in (*found.of("sub-00002")[1:], *found.of("sub-00010")))
    map_ = read_volume(found.probability_path("sub-00002")).array
    tissue = read_labels(cohort.path(cohort["sub-00002"], "tissue")).array
    assert not map_[~np.isin(tissue, [Tissue.CORTEX, Tissue.WHITE_MATTER])].any()


def test_the_record_says_what_was_decided_on(out):
    found = Detections.read(out)
    assert found.trained_on == tuple(f"sub-{n:05d}" for n in range(4, 9))
    assert found.operating_point.chosen_on == ("sub-00001", "sub-00009")
    record = json.loads((out / "baseline.json").read_text())
    heights = list(record["controls"].values())
    assert list(record["controls"]) == list(found.trained_on)
    middle = np.median(heights)
    spread = max(SD * np.median(np.abs(heights - middle)), 0.25)
    assert record["standard"]["height"] == pytest.approx(middle, abs=1e-4)
    assert record["standard"]["spread"] == pytest.approx(spread, abs=1e-3)
    assert record["evidence"]["flair_key"] == "flair"
    assert record["operating_point"]["threshold"] == found.operating_point.threshold


def test_test_subjects_decide_nothing(cohort, out, tmp_path):
    def change(subject):
        bright = {**subject.files, "flair": cohort["sub-00001"].files["flair"],
                  "lesion": ""}  # fmt: skip
        moved = cohort.moved(tmp_path / "c")["sub-00001"].files["flair"]
        return replace(subject, files={**bright, "flair": moved}) \
            if subject.split is Split.TEST else subject  # fmt: skip

    other = baseline(table(cohort, tmp_path / "c", change), str(tmp_path / "out"))
    assert (other / "baseline.json").read_bytes() == (out / "baseline.json").read_bytes()
    assert (other / "detections.csv").read_bytes() != (out / "detections.csv").read_bytes()


def test_without_training_and_validation_fixed_values_hold(cohort, tmp_path):
    def change(subject):
        return subject if subject.split is Split.TEST else replace(subject, split=Split.NONE)

    out = baseline(table(cohort, tmp_path / "c", change), str(tmp_path / "out"))
    record = json.loads((out / "baseline.json").read_text())
    assert record["standard"] == {"height": 5.0, "spread": 0.5, "slope": 1.0, "intercept": 0.0}
    assert record["controls"] == {}
    found = Detections.read(out)
    point = found.operating_point
    assert (point.threshold, point.min_volume_ml, point.chosen_on) == (0.5, 0.1, ())
    assert found.trained_on == ()


def test_z_scores_are_used_where_everyone_has_them(cohort, tmp_path):
    def all_have(subject):
        return replace(subject, files={**subject.files, "flair_z": subject.files["flair_mirror"]})

    def one_lacks(subject):
        return subject if subject.id == "sub-00010" else all_have(subject)

    for number, (change, key) in enumerate(((all_have, "flair_z"), (one_lacks, "flair"))):
        folder = table(cohort, tmp_path / f"c{number}", change)
        out = baseline(folder, str(tmp_path / f"out{number}"))
        assert json.loads((out / "baseline.json").read_text())["evidence"]["flair_key"] == key


def test_given_settings_replace_the_chosen_ones(cohort, tmp_path):
    out = baseline(str(cohort.folder), str(tmp_path / "out"), threshold=0.25, min_volume_ml=1.0)
    point = Detections.read(out).operating_point
    assert (point.threshold, point.min_volume_ml) == (0.25, 1.0)


def test_a_stopped_run_goes_on(cohort, out, tmp_path, monkeypatch):
    import fcdsynth.detector.findings as room
    import fcdsynth.detector.peers.baseline as verb

    whole, calls, tuned = room.find_clusters, [], []

    def stops(subject, *rest):
        calls.append(subject)
        if len(calls) == 2:
            raise RuntimeError("the power went")
        return whole(subject, *rest)

    real = verb.tune
    monkeypatch.setattr(room, "find_clusters", stops)
    monkeypatch.setattr(verb, "tune", lambda *words: tuned.append(1) or real(*words))
    with pytest.raises(RuntimeError):
        baseline(str(cohort.folder), str(tmp_path / "out"))
    again = baseline(str(cohort.folder), str(tmp_path / "out"))
    assert calls == ["sub-00002", "sub-00010", "sub-00010"]
    assert tuned == [1]
    for path in out.rglob("*"):
        if path.is_file() and path.name != "provenance.json":
            assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


@pytest.mark.parametrize("key", ["flair_mirror", "tissue", "t1w_native"])
def test_missing_files_are_named(cohort, tmp_path, key):
    def change(subject):
        lacks = {**subject.files, key: ""}
        return replace(subject, files=lacks) if subject.id == "sub-00010" else subject

    with pytest.raises(CohortError, match=f"sub-00010: found no {key} file"):
        baseline(table(cohort, tmp_path / "c", change), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_mirror_is_not_needed_without_its_weight(cohort, tmp_path):
    folder = table(cohort, tmp_path / "c",
                   lambda s: replace(s, files={**s.files, "flair_mirror": ""}))  # fmt: skip
    out = baseline(folder, str(tmp_path / "out"), asymmetry_weight=0.0)
    assert Detections.read(out).of("sub-00002")


def test_two_grids_in_one_subject_are_refused(cohort, tmp_path):
    other = tiny_grid(spacing_mm=5.0)
    (tmp_path / "c").mkdir()
    write_volume(tmp_path / "c" / "x.nii.gz", Volume(np.zeros(other.shape), other))

    def change(subject, key):
        wrong = {**subject.files, key: "x.nii.gz"}
        return replace(subject, files=wrong) if subject.id == "sub-00001" else subject

    for key in ("flair", "lesion"):
        with pytest.raises(GeometryError, match=f"sub-00001 {key}: found 24 x 24 x 24"):
            baseline(table(cohort, tmp_path / "c", lambda s, key=key: change(s, key)),
                     str(tmp_path / "out"))  # fmt: skip


def test_controls_of_the_yardstick_are_not_judged(cohort, tmp_path):
    with pytest.raises(LeakageError, match="sub-00004 in the controls of the yardstick"):
        baseline(str(cohort.folder), str(tmp_path / "out"), split="train")

    def change(subject):
        parents = (Parent("sub-00005", Role.HOST),)
        return replace(subject, parents=parents) if subject.id == "sub-00010" else subject

    with pytest.raises(LeakageError, match="sub-00010: found sub-00005 in the controls"):
        baseline(table(cohort, tmp_path / "c", change), str(tmp_path / "out"))


def test_synthetic_controls_are_no_yardstick(cohort, tmp_path):
    def change(subject):
        return replace(subject, origin=Origin.SYNTHETIC) if subject.id == "sub-00004" else subject

    out = baseline(table(cohort, tmp_path / "c", change), str(tmp_path / "out"))
    assert Detections.read(out).trained_on == ()  # four are too few


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"flair_weight": -1.0}, "flair_weight, asymmetry_weight: found -1.0, 1.0"),
        ({"flair_weight": 0.0, "asymmetry_weight": 0.0}, "not both 0"),
        ({"smooth_fwhm_mm": -2.0}, "smooth_fwhm_mm: found -2.0"),
        ({"threshold": 1.0}, "threshold: found 1.0"),
        ({"min_volume_ml": -0.1}, "min_volume_ml: found -0.1"),
        ({"split": "tset"}, "split: found tset"),
    ],
)
def test_bad_settings_are_refused(cohort, tmp_path, settings, text):
    with pytest.raises(SettingsError, match=text):
        baseline(str(cohort.folder), str(tmp_path / "out"), **settings)


def test_the_door_opens(cohort, out, tmp_path, monkeypatch):
    verb = ("fcdsynth.detector.peers.baseline", "find lesions without training")
    monkeypatch.setitem(cli.VERBS, "baseline", verb)
    words = ["baseline", str(cohort.folder), str(tmp_path / "out"), "--threshold", "0.5"]
    assert cli.main(words) == 0
    assert Detections.read(tmp_path / "out").operating_point.threshold == 0.5
