from collections import Counter
from typing import Any

import msgpack
import pytest

from pipeline.elements import MalformedBody
from pipeline.elements.state import TaskState
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    HOUR,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    balance,
    metrology,
    opened,
    sample,
)


def overdue() -> Bench:
    return opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})


def release(bench: Bench, task: str, **args: Any) -> dict[str, Any]:
    facts = {"task": task, "reason": "seen", "signed_hash": bench.view(task)["to_sign"]}
    return bench.do("hold.release", bench.someone(SIGNER), **{**facts, **args})


def test_a_clean_day_is_clear_without_anybody_acting() -> None:
    bench = opened()
    check = bench.check_passes()
    task = bench.weigh(0.0005, 50.0005)
    assert bench.view(check)["overall"] == "clear"
    shown = bench.view(task)
    assert shown["overall"] == "clear"
    assert {verdict["status"] for verdict in shown["verdicts"]} == {"ok"}
    assert {verdict["finality"] for verdict in shown["verdicts"]} == {"final"}
    assert bench.elements.open_tasks == 0
    assert bench.elements.holds() == []


def test_a_verdict_supersedes_the_one_before_it() -> None:
    bench = opened()
    task = bench.weigh()
    chains: dict[str, int | None] = {}
    for record in bench.of_kind("verdict"):
        assert record.body["supersedes"] == chains.get(record.body["element"])
        assert record.by is not None
        assert record.body["cause_seq"] == record.by.through_seq
        chains[record.body["element"]] = record.seq
    assert {verdict["element"]: verdict["seq"] for verdict in bench.view(task)["verdicts"]} == chains


def test_nothing_is_said_twice_while_nothing_changes() -> None:
    bench = opened()
    bench.start()
    bench.air(3)
    before = len(bench.of_kind("verdict"))
    bench.air(20)
    assert len(bench.of_kind("verdict")) == before


def test_a_hold_is_told_once_by_a_readable_event() -> None:
    bench = overdue()
    bench.weigh()
    told = Counter(
        (event.body["args"]["reason"], event.body["args"]["subject"])
        for event in bench.of_kind("event")
        if event.body["code"] == "element-held"
    )
    assert told[("calibration-overdue", "bal-1")] == 1
    assert set(told.values()) == {1}


def test_a_held_task_waits_for_an_authorised_signatory() -> None:
    bench = overdue()
    bench.check_passes()
    task = bench.weigh()
    assert [hold["task"] for hold in bench.elements.holds()][-1] == task
    assert bench.view(task)["held"] == ["equipment"]
    assert release(bench, task) == {"task": task, "disposition": "release"}
    assert bench.view(task)["overall"] == "released"
    [review] = bench.view(task)["reviews"]
    assert set(review["verdicts"]) == {verdict["seq"] for verdict in bench.view(task)["verdicts"]}


def test_a_late_certificate_lifts_no_hold() -> None:
    bench = overdue()
    bench.check_passes()
    task = bench.weigh()
    signed_before = bench.view(task)["to_sign"]
    bench.enrol({("equipment", "EQ-1"): balance()})
    bench.tick()
    verdict = bench.verdict(task, "equipment")
    assert (verdict["status"], verdict["late"], verdict["cause"]) == ("ok", True, "tick")
    assert bench.view(task)["overall"] == "held"
    assert bench.view(task)["to_sign"] != signed_before
    release(bench, task)
    assert bench.view(task)["overall"] == "released"


def test_a_late_fact_adds_a_hold() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    assert bench.view(task)["overall"] == "clear"
    bench.enrol({("material", "S-1"): sample(received_at_ns=UTC0 - 2 * DAY)})
    bench.tick()
    assert bench.view(task)["overall"] == "held"
    assert bench.codes(task, "material") == {"hold-time-exceeded"}


def test_a_released_result_that_worsens_is_under_look_back() -> None:
    bench = overdue()
    bench.check_passes()
    task = bench.weigh()
    release(bench, task)
    bench.enrol({("material", "S-1"): sample(received_at_ns=UTC0 - 2 * DAY)})
    bench.tick()
    assert bench.view(task)["overall"] == "released-under-look-back"
    release(bench, task, disposition="recall")
    assert bench.view(task)["overall"] == "recalled"


@pytest.mark.parametrize(
    ("disposition", "overall"),
    [
        ("release", "released"),
        ("release-with-limitation", "released-with-limitation"),
        ("retest", "retest"),
        ("resample", "resample"),
        ("void", "void"),
        ("recall", "recalled"),
        ("amend", "amended"),
    ],
)
def test_dispositions(disposition: str, overall: str) -> None:
    bench = overdue()
    task = bench.weigh()
    limit = {"limitation": "for screening"} if disposition == "release-with-limitation" else {}
    release(bench, task, disposition=disposition, **limit)
    assert bench.view(task)["overall"] == overall


def test_an_aborted_attempt_stays_visible_with_its_reason() -> None:
    bench = opened()
    first = bench.start(item="mass")
    bench.air(1)
    bench.do("task.abort", task=first, reason="spilled")
    bench.air(6)
    second = bench.start(item="mass")
    shown = bench.view(first)
    assert (shown["overall"], shown["abort_reason"], shown["attempt"]) == ("aborted", "spilled", 1)
    assert shown["results"] == []
    assert bench.view(second)["attempt"] == 2
    assert [task["task"] for task in bench.elements.tasks()] == [second, first]
    assert [task["task"] for task in bench.elements.tasks(limit=1, phase="aborted")] == [first]
    assert first not in [hold["task"] for hold in bench.elements.holds()]


def test_a_hand_over_closes_one_binding_and_opens_the_next() -> None:
    bench = opened()
    task = bench.start()
    bench.air(2)
    bench.do("task.handover", task=task, badge="B-2")
    first, second = (b for b in bench.view(task)["bindings"] if b["role"] == "operator")
    assert first["to_run_ns"] == second["from_run_ns"]
    assert (first["target"], second["target"]) == (ANALYST, "p-2")


def test_external_ids_can_follow() -> None:
    bench = opened()
    task = bench.start()
    bench.do("task.link", task=task, system="lims", external_id="2026-77")
    assert bench.view(task)["links"] == [{"system": "lims", "external_id": "2026-77"}]


def test_the_first_row_after_the_end_settles_sooner_than_the_wait() -> None:
    bench = opened(settle=3600.0)
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    bench.finish(task)
    assert not bench.view(task)["final"]
    bench.weight(0.0)
    bench.tick()
    assert bench.view(task)["final"]


def test_rows_of_the_window_that_arrive_after_the_stop_count() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(40.0)
    bench.advance(0.5)
    bench.do("task.stop", task=task)
    bench.advance(0.05)
    bench.weight(50.0, 50.0, 60.0, step_s=0.045)
    bench.air(6)
    assert bench.view(task)["results"][0]["value"] == 50.0


def test_finished_tasks_give_way_and_held_ones_stay() -> None:
    bench = opened(retained_tasks=2)
    held = bench.weigh()
    checks = [bench.check_passes() for _ in range(4)]
    kept = [task["task"] for task in bench.elements.tasks()]
    assert held in kept
    assert [check in kept for check in checks] == [False, False, True, True]


def test_a_record_that_makes_no_sense_is_told_and_stops_nothing() -> None:
    bench = opened()
    bench.nonsense = True
    bad: list[tuple[str, dict[str, Any]]] = [
        ("registry", {"type": "person"}),
        ("task", {"action": "start", "task": 5}),
        ("verdict", {}),
        ("gap", {"instrument": "bal-1"}),
        ("flags", {}),
        ("event", {"code": "identity", "instrument": "bal-1", "args": {}}),
    ]
    for kind, body in bad:
        made = [(told.kind, told.body.get("code")) for told in bench.append(kind, body)]
        assert ("event", "record-not-understood") in made
    bench.append("reading", {"anything": 1})
    bench.append("kind-of-the-future", {"anything": 1})
    bench.check_passes()
    assert bench.view(bench.weigh())["overall"] == "clear"


def test_an_aborted_task_holds_nothing_any_more() -> None:
    bench = overdue()
    task = bench.start()
    bench.air(1)
    assert bench.view(task)["held"] == ["equipment"]
    bench.do("task.abort", task=task, reason="wrong instrument")
    told = len(bench.of_kind("event"))
    bench.air(6)
    assert bench.view(task)["held"] == []
    assert bench.view(task)["final"]
    assert len(bench.of_kind("event")) == told


def test_a_flag_that_comes_after_the_final_verdict_still_counts() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    used = bench.ordinals["bal-1"] - 1
    bench.finish(task)
    assert bench.view(task)["overall"] == "clear"
    bench.decide("bal-1", n=[used], channel=["weight"], flag=[4])
    bench.tick()
    assert bench.view(task)["overall"] == "held"
    assert bench.codes(task, "measurement") == {"readings-failed"}


def test_the_views_are_plain_and_complete() -> None:
    bench = overdue()
    task = bench.weigh()
    running = bench.start(sample="S-1", instrument="bal-1")
    status = bench.elements.element_status()
    assert status["equipment"]["status"] == "hold"
    assert {reason["task"] for reason in status["equipment"]["reasons"]} == {task, running}
    states = bench.elements.instrument_states()
    assert (states["bal-1"]["serial"], states["bal-1"]["tasks"]) == ("SN-1", [running])
    assert bench.elements.task("nobody") is None


def test_utc_of_the_window_follows_gateway_time() -> None:
    bench = opened()
    task = bench.start()
    bench.air(2)
    state: TaskState = bench.elements._fold.state.tasks[task]
    assert state.utc_at(state.start.at_run_ns + HOUR) == UTC0 + HOUR
    assert bench.now == 2 * SECOND


def test_a_released_result_that_improves_stays_released() -> None:
    bench = opened({
        ("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY), serial="SN-2"),
    })  # fmt: skip
    bench.check_passes()
    task = bench.weigh()
    assert bench.codes(task, "equipment") == {"calibration-overdue", "identity-mismatch"}
    release(bench, task)
    bench.enrol({("equipment", "EQ-1"): balance(serial="SN-2")})
    bench.tick()
    assert bench.codes(task, "equipment") == {"identity-mismatch"}
    assert bench.view(task)["overall"] == "released"


def test_a_snapshot_that_is_none_is_refused() -> None:
    elements = Bench().elements
    for bad in (b"", b"\xc1", msgpack.packb([99, {}, []]), msgpack.packb([1, {"tasks": 5}, []])):
        with pytest.raises(MalformedBody):
            elements.restore(bad)


def test_a_snapshot_is_taken_up_with_the_numbers_in_its_answers() -> None:
    bench = opened()
    entry = {"type": "person", "id": "p-7", "valid_from_ns": UTC0, "data": {"badge": "B-7"}}
    records = [entry, {**entry, "id": "p-8", "data": {"badge": "B-8"}}]
    first, second = bench.someone(), bench.someone()
    imported = bench.do("registry.import", first, records=records)
    start = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}
    started = bench.do("task.start", second, **start)
    restarted = Bench()
    restarted.elements.restore(bench.elements.snapshot())
    assert restarted.elements.snapshot() == bench.elements.snapshot()
    assert imported == restarted.plan("registry.import", first, records=records).result == {"imported": 2}
    assert started == restarted.plan("task.start", second, **start).result
    assert started["attempt"] == 1


def test_the_daemon_can_ask_for_badges_and_service_states() -> None:
    bench = opened()
    assert (bench.elements.badge_owner("B-3", UTC0), bench.elements.badge_owner("B-9", UTC0)) == (
        SIGNER,
        None,
    )
    bench.do("instrument.state", instrument="bal-1", state="calibration")
    assert bench.elements.service_state("bal-1") == "calibration"
    assert bench.elements.service_state("never-heard-of") == "in-use"
