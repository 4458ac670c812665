"""Hold store and archives against the instruments' own log of answers."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.journal.merkle import leaf_hash
from pipeline.records.envelope import decode
from pipeline.records.frame import decode_frame

if TYPE_CHECKING:
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
) -> None:  # fmt: skip
    """Compare everything; what is wrong goes into `outcome.findings`."""
    records = await _archived(outcome, centres)
    gaps = await store.shell.ledger(origin, "gap", limit=10**6, newest_first=False)
    outcome.records, outcome.gaps = len(records), len(gaps)
    for instrument in gateway.instruments.values():
        rows = await store.shell.rows(origin, instrument.name, n_from=0, n_to=EVER)
        outcome.answers += len(instrument.answers)
        _check_answers(outcome, instrument, rows, excuses)
        _check_gaps(outcome, instrument, gateway, rows, records, gaps)
    for centre in centres:
        if centre.forks or centre.malformed:
            outcome.findings.append(f"{centre.name}: {centre.forks} forks, {centre.malformed} malformed")
        if (centre.folder / "dead-letters.jsonl").exists():
            outcome.findings.append(f"{centre.name} has dead letters")


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


def _request_times(instrument: str, records: dict[tuple[bytes, int], Record]) -> dict[int, int]:
    """Ordinal to the gateway time of the row's request, from the archived frames."""
    found: dict[int, int] = {}
    for record in records.values():
        if record.kind == "data" and record.body["instrument"] == instrument:
            frame = decode_frame(record.body)
            found.update(zip(frame.ordinals().tolist(), frame.block.t_request_ns.tolist(), strict=True))
    return found


def _check_gaps(
    outcome: Outcome, instrument: Instrument, gateway: Gateway, rows: list[Row],
    records: dict[tuple[bytes, int], Record], ledger: list[LedgerRow],
) -> None:  # fmt: skip
    """Every missed poll is inside a gap, with its reason; a row is never in one."""
    times = _request_times(instrument.name, records)
    gaps: dict[int, dict[str, Any]] = {}
    for entry in ledger:
        if entry.body["instrument"] == instrument.name:
            known = gaps.get(entry.body["from_run_ns"])
            if known is None or entry.seq >= known["seq"]:
                gaps[entry.body["from_run_ns"]] = {**entry.body, "seq": entry.seq}
    ordered = sorted(gaps.values(), key=lambda gap: gap["from_run_ns"])
    order = sorted(times)
    period_ns = instrument.period_s * 1e9
    log_s = {answer.key: answer.t_s for answer in instrument.answers}
    seen_s = {row.n: log_s.get(_key(row)) for row in rows if row.values["level"] is not None}
    between: dict[int, list[dict[str, Any]]] = defaultdict(list)
    row_ns = [times[n] for n in order]
    if any(later <= earlier for earlier, later in pairwise(row_ns)):
        outcome.findings.append(f"{instrument.name}: gateway time does not increase with the ordinal")
    for gap in ordered:
        if not gap["ended"]:
            outcome.findings.append(f"{instrument.name}: a gap has no end: {gap}")
        before = bisect_left(row_ns, (gap["from_run_ns"] + gap["to_run_ns"]) // 2)
        between[before].append(gap)
    for position in range(1, len(order)):
        here = between.get(position, [])
        missed = (row_ns[position] - row_ns[position - 1]) / period_ns - 1
        counted = sum(gap["polls"] for gap in here)
        slack = SLACK_POLLS + len(here)
        if abs(missed - counted) > slack:
            outcome.findings.append(
                f"{instrument.name}: between rows {order[position - 1]} and {order[position]} {missed:.1f} "
                f"polls are missing, gaps count {counted}: {here}"
            )
        if here:
            _check_causes(outcome, instrument, gateway, here, _span(seen_s, order, position))


def _span(seen_s: dict[int, float | None], order: list[int], position: int) -> tuple[float, float]:
    """True times of the answers before and after a place between two rows."""
    before = (seen_s.get(order[at]) for at in range(position - 1, -1, -1))
    after = (seen_s.get(order[at]) for at in range(position, len(order)))
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
            case cause:
                true = cause == "late"
        if not true:
            outcome.findings.append(f"{instrument.name}: a gap gives a reason that was none: {gap}")
