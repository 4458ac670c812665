"""Wire recordings: every byte of every line with its time, in a file that is bounded and compressed.

A file is a gzip stream of msgpack arrays. The first is the head, the others are `Entry` rows in the order in
which things happened. A file that was cut off, by its bound or by a crash, is read up to the cut.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgpack
from pydantic import Field

from config.model import Identifier, Settings
from drivers.errors import Fatal
from drivers.transport.wire import Stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from drivers.transport.wire import Wire

LOG = logging.getLogger(__name__)
FORMAT = "yaosu-wire"
VERSION = 1
BYTES_MAX = 64 * 1024 * 1024
"""Bound of a recording, compressed, unless told otherwise."""
FLUSH_BYTES = 64 * 1024
"""Uncompressed bytes between two flushes: what a crash can cost."""

Connect = "Callable[[], Awaitable[Wire]]"
OPENED, LEASED, SENT, CAME, LOST, NOTED = "opened", "leased", "sent", "came", "lost", "noted"


class RecordingSettings(Settings):
    """Recordings of every byte on the lines, with its time: one file for each run of the daemon."""

    enabled: bool = False
    """Whether the daemon records."""

    instruments: tuple[Identifier, ...] = ()
    """Those whose lines are recorded, with every other instrument of such a line; all when left out."""

    bytes_max: Annotated[int, Field(ge=1024 * 1024, le=2**40)] = 256 * 1024 * 1024
    """All recordings together, compressed. A run's recording ends at half of it; older ones make room."""

    keep_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """Recordings that were not written to for so long are deleted at the next start."""


class Entry(NamedTuple):
    """One thing that happened on a line."""

    kind: str
    line: int
    """Position of the line, in the order in which lines were made; -1 for a note."""
    utc_ns: int
    run_ns: int
    data: Any
    """The bytes that were sent or came; of `leased` the gateway time until which; of `lost` the reason; of
    `noted` a map."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a recording begins with."""

    instruments: list[dict[str, Any]]
    """Settings of the instruments, as the site file has them."""
    program: str


class WireRecorder:
    """Writes one recording.

    Bound: `bytes_max` of the file; when it is full, recording ends, and the end says so. Thread-safe: no.

    Args:
        path: of the new file; one that is there is not overwritten.
        head: what it begins with.
        bytes_max: bound of the file.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, head: Head, *, bytes_max: int = BYTES_MAX) -> None:
        self._raw = path.open("xb")
        self._stream = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)
        self._bytes_max = bytes_max
        self._unflushed = 0
        self._lines = 0
        self.full = False
        self._put([FORMAT, VERSION, head.program, head.instruments])

    def connect(self, connect: Callable[[], Awaitable[Wire]]) -> Callable[[], Awaitable[Wire]]:
        """Return a way to connect that records what goes over the wire."""
        line = self._lines
        self._lines += 1

        async def recorded() -> Wire:
            wire = await connect()
            tap = _LineTap(self, line)
            tap.opened(wire.inbox.now())
            wire.inbox.tap = tap
            return wire

        return recorded

    def note(self, at: Stamp, content: dict[str, Any]) -> None:
        """Write down something that no line shows: a gap, an instrument that was lost."""
        self.write(Entry(NOTED, -1, *at, content))

    def write(self, entry: Entry) -> None:
        """Write one entry, unless the file is full. A disk that fails ends the recording, nothing else."""
        if self.full:
            return
        try:
            self._put(list(entry))
            if self._raw.tell() >= self._bytes_max:
                self._end(f"{self._raw.name} is full at {self._bytes_max} bytes")
        except OSError as error:
            self._end(f"{self._raw.name} cannot be written: {error}")

    def close(self) -> None:
        """End the file; closing twice is harmless."""
        try:
            self._stream.close()
        except OSError as error:
            LOG.warning("%s was not ended: %s", self._raw.name, error)
        self._raw.close()

    def _end(self, why: str) -> None:
        LOG.warning("the wire recording ends here: %s", why)
        self.full = True

    def _put(self, row: list[Any]) -> None:
        packed = msgpack.packb(row)
        self._stream.write(packed)
        self._unflushed += len(packed)
        if self._unflushed >= FLUSH_BYTES:
            self._stream.flush(zlib.Z_SYNC_FLUSH)
            self._unflushed = 0


class _LineTap:
    """Writes what one line says."""

    def __init__(self, recorder: WireRecorder, line: int) -> None:
        self._recorder = recorder
        self._line = line

    def opened(self, at: Stamp) -> None:
        self._recorder.write(Entry(OPENED, self._line, *at, None))

    def leased(self, at: Stamp, until_run_ns: int) -> None:
        self._recorder.write(Entry(LEASED, self._line, *at, until_run_ns))

    def sent(self, at: Stamp, data: bytes) -> None:
        self._recorder.write(Entry(SENT, self._line, *at, bytes(data)))

    def came(self, at: Stamp, data: bytes) -> None:
        self._recorder.write(Entry(CAME, self._line, *at, bytes(data)))

    def lost(self, at: Stamp, reason: str) -> None:
        self._recorder.write(Entry(LOST, self._line, *at, reason))


def read_recording(path: Path) -> tuple[Head, Iterator[Entry]]:
    """Open a recording.

    Raises:
        OSError: it cannot be read.
        Fatal: it is none, or one of a later version.
    """
    rows = _rows(path)
    try:
        mark, version, program, instruments = next(rows)
    except (StopIteration, ValueError, TypeError):
        mark, version, program, instruments = None, 0, "", []
    if mark != FORMAT:
        raise Fatal(
            f"{path} is no wire recording", hint="make one: yaosu read INSTRUMENT --watch --record FILE"
        )
    if version > VERSION:
        raise Fatal(f"{path} is of version {version}", hint="replay it with a newer yaosu")
    return Head(instruments, program), (Entry(*row) for row in rows)


def _rows(path: Path) -> Iterator[list[Any]]:
    """Yield the arrays of a file up to its end, or to where it is cut or damaged."""
    unpacker = msgpack.Unpacker(max_buffer_size=2**26)
    with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
        while True:
            try:
                piece = stream.read1(FLUSH_BYTES)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                piece = b""
            if not piece:
                return
            unpacker.feed(piece)
            yield from unpacker
