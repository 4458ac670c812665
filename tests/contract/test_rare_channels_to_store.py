"""Values with intervals of their own from libmodbus' registers to a store, and what a page shows of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dashboard.rare import RareReadings
from dashboard.site import site_of
from drivers import open_drivers
from pipeline.intake import Intake
from pipeline.qc import ChannelQc, QcEngine
from pipeline.records import Flag
from pipeline.records.frame import encode_frame
from pipeline.store import EmbeddedStoreSettings, open_store
from pipeline.store.door import LedgerRow
from tests.support.pains import device, registers
from tests.support.scripted import RealClock, rows, seeded, take
from tests.support.stored import ORIGIN, S_NS, T0_NS, frame, record

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from pipeline.records import Block, Record
    from pipeline.records.envelope import Body, By
    from tests.support.stored import Column

CHANNELS = [*registers(64, 65), {"name": "r100", "address": 100, "poll_interval_s": 0.15}]
QC = {
    "r64": ChannelQc(),
    "r65": ChannelQc(),
    "r100": ChannelQc.model_validate({"range": {"fail_high": 1050.0}}),
}


class Sink:
    """Keeps records in memory under stored times as the journal gives them."""

    def __init__(self, clock: RealClock) -> None:
        self.clock = clock
        self.records: list[Record] = []

    def append(self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None) -> Record:
        self.records.append(record(kind, body, len(self.records), t_utc_ns=self.clock.utc_ns()))
        return self.records[-1]

    async def room(self) -> None:
        return

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        return None


async def taken(port: int) -> tuple[list[Block], list[Record]]:
    """Read libmodbus for a while: the rows, and the records that intake makes of them."""
    clock = RealClock()
    settings = device(port, CHANNELS, gap_registers_max=0)
    sink = Sink(clock)
    engine = QcEngine({"device": QC}, {"device": 0.05, "device.r100": 0.15})
    engine.warm()
    intake = Intake(engine, sink, clock, lambda _: "in-use")
    (driver,) = open_drivers([settings], clock, seeded())
    blocks: list[Block] = rows(await take(driver, lambda items: len(rows(items)) >= 8))
    for block in blocks:
        await intake.take(block)
    intake.close_all()
    config = {"site": {"instruments": [{
        "id": "device", "poll_interval_s": 0.05,
        "channels": [{"name": "r64"}, {"name": "r65"}, {"name": "r100", "poll_interval_s": 0.15}],
    }]}}  # fmt: skip
    sink.append("config", config)
    return blocks, sink.records


async def test_a_rare_value_is_stored_where_it_was_read_and_shown_under_its_own_time(
    libmodbus_port: int, tmp_path: Path
) -> None:
    blocks, records = await taken(libmodbus_port)
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=tmp_path / "store.sqlite")) as store:
        report = await store.write(ORIGIN, records)
        assert not report.dead
        stored = await store.rows(ORIGIN, "device", n_from=0, n_to=100)
        asked = [n for n, block in enumerate(blocks) if "r100" in block.layout.index]
        assert 2 <= len(asked) < len(blocks)
        assert [row.n for row in stored] == list(range(len(blocks)))
        assert [row.n for row in stored if "r100" in row.values] == asked
        assert {row.values["r100"] for row in stored if row.n in asked} == {1100}
        # Flagged in the rows that have it, and nowhere else is anything said of it.
        assert {row.flags.get("r100") for row in stored} == {int(Flag.FAIL), None}
        series = await store.window(ORIGIN, "device", "r100", 0, 2**62, 100)
        assert series.t_utc_ns.tolist() == [stored[n].t_utc_ns for n in asked]
        assert np.array_equal(series.value, [1100.0] * len(asked))
        counts = (await store.counts(ORIGIN, 0, 2**62))["device"]
        assert (counts.rows, counts.readings) == (len(blocks), 2 * len(blocks) + len(asked))

        ledger: list[LedgerRow] = await store.ledger(ORIGIN, "config", limit=1)
        latest = await store.latest(ORIGIN)
        shown, earlier = await RareReadings().complete(store, ORIGIN, latest, site_of(ledger))
        newest = len(blocks) - 1
        if asked[-1] != newest:
            assert earlier == {"device": {"r100": stored[asked[-1]].t_utc_ns}}
        assert shown["device"].values["r100"] == 1100
        assert shown["device"].t_utc_ns == stored[newest].t_utc_ns


async def test_a_page_looks_a_rare_reading_up_once_and_follows_the_rows(tmp_path: Path) -> None:
    """A reading that came between two looks is found; one of another era is not taken over."""
    bodies = [
        _body(0, {"a": 1.0, "b": 5.0}),
        *(_body(n, {"a": 1.0}) for n in range(1, 4)),
        _body(4, {"a": 1.0, "b": 6.0}),
        _body(5, {"a": 1.0}),
    ]
    site = site_of([_config_row()])
    rare = RareReadings()
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=tmp_path / "store.sqlite")) as store:
        seen = []
        for seqs in (range(3), range(3, 6)):
            await store.write(ORIGIN, [record("data", bodies[seq], seq) for seq in seqs])
            latest = await store.latest(ORIGIN)
            shown, earlier = await rare.complete(store, ORIGIN, latest, site)
            seen.append((shown["dut"].n, shown["dut"].values["b"], earlier["dut"]["b"]))
        assert seen == [(2, 5.0, _time(0)), (5, 6.0, _time(4))]
        other = {"dut": replace((await store.latest(ORIGIN))["dut"], era="00000000-9", n=6)}
        shown, earlier = await RareReadings().complete(store, ORIGIN, other, site)
        assert "b" not in shown["dut"].values
        assert earlier == {"dut": {}}


def _time(n: int) -> int:
    return T0_NS + n * S_NS


def _body(n: int, values: dict[str, float]) -> Body:
    columns: dict[tuple[str, str], Column] = {(name, "f8"): [value] for name, value in values.items()}
    return encode_frame(frame("dut", columns, n_first=n, t_ns=[_time(n)]))


def _config_row() -> LedgerRow:
    body = {"site": {"instruments": [{
        "id": "dut", "poll_interval_s": 1.0,
        "channels": [{"name": "a"}, {"name": "b", "poll_interval_s": 4.0}],
    }]}}  # fmt: skip
    return LedgerRow("config", "", bytes(16), "", 0, T0_NS, "live", body)
