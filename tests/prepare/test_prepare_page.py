"""Quality pages: what is warned of, what is shown, who comes first."""

import json
import re
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import tiny_grid, tiny_head

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.prepare.cohort_page import write_cohort_page
from fcdsynth.prepare.concerns import KEPT, REGISTERED
from fcdsynth.prepare.failures import Failure
from fcdsynth.prepare.handedness import header_dispute, placements
from fcdsynth.prepare.numbers import robust_z
from fcdsynth.prepare.page import write_page
from fcdsynth.prepare.pictures import quality_sheet
from fcdsynth.prepare.scene import Scene
from fcdsynth.prepare.second_look import second_look

GRID = tiny_grid(size=40, spacing_mm=4.0)
RIGHT_MM = (34.0, 20.0, 12.0)
FLIP = np.diag([-1.0, 1.0, 1.0, 1.0])
SHIFT = np.eye(4)
SHIFT[:3, 3] = (0, 3, -4)


def scene(folder, side="R", flair=True, way=None, flair_grid=GRID, sform=None, brain_ml=1400.0):
    """A head as prepare leaves it, its lesion on the right; FLAIR lies on T1w but for ``way``."""
    way = np.eye(4) if way is None else way
    head = tiny_head(GRID, 2, RIGHT_MM)
    other = tiny_head(flair_grid, 2, RIGHT_MM)
    volumes = {key: Volume(head[key], GRID) for key in ("t1w", "flair", "brain", "lesion")}
    native = Volume(other["flair"], Grid.of(flair_grid.shape, way @ flair_grid.matrix))
    raw = write_volume(folder / "sub-1_T1w.nii.gz", volumes["t1w"])
    if sform is not None:
        image = nib.load(raw)
        image.set_sform(sform @ image.affine, code=1)
        nib.save(image, raw)
    sources = {"t1w": raw, "flair": write_volume(folder / "sub-1_FLAIR.nii.gz", native)}
    quality = {"brain_mask": "given", "brain_ml": brain_ml, "mni_registration_trusted": True,
               "mni_brain_dice": 0.95, "flair_cover": 1.0, "lesion_ml": 5.0,
               "lesion_prepared_ml": 5.0, "lesion_drawn_on": "flair"}  # fmt: skip
    return Scene(
        Subject("sub-1", Group.PATIENT, Origin.PHANTOM, scanner="1", side=side),
        sources if flair else {"t1w": raw},
        volumes["t1w"],
        native if flair else None,
        volumes["t1w"],
        volumes["flair"] if flair else None,
        volumes["brain"],
        Volume(head["tissue"], GRID),
        volumes["lesion"],
        np.eye(4) if flair else None,
        None,
        quality,
    )


def warned(quality):
    return [warning["key"] for warning in quality["warnings"]]


def test_a_good_pair_has_no_warning(tmp_path):
    quality = second_look(scene(tmp_path))
    assert warned(quality) == []
    assert quality["flair_registration"] == KEPT
    assert (quality["flair_turn_deg"], quality["flair_shift_mm"]) == (0, 0)
    assert quality["lesion_side"] == "R"
    assert quality["lesion_in_brain"] == 1
    nats = quality["alignment_nats"]
    assert nats["chosen"] > 1.2 * nats["mirrored"]
    assert nats["chosen"] == nats["header"]


def test_registration_is_told_from_the_headers_alignment(tmp_path):
    moved = replace(scene(tmp_path, way=SHIFT), flair_to_t1w=np.linalg.inv(SHIFT))
    quality = second_look(moved)
    assert quality["flair_registration"] == REGISTERED
    assert quality["flair_shift_mm"] == pytest.approx(5, abs=0.01)
    assert quality["alignment_nats"]["chosen"] > quality["alignment_nats"]["header"] + 0.1


def test_a_flipped_flair_is_suspected(tmp_path):
    quality = second_look(scene(tmp_path, way=FLIP))
    assert "left-right" in warned(quality)
    assert "mirrored left to right fits" in quality["warnings"][-1]["text"]


@pytest.mark.parametrize(("told", "suspected"), [("L", True), ("R", False), ("", False)])
def test_the_tables_side_against_the_masks(tmp_path, told, suspected):
    quality = second_look(scene(tmp_path, side=told))
    assert ("left-right" in warned(quality)) == suspected


def test_a_bad_header_a_small_brain_and_an_unrelated_flair(tmp_path):
    good = scene(tmp_path, sform=FLIP, brain_ml=700.0)
    noise = np.random.default_rng(0).normal(100, 20, GRID.shape).astype(np.float32)
    quality = second_look(replace(good, flair_native=Volume(noise, GRID)))
    assert {"left-right", "brain volume", "alignment poor"} <= set(warned(quality))
    texts = " ".join(w["text"] for w in quality["warnings"])
    assert "sform and qform disagree about left and right" in texts
    assert "as the headers place it" in texts
    assert "700 ml" in texts


def test_thick_slices_little_cover_and_no_way_into_mni(tmp_path):
    thick = Grid.of((40, 40, 32), GRID.matrix @ np.diag([1.0, 1.0, 1.25, 1.0]))
    one = scene(tmp_path, flair_grid=Grid.of(
        (160, 160, 32), GRID.matrix @ np.diag([0.25, 0.25, 1.25, 1.0])))  # fmt: skip
    quality = {**one.quality, "flair_cover": 0.8, "mni_registration_trusted": False}
    found = second_look(replace(one, quality=quality))
    assert thick.spacing_mm == pytest.approx((4, 4, 5))
    assert found["flair_thick_mm"] == 5
    assert {"thick-slice FLAIR", "FLAIR cover", "MNI placement"} <= set(warned(found))


def test_a_mask_in_the_air_is_refused_and_one_at_the_edge_warned_of(tmp_path):
    one = scene(tmp_path)
    air = np.zeros(GRID.shape, bool)
    air[:3, :3, :3] = True
    with pytest.raises(CohortError, match=r"sub-1.*0% lies in the brain"):
        second_look(replace(one, lesion=Volume(air, GRID)))
    edge = one.lesion.array.copy()
    edge[:8, :8, : int(edge.sum()) // 64] = True
    share = one.brain.array[edge].mean()
    assert 0.3 < share < 0.7
    quality = second_look(replace(one, lesion=Volume(edge, GRID)))
    assert "lesion outside" in warned(quality)


def test_header_placements_are_those_nibabel_reads(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(5):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = q * [0.8, 1.0, 3.0], rng.normal(size=3) * 50
        path = tmp_path / f"{number}.nii.gz"
        image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), affine)
        image.set_qform(affine, code=1)
        image.set_sform(affine + np.diag([0, 0, 0.6, 0]), code=1)
        nib.save(image, path)
        found = placements(path)
        np.testing.assert_allclose(found["qform"], nib.load(path).get_qform(), atol=1e-4)
        np.testing.assert_allclose(found["sform"], nib.load(path).get_sform(), atol=1e-4)
        assert "up to 3 mm apart" in header_dispute(path, Grid.of((4, 5, 6), affine))
    assert placements(Path(__file__)) == {}


@pytest.mark.parametrize("flair", [True, False])
def test_the_page_stands_alone(tmp_path, flair):
    one = scene(tmp_path, flair=flair)
    page = write_page(tmp_path, one, second_look(one)).read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page
    assert ("FLAIR on T1w" in page) == flair
    assert (tmp_path / "sub-1_thumbnail.png").read_bytes().startswith(b"\x89PNG")


def test_the_sheet_has_a_row_for_each_question(tmp_path):
    with_flair = quality_sheet(scene(tmp_path))
    assert len(with_flair.axes) == 16
    assert len(quality_sheet(scene(tmp_path, flair=False)).axes) == 8
    lines = [len(axes.collections) for axes in with_flair.axes]
    assert lines[:4] == [0, 0, 0, 0]  # squares, no outline
    assert min(lines[4:]) >= 1


def test_robust_z_by_hand():
    """Median 1400, absolute deviations 10, 10, 0, 20, 300: MAD 10."""
    ml = {"a": 1390, "b": 1410, "c": 1400, "d": 1420, "e": 1100}
    records = {name: {"brain_ml": value} for name, value in ml.items()}
    z = robust_z(records, dict.fromkeys(ml, "s"))
    assert z["e"]["brain"] == pytest.approx(-300 / (1.4826 * 10))
    assert z["c"]["brain"] == 0
    assert set(z["a"]) == {"brain"}
    apart = robust_z(records | {"f": {"brain_ml": 900}}, dict.fromkeys(ml, "s") | {"f": "t"})
    assert apart["e"] == z["e"]  # the other scanner's subject does not count
    assert robust_z({"a": records["a"]}, {"a": "s"}) == {"a": {}}


def overview(tmp_path, confound, failures=()):
    rows = []
    for number in range(1, 8):
        name = f"sub-{number}"
        quality = {"brain_ml": 1400.0 + number, "warnings": []}
        if number == 5:
            quality["brain_ml"] = 900.0
        if number == 6:
            quality["warnings"] = [{"key": "thick-slice FLAIR", "text": "5 mm <thick>"}]
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_quality.json").write_text(json.dumps(quality))
        group = Group.PATIENT if number % 2 else Group.CONTROL
        files = {"flair": "x"} if number > 2 else {}
        rows.append(Subject(name, group, Origin.REAL, scanner="1", files=files))
    return write_cohort_page(Cohort(tmp_path, tuple(rows)), failures, confound).read_text()


def test_the_cohort_page_puts_warnings_and_outliers_first(tmp_path):
    page = overview(tmp_path, None, [Failure("sub-9", "NaN & co", "numbers", "Mend it.")])
    order = re.findall(r'<td class="name"><a href="(sub-\d)/sub-\d_quality.html">sub', page)
    assert order[:2] == ["sub-6", "sub-5"]
    assert sorted(order) == [f"sub-{n}" for n in range(1, 8)]
    assert "2 without FLAIR" in page
    assert "1 could not be prepared" in page
    assert "NaN &amp; co" in page
    assert page.index("sub-9") < page.index("sub-6")
    assert 'title="5 mm &lt;thick&gt;"' in page
    assert page.count('class="number far"') == 1
    assert "is not known" in page


def test_the_cohort_page_is_loud_about_a_confound(tmp_path):
    guessed = {"name": "all together", "auc": 0.9, "p_value": 1e-9, "n_patients": 4,
               "n_controls": 3, "confounded": True}  # fmt: skip
    page = overview(tmp_path, {"warnings": ["scanner predicts"], "classifier": [guessed]})
    assert "The acquisition gives the group away" in page
    assert page.index("scanner predicts") < page.index("<h2>Subjects")
    assert "0.90" in page


def test_the_cohort_page_says_when_there_is_none(tmp_path):
    tried = {"name": "scanner", "auc": 0.5, "p_value": 0.5, "n_patients": 4, "n_controls": 3,
             "confounded": False}  # fmt: skip
    page = overview(tmp_path, {"warnings": [], "classifier": [tried]})
    assert "gives the group away</h2>" not in page
    assert "were not seen to give the group away" in page


def test_the_cohort_page_does_not_clear_what_could_not_be_tried(tmp_path):
    page = overview(tmp_path, {"warnings": [], "classifier": []})
    assert "were not seen" not in page
    assert "Too few subjects" in page
