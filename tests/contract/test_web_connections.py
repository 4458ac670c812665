"""The pages on a real socket: what hangs on it without asking, and how many may."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway import web
from gateway.door import socket_server
from gateway.site import load_site
from tests.support.bench import until
from tests.support.collecting import embedded_store
from tests.support.commanding import WAIT_S
from tests.support.services import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"
state_dir = "state"
[store]
kind = "embedded"
path = "store.sqlite"
[web]
port = {port}
"""
ASK = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def pages(folder: Path) -> AsyncIterator[int]:
    """Serve the pages of a site; gives their port once they answer."""
    port, stop = free_port(), asyncio.Event()
    path = folder / "gateway.toml"
    path.write_text(SITE.format(port=port), encoding="utf-8")
    async with embedded_store(folder):  # the collector makes the store; the pages only read it
        serving = asyncio.create_task(web.run_web(load_site(path), stop))
        try:
            await until(lambda: answer(port), "the pages answer")
            yield port
        finally:
            stop.set()
            await serving


async def answer(port: int) -> bytes:
    """Ask for a page; nothing where nobody listens yet."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return b""
    writer.write(ASK)
    told = await reader.read()
    writer.close()
    return told


async def test_a_caller_that_never_asks_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_server, "SILENT_S", 0.05)
    async with pages(tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("part", [
    b"GET /login HTTP/1.1\r\nHost:",
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site:same-origin\r\nContent-Length: 99\r\n\r\na=",
    b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nPOST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\na=",
])  # fmt: skip
async def test_a_request_that_never_ends_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: bytes
) -> None:
    monkeypatch.setattr(socket_server, "SILENT_S", 1000)
    monkeypatch.setattr(socket_server, "REQUEST_S", 0.1)
    async with pages(tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(part)
        async with asyncio.timeout(WAIT_S):
            while await reader.read(65536):
                writer.write(b"x")  # a byte now and then is no request
        writer.close()
        await answer(port)
    assert not caplog.records, "a caller who left is no failure"


async def test_a_whole_request_may_be_answered_for_longer_than_it_may_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pages(tmp_path) as port:
        monkeypatch.setattr(socket_server, "REQUEST_S", 0.0)
        assert (await answer(port)).startswith(b"HTTP/1.1 200")


async def test_connections_are_bounded_and_one_too_many_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "CONNECTIONS_MAX", 4)
    async with pages(tmp_path) as port:
        held = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(4)]
        assert (await answer(port)).startswith(b"HTTP/1.1 503")
        for writer in held:
            writer.close()
            await writer.wait_closed()
