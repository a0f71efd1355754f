"""The verb study before anything is trained: what it takes for a cohort, and what it leaves."""

from pathlib import Path

from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort

CONFIG = Path(__file__).parents[2] / "configs" / "study" / "smoke.yaml"


def study(cohort, out, *more):
    return main(["study", str(cohort.folder), str(out), "-c", str(CONFIG), *more])


def test_a_cohort_that_is_not_prepared_is_refused(tmp_path, capsys):
    real = prepared_cohort(tmp_path / "real", 4, 4)
    rows = []
    for s in real.subjects:
        files = {k: v for k, v in s.files.items() if k != "tissue"} if s.id == "sub-00002" else None
        rows.append(s if files is None else type(s)(s.id, s.group, s.origin, files=files))
    Cohort(real.folder, tuple(rows)).write()
    assert study(real, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "sub-00002" in said
    assert "not prepared" in said
    assert not (tmp_path / "out").exists()


def test_a_prepared_cohort_with_too_few_subjects(tmp_path, capsys):
    real = prepared_cohort(tmp_path / "real", 3, 3)
    assert study(real, tmp_path / "out", "--n", "9") == 1
    assert "left for training" in capsys.readouterr().err


def test_numbers_out_of_range_are_named(tmp_path, capsys):
    real = prepared_cohort(tmp_path / "real", 6, 6)
    for key in ("draws", "rate", "folds"):
        assert study(real, tmp_path / key, f"--{key}", "0") == 1
        assert key in capsys.readouterr().err
