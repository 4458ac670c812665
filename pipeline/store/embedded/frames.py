"""Stored frames and what queries take out of them. Pure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import orjson

from pipeline.records.block import Channel, Layout
from pipeline.store import schema
from pipeline.store.door import Row
from pipeline.store.folding import Part, by_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.store.door import Value
    from pipeline.store.folding import Tally, Verdicts

COLUMNS = (
    "era, source, seq, t_min, t_max, n_first, rows, channels, service, t, f8, i8, u8, text, missing, flag, "
    "reason, corrected"
)
"""What a frame is read with, from `frames JOIN layouts`."""


@lru_cache(maxsize=1024)
def _layout(channels: str) -> Layout:
    return Layout(tuple(Channel(name, kind) for name, kind in orjson.loads(channels)))


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame of the store; matrices are [channel, row] of little-endian bytes, None where all is normal."""

    era: str
    source: str
    seq: int
    t_min: int
    t_max: int
    n_first: int
    rows: int
    channels: str
    service: str
    t: bytes
    f8: bytes | None
    i8: bytes | None
    u8: bytes | None
    text: bytes | None
    missing: bytes | None
    flag: bytes | None
    reason: bytes | None
    corrected: bytes | None

    @property
    def layout(self) -> Layout:
        """Names and kinds of the channels."""
        return _layout(self.channels)

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """int64[rows]: stored times."""
        return np.frombuffer(self.t, dtype="<i8")

    def ordinals(self) -> NDArray[np.int64]:
        """int64[rows]: the ordinal of each row."""
        return np.arange(self.n_first, self.n_first + self.rows, dtype=np.int64)

    def flags(self, position: int) -> NDArray[np.uint8]:
        """uint8[rows]: one channel's own flags."""
        return _line(self.flag, "u1", position, self.rows, 1)

    def reasons(self, position: int) -> NDArray[np.int64]:
        """int64[rows]: one channel's reason masks."""
        return _line(self.reason, "<i8", position, self.rows, 0)

    def column(self, position: int) -> tuple[NDArray[Any] | list[str | None], NDArray[np.bool_] | None]:
        """Return one channel's values and, when some are missing, bool[rows] where."""
        kind, slot = self.layout.channels[position].kind, self.layout.slots[position]
        missing = None
        if self.missing is not None:
            missing = _line(self.missing, "?", position, self.rows, 0)
        if kind == "text":
            texts: list[list[str | None]] = msgpack.unpackb(self.text or b"\x90")
            return texts[slot], missing
        return _line(getattr(self, kind), f"<{kind[0]}8", slot, self.rows, 0), missing


def load(values: Sequence[Any]) -> StoredFrame:
    """Make a frame of the values of `COLUMNS`."""
    *plain, missing, flag, reason, corrected = values
    unpacked = (None if matrix is None else zlib.decompress(matrix) for matrix in (missing, flag, reason))
    return StoredFrame(*[*plain, *unpacked, corrected])


def _line(matrix: bytes | None, dtype: str, position: int, rows: int, normal: int) -> NDArray[Any]:
    if matrix is None:
        return np.full(rows, normal, dtype=dtype)
    start = position * rows * np.dtype(dtype).itemsize
    return np.frombuffer(matrix, dtype=dtype, count=rows, offset=start)


def _numbers(frame: StoredFrame, position: int) -> NDArray[np.float64]:
    column, missing = frame.column(position)
    if isinstance(column, list):
        values = np.array(
            [schema.as_number(schema.read_text(text or "")) for text in column], dtype=np.float64
        )
    else:
        values = column.astype(np.float64, copy=False)
    return values if missing is None else np.where(missing, np.nan, values)


def part_of(frame: StoredFrame, channel: str, t_from_ns: int, t_to_ns: int) -> Part | None:
    """Cut one channel's rows of a span of time out of a frame; None when it has no such channel."""
    position = frame.layout.index.get(channel)
    if position is None:
        return None
    part = Part(
        journal=schema.journal_of(frame.era),
        t_ns=frame.t_ns,
        n=frame.ordinals(),
        value=_numbers(frame, position),
        flag=frame.flags(position),
        reason=frame.reasons(position),
        corrected=_corrected(frame).get(channel),
    )
    if frame.t_min >= t_from_ns and frame.t_max < t_to_ns:
        return part
    inside = (part.t_ns >= t_from_ns) & (part.t_ns < t_to_ns)
    return Part(
        part.journal,
        part.t_ns[inside],
        part.n[inside],
        part.value[inside],
        part.flag[inside],
        part.reason[inside],
        None if part.corrected is None else part.corrected[inside],
    )


def _corrected(frame: StoredFrame) -> dict[str, NDArray[np.float64]]:
    if frame.corrected is None:
        return {}
    return {name: np.frombuffer(data, dtype="<f8") for name, data in msgpack.unpackb(frame.corrected).items()}


def rows_of(instrument: str, frame: StoredFrame, first: int, last: int) -> list[Row]:
    """Return the frame's rows first..last, the last not included, with their own flags."""
    names = [channel.name for channel in frame.layout.channels]
    columns = [_values(frame, position)[first:last] for position in range(len(names))]
    flags = [frame.flags(position)[first:last].tolist() for position in range(len(names))]
    reasons = [frame.reasons(position)[first:last].tolist() for position in range(len(names))]
    corrected = {name: values[first:last].tolist() for name, values in _corrected(frame).items()}
    times = frame.t_ns[first:last].tolist()
    return [
        Row(
            instrument=instrument,
            era=frame.era,
            source=frame.source,
            seq=frame.seq,
            n=frame.n_first + first + row,
            t_utc_ns=t_ns,
            service=frame.service,
            values={name: column[row] for name, column in zip(names, columns, strict=True)},
            flags={name: column[row] for name, column in zip(names, flags, strict=True)},
            reasons={name: column[row] for name, column in zip(names, reasons, strict=True)},
            corrected={name: column[row] for name, column in corrected.items() if np.isfinite(column[row])},
        )
        for row, t_ns in enumerate(times)
    ]


def _values(frame: StoredFrame, position: int) -> list[Value]:
    column, missing = frame.column(position)
    values: list[Value]
    if isinstance(column, list):
        values = [None if text is None else schema.read_text(text) for text in column]
    else:
        values = column.tolist()
    if missing is not None:
        for row in np.flatnonzero(missing).tolist():
            values[row] = None
    return values


def tally_frame(tally: Tally, frame: StoredFrame, verdicts: Verdicts, t_from_ns: int, t_to_ns: int) -> None:
    """Count the rows of a frame that lie in a span of time."""
    inside = (frame.t_ns >= t_from_ns) & (frame.t_ns < t_to_ns)
    ordinals = frame.ordinals()[inside]
    index, journal = frame.layout.index, schema.journal_of(frame.era)
    tally.add_rows(frame.era, ordinals, len(ordinals) * len(index))
    shape = (len(index), frame.rows)
    if frame.flag is not None:
        tally.add_flags(np.frombuffer(frame.flag, dtype="u1").reshape(shape)[:, inside])
    if frame.reason is not None:
        tally.add_reasons(np.frombuffer(frame.reason, dtype="<i8").reshape(shape)[:, inside])
    if not verdicts:
        return
    for row in np.flatnonzero(inside).tolist():
        for channel, said in by_channel(verdicts.get((journal, frame.n_first + row), ())).items():
            if channel in index:
                tally.add_verdicts(int(frame.flags(index[channel])[row]), said)
