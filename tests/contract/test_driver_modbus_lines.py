"""Lines beside plain TCP and RTU over serial, on real sockets and ptys: UDP, TLS, RTU over TCP, ASCII."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers import DRIVERS, open_drivers
from drivers.door import Driver
from pipeline.records import Status
from tests.support.certificates import write_certificate
from tests.support.scripted import (
    RealClock,
    crc16,
    events,
    mbap,
    pty_instrument,
    registers_pdu,
    rows,
    rtu,
    run_for,
    seeded,
    status,
    take,
    tcp_instrument,
    value,
)  # fmt: skip


def truth(pdu: bytes) -> bytes:
    """Answer as a device whose register at address a holds 1000 + a; it cannot identify itself."""
    if pdu[0] == 0x2B:
        return bytes([0xAB, 1])
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    return registers_pdu(pdu[0], [1000 + at for at in range(address, address + count)])


def answer_mbap(data: bytes) -> bytes:
    return mbap(int.from_bytes(data[:2], "big"), data[6], truth(data[7:]))


def answer_rtu(data: bytes) -> bytes:
    assert crc16(data[:-2]) == data[-2:]
    return rtu(data[0], truth(data[1:-2]))


def ascii_line(body: bytes) -> bytes:
    return b":" + (body + bytes([-sum(body) % 256])).hex().upper().encode() + b"\r\n"


def answer_ascii(data: bytes) -> bytes:
    body = bytes.fromhex(data[1:-2].decode())
    assert sum(body) % 256 == 0
    return ascii_line(body[:1] + truth(body[1:-1]))


def driver_of(driver: str, **other: Any) -> Driver:
    settings = DRIVERS[driver].settings.model_validate(
        {
            "id": "device", "driver": driver, "poll_interval_s": 0.05, "timeout_s": 0.3,
            "channels": [{"name": "a", "address": 0}, {"name": "far", "address": 40}], **other,
        }
    )  # fmt: skip
    (made,) = open_drivers([settings], RealClock(), seeded())
    return made


async def three_rows(driver: Driver) -> None:
    items = await take(driver, lambda items: len(rows(items)) == 3)
    for block in rows(items):
        assert [value(block, name) for name in ("a", "far")] == [1000, 1040]


class UdpDevice(asyncio.DatagramProtocol):
    """Answers datagrams; the first `deaf` ones get lost."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf = deaf

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.deaf:
            self.deaf -= 1
        else:
            self.transport.sendto(answer_mbap(data), addr)


@asynccontextmanager
async def udp_device(deaf: int = 0) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: UdpDevice(deaf), local_addr=("127.0.0.1", 0)
    )  # fmt: skip
    yield transport.get_extra_info("sockname")[1]
    transport.close()
    await asyncio.sleep(0)


async def test_over_udp() -> None:
    async with udp_device() as port:
        await three_rows(driver_of("modbus-udp", host="127.0.0.1", port=port))


async def test_a_lost_datagram_is_a_missing_row_and_the_next_one_is_good() -> None:
    async with udp_device(deaf=3) as port:
        driver = driver_of("modbus-udp", host="127.0.0.1", port=port, read_identity=False)
        items = await take(driver, lambda items: status(rows(items)[-1], "a") == 0 if rows(items) else False)
    assert status(rows(items)[0], "a") == Status.NO_ANSWER
    assert value(rows(items)[-1], "far") == 1040


async def test_nobody_at_a_udp_port_is_told_as_unreachable() -> None:
    async with udp_device() as port:
        pass
    driver = driver_of("modbus-udp", host="127.0.0.1", port=port)
    items = await take(driver, lambda items: events(items, "instrument-lost"))
    assert "cannot be reached" in events(items, "instrument-lost")[0].args["error"]  # type: ignore[operator]


@pytest.mark.parametrize("noise", [b"", b"\x00", b"\xff\x00\x55", bytes([1, 3, 200])])
async def test_rtu_frames_through_tcp_and_noise_before_an_answer_costs_nothing(noise: bytes) -> None:
    async with tcp_instrument(lambda data: [(0.0, noise + answer_rtu(data))]) as device:
        await three_rows(driver_of("modbus-rtu-tcp", host="127.0.0.1", port=device.port))


@pytest.mark.parametrize("noise", [b"", b"\x00\x7f", b":0103\r\n"])
async def test_ascii_on_a_pty(noise: bytes) -> None:
    async with pty_instrument(lambda data: [(0.0, noise + answer_ascii(data))]) as line:
        await three_rows(driver_of("modbus-ascii", port=str(line.path), bytesize=8, baudrate=115200))


@pytest.fixture
def tls_folder(tmp_path: Path) -> Path:
    write_certificate(tmp_path)
    return tmp_path


@asynccontextmanager
async def tls_device(folder: Path) -> AsyncIterator[int]:
    """A device that wants to see a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "certificate.pem"))
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while data := await reader.read(4096):
                writer.write(answer_mbap(data))
        except OSError:
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    while tasks:
        await asyncio.gather(*tasks)


async def test_over_tls_with_a_certificate_of_our_own(tls_folder: Path) -> None:
    certificate, key = (str(tls_folder / name) for name in ("certificate.pem", "key.pem"))
    tls = {"ca_file": certificate, "certificate_file": certificate, "key_file": key}
    async with tls_device(tls_folder) as port:
        await three_rows(driver_of("modbus-tcp", host="127.0.0.1", port=port, tls=tls))


async def test_a_certificate_that_nobody_vouches_for_is_told_and_nothing_is_read(
    tls_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    write_certificate(other)
    async with tls_device(tls_folder) as port:
        driver = driver_of(
            "modbus-tcp", host="127.0.0.1", port=port, tls={"ca_file": str(other / "certificate.pem")}
        )
        items = await take(driver, lambda items: events(items, "instrument-lost"))
    told = events(items, "instrument-lost")[0].args
    assert "secure connection" in str(told["error"])
    assert "ca_file" in str(told["hint"])
    assert not rows(items)


async def test_units_are_dealt_over_the_connections_that_a_device_allows() -> None:
    async with tcp_instrument(lambda data: [(0.0, answer_mbap(data))]) as device:
        settings = [
            DRIVERS["modbus-tcp"].settings.model_validate(
                {
                    "id": f"unit-{unit}", "host": "127.0.0.1", "port": device.port, "unit": unit,
                    "connections": 2, "poll_interval_s": 0.1, "channels": [{"name": "a", "address": 0}],
                }
            )
            for unit in (1, 2, 3)
        ]  # fmt: skip
        results = await run_for(open_drivers(settings, RealClock(), seeded()), 0.5)
        assert device.connections == 2
    assert all(value(block, "a") == 1000 for items in results for block in rows(items))
