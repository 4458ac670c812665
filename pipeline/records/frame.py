"""Bodies of the bulk kinds: `data` frames and `flags` records, columnar and bit-exact.

Columns are little-endian bytes; times are delta-coded in the smallest integer that holds the deltas; what is
normal (status GOOD, flag PASS, no reason) is left out. Floats keep every bit, NaN payloads included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from pipeline.records.block import Block, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.envelope import Body

LAYOUTS_KEPT = 1024
"""Decoded layouts that are remembered; the one unused longest goes first."""

NORMALS_KEPT = 256
NORMAL_MAX = 4096
"""Entries of the largest array of normal values that is remembered."""

_F8, _I8, _U8 = np.dtype("<f8"), np.dtype("<i8"), np.dtype("<u8")
DELTAS = (np.dtype("<i4"), np.dtype("<i8"))
"""Of packed times, by their code."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of one instrument as the journal keeps them: a block with ordinals and what QC then said."""

    block: Block
    n_first: int
    """Per-instrument ordinal of the first row; contiguous for the journal's life."""
    flag: NDArray[np.uint8]
    """uint8[c, n]: QARTOD flag of the rules that need no future."""
    reason: NDArray[np.int64]
    """int64[c, n]: bits of the rules that fired."""
    unevaluated: NDArray[np.int64]
    """int64[c, n]: bits of the enabled rules that could not be evaluated."""
    service: str = "in-use"
    """Service state of the instrument."""
    t_store_off_ns: NDArray[np.int64] | None = None
    """int64[n]: stored time minus t_utc_ns; None when all zero."""
    corrected: dict[str, tuple[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Channel to (correction in force, as `corrections.applied_id` names it, corrected float64[n])."""
    uncorrected: dict[str, str] = field(default_factory=dict)
    """Channel to why its registered correction was not applied."""

    @property
    def t_store_ns(self) -> NDArray[np.int64]:
        """int64[n]: the time under which stores keep each row."""
        times = self.block.t_utc_ns
        return times if self.t_store_off_ns is None else times + self.t_store_off_ns

    def ordinals(self) -> NDArray[np.int64]:
        """int64[n]: the ordinal of each row."""
        return np.arange(self.n_first, self.n_first + len(self.block), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class FlagSet:
    """Verdicts of one rule that needs the future, for rows already recorded: only those that did not pass."""

    instrument: str
    rule: str
    decided_through_n: int
    """Every row up to and including this ordinal is decided for this rule; -1 when none is."""
    n: NDArray[np.int64]
    channel: tuple[str, ...]
    flag: NDArray[np.uint8]
    t_store_ns: NDArray[np.int64]


def _pack_times(times: NDArray[np.int64]) -> list[Any]:
    deltas = np.diff(times)
    small = len(deltas) == 0 or bool(deltas.min() >= -(2**31) and deltas.max() < 2**31)
    code = 0 if small else 1
    return [int(times[0]) if len(times) else 0, len(times), code, deltas.astype(DELTAS[code]).tobytes()]


def _unpack_times(*columns: list[Any]) -> NDArray[np.int64]:
    """int64[columns, n]: packed times of the same rows, summed up in one go."""
    count = columns[0][1]
    for _, announced, code, data in columns:
        # The count is somebody's word: memory is taken only for deltas that are there.
        if announced != count or len(data) != max(0, count - 1) * DELTAS[code].itemsize:
            raise ValueError(f"{announced} times are announced for {count} rows, {len(data)} bytes are there")
    times = np.empty((len(columns), count), dtype=np.int64)
    if count:
        for row, (first, _, code, data) in zip(times, columns, strict=True):
            row[0] = first
            row[1:] = np.frombuffer(data, dtype=DELTAS[code])
        np.add.accumulate(times, axis=1, out=times)
    return times


def _pack_sparse(values: NDArray[Any], normal: int) -> bytes | None:
    return None if bool((values == normal).all()) else values.tobytes()


def _unpack_sparse(data: bytes | None, dtype: str, normal: int, shape: tuple[int, int]) -> NDArray[Any]:
    if data is not None:
        return np.frombuffer(data, dtype=dtype).reshape(shape)
    return (
        _known_normal(dtype, normal, shape)
        if shape[0] * shape[1] <= NORMAL_MAX
        else _normal(dtype, normal, shape)
    )


def _normal(dtype: str, normal: int, shape: tuple[int, int]) -> NDArray[Any]:
    values = np.full(shape, normal, dtype=dtype)
    values.flags.writeable = False
    return values


_known_normal = lru_cache(maxsize=NORMALS_KEPT)(_normal)
"""Most frames are small and without a remark: they share the arrays that say so."""


def layout_of(body: Body) -> Layout:
    """Return the layout of a `data` body: the same object for the same channels, while it is remembered."""
    return _known_layout(msgpack.packb(body["channels"]))


@lru_cache(maxsize=LAYOUTS_KEPT)
def _known_layout(packed: bytes) -> Layout:
    # All frames of a layout share it, as the blocks did: unpacking 500 channels costs more than their values.
    return Layout.unpacked(msgpack.unpackb(packed, strict_map_key=False))


def encode_frame(frame: Frame) -> Body:
    """Encode a frame as the body of a `data` record."""
    block = frame.block
    body: Body = {
        "instrument": block.instrument,
        "n": frame.n_first,
        "rows": len(block),
        "channels": block.layout.packed,
        "t_utc": _pack_times(block.t_utc_ns),
        "t_run": _pack_times(block.t_run_ns),
        "t_req": _pack_times(block.t_request_ns),
        "t_res": _pack_times(block.t_response_ns),
        "status": _pack_sparse(block.status, 0),
        "f8": block.f8.tobytes(),
        "i8": block.i8.tobytes(),
        "u8": block.u8.tobytes(),
        "text": [list(column) for column in block.text],
        "raw": None if block.raw is None else list(block.raw),
        "flag": _pack_sparse(frame.flag, 1),
        "reason": _pack_sparse(frame.reason, 0),
        "uneval": _pack_sparse(frame.unevaluated, 0),
        "service": frame.service,
    }
    if frame.t_store_off_ns is not None and frame.t_store_off_ns.any():
        body["t_store_off"] = frame.t_store_off_ns.tobytes()
    if frame.corrected:
        body["corrected"] = {name: [cid, values.tobytes()] for name, (cid, values) in frame.corrected.items()}
    if frame.uncorrected:
        body["uncorrected"] = frame.uncorrected
    return body


def decode_frame(body: Body) -> Frame:
    """Decode the body of a `data` record; arrays are read-only views of the record's bytes.

    Raises:
        ValueError, KeyError, TypeError: the body is damaged; no memory is taken for what is not there.
    """
    layout = layout_of(body)
    times, rows = _unpack_times(body["t_utc"], body["t_run"], body["t_req"], body["t_res"]), body["rows"]
    if rows != times.shape[1]:
        raise ValueError(f"{rows} rows are announced, {times.shape[1]} are there")
    shape = (len(layout.channels), rows)
    raw, offsets = body["raw"], body.get("t_store_off")
    block = Block(
        instrument=body["instrument"],
        layout=layout,
        t_utc_ns=times[0],
        t_run_ns=times[1],
        t_request_ns=times[2],
        t_response_ns=times[3],
        status=_unpack_sparse(body["status"], "u1", 0, shape),
        f8=np.frombuffer(body["f8"], dtype=_F8).reshape(layout.counts["f8"], rows),
        i8=np.frombuffer(body["i8"], dtype=_I8).reshape(layout.counts["i8"], rows),
        u8=np.frombuffer(body["u8"], dtype=_U8).reshape(layout.counts["u8"], rows),
        text=tuple(tuple(column) for column in body["text"]),
        raw=None if raw is None else tuple(raw),
    )
    return Frame(
        block=block,
        n_first=body["n"],
        flag=_unpack_sparse(body["flag"], "u1", 1, shape),
        reason=_unpack_sparse(body["reason"], "<i8", 0, shape),
        unevaluated=_unpack_sparse(body["uneval"], "<i8", 0, shape),
        service=body["service"],
        t_store_off_ns=None if offsets is None else np.frombuffer(offsets, dtype="<i8"),
        corrected={
            name: (cid, np.frombuffer(values, dtype="<f8"))
            for name, (cid, values) in body.get("corrected", {}).items()
        },
        uncorrected=body.get("uncorrected", {}),
    )  # fmt: skip


def last_stored_ns(body: Body) -> int | None:
    """Latest stored time of the rows of a `data` body, without decoding the rest; None for no rows."""
    times, offsets = _unpack_times(body["t_utc"])[0], body.get("t_store_off")
    if offsets is not None:
        times += np.frombuffer(offsets, dtype="<i8")
    return int(times.max()) if len(times) else None


def span(body: Body) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Rows of a `data` body and (first, last) of their gateway time and UTC, without decoding the rest."""
    run_ns, utc_ns = _unpack_times(body["t_run"], body["t_utc"])
    if not len(run_ns):
        return 0, (0, 0), (0, 0)
    return len(run_ns), (int(run_ns[0]), int(run_ns[-1])), (int(utc_ns[0]), int(utc_ns[-1]))


def encode_flags(flags: FlagSet) -> Body:
    """Encode a flag set as the body of a `flags` record."""
    return {
        "instrument": flags.instrument,
        "rule": flags.rule,
        "decided": flags.decided_through_n,
        "n": flags.n.tobytes(),
        "channel": list(flags.channel),
        "flag": flags.flag.tobytes(),
        "t_store": flags.t_store_ns.tobytes(),
    }


def decode_flags(body: Body) -> FlagSet:
    """Decode the body of a `flags` record."""
    return FlagSet(
        instrument=body["instrument"],
        rule=body["rule"],
        decided_through_n=body["decided"],
        n=np.frombuffer(body["n"], dtype="<i8"),
        channel=tuple(body["channel"]),
        flag=np.frombuffer(body["flag"], dtype="u1"),
        t_store_ns=np.frombuffer(body["t_store"], dtype="<i8"),
    )
