"""What the InfluxDB store makes of answers: of servers of generations 2 and 3, and of ill and broken ones."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from config.model import CredentialRef
from pipeline.records.ranges import RangeSet
from pipeline.store import InfluxStoreSettings, StoreMisconfigured, StoreUnavailable, open_store
from tests.support.scripted_influx import ScriptedServer, scripted_influx
from tests.support.stored import JOURNAL, ORIGIN, T0_NS, data, frame, parse_line

BROKEN_OFF = {
    "nothing": b"",
    "half a status": b"HTTP/1.1 20",
    "a refusal in mid-header": b"HTTP/1.1 400 Bad Request\r\nContent-Le",
    "a refusal in mid-body": b'HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n{"error":"par',
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a length that is none": b"HTTP/1.1 400 Bad Request\r\nContent-Length: many\r\n\r\n{",
    "a gzip body that is none": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    ),
}


@pytest.mark.parametrize("generation", ["1", "2"])
@pytest.mark.parametrize("answer", BROKEN_OFF.values(), ids=BROKEN_OFF)
async def test_a_server_that_breaks_off_its_answer_is_away_and_makes_no_dead_letters(
    answer: bytes, generation: str
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(break_off, "127.0.0.1", 0)
    settings = InfluxStoreSettings(
        kind="influxdb", generation=generation,  # type: ignore[arg-type]
        url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
    )  # fmt: skip
    async with server, open_store(settings) as store:
        with pytest.raises(StoreUnavailable):
            await store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0]}), 0)])
        assert not (await store.health()).ok
        with pytest.raises(StoreUnavailable):
            await store.sites()


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_a_store_that_is_closed_waits_for_no_server_that_says_nothing(generation: str) -> None:
    heard = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await reader.read(-1)  # till the store hangs up
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    settings = InfluxStoreSettings(
        kind="influxdb", generation=generation, timeout_s=300.0,  # type: ignore[arg-type]
        url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
    )  # fmt: skip
    async with server, asyncio.timeout(30), open_store(settings) as store:
        writing = asyncio.create_task(store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0]}), 0)]))
        await heard.wait()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with scripted_influx() as script:
        yield script


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    secret = tmp_path / "influx-token"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    return tmp_path


def settings_2(server: ScriptedServer, generation: str = "2") -> InfluxStoreSettings:
    return InfluxStoreSettings(
        kind="influxdb", generation=generation, url=server.url, database="readings", organisation="lab",  # type: ignore[arg-type]
        token=CredentialRef(credential="influx-token"),
    )  # fmt: skip


def settings_1(server: ScriptedServer) -> InfluxStoreSettings:
    return InfluxStoreSettings(kind="influxdb", url=server.url, database="readings")


RECORDS = [
    data(frame("ph", {("ph", "f8"): [7.0 + seq]}, n_first=seq, t_ns=[T0_NS + seq]), seq) for seq in range(8)
]


@pytest.mark.parametrize(
    ("generation", "compression", "encoding"),
    [("2", "gzip", "gzip"), ("3", "gzip", "gzip"), ("2", "auto", "identity"), ("2", "none", "identity")],
)
async def test_generations_2_and_3_are_written_with_token_and_bucket_compressed_unless_the_server_is_here(
    scripted: ScriptedServer, credentials: Path, generation: str, compression: str, encoding: str
) -> None:
    settings = settings_2(scripted, generation).model_copy(update={"compression": compression})
    async with open_store(settings, credentials=credentials) as store:
        report = await store.write(ORIGIN, RECORDS)
        await store.instruments(ORIGIN)
    assert report.stored == {JOURNAL: RangeSet([(0, 7)])}
    write, query = scripted.seen
    assert (write.path, query.path) == ("/api/v2/write", "/query")
    assert write.query == {"org": ["lab"], "bucket": ["readings"], "precision": ["ns"]}
    assert write.headers["Authorization"] == query.headers["Authorization"] == "Token s3cret"
    assert write.headers["Content-Encoding"] == encoding
    assert query.query["db"] == ["readings"]
    assert sorted(parse_line(line)[2]["ph"] for line in scripted.lines) == [7.0 + seq for seq in range(8)]


async def test_a_422_is_halved_down_to_the_bad_line(scripted: ScriptedServer, credentials: Path) -> None:
    scripted.bad = "n=5i"
    async with open_store(settings_2(scripted), credentials=credentials) as store:
        report = await store.write(ORIGIN, RECORDS)
    assert [(letter.seq, "field type conflict" in letter.reason) for letter in report.dead] == [(5, True)]
    assert report.stored == {JOURNAL: RangeSet([(0, 4), (6, 7)])}
    assert len(scripted.lines) == 7 + 1  # and the canary


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_the_time_to_come_again_may_be_a_date_and_its_header_in_small_letters(
    scripted: ScriptedServer, credentials: Path, generation: str
) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    scripted.script = [(429, {"retry-after": in_a_minute})]
    settings = settings_2(scripted) if generation == "2" else settings_1(scripted)
    async with open_store(settings, credentials=credentials) as store:
        with pytest.raises(StoreUnavailable) as raised:
            await store.write(ORIGIN, RECORDS)
    assert 30.0 < raised.value.retry_after_s <= 60.0


@pytest.mark.parametrize("generation", ["1", "2"])
@pytest.mark.parametrize("status", [400, 415])
async def test_a_server_that_does_not_take_gzip_is_told_to_a_person_and_makes_no_dead_letters(
    scripted: ScriptedServer, credentials: Path, generation: str, status: int
) -> None:
    scripted.gzip_refusal = status
    settings = settings_2(scripted) if generation == "2" else settings_1(scripted)
    zipped = settings.model_copy(update={"compression": "gzip"})
    async with open_store(zipped, credentials=credentials) as store:
        with pytest.raises(StoreMisconfigured, match=r"takes no line at all.*compression"):
            await store.write(ORIGIN, RECORDS)
    async with open_store(settings, credentials=credentials) as store:
        assert (await store.write(ORIGIN, RECORDS)).dead == []


@pytest.mark.parametrize("status", [429, 503])
async def test_an_overloaded_server_says_when_to_come_again(
    scripted: ScriptedServer, credentials: Path, status: int
) -> None:
    scripted.script = [(status, {"Retry-After": "17"})]
    async with open_store(settings_2(scripted), credentials=credentials) as store:
        with pytest.raises(StoreUnavailable) as raised:
            await store.write(ORIGIN, RECORDS)
        assert raised.value.retry_after_s == 17.0
        assert not isinstance(raised.value, StoreMisconfigured)
        assert (await store.write(ORIGIN, RECORDS)).dead == []


async def test_a_500_for_everything_makes_no_dead_letters(
    scripted: ScriptedServer, credentials: Path
) -> None:
    scripted.script = [(500, {})] * 2
    async with open_store(settings_2(scripted), credentials=credentials) as store:
        with pytest.raises(StoreUnavailable, match="takes no line at all"):
            await store.write(ORIGIN, RECORDS)
    assert len(scripted.seen) == 2


async def test_a_500_for_one_batch_is_halved_and_nothing_is_lost(
    scripted: ScriptedServer, credentials: Path
) -> None:
    scripted.script = [(500, {})]
    async with open_store(settings_2(scripted), credentials=credentials) as store:
        report = await store.write(ORIGIN, RECORDS)
    assert report.dead == []
    assert len(scripted.lines) == 8 + 1  # and the canary


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_credential_or_bucket_names_what_to_check(
    scripted: ScriptedServer, credentials: Path, status: int
) -> None:
    scripted.script = [(status, {})]
    async with open_store(settings_2(scripted), credentials=credentials) as store:
        with pytest.raises(StoreMisconfigured, match="credential of the store"):
            await store.write(ORIGIN, RECORDS)
