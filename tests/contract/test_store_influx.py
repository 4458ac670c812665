"""The InfluxDB store against Debian's real server, and, for generations 2 and 3, against a scripted one."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

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


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes


@dataclass
class ScriptedServer:
    """Answers writes with the statuses of its script, then 204; keeps the lines that it took."""

    url: str = ""
    script: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    bad: str = "\0"
    seen: list[Seen] = field(default_factory=list)
    lines: set[str] = field(default_factory=set)

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(seen)
        if seen.path == "/query":
            return 200, {}, b'{"results":[{"statement_id":0}]}\n'
        if self.script:
            status, headers = self.script.pop(0)
            return status, headers, b'{"code":"x","message":"scripted"}'
        lines = seen.body.decode().split("\n")
        if any(self.bad in line for line in lines):
            return 422, {}, b'{"code":"unprocessable entity","message":"field type conflict"}'
        self.lines |= set(lines)
        return 204, {}, b""


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            parts = urlsplit(self.path)
            status, headers, answer = script.answer(
                Seen(parts.path, parse_qs(parts.query), self.headers, body)
            )
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


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
