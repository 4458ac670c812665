"""The form of a `data` record: which of its bytes the instrument's next ones repeat, and what the others are.

An instrument's frames differ in their numbers alone: seq, times, ordinal, values, flags. Where all other
bytes are the same, the numbers stand at the same places, and what was checked of one record holds for all.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgpack

from pipeline.records.stack import decode_stack, stack_key
from pipeline.store import schema
from pipeline.store.plans import plan_of
from pipeline.store.prepare import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.records import Record
    from pipeline.records.block import Layout

_ENVELOPE = 12
_SEQ, _STAMP, _RUN, _CLOCK, _BODY = 6, 7, 8, 9, 11
"""Places in an envelope."""
_TIMES = ("t_utc", "t_run", "t_req", "t_res")
_MATRICES = ("status", "f8", "i8", "u8", "flag", "reason", "uneval", "t_store_off")

_INTEGERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""First byte of msgpack's integers to the number of bytes that follow; smaller ones are one byte in all."""
_BINARIES = {0xC4: 2, 0xC5: 3, 0xC6: 5}
"""First byte of msgpack's binary values to the bytes before their content."""
_UINT64 = 0xCF
_SAME, _ANY = 255, 0

PLACES = 15
(
    SEQ, SEQ_SIZE, STAMP, ORDINAL, ORDINAL_SIZE, FIRST, DELTAS, DELTA_SIZE, OFFSETS, F8, I8, U8, STATUS, FLAG,
    REASON,
) = range(PLACES)  # fmt: skip
"""Of what `Form.places` are: first byte of each value in the record, or the size of an integer in bytes."""
ABSENT = -1
"""In `Form.places`: there is no such matrix, and all of it is normal."""
NO_FORM = -1

Place = tuple[int, int]
"""First byte, and number of bytes."""


class Formless(Exception):  # noqa: N818 - what a record is
    """Other records cannot be told from this one; it is decoded by itself."""


@dataclass(frozen=True, slots=True)
class Form:
    """What records of the same form have in common."""

    pattern: bytes
    """One of them."""
    mask: bytes
    """Of each byte 255 where it is the same in all of them, else 0."""
    tell: int
    """Where the instrument stands: there most forms differ."""
    layout: Layout
    rows: int
    era: str
    source: str
    instrument: str
    service: str
    places: tuple[int, ...]
    """Where values stand; see PLACES."""
    corrected: dict[str, int]
    """Of each channel that has them: where the corrected values begin; channels in order."""


class _Outline:
    """Goes through the bytes of a record and notes what is free to differ."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._unpacker = msgpack.Unpacker(None, max_buffer_size=len(data), strict_map_key=False)
        self._unpacker.feed(data)
        self.mask = bytearray([_SAME]) * len(data)
        self.tell = 0
        self.numbers: dict[str, Place] = {}
        self.corrected: dict[str, Place] = {}

    def envelope(self) -> None:
        if self._unpacker.read_array_header() != _ENVELOPE:
            raise Formless
        for place in range(_BODY):
            if place == _SEQ:
                self.numbers["seq"] = self._integer()
            elif place in {_STAMP, _RUN}:
                self.numbers["stamp" if place == _STAMP else "run"] = self._integer(_UINT64)
            elif place == _CLOCK:
                self._clock()
            else:
                self._unpacker.skip()
        for key in self._keys():
            self._value(key)

    def _clock(self) -> None:
        if self._unpacker.read_array_header() != 2:
            raise Formless
        self._unpacker.skip()
        self._loose_integer()

    def _keys(self) -> Iterator[str]:
        """Go to each value of a map whose keys are texts, none of them twice."""
        seen: set[str] = set()
        count = self._unpacker.read_map_header()
        for _ in range(count):
            key = self._unpacker.unpack()
            if type(key) is not str:
                raise Formless
            seen.add(key)
            yield key
        if len(seen) != count:
            raise Formless

    def _value(self, key: str) -> None:
        if key == "n":
            self.numbers[key] = self._integer()
        elif key in _TIMES:
            self._times(key)
        elif key in _MATRICES:
            self._matrix(key)
        elif key == "raw":
            self._raw()
        elif key == "corrected":
            for channel in self._keys():
                self._correction(channel)
        else:
            if key == "instrument":
                self.tell = self._unpacker.tell()
            self._unpacker.skip()

    def _times(self, key: str) -> None:
        if self._unpacker.read_array_header() != 4:
            raise Formless
        if key == "t_utc":
            self.numbers["first"] = self._integer(_UINT64)
        else:
            self._loose_integer()
        self._unpacker.skip()
        self._unpacker.skip()
        self.numbers[key] = self._binary()

    def _matrix(self, key: str) -> None:
        if self._data[self._unpacker.tell()] in _BINARIES:
            self.numbers[key] = self._binary()
        else:
            self._unpacker.skip()

    def _raw(self) -> None:
        at = self._unpacker.tell()
        if self._data[at] == 0xC0:
            self._unpacker.skip()
            return
        for _ in range(self._unpacker.read_array_header()):
            self._binary()

    def _correction(self, channel: str) -> None:
        if self._unpacker.read_array_header() != 2:
            raise Formless
        self._unpacker.skip()
        self.corrected[channel] = self._binary()

    def _integer(self, only: int | None = None) -> Place:
        """Note an integer that is not negative and has bytes of its own."""
        at = self._unpacker.tell()
        first = self._data[at]
        if not 0xCC <= first <= _UINT64 or (only is not None and first != only):
            raise Formless
        self._unpacker.skip()
        return self._free(at + 1, _INTEGERS[first])

    def _loose_integer(self) -> None:
        """Note an integer that nobody reads; one without bytes of its own must be the same."""
        at = self._unpacker.tell()
        if type(self._unpacker.unpack()) is not int:
            raise Formless
        self._free(at + 1, _INTEGERS.get(self._data[at], 0))

    def _binary(self) -> Place:
        at = self._unpacker.tell()
        head = _BINARIES.get(self._data[at])
        if head is None:
            raise Formless
        self._unpacker.skip()
        return self._free(at + head, self._unpacker.tell() - at - head)

    def _free(self, first: int, size: int) -> Place:
        self.mask[first : first + size] = bytes([_ANY]) * size
        return first, size


def _places(numbers: dict[str, Place], rows: int) -> tuple[int, ...]:
    deltas, size = numbers["t_utc"]
    absent = ABSENT, 0
    matrices = [numbers.get(key, absent)[0] for key in ("status", "flag", "reason")]
    return (
        *numbers["seq"], numbers["stamp"][0], *numbers["n"], numbers["first"][0],
        deltas, size // max(1, rows - 1), numbers.get("t_store_off", absent)[0],
        numbers["f8"][0], numbers["i8"][0], numbers["u8"][0], *matrices,
    )  # fmt: skip


def form_of(record: Record) -> Form:
    """Find the form of a `data` record.

    It is decoded and checked. Of the others of its form only numbers and flags are left to check, which
    `gathering` does.

    Raises:
        Formless: the record is damaged, or holds what is no column of numbers.
    """
    body = record.body
    outline = _Outline(record.data)
    try:
        outline.envelope()
        schema.check_record(record)
        layout, rows = stack_key(body)
        plan_of(layout)
        stack = decode_stack(layout, rows, [body])
        schema.check_stack(stack)
    except (*DAMAGE, msgpack.UnpackException) as error:
        raise Formless from error
    if type(rows) is not int or rows < 1 or layout.counts["text"]:
        raise Formless
    return Form(
        pattern=record.data, mask=bytes(outline.mask), tell=outline.tell, layout=layout, rows=rows,
        era=record.era, source=record.source, instrument=stack.instrument[0], service=stack.service[0],
        places=_places(outline.numbers, rows),
        corrected={name: place for name, (place, _) in sorted(outline.corrected.items())},
    )  # fmt: skip
