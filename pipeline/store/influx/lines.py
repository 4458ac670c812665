"""Line protocol: records to lines, columnar and bit-exact. Pure.

Source of the escaping rules: InfluxDB documentation, *Line protocol reference*. Floats are printed by orjson:
the shortest digits that read back as the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import orjson

from pipeline.store import schema
from pipeline.store.plans import plan_of, present

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pipeline.records import FlagSet, Record
    from pipeline.records.stack import Stack
    from pipeline.store.door import Origin
    from pipeline.store.plans import Plan
    from pipeline.store.prepare import Prepared
    from pipeline.store.schema import LedgerPoint

_T = TypeVar("_T")

_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_INT64_MAX = 2**63 - 1


def escape_tag(value: str) -> str:
    """Escape a tag value; `schema.check_tag` has refused what cannot be escaped."""
    return value.translate(_TAG_ESCAPES)


def quote(text: str) -> str:
    """Write a string field's value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def encode_lines(origin: Origin, ready: Prepared) -> tuple[list[str], list[Record]]:
    """Write records as lines: one a row, one a judged row, one a ledger record; and whose each line is."""
    lines: list[str] = []
    owners: list[Record] = []
    for records, stack in ready.frames:
        lines += _stack_lines(origin, records, stack)
        owners += _repeat(records, stack.rows)
    for record, flags in ready.flags:
        judged = _flags_lines(_head(schema.READING, origin, record, flags.instrument), flags)
        lines += judged
        owners += [record] * len(judged)
    for record, point in ready.ledger:
        lines.append(_ledger_line(origin, record, point))
        owners.append(record)
    return lines, owners


def _head(measurement: str, origin: Origin, record: Record, instrument: str) -> str:
    # Sorted by key, as InfluxDB keeps them.
    tags = {
        "era": record.era, "gateway": origin.gateway, "instrument": instrument, "lab": origin.lab,
        "source": record.source,
    }  # fmt: skip
    return measurement + "".join(f",{key}={escape_tag(value)}" for key, value in tags.items() if value) + " "


def _heads(origin: Origin, records: Sequence[Record], stack: Stack) -> list[str]:
    """Return what the lines of each frame begin with, up to the ordinal."""
    heads: dict[tuple[Any, ...], str] = {}
    found = []
    for record, instrument, service in zip(records, stack.instrument, stack.service, strict=True):
        key = (record.journal, record.epoch, record.source, instrument)
        head = heads.get(key)
        if head is None:
            head = heads[key] = _head(schema.READING, origin, record, instrument)
        state = "" if service == schema.SERVICE_DEFAULT else f"service={quote(service)},"
        found.append(f"{head}seq={record.seq}i,channels={len(stack.layout.channels)}i,{state}n=")
    return found


def _repeat(values: Sequence[_T], times: int) -> list[_T]:
    return [value for value in values for _ in range(times)] if times != 1 else list(values)


def _print(values: NDArray[Any]) -> list[str]:
    """Print an array's numbers, the last axis fastest."""
    if not values.size:
        return []
    flat = np.ascontiguousarray(values).ravel()
    return orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


def _columns(matrix: NDArray[Any]) -> list[list[str]]:
    """Print a [k, channels, n] matrix: of each channel the k times n numbers."""
    width = matrix.shape[1]
    tokens = _print(matrix.transpose(0, 2, 1))
    return [tokens[channel::width] for channel in range(width)]


def _big_fields(name: str, values: NDArray[np.uint64]) -> list[str]:
    return [
        f"{name}.i={value}i" if value <= _INT64_MAX else f'{name}.s="{value}"'
        for value in values.ravel().tolist()
    ]


def _text_fields(name: str, frames: Iterable[Sequence[str | None]]) -> list[str]:
    return ["" if text is None else f"{name}.s={quote(text)}" for texts in frames for text in texts]


def _value_columns(stack: Stack, plan: Plan) -> list[list[str]]:
    """Return the printed values of all rows, a column each in the order of `plan.formats`."""
    columns = _columns(stack.f8) + _columns(stack.i8)
    for slot, position in enumerate(plan.naturals):
        columns.append(_big_fields(plan.names[position], stack.u8[:, slot]))
    for slot, position in enumerate(plan.texts):
        columns.append(_text_fields(plan.names[position], [frame[slot] for frame in stack.text]))
    return columns


def _sparse_fields(stack: Stack, plan: Plan, there: NDArray[np.bool_] | None) -> list[str]:
    """Return the sparse fields of all rows: flag, reasons, corrected value; "" for most."""
    fields, n = [""] * (len(stack) * stack.rows), stack.rows
    flag, marked = stack.flag, None if stack.flag is None else stack.flag != 1
    if there is not None:
        # A reading without a value leaves its flag in any case, so that it leaves a trace.
        marked = ~there if marked is None else marked | ~there
        flag = np.ones(there.shape, dtype=np.uint8) if flag is None else flag
    for part, matrix, mask in (
        ("q", flag, marked), ("r", stack.reason, None if stack.reason is None else stack.reason != 0),
    ):  # fmt: skip
        if matrix is None or mask is None:
            continue
        marks, places = plan.marks[part], np.nonzero(mask)
        columns = (places[1].tolist(), (places[0] * n + places[2]).tolist(), matrix[places].tolist())
        for channel, row, value in zip(*columns, strict=True):
            fields[row] += f"{marks[channel]}{value}i"
    for frame, corrected in enumerate(stack.corrected):
        for name, values in corrected.items():
            mark = plan.marks["c"][plan.layout.index[name]]
            for row in np.flatnonzero(np.isfinite(values)).tolist():
                fields[frame * n + row] += f"{mark}{orjson.dumps(float(values[row])).decode()}"
    return fields


def _stack_lines(origin: Origin, records: Sequence[Record], stack: Stack) -> list[str]:
    plan, there = plan_of(stack.layout), present(stack)
    ordinals = np.array(stack.n_first, dtype=np.int64)[:, np.newaxis] + np.arange(stack.rows)
    columns = [
        _repeat(_heads(origin, records, stack), stack.rows), _print(ordinals),
        *_value_columns(stack, plan),
        _sparse_fields(stack, plan, there), _print(stack.t_store_ns),
    ]  # fmt: skip
    lines = list(map(plan.template.__mod__, zip(*columns, strict=True)))
    if there is not None:
        _mend_lines(lines, columns, plan, there)
    return lines


def _mend_lines(lines: list[str], columns: list[list[str]], plan: Plan, there: NDArray[np.bool_]) -> None:
    """Write the lines of rows with missing values again, without these."""
    rows = there.shape[2]
    for number in np.flatnonzero(~there.all(axis=1).ravel()).tolist():
        head, ordinal, *tokens, sparse, t_ns = [column[number] for column in columns]
        measured = there[number // rows, :, number % rows][list(plan.positions)].tolist()
        values = "".join(
            form % token
            for form, token, is_there in zip(plan.formats, tokens, measured, strict=True)
            if is_there
        )
        lines[number] = f"{head}{ordinal}i{values}{sparse} {t_ns}"


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
