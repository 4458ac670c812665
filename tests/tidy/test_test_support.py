"""The test support itself: virtual clock, guards against leaks, real servers that stop and start."""

import asyncio
import socket
import time

import httpx
import pytest

from tests.support.services import InfluxDatabase, Mosquitto

pytest_plugins = ["pytester"]

LEAKS = """
import asyncio, threading
import pytest
from tests.support.leaks import no_leaked_tasks, no_leaks

async def test_leaves_a_task():
    asyncio.get_running_loop().task = asyncio.create_task(asyncio.sleep(60), name="forgotten")

async def test_ends_its_task():
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()

@pytest.fixture
async def server():
    task = asyncio.create_task(asyncio.sleep(60))
    yield
    task.cancel()

async def test_has_a_fixture_with_a_task(server):
    await asyncio.to_thread(lambda: None)

def test_leaves_a_thread():
    threading.Thread(target=threading.Event().wait, args=(0.4,), name="forgotten").start()

def test_ends_its_thread():
    threading.Thread(target=threading.Event().wait, args=(0.01,)).start()
"""


@pytest.mark.virtual_time
async def test_a_virtual_hour_takes_no_time() -> None:
    loop = asyncio.get_running_loop()
    virtual, real = loop.time(), time.monotonic()
    await asyncio.sleep(3600)
    assert loop.time() - virtual == pytest.approx(3600)
    assert time.monotonic() - real < 10


def test_what_is_left_behind_fails_its_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.leaks.THREAD_END_TIMEOUT_S", 0.1)
    pytester.makepyfile(LEAKS)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=5, errors=2)
    result.stdout.fnmatch_lines(["*left tasks behind*", "*left threads behind: forgotten*"])


def test_a_broker_comes_back_on_its_port(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((mosquitto.host, mosquitto.port), timeout=5)
    mosquitto.start()
    socket.create_connection((mosquitto.host, mosquitto.port), timeout=5).close()
    mosquitto.kill()
    assert not mosquitto.running


def test_each_test_has_an_empty_database_of_a_real_influxdb(influxdb: InfluxDatabase) -> None:
    url, parameters = influxdb.url, {"db": influxdb.database}
    with httpx.Client(trust_env=False, timeout=30) as client:
        empty = client.get(f"{url}/query", params={**parameters, "q": "SHOW MEASUREMENTS"})
        written = client.post(f"{url}/write", params=parameters, content=b"reading t=20.25 1")
        stored = client.get(f"{url}/query", params={**parameters, "q": "SELECT t FROM reading"})
    assert "series" not in empty.text
    assert written.status_code == httpx.codes.NO_CONTENT
    assert "20.25" in stored.text
    assert stored.headers["X-Influxdb-Version"].startswith("1.6")
