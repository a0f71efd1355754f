"""Pages for the reader: what they show, what they keep to themselves, and a disk that fills."""

import errno
import re
from dataclasses import replace

import numpy as np
import pytest
from known_detector import known_detector
from phantom import prepared_cohort

import fcdsynth.detector.detect as room
from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split
from fcdsynth.core.volume import read_labels

FIRST, SECOND = "sub-00001", "sub-00002"
BOXES = {
    "large": ((slice(15, 19), slice(13, 17), slice(12, 15)), 0.9),
    "second": ((slice(5, 7), slice(13, 15), slice(12, 14)), 0.8),
    "third": ((slice(10, 12), slice(4, 6), slice(14, 16)), 0.7),
}


@pytest.fixture
def cohort(tmp_path):
    """Two subjects with an age code; the second has no FLAIR."""
    made = prepared_cohort(tmp_path / "cohort", patients=2, controls=0)
    rows = [replace(s, split=Split.TEST, age_code="4711") for s in made.subjects]
    files = {key: path for key, path in rows[1].files.items() if not key.startswith("flair")}
    cohort = Cohort(made.folder, (rows[0], replace(rows[1], files=files)))
    cohort.write()
    return cohort


@pytest.fixture
def words(cohort, tmp_path, monkeypatch):
    run = known_detector(monkeypatch, tmp_path / "run", BOXES)
    return ["detect", str(run), str(cohort.folder), str(tmp_path / "out")]


def page(folder, subject):
    return (folder / subject / f"{subject}.html").read_text()


def pictures(text):
    return re.findall(r'<img src="([^"]{22})', text)


def test_a_page_stands_alone_and_says_what_it_must(words, tmp_path):
    assert main([*words, "--pictures", "2"]) == 0
    text = page(tmp_path / "out", FIRST)
    assert pictures(text) == ["data:image/png;base64,"] * 2
    assert "1 more cluster is listed above and not drawn." in text
    assert "3 clusters, best score 0.90. The model looked at T1w and FLAIR." in text
    assert "not a medical device" in text
    assert "<td>probability 0.5 (chosen on 1 validation subject)</td>" in text
    assert "<td>1 detector, weights " in text
    rows = re.findall(r"<tr>(<td.*?)</tr>", text)
    assert len(rows) == 3
    assert re.findall(r">([^<]*)</td>", rows[0])[:6] == [
        "1", "0.90", "10.37 ml", "right", "30, 18, 9", "30, 18, 9",
    ]  # fmt: skip
    for told in ("4711", str(tmp_path), ".nii", "patient"):
        assert told not in text.replace("Patients", "")


def test_a_subject_without_flair_is_told_so(words, tmp_path):
    assert main(words) == 0
    text = page(tmp_path / "out", SECOND)
    assert "The model looked at T1w, without FLAIR, which this subject lacks." in text
    assert len(pictures(text)) == 3
    assert "works without FLAIR" in text


def test_no_cluster_is_a_page_too(words, tmp_path):
    assert main([*words, "--threshold", "0.95"]) == 0
    text = page(tmp_path / "out", FIRST)
    assert "No cluster. The model looked at T1w and FLAIR." in text
    assert "no cluster does not mean no lesion" in text
    assert "given by hand; the model&#39;s own is 0.5" in text
    assert pictures(text) == []
    index = (tmp_path / "out" / "index.html").read_text()
    assert "0 of 2 subjects have a cluster" in index


def test_the_list_leads_to_every_page_best_score_first(words, tmp_path, monkeypatch):
    def look(models, image, *rest, whole=room.mean_probability):
        found = whole(models, image, *rest)
        # Of the subject without FLAIR nothing but the third box is seen.
        return found if image[1].any() else np.where(found < 0.75, found, 0.05)

    monkeypatch.setattr(room, "mean_probability", look)
    assert main(words) == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "2 of 2 subjects have a cluster" in text
    rows = re.findall(r'<tr><td class="name"><a href="([^"]*)">([^<]*)</a></td>(.*?)</tr>', text)
    assert [(a, b) for a, b, _ in rows] == [(f"{n}/{n}.html", n) for n in (FIRST, SECOND)]
    cells = [re.findall(r">([^<]*)</td>", rest) for _, _, rest in rows]
    assert cells == [["3", "0.90", "right"], ["1", "0.70", "left"]]
    for address, *_ in rows:
        assert (tmp_path / "out" / address).is_file()
    assert str(tmp_path) not in text


def test_without_pages_there_is_none(words, tmp_path):
    assert main([*words, "--pages", "false"]) == 0
    assert not list((tmp_path / "out").rglob("*.html"))
    assert len(Detections.read(tmp_path / "out").clusters) == 6


def test_a_pdf_has_a_table_and_a_page_per_drawn_cluster_and_repeats(words, tmp_path):
    made = []
    for out in ("out", "again"):
        words[3] = str(tmp_path / out)
        assert main([*words, "--pdf", "true", "--pictures", "2"]) == 0
        made.append({p.relative_to(tmp_path / out): p.read_bytes()
                     for p in (tmp_path / out).rglob("*") if p.name != "provenance.json"
                     and p.is_file()})  # fmt: skip
    assert made[0] == made[1]
    pdf = (tmp_path / "out" / FIRST / f"{FIRST}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) == 3
    assert b"CreationDate" not in pdf
    assert f'<a href="{FIRST}.pdf">' in page(tmp_path / "out", FIRST)


def test_a_bent_cluster_is_cut_where_it_lies(tmp_path, words, monkeypatch, cohort):
    """Its centre of mass lies in the gap; the picture must go through the cluster."""
    import fcdsynth.detector.pictures as drawing

    BOXES_BENT = {
        "left arm": ((slice(8, 9), slice(8, 15), slice(12, 13)), 0.9),
        "right arm": ((slice(14, 15), slice(8, 15), slice(12, 13)), 0.9),
        "bridge": ((slice(8, 15), slice(8, 9), slice(12, 13)), 0.9),
    }
    run = known_detector(monkeypatch, tmp_path / "bent", BOXES_BENT)
    seen = []

    def draw(*rest, whole=drawing.three_planes):
        seen.append(rest[3])
        return whole(*rest)

    monkeypatch.setattr(drawing, "three_planes", draw)
    assert main(["detect", str(run), *words[2:]]) == 0
    found = Detections.read(tmp_path / "out")
    labels = read_labels(found.clusters_path(FIRST))
    at = tuple(np.rint(labels.grid.to_vox(seen[0])).astype(int))
    assert labels.array[at] == 1
    middle = np.rint(labels.grid.to_vox(found.of(FIRST)[0].centre_mm)).astype(int)
    assert labels.array[tuple(middle)] == 0


@pytest.mark.parametrize("state_fits", [True, False])
def test_a_full_disk_names_the_subject_and_the_work_goes_on_later(
    words, tmp_path, capsys, monkeypatch, state_fits
):
    whole, note, calls = room.write_subject, Run._note, []

    def full():
        return OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    def write(folder, subject, *rest):
        calls.append(subject)
        if calls.count(SECOND) == 1 and subject == SECOND:
            if not state_fits:  # nor does the note that the run leaves behind
                monkeypatch.setattr(Run, "_note", lambda _self: (_ for _ in ()).throw(full()))
            raise full()
        return whole(folder, subject, *rest)

    monkeypatch.setattr(room, "write_subject", write)
    assert main(words) == 1
    text = capsys.readouterr().err
    assert f"{SECOND}: found OSError: [Errno 28] No space left on device" in text
    assert "(1 of 2 subjects finished)" in text
    assert "run the same command again" in text
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Run, "_note", note)
    assert main(words) == 0
    assert calls == [FIRST, SECOND, SECOND]
    assert Detections.read(tmp_path / "out").subjects == (FIRST, SECOND)
