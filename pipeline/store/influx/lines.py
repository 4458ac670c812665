"""Line protocol: records to lines, columnar and bit-exact. Pure.

Source of the escaping rules: InfluxDB documentation, *Line protocol reference*. Floats are printed by orjson:
the shortest digits that read back as the same bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from pipeline.records import FlagSet, Frame
from pipeline.store import schema
from pipeline.store.plans import plan_of, present
from pipeline.store.schema import LedgerPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.records import Record
    from pipeline.records.block import Block
    from pipeline.store.door import Origin
    from pipeline.store.plans import Plan
    from pipeline.store.prepare import Prepared

_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_INT64_MAX = 2**63 - 1
HEADS_KEPT = 4096
"""Measurement and tags of a line, as written: the same for every record of an instrument."""


def escape_tag(value: str) -> str:
    """Escape a tag value; `schema.check_tag` has refused what cannot be escaped."""
    return value.translate(_TAG_ESCAPES)


def quote(text: str) -> str:
    """Write a string field's value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def record_lines(origin: Origin, prepared: Prepared) -> list[str]:
    """Write a record as lines: one a row, one a judged row, one a ledger record, none for other kinds."""
    record, content = prepared
    if isinstance(content, Frame):
        return _frame_lines(
            _head(schema.READING, origin, record, content.block.instrument), record.seq, content
        )
    if isinstance(content, FlagSet):
        return _flags_lines(_head(schema.READING, origin, record, content.instrument), content)
    if content is not None:
        return [_ledger_line(origin, record, content)]
    return []


def _head(measurement: str, origin: Origin, record: Record, instrument: str) -> str:
    return _series(measurement, origin, record.era, record.source, instrument)


@lru_cache(maxsize=HEADS_KEPT)
def _series(measurement: str, origin: Origin, era: str, source: str, instrument: str) -> str:
    # Sorted by key, as InfluxDB keeps them.
    tags = {
        "era": era, "gateway": origin.gateway, "instrument": instrument, "lab": origin.lab, "source": source,
    }  # fmt: skip
    return measurement + "".join(f",{key}={escape_tag(value)}" for key, value in tags.items() if value) + " "


def _print(matrix: NDArray[Any]) -> list[str]:
    """Print a [channels, n] matrix of numbers, row by row of the table: n times the channels."""
    if not matrix.size:
        return []
    flat = np.ascontiguousarray(matrix.T).ravel()
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


def _big_fields(name: str, values: NDArray[np.uint64]) -> list[str]:
    return [
        f"{name}.i={value}i" if value <= _INT64_MAX else f'{name}.s="{value}"' for value in values.tolist()
    ]


def _text_fields(name: str, texts: Sequence[str | None]) -> list[str]:
    return ["" if text is None else f"{name}.s={quote(text)}" for text in texts]


def _row_tokens(block: Block, plan: Plan) -> list[tuple[str, ...]]:
    """Return every row's printed values, in the order of `plan.formats`."""
    floats, integers = _print(block.f8), _print(block.i8)
    width_f, width_i = len(block.f8), len(block.i8)
    tokens = [
        (*floats[row * width_f : (row + 1) * width_f], *integers[row * width_i : (row + 1) * width_i])
        for row in range(len(block))
    ]
    if not plan.naturals and not plan.texts:
        return tokens
    columns = [_big_fields(plan.names[at], block.u8[slot]) for slot, at in enumerate(plan.naturals)]
    columns += [_text_fields(plan.names[at], block.text[slot]) for slot, at in enumerate(plan.texts)]
    return [one + others for one, others in zip(tokens, zip(*columns, strict=True), strict=True)]


def _sparse_fields(frame: Frame, names: Sequence[str], there: NDArray[np.bool_]) -> dict[int, list[str]]:
    """Return the sparse fields by row: flag, reasons, corrected value."""
    fields: dict[int, list[str]] = {}
    # A reading without a value leaves its flag in any case, so that it leaves a trace.
    for part, matrix, mask in (
        ("q", frame.flag, (frame.flag != 1) | ~there),
        ("r", frame.reason, frame.reason != 0),
    ):
        channels, rows = np.nonzero(mask)
        if not len(rows):
            continue
        for channel, row, value in zip(channels.tolist(), rows.tolist(), matrix[mask].tolist(), strict=True):
            fields.setdefault(row, []).append(f"{names[channel]}.{part}={value}i")
    for name, (_, corrected) in frame.corrected.items():
        for row in np.flatnonzero(np.isfinite(corrected)).tolist():
            fields.setdefault(row, []).append(f"{name}.c={orjson.dumps(float(corrected[row])).decode()}")
    return fields


def _frame_lines(head: str, seq: int, frame: Frame) -> list[str]:
    plan, there = plan_of(frame.block.layout), present(frame)
    tokens = _row_tokens(frame.block, plan)
    whole = np.logical_and.reduce(there, axis=0).tolist()
    sparse = _sparse_fields(frame, plan.names, there)
    tail = f"seq={seq}i,channels={len(plan.names)}i"
    if frame.service != schema.SERVICE_DEFAULT:
        tail += f",service={quote(frame.service)}"
    template, lines = plan.template, []
    for row, (n, t_ns) in enumerate(enumerate(frame.t_store_ns.tolist(), frame.n_first)):
        if whole[row]:
            values = template % tokens[row]
        else:
            values = ",".join(
                form % token
                for form, position, token in zip(plan.formats, plan.positions, tokens[row], strict=True)
                if there[position, row]
            )
        extra = sparse.get(row)
        if extra is not None:
            values = ",".join([values, *extra] if values else extra)
        lines.append(f"{head}{values},n={n}i,{tail} {t_ns}" if values else f"{head}n={n}i,{tail} {t_ns}")
    return lines


def _flags_lines(head: str, flags: FlagSet) -> list[str]:
    rows: dict[tuple[int, int], list[str]] = {}
    columns = (flags.t_store_ns.tolist(), flags.n.tolist(), flags.channel, flags.flag.tolist())
    for t_ns, n, channel, flag in zip(*columns, strict=True):
        rows.setdefault((t_ns, n), []).append(f"{channel}.f.{flags.rule}={flag}i")
    # No seq: it is the data record's, and marks the point as a row.
    return [f"{head}{','.join(fields)},n={n}i {t_ns}" for (t_ns, n), fields in rows.items()]


def _ledger_line(origin: Origin, record: Record, point: LedgerPoint) -> str:
    tagged = record.kind in schema.TAG_KEYED
    head = _head(record.kind, origin, record, point.key if tagged else "")
    key = "" if tagged else f",key={quote(point.key)}"
    return (
        f'{head}seq={record.seq}i,t_utc_ns={record.t_utc_ns}i,journal="{record.journal.hex()}"{key}'
        f",body={quote(point.body)} {point.t_store_ns}"
    )
