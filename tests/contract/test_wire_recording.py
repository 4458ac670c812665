"""The daemon's own recording, played back through decode, rules and elements: the journal once more."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
from pathlib import Path
from typing import Any

import msgpack
import pytest

from drivers.modbus.line_settings import ModbusTcpSettings
from drivers.transport.recording import CAME, RecordingSettings
from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from gateway.edge.wire_recording import WireRecording, prune, recordings
from pipeline.elements import read_registry
from tests.support.bench import until
from tests.support.commanding import yaosu
from tests.support.daemon import ADMINISTRATOR, PIN, rows, running
from tests.support.pains import Remote, registers
from tests.support.scripted import RealClock, tcp_instrument

TABLES = """
[recording]
enabled = true

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
    """A task from start to stop, with what the registry needs for it."""
    content = read_registry(REGISTRY)
    orders: list[tuple[str, str, dict[str, Any]]] = [
        ("registry.import", ADMINISTRATOR, {"records": content.records, "directory": content.directory}),
        ("task.start", "p-0002", {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]}),
    ]
    answer: dict[str, Any] = {}
    for name, person, args in orders:
        answer = await door.command(name, args, {"person": person, "pin": PIN, "station": "test"})
        assert answer["ok"], answer
    begun = await rows(door)

    async def more() -> bool:
        return await rows(door) >= begun + 40

    await until(more, "forty rows within the task")
    stop = {"task": answer["result"]["task"]}
    assert (await door.command("task.stop", stop, {"person": "p-0002", "pin": PIN, "station": "test"}))["ok"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Run a daemon over a task: its site file and its recording."""
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
    (file,) = recordings(folder / "state" / "wire")
    return folder / "gateway.toml", file


def test_rows_flags_and_all_that_the_elements_derived_come_out_again_bit_for_bit(
    recorded: tuple[Path, Path],
) -> None:
    site, file = recorded
    outcome = yaosu("replay", file, "--against", site, "--json")
    report = outcome.json
    assert report["differences"] == []
    assert outcome.code == 0
    assert report["rows"] >= 40
    assert report["other_rows"] == 0
    assert report["derived"] > 0
    assert report["late_flags"] > 0


def entries_of(file: Path) -> list[Any]:
    with gzip.open(file) as stream:
        return list(msgpack.Unpacker(stream))


def test_one_changed_byte_is_told_with_its_record(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    site, file = recorded
    entries = entries_of(file)
    answers = [entry for entry in entries[1:] if entry[0] == CAME and len(entry[4]) == 13]
    answers[20][4] = answers[20][4][:-1] + bytes([answers[20][4][-1] ^ 1])
    forged = tmp_path / "forged.wire"
    with gzip.open(forged, "wb") as stream:
        stream.write(b"".join(msgpack.packb(entry) for entry in entries))
    outcome = yaosu("replay", forged, "--against", site)
    assert outcome.code == 1
    assert "the journal has" in outcome.err
    assert " 0 differences" not in outcome.out


def test_recordings_are_listed_and_copied(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    site, file = recorded
    (listed,) = yaosu("wire", "list", "-c", site, "--json").json
    assert (listed["name"], listed["instruments"]) == (file.name, ["meter-1", "p-1"])
    copy = tmp_path / "bug.wire"
    assert yaosu("wire", "export", file.name, copy, "-c", site).code == 0
    assert copy.read_bytes() == file.read_bytes()
    assert yaosu("wire", "export", file.name, copy, "-c", site).code == 2
    assert yaosu("wire", "export", "other.wire", tmp_path / "x", "-c", site).code == 2


def test_old_recordings_go_and_those_that_leave_no_room(tmp_path: Path) -> None:
    settings = RecordingSettings(bytes_max=2 * 1024 * 1024, keep_days=7.0)
    for name, age_days, size in (("a", 9, 10), ("b", 3, 700_000), ("c", 2, 700_000), ("d", 1, 300_000)):
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
    ended: list[str] = []
    recording = WireRecording(tmp_path, settings, instruments, RealClock(), ended.append)
    recording.close()
    assert [one["id"] for one in entries_of(recording.path)[0][3]] == ["a", "c"]
    assert not ended
