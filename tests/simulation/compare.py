"""Hold store and archives against the instruments' own log of answers."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.journal.merkle import leaf_hash
from pipeline.records.envelope import decode
from pipeline.records.frame import decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.records import Record
    from pipeline.store.door import LedgerRow, Origin, Row
    from tests.simulation.faults import Excuse
    from tests.simulation.instruments import Instrument
    from tests.simulation.machinery import Centre, Gateway, VirtualStore
    from tests.simulation.run import Outcome

EVER = 2**62
SLACK_POLLS = 1.6
"""Deadlines by which a gap may differ from the time between two rows: a start draws a phase of its own."""
SLACK_S = 1.0


async def check(
    outcome: Outcome, gateway: Gateway, centres: list[Centre], store: VirtualStore, excuses: list[Excuse],
    origin: Origin,
) -> list[Record]:  # fmt: skip
    """Compare everything; what is wrong goes into `outcome.findings`. Returns the archived records by seq."""
    records = await _archived(outcome, centres)
    gaps = await store.shell.ledger(origin, "gap", limit=10**6, newest_first=False)
    outcome.records, outcome.gaps = len(records), len(gaps)
    for instrument in gateway.instruments.values():
        rows = await store.shell.rows(origin, instrument.name, n_from=0, n_to=EVER)
        outcome.answers += len(instrument.answers)
        _check_answers(outcome, instrument, rows, excuses)
        polls = _polls(instrument, rows, records.values())
        _check_gaps(outcome, instrument, gateway, polls, _latest_of_each(instrument.name, gaps))
    for centre in centres:
        if centre.forks or centre.malformed:
            outcome.findings.append(f"{centre.name}: {centre.forks} forks, {centre.malformed} malformed")
        if (centre.folder / "dead-letters.jsonl").exists():
            outcome.findings.append(f"{centre.name} has dead letters")
    return [records[identity] for identity in sorted(records)]


async def _archived(outcome: Outcome, centres: list[Centre]) -> dict[tuple[bytes, int], Record]:
    """Records of all archives; two contents under one identity are a finding."""
    hashes: dict[tuple[bytes, int], bytes] = {}
    records: dict[tuple[bytes, int], Record] = {}
    for centre in centres:
        centre._count()
        archive = centre._archive
        assert archive is not None
        for finding in await archive.verify():
            outcome.findings.append(f"archive of {centre.name}: {finding}")
        for journal in await archive.journals():
            seq = 0
            while page := await archive.records(journal, seq):
                for one in page:
                    record = decode(one.data)
                    if hashes.setdefault((journal, record.seq), leaf_hash(one.data)) != leaf_hash(one.data):
                        outcome.findings.append(f"record {record.seq} has two contents")
                    records[journal, record.seq] = record
                    seq = record.seq + 1
    return records


def _key(row: Row) -> tuple[bytes, int]:
    return struct.pack("<d", row.values["level"]), int(row.values["count"] or 0)


def _check_answers(outcome: Outcome, instrument: Instrument, rows: list[Row], excuses: list[Excuse]) -> None:
    stored = Counter(_key(row) for row in rows if row.values["level"] is not None)
    answered = {answer.key: answer for answer in instrument.answers}
    for key, count in stored.items():
        if count > 1:
            outcome.findings.append(f"{instrument.name}: stored {count} times: {answered.get(key)}")
        if key not in answered:
            outcome.findings.append(f"{instrument.name}: stored and never answered: {key}")
    for answer in instrument.answers:
        excused = any(excuse.from_s <= answer.t_s <= excuse.to_s for excuse in excuses)
        if answer.key not in stored and not excused:
            outcome.findings.append(f"{instrument.name}: lost: {answer}")
    points = Counter((row.era, row.t_utc_ns) for row in rows)
    if points and max(points.values()) > 1:
        outcome.findings.append(f"{instrument.name}: two rows on one point: {points.most_common(3)}")
    ordinals = [row.n for row in rows]
    if ordinals != list(range(len(ordinals))):
        outcome.findings.append(f"{instrument.name}: ordinals are not contiguous")


@dataclass(slots=True)
class _Poll:
    """One exchange that left rows."""

    request_ns: int
    """Gateway time."""
    answered_s: float | None
    """True time of its answer; None where nothing was measured."""


def _polls(instrument: Instrument, rows: list[Row], records: Iterable[Record]) -> list[_Poll]:
    """The exchanges by request, from the archived frames; their answers by the instrument's log."""
    log_s = {answer.key: answer.t_s for answer in instrument.answers}
    seen_s = {row.n: log_s.get(_key(row)) for row in rows if row.values["level"] is not None}
    found: dict[int, _Poll] = {}
    for record in records:
        if record.kind == "data" and record.body["instrument"] == instrument.name:
            frame = decode_frame(record.body)
            times = frame.block.t_request_ns.tolist()
            for n, request_ns in zip(frame.ordinals().tolist(), times, strict=True):
                poll = found.setdefault(request_ns, _Poll(request_ns, None))
                poll.answered_s = seen_s.get(n, poll.answered_s)
    return [found[request_ns] for request_ns in sorted(found)]


def _latest_of_each(instrument: str, ledger: list[LedgerRow]) -> list[dict[str, Any]]:
    """The last word on every gap of an instrument, in order."""
    gaps = {
        entry.body["from_run_ns"]: entry.body
        for entry in sorted(ledger, key=lambda entry: entry.seq)
        if entry.body["instrument"] == instrument
    }
    return [gaps[from_ns] for from_ns in sorted(gaps)]


def _check_gaps(
    outcome: Outcome, instrument: Instrument, gateway: Gateway, polls: list[_Poll], gaps: list[dict[str, Any]]
) -> None:  # fmt: skip
    """Every missed poll is inside a gap, with its reason; a row is never in one."""
    requests_ns = [poll.request_ns for poll in polls]
    between: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for gap in gaps:
        if not gap["ended"]:
            outcome.findings.append(f"{instrument.name}: a gap has no end: {gap}")
        between[bisect_left(requests_ns, (gap["from_run_ns"] + gap["to_run_ns"]) // 2)].append(gap)
    for position in range(1, len(polls)):
        here = between.get(position, [])
        span_ns = requests_ns[position] - requests_ns[position - 1]
        missed, counted = span_ns / (instrument.period_s * 1e9) - 1, sum(gap["polls"] for gap in here)
        if abs(missed - counted) > SLACK_POLLS + len(here):
            outcome.findings.append(
                f"{instrument.name}: {missed:.1f} polls are missing after gateway time "
                f"{requests_ns[position - 1]}, gaps count {counted}: {here}"
            )
        if here:
            _check_causes(outcome, instrument, gateway, here, _span(polls, position))


def _span(polls: list[_Poll], position: int) -> tuple[float, float]:
    """True times of the answers before and after a place between two polls."""
    before = (polls[at].answered_s for at in range(position - 1, -1, -1))
    after = (polls[at].answered_s for at in range(position, len(polls)))
    first = next((t_s for t_s in before if t_s is not None), 0.0)
    last = next((t_s for t_s in after if t_s is not None), float("inf"))
    return first, last


def _check_causes(
    outcome: Outcome, instrument: Instrument, gateway: Gateway, gaps: list[dict[str, Any]],
    span: tuple[float, float],
) -> None:  # fmt: skip
    from_s, to_s = span[0] - SLACK_S, span[1] + SLACK_S
    for gap in gaps:
        match gap["cause"]:
            case "daemon-down":
                true = any(from_s <= end_s <= to_s for end_s in gateway.ends_s)
            case "disconnected":
                true = instrument.was("disconnected", from_s, to_s)
            case "back-off":
                true = instrument.was("silent", from_s - 40, to_s) or instrument.was(
                    "disconnected", from_s - 40, to_s
                )
            case "rehearsal":
                true = any(found for begin_s, found in instrument.stands if begin_s <= to_s)
            case cause:
                true = cause == "late"
        if not true:
            outcome.findings.append(f"{instrument.name}: a gap gives a reason that was none: {gap}")
