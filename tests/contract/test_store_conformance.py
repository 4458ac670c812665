"""One suite for all stores: the same records in, the same answers out, to the bit."""

import math
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from pipeline.records import Flag
from pipeline.records.events import event_body
from pipeline.records.ranges import RangeSet
from pipeline.store import EmbeddedStoreSettings, InfluxStoreSettings, Origin, Store, open_store
from tests.support.scripted_influx import influx_3
from tests.support.services import InfluxDatabase
from tests.support.stored import JOURNAL, ORIGIN, S_NS, T0_NS, data, frame, ledger_records, record, verdicts

ALL_NS = (0, 2**62)
OTHER_JOURNAL = bytes(range(100, 116))


@pytest.fixture(params=["embedded", "influxdb", "influxdb 3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    settings: EmbeddedStoreSettings | InfluxStoreSettings
    with ExitStack() as servers:
        if request.param == "embedded":
            settings = EmbeddedStoreSettings(kind="embedded", path=tmp_path / "store" / "yaosu.db")
        else:
            server: InfluxDatabase = request.getfixturevalue("influxdb")
            settings = InfluxStoreSettings(kind="influxdb", url=server.url, database=server.database)
            if request.param == "influxdb 3":
                front = servers.enter_context(influx_3(server))
                settings = settings.model_copy(update={"generation": "3", "url": front.url})
        async with open_store(settings) as opened:
            yield opened


def bits(value: object) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else value


async def test_an_empty_store_answers_every_query(store: Store) -> None:
    assert await store.sites() == []
    assert await store.instruments(ORIGIN) == []
    assert await store.latest(ORIGIN) == {}
    assert len((await store.window(ORIGIN, "ph", "ph", *ALL_NS, 100)).value) == 0
    assert await store.rows(ORIGIN, "ph", n_from=0, n_to=10) == []
    assert await store.counts(ORIGIN, *ALL_NS) == {}
    assert await store.ledger(ORIGIN, "event") == []
    assert await store.ledger(ORIGIN, "event", seq_from=0) == []
    assert await store.ledger_count(ORIGIN, "event") == 0
    assert (await store.health()).ok


NASTY_FLOATS = [
    -0.0,
    0.0,
    1e300,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    0.1 + 0.2,
    -1e-7,
    1e21,
    123456789012345680000.0,
    5.0,
    math.pi,
    math.nan,
    math.inf,
    -math.inf,
]
NASTY_INTEGERS = [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 7, 8, 9, 10, 11, 12, 13, 14, 15]
NASTY_NATURALS = [0, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
NASTY_TEXTS = [
    "",
    "100.00 g",
    'say "hi"',
    "back\\slash",
    "end\\",
    "a,b=c d",
    "两行\n文字",
    "[-0,-0]",
    "\\n",
    "null",
    None,
    "i",
    "1i",
    "9" * 30,
    "t\t'x'",
]
NASTY = {
    ("f", "f8"): NASTY_FLOATS,
    ("i", "i8"): NASTY_INTEGERS,
    ("u", "u8"): NASTY_NATURALS,
    ("s", "text"): NASTY_TEXTS,
}


async def test_values_come_back_bit_for_bit(store: Store) -> None:
    content = frame(
        "nasty",
        NASTY,  # type: ignore[arg-type]
        n_first=40,
        status={("f", 12): 1, ("s", 10): 4, ("i", 14): 2},
        flag={("f", 12): Flag.MISSING, ("f", 13): Flag.FAIL, ("s", 10): Flag.MISSING},
        reason={("f", 13): 2**62 | 1},
        service="calibration",
        corrected={"f": [0.25] * 14 + [math.nan]},
    )
    report = await store.write(ORIGIN, [data(content, 7)])
    assert report.dead == []
    assert report.stored == {JOURNAL: RangeSet([(7, 7)])}
    rows = await store.rows(ORIGIN, "nasty", n_from=40, n_to=55)
    assert [row.n for row in rows] == list(range(40, 55))
    for index, row in enumerate(rows):
        expected = {
            "f": NASTY_FLOATS[index] if math.isfinite(NASTY_FLOATS[index]) else None,
            "i": None if index == 14 else NASTY_INTEGERS[index],
            "u": NASTY_NATURALS[index],
            "s": NASTY_TEXTS[index],
        }
        assert {name: bits(value) for name, value in row.values.items()} == {
            name: bits(value) for name, value in expected.items()
        }
        assert (row.seq, row.source, row.era, row.service) == (7, "live", "00010203-0", "calibration")
        assert row.t_utc_ns == T0_NS + index * S_NS
        assert row.corrected == ({"f": 0.25} if index < 14 else {})
    assert rows[12].flags == {"f": 9, "i": 1, "u": 1, "s": 1}
    assert rows[13].reasons == {"f": 2**62 | 1, "i": 0, "u": 0, "s": 0}
    assert (rows[10].flags["s"], rows[14].values["i"], rows[14].flags["i"]) == (9, None, 1)


async def test_numbers_of_every_kind_are_drawn_as_floats(store: Store) -> None:
    await store.write(ORIGIN, [data(frame("nasty", NASTY), 1)])  # type: ignore[arg-type]
    floats = await store.window(ORIGIN, "nasty", "f", *ALL_NS, 100)
    finite = [value if math.isfinite(value) else math.nan for value in NASTY_FLOATS]
    assert floats.value.tobytes() == np.array(finite).tobytes()
    integers = await store.window(ORIGIN, "nasty", "i", *ALL_NS, 100)
    assert integers.value.tolist() == [float(value) for value in NASTY_INTEGERS]
    naturals = await store.window(ORIGIN, "nasty", "u", *ALL_NS, 100)
    assert naturals.value.tolist() == [float(value) for value in NASTY_NATURALS]
    texts = await store.window(ORIGIN, "nasty", "s", *ALL_NS, 100)
    assert np.isnan(texts.value).all()
    assert len(texts.value) == 15
    arrays = (texts.t_utc_ns, texts.value, texts.flag, texts.reason)
    assert [array.dtype.str for array in arrays] == ["<i8", "<f8", "|u1", "<i8"]


async def test_a_channel_may_have_the_name_of_a_field_of_ours(store: Store) -> None:
    columns = {
        (name, "f8"): [float(index)]
        for index, name in enumerate(["n", "seq", "time", "era", "service", "channels"])
    }
    await store.write(ORIGIN, [data(frame("odd", columns, n_first=3), 1)])  # type: ignore[arg-type]
    (row,) = await store.rows(ORIGIN, "odd", n_from=3, n_to=4)
    assert row.values == {"n": 0.0, "seq": 1.0, "time": 2.0, "era": 3.0, "service": 4.0, "channels": 5.0}
    assert (row.n, row.seq, row.service) == (3, 1, "in-use")
    assert (await store.window(ORIGIN, "odd", "time", *ALL_NS, 10)).value.tolist() == [2.0]


async def test_a_record_sent_again_changes_nothing(store: Store) -> None:
    records = [
        data(frame("ph", {("ph", "f8"): [7.0, 7.1]}), 0),
        verdicts("ph", "spike", [(1, "ph", Flag.FAIL, T0_NS + S_NS)], 1),
        record("event", event_body("daemon-stop"), 2),
    ]
    reports = [await store.write(ORIGIN, records) for _ in range(3)]
    assert all(report.stored == {JOURNAL: RangeSet([(0, 2)])} for report in reports)
    counts = (await store.counts(ORIGIN, *ALL_NS))["ph"]
    assert (counts.rows, counts.readings, counts.duplicates) == (2, 2, 0)
    assert counts.flags == {1: 1, 4: 1}
    assert counts.rules == {"spike": 1}
    assert await store.ledger_count(ORIGIN, "event") == 1


async def test_a_thousand_rows_of_one_instant_are_a_thousand_rows(store: Store) -> None:
    content = frame(
        "burst",
        {("p", "f8"): [float(row) for row in range(1000)]},
        t_ns=[T0_NS] * 1000,
        store_off_ns=list(range(1000)),
    )
    await store.write(ORIGIN, [data(content, 0)])
    assert (await store.counts(ORIGIN, *ALL_NS))["burst"].rows == 1000
    rows = await store.rows(ORIGIN, "burst", n_from=0, n_to=1000)
    assert [row.values["p"] for row in rows] == list(range(1000))
    assert [row.t_utc_ns - T0_NS for row in rows] == list(range(1000))


FRAME = frame(
    "ph",
    {("ph", "f8"): [7.0, 7.1, 99.0, 7.2], ("t", "f8"): [20.0] * 4},
    flag={("ph", 2): Flag.SUSPECT, ("ph", 0): Flag.MISSING},
    reason={("ph", 2): 0b100, ("ph", 0): 0b1},
    status={("ph", 0): 1},
)
JUDGED = [
    verdicts(
        "ph", "spike", [(2, "ph", Flag.FAIL, T0_NS + 2 * S_NS), (0, "ph", Flag.NOT_EVALUATED, T0_NS)], 2
    ),
    verdicts("ph", "level-shift", [(2, "ph", Flag.SUSPECT, T0_NS + 2 * S_NS)], 3),
    # Recorded after a clock step: another epoch than the row's.
    verdicts("ph", "spike", [(1, "t", Flag.SUSPECT, T0_NS + S_NS)], 4, epoch=1),
]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2)], ids=str)
async def test_later_verdicts_fold_into_the_flags_in_any_order_of_arrival(
    store: Store, order: tuple[int, ...]
) -> None:
    records = [data(FRAME, 1), *JUDGED]
    for index in order:
        await store.write(ORIGIN, [records[index]])
    rows = await store.rows(ORIGIN, "ph", n_from=0, n_to=4)
    assert [row.flags["ph"] for row in rows] == [9, 1, 4, 1]
    assert [row.flags["t"] for row in rows] == [1, 3, 1, 1]
    assert [row.seq for row in rows] == [1] * 4
    series = await store.window(ORIGIN, "ph", "ph", *ALL_NS, 100)
    assert series.flag.tolist() == [9, 1, 4, 1]
    assert series.reason.tolist() == [1, 0, 4, 0]
    counts = (await store.counts(ORIGIN, *ALL_NS))["ph"]
    assert (counts.rows, counts.readings, counts.ordinals) == (4, 8, {"00010203-0": 4})
    assert counts.flags == {1: 5, 3: 1, 4: 1, 9: 1}
    assert counts.reasons == {0: 1, 2: 1}
    assert counts.rules == {"level-shift": 1, "spike": 3}
    assert (await store.latest(ORIGIN))["ph"].n == 3


async def test_verdicts_about_rows_that_never_came_are_no_rows(store: Store) -> None:
    await store.write(ORIGIN, JUDGED)
    assert await store.instruments(ORIGIN) == ["ph"]
    assert await store.rows(ORIGIN, "ph", n_from=0, n_to=4) == []
    assert await store.counts(ORIGIN, *ALL_NS) == {}
    assert await store.latest(ORIGIN) == {}
    assert len((await store.window(ORIGIN, "ph", "ph", *ALL_NS, 100)).flag) == 0


async def test_a_row_stored_twice_is_counted_as_a_duplicate(store: Store) -> None:
    twice = frame("ph", {("ph", "f8"): [7.0, 7.1]}, t_ns=[T0_NS + 10 * S_NS, T0_NS + 11 * S_NS], n_first=2)
    await store.write(ORIGIN, [data(FRAME, 1), data(twice, 2)])
    counts = (await store.counts(ORIGIN, *ALL_NS))["ph"]
    assert (counts.rows, counts.ordinals, counts.duplicates) == (6, {"00010203-0": 4}, 2)


async def test_spans_include_their_first_and_exclude_their_last_instant(store: Store) -> None:
    await store.write(ORIGIN, [data(FRAME, 1)])
    span = (T0_NS + S_NS, T0_NS + 3 * S_NS)
    series = await store.window(ORIGIN, "ph", "ph", *span, 100)
    assert series.value.tolist() == [7.1, 99.0]
    counts = (await store.counts(ORIGIN, *span))["ph"]
    assert (counts.rows, counts.readings, counts.flags) == (2, 4, {1: 3, 3: 1})
    assert [row.n for row in await store.rows(ORIGIN, "ph", n_from=1, n_to=3)] == [1, 2]


async def test_down_sampling_keeps_extremes_and_every_row_that_did_not_pass(store: Store) -> None:
    generator = np.random.default_rng(20250601)
    values = generator.normal(20.0, 0.1, 3000)
    values[1234], values[777] = 25.0, 15.0
    flagged = sorted(generator.choice(3000, 40, replace=False).tolist())
    records = [
        data(
            frame(
                "room",
                {("t", "f8"): values[start : start + 500].tolist()},
                n_first=start,
                t_ns=[T0_NS + row * S_NS for row in range(start, start + 500)],
                flag={("t", row - start): Flag.FAIL for row in flagged[:30] if start <= row < start + 500}
                | {("t", row - start): Flag.MISSING for row in flagged[:5] if start <= row < start + 500},
                status={("t", row - start): 1 for row in flagged[:5] if start <= row < start + 500},
            ),
            start,
        )
        for start in range(0, 3000, 500)
    ]
    records.append(
        verdicts("room", "spike", [(n, "t", Flag.SUSPECT, T0_NS + n * S_NS) for n in flagged[30:]], 9000)
    )
    await store.write(ORIGIN, records)
    series = await store.window(ORIGIN, "room", "t", *ALL_NS, 200)
    rows = ((series.t_utc_ns - T0_NS) // S_NS).tolist()
    assert series.decimated
    assert len(rows) <= 240
    assert rows == sorted(set(rows))
    assert {0, 777, 1234, 2999, *flagged} <= set(rows)
    assert np.isnan(series.value[[rows.index(row) for row in flagged[:5]]]).all()
    assert all(series.flag[rows.index(row)] != Flag.PASS for row in flagged)
    whole = await store.window(ORIGIN, "room", "t", *ALL_NS, 3000)
    assert not whole.decimated
    assert len(whole.value) == 3000


async def test_the_latest_row_is_the_last_of_the_journal_even_after_the_clock_stepped_back(
    store: Store,
) -> None:
    config = {
        "site": {"instruments": [{"id": "ph", "channels": [{"name": "ph", "unit": "pH"}, {"name": "t"}]}]}
    }
    stepped = frame(
        "ph",
        {("ph", "f8"): [5.0], ("t", "f8"): [math.nan]},
        n_first=4,
        t_ns=[T0_NS - 3600 * S_NS],
        status={("t", 0): 1},
        flag={("t", 0): Flag.MISSING},
        reason={("t", 0): 1},
    )
    await store.write(ORIGIN, [record("config", config, 0), data(FRAME, 1), data(stepped, 5, epoch=1)])
    await store.write(ORIGIN, [data(frame("scale", {("m", "f8"): [1.5]}), 6, source="simulated")])
    latest = await store.latest(ORIGIN)
    assert sorted(latest) == await store.instruments(ORIGIN) == ["ph", "scale"]
    row = latest["ph"]
    assert (row.n, row.era, row.seq, row.t_utc_ns) == (4, "00010203-1", 5, T0_NS - 3600 * S_NS)
    assert (row.values, row.flags, row.reasons) == (
        {"ph": 5.0, "t": None},
        {"ph": 1, "t": 9},
        {"ph": 0, "t": 1},
    )
    assert row.units == {"ph": "pH", "t": ""}
    assert (latest["scale"].source, latest["scale"].units) == ("simulated", {})


async def test_across_journals_the_later_time_is_the_latest(store: Store) -> None:
    old = frame("ph", {("ph", "f8"): [1.0]}, n_first=5000, t_ns=[T0_NS])
    new = frame("ph", {("ph", "f8"): [2.0]}, n_first=0, t_ns=[T0_NS + S_NS])
    await store.write(ORIGIN, [data(new, 0, journal=OTHER_JOURNAL), data(old, 900)])
    assert (await store.latest(ORIGIN))["ph"].values == {"ph": 2.0}
    report = await store.write(ORIGIN, [data(new, 0, journal=OTHER_JOURNAL), data(old, 900)])
    assert report.stored == {JOURNAL: RangeSet([(900, 900)]), OTHER_JOURNAL: RangeSet([(0, 0)])}
    only_old = await store.rows(ORIGIN, "ph", n_from=0, n_to=10_000, era="00010203-0")
    assert [row.n for row in only_old] == [5000]


async def test_the_ledger_keeps_every_record_of_one_instant_in_order(store: Store) -> None:
    records = ledger_records()
    for _ in range(2):
        report = await store.write(ORIGIN, records)
        assert report.stored == {JOURNAL: RangeSet([(10, 49)])}
    newest = await store.ledger(ORIGIN, "event")
    assert [row.seq for row in newest] == [40, *range(39, 9, -1), 41]
    assert newest == (await store.ledger(ORIGIN, "event", newest_first=False))[::-1]
    assert [row.seq for row in await store.ledger(ORIGIN, "event", limit=3)] == [40, 39, 38]
    assert [row.seq for row in await store.ledger(ORIGIN, "event", limit=2, newest_first=False)] == [41, 10]
    assert newest[1].body == records[29].body
    assert {row.t_utc_ns for row in newest[1:-1]} == {T0_NS + 7}
    assert (newest[0].key, newest[-1].key, newest[0].journal, newest[0].era) == (
        "scale",
        "",
        JOURNAL,
        "00010203-0",
    )
    assert await store.ledger_count(ORIGIN, "event") == 32


async def test_the_ledger_is_searched_by_key_and_read_on_by_seq(store: Store) -> None:
    await store.write(ORIGIN, ledger_records())
    assert await store.ledger_count(ORIGIN, "event", key="ph") == 30
    assert [row.seq for row in await store.ledger(ORIGIN, "event", key="scale")] == [40]
    assert [row.seq for row in await store.ledger(ORIGIN, "event", key="")] == [41]
    (task,) = await store.ledger(ORIGIN, "task", key="T-1")
    assert repr(task.body["weights"]) == repr([0.1, 2**64 - 1, -0.0, None])
    assert await store.ledger(ORIGIN, "task", key="T-1' OR 1=1") == []
    (equipment,) = await store.ledger(ORIGIN, "registry", key="equipment/E-1")
    assert equipment.body["data"] == {"serial": "00ff"}
    (checkpoint,) = await store.ledger(ORIGIN, "checkpoint")
    assert (checkpoint.era, checkpoint.body["root"]) == ("00010203-2", "00" * 32)
    onward = await store.ledger(ORIGIN, "event", seq_from=38, limit=3, newest_first=False)
    assert [row.seq for row in onward] == [38, 39, 40]
    assert [row.seq for row in await store.ledger(ORIGIN, "event", seq_from=12, limit=2)] == [41, 40]
    with pytest.raises(ValueError, match="do not show records of kind 'tick'"):
        await store.ledger(ORIGIN, "tick")


async def test_origins_do_not_see_one_another(store: Store) -> None:
    others = [Origin("food-lab", "gw-2"), Origin("a, =b\"'", "gw 中")]
    await store.write(ORIGIN, [data(FRAME, 1)])
    await store.write(others[0], [record("event", event_body("daemon-stop"), 2)])
    await store.write(others[1], [data(frame("ph", {("x", "i8"): [1]}), 1, journal=OTHER_JOURNAL)])
    assert await store.sites() == sorted([ORIGIN, *others])
    assert (await store.latest(others[1]))["ph"].values == {"x": 1}
    assert await store.instruments(others[0]) == []
    assert await store.ledger_count(ORIGIN, "event") == 0
    assert list(await store.counts(others[1], *ALL_NS)) == ["ph"]


async def test_what_no_store_can_name_becomes_a_dead_letter_and_the_rest_is_stored(store: Store) -> None:
    bad = [
        data(frame("ph", {("no name", "f8"): [1.0]}), 1),
        data(frame("back\\slash", {("x", "f8"): [1.0]}), 2),
        verdicts("ph", "no rule", [(0, "ph", Flag.FAIL, T0_NS)], 3),
        record("data", {"instrument": "ph"}, 4),
        record("data", {"channels": 7}, 5),
    ]
    report = await store.write(ORIGIN, [data(FRAME, 0), *bad, data(frame("scale", {("m", "f8"): [1.0]}), 6)])
    assert report.stored == {JOURNAL: RangeSet([(0, 0), (6, 6)])}
    assert [letter.seq for letter in report.dead] == [1, 2, 3, 4, 5]
    assert [letter.line for letter in report.dead] == [each.data.hex() for each in bad]
    assert all(letter.reason for letter in report.dead)
    assert await store.instruments(ORIGIN) == ["ph", "scale"]
