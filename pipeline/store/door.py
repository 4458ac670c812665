"""The store door: what every store takes, answers and raises.

Times are stored times, int64 ns of UTC (`Frame.t_store_ns`): strictly increasing per journal, epoch and
instrument, so that each row is one point. Spans of time and of ordinals are half-open: first included, last
excluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.records import Record
    from pipeline.records.ranges import RangeSet

Value = float | int | str | None
"""A stored value; None where none was measured, or where it was not a finite number."""


class StoreError(Exception):
    """A store did not do what it was asked; `hint` says what a person can do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} — {hint}" if hint else message)
        self.hint = hint


class StoreUnavailable(StoreError):  # noqa: N818 - a state, not a mistake
    """Nothing is known to be stored: keep the records and try again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class StoreMisconfigured(StoreUnavailable):
    """The store answers but refuses us (credentials, database, version): tell a person, try again later."""


class Origin(NamedTuple):
    """Who recorded: ids of the laboratory and of its gateway."""

    lab: str
    gateway: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A line that the store will never take; the caller makes it durable before it counts as stored."""

    journal: bytes
    seq: int
    line: str
    """The line as written to the store; of a record that makes no line, its bytes in hex."""
    reason: str


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What a write achieved. A record of which any line is dead is not in `stored`."""

    stored: dict[bytes, RangeSet]
    """Journal id to the seqs that are durably stored."""
    dead: list[DeadLetter]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an instrument, exact to the bit."""

    instrument: str
    era: str
    source: str
    seq: int
    n: int
    t_utc_ns: int
    """Stored time."""
    service: str
    """Service state of the instrument: `in-use` unless recorded otherwise."""
    values: dict[str, Value]
    """Every channel of the row. An integer beyond int64 is read back as int; text of the same digits too."""
    flags: dict[str, int]
    """Final flag of every channel, later verdicts included."""
    reasons: dict[str, int]
    """Reason mask of every channel."""
    corrected: dict[str, float]
    """Corrected values, of the channels that have one."""


@dataclass(frozen=True, slots=True)
class LatestRow(Row):
    """The newest row of an instrument, with what a page shows beside it."""

    units: dict[str, str] = field(default_factory=dict)
    """Unit of each channel by the newest `config` record; a channel that it does not name is absent."""


@dataclass(frozen=True, slots=True)
class Series:
    """One channel over time, in order of stored time."""

    t_utc_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    """NaN where nothing was measured, and for text."""
    flag: NDArray[np.uint8]
    """Final flag: the worst of the row's own and of all later verdicts."""
    reason: NDArray[np.int64]
    decimated: bool
    """True when rows were left out: first, last, least and greatest of each bucket and every row that did not
    pass are still there."""
    corrected: NDArray[np.float64] | None = None
    """Corrected values, NaN where a row has none; None: no row of the span has one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is stored of one instrument in a span of time, counted from the store's own content."""

    rows: int
    ordinals: dict[str, int]
    """Era to the number of different ordinals."""
    readings: int
    """Values, or missing ones: each row times its channels."""
    duplicates: int
    """Rows beyond one for each era and ordinal."""
    flags: dict[int, int]
    """Final flag to readings."""
    reasons: dict[int, int]
    """Bit of the reason mask to readings."""
    rules: dict[str, int]
    """Rule that needs the future to readings that did not pass it."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One ledger record as stores keep it."""

    kind: str
    key: str
    """What the record is about (`schema.LEDGER_KEYS`); "" when about the gateway."""
    journal: bytes
    era: str
    seq: int
    t_utc_ns: int
    """The record's own time."""
    source: str
    body: dict[str, Any]
    """Bytes appear in hex; everything else is exact."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether a store can be used now, and what it says of itself."""

    ok: bool
    kind: str
    detail: str


class Store(Protocol):
    """A place of stored records.

    Writes run one after another, in the order of the calls; queries beside them. Every call may raise
    StoreUnavailable or its kind StoreMisconfigured.
    """

    async def warm(self) -> None:
        """Load what only writing needs, so that the first batch need not wait for it. It asks no server."""
        ...

    async def write(self, origin: Origin, records: Sequence[Record]) -> WriteReport:
        """Store records and return once the store has said that they are durable.

        Writing a record again changes nothing. Kinds that stores do not show count as stored.
        """
        ...

    async def sites(self) -> list[Origin]:
        """List the origins that have anything stored, sorted."""
        ...

    async def instruments(self, origin: Origin) -> list[str]:
        """List the instruments that have rows, sorted."""
        ...

    async def latest(self, origin: Origin) -> dict[str, LatestRow]:
        """Return the newest row of each instrument: by ordinal within a journal, by time across journals."""
        ...

    async def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        """Return a channel's rows in a span of time: about `points_max`, and all that did not pass."""
        ...

    async def rows(
        self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None = None
    ) -> list[Row]:
        """Return the rows with ordinals n_from <= n < n_to, sorted by ordinal, then time."""
        ...

    async def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> Mapping[str, Counts]:
        """Count what is stored in a span of time, for each instrument that has a row in it."""
        ...

    async def ledger(
        self,
        origin: Origin,
        kind: str,
        *,
        key: str | None = None,
        limit: int = 1000,
        newest_first: bool = True,
        seq_from: int | None = None,
    ) -> list[LedgerRow]:
        """Return ledger records of one kind, by time; with `seq_from`, those from that seq on, by seq.

        Raises:
            ValueError: stores do not show that kind.
        """
        ...

    async def ledger_count(self, origin: Origin, kind: str, *, key: str | None = None) -> int:
        """Count the ledger records of one kind."""
        ...

    async def health(self) -> StoreHealth:
        """Ask the store whether it can be used; raises nothing."""
        ...
