"""configs/study/ds004199.yaml on the data set's own table: who tests and who trains."""

from collections import Counter
from pathlib import Path

import yaml

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.phantom.like import people_like
from fcdsynth.study.choice import make_plan
from fcdsynth.study.settings import Arm

CONFIG = Path(__file__).parents[2] / "configs" / "study" / "ds004199.yaml"
OFFICIAL = (4, 6, 9, 20, 32, 34, 43, 48, 61, 62, 64, 66, 74, 92, 95, 99, 100, 103, 107, 108, 121,
            125, 128, 134, 136, 142, 144, 145)  # fmt: skip


def table():
    rows = []
    for person in people_like("ds004199"):
        row = person.row
        rows.append(
            Subject(
                person.id, Group.PATIENT if person.patient else Group.CONTROL, Origin.REAL,
                scanner=str(person.t1w.facts["DeviceSerialNumber"]), split=Split(row["split"]),
                sex=row["sex"], age_code=row["age_scan"],
            )
        )  # fmt: skip
    return Cohort(Path("nowhere"), tuple(rows))


def planned(**more):
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    arms = [Arm(**arm) for arm in settings.pop("arms")]
    for key in ("spacing", "detector", "synthesis", "machine"):
        settings.pop(key)
    return make_plan(table(), arms, **{**settings, **more})


def test_the_official_patients_and_as_many_controls_of_our_own_test():
    plan, cohort = planned(), table()
    assert (len(cohort), plan.n, plan.folds, len(plan.draws)) == (170, 28, 5, 3)
    for draw in plan.draws:
        assert draw.test_patients == tuple(f"sub-{n:05d}" for n in OFFICIAL)
        assert len(draw.test_controls) == 28
        assert draw.test_controls == plan.draws[0].test_controls
        assert (len(draw.train_patients), len(draw.train_controls)) == (56, 56)
        assert not set(draw.test) & {*draw.train_patients, *draw.train_controls}
    assert plan.test_from_table


def test_test_controls_are_like_the_test_patients():
    """Sexes agree one by one, and so do ages on the whole; by chance they would differ more."""
    cohort = table()

    def of(names):
        return [cohort[name] for name in names]

    matched, chance = planned().draws[0], planned(match_controls=False).draws[0]
    sexes = Counter(s.sex for s in of(matched.test_patients))
    assert Counter(s.sex for s in of(matched.test_controls)) == sexes

    def gap(draw):
        one, other = (sorted(int(s.age_code) for s in of(names))
                      for names in (draw.test_patients, draw.test_controls))  # fmt: skip
        return sum(abs(a - b) for a, b in zip(one, other, strict=True))

    assert gap(matched) < gap(chance)


def test_each_draw_trains_on_both_scanners():
    """All controls are of one scanner; patients of both, in every fold."""
    plan, cohort = planned(), table()
    for draw in plan.draws:
        for size in (28, 56):
            scanners = Counter(cohort[name].scanner for name in draw.train_patients[:size])
            assert min(scanners.values()) >= 0.4 * size
        assert {cohort[name].scanner for name in draw.test_controls} == {"35083"}
