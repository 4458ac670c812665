"""Batches and the QC plan: what stands or falls together, what is due, what is held for want of it."""

from typing import Any

import pytest

from pipeline.elements import Elements, Refused
from pipeline.elements.batches import views
from pipeline.elements.registry_shapes import QcItem
from tests.unit.elements.bench import Bench, balance
from tests.unit.elements.quality import close, control, laboratory, measure, outcome, qc_sample

DUPLICATE = QcItem("duplicate", per_batch=1, high=0.01)
BLANK = QcItem("blank", every=2, high=0.05)


def opened_batch(*qc: QcItem, **more: Any) -> Bench:
    bench = laboratory(*qc, **more)
    bench.do("batch.open", batch="B-1", method="weighing")
    return bench


def test_verdicts_stay_provisional_until_the_batch_is_closed() -> None:
    bench = opened_batch()
    task = measure(bench, 50.0, batch="B-1")
    assert [result["value"] for result in bench.view(task)["results"]] == [50.0]
    assert {verdict["finality"] for verdict in bench.view(task)["verdicts"]} == {"provisional"}
    assert bench.view(task)["overall"] == "provisional"
    close(bench)
    assert {verdict["finality"] for verdict in bench.view(task)["verdicts"]} == {"final"}
    assert bench.view(task)["overall"] == "clear"


def test_an_aborted_task_waits_for_no_batch() -> None:
    bench = opened_batch()
    task = bench.start(batch="B-1")
    bench.do("task.abort", task=task, reason="spilled")
    bench.air(7)
    assert bench.view(task)["final"]
    close(bench)


def test_a_failed_control_holds_every_result_of_its_batch_with_its_record_as_evidence() -> None:
    bench = opened_batch(DUPLICATE)
    first = measure(bench, 50.0, batch="B-1")
    other = measure(bench, 60.0, batch="B-1", sample="S-2")
    duplicate = control(bench, "duplicate", 51.0, of=first, sample="S-1", batch="B-1")
    assert outcome(bench, duplicate)["status"] == "fail"
    assert outcome(bench, duplicate)["figure"] == pytest.approx(100 * 1.0 / 50.5)
    close(bench)
    for task in (first, other, duplicate):
        assert bench.codes(task, "measurement") == {"qc-failed"}
        assert bench.view(task)["overall"] == "held"
    seqs = bench.verdict(other, "measurement")["reasons"][0]["seqs"]
    assert [bench.records[seq].kind for seq in seqs] == ["control"]


def test_a_hold_of_the_batch_does_not_wait_for_its_closing() -> None:
    bench = opened_batch(DUPLICATE)
    first = measure(bench, 50.0, batch="B-1")
    control(bench, "duplicate", 51.0, of=first, sample="S-1", batch="B-1")
    bench.air(2)
    assert bench.view(first)["overall"] == "held"
    assert bench.verdict(first, "measurement")["finality"] == "provisional"


@pytest.mark.parametrize(
    ("item", "places", "due", "overdue"),
    [
        (QcItem("blank", per_batch=1, high=1.0), "s", ["blank per-batch"], []),
        (QcItem("blank", per_batch=1, high=1.0), "sb", [], []),
        (QcItem("blank", per_batch=2, high=1.0), "bs", ["blank per-batch"], []),
        (QcItem("blank", every=2, high=1.0), "s", [], []),
        (QcItem("blank", every=2, high=1.0), "ss", ["blank every"], []),
        (QcItem("blank", every=2, high=1.0), "ssbs", [], []),
        (QcItem("blank", every=2, high=1.0), "sss", [], ["blank every"]),
        (QcItem("blank", every=2, high=1.0), "sssb", [], ["blank every"]),
        (QcItem("blank", opening=True, high=1.0), "", ["blank opening"], []),
        (QcItem("blank", opening=True, high=1.0), "bs", [], []),
        (QcItem("blank", opening=True, high=1.0), "sb", [], ["blank opening"]),
        (QcItem("blank", closing=True, high=1.0), "bs", ["blank closing"], []),
        (QcItem("blank", closing=True, high=1.0), "sb", [], []),
    ],
)
def test_the_plan_says_what_is_due_and_what_is_too_late(
    item: QcItem, places: str, due: list[str], overdue: list[str]
) -> None:
    bench = opened_batch(item)
    for place in places:
        if place == "s":
            measure(bench, 50.0, batch="B-1")
        else:
            control(bench, "blank", 0.0, batch="B-1")
    shown = views.batch(bench.elements.fold, "B-1")
    assert shown is not None
    assert [f"{one['kind']} {one['basis']}" for one in shown["due"] if not one["overdue"]] == due
    assert [f"{one['kind']} {one['basis']}" for one in shown["due"] if one["overdue"]] == overdue
    listed = views.due(bench.elements.fold, 0, 0)
    assert {one["batch"] for one in listed} == ({"B-1"} if due or overdue else set())


def test_overdue_qc_holds_the_batch_at_once() -> None:
    bench = opened_batch(BLANK)
    tasks = [measure(bench, 50.0, batch="B-1") for _ in range(3)]
    bench.air(2)
    for task in tasks:
        assert bench.codes(task, "method") == {"qc-overdue"}
        assert bench.view(task)["overall"] == "held"


def test_a_batch_is_not_closed_without_its_qc_unless_somebody_says_why_and_then_all_is_held() -> None:
    bench = opened_batch(DUPLICATE)
    task = measure(bench, 50.0, batch="B-1")
    with pytest.raises(Refused) as refused:
        bench.do("batch.close", batch="B-1")
    assert refused.value.code == "qc-due"
    close(bench, without_qc="no sample left")
    assert bench.codes(task, "method") == {"qc-overdue"}
    shown = views.batch(bench.elements.fold, "B-1")
    assert shown is not None
    assert (shown["overdue"], shown["reason"]) == (["duplicate per-batch"], "no sample left")


def test_the_hold_for_missing_qc_outlives_the_tasks_of_the_batch_in_memory() -> None:
    bench = opened_batch(DUPLICATE)
    task = measure(bench, 50.0, batch="B-1")
    close(bench, without_qc="no sample left")
    bench.enrol({("equipment", "EQ-1"): balance()})  # has the verdicts judged again
    bench.air(2)
    assert bench.codes(task, "method") == {"qc-overdue"}


@pytest.mark.parametrize(
    ("command", "args", "code"),
    [
        ("batch.open", {"batch": "B-1", "method": "weighing"}, "batch-exists"),
        ("batch.open", {"batch": "B-2", "method": "nothing"}, "unknown-method"),
        ("batch.close", {"batch": "B-9"}, "unknown-batch"),
        ("task.start", {"batch": "B-9"}, "unknown-batch"),
        ("task.start", {"batch": "B-1", "place": 1}, "place-taken"),
        ("task.start", {"batch": "B-1", "place": 0}, "wrong-argument"),
        ("task.start", {"purpose": "qc", "control": "duplicate"}, "control-needs"),
        ("task.start", {"purpose": "qc", "control": "duplicate", "of": "nobody"}, "control-needs"),
        ("task.start", {"purpose": "qc", "control": "matrix-spike", "of": "TASK"}, "control-needs"),
        ("task.start", {"purpose": "qc", "control": "qc-sample"}, "control-needs"),
        ("task.start", {"purpose": "test", "control": "blank"}, "wrong-argument"),
        ("task.start", {"purpose": "qc", "control": "coffee"}, "wrong-argument"),
        ("control.assess", {"task": "TASK", "quantity": "net_mass", "assigned": 1.0}, "not-a-control"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    command: str, args: dict[str, Any], code: str
) -> None:
    bench = opened_batch()
    task = measure(bench, 50.0, batch="B-1")
    given: dict[str, Any] = {name: task if value == "TASK" else value for name, value in args.items()}
    if command == "task.start":
        given = {"sample": "S-1", "method": "weighing", "instrument": "bal-1", **given}
    with pytest.raises(Refused) as refused:
        bench.do(command, **given)
    assert refused.value.code == code


def test_a_batch_with_running_work_stays_open() -> None:
    bench = opened_batch()
    bench.start(batch="B-1")
    with pytest.raises(Refused) as refused:
        bench.do("batch.close", batch="B-1")
    assert refused.value.code == "batch-not-measured"


def test_a_method_that_counts_in_batches_asks_for_one() -> None:
    bench = laboratory(BLANK)
    task = measure(bench, 50.0)
    assert bench.codes(task, "method") == {"qc-batch-missing"}
    assert bench.view(task)["overall"] == "held"


def test_a_duplicate_is_no_second_attempt() -> None:
    bench = opened_batch(DUPLICATE)
    first = measure(bench, 50.0, batch="B-1")
    duplicate = control(bench, "duplicate", 50.0, of=first, sample="S-1", batch="B-1")
    assert bench.view(duplicate)["attempt"] == 1


def test_a_spike_is_judged_by_its_recovery_and_a_blank_strictly_below_its_limit() -> None:
    bench = opened_batch(QcItem("matrix-spike", per_batch=1), BLANK)
    first = measure(bench, 50.0, batch="B-1")
    spike = control(bench, "matrix-spike", 60.0, of=first, added=12.5, sample="S-1", batch="B-1")
    assert (outcome(bench, spike)["figure"], outcome(bench, spike)["status"]) == (80.0, "pass")
    assert (outcome(bench, spike)["low"], outcome(bench, spike)["high"]) == (80.0, 120.0)
    low = control(bench, "blank", 2.0, batch="B-1")  # a load, as 0 g would be an empty pan
    assert (outcome(bench, low)["figure"], outcome(bench, low)["status"]) == (2.0, "fail")


def test_qc_by_interval_counts_on_the_instrument_from_one_control_to_the_next() -> None:
    bench = laboratory(QcItem("qc-sample", interval_s=60.0))
    early = measure(bench, 50.0)
    qc_sample(bench, 50.0)
    soon = measure(bench, 50.0)
    bench.advance(120)
    late = measure(bench, 50.0)
    assert bench.codes(early, "method") == {"qc-overdue"}
    assert bench.codes(soon, "method") == set()
    assert bench.codes(late, "method") == {"qc-overdue"}
    due = views.due(bench.elements.fold, bench.records[-1].t_utc_ns, bench.records[-1].t_run_ns)
    assert [(one["instrument"], one["overdue"]) for one in due] == [("bal-1", True)]


@pytest.mark.parametrize(("assigned", "status"), [(50.0, "pass"), (50.0029, "warn"), (50.003, "fail")])
def test_a_proficiency_test_is_judged_once_its_value_is_told(assigned: float, status: str) -> None:
    bench = laboratory(QcItem("proficiency", interval_s=1e6, sigma=0.001))
    task = control(bench, "proficiency", 50.0, purpose="proficiency", sample="S-1")
    assert bench.of_kind("control") == []
    bench.do("control.assess", task=task, quantity="net_mass", assigned=assigned)
    assert outcome(bench, task)["status"] == status
    bench.do("control.assess", task=task, quantity="net_mass", assigned=50.0)
    assert outcome(bench, task)["status"] == "pass"


def test_a_badge_cannot_tell_the_value_of_a_blind_sample() -> None:
    bench = laboratory()
    task = control(bench, "blind-sample", 50.0)
    with pytest.raises(Refused) as refused:
        bench.do("control.assess", bench.someone(how="badge"), task=task, quantity="net_mass", assigned=50.0)
    assert refused.value.code == "not-authenticated"


def test_a_comparison_of_persons_is_judged_by_e_n() -> None:
    bench = laboratory(QcItem("person-comparison", interval_s=1e6))
    first = measure(bench, 50.0)
    other = control(bench, "person-comparison", 50.0001, of=first, sample="S-1", operator="p-2")
    assert outcome(bench, other)["figure_name"] == "e-n"
    assert outcome(bench, other)["status"] == "pass"


def test_batches_survive_a_restart_anywhere() -> None:
    bench = opened_batch(DUPLICATE)
    first = measure(bench, 50.0, batch="B-1")
    control(bench, "duplicate", 51.0, of=first, sample="S-1", batch="B-1")
    saved = bench.elements.snapshot()
    again = Elements(bench.settings)
    again.restore(saved)
    assert again.fold.state.batches == bench.elements.fold.state.batches
