"""Records for tests of stores, and a naive reader of line protocol written from its reference."""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Block, Channel, Flag, FlagSet, Frame, Layout, Record
from pipeline.records.clock import ClockState
from pipeline.records.envelope import Source, encode
from pipeline.records.events import event_body
from pipeline.records.frame import encode_flags, encode_frame
from pipeline.store import Origin

ORIGIN = Origin("food-lab", "gw-1")
JOURNAL = bytes(range(16))
CLOCK = ClockState(synchronised=True, error_ns=1000)
T0_NS = 1_750_000_000_000_000_000
S_NS = 1_000_000_000


def record(
    kind: str,
    body: Mapping[str, object],
    seq: int,
    *,
    t_utc_ns: int = T0_NS,
    journal: bytes = JOURNAL,
    epoch: int = 0,
    source: Source = "live",
) -> Record:
    return encode(
        kind=kind, source=source, journal=journal, epoch=epoch, boot=1, seq=seq, t_utc_ns=t_utc_ns,
        t_run_ns=t_utc_ns, clock=CLOCK, by=None, body=dict(body),
    )  # fmt: skip


Column: TypeAlias = list[float] | list[int] | list[str | None]


def frame(  # one keyword for each part of a frame that a test may want to set
    instrument: str,
    columns: dict[tuple[str, str], Column],
    *,
    n_first: int = 0,
    t_ns: list[int] | None = None,
    status: dict[tuple[str, int], int] | None = None,
    flag: dict[tuple[str, int], Flag] | None = None,
    reason: dict[tuple[str, int], int] | None = None,
    service: str = "in-use",
    store_off_ns: list[int] | None = None,
    corrected: dict[str, list[float]] | None = None,
) -> Frame:
    """Make a frame of columns {(channel, kind): values}; statuses, flags and reasons by (channel, row)."""
    layout = Layout(tuple(Channel(name, kind) for name, kind in columns))  # type: ignore[arg-type]
    rows = len(next(iter(columns.values())))
    times = np.array(t_ns or [T0_NS + row * S_NS for row in range(rows)], dtype=np.int64)
    shape = (len(columns), rows)

    def matrix(kind: str, dtype: str) -> NDArray[Any]:
        return np.array([v for (_, k), v in columns.items() if k == kind], dtype=dtype).reshape(-1, rows)

    def sparse(entries: dict[tuple[str, int], int] | None, dtype: str, normal: int) -> NDArray[Any]:
        values = np.full(shape, normal, dtype=dtype)
        for (name, row), value in (entries or {}).items():
            values[layout.index[name], row] = value
        return values

    texts = tuple(tuple(cast("list[str | None]", v)) for (_, k), v in columns.items() if k == "text")
    block = Block(
        instrument=instrument, layout=layout, t_utc_ns=times, t_run_ns=times, t_request_ns=times,
        t_response_ns=times, status=sparse(status, "u1", 0), f8=matrix("f8", "<f8"), i8=matrix("i8", "<i8"),
        u8=matrix("u8", "<u8"), text=texts,
    )  # fmt: skip
    return Frame(
        block=block, n_first=n_first, flag=sparse(dict(flag or {}), "u1", 1), reason=sparse(reason, "<i8", 0),
        unevaluated=np.zeros(shape, dtype=np.int64), service=service,
        t_store_off_ns=None if store_off_ns is None else np.array(store_off_ns, dtype=np.int64),
        corrected={name: ("corr-1", np.array(values)) for name, values in (corrected or {}).items()},
    )  # fmt: skip


def data(content: Frame, seq: int, **envelope: object) -> Record:
    return record("data", encode_frame(content), seq, **envelope)  # type: ignore[arg-type]


def verdicts(
    instrument: str, rule: str, said: list[tuple[int, str, Flag, int]], seq: int, **envelope: object
) -> Record:
    """Make a `flags` record of (n, channel, flag, stored time)."""
    content = FlagSet(
        instrument=instrument,
        rule=rule,
        decided_through_n=max((n for n, *_ in said), default=-1),
        n=np.array([n for n, *_ in said], dtype=np.int64),
        channel=tuple(channel for _, channel, _, _ in said),
        flag=np.array([flag for _, _, flag, _ in said], dtype=np.uint8),
        t_store_ns=np.array([t_ns for *_, t_ns in said], dtype=np.int64),
    )
    return record("flags", encode_flags(content), seq, **envelope)  # type: ignore[arg-type]


def ledger_records() -> list[Record]:
    """Make 40 records from seq 10 on: events of one instant, kinds with keys, kinds not shown."""

    def event(instrument: str, text: str) -> dict[str, object]:
        return event_body("device-message", instrument=instrument, text=text)

    return [
        record("event", event("ph", f'line {index} "q" \\ 值\nnext'), 10 + index, t_utc_ns=T0_NS + 7)
        for index in range(30)
    ] + [
        record("event", event("scale", "x"), 40, t_utc_ns=T0_NS + S_NS),
        record("event", event_body("daemon-stop"), 41, t_utc_ns=T0_NS - S_NS),
        record("task", {"task": "T-1", "action": "start", "weights": [0.1, 2**64 - 1, -0.0, None]}, 42),
        record("task", {"task": "T-2", "action": "start", "text": "'; DROP MEASUREMENT task --"}, 43),
        record("registry", {"type": "equipment", "id": "E-1", "data": {"serial": b"\x00\xff"}}, 44),
        record("checkpoint", {"note": "n\n", "size": 44, "root": bytes(32)}, 45, epoch=2),
        *(
            record(kind, {"x": 1}, 46 + index)
            for index, kind in enumerate(["tick", "command", "reply", "from-the-future"])
        ),
    ]


Parsed: TypeAlias = tuple[str, dict[str, str], dict[str, float | int | str], int]


def _read_until(line: str, start: int, stops: str) -> tuple[str, int]:
    text, at = "", start
    while at < len(line) and line[at] not in stops:
        if line[at] == "\\" and at + 1 < len(line) and line[at + 1] in ",= ":
            at += 1
        text += line[at]
        at += 1
    return text, at


def _read_string(line: str, start: int) -> tuple[str, int]:
    text, at = "", start + 1
    while line[at] != '"':
        if line[at] == "\\" and line[at + 1] in '"\\':
            at += 1
        text += line[at]
        at += 1
    return text, at + 1


def parse_line(line: str) -> Parsed:
    """Read one line: measurement, tags, fields, time in ns."""
    measurement, at = _read_until(line, 0, ", ")
    tags: dict[str, str] = {}
    while line[at] == ",":
        key, at = _read_until(line, at + 1, "=")
        tags[key], at = _read_until(line, at + 1, ", ")
    fields: dict[str, float | int | str] = {}
    while line[at] in " ,":
        if line[at] == " " and fields:
            break
        key, at = _read_until(line, at + 1, "=")
        if line[at + 1] == '"':
            fields[key], at = _read_string(line, at + 1)
        else:
            number, at = _read_until(line, at + 1, ", ")
            fields[key] = int(number[:-1]) if number.endswith("i") else float(number)
    return measurement, tags, fields, int(line[at + 1 :])
