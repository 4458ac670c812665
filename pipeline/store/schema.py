"""How a record becomes points: names of measurements, tags and fields. Pure, and shared by all stores.

One point per instrument and stored time in measurement `reading`, one per record in a measurement of its own
for each ledger kind. Whatever a store cannot name is refused here, so that all stores refuse the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import orjson

from pipeline.records.flags import SEVERITY
from pipeline.store.door import LedgerRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pipeline.records import FlagSet, Record
    from pipeline.records.block import Kind
    from pipeline.records.stack import Stack
    from pipeline.store.door import Origin, Value

READING = "reading"
SERVICE_DEFAULT = "in-use"

LEDGER_KEYS: dict[str, tuple[str, ...]] = {
    "event": ("instrument",), "gap": ("instrument",), "checkpoint": (), "config": (), "task": ("task",),
    "result": ("task",), "verdict": ("task",), "review": ("task",), "entry": ("task",),
    "registry": ("type", "id"), "health": (), "alarm": ("alarm",), "batch": ("batch",), "control": ("task",),
    "chart": (), "lookback": ("lookback",), "cosignature": (),
}  # fmt: skip
"""Ledger kinds that stores show, and the body's fields that make a record's key, joined by '/'."""

TAG_KEYED = frozenset({"event", "gap"})
"""Kinds whose key is the tag `instrument`: instruments are few. Any other key is a field."""

SEQ_BITS = 20
"""Low bits of a ledger point's stored time that come from its seq."""

RESERVED = frozenset(
    {"time", "lab", "gateway", "instrument", "source", "era", "seq", "n", "channels", "service"}
)
"""Field and tag names of our own: a float channel of such a name keeps its value in `<name>.v`."""

_CHANNEL = re.compile(r"[a-z][a-z0-9_]*\Z")
_RULE = re.compile(r"[a-z][a-z0-9_-]*\Z")
_TAG_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
TAG_LENGTH_MAX = 256
_UINT64_TEXT = re.compile(r"[1-9][0-9]{18,19}\Z")
FLAG_VALUES = bytes(flag for flag, severity in enumerate(SEVERITY) if severity)
_INT64_MAX = 2**63 - 1
_UINT64_MAX = 2**64 - 1
TIME_MAX_NS = 2**63 - 2
"""InfluxDB keeps times from its negative to this (models.MaxNanoTime in its source)."""
LEDGER_TIME_MAX_NS = 2**63 - 2**21
"""Leaves room for the low bits of a ledger point's stored time."""

Part = Literal["v", "i", "s", "q", "r", "c", "f"]


class Unstorable(ValueError):  # noqa: N818 - what the record is
    """A record that no store can name; the message says why."""


class Field(NamedTuple):
    """What a field of `reading` holds: v, i, s value; q flag; r reasons; c corrected; f later verdict."""

    channel: str
    part: Part
    rule: str = ""


def field_name(channel: str, kind: Kind) -> str:
    """Name the value field of a channel (of a u8 channel: for values up to 2**63 - 1)."""
    if kind == "f8":
        return f"{channel}.v" if channel in RESERVED else channel
    return f"{channel}.s" if kind == "text" else f"{channel}.i"


@lru_cache(maxsize=65536)
def parse_field(name: str) -> Field | None:
    """Read a field name back; None for the fields that are no channel's."""
    if name in RESERVED:
        return None
    channel, dot, rest = name.partition(".")
    if not dot:
        return Field(channel, "v")
    part, _, rule = rest.partition(".")
    return Field(channel, part, rule) if part in {"v", "i", "s", "q", "r", "c", "f"} else None  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def check_tag(what: str, value: str) -> str:
    """Return a tag value, or raise Unstorable for one that line protocol cannot carry."""
    if not value or len(value) > TAG_LENGTH_MAX or _TAG_FORBIDDEN.search(value):
        raise Unstorable(f"{what} {value!r} is empty, too long, or has a backslash or control character")
    return value


def check_origin(origin: Origin) -> None:
    """Refuse names of laboratory and gateway that no store can hold. Raises Unstorable."""
    check_tag("lab", origin.lab)
    check_tag("gateway", origin.gateway)


def check_record(record: Record) -> None:
    """Refuse names and numbers in the envelope that no store can hold. Raises Unstorable."""
    check_tag("source", record.source)
    if not 0 <= record.seq <= _INT64_MAX:
        raise Unstorable(f"seq {record.seq} is outside int64")
    if not -LEDGER_TIME_MAX_NS <= record.t_utc_ns <= LEDGER_TIME_MAX_NS:
        raise Unstorable(f"time {record.t_utc_ns} is outside what stores keep")


def check_stack(stack: Stack) -> None:
    """Refuse frames that no store can hold; channel names are for `plans`. Raises Unstorable."""
    for instrument in set(stack.instrument):
        check_tag("instrument", instrument)
    if min(stack.n_first) < 0 or max(stack.n_first) > _INT64_MAX - stack.rows:
        raise Unstorable("an ordinal is outside int64")
    _check_times(stack.t_store_ns)
    if stack.flag is not None:
        _check_flag_values(stack.flag)


def _check_times(t_store_ns: NDArray[np.int64]) -> None:
    if t_store_ns.size and not -TIME_MAX_NS <= t_store_ns.min() <= t_store_ns.max() <= TIME_MAX_NS:
        raise Unstorable("a stored time is outside what stores keep")


def _check_flag_values(flag: NDArray[np.uint8]) -> None:
    if flag.tobytes().translate(None, FLAG_VALUES):
        raise Unstorable("a flag is none of the QARTOD values 1, 2, 3, 4 and 9")


def is_channel(name: str) -> bool:
    """Tell whether a channel can have this name."""
    return _CHANNEL.match(name) is not None


def check_channels(names: Iterable[str]) -> None:
    """Refuse names that are not channel names. Raises Unstorable."""
    for name in names:
        if type(name) is not str or not is_channel(name):  # a damaged record may list anything
            raise Unstorable(f"channel name {name!r} is not lower-case letters, digits and underscores")


def check_flags(flags: FlagSet) -> None:
    """Refuse names that are none. Raises Unstorable."""
    check_tag("instrument", flags.instrument)
    check_channels(dict.fromkeys(flags.channel))
    _check_flag_values(flags.flag)
    if not len(flags.n) == len(flags.channel) == len(flags.flag) == len(flags.t_store_ns):
        raise Unstorable("columns of different length")
    _check_times(flags.t_store_ns)
    if not _RULE.match(flags.rule):
        raise Unstorable(f"rule name {flags.rule!r} is not lower-case letters, digits, hyphens, underscores")


def read_text(text: str) -> int | str:
    """Read a text field back: the digits of an integer from 2**63 to 2**64 - 1 are that integer."""
    if _UINT64_TEXT.match(text) and _INT64_MAX < int(text) <= _UINT64_MAX:
        return int(text)
    return text


def as_number(value: Value) -> float:
    """Return a value as a float for drawing: NaN for text and for what was not measured."""
    return float("nan") if value is None or isinstance(value, str) else float(value)


def journal_of(era: str) -> str:
    """Return the journal's part of an era: ordinals are unique within it."""
    return era.partition("-")[0]


class LedgerPoint(NamedTuple):
    """A ledger record as stores keep it."""

    key: str
    t_store_ns: int
    body: str
    """JSON"""


def ledger_time_ns(t_utc_ns: int, seq: int) -> int:
    """Return a ledger record's stored time: its own, with the low 20 bits (about 1 ms) taken from its seq.

    Records of one era and one millisecond lie far fewer than 2**20 seqs apart, so no two of a kind share a
    stored time, and a record that is sent again gets the same one. The exact time is a field beside it.
    """
    return (t_utc_ns >> SEQ_BITS << SEQ_BITS) | (seq & ((1 << SEQ_BITS) - 1))


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


def ledger_point(record: Record) -> LedgerPoint:
    """Make the point of a ledger record whose kind is in `LEDGER_KEYS`. Raises Unstorable."""
    parts = [record.body.get(name) for name in LEDGER_KEYS[record.kind]]
    key = "/".join(str(part) for part in parts if part is not None)
    if key and record.kind in TAG_KEYED:
        check_tag("instrument", key)
    try:
        body = orjson.dumps(record.body, default=_hex, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise Unstorable(f"body cannot be written as JSON: {error}") from error
    return LedgerPoint(key, ledger_time_ns(record.t_utc_ns, record.seq), body)


def ledger_row(
    *, kind: str, key: str, journal: bytes, era: str, seq: int, t_utc_ns: int, source: str, body: str
) -> LedgerRow:
    """Make a ledger row of what a store keeps; `body` is JSON."""
    return LedgerRow(kind, key, journal, era, seq, t_utc_ns, source, orjson.loads(body))


def units_of(config_body: Mapping[str, Any] | None, instrument: str) -> dict[str, str]:
    """Return the units of an instrument's channels from the body of a `config` record; {} when it is none."""
    try:
        site = (config_body or {}).get("site") or {}
        return {
            str(channel["name"]): str(channel.get("unit", ""))
            for entry in site.get("instruments", ())
            if entry["id"] == instrument
            for channel in entry.get("channels", ())
        }
    except (AttributeError, KeyError, TypeError):
        return {}
