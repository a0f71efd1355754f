"""Missing FLAIR is a declared mode: no fault, no file, no zeros, and the pages say so."""

import json

import numpy as np
import pytest
from phantom import bids_folder

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.prepare import person
from fcdsynth.prepare.template import Placement


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """Two controls; the second has no FLAIR."""
    folder = bids_folder(tmp_path_factory.mktemp("bare") / "bids", patients=0, controls=2)
    for path in (folder / "sub-00002/anat").glob("*FLAIR*"):
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def prepared(bids):
    top = bids.parent
    assert main(["index", str(bids), str(top / "cohort"), "--flair", "optional"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        # Tiny heads are no human brains: save the seconds of placing them in MNI space.
        patch.setattr(person, "place", lambda *_: Placement(np.eye(4), False, 0.0))
        assert main(["prepare", str(top / "cohort"), str(top / "out"), "--spacing", "6"]) == 0
    return Cohort.read(top / "out")


def test_without_the_word_it_is_a_fault_that_names_the_word(bids, tmp_path, capsys):
    assert main(["index", str(bids), str(tmp_path / "out")]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "no FLAIR image" in shown
    assert "--flair" in shown
    assert not (tmp_path / "out").exists()


def test_another_word_is_refused(bids, tmp_path, capsys):
    assert main(["index", str(bids), str(tmp_path / "out"), "--flair", "perhaps"]) == 2
    assert "perhaps" in capsys.readouterr().err


def test_no_flair_file_is_made_or_listed(prepared):
    bare = prepared["sub-00002"]
    assert not [key for key in bare.files if "flair" in key]
    names = [path.name for path in (prepared.folder / "sub-00002").iterdir()]
    assert not [name for name in names if "flair" in name]
    transforms = json.loads(prepared.path(bare, "transforms").read_text())
    assert transforms["flair_to_t1w"] is None
    assert prepared["sub-00001"].has("flair")


def test_the_pages_say_so(prepared):
    page = (prepared.folder / "sub-00002/sub-00002_quality.html").read_text()
    assert "no FLAIR: prepared from T1w alone" in page
    assert "squares of T1w and FLAIR" not in page
    quality = json.loads((prepared.folder / "sub-00002/sub-00002_quality.json").read_text())
    assert "flair_registration" not in quality
    overview = (prepared.folder / "quality.html").read_text()
    assert "1 without FLAIR" in overview
    other = (prepared.folder / "sub-00001/sub-00001_quality.html").read_text()
    assert "squares of T1w and FLAIR" in other
