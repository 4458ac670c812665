"""Live streams: what they send, how they resume, how fast they end; the exact data of a channel."""

import asyncio
import socket
import struct
import time

import httpx
import numpy as np
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette

import dashboard.live
from dashboard.trend import gap_bands, live_points
from tests.unit.dashboard.client import MakeApplication
from tests.unit.dashboard.fakes import NOW_NS, SECOND, FakeDoor, FakeStore
from tests.unit.dashboard.site import HELD, RUNNING, add_verdict

SPAN = f"from_ns={NOW_NS - 600 * SECOND}&to_ns={NOW_NS + 1}"


def _scope(query: str, headers: dict[str, str]) -> dict[str, object]:
    own = {"host": "localhost", "accept-language": "en", **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/live",
        "raw_path": b"/live",
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in own.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 8420),
    }


async def read_stream(
    application: Starlette, query: str, *, until: int | bytes, headers: dict[str, str] | None = None
) -> list[tuple[str, str, dict[str, object]]]:
    """Read a stream as a browser does until it has sent so many events, or these bytes."""
    events: list[tuple[str, str, dict[str, object]]] = []
    gone = asyncio.Event()
    sent = bytearray()

    async def receive() -> dict[str, object]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.extend(message.get("body", b""))  # type: ignore[arg-type]  # ASGI
        events.clear()
        for part in bytes(sent).decode().split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in part.splitlines() if line and not line.startswith(":")
            )
            if "event" in fields:
                events.append((fields["event"], fields["id"], orjson.loads(fields["data"])))
        if until in sent if isinstance(until, bytes) else len(events) >= until:
            gone.set()

    scope = _scope(query, headers or {})
    await asyncio.wait_for(application(scope, receive, send), 20)  # type: ignore[arg-type]  # plain ASGI maps
    return events


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.live.PERIOD_S", 0.01)
    monkeypatch.setattr("dashboard.watch.PERIOD_S", 0.0)


async def test_the_overview_comes_at_once_with_the_seq_as_id(
    make_application: MakeApplication, door: FakeDoor
) -> None:
    ((name, event_id, content),) = await read_stream(make_application(door, "lab"), "view=overview", until=1)
    assert name == "overview"
    assert event_id == str(content["seq"])
    assert content["instruments"]


async def test_a_regulators_stream_has_no_values(make_application: MakeApplication, door: FakeDoor) -> None:
    events = await read_stream(make_application(door, "regulator"), "view=overview", until=1)
    assert "100.0004" not in str(events)


async def test_an_unchanged_overview_is_not_sent_again(
    make_application: MakeApplication, door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.live.COMMENT_PERIOD_S", 0.05)
    events = await read_stream(make_application(door, "lab"), "view=overview", until=b": still here")
    assert len(events) == 1


async def test_points_are_sent_from_where_a_client_left(
    make_application: MakeApplication, door: FakeDoor, store: FakeStore
) -> None:
    left_ns = NOW_NS - 100 * SECOND
    (event,) = await read_stream(
        make_application(door, "lab"),
        "channel=room-t/temperature",
        until=1,
        headers={"last-event-id": f"77.{left_ns}"},
    )
    name, event_id, content = event
    newest_ns = int(store.series["room-t", "temperature"].t_utc_ns[-1])
    assert name == "points"
    assert event_id.partition(".")[2] == str(newest_ns)
    assert content["t_ms"][0] == (left_ns - dashboard.live.TRAILING_NS) / 1e6  # type: ignore[index]  # JSON
    assert content["t_ms"][-1] == newest_ns / 1e6  # type: ignore[index]  # JSON


async def test_a_page_learns_which_tasks_have_new_records(
    make_application: MakeApplication, door: FakeDoor, store: FakeStore
) -> None:
    seen = max(row.seq for row in store.rows_ledger)
    add_verdict(store, HELD, "people", "ok", "final", ago_s=0)
    events = await read_stream(make_application(door, "lab"), f"view=ledger&last={seen}", until=2)
    assert events[0][2] == {"kinds": [], "tasks": []}
    assert events[1][2] == {"kinds": ["verdict"], "tasks": [HELD]}
    assert RUNNING not in str(events)


async def test_too_many_streams_are_refused(
    make_application: MakeApplication, door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.live.STREAMS_MAX", 0)
    transport = httpx.ASGITransport(app=make_application(door, "lab"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/live")).status_code == 503


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def test_twenty_open_streams_end_within_a_second(
    make_application: MakeApplication, door: FakeDoor
) -> None:
    application = make_application(door, "lab")
    server = _Server(uvicorn.Config(application, port=0, log_level="error", timeout_graceful_shutdown=10))
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    port = server.servers[0].sockets[0].getsockname()[1]

    async def listen(client: httpx.AsyncClient, heard: asyncio.Event) -> None:
        async with client.stream("GET", "/live?view=overview") as answer:
            async for _ in answer.aiter_bytes():
                heard.set()

    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, limits=httpx.Limits(max_connections=None)
    ) as client:
        heard = [asyncio.Event() for _ in range(20)]
        listening = [asyncio.create_task(listen(client, event)) for event in heard]
        await asyncio.gather(*(event.wait() for event in heard))
        began_s = time.monotonic()
        application.state.stop.set()
        server.should_exit = True
        await asyncio.gather(serving, *listening)
        assert time.monotonic() - began_s < 1.0


async def test_slow_and_many_readers_share_one_look_at_the_store(
    make_application: MakeApplication, door: FakeDoor, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.watch.PERIOD_S", 60.0)
    transport = httpx.ASGITransport(app=make_application(door, "lab"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.get("/api/overview")
        before = store.reads
        await asyncio.gather(*(client.get("/api/overview") for _ in range(20)))
    assert store.reads == before


async def test_the_data_of_a_channel_is_exact_to_the_bit(lab: httpx.AsyncClient, store: FakeStore) -> None:
    values = [0.1, -0.0, np.pi * 1e300, np.nan, 5e-324]
    times = [NOW_NS - k for k in range(5, 0, -1)]
    store.put("room-t", "temperature", times, values, [1, 3, 4, 9, 2], [0, 2, 1 << 62, 1, 0])
    answer = await lab.get(f"/api/channels/room-t/temperature/data?{SPAN}")
    content = answer.content
    assert struct.unpack_from("<8sII", content) == (b"YAOSU-S1", 5, 0)
    assert np.frombuffer(content, "<i8", 5, 16).tolist() == times
    assert content[56:96] == np.array(values).tobytes()
    assert np.frombuffer(content, "<i8", 5, 96).tolist() == [0, 2, 1 << 62, 1, 0]
    assert list(content[136:]) == [1, 3, 4, 9, 2]


@pytest.mark.parametrize(
    "query",
    ["", "from_ns=5&to_ns=5", "from_ns=a&to_ns=9", "from_ns=1&to_ns=-2", "from_ns=1&to_ns=9&points=x"],
)
async def test_a_span_that_is_none_is_refused(lab: httpx.AsyncClient, query: str) -> None:
    assert (await lab.get(f"/api/channels/room-t/temperature/data?{query}")).status_code == 400


async def test_a_gap_is_one_band_with_its_cause(lab: httpx.AsyncClient) -> None:
    (band,) = (await lab.get(f"/api/channels/room-t/temperature/gaps?{SPAN}")).json()
    assert (band["polls"], band["ended"], band["cause_text"]) == (60, True, "disconnected")
    assert band["to_ms"] - band["from_ms"] == 59_000
    assert (await lab.get(f"/api/channels/balance/weight/gaps?{SPAN}")).json() == []


async def test_corrected_values_come_beside_the_readings(lab: httpx.AsyncClient, store: FakeStore) -> None:
    times, true = [NOW_NS - 2, NOW_NS - 1], [21.25, np.nan]
    store.put("room-t", "temperature", times, [21.0, 99.0], [1, 1], corrected=true)
    content = (await lab.get(f"/api/channels/room-t/temperature/data?{SPAN}")).content
    assert struct.unpack_from("<8sII", content) == (b"YAOSU-S1", 2, 2)
    assert content[64:80] == np.array(true).tobytes()
    assert list(content[80:]) == [1, 1]
    points = live_points(store.series["room-t", "temperature"])
    assert (points["value"], points["corrected"]) == ([21.0, 99.0], [21.25, None])


def test_an_open_gap_is_drawn_on_and_a_past_one_left_out(store: FakeStore) -> None:
    gaps = [row for row in store.rows_ledger if row.kind == "gap"]
    (begun,) = gap_bands(gaps[:1], "room-t", NOW_NS, NOW_NS + SECOND)
    assert begun["ended"] is False
    assert gap_bands(gaps, "room-t", NOW_NS, NOW_NS + SECOND) == []


async def test_the_data_route_says_when_the_store_is_away(lab: httpx.AsyncClient, store: FakeStore) -> None:
    store.away = True
    answer = await lab.get(f"/api/channels/room-t/temperature/data?{SPAN}")
    assert answer.status_code == 503
    assert answer.json()["code"] == "store-away"
