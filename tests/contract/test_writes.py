"""Points are set by prepared and confirmed commands alone: a real daemon, libmodbus, and a simulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from drivers import open_drivers
from drivers.compose import writers_of
from drivers.errors import DeviceException
from drivers.modbus.line_settings import ModbusRtuSettings, ModbusRtuTcpSettings
from gateway.door.client import DoorClient
from tests.support.daemon import ADMINISTRATOR, PIN, records_of, running
from tests.support.libmodbus import Relay
from tests.support.pains import device
from tests.support.scripted import RealClock, seeded, tcp_instrument
from tests.support.simulated import ROOM, ScenarioRunner, scenario_of

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = [{"name": "r64", "address": 64}]
CONFIRM = {"en": "Is the oven empty?", "zh": "烘箱是否已清空？"}
COIL = {"table": "coil", "type": "bool", "low": 0, "high": 1}
POINTS: list[dict[str, Any]] = [
    {
        "name": "setpoint",
        "address": 16,
        "type": "float32",
        "order": "CDAB",
        "low": 20,
        "high": 200,
        "step": 0.5,
    },
    {"name": "mode", "address": 80, "low": 0, "high": 3, "function": "single"},
    {"name": "level", "address": 81, "type": "int16", "scale": 0.1, "low": -50, "high": 50},
    {"name": "heater", "address": 3, "function": "single", **COIL},
    {"name": "fan", "address": 4, **COIL},
]
TABLES = """
[[instrument]]
id = "oven-1"
driver = "modbus-tcp"
source = "simulated"
host = "127.0.0.1"
port = {port}
read_identity = false
timeout_s = 0.3
channels = [{{ name = "r64", address = 64 }}]

[[instrument.writes]]
name = "setpoint"
address = 66
type = "uint16"
low = 20
high = 200
step = 5
unit = "degC"
confirm = {{ en = "Is the oven empty?", zh = "烘箱是否已清空？" }}
"""


def with_confirm() -> list[dict[str, Any]]:
    return [{**point, "confirm": CONFIRM} for point in POINTS]


@pytest.mark.parametrize(("name", "value"), [
    ("setpoint", 105.5), ("mode", 2), ("level", -12.3), ("heater", 1), ("heater", 0), ("fan", 1), ("fan", 0),
])  # fmt: skip
async def test_libmodbus_takes_every_function_and_reads_back_what_was_meant(
    libmodbus_port: int, name: str, value: float
) -> None:
    settings = device(libmodbus_port, CHANNELS, writes=with_confirm())
    (driver,) = open_drivers([settings], RealClock(), seeded())
    async with driver:
        writer = writers_of([driver])["device"]
        point = writer.point(name)
        assert point is not None
        assert point.problem(value) is None
        data = point.encode(value)
        assert await writer.write(point, data) == (data, None)
        assert point.decode(await writer.read(point)) == pytest.approx(value)


async def test_rtu_frames_carry_writes_too(relay: Relay) -> None:
    async with tcp_instrument(relay.rtu) as instrument:
        settings = ModbusRtuTcpSettings.model_validate({
            "id": "device", "host": "127.0.0.1", "port": instrument.port, "read_identity": False,
            "timeout_s": 0.2, "channels": CHANNELS, "writes": with_confirm(),
        })  # fmt: skip
        (driver,) = open_drivers([settings], RealClock(), seeded())
        async with driver:
            writer = writers_of([driver])["device"]
            for name, value in (("setpoint", 21.0), ("mode", 3.0), ("heater", 1.0), ("fan", 1.0)):
                point = writer.point(name)
                assert point is not None
                data = point.encode(value)
                assert await writer.write(point, data) == (data, None), name


async def test_a_lost_answer_is_told_with_what_the_device_reads_then(relay: Relay) -> None:
    """The request was carried out, its answer lost: nothing is sent twice, and the value is read back."""
    written = []

    def deaf(request: bytes, answer: bytes) -> bytes | None:
        if request[0] == 16:
            written.append(request)
            return None
        return answer

    relay.fault = deaf
    async with tcp_instrument(relay.tcp) as instrument:
        settings = device(instrument.port, CHANNELS, writes=with_confirm())
        (driver,) = open_drivers([settings], RealClock(), seeded())
        async with driver:
            writer = writers_of([driver])["device"]
            point = writer.point("setpoint")
            assert point is not None
            found, failure = await writer.write(point, point.encode(77.5))
    assert found == point.encode(77.5)
    assert failure is not None
    assert len(written) == 1


async def test_an_answer_for_another_value_is_no_confirmation(relay: Relay) -> None:
    relay.fault = lambda request, answer: answer[:-1] + b"\x09" if request[0] == 6 else answer
    async with tcp_instrument(relay.tcp) as instrument:
        settings = device(instrument.port, CHANNELS, writes=with_confirm())
        (driver,) = open_drivers([settings], RealClock(), seeded())
        async with driver:
            writer = writers_of([driver])["device"]
            point = writer.point("mode")
            assert point is not None
            _, failure = await writer.write(point, point.encode(1))
    assert "the device confirmed" in str(failure)


@pytest.mark.parametrize(("name", "value", "says"), [
    ("setpoint", 201, "outside"), ("setpoint", 19.5, "outside"), ("setpoint", 20.3, "no whole step"),
    ("level", 0.05, "cannot be written exactly"), ("heater", 0.5, "cannot be written exactly"),
])  # fmt: skip
def test_values_beyond_the_limits_are_refused_in_both_languages(name: str, value: float, says: str) -> None:
    settings = device(502, CHANNELS, writes=with_confirm())
    problem = next(point for point in settings.writes if point.name == name).problem(value)
    assert problem is not None
    assert says in problem[0]
    assert problem[1] != problem[0]


async def test_our_simulator_takes_a_correction_over_a_serial_line_and_refuses_one_beyond_its_range(
    tmp_path: Path,
) -> None:
    point = {
        "name": "correction", "address": 0x0103, "type": "int16", "scale": 0.1, "low": -20, "high": 20,
        "function": "single", "confirm": CONFIRM,
    }  # fmt: skip
    async with ScenarioRunner(scenario_of(ROOM), tmp_path) as runner:
        settings = ModbusRtuSettings.model_validate({
            "id": "th-1", "port": runner.endpoints["th-1"].path, "read_identity": False, "timeout_s": 0.3,
            "channels": [{"name": "temperature", "address": 1, "table": "input", "type": "int16"}],
            "writes": [point],
        })  # fmt: skip
        (driver,) = open_drivers([settings], RealClock(), seeded())
        async with driver:
            writer = writers_of([driver])["th-1"]
            made = writer.point("correction")
            assert made is not None
            assert await writer.write(made, made.encode(-1.5)) == (made.encode(-1.5), None)
            # Within our limits, not within the device's: it refuses, and keeps what it had.
            found, failure = await writer.write(made, made.encode(15))
    assert found == made.encode(-1.5)
    assert isinstance(failure, DeviceException)


def signed(person: str = ADMINISTRATOR) -> dict[str, str]:
    return {"person": person, "pin": PIN, "station": "test"}


async def test_the_door_writes_what_was_prepared_and_confirmed_and_nothing_else(
    libmodbus_port: int, tmp_path: Path
) -> None:
    tables = TABLES.format(port=libmodbus_port)
    async with running(tmp_path, tables=tables) as site, DoorClient(site.state.socket("door")) as door:

        async def give(name: str, key: str, who: str = ADMINISTRATOR, /, **args: Any) -> Any:
            return await door.command(name, args, signed(who), key=key)

        wanted = {"instrument": "oven-1", "point": "setpoint", "value": 105, "reason": "drying of batch 7"}
        assert (await give("write.prepare", "a", "p-0001", **wanted))["code"] == "not-authorised"
        assert (await give("write.prepare", "b", **{**wanted, "value": 300}))["code"] == "out-of-limits"
        assert (await give("write.prepare", "c", **{**wanted, "point": "other"}))["code"] == "not-writable"
        assert (await give("write.prepare", "d", **{**wanted, "instrument": "p-1"}))["code"] == "not-writable"
        prepared = (await give("write.prepare", "e", **wanted))["result"]
        assert (prepared["before"], prepared["confirm"]["en"]) == (1066, "Is the oven empty?")
        again = {"write": prepared["write"], "reason": "looked at, empty"}
        assert (await give("write.confirm", "f", **again, value=110))["code"] == "other-value"
        assert (await give("write.confirm", "g", **{**again, "write": "00000000"}, value=105))["code"] == (
            "not-prepared"
        )
        done = await give("write.confirm", "h", **again, value=105)
        assert done["result"]["verified"] is True
        assert done["result"]["found"] == 105
        # The same command once more is the same answer; another one meets nothing that waits.
        assert await give("write.confirm", "h", **again, value=105) == done
        assert (await give("write.confirm", "i", **again, value=105))["code"] == "not-prepared"
        view = await door.get("status")
        assert view["purpose"] == "rehearsal"
    told = [
        record.body
        for record in records_of(site.state.journal)
        if record.kind == "event" and record.body["code"].startswith("write-")
    ]
    assert [body["code"] for body in told] == ["write-prepared", "write-confirmed", "write-done"]
    for body in told:
        assert body["actor"]["person"] == ADMINISTRATOR
        assert body["args"]["reason"]
        assert PIN not in json.dumps(body)
    assert told[2]["args"]["found"] == 105


async def test_a_write_that_does_not_read_back_is_an_alarm_and_never_done(
    relay: Relay, tmp_path: Path
) -> None:
    relay.fault = lambda request, answer: bytes([0x90, 4]) if request[0] == 16 else answer
    async with tcp_instrument(relay.tcp) as instrument:
        tables = TABLES.format(port=instrument.port)
        async with running(tmp_path, tables=tables) as site, DoorClient(site.state.socket("door")) as door:
            wanted = {"instrument": "oven-1", "point": "setpoint", "value": 105, "reason": "test"}
            prepared = await door.command("write.prepare", wanted, signed(), key="a")
            args = {"write": prepared["result"]["write"], "value": 105, "reason": "test"}
            answer = await door.command("write.confirm", args, signed(), key="b")
            # libmodbus did set it; the exception in place of its answer leaves that uncertain.
            assert answer["code"] == "write-unverified"
            alarms = await door.get("alarms")
    codes = [
        record.body["code"] for record in records_of(site.state.journal)
        if record.kind == "event" and record.body["code"].startswith("write-")
    ]  # fmt: skip
    assert codes == ["write-prepared", "write-confirmed", "write-unverified"]
    assert any("write-unverified" in json.dumps(alarm) for alarm in alarms)
