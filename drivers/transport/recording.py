"""Wire recordings: every byte of every line with its time, in files that are bounded and compressed.

A part is a gzip stream of msgpack arrays: the head, then `Entry` rows in the order in which things happened.
A recording is one part, or several one behind the other. Each part can be read without those before it: where
a line is used for the first time in a part, what its instruments know is written down (`kept`). A part that
was cut off, by a crash, is read up to the cut.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgpack
from pydantic import Field

from config.model import Identifier, Settings
from drivers.errors import Fatal
from drivers.transport.line import NO_POLL, Connect
from drivers.transport.wire import NS_PER_S, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from drivers.transport.wire import Wire

LOG = logging.getLogger(__name__)
FORMAT = "yaosu-wire"
VERSION = 2
"""1, before the first release, did not say what was kept and where nothing was heard."""
BYTES_MAX = 64 * 1024 * 1024
"""Bound of a recording, compressed, unless told otherwise."""
FLUSH_BYTES = 64 * 1024
"""Uncompressed bytes between two flushes: what a crash can cost."""
AGAIN_S = 60.0
"""A disk that failed is tried again after so long, where a recording has several parts."""

OPENED, LEASED, SENT, CAME, LOST, NOTED = "opened", "leased", "sent", "came", "lost", "noted"
WAITED, BEGUN, KEPT, LAPSED = "waited", "begun", "kept", "lapsed"
Kept: TypeAlias = dict[str, Any]
"""What an instrument and its line know from earlier polls, as msgpack takes it."""


class RecordingSettings(Settings):
    """Recordings of every byte on the lines, with its time: the newest are kept."""

    enabled: bool = False
    """Whether the daemon records."""

    instruments: tuple[Identifier, ...] = ()
    """Those whose lines are recorded, with every other instrument of such a line; all when left out."""

    bytes_max: Annotated[int, Field(ge=1024 * 1024, le=2**40)] = 256 * 1024 * 1024
    """All recordings together, compressed. The oldest part, a sixteenth of this, makes room for a new one."""

    keep_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """Parts that were not written to for so long are deleted when the next one begins."""


class Entry(NamedTuple):
    """One thing that happened on a line."""

    kind: str
    line: int
    """Position of the line, in the order in which lines were made; -1 for what concerns all of them."""
    utc_ns: int
    run_ns: int
    data: Any
    """The bytes that were sent or came; of `leased` and `waited` the gateway time until which; of `lost` the
    reason; of `noted` a map; of `kept` what the line and its instruments know; of `begun` the head of the
    part; of `lapsed` how many entries could not be written before it, and why."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a part begins with."""

    instruments: list[dict[str, Any]]
    """Settings of the instruments, as the site file has them."""
    program: str
    run: str = ""
    """Name of the run of the daemon; empty for a recording made by hand."""
    number: int = 0
    """Of the part within its run."""
    utc_ns: int = 0
    """When the part was begun; 0 where it is not told."""

    def follows(self, earlier: Head | None) -> bool:
        """Tell whether nothing lies between `earlier` and this part."""
        if earlier is None:
            return self.number == 0
        return (self.run, self.number) == (earlier.run, earlier.number + 1)


class _Part:
    """One file, while it is written."""

    def __init__(self, path: Path, head: Head) -> None:
        self.name = path.name
        self._raw = path.open("xb")
        self._stream = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=1, mtime=0)
        self._unflushed = 0
        self.put([FORMAT, VERSION, head.program, head.instruments, head.run, head.number, head.utc_ns])

    def put(self, row: list[Any]) -> int:
        """Write one row; return the size of the file. Raises OSError."""
        packed = msgpack.packb(row)
        self._stream.write(packed)
        self._unflushed += len(packed)
        if self._unflushed >= FLUSH_BYTES:
            self._stream.flush(zlib.Z_SYNC_FLUSH)
            self._unflushed = 0
        return self._raw.tell()

    def close(self) -> None:
        """End the file."""
        try:
            self._stream.close()
        except OSError as error:
            LOG.warning("%s was not ended: %s", self.name, error)
        self._raw.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts of a recording go."""

    path: Callable[[int], Path]
    """File of the part with this number; room has been made for it. May raise OSError."""
    bytes_max: int
    """Size at which a part is ended and the next one begun."""
    age_s_max: float
    """Age at which it is."""


class WireRecorder:
    """Writes one recording.

    Bound: `bytes_max` of the file; when it is full, recording ends, and the end says so. With `parts` another
    file is begun instead, and whoever names the files has the oldest make room. Thread-safe: no.

    Args:
        path: of the new file; one that is there is not overwritten.
        head: what it begins with.
        bytes_max: bound of the file.
        parts: where further files go.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(
        self, path: Path, head: Head, *, bytes_max: int = BYTES_MAX, parts: Parts | None = None
    ) -> None:
        self._head = head
        self._parts = parts
        self._bytes_max = bytes_max if parts is None else parts.bytes_max
        self._part: _Part | None = _Part(path, head)
        self._begun_run_ns: int | None = None
        self._lines: list[Connect] = []
        self._keepers: Mapping[Connect, Callable[[], Kept]] = {}
        self._known: dict[int, int] = {}
        """Number of the part in which each line was used last by a poll."""
        self._missed = 0
        self.why = ""
        """Why nothing is written now; empty while it is."""

    @property
    def full(self) -> bool:
        """Whether nothing is written now, because the file is full or the disk failed."""
        return self._part is None

    def connect(self, connect: Connect) -> Connect:
        """Return a way to connect that records what goes over the wire."""
        line = len(self._lines)

        async def recorded() -> Wire:
            wire = await connect()
            wire.inbox.tell(_LineTap(self, line))
            return wire

        self._lines.append(recorded)
        self._known[line] = self._head.number
        return recorded

    def keep(self, keepers: Mapping[Connect, Callable[[], Kept]]) -> None:
        """Learn, by the ways to connect, how to ask what the instruments of a line know."""
        self._keepers = keepers

    def leased(self, line: int, at: Stamp, until_run_ns: int) -> None:
        """Write that a line was taken, behind what its instruments know where a reader needs that."""
        if until_run_ns == NO_POLL:
            # What is done now is no part of what is played again: the next poll begins with what is known.
            self._known[line] = -1
        elif self._known[line] != self._head.number and not self.full:
            self._known[line] = self._head.number
            keeper = self._keepers.get(self._lines[line])
            if keeper is not None:
                self.write(Entry(KEPT, line, *at, keeper()))
        self.write(Entry(LEASED, line, *at, until_run_ns))

    def note(self, at: Stamp, content: dict[str, Any]) -> None:
        """Write down something that no line shows: a gap, an instrument that was lost."""
        self.write(Entry(NOTED, -1, *at, content))

    def write(self, entry: Entry) -> None:
        """Write one entry, unless the file is full. A disk that fails ends the recording, nothing else."""
        if self._begun_run_ns is None:
            self._begun_run_ns = entry.run_ns
        if self._part is None:
            self._try_again(entry)
        if self._part is None:
            self._missed += 1
            return
        try:
            size = self._part.put(list(entry))
            if size >= self._bytes_max or self._is_old(entry):
                self._end_part(entry)
        except OSError as error:
            self._stop(f"{self._part.name} cannot be written: {error}", entry.run_ns)

    def close(self) -> None:
        """End the file; closing twice is harmless."""
        if self._part is not None:
            self._part.close()

    def _is_old(self, entry: Entry) -> bool:
        begun_ns = self._begun_run_ns or 0
        return self._parts is not None and entry.run_ns - begun_ns >= self._parts.age_s_max * NS_PER_S

    def _end_part(self, entry: Entry) -> None:
        assert self._part is not None  # noqa: S101 - it was written to just now
        if self._parts is None:
            self._stop(f"{self._part.name} is full at {self._bytes_max} bytes", entry.run_ns)
            return
        self._part.close()
        self._begin_part(self._parts, entry)

    def _begin_part(self, parts: Parts, entry: Entry) -> None:
        """Begin the next file. Raises OSError."""
        number = self._head.number + 1
        old = self._head
        head = Head(old.instruments, old.program, old.run, number, entry.utc_ns)
        self._part = _Part(parts.path(number), head)
        self._head = head
        self._begun_run_ns = entry.run_ns

    def _try_again(self, entry: Entry) -> None:
        """Begin another file after a failure of the disk; it says what is missing."""
        since_ns = entry.run_ns - (self._begun_run_ns or 0)
        if self._parts is None or since_ns < AGAIN_S * NS_PER_S:
            return
        self._begun_run_ns = entry.run_ns
        try:
            self._begin_part(self._parts, entry)
        except OSError as error:
            LOG.warning("the wire recording cannot go on: %s", error)
            return
        assert self._part is not None  # noqa: S101 - it was begun just now
        self._part.put(list(Entry(LAPSED, -1, entry.utc_ns, entry.run_ns, [self._missed, self.why])))
        self._missed, self.why = 0, ""

    def _stop(self, why: str, run_ns: int) -> None:
        LOG.warning("the wire recording ends here: %s", why)
        if self._part is not None:
            self._part.close()
        self._part, self.why, self._begun_run_ns = None, why, run_ns


class _LineTap:
    """Writes what one line says."""

    def __init__(self, recorder: WireRecorder, line: int) -> None:
        self._recorder = recorder
        self._line = line

    def opened(self, at: Stamp) -> None:
        self._recorder.write(Entry(OPENED, self._line, *at, None))

    def leased(self, at: Stamp, until_run_ns: int) -> None:
        self._recorder.leased(self._line, at, until_run_ns)

    def sent(self, at: Stamp, data: bytes) -> None:
        self._recorder.write(Entry(SENT, self._line, *at, bytes(data)))

    def came(self, at: Stamp, data: bytes) -> None:
        self._recorder.write(Entry(CAME, self._line, *at, bytes(data)))

    def lost(self, at: Stamp, reason: str) -> None:
        self._recorder.write(Entry(LOST, self._line, *at, reason))

    def waited(self, at: Stamp, until_run_ns: int) -> None:
        self._recorder.write(Entry(WAITED, self._line, *at, until_run_ns))


def read_recording(path: Path) -> tuple[Head, Iterator[Entry]]:
    """Open a recording: the head of its first part, and all that follows, with `begun` before each part.

    Raises:
        OSError: it cannot be read.
        Fatal: it is none, or one of a later version.
    """
    rows = _rows(path)
    head = _head_of(next(rows, []), path)
    return head, _entries(head, rows, path)


def _head_of(row: list[Any], path: Path) -> Head:
    if len(row) < 4 or row[0] != FORMAT:
        raise Fatal(
            f"{path} is no wire recording", hint="make one: yaosu read INSTRUMENT --watch --record FILE"
        )
    if row[1] != VERSION:
        raise Fatal(f"{path} is of version {row[1]}, not {VERSION}", hint=f"replay it with {row[2]}")
    return Head(row[3], row[2], *row[4:7])


def _entries(head: Head, rows: Iterator[list[Any]], path: Path) -> Iterator[Entry]:
    yield Entry(BEGUN, -1, head.utc_ns, 0, head)
    for row in rows:
        if row[0] == FORMAT:
            head = _head_of(row, path)
            yield Entry(BEGUN, -1, head.utc_ns, 0, head)
        else:
            yield Entry(*row)


def join_parts(parts: list[Path], file: Path) -> None:
    """Copy parts, in their order, into one new recording; the end of a part that was cut is mended.

    Raises:
        OSError: something cannot be read or written.
    """
    with file.open("xb") as raw:
        for path in parts:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as stream:
                for row in _rows(path):
                    stream.write(msgpack.packb(row))


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
