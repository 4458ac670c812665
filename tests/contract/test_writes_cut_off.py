"""A gateway that is killed while a point is set says at its next start what came of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from gateway.door.client import DoorClient
from gateway.edge.open_writes import OpenWrites
from pipeline.records import ClockState, Record
from pipeline.records.events import event_body
from tests.support.bench import until
from tests.support.daemon import ADMINISTRATOR, PIN, records_of, running
from tests.support.scripted import tcp_instrument

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.libmodbus import Relay

TABLES = """
[[instrument]]
id = "oven-1"
driver = "modbus-tcp"
source = "simulated"
host = "127.0.0.1"
port = {port}
read_identity = false
timeout_s = 1.0
connect_timeout_s = 0.3
channels = [{{ name = "r64", address = 64 }}]

[[instrument.writes]]
name = "{point}"
address = 66
type = "uint16"
low = 20
high = 2000
unit = "degC"
confirm = {{ en = "Is the oven empty?", zh = "烘箱是否已清空？" }}
"""
WRITE, READ_BACK_OF = 16, 66
BEFORE, MEANT = 1066, 105


def signed() -> dict[str, str]:
    return {"person": ADMINISTRATOR, "pin": PIN, "station": "test"}


def set_to(relay: Relay, value: int) -> None:
    relay.ask(bytes([WRITE, 0, READ_BACK_OF, 0, 1, 2]) + value.to_bytes(2, "big"))


async def set_point(door: DoorClient) -> None:
    wanted = {"instrument": "oven-1", "point": "setpoint", "value": MEANT, "reason": "drying"}
    prepared = await door.command("write.prepare", wanted, signed(), key="a")
    args = {"write": prepared["result"]["write"], "value": MEANT, "reason": "empty"}
    answer = await door.command("write.confirm", args, signed(), key="b")
    assert answer["ok"], answer


async def images_of_a_write(relay: Relay, folder: Path) -> dict[str, Path]:
    """Set a point; copy the state folder, as a kill would leave it, at each step on the wire.

    The confirmation is on the disk before the first of these, and what comes after the last one is a record
    that may or may not have been durable: the last image stands for both.
    """
    images: dict[str, Path] = {}
    confirmed = [False]

    def step(name: str) -> None:
        if confirmed[0] and name not in images:
            images[name] = folder / name
            images[name].mkdir()
            ignored = shutil.ignore_patterns("*.sock", "reserve")
            shutil.copytree(folder / "first" / "state", images[name] / "state", ignore=ignored)

    def killed(request: bytes, answer: bytes) -> bytes:
        if request[0] == WRITE:
            step("written")
        elif int.from_bytes(request[1:3], "big") == READ_BACK_OF:
            step("read back")
        return answer

    relay.fault = killed
    (folder / "first").mkdir()

    def asked(data: bytes) -> Any:
        if data[7] == WRITE:
            confirmed[0] = True
            step("confirmed")
        return relay.tcp(data)

    async with (
        tcp_instrument(asked) as instrument,
        running(folder / "first", tables=TABLES.format(port=instrument.port, point="setpoint")) as site,
        DoorClient(site.state.socket("door")) as door,
    ):
        await set_point(door)
    assert sorted(images) == ["confirmed", "read back", "written"]
    return images


async def told_after(
    folder: Path, port: int, *codes: str, point: str = "setpoint"
) -> tuple[list[Any], list[str]]:
    """Start a gateway on an image until it has told `codes`: what it told of writes, and open alarms."""
    tables = TABLES.format(port=port, point=point)

    def written() -> list[Any]:
        return [
            record.body for record in records_of(folder / "state" / "journal")
            if record.kind == "event" and record.body["code"].startswith("write-")
        ]  # fmt: skip

    async with running(folder, tables=tables) as site, DoorClient(site.state.socket("door")) as door:

        async def all_told() -> bool:
            return {*codes} <= {body["code"] for body in written()}

        await until(all_told, f"{codes} are told")
        alarms = [alarm["code"] for alarm in await door.get("alarms") if not alarm["ended"]]
    return written(), alarms


async def assert_unknown_until_it_answers(relay: Relay, away: Path, renamed: Path) -> None:
    """An instrument that is away after the kill is an alarm until it answers, or can be asked no more."""
    told, alarms = await told_after(away, 1, "write-unknown")
    assert [body["code"] for body in told][2:] == ["write-unknown"], "told once, however often it is tried"
    assert "write-unknown" in alarms
    set_to(relay, MEANT)
    async with tcp_instrument(relay.tcp) as instrument:
        told, alarms = await told_after(away, instrument.port, "write-read-back")
        assert told[-1]["args"]["found"] == MEANT
        assert "write-unknown" not in alarms
        told, _ = await told_after(renamed, instrument.port, "write-unknown", point="other")
    assert told[-1]["args"]["final"] is True
    assert "does not name" in told[-1]["args"]["error"]


async def test_a_kill_at_every_step_of_a_write_ends_in_what_the_instrument_says(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.open_writes.AGAIN_S", 0.1)
    set_to(relay, BEFORE)
    images = await images_of_a_write(relay, tmp_path)
    relay.fault = lambda _, answer: answer
    away, renamed = (shutil.copytree(images["confirmed"], tmp_path / name) for name in ("away", "renamed"))
    # After the kill the instrument has what it had at that step.
    for name, has in (("confirmed", BEFORE), ("written", MEANT), ("read back", MEANT)):
        set_to(relay, has)
        async with tcp_instrument(relay.tcp) as instrument:
            told, alarms = await told_after(images[name], instrument.port, "write-read-back")
        codes = [body["code"] for body in told]
        differs = ["write-differs"] if has == BEFORE else []
        assert codes == ["write-prepared", "write-confirmed", *differs, "write-read-back"], name
        assert told[-1]["args"]["found"] == has
        assert told[-1]["args"]["value"] == MEANT
        assert told[-1]["args"]["person"] == ADMINISTRATOR
        assert ("write-differs" in alarms) == (has == BEFORE)
    await assert_unknown_until_it_answers(relay, away, renamed)


def record(code: str, token: str, **args: Any) -> Record:
    body = event_body(code, instrument="oven-1", point="setpoint", write=token, **args)
    return Record(
        "event", "live", bytes(16), 0, 0, 1, 0, 0, ClockState(synchronised=True, error_ns=0), None, body, b""
    )


def test_of_a_point_only_the_last_write_is_open_and_an_outcome_closes_it() -> None:
    opened = OpenWrites()
    for code, token in (("write-confirmed", "a"), ("write-confirmed", "b"), ("write-done", "a")):
        opened.see(record(code, token))
    again = OpenWrites()
    again.restore(opened.snapshot())
    assert [one["write"] for one in again.all()] == ["b"]
    again.see(record("write-unknown", "b", final=False))
    assert again.all()
    again.see(record("write-failed", "b"))
    assert not again.all()
