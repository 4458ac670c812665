"""What people and clocks get wrong: told with what to do, nothing recorded of it, and no reading lost."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.elements import Refused
from pipeline.records.events import event_body, render_event
from pipeline.records.events_catalogue import CATALOGUE
from tests.unit.elements.bench import RUN0, SECOND, Bench, opened

TEST = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}


def refused(bench: Bench, command: str, **args: Any) -> Refused:
    before = len(bench.records)
    with pytest.raises(Refused) as caught:
        bench.plan(command, **args)
    assert len(bench.records) == before
    assert caught.value.en
    assert caught.value.zh
    return caught.value


@pytest.mark.parametrize(
    ("changes", "code", "hint"),
    [
        ({"badge": "B-9"}, "unknown-badge", "scan the badge again"),
        ({"operator": "p-9"}, "unknown-person", "scan the badge first"),
        ({"sample": "S-9"}, "unknown-sample", "scan the sample label again"),
        ({"sample": "CW-1"}, "unknown-sample", "scan the sample label again"),
        ({"instrument": "bal-9"}, "unknown-instrument", "scan the instrument label again"),
        ({"method": "guessing"}, "unknown-method", "yaosu registry import"),
        ({"reagents": ["R-9"]}, "unknown-material", "check the label"),
        ({"environments": ["moon"]}, "unknown-environment", "yaosu registry import"),
    ],
)
def test_what_is_not_on_file_is_told_with_what_to_do(changes: dict[str, Any], code: str, hint: str) -> None:
    error = refused(opened(), "task.start", **{**TEST, **changes})
    assert error.code == code
    assert hint in error.hint


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("task.handover", {"badge": "B-2"}), ("task.stop", {}), ("task.abort", {"reason": "x"}),
        ("task.bind", {"role": "reagent", "target": "CW-1"}),
        ("task.link", {"system": "s", "external_id": "1"}),
    ],
)  # fmt: skip
def test_a_scan_before_the_start_is_told_and_the_start_after_it_works(
    command: str, args: dict[str, Any]
) -> None:
    bench = opened()
    error = refused(bench, command, task="00010203-00001", **args)
    assert error.code == "unknown-task"
    assert "yaosu task list" in error.hint
    assert bench.start() == "00010203-00001"
    bench.do(command, task="00010203-00001", **args)


@pytest.mark.parametrize("command", ["task.handover", "task.stop", "task.abort"])
def test_a_scan_after_the_end_is_told_and_changes_nothing(command: str) -> None:
    bench = opened()
    task = bench.start()
    bench.do("task.stop", task=task)
    args = {"task.handover": {"badge": "B-2"}, "task.abort": {"reason": "x"}}.get(command, {})
    error = refused(bench, command, task=task, **args)
    assert error.code == "task-not-running"
    assert "stopped" in error.en
    assert bench.view(task)["phase"] == "stopped"


def test_two_tasks_that_claim_one_exclusive_instrument_the_second_is_told_of_the_first() -> None:
    bench = opened()
    first = bench.start()
    error = refused(bench, "task.start", **{**TEST, "item": "other"})
    assert error.code == "instrument-busy"
    assert first in error.en
    assert f"yaosu task stop {first}" in error.hint
    # The readings go on to the task that has the instrument.
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.finish(first)
    measured = bench.elements._fold.state.tasks[first].channels
    assert next(one.rows for one in measured if one.role == "measurand") == 2
    assert bench.start(item="other")


def test_a_clock_that_went_backwards_loses_no_reading_and_moves_no_window() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.weight(0.0)
    step = event_body("clock-step", step_s=-3600.0)
    bench.append("event", step)
    assert render_event(step, "en") == "UTC stepped by -3600.0 s"
    assert CATALOGUE["clock-step"].severity == "alarm"
    bench.air(1)
    bench.weight(50.0)
    bench.finish(task)
    facts = next(one for one in bench.elements._fold.state.tasks[task].channels if one.role == "measurand")
    assert facts.rows == facts.good == 2
    assert facts.from_run_ns == RUN0
    assert bench.elements._fold.state.tasks[task].end_run_ns == RUN0 + bench.now - 6 * SECOND


def test_a_refusal_reads_with_what_it_was_about_and_how_many_went_before() -> None:
    body = event_body(
        "command-refused", command="task.stop", person="p-1", reason="unknown-task",
        about={"instrument": "bal-1"}, unrecorded=3,
    )  # fmt: skip
    assert render_event(body, "en").endswith(
        "was refused: unknown-task (instrument bal-1, 3 more refusals not recorded)"
    )
    assert "另有 3 次拒绝未记录" in render_event(body, "zh")
    earlier = {**body, "args": {"command": "task.stop", "person": "p-1", "reason": "unknown-task"}}
    assert render_event(earlier, "en") == "task.stop by p-1 was refused: unknown-task"
