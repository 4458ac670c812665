"""The InfluxDB store against Debian's real server, and, for generations 2 and 3, against a scripted one."""

import resource
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.model import CredentialRef
from pipeline.records import Flag, Record
from pipeline.records.ranges import RangeSet
from pipeline.store import InfluxStoreSettings, StoreMisconfigured, StoreUnavailable, open_store
from tests.support.services import InfluxDatabase, InfluxdFactory
from tests.support.stored import JOURNAL, ORIGIN, S_NS, T0_NS, data, frame, parse_line

ALL_NS = (0, 2**62)


def settings_of(server: InfluxDatabase) -> InfluxStoreSettings:
    return InfluxStoreSettings(kind="influxdb", url=server.url, database=server.database)


def send(server: InfluxDatabase, path: str, **request: Any) -> None:
    """Talk to the server past our code."""
    httpx.post(f"{server.url}{path}", trust_env=False, **request).raise_for_status()


def five_thousand_lines() -> list[Record]:
    """Five records of 1,000 rows; one row alone has a value in channel `bad`."""
    records = []
    for seq in range(5):
        status = {("bad", row): 1 for row in range(1000) if (seq, row) != (3, 512)}
        content = frame(
            "ph",
            {("ph", "f8"): [7.0 + row / 1000 for row in range(1000)], ("bad", "f8"): [1.5] * 1000},
            n_first=seq * 1000,
            t_ns=[T0_NS + (seq * 1000 + row) * S_NS for row in range(1000)],
            status=status,
            flag=dict.fromkeys(status, Flag.MISSING),
        )
        records.append(data(content, seq))
    return records


async def test_one_line_of_a_wrong_type_among_five_thousand_is_the_only_dead_letter(
    influxdb: InfluxDatabase,
) -> None:
    send(influxdb, "/write", params={"db": influxdb.database}, content=f"reading,x=y bad=1i {T0_NS}")
    records = five_thousand_lines()
    async with open_store(settings_of(influxdb)) as store:
        report = await store.write(ORIGIN, records)
        (letter,) = report.dead
        assert (letter.journal, letter.seq) == (JOURNAL, 3)
        assert "field type conflict" in letter.reason
        _, _, fields, t_ns = parse_line(letter.line)
        assert (fields["n"], fields["bad"], t_ns) == (3512, 1.5, T0_NS + 3512 * S_NS)
        assert report.stored == {JOURNAL: RangeSet([(0, 2), (4, 4)])}
        stored = {row.n for row in await store.rows(ORIGIN, "ph", n_from=0, n_to=5000)}
        assert set(range(5000)) - stored <= {3512}
        again = await store.write(ORIGIN, records)
        assert [each.line for each in again.dead] == [letter.line]


async def test_the_database_is_made_when_it_is_missing(influxdb: InfluxDatabase) -> None:
    settings = InfluxStoreSettings(kind="influxdb", url=influxdb.url, database=f"{influxdb.database}_new")
    async with open_store(settings) as store:
        assert await store.sites() == []
        await store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0]}), 0)])
        assert await store.sites() == [ORIGIN]
    send(influxdb, "/query", data={"q": f'DROP DATABASE "{settings.database}"'})


async def test_what_was_reported_as_stored_survives_sigkill_of_the_server(
    influxd_factory: InfluxdFactory,
) -> None:
    server = influxd_factory()
    settings = InfluxStoreSettings(kind="influxdb", url=server.url, database="yaosu")
    async with open_store(settings) as store:
        first = data(frame("ph", {("ph", "f8"): [7.0]}), 0)
        second = data(frame("ph", {("ph", "f8"): [7.1]}, n_first=1, t_ns=[T0_NS + S_NS]), 1)
        await store.write(ORIGIN, [first])
        server.kill()
        with pytest.raises(StoreUnavailable) as raised:
            await store.write(ORIGIN, [second])
        assert raised.value.retry_after_s == settings.retry_after_s
        assert not (await store.health()).ok
        server.start()
        await store.write(ORIGIN, [second])
        assert [row.values for row in await store.rows(ORIGIN, "ph", n_from=0, n_to=9)] == [
            {"ph": 7.0},
            {"ph": 7.1},
        ]
        assert (await store.health()).detail.startswith("InfluxDB 1.6.7")
    server.stop()


async def test_a_server_that_never_answers_is_away_after_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for generation in ("1", "2"):
            settings = InfluxStoreSettings(
                kind="influxdb",
                generation=generation,
                url=f"http://127.0.0.1:{silent.getsockname()[1]}",
                timeout_s=0.2,
            )
            async with open_store(settings) as store:
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    await store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0]}), 0)])


async def test_a_server_whose_disk_is_full_takes_nothing_and_what_waited_is_stored_once_when_it_has_room(
    influxd_factory: InfluxdFactory,
) -> None:
    server = influxd_factory()
    records = five_thousand_lines()
    async with open_store(InfluxStoreSettings(kind="influxdb", url=server.url, database="yaosu")) as store:
        await store.write(ORIGIN, records[:1])
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="takes no line at all"):
                await store.write(ORIGIN, records)
        server.kill()
        server.start()  # with room: 1.6.7 does not go on by itself
        report = await store.write(ORIGIN, records)
        assert (report.dead, report.stored) == ([], {JOURNAL: RangeSet([(0, 4)])})
        counts = (await store.counts(ORIGIN, *ALL_NS))["ph"]
        assert (counts.rows, counts.duplicates) == (5000, 0)
    server.stop()


async def test_lines_older_than_the_server_keeps_are_dead_letters_and_younger_ones_beside_them_are_stored(
    influxdb: InfluxDatabase,
) -> None:
    send(influxdb, "/query", data={"q": (
        f'CREATE RETENTION POLICY short ON "{influxdb.database}" DURATION 1h REPLICATION 1 DEFAULT'
    )})  # fmt: skip
    now_ns = time.time_ns()
    times = [now_ns - 400 * 86_400 * S_NS, now_ns, now_ns - 300 * 86_400 * S_NS, now_ns + S_NS]
    records = [
        data(frame("ph", {("ph", "f8"): [7.0]}, n_first=seq, t_ns=[t_ns]), seq)
        for seq, t_ns in enumerate(times)
    ]
    async with open_store(settings_of(influxdb)) as store:
        report = await store.write(ORIGIN, records)
    assert [letter.seq for letter in report.dead] == [0, 2]
    assert all("beyond retention policy" in letter.reason for letter in report.dead)
    assert report.stored == {JOURNAL: RangeSet([(1, 1), (3, 3)])}


async def test_a_server_that_asks_for_a_password_is_told_to_a_person_until_it_is_the_right_one(
    influxd_factory: InfluxdFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    server = influxd_factory()
    server.execute("CREATE USER lab WITH PASSWORD 'right' WITH ALL PRIVILEGES")
    server.stop()
    text = server.configuration.read_text(encoding="utf-8")
    asking = text.replace("[http]\n", "[http]\n  auth-enabled = true\n")
    server.configuration.write_text(asking, encoding="utf-8")
    server.start()
    secret = tmp_path / "influx-password"
    settings = InfluxStoreSettings(kind="influxdb", url=server.url, database="yaosu")
    named = {"username": "lab", "password": CredentialRef(credential=secret.name)}
    record = data(frame("ph", {("ph", "f8"): [7.0]}), 0)
    for password, changed in (("wrong", named), ("", {}), ("right", named)):
        secret.write_text(password)
        secret.chmod(0o600)
        async with open_store(settings.model_copy(update=changed), credentials=tmp_path) as store:
            if password == "right":
                assert (await store.write(ORIGIN, [record])).stored == {JOURNAL: RangeSet([(0, 0)])}
            else:
                with pytest.raises(StoreMisconfigured, match=r"401.*credential of the store"):
                    await store.write(ORIGIN, [record])
    server.stop()


async def test_a_database_that_is_dropped_under_way_is_made_again_and_takes_what_comes(
    influxdb: InfluxDatabase,
) -> None:
    records = five_thousand_lines()
    async with open_store(settings_of(influxdb)) as store:
        await store.write(ORIGIN, records[:2])
        send(influxdb, "/query", data={"q": f'DROP DATABASE "{influxdb.database}"'})
        assert await store.sites() == []
        assert (await store.write(ORIGIN, records[2:])).dead == []
        assert (await store.counts(ORIGIN, *ALL_NS))["ph"].rows == 3000
