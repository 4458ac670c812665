"""Records' bytes to columns, compiled: which form a record has, and what stands at its places.

A record costs no Python object. Nothing is looked at that a form does not tell of (`forms`), so what is read
lies inside the record. Pointers are not checked.
"""
# ruff: noqa: PLR0913, PLR0917 - a kernel has no keywords

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from pipeline.compiled.jit import Slots, compiled, digest_of, entry_of, kernel, pointer_to
from pipeline.store.influx import outline

if TYPE_CHECKING:
    from collections.abc import Callable

_WHOLE = 8
_TELLING = 24
"""Bytes that are looked at first: names of instruments often differ at their ends."""
_SIGN = 2**31
_INT64_MAX = 2**63 - 1
_GOOD, _PASS = 0, 1


def _bytes(dimensions: int = 1) -> Any:
    return types.Array(types.uint8, dimensions, "C", readonly=True)


def _integers(dimensions: int = 1) -> Any:
    return types.Array(types.int64, dimensions, "C", readonly=True)


MATCHER = types.void(
    types.int64[::1],  # found[k], written: the form of each record, or NO_FORM
    types.int64[::1],  # follower[forms], read and written: which form came after each the last time
    _bytes(),  # records end to end
    _integers(),  # ends[k + 1]: where each of them ends; a 0 before
    _bytes(),  # of each form a record of it
    _bytes(),  # of each of these bytes: 255 where it must be the same, else 0
    _integers(),  # ends[forms + 1] of these; a 0 before
    _integers(),  # tells[forms]: where in a record most forms differ
)

GATHERER = types.void(
    types.uint8[::1],  # fine[k], written: 0 where a number or a flag is one that no store takes
    types.int64[:, ::1],  # frames[k, 3], written: head, seq, first ordinal
    types.int64[:, ::1],  # t_store_ns[k, n], written
    types.uint64[:, :, ::1],  # floats[k, n, channels], written, as bits
    types.uint64[:, :, ::1],  # corrected values[k, n, channels], written, as bits
    types.uint64[:, :, ::1],  # i8[k, channels, n], written, as bits
    types.uint64[:, :, ::1],  # u8[k, channels, n], written
    types.uint8[:, :, ::1],  # status[k, c, n], written; [0, c, n]: no form has any
    types.uint8[:, :, ::1],  # flag[k, c, n], written; [0, c, n]: no form has any
    types.uint64[:, :, ::1],  # reason[k, c, n], written, as bits; [0, c, n]: no form has any
    _bytes(),  # records end to end
    _integers(),  # starts[k]
    _integers(),  # forms[k]
    _integers(),  # heads[forms]
    _integers(2),  # places[forms, PLACES]
    _integers(2),  # corrected_places[forms, channels]
    types.int64,  # the largest time of a record
    types.int64,  # the largest stored time
    _bytes(),  # known[256]: 1 where a flag has this value
)


@kernel
def is_of_form(data: Slots, first: int, length: int, form: Any, place: int) -> Any:
    """Tell whether a record is the form's own where it must be."""
    patterns, masks, tell = form
    for index in range(tell, min(tell + _TELLING, length)):
        if (data[first + index] ^ patterns[place + index]) & masks[place + index]:
            return False
    differing = np.uint8(0)
    # To the end: a loop that may stop early is not done for many bytes at a time.
    for index in range(length):
        differing |= (data[first + index] ^ patterns[place + index]) & masks[place + index]
    return differing == 0


@cache
def matcher() -> Callable[..., None]:
    """Compile the kernel that finds the form of each record, or load it from the disk cache; once a process.

    Instruments come round and round: the form that followed the last time is tried first.
    """
    digest = digest_of([outline.__file__])

    def match(
        found: Any, follower: Any, record_bytes: Any, ends: Any, pattern_bytes: Any, mask_bytes: Any,
        form_ends: Any, tells: Any,
    ) -> None:  # fmt: skip
        if digest == 0:  # never; see `digest_of`
            return
        data, patterns, masks = pointer_to(record_bytes), pointer_to(pattern_bytes), pointer_to(mask_bytes)
        forms, last = len(tells), 0
        for record in range(len(found)):
            first, length = ends[record], ends[record + 1] - ends[record]
            found[record] = outline.NO_FORM
            form = follower[last]
            for _ in range(forms):
                place = form_ends[form]
                if form_ends[form + 1] - place == length and is_of_form(
                    data, first, length, (patterns, masks, tells[form]), place
                ):
                    found[record] = form
                    follower[last] = form
                    last = form
                    break
                form += 1
                if form == forms:
                    form = 0

    return entry_of(compiled(MATCHER, match))


@kernel
def big(data: Slots, at: Any, size: int) -> Any:
    """Read an unsigned integer as msgpack writes it."""
    value = np.uint64(0)
    for index in range(size):
        value = (value << np.uint64(8)) | np.uint64(data[at + index])
    return value


@kernel
def little(data: Slots, at: Any) -> Any:
    """Read the 8 bytes of a column's value."""
    return (
        np.uint64(data[at])
        | np.uint64(data[at + 1]) << np.uint64(8)
        | np.uint64(data[at + 2]) << np.uint64(16)
        | np.uint64(data[at + 3]) << np.uint64(24)
        | np.uint64(data[at + 4]) << np.uint64(32)
        | np.uint64(data[at + 5]) << np.uint64(40)
        | np.uint64(data[at + 6]) << np.uint64(48)
        | np.uint64(data[at + 7]) << np.uint64(56)
    )


@kernel
def delta(data: Slots, at: Any, size: int) -> Any:
    """Read a difference of packed times, of 4 or 8 bytes."""
    if size == _WHOLE:
        return np.int64(little(data, at))
    half = (
        np.int64(data[at])
        | np.int64(data[at + 1]) << 8
        | np.int64(data[at + 2]) << 16
        | np.int64(data[at + 3]) << 24
    )
    return (half ^ _SIGN) - _SIGN


@kernel
def times_of(out: Any, data: Slots, start: Any, place: Any, limit: int) -> Any:
    """Write the stored times of a frame; tell whether all of them are within the limit."""
    first = big(data, start + place[outline.FIRST], _WHOLE)
    time, size, fine = np.int64(first), place[outline.DELTA_SIZE], first <= np.uint64(_INT64_MAX)
    for row in range(len(out)):
        if row:
            time += delta(data, start + place[outline.DELTAS] + (row - 1) * size, size)
        stored = time
        if place[outline.OFFSETS] != outline.ABSENT:
            stored += np.int64(little(data, start + place[outline.OFFSETS] + row * _WHOLE))
        out[row] = stored
        fine &= -limit <= stored <= limit
    return fine


@kernel
def words_of(out: Any, data: Slots, at: Any) -> None:
    """Copy a matrix of 8-byte values."""
    channels, rows = out.shape
    for channel in range(channels):
        for row in range(rows):
            out[channel, row] = little(data, at + (channel * rows + row) * _WHOLE)


@kernel
def turned_of(out: Any, slot: int, data: Slots, at: Any) -> None:
    """Copy a channel's 8-byte values into a matrix of rows."""
    for row in range(len(out)):
        out[row, slot] = little(data, at + row * _WHOLE)


@kernel
def marks_of(out: Any, data: Slots, start: Any, place: Any, normal: int) -> None:
    """Copy a matrix of bytes, or a normal one where the form has none."""
    channels, rows = out.shape
    for channel in range(channels):
        for row in range(rows):
            index = channel * rows + row
            out[channel, row] = normal if place == outline.ABSENT else data[start + place + index]


@kernel
def reasons_of(out: Any, data: Slots, start: Any, place: Any) -> None:
    """Copy a matrix of reasons, or zeros where the form has none."""
    if place == outline.ABSENT:
        out[:] = 0
    else:
        words_of(out, data, start + place)


@kernel
def are_known(flags: Any, known: Slots) -> Any:
    """Tell whether all flags of a frame have values that there are."""
    fine = np.uint8(1)
    for channel in range(flags.shape[0]):
        for row in range(flags.shape[1]):
            fine &= known[flags[channel, row]]
    return fine


@kernel
def frame_of(out: Any, data: Slots, start: Any, place: Any, head: Any, rows: int, latest: int) -> Any:
    """Write head, seq and first ordinal; tell whether these and the record's time are what stores take."""
    seq = big(data, start + place[outline.SEQ], place[outline.SEQ_SIZE])
    ordinal = big(data, start + place[outline.ORDINAL], place[outline.ORDINAL_SIZE])
    out[0], out[1], out[2] = head, np.int64(seq), np.int64(ordinal)
    return (
        seq <= np.uint64(_INT64_MAX)
        and ordinal <= np.uint64(_INT64_MAX - rows)
        and big(data, start + place[outline.STAMP], _WHOLE) <= np.uint64(latest)
    )


@cache
def gatherer() -> Callable[..., None]:
    """Compile the kernel that copies columns out of records, or load it from the disk cache; once a process.

    All records have the same number of rows and the same channels; it takes what GATHERER says.
    """
    digest = digest_of([outline.__file__])

    def gather(
        fine: Any, frames: Any, t_store_ns: Any, floats: Any, corrected: Any, i8: Any, u8: Any, status: Any,
        flag: Any, reason: Any, record_bytes: Any, starts: Any, forms: Any, heads: Any, places: Any,
        corrected_places: Any, latest_ns: int, latest_stored_ns: int, known: Any,
    ) -> None:  # fmt: skip
        if digest == 0:  # never; see `digest_of`
            return
        data, flags, rows = pointer_to(record_bytes), pointer_to(known), t_store_ns.shape[1]
        for record in range(len(starts)):
            start, form = starts[record], forms[record]
            place = places[form]
            good = frame_of(frames[record], data, start, place, heads[form], rows, latest_ns)
            good &= times_of(t_store_ns[record], data, start, place, latest_stored_ns)
            for slot in range(floats.shape[2]):
                turned_of(floats[record], slot, data, start + place[outline.F8] + slot * rows * _WHOLE)
            for slot in range(corrected.shape[2]):
                turned_of(corrected[record], slot, data, start + corrected_places[form, slot])
            words_of(i8[record], data, start + place[outline.I8])
            words_of(u8[record], data, start + place[outline.U8])
            if len(status):
                marks_of(status[record], data, start, place[outline.STATUS], _GOOD)
            if len(flag):
                marks_of(flag[record], data, start, place[outline.FLAG], _PASS)
                good &= are_known(flag[record], flags) != 0
            if len(reason):
                reasons_of(reason[record], data, start, place[outline.REASON])
            fine[record] = good

    return entry_of(compiled(GATHERER, gather))
