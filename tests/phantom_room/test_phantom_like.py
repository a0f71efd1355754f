"""Imitating a real data set: its people, protocols and quirks."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

from fcdsynth.core.errors import CohortError
from fcdsynth.core.volume import read_grid
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.like import people_like, read_people, to_table
from fcdsynth.phantom.phantom import phantom
from fcdsynth.phantom.roster import draw_roster, roster_like
from fcdsynth.phantom.scans import protocol_of
from fcdsynth.phantom.sources import TEMPLATE

LAW = LesionLaw(error_share=0.5, mix="stress")


@pytest.fixture(scope="module")
def people():
    return people_like("ds004199")


@pytest.fixture(scope="module")
def roster(people):
    return roster_like(people, 3, (TEMPLATE,), LAW)


def test_the_table_in_the_package_is_that_of_the_data_set(people, shared_data):
    real = read_people(shared_data / "ds004199")
    assert [p.id for p in people] == [p.id for p in real]
    for kept, read in zip(people, real, strict=True):
        assert (dict(kept.row), kept.t1w, kept.flair) == (dict(read.row), read.t1w, read.flair)
    # No images there, so the one mask that is named after another FLAIR is known from notes.
    odd = [(k.id, k.roi_label) for k, r in zip(people, real, strict=True)
           if k.roi_label != r.roi_label]  # fmt: skip
    assert odd == [("sub-00048", "32ch10")]
    assert to_table(people).count("\n") == 171


def test_groups_scanners_and_protocols_are_the_real_ones(people, roster):
    assert len(roster.specs) == 170
    assert Counter(s.patient for s in roster.specs) == {True: 85, False: 85}
    by_site = Counter((s.site_number, s.patient) for s in roster.specs)
    # 42 patients and all controls on scanner 35083, 43 patients on 20619 (notes, section 5).
    assert by_site == {(1, True): 42, (1, False): 85, (2, True): 43}
    assert {n: site.serial for n, site in roster.sites.items()} == {1: "35083", 2: "20619"}
    thick = [s.id for s in roster.specs if s.scans["flair"].slice_mm > 0]
    assert thick == [f"sub-{n:05d}" for n in (18, 27, 53, 74, 112, 120, 130)]
    first = next(s for s in roster.specs if s.id == "sub-00001")  # acq-iso08
    assert protocol_of(first.scans["t1w"], 1.0, "PSR").in_plane_mm == pytest.approx(0.8)
    assert protocol_of(first.scans["flair"], 2.0, "PSR").in_plane_mm == pytest.approx(2.0)
    corhipp = next(s for s in roster.specs if s.id == "sub-00018")  # 4 mm every 4.4 mm
    slices = protocol_of(corhipp.scans["flair"], 1.0, "PSR")
    assert (slices.dimensions, slices.slice_mm) == ("2D", 4.0)
    assert slices.pitch_mm == pytest.approx(4.4)


def test_lesions_lie_and_are_read_as_those_of_the_people(roster):
    for spec in roster.specs:
        if not spec.patient:
            assert spec.lesion is None
            continue
        row = spec.person.row
        assert spec.lesion.side == row["hemisphere"]
        lobes = [spec.lesion.lobe, *([spec.lesion.beside] if spec.lesion.beside else [])]
        assert ",".join(lobes) == row["lobe"]
        if row["histopathology"] != "n/a":
            assert spec.lesion.subtype == row["histopathology"]
        assert spec.lesion.mri_negative == (row["mri_diagnosis"] != "suspicion")
    assert sum(s.lesion.mri_negative for s in roster.specs if s.patient) == 7


def test_nobody_is_mixed_up_with_himself_or_with_a_control(roster):
    mixed = [(s, roster.mixed_up_with(s)) for s in roster.specs]
    pairs = [(s, other) for s, other in mixed if other is not None]
    assert pairs
    assert all(other.patient and other.id != s.id for s, other in pairs)
    lone = draw_roster(1, 3, 1, 0, (TEMPLATE,), LesionLaw(error_share=1.0, mix="stress"))
    assert all(lone.mixed_up_with(s) is None for s in lone.specs)


def test_a_small_data_set_is_imitated_on_disk(tmp_path):
    source = tmp_path / "real"
    columns = ["participant_id", "group", "hemisphere", "lobe", "mri_diagnosis", "split"]
    rows = [["sub-b", "hc", "n/a", "n/a", "n/a", "test"], ["sub-a", "fcd", "R", "PL", "suspicion",
                                                           "train"]]  # fmt: skip
    for row in rows:
        anat = source / row[0] / "anat"
        anat.mkdir(parents=True)
        t1w = {"DeviceSerialNumber": "77", "SliceThickness": 1.0, "RepetitionTime": 1.5}
        flair = {"MRAcquisitionType": "2D", "SliceThickness": 9.0, "SpacingBetweenSlices": 12.0}
        (anat / f"{row[0]}_acq-x_T1w.json").write_text(json.dumps(t1w))
        (anat / f"{row[0]}_acq-y_FLAIR.json").write_text(json.dumps(flair))
    table = "\n".join("\t".join(r) for r in [columns, *rows]) + "\n"
    (source / "participants.tsv").write_text(table)
    out = phantom(str(tmp_path / "out"), like=str(source), spacing=4.0, report=False,
                  errors="none")  # fmt: skip
    made = (out / "participants.tsv").read_text(encoding="utf-8-sig").splitlines()
    read = {r["participant_id"]: r for r in csv.DictReader(made, delimiter="\t")}
    assert list(read) == ["sub-a", "sub-b"]
    assert (read["sub-a"]["lobe"], read["sub-a"]["split"], read["sub-a"]["sex"]) == (
        "PL", "train", "n/a")  # fmt: skip
    anat = out / "sub-a" / "anat"
    names = {p.name for p in anat.glob("*.nii.gz")}
    assert names == {"sub-a_acq-x_T1w.nii.gz", "sub-a_acq-y_FLAIR.nii.gz",
                     "sub-a_acq-y_FLAIR_roi.nii.gz"}  # fmt: skip
    facts = json.loads((anat / "sub-a_acq-y_FLAIR.json").read_text())
    assert (facts["MRAcquisitionType"], facts["SliceThickness"]) == ("2D", 9.0)
    assert facts["DeviceSerialNumber"] == "77"
    spacing = read_grid(anat / "sub-a_acq-y_FLAIR.nii.gz").spacing_mm
    assert max(spacing) == pytest.approx(12.0, abs=0.02)
    assert json.loads((anat / "sub-a_acq-x_T1w.json").read_text())["RepetitionTime"] == 1.5
    truth = json.loads((out / "derivatives/truth/sub-a/sub-a_truth.json").read_text())
    assert truth["lesions"][0]["side"] == "R"


def test_what_cannot_be_imitated_is_named(tmp_path):
    with pytest.raises(CohortError, match="no such folder"):
        people_like(str(tmp_path / "absent"))
    with pytest.raises(CohortError, match=r"participants\.tsv"):
        people_like(str(tmp_path))
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup\nsub-a\thc\n")
    with pytest.raises(CohortError, match="0 T1w sidecars"):
        people_like(str(tmp_path))


def test_a_subject_does_not_depend_on_how_many_there_are():
    small = draw_roster(2, 1, 2, 5, (TEMPLATE,), LAW)
    large = draw_roster(4, 6, 2, 5, (TEMPLATE,), LAW)
    by_id = {s.id: s for s in large.specs}
    assert all(by_id[s.id] == s for s in small.specs)
    assert np.all([s.site_number == 1 for s in draw_roster(
        4, 4, 3, 5, (TEMPLATE,), LAW, confounded=True).specs if not s.patient])  # fmt: skip
