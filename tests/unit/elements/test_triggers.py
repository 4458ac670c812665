"""Triggers open the window of one task to a regulator, and every reading of it is on record first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.elements import Actor, Elements, Refused
from pipeline.elements.codec import to_body
from pipeline.elements.shapes import Review
from pipeline.elements.triggers.vocabulary import TRIGGER_TEXTS, TRIGGERS
from pipeline.records.events import event_body, render_event
from tests.unit.elements.bench import (
    DAY,
    RUN0,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    actor,
    balance,
    metrology,
    opened,
    room,
)

CHANNEL = "bal-1.weight"


def triggers(bench: Bench) -> list[tuple[str, str]]:
    return [
        (record.body["args"]["trigger"], record.body["args"]["task"])
        for record in bench.of_kind("event")
        if record.body["code"] == "trigger"
    ]


def regulator(bench: Bench, **changes: Any) -> Actor:
    return replace(bench.someone("r-1"), **{"role": "regulator", **changes})


def ready(entries: Any = None) -> Bench:
    bench = opened(entries or {})
    bench.check_passes()
    return bench


def overdue() -> tuple[Bench, str]:
    bench = opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})
    return bench, bench.weigh()


def gap(bench: Bench, seconds: float, cause: str = "disconnected") -> None:
    start = bench.now
    bench.advance(seconds)
    bench.append("gap", {
        "instrument": "bal-1", "polls": 9, "cause": cause, "ended": True,
        "from_run_ns": RUN0 + start, "to_run_ns": RUN0 + bench.now,
        "from_utc_ns": UTC0 + start, "to_utc_ns": UTC0 + bench.now,
    })  # fmt: skip


def offline(seconds: float, cause: str = "disconnected") -> tuple[Bench, str]:
    bench = ready()
    task = bench.start()
    gap(bench, seconds, cause)
    return bench, task


def excursion(*, let_out: bool) -> tuple[Bench, str]:
    bench = ready({("environment", "room"): room(high=21.5)})
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.air(1, 22.0)
    bench.finish(task)
    disposition = "release" if let_out else "void"
    args = {"task": task, "disposition": disposition, "reason": "within uncertainty"}
    bench.do("hold.release", bench.someone(SIGNER), **args, signed_hash=bench.view(task)["to_sign"])
    return bench, task


def clear() -> tuple[Bench, str]:
    bench = ready()
    return bench, bench.weigh()


def chain_break() -> tuple[Bench, str]:
    bench = ready()
    task = bench.start()
    bench.append("event", event_body("quarantine", segment="3"))
    return bench, task


def without_reason(reason: str) -> tuple[Bench, str]:
    bench, task = overdue()
    seqs = tuple(sorted(verdict["seq"] for verdict in bench.view(task)["verdicts"]))
    # The command refuses an empty reason: this is a record of another writer.
    review = Review(task, "release", reason, seqs, (), "0" * 64, actor(SIGNER, "pin"))
    bench.append("review", to_body(review))
    return bench, task


def identical() -> tuple[Bench, str]:
    bench = ready()
    values = [50.0 + 0.0001 * (number * 7919 % 997) for number in range(200)]
    task = ""
    for number in range(2):
        task = bench.start(item=f"item-{number}")
        bench.air(1)
        bench.advance(25)
        bench.weight(*values)
        bench.finish(task)
    return bench, task


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (overdue, "overdue-instrument"),
        (lambda: without_reason("ok"), "release-without-reason"),
        (chain_break, "chain-break"),
        (identical, "identical-data"),
        (lambda: offline(601.0), "offline"),
        (lambda: excursion(let_out=True), "excursion-released"),
    ],
    ids=TRIGGERS,
)
def test_each_occasion_is_a_trigger_of_its_task(day: Callable[[], tuple[Bench, str]], kind: str) -> None:
    bench, task = day()
    assert (kind, task) in triggers(bench)
    record = next(r for r in bench.of_kind("event") if r.body["args"].get("trigger") == kind)
    assert record.by is not None
    assert record.body["args"]["seqs"]
    assert all(seq < record.seq for seq in record.body["args"]["seqs"])
    for language in ("en", "zh"):
        assert task in render_event(record.body, language)


@pytest.mark.parametrize(
    "day",
    [
        lambda: (ready(), ""),
        lambda: offline(599.0),
        lambda: offline(6000.0, "service-state"),
        lambda: excursion(let_out=False),
        clear,
    ],
    ids=["nothing", "briefly offline", "announced", "voided", "clear"],
)
def test_a_day_like_it_without_the_occasion_is_none(day: Callable[[], tuple[Bench, str]]) -> None:
    assert triggers(day()[0]) == []


def test_a_release_with_a_reason_is_none() -> None:
    bench, _task = without_reason("certificate came late, it is valid")
    assert "release-without-reason" not in [kind for kind, _ in triggers(bench)]


def test_the_same_occasion_is_recorded_once_for_a_task() -> None:
    bench, task = offline(700.0)
    gap(bench, 800.0)
    assert triggers(bench) == [("offline", task)]


def test_every_trigger_has_its_texts() -> None:
    assert set(TRIGGER_TEXTS) == set(TRIGGERS)


def test_a_regulator_reads_the_window_of_that_task_and_the_notice_comes_first() -> None:
    bench, task = overdue()
    shown = bench.view(task)
    who = regulator(bench)
    result = bench.do("window.read", who, task=task, channel=CHANNEL)
    notice = bench.records[-1]
    assert notice.body["code"] == "read-notice"
    assert notice.body["args"]["task"] == task
    assert notice.body["actor"]["person"] == "r-1"
    trigger = next(r for r in bench.of_kind("event") if r.body["code"] == "trigger")
    assert result["trigger_seq"] == notice.body["args"]["trigger_seq"] == trigger.seq
    assert result["from_utc_ns"] == shown["started_utc_ns"] - 60 * SECOND
    assert result["to_utc_ns"] == shown["ended_utc_ns"] + 60 * SECOND
    again = bench.elements.plan("window.read", {"task": task, "channel": CHANNEL}, who, UTC0, RUN0)
    assert (again.drafts, again.seqs) == ((), (notice.seq,))
    assert again.result == result


def test_the_window_of_another_task_stays_closed() -> None:
    bench, _task = overdue()
    bench.enrol({("equipment", "EQ-1"): balance()})
    bench.check_passes()
    other = bench.weigh(item="other")
    with pytest.raises(Refused) as refused:
        bench.plan("window.read", regulator(bench), task=other, channel=CHANNEL)
    assert refused.value.code == "no-trigger"


@pytest.mark.parametrize(
    ("changes", "args", "code"),
    [
        ({"role": "signatory"}, {}, "not-regulator"),
        ({"how": "asserted"}, {}, "not-regulator"),
        ({"how": "badge"}, {}, "not-regulator"),
        ({}, {"channel": "th-9.temperature"}, "not-of-task"),
        ({}, {"task": "none"}, "unknown-task"),
        ({}, {"from_utc_ns": 0}, "unknown-argument"),
    ],
)
def test_nobody_else_and_nothing_else_is_served(
    changes: dict[str, Any], args: dict[str, Any], code: str
) -> None:
    bench, task = overdue()
    with pytest.raises(Refused) as refused:
        bench.plan("window.read", regulator(bench, **changes), **{"task": task, "channel": CHANNEL, **args})
    assert refused.value.code == code


def test_triggers_outlive_a_restart() -> None:
    bench, task = overdue()
    again = Elements(bench.settings)
    again.restore(bench.elements.snapshot())
    planned = again.plan(
        "window.read",
        {"task": task, "channel": CHANNEL},
        regulator(bench),
        UTC0 + bench.now,
        RUN0 + bench.now,
    )
    assert planned.drafts[0].body["code"] == "read-notice"
