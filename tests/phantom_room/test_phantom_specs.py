"""What a subject's spec depends on, and that scanners are stable."""

from fcdsynth.core.provenance import plain
from fcdsynth.phantom.contrast import draw_site
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.spec import draw_subject

LAW = LesionLaw()


def test_a_spec_depends_on_its_seed_alone_and_is_plain_data():
    import json

    one = draw_subject("sub-00001", True, draw_site(0, 1), ("icbm152",), (0, 0, 0), LAW)
    assert one == draw_subject("sub-00001", True, draw_site(0, 1), ("icbm152",), (0, 0, 0), LAW)
    assert (
        one.pose
        != draw_subject("sub-00001", True, draw_site(0, 1), ("icbm152",), (0, 0, 1), LAW).pose
    )
    assert json.loads(json.dumps(plain(one)))["lesion"]["lobe"] == one.lesion.lobe


def test_sites_differ_and_are_stable():
    first, second = draw_site(0, 1), draw_site(0, 2)
    assert first == draw_site(0, 1)
    assert first.serial != second.serial
    assert first.means["flair"] != second.means["flair"]
