"""Hold both journals of a production gateway against the instruments' own log of answers and of swaps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gateway.site.model import REHEARSAL_SUFFIX
from tests.simulation.compare import EVER, _archived, _check_gaps, _key, _latest_of_each, _polls

if TYPE_CHECKING:
    from pipeline.records import Record
    from pipeline.store.door import Origin, Row
    from tests.simulation.faults import Excuse
    from tests.simulation.instruments import Instrument
    from tests.simulation.machinery import Centre, Gateway, VirtualStore
    from tests.simulation.run import Outcome


async def check_both(
    outcome: Outcome, gateway: Gateway, centres: list[Centre], store: VirtualStore, excuses: list[Excuse],
    origin: Origin,
) -> list[Record]:  # fmt: skip
    """Compare everything; what is wrong goes into `outcome.findings`. Returns the archived records."""
    records = await _archived(outcome, centres)
    beside = origin._replace(gateway=f"{origin.gateway}{REHEARSAL_SUFFIX}")
    gaps = await store.shell.ledger(origin, "gap", limit=10**6, newest_first=False)
    production = {gap.journal for gap in gaps}
    ours = [record for record in records.values() if record.journal in production or not gaps]
    outcome.records, outcome.gaps = len(records), len(gaps)
    for instrument in gateway.instruments.values():
        here = await store.shell.rows(origin, instrument.name, n_from=0, n_to=EVER)
        there = await store.shell.rows(beside, instrument.name, n_from=0, n_to=EVER)
        outcome.answers += len(instrument.answers)
        _check_places(outcome, instrument, here, there, excuses)
        polls = _polls(instrument, here, ours)
        _check_gaps(outcome, instrument, gateway, polls, _latest_of_each(instrument.name, gaps))
    _check_citations(outcome, records)
    for centre in centres:
        if centre.forks or centre.malformed:
            outcome.findings.append(f"{centre.name}: {centre.forks} forks, {centre.malformed} malformed")
    return [records[identity] for identity in sorted(records)]


def _check_places(
    outcome: Outcome, instrument: Instrument, here: list[Row], there: list[Row], excuses: list[Excuse]
) -> None:
    """Every answer is stored once, in the journal that it belongs into; ordinals are each journal's own."""
    stored = {
        place: Counter(_key(row) for row in rows if row.values["level"] is not None)
        for place, rows in (("production", here), ("rehearsal", there))
    }
    answered = {answer.key for answer in instrument.answers}
    for place, keys in stored.items():
        twice = sum(count > 1 for count in keys.values())
        if twice or set(keys) - answered:
            outcome.findings.append(
                f"{instrument.name}, {place}: {twice} rows twice, {len(set(keys) - answered)} never answered"
            )
    for answer in instrument.answers:
        belongs = "rehearsal" if instrument.found_at(answer.t_s) else "production"
        other = "production" if belongs == "rehearsal" else "rehearsal"
        excused = any(excuse.from_s <= answer.t_s <= excuse.to_s for excuse in excuses)
        if answer.key in stored[other]:
            outcome.findings.append(f"{instrument.name}: in {other} and not in {belongs}: {answer}")
        elif answer.key not in stored[belongs] and not excused:
            outcome.findings.append(f"{instrument.name}: lost from {belongs}: {answer}")
    for rows in (here, there):
        if [row.n for row in rows] != list(range(len(rows))):
            outcome.findings.append(f"{instrument.name}: ordinals are not contiguous")


def _check_citations(outcome: Outcome, records: dict[tuple[bytes, int], Record]) -> None:
    """What one journal cites of the other is there, and is what it is said to be."""
    wanted = {
        "rows-to-rehearsal": {"rows-from-production"},
        "rows-to-rehearsal-end": {"rows-from-production-end"},
        "rows-from-production": {"source-pty", "source-simulator"},
        "rows-from-production-end": {"source-live"},
    }
    for record in records.values():
        codes = wanted.get(str(record.body.get("code"))) if record.kind == "event" else None
        if codes is None:
            continue
        args = record.body["args"]
        cited = records.get((bytes.fromhex(args["of_journal"]), args["of_seq"]))
        if cited is None or cited.body.get("code") not in codes:
            outcome.findings.append(f"{record.body['code']} at {record.seq} cites {cited}")
