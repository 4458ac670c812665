"""What InfluxDB 3 needs beyond the suite for all stores: tables of limited width, and rows in parts."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.records import Flag, Record
from pipeline.records.ranges import RangeSet
from pipeline.store import InfluxStoreSettings, Store, open_store
from pipeline.store.influx.profiles import FLAGS, has_rows
from tests.support.scripted_influx import COLUMNS_MAX, Influx3Server, influx_3
from tests.support.services import InfluxDatabase
from tests.support.stored import JOURNAL, ORIGIN, S_NS, T0_NS, Column, data, frame, verdicts

ALL_NS = (0, 2**62)
KINDS = ("f8", "i8", "u8", "text", "f8")
ROWS = 6
SEED = 20261123


@pytest.fixture
def server(influxdb: InfluxDatabase) -> Iterator[Influx3Server]:
    with influx_3(influxdb) as front:
        yield front


def opened(server: Influx3Server, generation: Any = "3") -> Any:
    return open_store(
        InfluxStoreSettings(
            kind="influxdb", generation=generation, url=server.url, database=server.behind.database
        )
    )


def some_values(kind: str, random_: random.Random) -> Column:
    if kind == "f8":
        return [random_.gauss(0, 1e3) for _ in range(ROWS)]
    if kind == "i8":
        return [random_.randrange(-(2**63), 2**63) for _ in range(ROWS)]
    if kind == "u8":
        return [
            random_.choice([random_.randrange(2**63), random_.randrange(2**63, 2**64)]) for _ in range(ROWS)
        ]
    return [random_.choice(["", "100.00 g", '"q" \\ 值\nx', None]) for _ in range(ROWS)]


def wide(channels: int, random_: random.Random) -> dict[tuple[str, str], Column]:
    return {
        (f"c{index}_{KINDS[index % 5]}", KINDS[index % 5]): some_values(KINDS[index % 5], random_)
        for index in range(channels)
    }


def wide_record(instrument: str, columns: dict[tuple[str, str], Column], n_first: int, seq: int) -> Record:
    """Make a frame in which every seventh channel has a flag, a reason, a correction, a missing value."""
    marked = [name for name, _ in columns][::7]
    content = frame(
        instrument, columns, n_first=n_first, t_ns=[T0_NS + (n_first + row) * S_NS for row in range(ROWS)],
        status={(name, 4): 1 for name in marked},
        flag={(name, 1): Flag.FAIL for name in marked} | {(name, 4): Flag.MISSING for name in marked},
        reason={(name, 1): 1 << (index % 63) for index, name in enumerate(marked)},
        corrected={name: [0.5 + index] * (ROWS - 1) + [np.nan] for index, name in enumerate(marked)},
    )  # fmt: skip
    return data(content, seq)


def expected(columns: dict[tuple[str, str], Column], row: int) -> dict[str, str]:
    marked = {name for name, _ in list(columns)[::7]}
    return {
        name: repr(None if row == 4 and name in marked else values[row])
        for (name, _), values in columns.items()
    }


async def check_rows(store: Store, columns: dict[tuple[str, str], Column], n_first: int, seq: int) -> None:
    rows = await store.rows(ORIGIN, "plc", n_from=n_first, n_to=n_first + ROWS)
    assert [(row.n, row.seq) for row in rows] == [(n_first + row, seq) for row in range(ROWS)]
    marked = [name for name, _ in columns][::7]
    for index, row in enumerate(rows):
        assert {name: repr(value) for name, value in row.values.items()} == expected(columns, index)
        own = {1: Flag.FAIL, 4: Flag.MISSING}.get(index, Flag.PASS)
        said = {**dict.fromkeys(row.values, 1), **dict.fromkeys(marked, own)}
        if index == 2:
            said |= {"c3_text": 3, "c249_f8": 4}
        assert row.flags == said
        assert row.reasons == dict.fromkeys(row.values, 0) | {
            name: (1 << number % 63 if index == 1 else 0) for number, name in enumerate(marked)
        }
        assert row.corrected == (
            {name: 0.5 + number for number, name in enumerate(marked)} if index < ROWS - 1 else {}
        )


@pytest.fixture(scope="module")
def frames() -> list[dict[tuple[str, str], Column]]:
    random_ = random.Random(SEED)
    return [wide(250, random_) for _ in range(3)]


def of_250_channels(frames: list[dict[tuple[str, str], Column]]) -> list[list[Record]]:
    """Make batches in which verdicts come before their rows and between them, and all rows come twice."""
    records = [
        wide_record("plc", columns, 500 + number * ROWS, 200 + number)
        for number, columns in enumerate(frames)
    ]
    said = [("spike", "c249_f8", Flag.FAIL), ("level-shift", "c3_text", Flag.SUSPECT)]
    judged = [
        verdicts("plc", rule, [(n, channel, flag, T0_NS + n * S_NS)], 300 + 100 * number + n)
        for number, (rule, channel, flag) in enumerate(said)
        for n in (502, 508, 514)
    ]
    return [judged[:1], records[:1], judged, records[1:], records]


async def test_an_instrument_of_250_channels_is_split_among_tables_and_reads_back_bit_for_bit(
    server: Influx3Server, frames: list[dict[tuple[str, str], Column]]
) -> None:
    async with opened(server) as store:
        for batch in of_250_channels(frames):
            assert (await store.write(ORIGIN, batch)).dead == []
        for number, columns in enumerate(frames):
            await check_rows(store, columns, 500 + number * ROWS, 200 + number)
        latest = (await store.latest(ORIGIN))["plc"]
        assert (latest.n, len(latest.values)) == (500 + 3 * ROWS - 1, 250)
        series = await store.window(ORIGIN, "plc", "c249_f8", *ALL_NS, 100)
    assert series.value.tolist() == [value for columns in frames for value in columns["c249_f8", "f8"]]
    assert series.flag.tolist() == [1, 1, 4, 1, 1, 1] * 3
    tables = {name: columns for name, columns in server.tables.items() if has_rows(name)}
    assert len(tables) == 3
    assert max(map(len, tables.values())) <= COLUMNS_MAX


async def test_an_instrument_of_250_channels_is_counted_as_one(
    server: Influx3Server, frames: list[dict[tuple[str, str], Column]]
) -> None:
    async with opened(server) as store:
        for batch in of_250_channels(frames):
            await store.write(ORIGIN, batch)
        assert await store.instruments(ORIGIN) == ["plc"]
        counts = (await store.counts(ORIGIN, *ALL_NS))["plc"]
        first = (await store.counts(ORIGIN, T0_NS + 500 * S_NS, T0_NS + 502 * S_NS))["plc"]
    marked = len(range(0, 250, 7))
    assert (counts.rows, counts.readings, counts.duplicates) == (18, 18 * 250, 0)
    assert counts.flags == {
        1: 18 * 250 - 6 * marked - 6, 3: 3, 4: 3 * marked + 3, 9: 3 * marked,
    }  # fmt: skip
    assert counts.rules == {"level-shift": 3, "spike": 3}
    assert sum(counts.reasons.values()) == 3 * marked
    assert (first.rows, first.readings, first.rules) == (2, 500, {})


async def test_the_latest_row_has_the_verdicts_about_itself_and_of_no_row_before_it(
    server: Influx3Server,
) -> None:
    stepped = data(frame("ph", {("ph", "f8"): [7.2]}, n_first=2, t_ns=[T0_NS - 9 * S_NS]), 2, epoch=1)
    # Of one record after a clock step: the newest row has the earliest time.
    said = [(1, "ph", Flag.FAIL, T0_NS + S_NS), (2, "ph", Flag.SUSPECT, T0_NS - 9 * S_NS)]
    judged = [
        verdicts("ph", "spike", said, 3, epoch=1),
        verdicts("ph", "level-shift", [(0, "ph", Flag.FAIL, T0_NS)], 4),
    ]
    async with opened(server) as store:
        await store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0, 7.1]}), 1), stepped, *judged])
        row = (await store.latest(ORIGIN))["ph"]
    assert (row.n, row.era, row.flags) == (2, "00010203-1", {"ph": 3})


async def test_two_instruments_with_the_same_channels_share_their_tables_and_see_only_their_own(
    server: Influx3Server,
) -> None:
    columns = wide(120, random.Random(SEED))
    async with opened(server) as store:
        await store.write(ORIGIN, [wide_record("plc", columns, 0, 1), wide_record("plc-2", columns, 700, 2)])
        assert len(list(filter(has_rows, server.tables))) == 2
        assert await store.instruments(ORIGIN) == ["plc", "plc-2"]
        assert [row.n for row in await store.rows(ORIGIN, "plc-2", n_from=0, n_to=9999)] == list(
            range(700, 706)
        )
        counts = await store.counts(ORIGIN, *ALL_NS)
        assert {name: each.rows for name, each in counts.items()} == {"plc": ROWS, "plc-2": ROWS}


async def test_a_configuration_with_a_channel_more_makes_another_table_and_one_series(
    server: Influx3Server,
) -> None:
    before = data(frame("ph", {("ph", "f8"): [7.0, 7.1]}), 0)
    times = [T0_NS + 2 * S_NS, T0_NS + 3 * S_NS]
    after = data(frame("ph", {("t", "f8"): [20.0, 21.0], ("ph", "f8"): [7.2, 7.3]}, n_first=2, t_ns=times), 1)
    judged = verdicts(
        "ph", "spike", [(1, "ph", Flag.FAIL, T0_NS + S_NS), (3, "t", Flag.SUSPECT, times[1])], 2
    )
    async with opened(server) as store:
        await store.write(ORIGIN, [after, judged, before])
        assert len(list(filter(has_rows, server.tables))) == 2
        series = await store.window(ORIGIN, "ph", "ph", *ALL_NS, 100)
        assert (series.value.tolist(), series.flag.tolist()) == ([7.0, 7.1, 7.2, 7.3], [1, 4, 1, 1])
        assert (await store.window(ORIGIN, "ph", "t", *ALL_NS, 100)).value.tolist() == [20.0, 21.0]
        latest = (await store.latest(ORIGIN))["ph"]
        assert (latest.values, latest.flags) == ({"ph": 7.3, "t": 21.0}, {"ph": 1, "t": 3})
        counts = (await store.counts(ORIGIN, *ALL_NS))["ph"]
        assert (counts.rows, counts.readings, counts.ordinals) == (4, 6, {"00010203-0": 4})


async def test_a_part_that_is_refused_is_a_dead_letter_and_nothing_is_doubled_when_the_record_comes_again(
    server: Influx3Server,
) -> None:
    columns: dict[tuple[str, str], Column] = {(f"c{index}", "f8"): [float(index)] for index in range(250)}
    record, other = data(frame("plc", columns, n_first=7), 3), data(frame("ph", {("ph", "f8"): [7.0]}), 4)
    async with opened(server) as store:
        server.bad = "c150="
        for _ in range(2):
            report = await store.write(ORIGIN, [record, other])
            (letter,) = report.dead
            assert (letter.journal, letter.seq, "c150=" in letter.line) == (JOURNAL, 3, True)
            assert report.stored == {JOURNAL: RangeSet([(4, 4)])}
        (row,) = await store.rows(ORIGIN, "plc", n_from=0, n_to=9)
        assert sorted(row.values) == sorted(f"c{index}" for index in range(250) if not 100 <= index < 200)
        counts = (await store.counts(ORIGIN, *ALL_NS))["plc"]
        assert (counts.rows, counts.readings, counts.flags) == (1, 150, {1: 150})
        server.bad = "\0"
        report = await store.write(ORIGIN, [record])
        assert report.stored == {JOURNAL: RangeSet([(3, 3)])}
        (row,) = await store.rows(ORIGIN, "plc", n_from=0, n_to=9)
        assert row.values == {f"c{index}": float(index) for index in range(250)}
        counts = (await store.counts(ORIGIN, *ALL_NS))["plc"]
        assert (counts.rows, counts.readings, counts.duplicates) == (1, 250, 0)


async def test_one_table_for_all_would_be_refused_by_the_same_server(server: Influx3Server) -> None:
    columns: dict[tuple[str, str], Column] = {(f"c{index}", "f8"): [1.0] for index in range(500)}
    async with opened(server, "2") as store:
        report = await store.write(ORIGIN, [data(frame("plc", columns), 0)])
    assert "would exceed number of columns per table limit of 500 columns" in report.dead[0].reason
    async with opened(server) as store:
        assert (await store.write(ORIGIN, [data(frame("plc", columns), 0)])).dead == []
        (row,) = await store.rows(ORIGIN, "plc", n_from=0, n_to=1)
    assert len(row.values) == 500


async def test_any_number_of_rules_and_channels_leaves_the_table_of_verdicts_as_narrow_as_it_was(
    server: Influx3Server,
) -> None:
    judged = [
        verdicts(
            "plc", f"rule-{rule}", [(0, f"c{channel}", Flag.SUSPECT, T0_NS) for channel in range(60)], rule
        )
        for rule in range(10)
    ]
    async with opened(server) as store:
        assert (await store.write(ORIGIN, judged)).dead == []
    assert len(server.tables[FLAGS]) == 10
