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

from pipeline.records.block import Block, Channel, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.records.envelope import Body

LAYOUTS_KEPT = 1024
"""Decoded layouts that are remembered; the one unused longest goes first."""

_DELTAS = (np.dtype("<i4"), np.dtype("<i8"))


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
    """Channel to (id of the correction in force, corrected float64[n])."""

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
    return [int(times[0]) if len(times) else 0, len(times), code, deltas.astype(_DELTAS[code]).tobytes()]


def _unpack_times(packed: list[Any]) -> NDArray[np.int64]:
    first, count, code, data = packed
    # The count is somebody's word: memory is taken only for deltas that are there.
    if len(data) != max(0, count - 1) * _DELTAS[code].itemsize:
        raise ValueError(f"{count} times are announced, {len(data)} bytes of deltas are there")
    times = np.empty(count, dtype=np.int64)
    if count:
        times[0] = first
        times[1:] = np.frombuffer(data, dtype=_DELTAS[code])
        np.add.accumulate(times, out=times)
    return times


def _pack_sparse(values: NDArray[Any], normal: int) -> bytes | None:
    return None if bool((values == normal).all()) else values.tobytes()


def _unpack_sparse(data: bytes | None, dtype: str, normal: int, shape: tuple[int, int]) -> NDArray[Any]:
    return (
        np.full(shape, normal, dtype=dtype)
        if data is None
        else np.frombuffer(data, dtype=dtype).reshape(shape)
    )


def _unpack_layout(packed: list[list[Any]]) -> Layout:
    return _known_layout(msgpack.packb(packed))


@lru_cache(maxsize=LAYOUTS_KEPT)
def _known_layout(packed: bytes) -> Layout:
    # All frames of a layout share it, as the blocks did: unpacking 500 channels costs more than their values.
    return Layout(tuple(
        Channel(name, kind, unit, decimals, low, high, tuple((code, text) for code, text in labels))
        for name, kind, unit, decimals, low, high, labels in msgpack.unpackb(packed, strict_map_key=False)
    ))  # fmt: skip


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
    return body


def decode_frame(body: Body) -> Frame:
    """Decode the body of a `data` record; arrays are read-only views of the record's bytes.

    Raises:
        ValueError, KeyError, TypeError: the body is damaged; no memory is taken for what is not there.
    """
    layout = _unpack_layout(body["channels"])
    t_utc_ns, rows = _unpack_times(body["t_utc"]), body["rows"]
    if rows != len(t_utc_ns):
        raise ValueError(f"{rows} rows are announced, {len(t_utc_ns)} are there")
    shape = (len(layout.channels), rows)
    raw, offsets = body["raw"], body.get("t_store_off")
    block = Block(
        instrument=body["instrument"],
        layout=layout,
        t_utc_ns=t_utc_ns,
        t_run_ns=_unpack_times(body["t_run"]),
        t_request_ns=_unpack_times(body["t_req"]),
        t_response_ns=_unpack_times(body["t_res"]),
        status=_unpack_sparse(body["status"], "u1", 0, shape),
        f8=np.frombuffer(body["f8"], dtype="<f8").reshape(layout.counts["f8"], rows),
        i8=np.frombuffer(body["i8"], dtype="<i8").reshape(layout.counts["i8"], rows),
        u8=np.frombuffer(body["u8"], dtype="<u8").reshape(layout.counts["u8"], rows),
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
    )  # fmt: skip


def last_stored_ns(body: Body) -> int | None:
    """Latest stored time of the rows of a `data` body, without decoding the rest; None for no rows."""
    times, offsets = _unpack_times(body["t_utc"]), body.get("t_store_off")
    if offsets is not None:
        times += np.frombuffer(offsets, dtype="<i8")
    return int(times.max()) if len(times) else None


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
