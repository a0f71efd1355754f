"""CarveMix through the command line: what is pasted, whose child it is, and what is refused."""

import json

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Origin, Role, Split
from fcdsynth.core.volume import read_mask, read_volume, write_volume

IDS = [f"sub-{n:05d}" for n in range(1, 9)]  # four patients, four controls
SPLITS = {i: Split.VAL if i in (IDS[3], IDS[7]) else Split.TRAIN for i in IDS}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("carvemix")
    real = prepared_cohort(folder / "real", splits=SPLITS)
    assert mix(folder, "made", "--lesions", "6", "--controls", "3") == 0
    return folder, real, Cohort.read(folder / "made")


def mix(folder, out, *words):
    return main(["carvemix", str(folder / "real"), str(folder / out), *words])


def parent(subject, role):
    return next(p.subject for p in subject.parents if p.role is role)


def test_each_is_a_training_head_with_a_piece_of_another(world):
    _, real, made = world
    assert [s.is_patient for s in made.subjects] == [True] * 6 + [False] * 3
    for s in made.subjects:
        assert s.origin is Origin.SYNTHETIC
        assert {p.subject for p in s.parents} <= {i for i in IDS if SPLITS[i] is Split.TRAIN}
        host, donor = real[parent(s, Role.HOST)], real[parent(s, Role.STYLE)]
        assert host.id != donor.id
        region = read_mask(made.path(s, "region")).array
        assert region.any()
        for key in ("t1w", "flair"):
            new = read_volume(made.path(s, key)).array
            old, given = (read_volume(real.path(one, key)).array for one in (host, donor))
            assert np.array_equal(new[~region], old[~region])
            # MNI matrices are the identity here: the donor lies where it lies.
            assert np.array_equal(new[region], given[region])


def test_lesions_are_mixed_like_the_images(world):
    _, real, made = world
    kept = 0
    for s in made.subjects[:6]:
        region = read_mask(made.path(s, "region")).array
        donor = read_mask(real.path(real[parent(s, Role.MASK)], "lesion")).array
        host = real[parent(s, Role.HOST)]
        own = np.zeros_like(region)
        if host.is_patient:
            own = read_mask(real.path(host, "lesion")).array & ~region
            kept += own.any()
        lesion = read_mask(made.path(s, "lesion")).array
        assert np.array_equal(lesion, (donor & region) | own)
        assert (donor & region).any()
    assert kept  # a host's own lesion stays


def test_controls_have_a_piece_of_a_control(world):
    _, real, made = world
    for s in made.subjects[6:]:
        assert not s.has("lesion")
        assert not real[parent(s, Role.HOST)].is_patient
        assert not real[parent(s, Role.STYLE)].is_patient
        assert real[parent(s, Role.MASK)].is_patient


def test_hosts_can_be_controls_alone_and_children_stay_out_of_validation(world):
    folder, real, made = world
    assert mix(folder, "healthy", "--lesions", "4", "--hosts", "controls") == 0
    for s in Cohort.read(folder / "healthy").subjects:
        assert not real[parent(s, Role.HOST)].is_patient
    check_leakage(real.merged(made))
    assert set(made.fitted_on) == {i for i in IDS if SPLITS[i] is Split.TRAIN}


def test_the_seed_decides_and_not_the_number_of_processes(world):
    folder, _, made = world
    assert mix(folder, "two", "--lesions", "6", "--controls", "3", "--workers", "2") == 0
    assert mix(folder, "other", "--lesions", "6", "--controls", "3", "--seed", "1") == 0
    two, other = Cohort.read(folder / "two"), Cohort.read(folder / "other")
    for s in made.subjects:
        assert made.path(s, "t1w").read_bytes() == two.path(two[s.id], "t1w").read_bytes()
    assert [s.parents for s in made.subjects] != [s.parents for s in other.subjects]


def test_the_donor_is_moved_to_the_same_place_in_mni_space(tmp_path):
    """The host's MNI matrix says that it lies 12 mm (two voxels) farther to the right."""
    real = prepared_cohort(tmp_path / "real", patients=1, controls=1)
    shifted = np.eye(4)
    shifted[0, 3] = -12.0
    path = real.path(real["sub-00002"], "transforms")
    path.write_text(json.dumps({"flair_to_t1w": None, "t1w_to_mni": shifted.tolist()}))
    assert mix(tmp_path, "made", "--lesions", "1", "--hosts", "controls", "--seed", "3") == 1
    # One control alone is no choice of hosts.
    assert mix(tmp_path, "made", "--lesions", "1", "--seed", "3") == 0
    made = Cohort.read(tmp_path / "made")
    (child,) = made.subjects
    region = read_mask(made.path(child, "region")).array
    given = read_volume(real.path(real["sub-00001"], "t1w")).array
    new = read_volume(made.path(child, "t1w")).array
    assert np.array_equal(new[region], np.roll(given, 2, axis=0)[region])


def test_bad_input_is_named(tmp_path, capsys):
    real = prepared_cohort(tmp_path / "real", patients=2, controls=2)
    path = real.path(real["sub-00001"], "lesion")
    empty = read_mask(path)
    write_volume(path, type(empty)(np.zeros_like(empty.array), empty.grid))
    path = real.path(real["sub-00002"], "lesion")
    write_volume(path, type(empty)(np.zeros_like(empty.array), empty.grid))
    assert mix(tmp_path, "made") == 1
    assert "empty lesion mask" in capsys.readouterr().err
    assert mix(tmp_path, "made", "--controls", "-1") == 1
    assert "controls" in capsys.readouterr().err
    only = prepared_cohort(tmp_path / "none" / "real", patients=0, controls=2)
    assert main(["carvemix", str(only.folder), str(tmp_path / "x"), "--lesions", "1"]) == 1
    assert "0 training patients" in capsys.readouterr().err
