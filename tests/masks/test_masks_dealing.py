"""Dealing: what each subject is drawn for, and in which host, by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from phantom import prepared_cohort

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.dealing import check_targets, deal, hosts_for, tasks_for, without_place
from fcdsynth.masks.targets import Target

ONE, TWO = Target("FL", "L"), Target("TL", "R", site="site-1", count=2)


@pytest.fixture
def table(tmp_path):
    """Controls sub-00003 to sub-00006, of sites 1, 2, 1, 2."""
    return prepared_cohort(tmp_path / "c", patients=2, controls=4)


def test_controls_are_drawn_for_what_lesions_are_drawn_for():
    tasks = tasks_for(3, 7, [ONE, TWO])
    assert [t.kind for t in tasks] == ["lesion"] * 3 + ["control"] * 7
    assert [t.name for t in tasks[:2]] == ["syn-00001", "syn-00002"]
    assert [t.number for t in tasks] == list(range(10))
    assert [t.target for t in tasks[:3]] == [ONE, TWO, TWO]
    # The places of TWO are at 1/4 and 3/4, that of ONE at 1/2 of a round.
    assert [t.target for t in tasks[3:]] == [TWO, ONE, TWO, TWO, ONE, TWO, TWO]
    # A few controls are no less mixed than many.
    small, large = replace(ONE, count=40), replace(TWO, count=60)
    aims = [t.target for t in tasks_for(100, 10, [small, large])[100:]]
    assert (aims.count(small), aims.count(large)) == (4, 6)
    assert [t.target for t in tasks_for(2, 1)] == [None] * 3


def test_hosts_by_site_and_known_place(table):
    hosts = table.subjects[2:]
    assert [s.id for s in hosts_for(Target(), hosts)] == [s.id for s in hosts]
    assert [s.id for s in hosts_for(TWO, hosts)] == ["sub-00003", "sub-00005"]
    assert [s.id for s in hosts_for(TWO, hosts, {"sub-00003"})] == ["sub-00005"]
    assert len(hosts_for(Target(side="L", site="site-1"), hosts, {"sub-00003"})) == 2


def test_whose_place_is_unknown(table):
    files = {k: v for k, v in table.subjects[2].files.items() if k != "transforms"}
    hosts = (replace(table.subjects[2], files=files), *table.subjects[3:])
    table.path(hosts[1], "transforms").write_text(json.dumps({"t1w_to_mni": None}))
    assert without_place(table, hosts, [Target(), ONE]) == {"sub-00003", "sub-00004"}
    table.path(hosts[2], "transforms").unlink()  # not read where no lobe is asked for
    assert without_place(table, hosts, [Target(), Target(side="L")]) == set()


def test_targets_that_no_host_can_serve_are_refused(table):
    hosts = table.subjects[2:]
    check_targets([Target(site="site-1"), ONE], table, hosts)
    check_targets([TWO], table, hosts, {"sub-00003", "sub-00004"})
    with pytest.raises(SettingsError, match=r"target 2: found site 'Rome'.*site-1, site-2"):
        check_targets([Target(), Target(site="Rome")], table, hosts)
    with pytest.raises(SettingsError, match=r"target 1: found site 'site-2'.*1 hosts.*site-1"):
        check_targets([Target(site="site-2")], table, hosts[:1])
    with pytest.raises(SettingsError, match=r"lobe TL, but no t1w_to_mni .* of site 'site-1'"):
        check_targets([TWO], table, hosts, {"sub-00003", "sub-00005"})


def test_dealing_is_even_and_keeps_to_what_hosts_can_serve(table):
    hosts = table.subjects[2:]
    even = deal(tasks_for(6, 6), hosts, seed=1)
    assert {name: len(share) for name, share in even.items()} == {s.id: 3 for s in hosts}
    assert sorted(t.number for share in even.values() for t in share) == list(range(12))
    placeless = {"sub-00003"}
    lobes = deal(tasks_for(9, 9, [replace(ONE, count=9)]), hosts, 2, placeless)
    assert {name: len(share) for name, share in lobes.items()} == {
        "sub-00004": 6, "sub-00005": 6, "sub-00006": 6,
    }  # fmt: skip
    assert set(deal(tasks_for(2, 2, [TWO]), hosts, 2, placeless)) == {"sub-00005"}
