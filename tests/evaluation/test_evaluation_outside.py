"""Maps of other tools: which file is whose, what it may hold, and what clusters it gives."""

import json
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections, OperatingPoint
from fcdsynth.core.errors import CohortError, GeometryError, LeakageError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.core.volume import Volume, canonical, write_volume
from fcdsynth.evaluation.empty import Case
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.outside.cut import Outside, cut, is_outside
from fcdsynth.evaluation.outside.mapfiles import find_maps
from fcdsynth.evaluation.outside.scoretable import read_scores
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.source import read_source

# 2 mm voxels of 0.008 ml; the first voxel's centre lies at (-20, -20, -20) mm.
GRID = Grid.of((20, 20, 20), np.array(
    [[2.0, 0, 0, -20], [0, 2.0, 0, -20], [0, 0, 2.0, -20], [0, 0, 0, 1]]))  # fmt: skip


def cohort_of(folder, *rows):
    """Rows are ids, or (id, split)."""
    pairs = [(row, Split.NONE) if isinstance(row, str) else row for row in rows]
    return Cohort(
        Path(folder),
        tuple(Subject(i, Group.PATIENT, Origin.REAL, split=Split(s)) for i, s in pairs),
    )


def touch(folder, *names):
    for name in names:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path(folder)


def written(folder, array, grid=GRID, name="sub-1.nii.gz"):
    return write_volume(Path(folder) / name, Volume(array, grid))


def how(kind, folder=".", **changes):
    return Outside(Path(folder), {}, kind, **changes)


class TestFinding:
    @pytest.mark.parametrize(
        "name",
        [
            "sub-1.nii.gz",
            "sub-1.nii",
            "sub-1_prediction.nii.gz",
            "1.nii.gz",
            "1_prediction.nii",
            "sub-1/map.nii.gz",
            "sub-1/predictions/prediction.nii.gz",
            "1/map.nii",
        ],
    )
    @pytest.mark.parametrize("own", ["sub-1", "1"])
    def test_layouts_with_and_without_the_prefix(self, tmp_path, name, own):
        maps, unknown = find_maps(touch(tmp_path, name), cohort_of(tmp_path, own))
        assert maps == {own: tmp_path / name}
        assert unknown == ()

    def test_an_id_that_begins_another_does_not_take_its_map(self, tmp_path):
        touch(tmp_path, "P_1_prob.nii.gz", "P_1_2_prob.nii.gz", "P_10.nii.gz")
        maps, unknown = find_maps(tmp_path, cohort_of(tmp_path, "P_1", "P_1_2", "P_10"))
        assert {k: v.name for k, v in maps.items()} == {
            "P_1": "P_1_prob.nii.gz", "P_1_2": "P_1_2_prob.nii.gz", "P_10": "P_10.nii.gz",
        }  # fmt: skip
        assert unknown == ()

    def test_what_is_unknown_hidden_or_no_image_is_told_apart(self, tmp_path):
        touch(tmp_path, "sub-1.nii.gz", "sub-9.nii.gz", "sub-8/a.nii.gz", "._sub-1.nii.gz",
              ".cache/sub-1.nii.gz", "sub-1.json", "notes.txt", "sub-7/readme.txt",
              "sub-1/.sub-1.nii.gz", "sub-1/info.csv")  # fmt: skip
        maps, unknown = find_maps(tmp_path, cohort_of(tmp_path, "sub-1", "sub-2"))
        assert list(maps) == ["sub-1"]
        assert unknown == ("sub-8", "sub-9.nii.gz")

    def test_several_candidates_are_named_and_a_pattern_narrows_them(self, tmp_path):
        folder = touch(tmp_path / "out", "sub-1/predictions/prediction.nii.gz",
                       "sub-1/predictions/lh.prediction.nii.gz",
                       "sub-1/predictions/rh.prediction.nii.gz")  # fmt: skip
        cohort = cohort_of(tmp_path, "sub-1")
        with pytest.raises(CohortError, match=r"3 maps .*lh\.prediction.*--pattern"):
            find_maps(folder, cohort)
        with pytest.raises(CohortError, match="3 maps"):
            find_maps(folder, cohort, "*prediction*")
        maps, _ = find_maps(folder, cohort, "prediction.nii.gz")
        assert maps["sub-1"].name == "prediction.nii.gz"
        maps, _ = find_maps(folder, cohort, "*/rh.*")
        assert maps["sub-1"].name == "rh.prediction.nii.gz"

    @pytest.mark.parametrize("twin", ["1.nii.gz", "sub-1.nii", "sub-1/a.nii.gz", "1_b.nii.gz"])
    def test_two_files_of_one_subject_are_refused(self, tmp_path, twin):
        touch(tmp_path, "sub-1.nii.gz", twin)
        with pytest.raises(CohortError, match="sub-1: found 2 maps"):
            find_maps(tmp_path, cohort_of(tmp_path, "sub-1"))

    def test_ids_that_differ_only_by_the_prefix_are_refused(self, tmp_path):
        touch(tmp_path, "sub-1.nii.gz")
        with pytest.raises(CohortError, match="differ only by 'sub-'"):
            find_maps(tmp_path, cohort_of(tmp_path, "sub-1", "1"))

    def test_no_map_at_all_says_what_was_there(self, tmp_path):
        touch(tmp_path, "case7.nii.gz")
        with pytest.raises(RunError, match=r"no NIfTI maps of any of 1 subjects.*case7"):
            find_maps(tmp_path, cohort_of(tmp_path, "sub-1"))
        touch(tmp_path, "sub-1.nii.gz")
        with pytest.raises(RunError, match="that match 'x'"):
            find_maps(tmp_path, cohort_of(tmp_path, "sub-1"), "x")
        with pytest.raises(RunError, match="no such folder"):
            find_maps(tmp_path / "absent", cohort_of(tmp_path, "sub-1"))

    def test_training_subjects_are_left_aside_or_refused(self, tmp_path):
        touch(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz")
        split = cohort_of(tmp_path, ("a", "train"), ("b", "test"), ("c", "none"))
        assert list(find_maps(tmp_path, split)[0]) == ["b", "c"]
        with pytest.raises(LeakageError, match="a: found maps of 1 subjects of the split train"):
            find_maps(tmp_path, cohort_of(tmp_path, ("a", "train"), "b", "c"))

    def test_a_folder_of_detect_is_not_outside(self, tmp_path):
        assert is_outside(tmp_path)
        Detections(tmp_path, ("sub-1",), (), OperatingPoint()).write_tables()
        assert not is_outside(tmp_path)
        (tmp_path / "detections.csv").unlink()
        (tmp_path / "subjects.csv").unlink()
        assert not is_outside(tmp_path), "a damaged folder of detect is not another tool's"

    def test_reading_a_folder_says_whose_maps_are_strange(self, tmp_path):
        touch(tmp_path, "sub-2.nii.gz", "x.nii.gz")
        found = Outside.read(tmp_path, cohort_of(tmp_path, "sub-1", "sub-2"), "binary", 0.3, 0.2)
        assert found.maps == {"sub-2": tmp_path / "sub-2.nii.gz"}
        assert found.unknown == ("x.nii.gz",)
        assert (found.kind, found.threshold, found.min_volume_ml) == ("binary", 0.3, 0.2)
        assert not found.ranked

    @pytest.mark.parametrize(
        ("key", "changes"),
        [
            ("maps", {"kind": "logits"}),
            ("threshold", {"threshold": 0.0}),
            ("threshold", {"threshold": 1.5}),
            ("threshold", {"threshold": float("nan")}),
            ("min_volume_ml", {"min_volume_ml": -0.1}),
            ("min_volume_ml", {"min_volume_ml": float("inf")}),
            ("min_volume_ml", {"min_volume_ml": float("nan")}),
        ],
    )
    def test_settings_are_checked_first(self, tmp_path, key, changes):
        with pytest.raises(SettingsError) as caught:
            Outside.read(tmp_path / "absent", cohort_of(tmp_path, "a"), **changes)
        assert caught.value.subject == key


class TestProbability:
    def two_peaks(self):
        # 27 voxels of 0.008 ml are 0.216 ml; 8 voxels are 0.064 ml.
        array = np.full(GRID.shape, 0.02, np.float32)
        array[2:5, 2:5, 2:5] = 0.6
        array[14:16, 10:12, 10:12] = 0.9
        return array

    def test_clusters_scores_and_places(self, tmp_path):
        given = cut("sub-1", written(tmp_path, self.two_peaks()), how("probability", threshold=0.5,
                    min_volume_ml=0.0))  # fmt: skip
        small, big = given.detections
        # The score is the mean of the most probable 0.1 ml, 12 or 13 voxels: all of them alike.
        assert small.score == pytest.approx(0.9)
        assert big.score == pytest.approx(0.6)
        assert (small.size_vox, big.size_vox) == (8, 27)
        assert big.volume_ml == pytest.approx(27 * 0.008)
        # Centre of voxels 2 to 4 is 3, at -20 + 2 x 3 = -14; of 14 and 15 it is 14.5, at +9.
        assert big.centre_mm == pytest.approx((-14, -14, -14))
        assert small.centre_mm == pytest.approx((9, 1, 1))
        assert (small.side, big.side) == ("R", "L")
        assert (given.clusters.array == big.cluster).sum() == 27
        assert given.probability.array[0, 0, 0] == pytest.approx(0.02)

    def test_threshold_is_reached_and_small_clusters_are_dropped(self, tmp_path):
        path = written(tmp_path, self.two_peaks())
        at = cut("sub-1", path, how("probability", threshold=0.6, min_volume_ml=0.063))
        assert [d.size_vox for d in at.detections] == [8, 27]
        above = cut("sub-1", path, how("probability", threshold=0.61, min_volume_ml=0.0))
        assert [d.size_vox for d in above.detections] == [8]
        large = cut("sub-1", path, how("probability", min_volume_ml=0.1))
        assert [d.size_vox for d in large.detections] == [27]
        assert set(np.unique(large.clusters.array)) == {0, 1}

    def test_the_orientation_of_the_file_does_not_matter(self, tmp_path):
        array = self.two_peaks()
        flipped = GRID.matrix.copy()
        flipped[:3, 0], flipped[:3, 3] = [-2, 0, 0], GRID.to_mm([19, 0, 0])
        a = cut("sub-1", written(tmp_path / "a", array), how("probability", min_volume_ml=0))
        b = cut("sub-1", written(tmp_path / "b", array[::-1].copy(), Grid.of(GRID.shape, flipped)),
                how("probability", min_volume_ml=0))  # fmt: skip
        for one, other in zip(a.detections, b.detections, strict=True):
            assert one.centre_mm == pytest.approx(other.centre_mm)
            assert one.score == pytest.approx(other.score)
        assert (canonical(b.clusters).array == a.clusters.array).all()

    def test_an_empty_map_gives_nothing(self, tmp_path):
        for kind in ("probability", "binary", "labels"):
            given = cut("sub-1", written(tmp_path, np.zeros(GRID.shape, np.float32)), how(kind))
            assert given.detections == ()
            assert not given.clusters.array.any()
            assert (given.probability is None) == (kind != "probability")

    def test_rounding_beyond_one_is_clipped_and_no_more(self, tmp_path):
        array = self.two_peaks()
        array[2, 2, 2], array[0, 0, 0] = 1.00005, -0.00005
        given = cut("sub-1", written(tmp_path, array), how("probability"))
        assert given.probability.array.max() == 1
        assert given.probability.array.min() == 0

    @pytest.mark.parametrize(
        ("change", "found", "remedy"),
        [
            (lambda a: a * 10 - 3, "values from -2.8 to 6", "sigmoid"),
            (lambda a: a * 90, "values from 1.8 to 81", "Divide percent"),
            (lambda a: np.rint(a * 3), "values from 0 to 3", "--maps labels"),
            (lambda a: (a > 0.5) * 1.0, "a binary map", "--maps binary"),
            (lambda a: (a > 0.5) * 255.0, "values from 0 to 255", "--maps binary"),
            (lambda a: (a > 0.5) * 0.7, "0 and 0.7 alone", "--maps binary"),
        ],
    )
    def test_what_is_no_probability_is_refused(self, tmp_path, change, found, remedy):
        path = written(tmp_path, change(self.two_peaks()).astype(np.float32))
        with pytest.raises(CohortError) as caught:
            cut("sub-1", path, how("probability"))
        assert caught.value.subject == "sub-1 map"
        assert found in caught.value.found
        assert remedy in caught.value.remedy

    @pytest.mark.parametrize("kind", ["probability", "binary", "labels"])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_nan_is_refused_by_every_kind(self, tmp_path, kind, value):
        array = np.zeros(GRID.shape, np.float32)
        array[3, 3, 3] = value
        with pytest.raises(CohortError, match=r"sub-1 map .*1 voxels that are NaN or infinite"):
            cut("sub-1", written(tmp_path, array), how(kind))

    def test_noise_that_makes_too_many_clusters_is_refused(self, tmp_path):
        array = np.zeros((70, 70, 70), np.float32)
        array[::2, ::2, ::2] = 0.9  # 35^3 = 42,875 lone voxels
        array[1, 1, 1] = 0.1
        path = written(tmp_path, array, Grid.of(array.shape, np.eye(4)))
        with pytest.raises(SettingsError, match="more than 32767 clusters in the map of sub-1"):
            cut("sub-1", path, how("probability", min_volume_ml=0))


class TestBinary:
    @pytest.mark.parametrize("top", [1, 255, 0.5])
    def test_components_score_one(self, tmp_path, top):
        array = np.zeros(GRID.shape, np.float32)
        array[2:5, 2:5, 2:5] = top
        array[5, 5, 5] = top  # touches by a corner: 26-connected, 28 voxels
        array[10:12, 10:12, 10:12] = top
        given = cut("sub-1", written(tmp_path, array), how("binary", min_volume_ml=0, threshold=1))
        assert [(d.size_vox, d.score) for d in given.detections] == [(28, 1), (8, 1)]
        assert given.probability is None
        large = cut("sub-1", written(tmp_path, array), how("binary", min_volume_ml=0.1))
        assert [d.size_vox for d in large.detections] == [28]

    @pytest.mark.parametrize(
        ("values", "remedy"),
        [((0.2, 0.9), "--maps probability"), ((1, 2), "--maps labels"), ((-1, 1), "probability")],
    )
    def test_more_than_two_values_are_refused(self, tmp_path, values, remedy):
        array = np.zeros(GRID.shape, np.float32)
        array[2], array[5] = values
        with pytest.raises(CohortError) as caught:
            cut("sub-1", written(tmp_path, array), how("binary"))
        assert remedy in caught.value.remedy


class TestLabels:
    def labels(self, **boxes):
        array = np.zeros(GRID.shape, np.int16)
        for name, box in boxes.items():
            array[box] = int(name[1:])
        return array

    def two(self):
        return self.labels(_3=np.s_[2:5, 2:5, 2:5], _7=np.s_[14:16, 10:12, 10:12])

    def test_labels_keep_their_numbers_and_score_one(self, tmp_path):
        given = cut("sub-1", written(tmp_path, self.two()), how("labels", min_volume_ml=0))
        found = [(d.cluster, d.size_vox, d.score) for d in given.detections]
        assert found == [(3, 27, 1), (7, 8, 1)]
        assert given.detections[0].centre_mm == pytest.approx((-14, -14, -14))
        assert (given.clusters.array == self.two()).all()
        assert not how("labels").ranked

    def test_scores_order_the_clusters(self, tmp_path):
        scored = how("labels", min_volume_ml=0, scores={"sub-1": {3: 0.2, 7: 0.8}})
        given = cut("sub-1", written(tmp_path, self.two()), scored)
        assert [(d.cluster, d.score) for d in given.detections] == [(7, 0.8), (3, 0.2)]
        assert scored.ranked

    def test_small_labels_are_dropped_after_the_tables_were_compared(self, tmp_path):
        scored = how("labels", min_volume_ml=0.1, scores={"sub-1": {3: 0.2, 7: 0.8}})
        given = cut("sub-1", written(tmp_path, self.two()), scored)
        assert [d.cluster for d in given.detections] == [3]
        assert set(np.unique(given.clusters.array)) == {0, 3}

    def test_one_label_in_two_pieces_is_one_cluster(self, tmp_path):
        array = self.labels(_1=np.s_[2:4, 2:4, 2:4])
        array[10:12, 2:4, 2:4] = 1
        given = cut("sub-1", written(tmp_path, array), how("labels"))
        assert [d.size_vox for d in given.detections] == [16]

    @pytest.mark.parametrize(
        ("scores", "words"),
        [({3: 0.2}, r"\[7\] only in the map"), ({3: 0.2, 7: 0.1, 9: 0.3}, r"\[9\] only in the tab"),
         ({}, r"\[3, 7\] only in the map")],
    )  # fmt: skip
    def test_table_and_map_must_agree(self, tmp_path, scores, words):
        path = written(tmp_path, self.two())
        with pytest.raises(RunError, match=words):
            cut("sub-1", path, how("labels", scores={"sub-1": scores}))

    def test_meld_marks_are_joined_with_their_cluster(self, tmp_path):
        # Cluster 1 of 27 voxels, 8 of them marked 100; cluster 2 of 8 voxels, all marked.
        array = self.labels(_1=np.s_[2:5, 2:5, 2:5], _100=np.s_[2:4, 2:4, 2:4],
                            _200=np.s_[14:16, 10:12, 10:12])  # fmt: skip
        path = written(tmp_path, array)
        given = cut("sub-1", path, how("labels", min_volume_ml=0))
        assert [(d.cluster, d.size_vox) for d in given.detections] == [(1, 27), (2, 8)]
        scored = how("labels", min_volume_ml=0, scores={"sub-1": {1: 0.3, 2: 0.6}})
        assert [d.cluster for d in cut("sub-1", path, scored).detections] == [2, 1]
        named = how("labels", min_volume_ml=0, scores={"sub-1": {1: 0.3, 100: 0.2, 200: 0.1}})
        assert [d.size_vox for d in cut("sub-1", path, named).detections] == [19, 8, 8]

    @pytest.mark.parametrize("numbers", [range(1, 101), (1, 150), (1, 100, 101)])
    def test_other_large_labels_are_not_taken_for_marks(self, tmp_path, numbers):
        array = np.zeros(GRID.shape, np.int16)
        for place, number in enumerate(numbers):
            array[tuple(2 * np.array(np.unravel_index(place, (9, 9, 9))))] = number
        given = cut("sub-1", written(tmp_path, array), how("labels", min_volume_ml=0))
        assert sorted(d.cluster for d in given.detections) == sorted(numbers)

    @pytest.mark.parametrize("value", [0.5, -1, 40000])
    def test_what_is_no_label_is_refused(self, tmp_path, value):
        array = np.zeros(GRID.shape, np.float32)
        array[2], array[4] = 1, value
        with pytest.raises(CohortError, match=r"sub-1 map: found values from .* whole numbers"):
            cut("sub-1", written(tmp_path, array), how("labels"))


class TestScores:
    def test_csv_and_json_say_the_same(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        rows = [("sub-1", 1, 0.5), ("1", 2, 0.25), ("other", 1, 1)]
        (tmp_path / "a/clusters.csv").write_text(
            "cluster,subject,score,note\n" + "".join(f"{c},{s},{p},x\n" for s, c, p in rows)
        )
        (tmp_path / "b/clusters.json").write_text(
            json.dumps([{"subject": s, "cluster": c, "score": p} for s, c, p in rows])
        )
        for name in "ab":
            table = read_scores(tmp_path / name)
            assert table["sub-1"] == table["1"] == {1: 0.5, 2: 0.25}
            assert table.get("sub-2") == {}, "a subject without a row has no scored cluster"
        assert read_scores(tmp_path) is None

    def test_only_labels_read_the_table(self, tmp_path):
        touch(tmp_path, "sub-1.nii.gz")
        (tmp_path / "clusters.csv").write_text("subject,cluster,score\nsub-1,1,0.5\n")
        cohort = cohort_of(tmp_path, "sub-1")
        assert Outside.read(tmp_path, cohort, "labels").scores["sub-1"] == {1: 0.5}
        assert Outside.read(tmp_path, cohort, "binary").scores is None

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("subject;cluster;score\n1;1;0.5\n", "records with subject, cluster, score"),
            ("", "records with subject"),
            ("subject,cluster,score\n1,1,87\n", "record 1: found score '87'.*Divide percent"),
            ("subject,cluster,score\n1,1,nan\n", "score 'nan'"),
            ("subject,cluster,score\n1,1,\n", "cluster '1' with score ''"),
            ("subject,cluster,score\n1,1\n", "with score None"),
            ("subject,cluster,score\n1,1.5,0.5\n", "cluster '1.5'"),
            ("subject,cluster,score\n1,0,0.5\n", "cluster '0'"),
            ("subject,cluster,score\n1,inf,0.5\n", "cluster 'inf'"),
            ("subject,cluster,score\n1,1,0.5\nsub-1,1,0.6\n", "record 2.*second time"),
        ],
    )
    def test_bad_tables_are_refused(self, tmp_path, text, words):
        (tmp_path / "clusters.csv").write_text(text)
        with pytest.raises(RunError, match=words):
            read_scores(tmp_path)

    @pytest.mark.parametrize("text", ["{", "3", "[3]", '{"1": {"1": 0.5}}', '[{"subject": 1}]'])
    def test_bad_json_is_refused(self, tmp_path, text):
        (tmp_path / "clusters.json").write_text(text)
        with pytest.raises(RunError, match="records with subject"):
            read_scores(tmp_path)

    def test_two_tables_are_refused(self, tmp_path):
        touch(tmp_path, "clusters.csv", "clusters.json")
        with pytest.raises(RunError, match=r"found clusters\.csv and clusters\.json"):
            read_scores(tmp_path)


class TestScoringATable:
    """A table with the fewest columns, maps in a folder, and the records that come of it."""

    HIT, MISS = np.s_[2:5, 2:5, 2:5], np.s_[14:16, 10:12, 10:12]

    def world(self, folder, kind, patient="lesion_t1w"):
        maps = folder / "maps"
        value = {"probability": (0.9, 0.6), "binary": (1, 1), "labels": (4, 2)}[kind]
        for name, boxes in (("p", (self.HIT, self.MISS)), ("c", (self.MISS,))):
            array = np.full(GRID.shape, 0.01 if kind == "probability" else 0, np.float32)
            for box, number in zip(boxes, value, strict=False):
                array[box] = number
            written(maps, array, name=f"{name}.nii.gz")
        mask = np.zeros(GRID.shape, np.uint8)
        mask[2:5, 2:5, 1:4] = 1
        written(folder, mask, name="mask.nii.gz")
        (folder / "table.csv").write_text(
            f"id,group,origin,{patient}\nsub-p,patient,real,mask.nii.gz\nsub-c,control,real,\n"
        )
        return maps, Cohort.read(folder / "table.csv")

    def tasks(self, maps, cohort, **cutting):
        source = read_source("tool", maps, cohort, **cutting)
        return [Scoring.of(cohort[i], cohort, source.maps[i]) for i in source.maps]

    @pytest.mark.parametrize("kind", ["probability", "binary", "labels"])
    def test_every_kind_counts_the_same_hit_and_the_same_false_positives(self, tmp_path, kind):
        patient, control = (
            score_subject(task)
            for task in self.tasks(*self.world(tmp_path, kind), kind=kind, min_volume_ml=0.0)
        )
        assert len(patient.lesions) == 1
        # Of 27 cluster and 27 lesion voxels 18 are shared: Dice 2 x 18 / 54.
        fate = patient.lesions[0].found[Rule.OVERLAP]
        assert fate.dice == pytest.approx(2 / 3)
        for rule in (Rule.OVERLAP, Rule.IOU, Rule.CENTRE):
            assert patient.n_found(rule) == 1
            assert patient.n_role(rule, Role.FALSE) == 1
            assert control.n_role(rule, Role.FALSE) == 1
        best = {"probability": 0.9, "binary": 1, "labels": 1}[kind]
        assert patient.score == pytest.approx(best)
        assert patient.ranked == (kind == "probability")
        site = patient.lesions[0].site
        if kind == "probability":
            # 18 voxels of 0.9 and 9 of 0.01.
            assert site.mean == pytest.approx((18 * 0.9 + 9 * 0.01) / 27, rel=1e-5)
        else:
            assert site is None

    def test_a_score_table_ranks_labels(self, tmp_path):
        maps, cohort = self.world(tmp_path, "labels")
        (maps / "clusters.csv").write_text("subject,cluster,score\np,4,0.3\np,2,0.7\nc,4,0.1\n")
        tasks = self.tasks(maps, cohort, kind="labels", min_volume_ml=0.0)
        patient, control = (score_subject(task) for task in tasks)
        assert patient.ranked
        assert [(c.cluster, c.score) for c in patient.clusters] == [(2, 0.7), (4, 0.3)]
        assert control.score == pytest.approx(0.1)

    def test_clusters_of_a_subject_without_a_row_are_refused(self, tmp_path):
        maps, cohort = self.world(tmp_path, "labels")
        (maps / "clusters.csv").write_text("subject,cluster,score\np,4,0.3\np,2,0.7\n")
        _, control = self.tasks(maps, cohort, kind="labels", min_volume_ml=0.0)
        with pytest.raises(RunError, match=r"sub-c clusters: found clusters \[4\] only in the map"):
            score_subject(control)

    def test_another_grid_is_refused_and_not_resampled(self, tmp_path):
        maps, cohort = self.world(tmp_path, "binary")
        moved = GRID.matrix.copy()
        moved[0, 3] += 1
        written(maps, np.zeros(GRID.shape, np.uint8), Grid.of(GRID.shape, moved), "p.nii.gz")
        with pytest.raises(GeometryError, match=r"sub-p lesion_t1w: .*the map to the mask's"):
            self.tasks(maps, cohort, kind="binary")[0].check()

    def test_a_patient_without_a_mask_is_refused(self, tmp_path):
        maps, cohort = self.world(tmp_path, "binary", patient="t1w")
        with pytest.raises(CohortError, match="sub-p: found a patient with neither truth nor"):
            self.tasks(maps, cohort, kind="binary")

    def evaluate(self, capsys, *words):
        code = main(["evaluate", *map(str, words), "--pictures", "0", "--bootstrap", "100",
                     "--chance_draws", "1"])  # fmt: skip
        return code, capsys.readouterr().err

    def test_the_command_scores_a_folder_of_maps(self, tmp_path, capsys):
        maps, cohort = self.world(tmp_path, "labels")
        out, table = tmp_path / "out", cohort.folder / "table.csv"
        (maps / "nobody.nii.gz").write_bytes((maps / "p.nii.gz").read_bytes())
        code, _ = self.evaluate(capsys, maps, table, out, "--maps", "labels",
                                "--min_volume_ml", "0")  # fmt: skip
        assert code == 0
        report = Report.read(out)
        assert report.maps == "labels"
        assert report.figure("subject_sensitivity").value == 1
        assert report.figure("specificity").value == 0
        # Two false clusters: one of the patient, one of the control.
        assert report.figure("false_positives_per_subject").value == 1
        assert report.figure("auroc").reason == Case.NO_SCORES.value
        assert report.figure("site_probability_max").reason == Case.NO_PROBABILITIES.value

    @pytest.mark.parametrize(
        ("kind", "options", "words"),
        [
            ("binary", [], "a binary map (0 and 1 alone) where scores are needed"),
            ("probability", ["--maps", "binary"], "Say --maps probability"),
            ("labels", [], "say --maps labels"),
            ("binary", ["--maps", "masks"], "maps: found 'masks'"),
            ("binary", ["--maps", "binary", "--pattern", "x*"], "no NIfTI maps that match 'x*'"),
            ("probability", ["--threshold", "0"], "threshold: found 0"),
        ],
    )
    def test_bad_input_stops_before_any_number(self, tmp_path, capsys, kind, options, words):
        maps, cohort = self.world(tmp_path, kind)
        out = tmp_path / "out"
        code, shown = self.evaluate(capsys, maps, cohort.folder / "table.csv", out, *options)
        assert code == 1
        assert words.lower() in shown.lower()
        assert not out.exists()
