"""The locked plan: what it fixes, what it refuses, and the list of looks beside it."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.evaluation.blind.locked import AnalysisPlan, hidden_subjects, opened_file, read_plan
from fcdsynth.evaluation.blind.openings import (
    account_of,
    note_opened,
    opened_by_others,
    openings,
    settle,
    times_opened,
)
from fcdsynth.evaluation.blind.planned import ENDPOINTS, PAIRED, PlannedRun
from fcdsynth.evaluation.equal_rate import COMMON, COMPARED_RATES
from fcdsynth.evaluation.fixed_rate import figure_name
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scopes import all_figures
from fcdsynth.evaluation.statistics.outcomes import outcomes_of, site_outcomes


def a_cohort(tmp_path, rows="P1:test P2:test C1:test P3:none C2:val", version=3):
    subjects = []
    for row in rows.split():
        name, split = row.split(":")
        group = Group.PATIENT if name[0] == "P" else Group.CONTROL
        subjects.append(Subject(name, group, Origin.REAL, split=Split(split)))
    return Cohort(tmp_path, tuple(subjects), "Bonn", version)


def a_run(name="base", **changes):
    point = OperatingPoint(1.5, 0.4, 0.2, ("V2", "V1")).to_json()
    return PlannedRun.of(name, "probability", point | changes)


def a_plan(tmp_path, *runs, cohort=None, **changes):
    return AnalysisPlan.of(cohort or a_cohort(tmp_path), runs or [a_run()], **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plans" / "plan.yaml"


def test_a_plan_holds_the_settings_and_counts_the_test_subjects(tmp_path):
    plan = a_plan(tmp_path, a_run("synth"), a_run("base"), rule="near", seed=7, chance_draws=50,
                  bootstrap=300, compared=["base", "synth"], endpoint="specificity")  # fmt: skip
    assert (plan.n_test_patients, plan.n_test_controls) == (2, 1)
    assert [run.name for run in plan.runs] == ["base", "synth"]
    assert plan.rules == ("overlap", "iou", "centre", "near")
    assert (plan.cohort, plan.cohort_version, plan.alpha) == ("Bonn", 3, 0.05)
    assert (plan.rule, plan.endpoint, plan.compared) == ("near", "specificity", ("base", "synth"))
    assert (plan.seed, plan.chance_draws, plan.bootstrap) == (7, 50, 300)


def test_hashes_are_those_of_the_documented_text(tmp_path):
    plan = a_plan(tmp_path)
    text = '[["C1","control"],["P1","patient"],["P2","patient"]]'
    assert plan.test_sha256 == hashlib.sha256(text.encode()).hexdigest()
    run = plan.runs[0]
    assert (run.threshold, run.min_volume_ml, run.temperature) == (0.4, 0.2, 1.5)
    assert run.n_chosen_on == 2
    assert run.chosen_on_sha256 == hashlib.sha256(b'["V1","V2"]').hexdigest()


def test_a_run_of_another_tool_leaves_open_what_is_not_known():
    run = PlannedRun.of("meld", "labels", {"min_volume_ml": 0.1})
    assert (run.threshold, run.temperature, run.n_chosen_on) == (None, None, 0)


def test_the_order_of_rows_and_of_validation_ids_changes_nothing(tmp_path):
    one = a_plan(tmp_path)
    turned = a_cohort(tmp_path, "C2:val C1:test P3:none P2:test P1:test")
    other = a_plan(tmp_path, a_run(chosen_on=["V1", "V2"]), cohort=turned)
    assert replace(one, locked_on="") == replace(other, locked_on="")


def test_lock_and_read(tmp_path, path):
    plan = a_plan(tmp_path, a_run(threshold=1e-7))
    plan.lock(path)
    assert read_plan(path) == plan
    record = yaml.safe_load(path.read_text())
    assert record["sha256"] == plan.sha256 == plan.to_json()["sha256"]
    assert AnalysisPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    with pytest.raises(RunError, match="already locked"):
        replace(plan, seed=5).lock(path)
    assert read_plan(path) == plan


def test_layout_and_comments_may_change_but_no_value(tmp_path, path):
    plan = a_plan(tmp_path)
    plan.lock(path)
    record = yaml.safe_load(path.read_text())
    path.write_text("# mine\n" + yaml.safe_dump(record, sort_keys=True, indent=4))
    assert read_plan(path) == plan


EDITS = {
    "rule": lambda r: r.update(rule="near"),
    "rules": lambda r: r["rules"].remove("near"),
    "endpoint": lambda r: r.update(endpoint="auroc"),
    "threshold": lambda r: r["runs"][0].update(threshold=0.41),
    "alpha": lambda r: r.update(alpha=0.1),
    "date": lambda r: r.update(locked_on="2020-01-01T00:00:00+0000"),
    "count": lambda r: r.update(n_test_patients=3),
    "hash": lambda r: r.update(sha256="0" * 64),
    "key": lambda r: r.update(note="harmless"),
    "no hash": lambda r: r.pop("sha256"),
    "lost": lambda r: r.pop("seed"),
    "list": lambda r: r.update(runs=3),
    "run": lambda r: r["runs"][0].update(extra=1),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_plan_is_refused(tmp_path, path, name):
    a_plan(tmp_path).lock(path)
    record = yaml.safe_load(path.read_text())
    EDITS[name](record)
    path.write_text(yaml.safe_dump(record))
    with pytest.raises(RunError) as caught:
        read_plan(path)
    assert caught.value.subject == str(path)
    assert "another file name" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [\n", "3\n"])
def test_a_file_that_is_no_plan_is_refused(path, text):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RunError, match="expected a locked plan"):
        read_plan(path)


def test_no_plan_is_refused(path):
    with pytest.raises(RunError, match=r"no such file.*--blind true"):
        read_plan(path)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("rule", {"rule": "iou"}),
        ("endpoint", {"endpoint": "ppv"}),
        ("bootstrap", {"bootstrap": 100}),
        ("chance_draws", {"chance_draws": 0}),
        ("seed", {"seed": 1}),
    ],
)
def test_a_setting_that_differs_is_named_with_both_values(tmp_path, key, changes):
    planned, now = a_plan(tmp_path), a_plan(tmp_path, **changes)
    planned.require(replace(planned, locked_on="later"))
    with pytest.raises(SettingsError) as caught:
        planned.require(now)
    assert caught.value.subject == key
    assert caught.value.found == f"{changes[key]!r} now"
    assert caught.value.expected == f"{getattr(planned, key)!r} as planned"


@pytest.mark.parametrize(
    ("key", "run"),
    [
        ("threshold of run base", a_run(threshold=0.5)),
        ("min_volume_ml of run base", a_run(min_volume_ml=0.1)),
        ("temperature of run base", a_run(temperature=1)),
        ("n_chosen_on of run base", a_run(chosen_on=["V1"])),
        ("chosen_on_sha256 of run base", a_run(chosen_on=["V1", "V3"])),
        ("maps of run base", replace(a_run(), maps="binary")),
        ("runs", a_run("other")),
    ],
)
def test_another_operating_point_or_run_is_refused(tmp_path, key, run):
    with pytest.raises(SettingsError) as caught:
        a_plan(tmp_path).require(a_plan(tmp_path, run))
    assert caught.value.subject == key


def test_other_arms_or_another_version_of_the_masks_are_refused(tmp_path):
    runs = [a_run("a"), a_run("b")]
    planned = a_plan(tmp_path, *runs, compared=["a", "b"])
    with pytest.raises(SettingsError, match="compared"):
        planned.require(a_plan(tmp_path, *runs, compared=["b", "a"]))
    newer = a_plan(tmp_path, *runs, compared=["a", "b"], cohort=a_cohort(tmp_path, version=4))
    with pytest.raises(SettingsError, match="cohort_version: found 4 now"):
        planned.require(newer)


@pytest.mark.parametrize(
    "rows",
    [
        "P1:test P2:none C1:test P3:none C2:val",
        "P1:test P2:test C1:test P3:test C2:val",
        "P1:test P4:test C1:test P3:none C2:val",
        "P1:test P2:test P3:test P5:none C2:val",
    ],
)
def test_other_test_subjects_are_refused(tmp_path, rows):
    with pytest.raises(CohortError, match="test subjects of Bonn"):
        a_plan(tmp_path).require(a_plan(tmp_path, cohort=a_cohort(tmp_path, rows)))


def test_subjects_outside_the_test_split_may_change(tmp_path):
    cohort = a_cohort(tmp_path, "P1:test P2:test C1:test P9:train")
    a_plan(tmp_path).require(a_plan(tmp_path, cohort=cohort))


def test_without_a_test_set_there_is_nothing_to_hide(tmp_path):
    with pytest.raises(CohortError, match=r"no subject of the split test.*split column"):
        a_plan(tmp_path, cohort=a_cohort(tmp_path, "P1:none C1:val"))
    assert [s.id for s in hidden_subjects(a_cohort(tmp_path))] == ["P1", "P2", "C1"]


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("rule", {"rule": "any"}),
        ("endpoint", {"endpoint": "accuracy"}),
        ("endpoint", {"endpoint": "ppv", "compared": ["a", "b"]}),
        ("compare", {"compared": ["a"]}),
        ("compare", {"compared": ["a", "a"]}),
        ("compare", {"compared": ["a", "c"]}),
        ("compare", {"compared": ["a", "b", "c"]}),
    ],
)
def test_what_cannot_be_planned_is_refused(tmp_path, key, changes):
    with pytest.raises(SettingsError) as caught:
        a_plan(tmp_path, a_run("a"), a_run("b"), **changes)
    assert caught.value.subject == key


def test_arms_of_several_seeds_can_be_compared(tmp_path):
    runs = [a_run("arm/1"), a_run("arm/2"), a_run("arms")]
    assert a_plan(tmp_path, *runs, compared=["arm", "arms"]).compared == ("arm", "arms")


def test_every_endpoint_is_a_figure_of_the_report(record):
    people = [record("a", found=[0.9]), record("b", patient=False, false=[0.3]),
              record("c", found=[None]), record("d", patient=False)]  # fmt: skip
    figures = {figure.name: figure for figure in all_figures(people, 100, 0)}
    for name in ENDPOINTS:
        assert figures[name].value is not None, name
    compared = [*outcomes_of(Rule.OVERLAP), *site_outcomes()]
    assert set(PAIRED) == {
        *(outcome.name for outcome in compared), "auroc", COMMON,
        *map(figure_name, COMPARED_RATES),
    }  # fmt: skip


def test_the_call_that_locks_does_not_open(tmp_path, path):
    now = a_plan(tmp_path)
    plan, may_open = settle(path, now)
    assert (plan, may_open) == (now, False)
    again = replace(a_plan(tmp_path), locked_on="later")
    plan, may_open = settle(path, again)
    assert may_open
    assert plan.locked_on == now.locked_on, "the date is that of the lock"
    with pytest.raises(SettingsError, match="seed"):
        settle(path, a_plan(tmp_path, seed=3))
    assert times_opened(path) == 0


def test_looks_are_counted_in_order(tmp_path, path):
    settle(path, a_plan(tmp_path))
    assert "not opened" in account_of(path)["words"]
    note_opened(path, ["base"])
    assert "opened once" in account_of(path)["words"]
    note_opened(path, ["base", "synth"])
    assert times_opened(path) == 2
    assert [look.runs for look in openings(path)] == [("base",), ("base", "synth")]
    account = account_of(path)
    assert json.loads(json.dumps(account)) == account
    plan = read_plan(path)
    assert account["words"] == (f"locked on {plan.locked_on}, sha256 {plan.sha256}, opened 2 times")
    assert account["file"] == "plan.yaml"


def test_a_plan_is_not_replaced_once_the_test_set_was_opened(tmp_path, path):
    settle(path, a_plan(tmp_path))
    note_opened(path, ["base"])
    kept = path.read_text()
    path.unlink()
    with pytest.raises(RunError, match="opened under this name"):
        settle(path, a_plan(tmp_path, seed=1))
    assert not path.exists()
    other = path.with_name("other.yaml")
    settle(other, a_plan(tmp_path, seed=1))
    path.write_text(other.read_text())
    with pytest.raises(RunError, match="A plan was replaced"):
        note_opened(path, ["base"])
    path.write_text(kept)
    assert times_opened(path) == 1


def test_looks_under_other_plans_are_told(tmp_path, path):
    settle(path, a_plan(tmp_path))
    second, third = path.with_name("second.yaml"), path.with_name("third.yaml")
    settle(second, a_plan(tmp_path, seed=1))
    settle(third, a_plan(tmp_path, cohort=a_cohort(tmp_path, "P8:test")))
    note_opened(second, ["base"])
    note_opened(second, ["base"])
    note_opened(third, ["base"])
    assert opened_by_others(path) == {"second.yaml": 2}
    assert opened_by_others(second) == {}
    assert "other plans as well (second.yaml: 2)" in account_of(path)["words"]


@pytest.mark.parametrize("line", ["{", "3", '{"when": "x"}', "{}"])
def test_a_damaged_list_of_looks_is_refused(tmp_path, path, line):
    settle(path, a_plan(tmp_path))
    note_opened(path, ["base"])
    with opened_file(path).open("a") as stream:
        stream.write(line + "\n")
    for act in (times_opened, account_of, lambda p: note_opened(p, ["base"])):
        with pytest.raises(RunError, match="line 2"):
            act(path)


def test_nothing_is_opened_without_a_plan(path):
    with pytest.raises(RunError, match="no such file"):
        note_opened(path, ["base"])
    assert not opened_file(path).exists()


def test_the_command_hides_the_test_set_until_the_plan_is_locked(tmp_path, path, capsys):
    grid = Grid.of((12, 12, 12), np.diag([2.0, 2, 2, 1]))
    maps, rows = tmp_path / "maps", []
    for name, group, split in (("p1", "patient", "test"), ("c1", "control", "test")):
        array = np.zeros(grid.shape, np.uint8)
        array[2:5, 2:5, 2:5] = group == "patient"
        write_volume(maps / f"{name}.nii.gz", Volume(array, grid))
        mask = write_volume(tmp_path / f"{name}_mask.nii.gz", Volume(array, grid))
        rows.append(f"{name},{group},real,{split},{mask.name if group == 'patient' else ''}\n")
    (tmp_path / "table.csv").write_text("id,group,origin,split,lesion_t1w\n" + "".join(rows))
    out = tmp_path / "out"

    def call(*options):
        words = [maps, tmp_path / "table.csv", out, "--maps", "binary", "--blind", "true"]
        common = ["--plan", path, "--pictures", "0", "--chance_draws", "1"]
        code = main(["evaluate", *map(str, [*words, *common, *options])])
        return code, capsys.readouterr().err

    assert call("--bootstrap", "100")[0] == 0
    assert path.exists()
    assert not out.exists(), "the call that locks scores nothing"
    code, shown = call("--bootstrap", "200")
    assert code == 1
    assert "bootstrap: found 200 now; expected 100 as planned" in shown
    assert times_opened(path) == 0
    assert call("--bootstrap", "100")[0] == 0
    assert times_opened(path) == 1
    plan = json.loads((out / "report.json").read_text())["plan"]
    assert plan["sha256"] == read_plan(path).sha256
    assert plan["words"].endswith("opened once")
    assert call("--bootstrap", "100")[0] == 0
    assert times_opened(path) == 1, "a report that is there is not a new look"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    code, shown = call("--bootstrap", "100", "--seed", "1")
    assert code == 1
    assert "edited after locking" in shown
