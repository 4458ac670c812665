"""The envelope of a journal record.

A record is one msgpack array `[version, kind, source, journal, epoch, boot, seq, t_utc_ns, t_run_ns,
clock_state, by, body]`. Its bytes are what is fsynced, hashed, published and archived: they are made once,
by the journal, and never re-encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import msgpack

from pipeline.records.clock import ClockState
from pipeline.records.shared import unpack

VERSION = 1
Source = Literal["live", "simulated", "replayed", "manual", "imported"]
Purpose = Literal["production", "rehearsal"]

BULK_KINDS = frozenset({"data", "flags"})
LEDGER_KINDS = frozenset({
    "reading", "entry", "event", "tick", "gap", "config", "registry", "task", "result", "verdict", "review",
    "command", "reply", "checkpoint", "cosignature", "batch", "control", "chart", "lookback", "alarm", "key",
    "witness-key",
})  # fmt: skip
KINDS = BULK_KINDS | LEDGER_KINDS
"""Kinds that this version writes. Kinds that it does not know are stored and forwarded all the same."""

Body = dict[str, Any]

CLOCK_STATES_KEPT = 256
"""States of clocks that are remembered; it takes a second for one to change."""


class By(NamedTuple):
    """Which consumer derived a record, from what: after a crash it appends only what is not there yet."""

    consumer: str
    version: int
    through_seq: int
    """The record whose consumption led to this one."""
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody needs here
    """Position among the records derived from `through_seq`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a journal, with the bytes that are its identity's content."""

    kind: str
    source: Source
    journal: bytes
    """16 bytes: the journal's id."""
    epoch: int
    boot: int
    seq: int
    t_utc_ns: int
    t_run_ns: int
    clock: ClockState
    by: By | None
    body: Body
    data: bytes
    """The record's bytes."""

    @property
    def era(self) -> str:
        """First 8 hex digits of the journal id, '-', epoch: a tag in stores."""
        return f"{self.journal[:4].hex()}-{self.epoch}"


def own_source(purpose: Purpose) -> Source:
    """Source of what a gateway records of itself: in rehearsal everything says that it is simulated."""
    return "live" if purpose == "production" else "simulated"


class MalformedRecord(ValueError):  # noqa: N818 - a noun that says what it is
    """Bytes that are not a record; the message says where it fails."""


def encode(  # noqa: PLR0913 - the envelope has these fields
    *, kind: str, source: Source, journal: bytes, epoch: int, boot: int, seq: int,
    t_utc_ns: int, t_run_ns: int, clock: ClockState, by: By | None, body: Body,
) -> Record:  # fmt: skip
    """Encode a record; integers are packed as int64, or uint64 where they need it."""
    packed_by = None if by is None else list(by)
    data = msgpack.packb(
        [VERSION, kind, source, journal, epoch, boot, seq, t_utc_ns, t_run_ns, clock.pack(), packed_by, body],
        use_bin_type=True,
    )
    return Record(kind, source, journal, epoch, boot, seq, t_utc_ns, t_run_ns, clock, by, body, data)


def decode(data: bytes) -> Record:
    """Decode the bytes of one record.

    Raises:
        MalformedRecord: not msgpack, not an envelope, or of a version that this code does not know.
    """
    try:
        fields = unpack(data)
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # TypeError: a map keyed by an array
        raise MalformedRecord(f"record is not msgpack: {error}") from error
    if not isinstance(fields, list) or len(fields) != 12:
        raise MalformedRecord("record is not an array of 12 fields")
    version, kind, source, journal, epoch, boot, seq, t_utc_ns, t_run_ns, clock, by, body = fields
    if version != VERSION:
        raise MalformedRecord(
            f"record version {version} is newer than this program knows ({VERSION}); update it"
        )
    # One by one: a loop over them takes twice as long, of every record. By type: True is no epoch, though it
    # equals 1.
    if not (
        type(kind) is str and type(source) is str and type(journal) is bytes
        and type(epoch) is int and type(boot) is int and type(seq) is int
        and type(t_utc_ns) is int and type(t_run_ns) is int and type(body) is dict
    ):  # fmt: skip
        raise MalformedRecord("record envelope is damaged: a field has the wrong type")
    try:
        state = _clock_state(clock[0], clock[1])
        derived = None if by is None else By(*by)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise MalformedRecord(f"record envelope is damaged: {error}") from error
    return Record(
        kind, cast("Source", source), journal, epoch, boot, seq, t_utc_ns, t_run_ns, state, derived, body,
        bytes(data),
    )  # fmt: skip


@lru_cache(maxsize=CLOCK_STATES_KEPT)
def _clock_state(synchronised: Any, error_ns: Any) -> ClockState:
    return ClockState(bool(synchronised), int(error_ns))


def split(payload: bytes) -> list[bytes]:
    """Cut an MQTT payload, one or more records end to end, into the exact bytes of each.

    Raises:
        MalformedRecord: the payload ends inside a record or is not msgpack.
    """
    unpacker = msgpack.Unpacker(None, max_buffer_size=len(payload) or 1)
    unpacker.feed(payload)
    parts, start = [], 0
    while start < len(payload):
        try:
            unpacker.skip()
        except (ValueError, msgpack.UnpackException) as error:
            raise MalformedRecord(f"payload is cut or damaged at byte {start}: {error}") from error
        parts.append(payload[start : unpacker.tell()])
        start = unpacker.tell()
    return parts
