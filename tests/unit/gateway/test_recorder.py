"""Derived records: each exactly once, wherever a crash cuts, whatever is full, whoever judged before."""

from __future__ import annotations

import functools
from typing import Any, cast

import pytest

from gateway.edge.recorder import Recorder
from pipeline.elements import VERSION, Elements
from pipeline.journal import Journal, JournalFullError
from pipeline.records import Record
from pipeline.records.envelope import By
from tests.unit.elements.bench import opened
from tests.unit.elements.test_charts_wired import charted
from tests.unit.gateway.paper import HandClock, PaperJournal, said

Root = tuple[int, str, dict[str, Any]]


async def never() -> None:
    raise AssertionError("there is no chart to wait for")


def recorder_on(journal: PaperJournal, elements: Elements | None = None) -> Recorder:
    return Recorder(cast("Journal", journal), elements or Elements(), {}, "live")


@functools.cache
def lived() -> tuple[Record, ...]:
    """A short day: a check, a weighing that is held because the room is too warm, and its release."""
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.air(1, 40.0)
    bench.finish(task)
    held = bench.elements.holds()[0]
    assert held["task"] == task
    bench.do("hold.release", bench.someone("p-3"), task=task, reason="seen", signed_hash=held["to_sign"])
    bench.tick()
    return tuple(bench.records)


def roots() -> list[Root]:
    return [(r.t_run_ns, r.kind, dict(r.body)) for r in lived() if r.by is None]


def go_on(recorder: Recorder, journal: PaperJournal, left: list[Root]) -> None:
    for t_run_ns, kind, body in left:
        journal.clock.now = t_run_ns - HandClock().run_ns()
        recorder.append(kind, body)


@functools.cache
def uninterrupted() -> tuple[tuple[Record, ...], dict[int, bytes]]:
    """All records of the day, and the elements' snapshots by the seq that they cover."""
    journal, elements = PaperJournal(), Elements()
    recorder, snapshots = recorder_on(journal, elements), {}
    for root in roots():
        go_on(recorder, journal, [root])
        snapshots[journal.head_seq - 1] = elements.snapshot()
    return tuple(journal.records), snapshots


async def recovered(records: list[Record], snapshot: tuple[int, bytes] | None = None) -> PaperJournal:
    """Open a journal that holds just these records, recover, and play the rest of the day."""
    journal, elements = PaperJournal(records=list(records)), Elements()
    if records:
        journal.clock.now = records[-1].t_run_ns - journal.clock.run_ns()
    seq = -1
    if snapshot is not None:
        seq = snapshot[0]
        elements.restore(snapshot[1])
    recorder, seen = recorder_on(journal, elements), list[int]()
    await recorder.replay(seq + 1, lambda record: seen.append(record.seq), never)
    assert seen == list(range(seq + 1, len(records)))
    go_on(recorder, journal, roots()[sum(record.by is None for record in records) :])
    return journal


def test_the_day_has_what_the_test_is_about() -> None:
    records, _ = uninterrupted()
    kinds = [record.kind for record in records if record.by is not None]
    assert kinds.count("verdict") >= 12
    assert {"verdict", "result", "event"} <= set(kinds)
    assert any(record.kind == "review" for record in records)


async def test_cut_anywhere_the_records_are_those_of_a_run_without_a_crash() -> None:
    records, snapshots = uninterrupted()
    for cut in range(len(records) + 1):
        covered = max((seq for seq in snapshots if seq < cut), default=None)
        snapshot = None if covered is None or cut % 9 == 0 else (covered, snapshots[covered])
        journal = await recovered(list(records[:cut]), snapshot)
        assert said(journal.records) == said(list(records)), f"cut after seq {cut - 1}, from {covered}"


async def test_an_old_snapshot_does_as_well_as_a_new_one() -> None:
    records, snapshots = uninterrupted()
    cut = len(records) - 3
    for covered in sorted(snapshots)[::17]:
        journal = await recovered(list(records[:cut]), (covered, snapshots[covered]))
        assert said(journal.records) == said(list(records)), f"from the snapshot at {covered}"


async def test_what_an_older_version_derived_is_not_derived_again() -> None:
    records, _ = uninterrupted()
    old = PaperJournal()
    for record in records:
        by = None if record.by is None else record.by._replace(version=0)
        old.clock.now = record.t_run_ns - HandClock().run_ns()
        old.append(record.kind, record.body, by=by)
    recorder = recorder_on(old)
    await recorder.replay(0, lambda _record: None, never)
    assert len(old.records) == len(records)


async def test_what_an_older_version_left_out_is_not_made_up_later() -> None:
    records, _ = uninterrupted()
    old = PaperJournal()
    for record in records:
        if record.by is None:
            old.clock.now = record.t_run_ns - HandClock().run_ns()
            old.append(record.kind, record.body)
    old.append("tick", {})
    recorder = recorder_on(old)
    before = old.head_seq
    await recorder.replay(0, lambda _record: None, never)
    later = {record.by.through_seq for record in old.records[before:] if record.by is not None}
    assert later <= {before - 1} | set(range(before, old.head_seq))


@pytest.mark.parametrize("room", range(0, 60, 7))
async def test_a_full_journal_loses_no_derived_record_and_none_twice(room: int) -> None:
    records, _ = uninterrupted()
    journal = PaperJournal()
    recorder = recorder_on(journal)
    left = roots()
    journal.room_left = 40 + room
    refused = 0
    while left:
        try:
            go_on(recorder, journal, left[:1])
            left = left[1:]
        except JournalFullError:
            refused += 1
            journal.room_left = 5
    journal.room_left = 40  # what the last record leads to may still wait; the next append would bring it
    recorder._settle()
    assert refused
    assert said(journal.records) == said(list(records))
    assert recorder.settled


class Broken(Elements):
    """Fails at every tick."""

    def consume(self, record: Record) -> Any:
        if record.kind == "tick" or record.body.get("code") == "record-not-understood":
            raise IndexError("a mistake of ours")
        return super().consume(record)


async def test_a_mistake_in_judging_stops_neither_recording_nor_the_next_start() -> None:
    journal = PaperJournal()
    recorder = recorder_on(journal, Broken())
    recorder.append("tick", {})
    recorder.append("event", {"code": "daemon-stop"})
    told = [record for record in journal.records if record.body.get("code") == "record-not-understood"]
    by = By("elements", VERSION, 0, 0)
    assert [(record.by, record.body["args"]["of_seq"]) for record in told] == [(by, 0)]
    before = journal.head_seq
    await recorder_on(journal, Broken()).replay(0, lambda _record: None, never)
    assert journal.head_seq == before


async def test_a_step_of_the_clock_is_told_after_what_it_interrupted() -> None:
    journal = PaperJournal()
    recorder = recorder_on(journal)
    recorder.append("tick", {})
    journal.epoch, journal.clock_step_ns = 1, -3_000_000_000
    recorder.append("tick", {})
    recorder.append("tick", {})
    codes = [record.body.get("code", record.kind) for record in journal.records if record.by is None]
    assert codes == ["tick", "tick", "clock-step", "tick"]
    assert journal.records[2].body["args"]["step_s"] == -3.0


async def test_before_a_chart_is_replayed_the_control_rules_are_waited_for_once_a_batch() -> None:
    journal, done = PaperJournal(records=list(charted().records)), list[str]()

    async def charting() -> None:
        done.append("waited")

    await recorder_on(journal).replay(0, lambda record: done.append(record.kind), charting)
    assert done.count("chart") == 2
    assert done.count("waited") == 1
    assert done.index("waited") < done.index("chart")
