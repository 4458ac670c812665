"""Unpacking many `data` records of the same instruments: what all of them repeat is unpacked once.

Every frame lists its channels. Unpacking 500 of them takes a hundred times as long as their values, so that
the list of an instrument's last record is taken again where the bytes are the same.

In one large record what is equal is one object: what a start records of a site of 100,000 channels would take
110 MB otherwise, each time that it is read.
"""

from __future__ import annotations

import marshal
import threading
from typing import Any, Generic, NamedTuple, TypeVar

import msgpack

SHARED_FROM_BYTES = 2048
"""Smaller records are unpacked as they are: looking for their channels takes as long."""
LARGE_FROM_BYTES = 256 * 1024
"""Records from here on are unpacked with equal maps and lists as one object."""
SHARED_TO_BYTES = 64 * 1024
"""What is larger in it is looked at no more: its parts are shared already."""
_MARSHAL_VERSION = 2
"""The last one whose bytes depend on nothing but the content; floats by their bits."""
KEPT = 256
"""Instruments of which something is remembered; the one remembered first goes first."""
_BODY = 11
"""Place of the body in an envelope."""
_NIL = b"\xc0"

_V = TypeVar("_V")


class Remembered(Generic[_V]):
    """A few values by name; looking one up costs as little as can be. Thread-safe."""

    def __init__(self, kept: int = KEPT) -> None:
        self._values: dict[str, _V] = {}
        self._kept = kept
        self._changing = threading.Lock()
        self.get = self._values.get

    def put(self, name: str, value: _V) -> None:
        """Remember a value."""
        with self._changing:
            self._values.pop(name, None)
            self._values[name] = value
            while len(self._values) > self._kept:
                self._values.pop(next(iter(self._values)))


class _Listed(NamedTuple):
    """The channels of an instrument."""

    packed: bytes
    channels: list[Any]


_listed: Remembered[_Listed] = Remembered()


def unpack(data: bytes) -> Any:
    """Unpack a record. Records of one instrument may share the list of their channels: nobody changes it.

    Raises: as `msgpack.unpackb`.
    """
    if len(data) < SHARED_FROM_BYTES:
        return msgpack.unpackb(data, strict_map_key=False)
    try:
        place = _place_of_channels(data)
    except (ValueError, TypeError, msgpack.UnpackException):
        place = None  # it is told where all damage is told
    if place is None:
        if len(data) >= LARGE_FROM_BYTES:
            return _unpack_large(data)
        return msgpack.unpackb(data, strict_map_key=False)
    instrument, keys, start, stop = place
    listed = _listed.get(instrument)
    if listed is None or data[start:stop] != listed.packed:
        fields = msgpack.unpackb(data, strict_map_key=False)
        if len(fields[_BODY]) == keys:  # else a key comes twice, and what was found need not be what is meant
            _listed.put(instrument, _Listed(data[start:stop], fields[_BODY]["channels"]))
        return fields
    fields = msgpack.unpackb(b"".join([data[:start], _NIL, data[stop:]]), strict_map_key=False)
    body = fields[_BODY]
    if len(body) != keys:  # as above
        return msgpack.unpackb(data, strict_map_key=False)
    body["channels"] = listed.channels
    return fields


def _unpack_large(data: bytes) -> Any:
    """Unpack a record, its equal maps and lists as one object each: nobody changes them."""
    known: dict[bytes, Any] = {}

    def share(value: Any) -> Any:
        try:
            content = marshal.dumps(value, _MARSHAL_VERSION)
        except ValueError:  # a type of msgpack's own
            return value
        return known.setdefault(content, value) if len(content) < SHARED_TO_BYTES else value

    return msgpack.unpackb(data, strict_map_key=False, object_hook=share, list_hook=share)


def _place_of_channels(data: bytes) -> tuple[str, int, int, int] | None:
    """Find the list of channels where `frame.encode_frame` writes it, after the instrument.

    Returns:
        Instrument, number of keys of the body, first byte of the list and the one behind it; None: elsewhere.
    """
    unpacker = msgpack.Unpacker(None, max_buffer_size=len(data), strict_map_key=False)
    unpacker.feed(data)
    if unpacker.read_array_header() != _BODY + 1:
        return None
    for _ in range(_BODY):
        unpacker.skip()
    keys = unpacker.read_map_header()
    if keys < 4 or unpacker.unpack() != "instrument":
        return None
    instrument = unpacker.unpack()
    for _ in range(4):  # n and rows
        unpacker.skip()
    if type(instrument) is not str or unpacker.unpack() != "channels":
        return None
    start = unpacker.tell()
    unpacker.skip()
    return instrument, keys, start, unpacker.tell()
