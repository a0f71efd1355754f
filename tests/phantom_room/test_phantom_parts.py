"""A phantom in parts: no anatomy in two splits, and earlier parts unmoved by later ones."""

from dataclasses import replace

import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.parted import Part, draw_parts, require_parts

PARTS = [
    Part(("a", "b"), 3, 2, "train"),
    Part(("c",), 2, 2, "train"),
    Part(("d",), 1, 1, "test"),
]


def test_numbers_run_on_and_each_part_keeps_to_its_anatomies():
    roster, splits = draw_parts(PARTS, 2, 5, LesionLaw())
    patients = [s for s in roster.specs if s.patient]
    assert [s.id for s in patients] == [f"sub-{2 * n + 1:05d}" for n in range(6)]
    assert len(roster.specs) == 11
    allowed = [PARTS[0]] * 3 + [PARTS[1]] * 2 + [PARTS[2]]
    assert all(s.anatomy in part.anatomies for s, part in zip(patients, allowed, strict=True))
    assert [splits[s.id] for s in patients] == ["train"] * 5 + ["test"]


def test_a_later_part_leaves_the_earlier_ones_as_they_were():
    short, _ = draw_parts(PARTS[:1], 2, 5, LesionLaw())
    whole, _ = draw_parts(PARTS, 2, 5, LesionLaw())
    by_id = {s.id: s for s in whole.specs}
    assert all(by_id[s.id] == s for s in short.specs)


def test_scanners_do_not_depend_on_the_part():
    roster, _ = draw_parts(PARTS, 2, 5, LesionLaw())
    other, _ = draw_parts([replace(PARTS[2], patients=2)], 2, 5, LesionLaw())
    assert roster.sites == other.sites


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([PARTS[0], Part(("a",), 1, 0, "test")], "a in the splits train and test"),
        ([Part(("z",), 1, 0)], "z"),
        ([Part((), 1, 0)], "without anatomies"),
        ([Part(("a",), 0, 0)], "0 patients and 0 controls"),
    ],
)
def test_what_cannot_be_is_refused(parts, found):
    with pytest.raises(SettingsError, match=found):
        require_parts(parts, ("a", "b", "c", "d"))
