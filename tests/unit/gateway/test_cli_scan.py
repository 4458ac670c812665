"""`scan` and what `read` and `profile` say at the bench, on real ptys and sockets."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from config import Exit
from drivers.modbus.profiles import FOLDER
from drivers.transport.ports import holder_of, list_serial_ports
from tests.support.commanding import process, yaosu
from tests.support.scripted import mbap, pty_instrument, registers_pdu, rtu, tcp_instrument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SITE = '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n'
IDENTITY = bytes([0x2B, 0x0E, 1, 1, 0, 0, 3]) + b"".join(
    bytes([number, len(text)]) + text for number, text in enumerate([b"Yaosu SIM", b"TH-1", b"2.0"])
)
FAST = ("--yes", "--json", "--timeout-s", "0.03", "--baudrates", "115200")


def rtu_units(
    answers: dict[int, dict[int, bytes]], asked: list[bytes]
) -> Callable[[bytes], list[tuple[float, bytes]]]:
    """Answer a unit's function with a PDU; what is not in the table stays silent."""

    def answer(data: bytes) -> list[tuple[float, bytes]]:
        asked.append(data)
        pdu = answers.get(data[0], {}).get(data[1])
        return [] if pdu is None else [(0.0, rtu(data[0], pdu))]

    return answer


async def test_units_on_a_line_are_found_by_reading_alone() -> None:
    asked: list[bytes] = []
    units = {2: {0x2B: IDENTITY}, 3: {4: registers_pdu(4, [7])}, 5: {3: bytes([0x83, 2])}}
    async with pty_instrument(rtu_units(units, asked)) as line:
        told = await asyncio.to_thread(yaosu, "scan", "--probe", line.path, "--units", "1-3,5", *FAST)
    assert told.code == 0
    found = {each["unit"]: each for each in told.json}
    assert list(found) == [2, 3, 5]
    assert (found[2]["vendor"], found[2]["model"], found[2]["revision"]) == ("Yaosu SIM", "TH-1", "2.0")
    assert found[3]["by"] == "function 4"
    assert found[5]["by"] == "function 3 refused with exception 2 (illegal address)"
    assert all(each["baudrate"] == 115200 and each["answer_delay_ms"] >= 0 for each in told.json)
    # Identification, holding, input, in this order, one register each: nothing that writes.
    assert [frame[1:-2] for frame in asked if frame[0] == 1] == [
        bytes([0x2B, 0x0E, 1, 0]), bytes([3, 0, 0, 0, 1]), bytes([4, 0, 0, 0, 1]),
    ]  # fmt: skip
    assert {frame[1] for frame in asked} <= {0x2B, 3, 4}
    assert "Reads only" in told.err


async def test_units_behind_an_address_are_found_and_closing_at_a_foreign_unit_is_no_answer() -> None:
    def answers(data: bytes) -> list[tuple[float, bytes]]:
        transaction, unit = int.from_bytes(data[:2], "big"), data[6]
        return [(0.0, mbap(transaction, unit, IDENTITY) if unit == 1 else b"")]

    async with tcp_instrument(answers) as device:
        target = f"127.0.0.1:{device.port}"
        told = await asyncio.to_thread(yaosu, "scan", "--probe", target, "--units", "0-2", *FAST)
    assert (told.code, [each["unit"] for each in told.json]) == (0, [1])
    assert told.json[0]["baudrate"] is None


async def test_a_silent_line_ends_with_1_and_says_what_to_check() -> None:
    async with pty_instrument(lambda _: []) as line:
        told = await asyncio.to_thread(yaosu, "scan", "--probe", line.path, "--units", "1", *FAST)
    assert (told.code, told.json) == (Exit.FINDINGS, [])
    assert "no unit answered" in told.err


async def test_nothing_is_asked_of_a_line_without_consent() -> None:
    asked: list[bytes] = []
    async with pty_instrument(rtu_units({}, asked)) as line:
        told = await asyncio.to_thread(yaosu, "scan", "--probe", line.path)
    assert told.code == Exit.USAGE
    assert "Will ask 32 units" in told.err
    assert "say --yes" in told.err
    assert asked == []


async def test_ctrl_c_ends_a_scan_at_once_and_shows_what_was_found(tmp_path: Path) -> None:
    silent = asyncio.Event()

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        if data[0] == 1:
            return [(0.0, rtu(1, IDENTITY))]
        silent.set()
        return []

    async with pty_instrument(answers) as line:
        scan = process(
            "scan", "--probe", line.path, "--yes", "--json", "--units", "1-247", "--timeout-s", "10",
            folder=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            await silent.wait()
        scan.send_signal(signal.SIGINT)
        out, _ = await asyncio.to_thread(scan.communicate, timeout=9)
    assert scan.returncode == 130
    assert [each["unit"] for each in json.loads(out)] == [1]


@pytest.mark.parametrize(
    "wrong", [("--units", "0"), ("--units", "5-2"), ("--units", "x"), ("--baudrates", "9"), ("--parity", "X")]
)
def test_wrong_options_of_a_scan_are_usage_errors(wrong: tuple[str, str]) -> None:
    assert yaosu("scan", "--probe", "/dev/ttyUSB99", "--yes", *wrong).code == Exit.USAGE


def test_a_port_or_address_that_is_not_there_is_unavailable() -> None:
    assert yaosu("scan", "--probe", "/dev/ttyUSB99", "--yes").code == Exit.UNAVAILABLE
    assert yaosu("scan", "--probe", "127.0.0.1:1", "--yes").code == Exit.UNAVAILABLE


def test_ports_are_listed_by_their_stable_names(tmp_path: Path) -> None:
    dev = tmp_path.resolve() / "dev"
    for name in ("ttyUSB0", "ttyUSB1", "ttyS0"):
        (dev / name).parent.mkdir(parents=True, exist_ok=True)
        (dev / name).touch()
    for kind, name, target in (
        ("by-id", "usb-FTDI_A1-if00-port0", "ttyUSB1"),
        ("by-path", "pci-0-usb-0:1:1.0-port0", "ttyUSB1"),
        ("by-path", "pci-0-usb-0:2:1.0-port0", "ttyUSB0"),
    ):
        (dev / "serial" / kind).mkdir(parents=True, exist_ok=True)
        (dev / "serial" / kind / name).symlink_to(dev / target)
    found = list_serial_ports(dev, lambda: {dev / "ttyS0": "16550A", dev / "ttyUSB1": "FT232R"})
    assert [(each.name.name, each.device.name, each.about) for each in found] == [
        ("usb-FTDI_A1-if00-port0", "ttyUSB1", "FT232R"),
        ("pci-0-usb-0:2:1.0-port0", "ttyUSB0", ""),
        ("ttyS0", "ttyS0", "16550A"),
    ]
    assert isinstance(yaosu("scan", "--json").json, list)


async def test_a_port_that_another_program_holds_is_the_cause_that_is_named(tmp_path: Path) -> None:
    site = tmp_path / "gateway.toml"
    async with pty_instrument(lambda _: []) as line:
        site.write_text(
            SITE + f'[[instrument]]\nid = "th"\ndriver = "modbus-rtu"\nport = "{line.path}"\n'
            'source = "simulated"\nchannels = [{ name = "t", address = 0 }]\n'
        )
        assert holder_of(line.path) is None
        held = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            read = await asyncio.to_thread(yaosu, "read", "-c", site, "th")
            scan = await asyncio.to_thread(yaosu, "scan", "--probe", line.path, "--yes")
        finally:
            os.close(held)
    assert read.code == scan.code == Exit.UNAVAILABLE
    assert f"{line.path} of th is in use by" in read.err
    assert f"{line.path} is in use by" in scan.err
    assert "check power" not in read.err


def test_the_program_that_holds_a_port_is_named_with_its_process(tmp_path: Path) -> None:
    port = tmp_path.resolve() / "port"
    port.touch()
    proc = tmp_path / "proc"
    for number, target in ((17, "elsewhere"), (42, "port")):
        (proc / f"{number}/fd").mkdir(parents=True)
        (proc / f"{number}/fd/5").symlink_to(tmp_path.resolve() / target)
        (proc / f"{number}/cmdline").write_bytes(b"/opt/bin/yaosu\0run\0-c\0gateway.toml\0")
    with port.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert holder_of(port, proc) == "'yaosu run -c gateway.toml' (process 42)"
        assert "fuser" in (holder_of(port, tmp_path / "none") or "")
    assert holder_of(port, proc) is None


async def test_orders_shows_a_channel_and_its_neighbours_even_where_one_is_refused(tmp_path: Path) -> None:
    words = {10: 0x4366, 11: 0x8000, 12: 0x0000}

    def answers(data: bytes) -> list[tuple[float, bytes]]:
        transaction, unit, function = int.from_bytes(data[:2], "big"), data[6], data[7]
        first, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        wanted = range(first, first + count) if function == 4 else ()
        if wanted and all(each in words for each in wanted):
            return [(0.0, mbap(transaction, unit, registers_pdu(4, [words[each] for each in wanted])))]
        return [(0.0, mbap(transaction, unit, bytes([function | 0x80, 2])))]

    site = tmp_path / "gateway.toml"
    async with tcp_instrument(answers) as device:
        site.write_text(
            SITE + '[[instrument]]\nid = "meter"\ndriver = "modbus-tcp"\nhost = "127.0.0.1"\n'
            f'port = {device.port}\nsource = "simulated"\n'
            '[[instrument.channels]]\nname = "voltage"\ntable = "input"\naddress = 10\ntype = "float32"\n'
            "low = 180.0\nhigh = 260.0\n"
            '[[instrument.channels]]\nname = "alarm"\naddress = 20\ntype = "bool"\nbit = 1\n'
        )
        told = await asyncio.to_thread(yaosu, "read", "-c", site, "meter", "--orders", "voltage", "--json")
        bit = await asyncio.to_thread(yaosu, "read", "-c", site, "meter", "--orders", "alarm")
        typo = await asyncio.to_thread(yaosu, "read", "-c", site, "meter", "--orders", "volt")
    assert told.code == 0
    assert [(each["address"], each["order"], each["value"]) for each in told.json if each["plausible"]] == [
        (10, "ABCD", 230.5)
    ]
    assert {each["address"] for each in told.json} == {10, 11}
    assert "not given by the device: 9" in told.err
    assert (bit.code, typo.code) == (Exit.USAGE, Exit.USAGE)
    assert "did you mean 'voltage'?" in typo.err


def test_profiles_are_listed_shown_copied_checked_and_imported(tmp_path: Path) -> None:
    assert "hmp110" in [each["name"] for each in yaosu("profile", "list", "--json").json]
    assert "Vaisala" in yaosu("profile", "show", "hmp110").out
    assert yaosu("profile", "show", "hmp111").code == Exit.CONFIG
    used = yaosu("profile", "use", "hmp110", "--id", "room-1", "--port", "/dev/ttyUSB0", "--interval-s", "5")
    site = tmp_path / "gateway.toml"
    site.write_text(SITE.replace("rehearsal", "production") + used.out)
    assert tomllib.loads(used.out)["instrument"][0]["poll_interval_s"] == 5.0
    assert yaosu("check", site).code == 0
    assert yaosu("profile", "use", "hmp110", "--id", "room-1", "--host", "192.0.2.1").code == Exit.USAGE
    assert yaosu("profile", "use", "thermo-49iq", "--id", "o3", "--port", "x").code == Exit.USAGE
    assert yaosu("profile", "lint", FOLDER / "sdm630.toml").code == 0
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[profile]\nname = 3\n")
    lint = yaosu("profile", "lint", FOLDER / "xy-md02.toml", wrong)
    assert lint.code == Exit.CONFIG
    assert "xy-md02.toml: good, 2 to look at" in lint.out
    assert "wrong.toml:2:8: error[E011]" in lint.err
    model = FOLDER / "sunspec/model_203.json"
    made = yaosu("profile", "import", "sunspec", model, "--base", "50000")
    assert tomllib.loads(made.out)["channels"][0]["address"] == 50002
    assert yaosu("profile", "import", "csv", model).code == Exit.CONFIG


def test_a_number_is_shown_under_all_orders() -> None:
    shown = yaosu("profile", "plausible", "43 66 80 00", "--type", "float32", "--json").json
    assert [each["value"] for each in shown if each["plausible"]] == [230.5]
    assert {each["type"] for each in yaosu("profile", "plausible", "0102", "--json").json} == {
        "int16", "uint16", "float16", "bcd16",
    }  # fmt: skip
    for wrong in (["xx"], ["01"], ["0102", "--type", "float32"], ["0102", "--type", "word"]):
        assert yaosu("profile", "plausible", *wrong).code == Exit.USAGE
