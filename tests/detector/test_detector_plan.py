"""Plans: what follows from the cohort, and that fit takes them and refuses unknown keys."""

import pytest
import yaml
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.detector.plan import Fingerprint, make_plan, step_memory

WHOLE = Fingerprint((1.0, 1.0, 1.0), (140, 176, 144), 30)


def test_less_memory_means_a_smaller_patch():
    large, small = (make_plan(WHOLE, 2, gib, 16) for gib in (10.0, 2.0))
    voxels = [a * b * c for a, b, c in (large.patch, small.patch)]
    assert voxels[0] > 2 * voxels[1]
    assert large.need.total <= 10
    assert small.need.total <= 2
    for made in (large, small):
        factor = 2 ** (len(made.widths) - 1)
        assert all(size % factor == 0 and size >= 2 * factor for size in made.patch)
        assert len(made.blocks) == len(made.widths)
        assert made.widths[:2] == (16, 32)


def test_a_patch_is_no_larger_than_the_brain_asks_for():
    made = make_plan(Fingerprint((2.0, 2.0, 2.0), (70, 88, 70), 30), 2, 100.0, 8)
    factor = 2 ** (len(made.widths) - 1)
    for size, brain in zip(made.patch, (70, 88, 70), strict=True):
        assert abs(size - brain) <= factor / 2


def test_memory_grows_with_batch_and_patch():
    of = lambda batch, side: step_memory(2, (8, 16), (1, 1), 1, 1, batch, (side,) * 3, False)  # noqa: E731
    one, two, larger = of(1, 32), of(2, 32), of(1, 64)
    assert two.saved == pytest.approx(2 * one.saved, rel=0.02)
    assert larger.saved == pytest.approx(8 * one.saved, rel=0.02)
    assert one.fixed == two.fixed


def test_memory_that_holds_nothing_is_refused():
    with pytest.raises(SettingsError, match=r"memory_gib: found 0\.1; expected at least"):
        make_plan(WHOLE, 2, 0.1)


@pytest.fixture
def planned(tmp_path):
    cohort = prepared_cohort(tmp_path / "cohort", patients=2, controls=1)
    out = tmp_path / "plan.yaml"
    words = ["fit", "plan", str(cohort.folder), str(out)]
    assert main([*words, "--width", "4", "--memory_gib", "1", "--steps", "2"]) == 0
    return cohort, out


def test_a_plan_is_a_config_that_fit_takes(planned, tmp_path):
    cohort, out = planned
    settings = yaml.safe_load(out.read_text())
    assert settings["data"]["init_args"]["patch_size"] == [16, 24, 16]
    assert "voxels of 6 x 6 x 6 mm" in out.read_text()
    rows = [Split.TRAIN, Split.VAL, Split.TRAIN]
    cohort.with_splits(dict(zip([s.id for s in cohort.subjects], rows, strict=True))).write()
    words = ["fit", "-c", str(out), "--data.cohort", str(cohort.folder), "--trainer.accelerator",
             "cpu", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 0
    assert (tmp_path / "run" / "operating_point.json").is_file()


def test_a_key_that_fit_does_not_know_is_refused(planned, tmp_path, capsys):
    cohort, out = planned
    settings = yaml.safe_load(out.read_text())
    settings["data"]["init_args"]["double_augmentation"] = True
    edited = tmp_path / "edited.yaml"
    edited.write_text(yaml.safe_dump(settings))
    words = ["fit", "-c", str(edited), "--data.cohort", str(cohort.folder), "--out",
             str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 2
    assert "double_augmentation" in capsys.readouterr().err


def test_an_existing_plan_is_not_overwritten(planned, capsys):
    cohort, out = planned
    assert main(["fit", "plan", str(cohort.folder), str(out)]) == 1
    assert "a file that exists" in capsys.readouterr().err
