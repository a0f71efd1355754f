"""Whole brains: windows, synthesize --mode full through the command line, styles of two sites."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_heads import Blind, Honest, checks_of_whole_mask, drawn_cohort, files, with_generator
from phantom import prepared_cohort, tiny_grid, tiny_head

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Role, Split
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_labels, read_mask, read_volume, write_volume
from fcdsynth.synthesis import attempt as attempt_module
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.redraw import RedrawSpec, Scene, WholeSpec
from fcdsynth.synthesis.scans import sample
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.synthesize import synthesize as verb
from fcdsynth.synthesis.windows import draw_whole

SMOKE = Path(__file__).parents[2] / "configs" / "synthesis" / "smoke.yaml"
IDS = [f"sub-{n:05d}" for n in range(1, 9)]
HOST, SAME_SITE, OTHER_SITE = IDS[4], IDS[2], IDS[1]
FULL, TAKE_ALL = ("--mode", "full"), ("--checks.refuse", "false")
PATIENT, CONTROL = "sub-drawnpatient", "sub-drawncontrol"
# At the second site dark is bright and bright is dark.
TURNED = {"t1w": (0.95, -0.8), "flair": (0.75, -0.7)}


def turn(cohort, subject):
    for key, (offset, slope) in TURNED.items():
        path = cohort.path(subject, key)
        volume = read_volume(path)
        turned = np.clip(offset + slope * volume.array, 0.01, 1)
        image = np.where(volume.array > 0, turned, 0).astype(np.float32)
        write_volume(path, Volume(image, volume.grid))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two sites, a generator briefly trained on whole brains, and a drawn cohort at one site."""
    folder = tmp_path_factory.mktemp("full")
    real = prepared_cohort(folder / "real", splits=dict.fromkeys(IDS, Split.TRAIN))
    for subject in real.subjects:
        if subject.site == "site-2":
            turn(real, subject)
    words = ["fit", "-c", str(SMOKE), "--trainer.accelerator", "cpu",
             "--trainer.enable_progress_bar", "false", "--data.cohort", str(real.folder),
             "--out", str(folder / "run"), "--data.full_share", "0.9", "--data.light", "0",
             "--data.bend_vox", "0", "--data.steps_per_epoch", "60", "--model.style", "8",
             "--model.adversarial", "0", "--model.region", "0", "--model.texture", "1",
             "--model.contrast", "0",
             "--model.generator_rate", "0.02", "--model.average_decay", "0.8"]  # fmt: skip
    assert main(words) == 0
    drawn = drawn_cohort(real, folder / "drawn", HOST)
    assert synthesize(folder, "made", *TAKE_ALL) == 0
    return folder, real, drawn, Cohort.read(folder / "made")


def synthesize(folder, out, *words, run="run", drawn="drawn"):
    places = (str(folder / name) for name in (run, drawn, out))
    return main(["synthesize", *places, *FULL, *words])


def sidecar(folder, name, end="desc-synthetic_T1w"):
    return json.loads((folder / name / "anat" / f"{name}_{end}.json").read_text())


def tissue_means(cohort, subject):
    """Mean of cortex and white matter, T1w and FLAIR."""
    tissue = read_labels(cohort.path(subject, "tissue")).array
    return np.array([[read_volume(cohort.path(subject, key)).array[tissue == label].mean()
                      for label in (Tissue.CORTEX, Tissue.WHITE_MATTER)]
                     for key in ("t1w", "flair")])  # fmt: skip


class Plain(torch.nn.Module):
    """Grain where there is brain, more where there is a lesion, and the style code on top."""

    contrasts = 2

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.calls = []

    draw_noise = Generator.draw_noise

    def forward(self, context, labels, code, noise, style_code):
        brain = labels[:, 9:10]
        assert not (context * brain).any()
        assert (context[(brain == 0).expand_as(context)] == -1).all()
        assert brain.any()
        self.calls.append((labels[:, 7].any().item(), style_code.tolist(), code.tolist()))
        image = 0.05 * noise + style_code.mean() + 0.3 * labels[:, 7:8] * code.mean()
        return image, image


def scene(lesion=True):
    grid = tiny_grid()
    head = tiny_head(grid, 1, (34.0, 20.0, 12.0))
    mask = head["lesion"] & lesion
    return Scene(np.stack([head["t1w"], head["flair"]]), head["tissue"], mask,
                 mask.astype(np.float32), head["tissue"] > 0)  # fmt: skip


def spec_of(window, noise_seed=5):
    whole = WholeSpec("host", (0.1, 0.3), window)
    spec = RedrawSpec("syn", "host", "", (1.0, 3.0), noise_seed, (0, 0, 0), (24, 24, 24), 0, whole)
    return spec, whole


def test_windows_share_one_noise_and_one_style_and_leave_no_seam():
    one = scene()
    images = []
    for window in (8, 12, 24):
        network = Plain()
        image, empty = draw_whole(network, one, one, *spec_of(window))
        images.append(image)
        assert (image[:, ~one.region] == 0).all()
        assert (empty[:, ~one.region] == 0).all()
        # 0.05 noise around a style of 0.2, from [-1, 1] to [0, 1]: as if there were no windows.
        source = torch.Generator().manual_seed(5)
        noise = network.draw_noise(1, (24, 24, 24), source)[0].numpy()
        expected = (0.05 * noise + 0.2 + 1) / 2
        np.testing.assert_allclose(empty[:, one.region], expected[:, one.region], atol=1e-6)
        # 0.3 times a mean code of 2, over 2.
        np.testing.assert_allclose((image - empty)[:, one.lesion], 0.3, atol=1e-6)
        assert (image == empty)[:, ~one.lesion].all()
        assert len({str(style) for _, style, _ in network.calls}) == 1
    np.testing.assert_allclose(images[0], images[2], atol=1e-6)


def test_only_windows_with_brain_are_drawn_and_only_those_with_lesion_twice():
    one, healthy = scene(), scene(lesion=False)
    # Nothing but background where x < 8: windows of 8 begin at 0, 4, 8, 12 and 16.
    for half in (one, healthy):
        half.tissue[:8] = 0
        half.region[:8] = False
    calls = []
    for half in (healthy, one):
        network = Plain()
        image, empty = draw_whole(network, half, half, *spec_of(8))
        assert (image is empty) == (half is healthy)
        calls.append(network.calls)
    assert len(calls[0]) == 4 * 5 * 5
    where = np.argwhere(one.lesion)
    first, last = (np.array([-(-(n - 7) // 4) for n in where.min(0)]), where.max(0) // 4)
    windows = np.prod(np.minimum(last, 4) - np.maximum(first, [1, 0, 0]) + 1)
    # Those that reach into the ball's box; two corners of it may be empty.
    lesional = sum(lesion for lesion, _, _ in calls[1])
    assert windows - 2 <= lesional <= windows
    assert len(calls[1]) == 4 * 5 * 5 + lesional
    bare = [code for lesion, _, code in calls[1] if not lesion]
    assert bare.count([[0.0, 0.0]]) == lesional


def test_nothing_of_the_hosts_images_enters():
    torch.manual_seed(0)
    network = Generator(2, (6, 4), hidden=4, style=2, lesion_style=2).eval()
    one = scene()
    first = draw_whole(network, one, one, *spec_of(16))[0]
    other = replace(one, image=1 - one.image)
    assert np.array_equal(first, draw_whole(network, other, other, *spec_of(16))[0])
    assert not np.array_equal(first, draw_whole(network, one, one, *spec_of(16, noise_seed=6))[0])


def test_what_is_written(world):
    folder, real, drawn, made = world
    assert [s.id for s in made.subjects] == ["drawn-control", "drawn-patient"]
    tissue = read_labels(real.path(real[HOST], "tissue")).array
    brain = tissue != Tissue.BACKGROUND
    for subject, name in zip(made.subjects, (CONTROL, PATIENT), strict=True):
        # The region of patients and controls alike.
        assert np.array_equal(read_mask(made.path(subject, "region")).array, brain)
        assert np.array_equal(read_labels(made.path(subject, "tissue")).array, tissue)
        for key in ("t1w", "flair"):
            image = read_volume(made.path(subject, key)).array
            host = read_volume(real.path(real[HOST], key)).array
            assert (image[~brain] == 0).all()
            assert 0.01 - 1e-6 <= image[brain].min() <= image.max() <= 1
            assert (image != host)[brain].mean() > 0.99
        record = sidecar(folder / "made", name)
        assert (record["Mode"], record["ScanStyle"]) == ("full", "host")
        assert "the whole brain drawn" in record["Description"]
        spec = json.loads(made.path(subject, "spec").read_text())["synthesis"]
        assert spec["whole"]["scan"] == "host"
        assert spec["whole"]["window"] == 16
        assert (len(spec["whole"]["code"]), spec["feather_vox"]) == (8, 0)
        assert subject.site == drawn[subject.id].site
        givers = {p.subject for p in subject.parents if p.role is Role.STYLE}
        assert givers <= set(IDS[:4])
        assert len(givers) == subject.is_patient
    described = json.loads((folder / "made" / "dataset_description.json").read_text())
    assert "Whole brains" in described["GeneratedBy"][0]["Description"]
    with (folder / "made" / "realism.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["t1w_change_outside"] for row in rows} == {""}
    assert [int(row["region_vox"]) for row in rows] == [int(brain.sum())] * 2


def test_contrast_is_measured_against_the_lesions_own_rim(world):
    folder, _, drawn, made = world
    patient = made["drawn-patient"]
    image = read_volume(made.path(patient, "flair")).array
    lesion = read_mask(made.path(patient, "lesion")).array
    tissue = read_labels(made.path(patient, "tissue")).array
    shape = read_mask(drawn.path(drawn["drawn-patient"], "lesion")).array
    reach = shape.copy()
    for axis in range(3):  # margin_mm 8 at 6 mm voxels: one voxel along an axis
        for step in (-1, 1):
            reach |= np.roll(shape, step, axis)
    total = [(int((lesion & (tissue == t)).sum()),
              image[lesion & (tissue == t)].mean() - image[reach & ~lesion & (tissue == t)].mean())
             for t in (Tissue.CORTEX, Tissue.WHITE_MATTER)]  # fmt: skip
    expected = sum(n * d for n, d in total) / sum(n for n, _ in total)
    with (folder / "made" / "realism.csv").open() as stream:
        row = next(r for r in csv.DictReader(stream) if r["id"] == "drawn-patient")
    assert float(row["flair_contrast"]) == pytest.approx(expected, abs=2e-5)


def test_grey_values_are_those_of_the_scan_whose_style_is_asked_for(world):
    folder, real, _, _ = world
    levels = [tissue_means(real, real[i]) for i in (HOST, OTHER_SITE)]
    assert np.abs(levels[0] - levels[1]).min() > 0.08  # the two sites
    expected = {"made": 0}
    for style, site in ((SAME_SITE, 0), (OTHER_SITE, 1)):
        assert synthesize(folder, style, *TAKE_ALL, "--scan_style", style) == 0
        expected[style] = site
        found = Cohort.read(folder / style)
        assert {s.site for s in found.subjects} == {real[style].site}
        for subject, name in zip(found.subjects, (CONTROL, PATIENT), strict=True):
            assert style in {p.subject for p in subject.parents if p.role is Role.STYLE}
            record = sidecar(folder / style, name)
            assert record["ScanStyle"] == style
            assert {"Subject": style, "Role": "style"} in record["Parents"]
    for name, site in expected.items():
        cohort = Cohort.read(folder / name)
        for subject in cohort.subjects:
            errors = [np.abs(tissue_means(cohort, subject) - level).mean() for level in levels]
            assert errors[site] < 0.06
            assert errors[site] < errors[1 - site] / 2


def test_a_sampled_style_is_one_of_the_law_and_belongs_to_no_site(world):
    folder, _, _, _ = world
    assert synthesize(folder, "sampled", *TAKE_ALL, "--scan_style", "sampled") == 0
    made = Cohort.read(folder / "sampled")
    known = Styles.read(folder / "run")
    assert [s.subject for s in known.scans] == IDS
    assert [s.site for s in known.scans] == ["site-1", "site-2"] * 4
    codes = set()
    for subject in made.subjects:
        assert (subject.site, subject.scanner) == ("", "")
        whole = json.loads(made.path(subject, "spec").read_text())["synthesis"]["whole"]
        codes.add(tuple(whole["code"]))
        span = np.array([s.code for s in known.scans])
        span = span - span.mean(0)
        rest = np.array(whole["code"]) - np.mean([s.code for s in known.scans], 0)
        assert np.abs(rest - span.T @ np.linalg.lstsq(span.T, rest, rcond=None)[0]).max() < 1e-4
    assert len(codes) == 2
    record = json.loads((folder / "run" / "styles.json").read_text())
    np.testing.assert_allclose(
        record["scan_law"]["mean"], np.mean([s.code for s in known.scans], 0), atol=1e-5
    )
    assert len(sample(known.scans, np.random.default_rng(0))) == 8


def test_the_same_words_give_the_same_bytes_whatever_the_order_of_rows(world):
    folder, _, drawn, _ = world
    words = (*TAKE_ALL, "--scan_style", "sampled")
    assert synthesize(folder, "one", *words) == 0
    backwards = replace(drawn, subjects=drawn.subjects[::-1])
    path = folder / "drawn" / "backwards.csv"
    shutil.copy(backwards.write(folder / "elsewhere"), path)
    path.write_text(path.read_text().replace("../drawn/", ""))
    assert synthesize(folder, "two", *words, drawn="drawn/backwards.csv") == 0
    assert files(folder / "one") == files(folder / "two")
    assert synthesize(folder, "other", *words, "--seed", "1") == 0
    flair = f"{PATIENT}/anat/{PATIENT}_desc-synthetic_FLAIR.nii.gz"
    assert files(folder / "one")[flair] != files(folder / "other")[flair]


def test_a_stopped_run_goes_on(world, monkeypatch):
    folder, _, _, _ = world
    calls = []

    def stop_at_second(generator, scene, host, spec, whole):
        calls.append(spec.subject)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw_whole(generator, scene, host, spec, whole)

    monkeypatch.setattr(attempt_module, "draw_whole", stop_at_second)
    words = [str(folder / name) for name in ("run", "drawn", "stopped")]
    with pytest.raises(KeyboardInterrupt):
        verb(*words, mode="full", checks=Checks(refuse=False))
    assert not (folder / "stopped").exists()
    verb(*words, mode="full", checks=Checks(refuse=False))
    assert calls == ["drawn-control", "drawn-patient", "drawn-patient"]
    assert files(folder / "stopped") == files(folder / "made")


def test_a_generator_that_ignores_the_label_is_refused(world, monkeypatch, capsys):
    folder, _, _, _ = world
    with_generator(monkeypatch, Blind)
    assert synthesize(folder, "blind", "--checks.tries", "1") == 1
    message = capsys.readouterr().err
    assert "patients of the run" in message
    assert "changed 1" in message
    assert not (folder / "blind").exists()


def test_an_honest_generator_is_taken_and_its_mask_kept_whole(world, monkeypatch):
    folder, _, drawn, _ = world
    with_generator(monkeypatch, Honest, SHIFT=(0.0, 0.1))
    assert synthesize(folder, "honest") == 0
    made = Cohort.read(folder / "honest")
    told = json.loads((folder / "honest" / "refusals.json").read_text())
    assert (told["subjects"], told["made"], told["draws_refused"]) == (2, 2, 0)
    checks = checks_of_whole_mask(made, drawn)
    # Without a seam the shift is seen as it is; the grain of 0.015 is averaged over the mask.
    assert checks["contrast"]["flair"] == pytest.approx(0.1, abs=0.015)


def test_a_label_that_changes_tissue_elsewhere_is_refused(world, monkeypatch, capsys):
    class Wide(Honest):
        def forward(self, context, labels, code, noise, style_code=None):
            image, _ = super().forward(context, labels, code, noise)
            image = image + 0.2 * labels[:, 7:8].amax() * labels[:, 9:10]
            return image, image

    folder, _, _, _ = world
    with_generator(monkeypatch, Wide)
    assert synthesize(folder, "wide", "--checks.tries", "1") == 1
    assert "beyond 1" in capsys.readouterr().err


def refused(folder, capsys, *parts, words=(), run="run"):
    assert synthesize(folder, "refused", *words, run=run) == 1
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message
    assert not list(folder.glob("refused*"))


def test_styles_that_are_not_there_are_refused(world, capsys):
    folder, _, _, _ = world
    refused(folder, capsys, "scan_style", "sub-nobody", "host, sampled or a training subject",
            IDS[0], words=("--scan_style", "sub-nobody"))  # fmt: skip
    refused(folder, capsys, "scan_style", "mode insert",
            words=("--mode", "insert", "--scan_style", "sampled"))  # fmt: skip
    shutil.copytree(folder / "run", folder / "old")
    path = folder / "old" / "styles.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"scans": []}))
    refused(folder, capsys, "data.full_share 0", "full.yaml", run="old")
    path.write_text(json.dumps(record | {"scans": record["scans"][:1]}))
    refused(folder, capsys, "1 training scan", words=("--scan_style", "sampled"), run="old")
    del record["scans"]
    path.write_text(json.dumps(record))
    refused(folder, capsys, "no scans", "Fit the generator again", run="old")


def test_insert_mode_goes_on_with_the_same_generator(world):
    folder, real, _, _ = world
    places = (str(folder / name) for name in ("run", "drawn", "insert"))
    assert main(["synthesize", *places, *TAKE_ALL]) == 0
    made = Cohort.read(folder / "insert")
    for subject, name in zip(made.subjects, (CONTROL, PATIENT), strict=True):
        region = read_mask(made.path(subject, "region")).array
        host = read_volume(real.path(real[HOST], "t1w")).array
        new = read_volume(made.path(subject, "t1w")).array
        assert np.array_equal(new[~region], host[~region])
        assert sidecar(folder / "insert", name)["Mode"] == "insert"
        assert json.loads(made.path(subject, "spec").read_text())["synthesis"]["whole"] is None


def test_a_generator_of_insert_mode_alone_keeps_no_scans(tmp_path):
    real = prepared_cohort(tmp_path / "real", 2, 2, splits=dict.fromkeys(IDS[:4], Split.TRAIN))
    words = ["fit", "-c", str(SMOKE), "--trainer.accelerator", "cpu", "--data.full_share", "0",
             "--trainer.enable_progress_bar", "false", "--data.cohort", str(real.folder),
             "--data.steps_per_epoch", "1", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 0
    record = json.loads((tmp_path / "run" / "styles.json").read_text())
    assert record["scans"] == []
    assert record["scan_law"] is None
    assert len(record["lesions"]) == 2
