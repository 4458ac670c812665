"""The daemon's own recording, played back through decode, rules and elements: the journal once more."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest

from drivers.modbus.line_settings import ModbusTcpSettings
from drivers.transport.recording import CAME, RecordingSettings, join_parts, read_recording
from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from gateway.edge.wire_recording import WireRecording, prune, recordings, run_and_number
from pipeline.elements import read_registry
from tests.support.bench import until
from tests.support.commanding import yaosu
from tests.support.daemon import ADMINISTRATOR, PIN, running
from tests.support.pains import Remote, registers
from tests.support.scripted import RealClock, tcp_instrument

TABLES = """
[recording]
enabled = true
keep_days = 0.0003  # a part is a sixteenth of that: 1.6 s

[[instrument]]
id = "meter-1"
driver = "modbus-tcp"
source = "simulated"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.1
read_identity = false
gap_registers_max = 0

[[instrument.channels]]
name = "voltage"
address = 0
qc.spike = {{ suspect = 5.0, max_gap_s = 2.0 }}

[[instrument.channels]]
name = "energy"
address = 300
poll_interval_s = 0.3
qc.range = {{ fail_high = 1250.0 }}
qc.spike = {{ suspect = 5.0, max_gap_s = 2.0 }}
"""


async def work(door: DoorClient) -> None:
    """A task from start to stop, with what the registry needs for it, once the rules can be evaluated."""

    async def meter_rows() -> int:
        known = await door.get("status")
        rows = {one["id"]: one.get("rows") for one in known.get("instruments", ())}
        return rows.get("meter-1") or 0 if known.get("kernels") == "ready" else 0

    await until(meter_rows, "the rules are ready")
    content = read_registry(REGISTRY)
    orders: list[tuple[str, str, dict[str, Any]]] = [
        ("registry.import", ADMINISTRATOR, {"records": content.records, "directory": content.directory}),
        ("task.start", "p-0002", {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]}),
    ]
    answer: dict[str, Any] = {}
    for name, person, args in orders:
        answer = await door.command(name, args, {"person": person, "pin": PIN, "station": "test"})
        assert answer["ok"], answer
    begun = await meter_rows()

    async def more() -> bool:
        return await meter_rows() >= begun + 35

    await until(more, "readings of every kind within the task")
    stop = {"task": answer["result"]["task"]}
    assert (await door.command("task.stop", stop, {"person": "p-0002", "pin": PIN, "station": "test"}))["ok"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Run a daemon over a task: its site file and the parts of its recording."""
    folder = tmp_path_factory.mktemp("recorded")

    async def run() -> None:
        meter, polls = Remote(), itertools.count()

        def answers(data: bytes) -> list[tuple[float, bytes]]:
            # Now and then a value that its neighbours do not bear out.
            poll = next(polls)
            meter.numbers = {0: 1100} if poll % 13 == 5 else {300: 1400} if poll % 17 == 8 else {}
            return meter.answers(data)

        async with (
            tcp_instrument(answers) as instrument,
            running(folder, tables=TABLES.format(port=instrument.port)) as site,
            DoorClient(site.state.socket("door")) as door,
        ):
            await work(door)

    asyncio.run(run())
    return folder / "gateway.toml", recordings(folder / "state" / "wire")


def joined(parts: list[Path], file: Path) -> Path:
    join_parts(parts, file)
    return file


def test_rows_flags_and_all_that_the_elements_derived_come_out_again_bit_for_bit(
    recorded: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    site, parts = recorded
    outcome = yaosu("replay", joined(parts, tmp_path / "all.wire"), "--against", site, "--json")
    report = outcome.json
    assert report["differences"] == []
    assert report["lapses"] == []
    assert outcome.code == 0
    assert report["rows"] >= 40
    assert report["other_rows"] == 0
    assert report["derived"] > 0
    assert report["late_flags"] > 0


def test_the_newest_parts_alone_give_their_rows_again_and_what_is_missing_is_told(
    recorded: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    site, parts = recorded
    assert len(parts) > 2, parts
    newest = yaosu("replay", joined(parts[1:], tmp_path / "new.wire"), "--against", site, "--json").json
    assert newest["differences"] == []
    assert newest["rows"] > 10
    assert newest["other_rows"] > 0
    (lapse,) = newest["lapses"]
    assert (lapse["from_utc_ns"], lapse["why"]) == (0, "the recording begins in the middle of a run")
    holed = yaosu("replay", joined([parts[0], *parts[2:]], tmp_path / "holed.wire"), "--against", site)
    assert holed.code == 0
    assert "0 differences" in holed.out
    assert "parts are missing" in holed.err


def entries_of(file: Path) -> list[Any]:
    with gzip.open(file) as stream:
        return list(msgpack.Unpacker(stream))


def test_one_changed_byte_is_told_with_its_record(recorded: tuple[Path, list[Path]], tmp_path: Path) -> None:
    site, parts = recorded
    entries = entries_of(joined(parts, tmp_path / "all.wire"))
    answers = [entry for entry in entries if entry[0] == CAME and len(entry[4]) == 13]
    answers[20][4] = answers[20][4][:-1] + bytes([answers[20][4][-1] ^ 1])
    forged = tmp_path / "forged.wire"
    with gzip.open(forged, "wb") as stream:
        stream.write(b"".join(msgpack.packb(entry) for entry in entries))
    outcome = yaosu("replay", forged, "--against", site)
    assert outcome.code == 1
    assert "the journal has" in outcome.err
    assert " 0 differences" not in outcome.out


def test_recordings_are_listed_and_copied(recorded: tuple[Path, list[Path]], tmp_path: Path) -> None:
    site, parts = recorded
    (listed,) = yaosu("wire", "list", "-c", site, "--json").json
    run = run_and_number(parts[0])[0]
    assert (listed["name"], listed["instruments"]) == (run, ["meter-1", "p-1"])
    assert (listed["parts"], listed["missing_parts"]) == (list(range(len(parts))), [])
    assert listed["from_utc_ns"] < listed["to_utc_ns"]
    copy = tmp_path / "bug.wire"
    assert yaosu("wire", "export", run, copy, "-c", site).code == 0
    assert entries_of(copy) == [entry for part in parts for entry in entries_of(part)]
    assert yaosu("wire", "export", run, copy, "-c", site).code == 2
    assert yaosu("wire", "export", "other", tmp_path / "x", "-c", site).code == 2


def test_the_parts_of_a_time_are_copied(recorded: tuple[Path, list[Path]], tmp_path: Path) -> None:
    site, parts = recorded
    run = run_and_number(parts[0])[0]
    begun_ns = read_recording(parts[1])[0].utc_ns
    begun = datetime.fromtimestamp(begun_ns / 1e9 + 0.001, UTC).isoformat()
    assert yaosu("wire", "export", run, tmp_path / "new.wire", "--from", begun, "-c", site).code == 0
    assert entries_of(tmp_path / "new.wire") == [entry for part in parts[1:] for entry in entries_of(part)]
    assert yaosu("wire", "export", run, tmp_path / "old.wire", "--to", begun, "-c", site).code == 0
    assert entries_of(tmp_path / "old.wire") == [entry for part in parts[:2] for entry in entries_of(part)]
    never = yaosu("wire", "export", run, tmp_path / "x", "--from", "2400-01-01T00:00Z", "-c", site)
    assert (never.code, "no part" in never.err) == (2, True)
    naive = yaosu("wire", "export", run, tmp_path / "x", "--from", "2026-01-01T00:00", "-c", site)
    assert (naive.code, "offset" in naive.err) == (2, True)


def test_old_recordings_go_and_those_that_leave_no_room(tmp_path: Path) -> None:
    settings = RecordingSettings(bytes_max=2 * 1024 * 1024, keep_days=7.0)
    for name, age_days, size in (("a", 9, 10), ("b", 3, 900_000), ("c", 2, 900_000), ("d", 1, 300_000)):
        path = tmp_path / f"{name}.wire"
        path.write_bytes(bytes(size))
        os.utime(path, (1e9 - age_days * 86400, 1e9 - age_days * 86400))
    assert [one.stem for one in prune(tmp_path, settings, 1e9)] == ["a", "b"]
    assert [one.stem for one in recordings(tmp_path)] == ["c", "d"]


def test_a_line_is_recorded_with_all_its_instruments_and_no_other_is(tmp_path: Path) -> None:
    instruments = [
        ModbusTcpSettings.model_validate(
            {"id": name, "host": host, "unit": unit, "channels": registers(0), "read_identity": False}
        )
        for name, host, unit in (("a", "192.0.2.1", 1), ("b", "192.0.2.2", 1), ("c", "192.0.2.1", 2))
    ]
    settings = RecordingSettings(enabled=True, instruments=("c",))
    told: list[tuple[str, str]] = []
    recording = WireRecording(
        tmp_path, settings, instruments, RealClock(), lambda code, why: told.append((code, why))
    )
    recording.close()
    (part,) = recordings(tmp_path)
    assert [one["id"] for one in entries_of(part)[0][3]] == ["a", "c"]
    assert not told
