"""A look-back over a year of tasks: `python -m benchmarks.lookback [--json] [--tasks N]`.

A real journal holds the records of finished tasks, all measured on one instrument; its certificate is found
withdrawn. Every part of what follows is timed: finding the tasks in the index, holding each of them (a record
of the hold, a superseding verdict, an event), and what people then look at. CPU time of the process and of
the event loop's thread; how long the loop was held without other processes having the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmarks.journal import watch_loop
from benchmarks.ledger import RUN0, TASK_NS, UTC0, bodies
from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from gateway.edge.ledger import Ledger
from gateway.edge.reach import Reach
from gateway.edge.recorder import Recorder
from gateway.tuning import settle, tune
from pipeline.elements import Elements
from pipeline.elements.codec import to_body
from pipeline.elements.lookback.part import put
from pipeline.elements.lookback.report import look_back_report, look_backs
from pipeline.elements.lookback.shapes import LookBackOpen
from pipeline.elements.parts import View
from pipeline.journal import Journal, JournalSettings
from pipeline.ledger import TaskFilter
from pipeline.ledger.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Record
    from pipeline.records.envelope import Body, By

NAME = "LB-1"
PAGE = 1000
READ_BYTES = 4 * 1024 * 1024


class TimedRecorder(Recorder):
    """Times what one record leads to in one turn of the loop."""

    turns_s: ClassVar[list[float]] = []

    def append(
        self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None
    ) -> Record:  # fmt: skip
        """Append as the daemon does."""
        start_s = time.thread_time()
        record = super().append(kind, body, instrument=instrument, by=by)
        self.turns_s.append(time.thread_time() - start_s)
        return record


async def fill(journal: Journal, tasks: int) -> None:
    """Leave the records of finished tasks behind, all on one instrument."""
    for number in range(tasks):
        for kind, body, t_ns in bodies(number, instruments=1):
            journal.append(kind, body, source="live", t_utc_ns=UTC0 + t_ns, t_run_ns=RUN0 + t_ns)
        if number % 50 == 0:
            await journal.room()
    await journal.wait_durable(journal.head_seq - 1)


def opened(tasks: int) -> LookBackOpen:
    """The look-back over all of them."""
    return LookBackOpen(
        lookback=NAME, cause="certificate-withdrawn", element="equipment", subject="bal-0", role="instrument",
        method=None, from_run_ns=RUN0, from_utc_ns=UTC0, to_run_ns=RUN0 + tasks * TASK_NS,
        to_utc_ns=UTC0 + tasks * TASK_NS, last_good="", last_good_seq=None, failed="C-1", cause_seq=0,
        affected=(), older=True,
    )  # fmt: skip


async def listed_s(ledger: Ledger, tasks: int) -> float:
    """Time the pages of the index that a look-back goes through; CPU of the process."""
    start_s, after, found = time.process_time(), -1, 0
    while True:
        rows = await ledger.affected(
            "instrument", "bal-0", RUN0, RUN0 + tasks * TASK_NS, after_seq=after, limit=PAGE
        )
        found += len(rows)
        if len(rows) < PAGE:
            break
        after = rows[-1].start_seq
    assert found == tasks
    return time.process_time() - start_s


async def move(recorder: TimedRecorder, ledger: Ledger, tasks: int) -> dict[str, float]:
    """Hold every task, as the daemon does."""
    journal, elements = recorder.journal, recorder.elements
    found, fold = opened(tasks), elements.fold
    put(View(fold.state, fold.registry, fold.settings), found)
    recorder.append("lookback", to_body(found))
    await ledger.catch_up_to_now()
    first, blocked_s, late_s = journal.head_seq, list[float](), list[float]()
    watcher = asyncio.create_task(watch_loop(blocked_s, late_s))
    cpu_s, loop_s = time.process_time(), time.thread_time()
    await Reach(recorder, elements, ledger).look()
    cpu_s, loop_s = time.process_time() - cpu_s, time.thread_time() - loop_s
    watcher.cancel()
    state = fold.state.lookbacks.items[NAME]
    assert state.reached
    assert len(state.affected) + state.further == len(state.parked) == tasks
    return {
        "cpu_s": cpu_s, "loop_s": loop_s, "records": journal.head_seq - first,
        "turn_p50_ms": 1e3 * float(np.percentile(recorder.turns_s, 50)),
        "turn_p99_ms": 1e3 * float(np.percentile(recorder.turns_s, 99)),
        "turn_max_ms": 1e3 * max(recorder.turns_s),
        "blocked_p99_ms": 1e3 * float(np.percentile(blocked_s, 99)), "blocked_max_ms": 1e3 * max(blocked_s),
    }  # fmt: skip


async def looked_at(ledger: Ledger, elements: Elements) -> dict[str, float]:
    """Time what people look at afterwards; CPU of the process, seconds."""
    state, found = elements.fold.state, dict[str, float]()
    start_s = time.process_time()
    look_backs(state)
    found["list_s"] = time.process_time() - start_s
    start_s = time.process_time()
    assert look_back_report(state, NAME) is not None
    found["report_s"] = time.process_time() - start_s
    start_s = time.process_time()
    assert await ledger.holds()
    found["holds_s"] = time.process_time() - start_s
    start_s = time.process_time()
    assert await ledger.tasks(TaskFilter(overall="held", limit=100))
    found["tasks_s"] = time.process_time() - start_s
    capture, turns = elements.capture(), list[float]()
    while not capture.whole:
        start_s = time.thread_time()
        capture.take()
        turns.append(time.thread_time() - start_s)
    return {**found, "snapshot_turn_s": max(turns)}


async def centre_s(journal: Journal) -> dict[str, float]:
    """Time a centre's first look: every record taken at its word; CPU of the process."""
    told, seq, spent_s, count = Recorded(), 0, 0.0, 0
    while records := await journal.read(seq, bytes_max=READ_BYTES):
        start_s = time.process_time()
        for record in records:
            told.take(record)
        spent_s += time.process_time() - start_s
        count += len(records)
        seq = records[-1].seq + 1
    start_s = time.process_time()
    assert look_back_report(told.state, NAME) is not None
    return {"take_s": spent_s, "records": count, "report_s": time.process_time() - start_s}


async def measured(folder: Path, tasks: int) -> dict[str, Any]:
    """Measure every part, one after the other."""
    tune()
    journal = await Journal.open(folder / "journal", JournalSettings(), purpose="production")
    elements = Elements()
    recorder = TimedRecorder(journal, elements, {}, "live")
    ledger = Ledger(folder / "ledger.sqlite", journal, elements)
    try:
        await fill(journal, tasks)
        await ledger.catch_up()
        settle()  # as the daemon does once it has taken up what there is
        found: dict[str, Any] = {"tasks": tasks, "listed_s": await listed_s(ledger, tasks)}
        found["move"] = await move(recorder, ledger, tasks)
        await ledger.catch_up_to_now()
        found["looked_at"] = await looked_at(ledger, elements)
        found["centre"] = await centre_s(journal)
    finally:
        await ledger.close()
        await journal.close()
    return found


def measure(tasks: int) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        return {"machine": describe_machine(), **asyncio.run(measured(Path(folder), tasks))}


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    moved, seen, centre = found["move"], found["looked_at"], found["centre"]
    blocked = f"99 % {moved['blocked_p99_ms']:.1f} ms, longest {moved['blocked_max_ms']:.1f} ms"
    turn = (
        f"{moved['turn_p50_ms']:.2f} ms, 99 % {moved['turn_p99_ms']:.1f} ms, longest "
        f"{moved['turn_max_ms']:.0f} ms (Python's garbage collector)"
    )
    held = f"{moved['cpu_s']:.1f} s, {moved['loop_s']:.1f} s of it in the event loop"
    taken = f"{centre['take_s']:.1f} s, {centre['records']:,.0f} records"
    rows = [
        ("found in the index, in pages of 1,000", f"{found['listed_s']:.2f} s"),
        (f"every one held: {moved['records']:,.0f} records", held),
        ("turn of the loop for one record of holds", turn),
        ("how long the loop was held meanwhile", blocked),
        ("list of look-backs", f"{seen['list_s'] * 1e3:.1f} ms"),
        ("impact report, 1,000 tasks described, in both languages", f"{seen['report_s'] * 1e3:.0f} ms"),
        ("list of what waits, 1,000 shown", f"{seen['holds_s'] * 1e3:.0f} ms"),
        ("newest 100 held tasks", f"{seen['tasks_s'] * 1e3:.1f} ms"),
        ("longest turn for a snapshot of it", f"{seen['snapshot_turn_s'] * 1e3:.1f} ms"),
        ("a centre's first look, at everything, once", taken),
        ("a centre's report after that", f"{centre['report_s'] * 1e3:.0f} ms"),
    ]
    text = (
        f"The certificate of an instrument is withdrawn on which {found['tasks']:,} finished tasks were "
        "measured, none of them in memory. CPU time. What it means: a look-back over a year of a busy "
        "laboratory is a matter of seconds, and acquisition goes on beside it."
    )
    return section_text("Look-back over a year", text, ("what", "measured"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--tasks", type=int, default=100_000, help="finished tasks (default 100,000)")
    options = parser.parse_args(arguments)
    show(measure(options.tasks), results_section, as_json=options.json)


if __name__ == "__main__":
    main()
