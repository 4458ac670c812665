"""A TCP proxy that does what networks do: delays, slices, cuts, resets, and leaves connections half open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from types import TracebackType

Mode = Literal["clear", "slow", "slice", "half-open", "cut"]
CHUNK_BYTES = 65536
SLOW_S = 0.2
SLICE_BYTES = 7
_LINGER_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST (socket(7))."""


class Eye(Protocol):
    """Watches one connection through the proxy and may end its server at an exact byte."""

    def look(self, data: bytes, *, to_server: bool) -> int | None:
        """Take what has come and is not passed on yet; None, or after how many bytes to strike."""
        ...

    def strike(self) -> None:
        """End the server, now."""
        ...


class TcpProxy:
    """Listens on a loopback port of its own and passes bytes on to another one.

    `clear` passes; `slow` delays each piece by up to SLOW_S; `slice` passes a few bytes at a time;
    `half-open` reads and passes nothing on, so that neither side learns of it; `cut` refuses, and ends what
    there is.
    """

    def __init__(self, target_port: int, random: Random, eye: Callable[[], Eye] | None = None) -> None:
        self.mode: Mode = "clear"
        self.port = 0
        self._target_port = target_port
        self._random = random
        self._eye = eye
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def become(self, mode: Mode) -> None:
        """Change the mode for what comes from now on."""
        self.mode = mode
        if mode == "cut":
            self.reset()

    def reset(self) -> None:
        """End every connection with a reset, in the middle of whatever it carries."""
        for writer in list(self._writers):
            end: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self.mode == "cut":
                return
            with contextlib.suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                self._writers.add(far_writer)
                try:
                    eye = None if self._eye is None else self._eye()
                    await asyncio.gather(
                        self._pass(reader, far_writer, eye, to_server=True),
                        self._pass(far_reader, writer, eye, to_server=False),
                    )
                finally:
                    self._writers.discard(far_writer)
                    far_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, eye: Eye | None, *, to_server: bool
    ) -> None:  # fmt: skip
        """Carry one direction until it ends; then the other side hears of it."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                end = None if eye is None else eye.look(data, to_server=to_server)
                await self._carry(writer, data if end is None else data[:end])
                if eye is not None and end is not None:
                    eye.strike()
                    return
            writer.write_eof()

    async def _carry(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.mode == "half-open":
            return
        if self.mode == "slow":
            await asyncio.sleep(self._random.uniform(0, SLOW_S))
        step = SLICE_BYTES if self.mode == "slice" else max(1, len(data))
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self.mode == "slice" and start > 50 * SLICE_BYTES:
                writer.write(data[start + step :])  # small pieces are the point, not slowness
                return
