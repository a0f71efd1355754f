"""The reading kit and its scores, through the command line."""

import csv
import gzip
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from phantom import prepared_cohort, tiny_grid, tiny_head
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Group, Origin, Parent, Role, Subject
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.synthesis.kit.choice import choose
from fcdsynth.synthesis.kit.needed import power_of, reads_needed


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four real patients, three synthetic ones in controls, and a kit of two and two."""
    folder = tmp_path_factory.mktemp("readers")
    real = prepared_cohort(folder / "real", 4, 3)
    subjects = []
    for number, host in enumerate(s for s in real.subjects if not s.is_patient):
        name = f"syn-{number + 1:05d}"
        arrays = tiny_head(tiny_grid("LAS"), number + 4, (30.0, 18.0, 12.0))
        for key in ("t1w", "flair"):
            write_volume(folder / "made" / f"{name}_{key}.nii.gz",
                         Volume(arrays[key], tiny_grid("LAS")))  # fmt: skip
        files = {k: f"{name}_{k}.nii.gz" for k in ("t1w", "flair")}
        subjects.append(Subject(name, Group.PATIENT, Origin.SYNTHETIC,
                                parents=(Parent(host.id, Role.HOST),), files=files))  # fmt: skip
    Cohort(folder / "made", tuple(subjects), "made").write()
    assert kit(folder, "out") == 0
    return folder, real


def kit(folder, out, *words, real="real", made="made"):
    few = ["--n_real", "2", "--n_synthetic", "2"]
    return main(["readers", *(str(folder / n) for n in (real, made, out)), *few, *words])


def key_of(folder, out="out"):
    with (folder / out / "key" / "key.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_the_kit_holds_both_contrasts_under_neutral_names(world):
    folder, _ = world
    inside = {p.relative_to(folder / "out" / "kit").as_posix()
              for p in (folder / "out" / "kit").rglob("*") if p.is_file()}  # fmt: skip
    cases = {f"{c}/case-0{n}.{end}" for c in ("t1w", "flair") for n in range(1, 5)
             for end in ("nii.gz", "png")}  # fmt: skip
    assert inside == cases | {"README.txt", "answers.csv"}
    key = key_of(folder)
    for contrast in ("t1w", "flair"):
        rows = [r for r in key if r["contrast"] == contrast]
        assert [r["case"] for r in rows] == [f"case-0{n}" for n in range(1, 5)]
        assert sorted(r["kind"] for r in rows) == ["real", "real", "synthetic", "synthetic"]
    orders = [[r["subject"] for r in key if r["contrast"] == c] for c in ("t1w", "flair")]
    assert sorted(orders[0]) == sorted(orders[1])


def test_nothing_in_the_kit_tells_where_an_image_comes_from(world):
    folder, _ = world
    ids = [row["subject"].encode() for row in key_of(folder)]
    grids = set()
    for path in sorted((folder / "out" / "kit").rglob("*")):
        if path.is_dir():
            continue
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert not any(name in data for name in [*ids, b"sub-", b"syn-", str(folder).encode()])
        if path.suffix == ".gz":
            volume = read_volume(path)
            grids.add((volume.grid, data[:348]))
            assert np.array_equal(volume.array, np.rint(volume.array))
            assert volume.array.max() > 400
    assert len(grids) == 1  # one shape, one place, one header
    text = (folder / "out" / "kit" / "answers.csv").read_text()
    assert "real" not in text
    assert "synthetic" not in text


def test_an_image_is_the_subjects_own_and_upright(world):
    folder, real = world
    for row in key_of(folder):
        shown = read_volume(folder / "out" / "kit" / row["contrast"] / f"{row['case']}.nii.gz")
        cohort = real if row["kind"] == "real" else Cohort.read(folder / "made")
        own = read_volume(cohort.path(cohort[row["subject"]], row["contrast"]))
        array = own.array[::-1] if own.grid.axis_codes == "LAS" else own.array
        box = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(array))
        inner = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(shown.array))
        assert np.array_equal(shown.array[inner], np.rint(array[box] * 1000))


def test_the_seed_decides_and_nobody_is_in_it_twice(world):
    folder, real = world
    assert kit(folder, "again") == 0
    assert key_of(folder) == key_of(folder, "again")
    name = "kit/t1w/case-01.png"
    assert (folder / "out" / name).read_bytes() == (folder / "again" / name).read_bytes()
    made = Cohort.read(folder / "made")
    first, other = (choose(real, made, 2, 2, "all", seed) for seed in (0, 1))
    assert [asdict(item) for item in first] == key_of(folder)
    assert first != other
    # A synthetic patient whose host is a real patient of the kit would be that brain twice.
    patients = [s.id for s in real.subjects if s.is_patient]
    hosted = tuple(replace(s, parents=(Parent(p, Role.HOST),))
                   for s, p in zip(made.subjects, patients, strict=False))  # fmt: skip
    hosts = {s.id: s.parents[0].subject for s in hosted}
    for seed in range(20):
        items = choose(real, replace(made, subjects=hosted), 2, 2, "all", seed)
        shown = {item.subject for item in items}
        assert not {hosts[s] for s in shown if s in hosts} & shown


def test_too_few_patients_are_named(world, capsys):
    folder, _ = world
    assert kit(folder, "refused", "--n_synthetic", "4") == 1
    message = capsys.readouterr().err
    assert "3 synthetic patients of different people" in message
    assert "--n_synthetic" in message
    assert kit(folder, "refused", "--split", "val") == 1
    assert "0 real patients" in capsys.readouterr().err
    assert not (folder / "refused").exists()


def sheet(folder, name, wrong=(), confidence="", cue="", drop=(), separator=","):
    """Answer everything right but the named cases."""
    rows = []
    for row in key_of(folder):
        place = f"{row['contrast']} {row['case']}"
        if place in drop:
            continue
        truth = row["kind"] == "synthetic"
        answer = "synthetic" if truth != (place in wrong) else "Real "
        rows.append([row["contrast"], row["case"], answer, confidence, cue])
    path = folder / f"answers-{name}.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, delimiter=separator)
        writer.writerow(["contrast", "case", "answer", "confidence", "cue"])
        writer.writerows(rows)
    return path


def score(folder, out, *sheets, words=()):
    names = [str(s) for s in sheets]
    key, out = str(folder / "out" / "key"), str(folder / out)
    return main(["readers", "score", *names, key, out, *words])


def test_scores_by_hand(world):
    folder, _ = world
    key = key_of(folder)
    made = [f"t1w {r['case']}" for r in key if r["contrast"] == "t1w" and r["kind"] != "real"]
    one = sheet(folder, "ana", wrong=made[:1], confidence="4", cue="too <smooth>")
    two = sheet(folder, "ben", wrong=made[:2], separator=";")
    assert score(folder, "scored", one, two) == 0
    found = json.loads((folder / "scored" / "scores.json").read_text())
    ana = next(r for r in found["readings"] if (r["reader"], r["contrast"]) == ("ana", "t1w"))
    assert (ana["accuracy"]["hits"], ana["accuracy"]["n"]) == (3, 4)
    low, high = proportion_confint(3, 4, method="wilson")
    assert (ana["accuracy"]["low"], ana["accuracy"]["high"]) == pytest.approx((low, high))
    assert (ana["sensitivity"]["hits"], ana["sensitivity"]["n"]) == (1, 2)
    assert ana["specificity"]["value"] == 1
    truth, told = [1, 1, 0, 0], [0, 1, 0, 0]
    assert ana["kappa"]["value"] == pytest.approx(cohen_kappa_score(truth, told))
    assert ana["p"] == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert ana["confidence_right"] == 4
    ben = next(r for r in found["readings"] if (r["reader"], r["contrast"]) == ("ben", "t1w"))
    assert ben["kappa"]["value"] == 0  # everything called real
    assert ben["confidence_right"] is None
    pair = {a["contrast"]: a for a in found["agreements"]}
    assert (pair["t1w"]["same"], pair["t1w"]["n"]) == (3, 4)
    assert pair["t1w"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(told, [0, 0, 0, 0]))
    assert pair["flair"]["kappa"]["value"] == pytest.approx(1)
    pooled = {p["contrast"]: p for p in found["pooled"]}
    assert pooled["t1w"]["accuracy"] == pytest.approx(5 / 8)
    assert pooled["flair"]["accuracy"] == pooled["flair"]["low"] == 1
    assert pooled["both"]["accuracy"] == pytest.approx(13 / 16)
    page = (folder / "scored" / "report.html").read_text()
    assert "too &lt;smooth&gt;" in page
    assert "told from real ones on FLAIR" in page
    with (folder / "scored" / "answers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    assert sum(r["correct"] == "yes" for r in rows) == 13


def edited(path, change):
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    path.write_text("\n".join(change(lines)) + "\n")
    return path


def test_answers_that_cannot_be_scored_are_named_by_row(world, capsys):
    folder, _ = world

    def refused(path, *parts):
        assert score(folder, "refused", path) == 1
        message = capsys.readouterr().err
        assert all(part in message for part in parts), message
        assert not (folder / "refused").exists()

    def cell(lines, row, text):
        return [*lines[: row - 1], text, *lines[row:]]

    path = sheet(folder, "carl")
    refused(edited(path, lambda x: cell(x, 3, "t1w,case-02,,,")),
            "answers-carl.csv row 3 (t1w case-02)", "no answer")  # fmt: skip
    path = sheet(folder, "carl")
    refused(edited(path, lambda x: cell(x, 6, "flair,case-01,maybe,,")),
            "row 6 (flair case-01)", "'maybe'", "real or synthetic")  # fmt: skip
    path = sheet(folder, "carl")
    refused(edited(path, lambda x: cell(x, 2, "t1w,case-01,real,7,")), "row 2", "confidence '7'")
    path = sheet(folder, "carl")
    refused(edited(path, lambda x: cell(x, 2, "t1w,case-99,real,,")), "case-99", "not in the key")
    path = sheet(folder, "carl")
    refused(edited(path, lambda x: [*x, x[1]]), "row 10 (t1w case-01)", "a second answer")
    refused(sheet(folder, "carl", drop=("flair case-03",)), "(flair case-03)", "no row")
    path = sheet(folder, "carl")
    refused(edited(path, lambda x: cell(x, 1, "contrast,case,verdict")), "no column answer")
    refused(folder / "answers-nobody.csv", "no such file")
    (folder / "more").mkdir(exist_ok=True)
    twin = sheet(folder, "carl")
    (folder / "more" / twin.name).write_bytes(twin.read_bytes())
    assert score(folder, "refused", twin, folder / "more" / twin.name) == 1
    assert "two sheets of this name" in capsys.readouterr().err
    assert score(folder, "refused", twin, words=("--true_accuracy", "0.7")) == 1
    assert "bound" in capsys.readouterr().err


def test_how_many_reads_it_takes():
    n = reads_needed(0.6, 0.5, 0.8)
    # The normal approximation: ((1.960 sqrt(0.24) + 0.842 sqrt(0.25)) / 0.1)^2 = 191.
    assert abs(n - 191) <= 12
    assert power_of(n, 0.6, 0.5) >= 0.8
    assert power_of(n - 1, 0.6, 0.5) < 0.8
    rng = np.random.default_rng(0)
    hits = rng.binomial(n, 0.5, 20000)
    high = proportion_confint(hits, n, method="wilson")[1]
    assert (high < 0.6).mean() == pytest.approx(power_of(n, 0.6, 0.5), abs=0.01)
    assert reads_needed(0.7, 0.5, 0.8) < n
    assert power_of(28, 0.6, 0.5) < 0.25  # the published kit
