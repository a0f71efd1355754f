"""The verb realism on tiny heads, through the command line."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort, tiny_grid, tiny_head

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.synthesis.regions import near

PATIENTS, CONTROLS = 8, 6
CENTRES = ((34.0, 16.0, 14.0), (-34.0, 20.0, 12.0), (32.0, -20.0, 18.0), (-30.0, -22.0, 20.0))
FAST = ["--encoder", "false", "--splits", "20", "--permutations", "19", "--pairs", "12"]


def made_cohort(real, folder, look, patients=4, controls=2, fitted_on=None, whole=False):
    """Lesions painted into controls by ``look(host images, lesion, key)``, healthy places kept.

    With ``whole`` the region is the whole brain.
    """
    hosts = [s for s in real.subjects if not s.is_patient]
    subjects = []
    for number in range(patients + controls):
        host, patient = hosts[number % len(hosts)], number < patients
        name = f"syn-{number + 1:05d}"
        tissue = read_labels(real.path(host, "tissue"))
        grid = tissue.grid
        ball = np.linalg.norm(
            grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - CENTRES[number % 4], axis=-1
        )
        lesion = (ball < 13) & np.isin(tissue.array, (Tissue.CORTEX, Tissue.WHITE_MATTER))
        region = tissue.array != Tissue.BACKGROUND
        region &= whole | near(lesion, 6, grid.spacing_mm)
        files = {key: str(real.path(host, key)) for key in ("brain", "tissue")}
        arrays = {"region": region} | ({"lesion": lesion} if patient else {})
        for key in ("t1w", "flair"):
            image = read_volume(real.path(host, key)).array
            drawn = look(image, lesion if patient else np.zeros_like(lesion), key)
            arrays[key] = np.where(region, np.clip(drawn, 0.01, 1), image).astype(np.float32)
        for key, array in arrays.items():
            write_volume(folder / name / f"{name}_{key}.nii.gz", Volume(array, grid))
            files[key] = f"{name}/{name}_{key}.nii.gz"
        group = Group.PATIENT if patient else Group.CONTROL
        subjects.append(Subject(name, group, Origin.SYNTHETIC, split=Split.TRAIN,
                                parents=(Parent(host.id, Role.HOST),), files=files))  # fmt: skip
    fitted = tuple(s.id for s in real.subjects) if fitted_on is None else fitted_on
    cohort = Cohort(folder, tuple(subjects), folder.name, fitted_on=fitted)
    cohort.write()
    return cohort


def like_real(image, lesion, key):
    noise = np.random.default_rng(int(lesion.sum())).normal(0, 0.004, image.shape)
    return image + (0.25 if key == "flair" else -0.06) * lesion + noise


def wrong(image, lesion, key):
    """Too bright on T1w, and a checkerboard."""
    return image + 0.3 * lesion + 0.08 * (np.indices(image.shape).sum(0) % 2 * 2 - 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("realism")
    real = prepared_cohort(folder / "real", PATIENTS, CONTROLS)
    for look in (like_real, wrong):
        made_cohort(real, folder / look.__name__, look)
        words = [str(folder / name) for name in ("real", look.__name__, f"out-{look.__name__}")]
        assert main(["realism", *words, *FAST]) == 0
    return folder, real


def record(folder, name):
    return json.loads((folder / f"out-{name}" / "realism.json").read_text())


def table(folder, name):
    with (folder / f"out-{name}" / "subjects.csv").open() as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


def test_contrast_is_measured_against_the_ring_in_sd(world):
    folder, _ = world
    rows = table(folder, "like_real")
    assert len(rows) == 4 + 2 + PATIENTS + CONTROLS
    # Painted 0.25 above and 0.06 below tissue that varies by 0.015; 0.1 is one SD.
    for name in ("syn-00001", "sub-00001"):
        assert float(rows[name]["flair_contrast"]) == pytest.approx(2.5, abs=0.15)
        assert float(rows[name]["t1w_contrast"]) == pytest.approx(-0.6, abs=0.15)
    assert rows["syn-00005"]["flair_contrast"] == ""
    contrasts = {c["contrast"]: c for c in record(folder, "like_real")["findings"]["contrasts"]}
    mean = np.mean([float(rows[f"syn-{i:05d}"]["flair_contrast"]) for i in range(1, 5)])
    assert contrasts["flair"]["synthetic"][0] == pytest.approx(mean, abs=1e-3)
    assert (contrasts["flair"]["n_synthetic"], contrasts["flair"]["n_real"]) == (4, PATIENTS)


def test_a_wrong_look_is_told_and_a_like_one_is_nearer(world):
    folder, _ = world
    good, bad = (record(folder, name) for name in ("like_real", "wrong"))
    kid = [r["findings"]["distances"][0]["kid"] for r in (good, bad)]
    assert kid[1]["mean"] > 3 * max(kid[0]["mean"], 0.1)
    assert kid[1]["mean"] > kid[1]["null_high"]
    assert bad["verdict"].startswith(f"4 synthetic lesions against {PATIENTS} real ones. They can")
    assert any("T1w contrast" in words for words in bad["told_apart_by"])
    assert not any("contrast is" in words for words in good["told_apart_by"])


def test_checkerboards_are_seen_along_every_axis(world):
    folder, _ = world
    found = {name: record(folder, name)["findings"]["summaries"]
             for name in ("like_real", "wrong")}  # fmt: skip
    for axis in "xyz":
        key = f"t1w_{axis}_nyquist_log2"
        assert found["wrong"][key][0]["low"] > 0.32
        assert abs(found["like_real"][key][0]["value"]) < 0.32
    assert any("checkerboard" in w for w in record(folder, "wrong")["told_apart_by"])


def test_healthy_places_are_compared_with_the_host_itself(world):
    folder, _ = world
    rows = table(folder, "wrong")
    row = rows["syn-00005"]
    # +-0.08 everywhere in the region: its mean absolute difference, and 10 log10(1 / 0.0064).
    assert float(row["flair_l1_inside_healthy"]) == pytest.approx(0.08, rel=0.1)
    assert float(row["flair_psnr_inside_healthy"]) == pytest.approx(21.9, abs=0.8)
    assert float(row["flair_l1_outside_healthy"]) == 0
    assert float(row["flair_ssim_outside_healthy"]) > float(row["flair_ssim_inside_healthy"])
    # The host holds no lesion, so a drawn lesion is not compared with it.
    assert not any(v for k, v in rows["syn-00001"].items() if "_inside_" in k)
    assert all(float(r["change_outside"]) == 0 for r in rows.values() if r["change_outside"])


def test_the_page_stands_alone_and_begins_in_plain_words(world):
    folder, _ = world
    page = (folder / "out-like_real" / "report.html").read_text()
    said = record(folder, "like_real")["verdict"]
    assert said in page.replace("&#39;", "'")
    assert page.index(said[:30]) < page.index("<h2>")
    assert 'src="http' not in page
    assert str(folder) not in page
    assert "saw 8 of these 8 real patients" in page


def test_the_same_words_give_the_same_numbers_and_a_whole_run_stays(world, capsys):
    folder, _ = world
    words = [str(folder / name) for name in ("real", "like_real", "again")]
    assert main(["realism", *words, *FAST]) == 0
    for name in ("realism.json", "report.html", "subjects.csv"):
        first, again = (folder / f / name for f in ("out-like_real", "again"))
        assert first.read_bytes() == again.read_bytes(), name
    stamp = (folder / "again" / "provenance.json").stat().st_mtime_ns
    assert main(["realism", *words, *FAST]) == 0
    assert (folder / "again" / "provenance.json").stat().st_mtime_ns == stamp


def test_an_own_lesion_redrawn_is_paired_and_taken_for_a_copy(world):
    folder, real = world
    subjects = []
    for number, patient in enumerate([s for s in real.subjects if s.is_patient]):
        name = f"syn-{number + 1:05d}"
        lesion = read_mask(real.path(patient, "lesion"))
        files = {k: str(real.path(patient, k)) for k in ("tissue", "brain", "lesion", "t1w")}
        flair = read_volume(real.path(patient, "flair")).array + 0.001 * lesion.array
        write_volume(folder / "own" / f"{name}_flair.nii.gz", Volume(flair, lesion.grid))
        write_volume(folder / "own" / f"{name}_region.nii.gz", lesion)
        files |= {k: f"{name}_{k}.nii.gz" for k in ("flair", "region")}
        subjects.append(Subject(name, Group.PATIENT, Origin.SYNTHETIC,
                                parents=(Parent(patient.id, Role.HOST),), files=files))  # fmt: skip
    Cohort(folder / "own", tuple(subjects), "own", fitted_on=("sub-00001", "sub-00002", "sub-00003",
           "sub-00004", "sub-00005")).write()  # fmt: skip
    words = [str(folder / name) for name in ("real", "own", "out-own")]
    assert main(["realism", *words, *FAST]) == 0
    found = record(folder, "own")["findings"]
    pairs = {p["contrast"]: p for p in found["pairs"]}
    assert pairs["flair"]["n"] == PATIENTS
    assert pairs["flair"]["bias"]["value"] == pytest.approx(0.01, abs=1e-5)  # 0.1 is an SD
    assert pairs["flair"]["limits"] == pytest.approx([0.01, 0.01], abs=1e-4)
    assert pairs["t1w"]["bias"]["value"] == pytest.approx(0, abs=1e-6)
    numbers = found["summaries"]
    assert numbers["flair_l1_inside_lesion"][0]["value"] == pytest.approx(0.001, abs=1e-6)
    assert numbers["t1w_ssim_inside_lesion"][0]["value"] == pytest.approx(1, abs=1e-6)
    assert numbers["flair_l1_ring_lesion"][0]["value"] == 0
    # No p where the same people are on both sides.
    assert found["distances"][0]["shared"] == PATIENTS
    assert found["distances"][0]["kid_p"] is None
    # Five patients were training ones: what was made of them is nearly theirs.
    assert found["copies_of"] == "training"
    rows = table(folder, "own")
    for number in range(1, 6):
        row = rows[f"syn-{number:05d}"]
        assert row["copy_in_features"] == row["copy_in_image"] == f"sub-{number:05d}"
        assert row["copy_flagged"] == "yes"
        assert float(row["copy_correlation"]) > 0.95
    assert rows["syn-00008"]["copy_in_image"] != "sub-00008"
    assert any("copies of training lesions" in w for w in record(folder, "own")["told_apart_by"])


def test_brains_drawn_whole_are_compared_where_that_means_something(world):
    def flat(image, lesion, key):
        """Cortex and white matter of one grey on T1w: nothing of the labels is left."""
        mantle = (image > 0.4) & (image < 0.75) & (key == "t1w")
        return np.where(mantle, 0.5 + 0.02 * np.sin(np.arange(24)), image) + 0.2 * lesion

    folder, real = world
    for name, look in (("whole", like_real), ("flat", flat)):
        made_cohort(real, folder / name, look, whole=True)
        words = [str(folder / n) for n in ("real", name, f"out-{name}")]
        assert main(["realism", *words, *FAST]) == 0
    rows, found = table(folder, "whole"), record(folder, "whole")
    assert not any("_place" in column for column in rows["syn-00001"])
    for name in ("syn-00001", "syn-00005"):
        row = rows[name]
        assert row["change_outside"] == ""  # nothing lies outside
        assert float(row["dice_cortex"]) == pytest.approx(float(row["host_dice_cortex"]), abs=0.03)
        # Noise of 0.004 everywhere: its mean absolute value. The lesion is no part of it.
        noise = 0.004 * np.sqrt(2 / np.pi)
        assert float(row["flair_l1_inside_whole"]) == pytest.approx(noise, rel=0.03)
        shown = {k for k, v in row.items() if k.startswith("flair_") and v and "_whole" in k}
        assert shown == {f"flair_{m}_inside_whole" for m in ("ssim", "psnr", "l1")}
        assert not any("_inside_lesion" in k or "_inside_healthy" in k for k in row)
    summaries = found["findings"]["summaries"]
    assert "change_outside" not in summaries
    assert abs(summaries["dice_gap_white"][0]["value"]) < 0.03
    assert summaries["t1w_x_nyquist_log2"][1] == 6
    assert found["findings"]["whole"] == 6
    assert any("6 of 6 synthetic subjects were drawn whole" in n for n in found["notices"])
    assert not any("agrees less" in words for words in found["told_apart_by"])
    page = (folder / "out-whole" / "report.html").read_text()
    assert "whole brain drawn" in page
    assert "cortex, whole brain" in page
    assert "redrawn place</td>" not in page
    assert any("cortex agrees less" in words for words in record(folder, "flat")["told_apart_by"])


def refused(folder, capsys, *parts, real="real", synthetic="like_real", words=()):
    out = folder / "refused"
    code = main(["realism", str(folder / real), str(folder / synthetic), str(out), *words])
    message = capsys.readouterr().err
    assert code == 1
    assert all(part in message for part in parts), message
    assert not out.exists()


def test_too_few_subjects_and_wrong_ones_are_named(world, capsys):
    folder, real = world
    few = replace(real, subjects=real.subjects[1:])
    few.write(folder / "few")
    refused(folder, capsys, "7 real patients", "at least 8", real="few")
    made = Cohort.read(folder / "like_real")
    replace(made, subjects=made.subjects[1:]).write(folder / "three")
    refused(folder, capsys, "3 synthetic patients", "at least 4", synthetic="three")
    refused(folder, capsys, "0 real patients", "'val'", words=("--split", "val"))
    refused(folder, capsys, "sub-00001", "phantom", "synthetic rows", synthetic="real")
    refused(folder, capsys, "splits", "at least 20", words=("--splits", "5"))


def test_another_spacing_is_refused(world, capsys):
    folder, _ = world
    made = Cohort.read(folder / "like_real").moved(folder / "coarse")
    grid = tiny_grid(spacing_mm=5.0)
    arrays = tiny_head(grid, 1, (30.0, 10.0, 10.0))
    files = {}
    for key in ("t1w", "flair", "tissue", "brain", "lesion"):
        write_volume(folder / "coarse" / f"{key}.nii.gz", Volume(arrays[key], grid))
        files[key] = f"{key}.nii.gz"
    odd = replace(made.subjects[0], files=files)
    Cohort(folder / "coarse", (odd, *made.subjects[1:]), "coarse").write()
    refused(folder, capsys, "syn-00001", "voxels of", synthetic="coarse")
