"""How records lie in a segment file: a header, then frames. Pure functions over bytes.

    file header  64 bytes  magic, version, journal id, first seq, checksum, zeros
    frame header 28 bytes  magic, payload length, seq, seq that was durable when this was written, checksum
    payload                the record's bytes

The checksum is CRC-32 (zlib) with a seed that is not zero, over the frame header's fields and the payload;
together with the magic it makes zeros invalid. The durable seq in each frame tells recovery which earlier
records had been promised: bytes that cannot be read before it are damage, after it a torn tail.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

FILE_MAGIC = b"YAOSUSEG"
FILE_VERSION = 1
FILE_HEADER_BYTES = 64
FRAME_MAGIC = b"\xf5YR\x1a"
RECORD_BYTES_MAX = 16 * 2**20
CRC_SEED = 0x59616F73

_FILE = struct.Struct("<8sH16sQ")
_FRAME = struct.Struct("<4sIQq")
_CRC = struct.Struct("<I")
SEAL_BYTES = 8 + _CRC.size
"""Of the head of a state file, behind its magic."""
FRAME_HEADER_BYTES = _FRAME.size + _CRC.size


def checksum(*parts: bytes | memoryview) -> int:
    """CRC-32 with the journal's seed over the parts, joined."""
    crc = CRC_SEED
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def file_header(journal: bytes, first_seq: int) -> bytes:
    """Return the 64 bytes that a segment file begins with."""
    fields = _FILE.pack(FILE_MAGIC, FILE_VERSION, journal, first_seq)
    return (fields + _CRC.pack(checksum(fields))).ljust(FILE_HEADER_BYTES, b"\0")


def read_file_header(data: bytes) -> tuple[bytes, int] | None:
    """Return (journal id, first seq) of a segment file's header; None when it is damaged."""
    fields = data[: _FILE.size]
    if len(data) < FILE_HEADER_BYTES:
        return None
    magic, version, journal, first_seq = _FILE.unpack(fields)
    (crc,) = _CRC.unpack_from(data, _FILE.size)
    if magic != FILE_MAGIC or version != FILE_VERSION or crc != checksum(fields):
        return None
    return journal, first_seq


def frame_header(seq: int, durable_seq: int, payload: bytes) -> bytes:
    """Return what goes before one record."""
    fields = _FRAME.pack(FRAME_MAGIC, len(payload), seq, durable_seq)
    return fields + _CRC.pack(checksum(fields, payload))


def frame(seq: int, durable_seq: int, payload: bytes) -> bytes:
    """Frame one record."""
    return frame_header(seq, durable_seq, payload) + payload


def belongs(header: bytes, payload: bytes) -> bool:
    """Check a frame header against the record that it goes before."""
    _, length, _, _ = _FRAME.unpack_from(header)
    (crc,) = _CRC.unpack_from(header, _FRAME.size)
    sound: bool = length == len(payload) and crc == checksum(header[: _FRAME.size], payload)
    return sound


class Entry(NamedTuple):
    """Where one record lies in a segment file."""

    seq: int
    durable_seq: int
    """What was durable when this frame was written."""
    offset: int
    """Of the frame."""
    end: int


def parse(data: memoryview, offset: int) -> Entry | None:
    """Check the frame at `offset`; None when there is no whole and undamaged one."""
    start = offset + FRAME_HEADER_BYTES
    if start > len(data):
        return None
    magic, length, seq, durable_seq = _FRAME.unpack_from(data, offset)
    end = start + length
    if magic != FRAME_MAGIC or length > RECORD_BYTES_MAX or end > len(data):
        return None
    (crc,) = _CRC.unpack_from(data, offset + _FRAME.size)
    if crc != checksum(data[offset : offset + _FRAME.size], data[start:end]):
        return None
    return Entry(seq, durable_seq, offset, end)


def payload(data: bytes | memoryview, entry: Entry) -> bytes:
    """Return the record's bytes of a frame that was parsed."""
    return bytes(data[entry.offset + FRAME_HEADER_BYTES : entry.end])


class Damage(NamedTuple):
    """Bytes of a segment file that are no frame."""

    offset: int
    end: int
    seq: int
    """The seq that was expected there."""


def scan(data: bytes, first_seq: int) -> tuple[list[Entry], list[Damage]]:
    """Find every whole frame of a segment file, in order, and the bytes between that are none.

    Frames count only with seqs that rise from `first_seq`.
    """
    view, offset, expected = memoryview(data), FILE_HEADER_BYTES, first_seq
    entries: list[Entry] = []
    damages: list[Damage] = []
    while offset < len(data):
        entry = parse(view, offset)
        if entry is None or entry.seq < expected:
            entry = _next_frame(data, view, offset + 1, expected)
            damages.append(Damage(offset, len(data) if entry is None else entry.offset, expected))
            if entry is None:
                break
        entries.append(entry)
        expected, offset = entry.seq + 1, entry.end
    return entries, damages


def _next_frame(data: bytes, view: memoryview, offset: int, expected: int) -> Entry | None:
    while (offset := data.find(FRAME_MAGIC, offset)) >= 0:
        entry = parse(view, offset)
        if entry is not None and entry.seq >= expected:
            return entry
        offset += 1
    return None


def seal(magic: bytes, content: bytes) -> bytes:
    """Wrap a small state file: magic, length, checksum, content."""
    running = Seal(magic, len(content))
    running.add(content)
    return running.head() + content


class Seal:
    """What a state file begins with, found while its content goes by.

    Args:
        magic: of this kind of file.
        length: bytes of the content.
    """

    def __init__(self, magic: bytes, length: int) -> None:
        self._before = magic + struct.pack("<Q", length)
        self._crc = checksum(self._before)

    def add(self, part: bytes) -> None:
        """Go on over the next part of the content."""
        self._crc = zlib.crc32(part, self._crc)

    def head(self) -> bytes:
        """Return what stands before the content that went by."""
        return self._before + _CRC.pack(self._crc)


def sealed_length(magic: bytes, head: bytes) -> int | None:
    """Return how long the content behind a head is; None when it is of another kind."""
    if len(head) < len(magic) + SEAL_BYTES or not head.startswith(magic):
        return None
    length: int = struct.unpack_from("<Q", head, len(magic))[0]
    return length


def unseal(magic: bytes, data: bytes) -> bytes | None:
    """Return the content of a state file; None when it is damaged or of another kind."""
    content = data[len(magic) + SEAL_BYTES :]
    if sealed_length(magic, data) != len(content):
        return None
    found = Seal(magic, len(content))
    found.add(content)
    return content if data.startswith(found.head()) else None
