"""The page: stands alone, says what its report says, and survives every empty set."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.evaluation.compare import compare
from fcdsynth.evaluation.failures.pictures import MISS, FailurePicture, draw_failures
from fcdsynth.evaluation.failures.review import review_failures
from fcdsynth.evaluation.pages.glossary import GLOSSARY
from fcdsynth.evaluation.pages.page import write_page
from fcdsynth.evaluation.pages.plot_calibration import calibration_figure
from fcdsynth.evaluation.pages.plot_dots import Line, dots_figure
from fcdsynth.evaluation.pages.plot_froc import froc_figure
from fcdsynth.evaluation.pages.plot_sites import sites_figure
from fcdsynth.evaluation.pages.wording import names_of, number, p_value
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule

POINT = {"threshold": 0.4, "min_volume_ml": 0.1, "temperature": 1.0, "chosen_on": ["v1", "v2"]}
PLAN = {"endpoint": "subject_sensitivity", "compared": ["a", "b"], "sha256": "ab" * 32,
        "words": "locked on Monday", "openings": [{}]}  # fmt: skip
PIXEL = FailurePicture(MISS, "sub-1", "A caption.", b"png")


class Reader(HTMLParser):
    """Collects headings, table rows and addresses, and checks that tags are closed."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.rows, self.addresses, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip() + " "
        if "style" not in self.open:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


@pytest.fixture
def subjects(record):
    """Eight patients (five found) and six controls (four clean) at two sites."""
    patients = [
        record(f"p{k}", found=(0.9 - k / 50 if k < 5 else None,), false=(0.55,) if k == 0 else (),
               site="AB"[k % 2], volume_ml=k + 1.0, level=0.9 - k / 10)
        for k in range(8)
    ]  # fmt: skip
    controls = [
        record(f"c{k}", patient=False, false=(0.6,) if k > 3 else (), site="AB"[k % 2])
        for k in range(6)
    ]
    return (*patients, *controls)


def report_of(subjects, **changes):
    base = Report("cohort-1, version 1", Rule.OVERLAP, "probability", POINT, 30, (), None, (), 100,
                  5, 0, tuple(subjects))  # fmt: skip
    return replace(base, **changes).derived()


def page_of(folder, runs, comparisons=(), pictures=(), pair=None):
    failures = review_failures(runs, Rule.OVERLAP, pair)
    return write_page(folder, runs, comparisons, failures, pictures)


def test_one_run_in_full(subjects, tmp_path):
    report = report_of(subjects)
    page = read(page_of(tmp_path, {"only": report}, pictures=[PIXEL]))
    assert page.headings == [
        "What was evaluated", "Read this first", "Headline figures", "The same under every rule",
        "What this sample could have shown", "Sites and scanners", "Subgroups",
        "Lesion-site probability", "Calibration", "Sensitivity against false positives",
        "What fails, and where", "Empty sets, and what they do to the figures",
        "What the figures mean", "How to rebuild these numbers",
    ]  # fmt: skip
    rows = {}
    for row in page.rows:
        rows.setdefault(row[0].strip(), [cell.strip() for cell in row[1:]])
    # 5 of 8; Wilson by hand: centre (0.625 + z2/16) / (1 + z2/8), z = 1.96.
    assert rows["Patients found (sensitivity)"][:3] == ["62.5 %", "[30.6, 86.3]",
                                                        "5 of 8 patients"]  # fmt: skip
    assert rows["Patients found (sensitivity)"][3:] == ["25.0 %", "Wilson"]
    assert rows["Controls without a cluster (specificity)"][2] == "4 of 6 controls"
    assert rows["False positives per control"][0] == "0.33"
    text = " ".join(page.text)
    assert "Research software, not a medical device." in text
    assert "probability 0.4, clusters of at least 0.1 ml" in text
    assert "2 validation subjects" in text
    assert "no plan was locked before the test set was read" in text
    assert "14 of 14 subjects are simulated" in text
    assert "Only 8 patients" in text
    for term in GLOSSARY:
        assert term in text


def test_the_page_needs_nothing_else_and_tells_no_path(subjects, tmp_path):
    path = page_of(tmp_path, {"only": report_of(subjects)}, pictures=[PIXEL])
    page = read(path)
    assert len(page.addresses) >= 6
    assert all(a.startswith("data:image/png;base64,") for a in page.addresses)
    source = path.read_text(encoding="utf-8")
    for word in ("http", "<script", "@import", "url(", str(tmp_path), "/tmp"):
        assert word not in source.replace("base64,", ""), word


def test_equal_reports_give_equal_pages(subjects, tmp_path):
    one, other = tmp_path / "1", tmp_path / "2"
    for folder in (one, other):
        folder.mkdir()
        page_of(folder, {"only": report_of(subjects)})
    assert (one / "report.html").read_bytes() == (other / "report.html").read_bytes()


def test_several_runs_are_compared(subjects, record, tmp_path):
    better = [replace(s, lesions=record("x", found=(0.8,)).lesions) if s.id == "p7" else s
              for s in subjects]  # fmt: skip
    better = [
        replace(s, lesions=(replace(s.lesions[0], volume_ml=8.0),)) if s.id == "p7" else s
        for s in better
    ]
    a, b = report_of(subjects, plan=PLAN), report_of(better, plan=PLAN)
    page = read(
        page_of(tmp_path, {"a": a, "b": b}, [("a", "b", compare(a, b, bootstrap=100))],
                pair=("a", "b"))
    )  # fmt: skip
    text = " ".join(page.text)
    assert "Runs compared, subject by subject" in page.headings
    row = next(r for r in page.rows if r and "Patients found" in r[0] and "n = 8" in r[0])
    assert [cell.strip() for cell in row[1:3]] == ["62.5 %", "75.0 %"]
    assert row[3].startswith("+12.5 points")
    assert row[4].strip() == "1 / 0"
    assert row[5].startswith("1.000")
    assert "better: p7" in text
    assert "locked on Monday" in text
    assert "primary endpoint: Patients found (sensitivity), b against a" in text
    assert "No plan was locked" not in text
    assert "Missed lesions removed by b: 1." in text


def test_a_second_opening_is_told(subjects, tmp_path):
    again = report_of(subjects, plan={**PLAN, "openings": [{}, {}]})
    assert "opened more than once" in " ".join(read(page_of(tmp_path, {"a": again})).text)


def test_ids_are_escaped(record, tmp_path):
    odd = report_of([record("<b>p", found=(None,)), record("c", patient=False)])
    source = page_of(tmp_path, {"a": odd}).read_text(encoding="utf-8")
    assert "&lt;b&gt;p" in source
    assert "<b>p" not in source


def _binary(subjects):
    return [
        replace(
            s, bins=None, ranked=False, whole_site=None,
            lesions=tuple(replace(le, site=None, random=None) for le in s.lesions),
        )
        for s in subjects
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no patients", "No patients were evaluated"),
        ("no controls", "nothing is said about specificity"),
        ("no clusters", "no clusters"),
        ("one patient", "Only 1 patient"),
        ("binary", "clusters without scores"),
        ("nobody", "0 patients and 0 controls"),
    ],
)
def test_every_empty_set_still_makes_a_page(subjects, record, tmp_path, case, says):
    chosen = {
        "no patients": subjects[8:],
        "no controls": subjects[:8],
        "no clusters": [record("p", found=(None,)), record("c", patient=False)],
        "one patient": [subjects[0], *subjects[8:]],
        "binary": _binary(subjects),
        "nobody": [],
    }[case]
    maps = "binary" if case == "binary" else "probability"
    page = read(page_of(tmp_path, {"a": report_of(chosen, maps=maps)}))
    assert says in " ".join(page.text)
    assert ("Lesion-site probability" in page.headings) == (
        case not in ("binary", "no patients", "nobody")
    )


def test_a_page_of_no_run_is_refused(subjects, tmp_path):
    failures = review_failures({"a": report_of(subjects)}, Rule.OVERLAP, None)
    with pytest.raises(SettingsError, match="runs"):
        write_page(tmp_path, {}, [], failures)


def test_the_confound_warning_stands_first_and_with_the_sites(subjects, tmp_path):
    alone = [replace(s, scanner="old" if s.is_patient else "new") for s in subjects]
    report = report_of(alone)
    assert report.warnings
    text = "".join(read(page_of(tmp_path, {"a": report})).text)
    first = text.index(report.warnings[0])
    assert first < text.index("Headline figures")
    assert text.index(report.warnings[0], first + 1) > text.index("Sites and scanners")


def test_the_froc_ends_in_the_operating_point_of_each_group(subjects):
    """One false positive in 8 patients, two in 6 controls; 5 of 8 lesions found."""
    figure = froc_figure({"only": report_of(subjects)})
    for panel, rate, title in zip(figure.axes, (1 / 8, 2 / 6), ("8 patients", "6 controls"),
                                  strict=True):  # fmt: skip
        assert len(panel.lines) == len(Rule)
        x, y = panel.lines[0].get_data()
        assert (x[-1], y[-1]) == (pytest.approx(rate), 5 / 8)
        assert panel.lines[0].get_markevery() == [len(x) - 1]
        assert title in panel.get_title(loc="left")
    assert len({line.get_marker() for line in figure.axes[0].lines}) == len(Rule)
    several = froc_figure({"a": report_of(subjects), "b": report_of(subjects)})
    assert len(several.axes) == 2 * len(Rule)
    assert len(several.axes[0].lines) == 2


def test_dots_carry_value_interval_and_n(subjects):
    report = report_of(subjects)
    lines = [Line("everyone", "all"), Line("Site"), Line("A", "site=A"), Line("none", "site=Z")]
    panel = dots_figure({"a": report}, lines, {"subject_sensitivity": "found"}).axes[0]
    assert [text.get_text() for text in panel.texts] == ["5/8", "3/4"]  # p0, p2, p4 of A
    drawn = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2]
    figure = report.figure("subject_sensitivity", scope="site=A")
    assert [figure.low, figure.high] in [list(map(float, x)) for x in drawn]
    hollow = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1  # four patients are few


def test_sites_show_every_lesion_once_and_the_median(subjects):
    """Levels 0.9, 0.8 ... 0.2: median 0.55; five found."""
    panel = sites_figure({"a": report_of(subjects)}).axes[0]
    counts = {line.get_label(): len(line.get_xdata()) for line in panel.lines}
    assert (counts["found"], counts["missed"]) == (5, 3)
    assert panel.texts[0].get_text() == "0.55"
    assert [t.get_text() for t in panel.get_xticklabels()] == [
        "lesion\nn = 8", "mirrored\nn = 0", "random\nn = 8",
    ]  # fmt: skip


def test_calibration_marks_few_clusters_hollow(subjects):
    """Voxels: 14 subjects of (90, 10) with (1, 9) inside: shares 1/90 and 0.9."""
    upper = calibration_figure({"a": report_of(subjects)}).axes[0]
    curve = next(line for line in upper.lines if len(line.get_xdata()) == 2
                 and line.get_color() != "#555555")  # fmt: skip
    assert list(curve.get_xdata()) == pytest.approx([9 / 90, 8 / 10])
    assert list(curve.get_ydata()) == pytest.approx([1 / 90, 0.9])
    clusters = calibration_figure({"a": report_of(subjects)}).axes[1]
    hollow = [len(line.get_xdata()) for line in clusters.lines
              if line.get_markerfacecolor() == "white"]  # fmt: skip
    # Scores: 0.55; 0.6, 0.6; 0.90, 0.88, 0.86, 0.84, 0.82: bins of 1, 2, 4, 1, all below five.
    assert hollow == [4]


def test_words_for_numbers():
    assert number(0.361, True) == "36.1 %"
    assert number(-0.05, True, signed=True) == "-5.0 points"
    assert number(None, False) == "none"
    assert p_value(0.00001) == "< 0.001"
    assert p_value(0.125) == "0.125"
    assert p_value(None) == ""
    assert (
        names_of([str(k) for k in range(14)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
    )


@pytest.fixture
def imaged(record, tmp_path):
    """A patient with a missed lesion and a false positive, with volumes on disk."""
    grid = Grid.of((40, 40, 40), np.diag([4.0, 4.0, 4.0, 1.0]))
    brain = np.zeros(grid.shape, np.float32)
    brain[5:35, 5:35, 5:35] = 100
    lesion, labels = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.int16)
    lesion[10:14, 10:14, 10:14], labels[25:28, 25:28, 25:28] = 1, 1
    write_volume(tmp_path / "t1w.nii.gz", Volume(brain, grid))
    write_volume(tmp_path / "truth.nii.gz", Volume(lesion, grid))
    files = {"t1w": "t1w.nii.gz", "truth": "truth.nii.gz"}
    row = Subject("p", Group.PATIENT, Origin.PHANTOM, files=files)
    one = record("p", found=(None,), false=(0.7,))
    one = replace(
        one,
        lesions=(replace(one.lesions[0], centre_mm=(46.0, 46.0, 46.0)),),
        clusters=(replace(one.clusters[0], centre_mm=(104.0, 104.0, 104.0)),),
    )
    return Cohort(tmp_path, (row,)), report_of([one]), Volume(labels, grid)


def test_pictures_of_a_miss_and_of_a_false_positive(imaged):
    cohort, report, labels = imaged
    failures = review_failures({"a/1": report, "a/2": report}, Rule.OVERLAP, None)
    asked = []

    def marks(run, subject):
        asked.append((run, subject))
        return labels if run == "a/1" else None

    miss, false = draw_failures(failures, cohort, marks)
    assert (miss.kind, false.kind) == ("missed lesion", "false positive")
    assert miss.caption == (
        "p (patient, site s): missed lesion of 1.00 ml, frontal left; in 2 of 2 runs of a; "
        "highest probability inside it 0.50."
    )
    assert "false positive of 0.01 ml" in false.caption
    assert miss.png != false.png
    assert re.match(r"data:image/png;base64,iVBOR", miss.source)
    assert set(asked) == {("a/1", "p"), ("a/2", "p")}
    assert len(draw_failures(failures, cohort, marks, limit=1)) == 1
    assert [p.png for p in draw_failures(failures, cohort, marks)] == [miss.png, false.png]


def test_a_cohort_without_images_gives_no_pictures_and_says_so(imaged, tmp_path):
    cohort, report, _ = imaged
    bare = Cohort(cohort.folder, (replace(cohort.subjects[0], files={}),))
    failures = review_failures({"a": report}, Rule.OVERLAP, None)
    assert draw_failures(failures, bare, lambda run, subject: None) == ()
    text = " ".join(read(page_of(tmp_path, {"a": report})).text)
    assert "No pictures: none were asked for" in text
