"""Many `data` records at a time: frames of one layout and length, decoded in one pass over their columns.

What stores take. Most frames are small, and a frame of ten readings decoded by itself costs more than its
readings; side by side their columns are joined bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.records.frame import DELTAS, layout_of
from pipeline.records.shared import Remembered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pipeline.records.block import Layout
    from pipeline.records.envelope import Body

_FIELDS = itemgetter(
    "instrument", "n", "rows", "t_utc", "t_run", "t_req", "t_res", "status", "f8", "i8", "u8", "text", "flag",
    "reason", "uneval", "service",
)  # fmt: skip

_known: Remembered[tuple[list[Any], Layout]] = Remembered()
"""Of instruments the channels that their last record listed, and their layout."""

Shape = tuple[int, int, int]
"""Frames k, channels c, rows n of each."""


@dataclass(frozen=True, slots=True)
class Stack:
    """k frames of n rows each; matrices are read-only and [k, channels, n]."""

    layout: Layout
    rows: int
    """n, of each frame."""
    bodies: Sequence[Body]
    """What was decoded: k bodies, in the order of everything else here."""
    instrument: tuple[str, ...]
    n_first: tuple[int, ...]
    service: tuple[str, ...]
    t_store_ns: NDArray[np.int64]
    """int64[k, n]: the time under which stores keep each row."""
    f8: NDArray[np.float64]
    i8: NDArray[np.int64]
    u8: NDArray[np.uint64]
    text: tuple[list[list[str | None]], ...]
    """Of each frame the columns of kind text, n texts each."""
    status: NDArray[np.uint8] | None
    """uint8[k, c, n]; None when all are GOOD."""
    flag: NDArray[np.uint8] | None
    """uint8[k, c, n]; None when all pass."""
    reason: NDArray[np.int64] | None
    """int64[k, c, n]; None when there is none."""
    corrected: tuple[dict[str, NDArray[np.float64]], ...]
    """Of each frame channel to float64[n]."""

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.bodies)


def stack_key(body: Body) -> tuple[Layout, int]:
    """Return what frames must share to be stacked: layout (the same object) and rows.

    Raises:
        ValueError, KeyError, TypeError: the body is damaged.
    """
    instrument, channels = body["instrument"], body["channels"]
    known = _known.get(instrument)
    # What is equal makes the same layout, and most of the time it is even the same list.
    if known is not None and (known[0] is channels or known[0] == channels):
        return known[1], body["rows"]
    layout = layout_of(body)
    if type(instrument) is str:
        _known.put(instrument, (channels, layout))
    return layout, body["rows"]


def decode_stack(layout: Layout, rows: int, bodies: Sequence[Body]) -> Stack:
    """Decode the bodies of `data` records that have the same `stack_key`.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: one of them is damaged, and nothing says which; no
            memory is taken for what is not there.
    """
    (
        instrument, n_first, _, t_utc, t_run, t_req, t_res, status, f8, i8, u8, text, flag, reason, uneval,
        service,
    ) = zip(*map(_FIELDS, bodies), strict=True)  # fmt: skip
    for column in (t_utc, t_run, t_req, t_res):
        _check_times(column, rows)
    counts, shape = layout.counts, (len(bodies), len(layout.channels), rows)
    if set(map(type, n_first)) != {int} or set(map(type, service)) != {str}:
        raise ValueError("an ordinal is no integer, or a service state no text")
    _sparse(uneval, "<i8", 0, shape)
    return Stack(
        layout=layout, rows=rows, bodies=bodies, instrument=instrument, n_first=n_first, service=service,
        t_store_ns=_stored_times(t_utc, [body.get("t_store_off") for body in bodies], rows),
        f8=_matrix(f8, "<f8", (len(bodies), counts["f8"], rows)),
        i8=_matrix(i8, "<i8", (len(bodies), counts["i8"], rows)),
        u8=_matrix(u8, "<u8", (len(bodies), counts["u8"], rows)),
        text=_texts(text, counts["text"], rows),
        status=_sparse(status, "u1", 0, shape),
        flag=_sparse(flag, "u1", 1, shape),
        reason=_sparse(reason, "<i8", 0, shape),
        corrected=_corrected_of([body.get("corrected") for body in bodies], layout, rows),
    )  # fmt: skip


def answered_utc_ns(bodies: Sequence[Body]) -> NDArray[np.int64]:
    """int64[rows of all]: UTC when the answer to each row of `data` bodies was complete.

    It is the row's stamp, plus answer minus stamp in gateway time.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: one of the bodies is damaged.
    """
    filled = [body for body in bodies if body["rows"]]
    if not filled:
        return np.empty(0, dtype=np.int64)
    counts = np.array([body["rows"] for body in filled], dtype=np.int64)
    # A sum of three series, each packed as its differences: so are the differences of the sum.
    first, deltas = (
        utc + response - run
        for utc, response, run in zip(
            *(
                _packed_times([body[key] for body in filled], counts.tolist())
                for key in ("t_utc", "t_res", "t_run")
            ),
            strict=True,
        )
    )
    starts = np.cumsum(counts) - counts
    inside = np.ones(int(counts.sum()), dtype=np.bool_)
    inside[starts] = False
    times = np.empty(len(inside), dtype=np.int64)
    times[starts], times[inside] = first, deltas
    np.add.accumulate(times, out=times)
    times -= np.repeat(times[starts] - first, counts)
    return times


def _packed_times(
    columns: Sequence[list[Any]], counts: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Firsts int64[frames] and differences int64[all rows but the first of each frame]."""
    firsts, announced, codes, parts = zip(*columns, strict=True)
    first = np.array(firsts, dtype=np.int64)
    if len(set(codes)) == 1 and list(announced) == counts:
        size = DELTAS[codes[0]].itemsize
        if list(map(len, parts)) == [(rows - 1) * size for rows in counts]:
            return first, np.frombuffer(b"".join(parts), dtype=DELTAS[codes[0]]).astype(np.int64)
    for column, rows in zip(columns, counts, strict=True):
        _check_times([column], rows)
    deltas = [np.frombuffer(part, dtype=DELTAS[code]) for part, code in zip(parts, codes, strict=True)]
    return first, np.concatenate(deltas, dtype=np.int64)


def _check_times(column: Iterable[list[Any]], rows: int) -> None:
    # The count is somebody's word: memory is taken only for deltas that are there.
    lengths = [max(0, rows - 1) * delta.itemsize for delta in DELTAS]
    for _, announced, code, data in column:
        if announced != rows or len(data) != lengths[code]:
            raise ValueError(f"{announced} times are announced for {rows} rows, {len(data)} bytes are there")


def _stored_times(
    columns: Sequence[list[Any]], offsets: Sequence[bytes | None], rows: int
) -> NDArray[np.int64]:
    """int64[k, n]: packed times summed up, with their offsets."""
    times = np.empty((len(columns), rows), dtype=np.int64)
    if not rows:
        return times
    times[:, 0] = np.array([column[0] for column in columns], dtype=np.int64)
    codes = {column[2] for column in columns}
    if len(codes) == 1:
        deltas = np.frombuffer(b"".join([column[3] for column in columns]), dtype=DELTAS[codes.pop()])
        times[:, 1:] = deltas.reshape(len(columns), rows - 1)
    else:
        for row, (_, _, code, data) in zip(times, columns, strict=True):
            row[1:] = np.frombuffer(data, dtype=DELTAS[code])
    np.add.accumulate(times, axis=1, out=times)
    moved = _sparse(offsets, "<i8", 0, (len(columns), 1, rows))
    return times if moved is None else times + moved[:, 0]


def _matrix(parts: Sequence[bytes], dtype: str, shape: Shape) -> NDArray[Any]:
    """Join the matrices of the frames; a length that is wrong must not be made up for by another's."""
    kind = np.dtype(dtype)
    size = shape[1] * shape[2] * kind.itemsize
    if set(map(len, parts)) != {size}:
        raise ValueError(f"a matrix of {shape[1]} channels and {shape[2]} rows has another size")
    return np.frombuffer(b"".join(parts), dtype=kind).reshape(shape)


def _sparse(parts: Sequence[bytes | None], dtype: str, normal: int, shape: Shape) -> NDArray[Any] | None:
    """Join matrices of which the normal ones were left out; None when all were."""
    absent = parts.count(None)
    if absent == len(parts):
        return None
    usual = np.full(shape[1:], normal, dtype=dtype).tobytes() if absent else b""
    return _matrix([usual if part is None else part for part in parts], dtype, shape)


def _texts(
    frames: tuple[list[list[str | None]], ...], columns: int, rows: int
) -> tuple[list[list[str | None]], ...]:
    if set(map(type, frames)) != {list}:
        raise ValueError("columns of text are no list")
    if not columns and not any(frames):
        return frames
    for frame in frames:
        if len(frame) != columns or any(type(column) is not list or len(column) != rows for column in frame):
            raise ValueError("columns of text are missing, or have another number of rows")
        if any(type(text) is not str for column in frame for text in column if text is not None):
            raise ValueError("a text column holds something else")
    return frames


def _corrected_of(
    packed: list[dict[str, tuple[str, bytes]] | None], layout: Layout, rows: int
) -> tuple[dict[str, NDArray[np.float64]], ...]:
    if packed.count(None) == len(packed):
        return ({},) * len(packed)
    return tuple([_corrected(one, layout, rows) for one in packed])


def _corrected(
    packed: dict[str, tuple[str, bytes]] | None, layout: Layout, rows: int
) -> dict[str, NDArray[np.float64]]:
    if packed is None:
        return {}
    found = {name: np.frombuffer(values, dtype="<f8") for name, (_, values) in packed.items()}
    if any(len(values) != rows for values in found.values()) or not found.keys() <= layout.index.keys():
        raise ValueError("corrected values of another number of rows, or of no channel")
    return found
