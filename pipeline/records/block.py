"""What a driver hands out: blocks of rows, one-off readings, device events and gaps.

A block is a struct of arrays for one exchange, or a run of them, with one instrument. Its `Layout` is shared
by all blocks of the instrument until a unit, range or decimal changes, so that a block costs no objects per
channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Kind = Literal["f8", "i8", "u8", "text"]
"""Column types: float64, int64 (also enumeration codes and bits), uint64, text."""

GapCause = Literal[
    "late", "back-off", "line-busy", "disconnected", "service-state", "daemon-down", "shed", "rehearsal"
]
"""Why no poll was sent. Two count polls that were: `shed`, rows that were given up for room, counted by the
journal when they went; `rehearsal`, rows of an instrument found to be simulated, which are in the rehearsal
journal."""
Severity = Literal["info", "warning", "alarm"]

Column: TypeAlias = "NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint64] | tuple[str | None, ...]"
"""The values of one channel, in its own type."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of an instrument, as in force for a block."""

    name: str
    kind: Kind = "f8"
    unit: str = ""
    decimals: int | None = None
    """Digits after the point that the instrument shows; None when it does not say."""
    low: float | None = None
    high: float | None = None
    """Range in force, in `unit`."""
    labels: tuple[tuple[int, str], ...] = ()
    """Names of the codes of an enumeration channel."""
    every: int = 1
    """It is asked for in every poll of its instrument, or in each `every`-th: other rows do not have it."""


@dataclass(frozen=True)
class Layout:
    """The channels of a block and where each one's row lies in the matrix of its kind."""

    channels: tuple[Channel, ...]
    slots: tuple[int, ...] = field(init=False, compare=False)
    """slots[c]: row of channel c in the block's matrix of its kind."""
    index: dict[str, int] = field(init=False, compare=False, repr=False)
    """Channel name to position c."""
    counts: dict[Kind, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Number the channels of each kind in order."""
        counts: dict[Kind, int] = {"f8": 0, "i8": 0, "u8": 0, "text": 0}
        slots = []
        for channel in self.channels:
            slots.append(counts[channel.kind])
            counts[channel.kind] += 1
        index = {channel.name: position for position, channel in enumerate(self.channels)}
        if len(index) != len(self.channels):
            raise ValueError("channel names of a layout must be unique")
        object.__setattr__(self, "slots", tuple(slots))
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "counts", counts)

    @cached_property
    def packed(self) -> list[list[Any]]:
        """The channels as `data` records list them; made once, as every record of an instrument has them."""
        return [
            [
                c.name,
                c.kind,
                c.unit,
                c.decimals,
                c.low,
                c.high,
                [list(label) for label in c.labels],
                *([] if c.every == 1 else [c.every]),
            ]
            for c in self.channels
        ]

    @staticmethod
    def unpacked(listed: list[list[Any]]) -> Layout:
        """Return the layout whose channels `packed` lists.

        Raises:
            ValueError, TypeError: it lists none.
        """
        return Layout(tuple(
            Channel(name, kind, unit, decimals, low, high, tuple((code, text) for code, text in of), *every)
            for name, kind, unit, decimals, low, high, of, *every in listed
        ))  # fmt: skip

    def of_kind(self, kind: Kind) -> list[int]:
        """Positions c of the channels of one kind, in slot order."""
        return [position for position, channel in enumerate(self.channels) if channel.kind == kind]


@dataclass(frozen=True, slots=True)
class Block:
    """n rows of one instrument. All arrays are little-endian, C-contiguous and not changed after hand-out.

    A value whose status is not GOOD is NaN (f8), 0 (i8, u8) or None (text): the status says why.
    """

    instrument: str
    layout: Layout
    t_utc_ns: NDArray[np.int64]
    """int64[n]: UTC at the midpoint of the reading's own exchange (polled), or of its first byte."""
    t_run_ns: NDArray[np.int64]
    """int64[n]: the same instant in gateway time."""
    t_request_ns: NDArray[np.int64]
    """int64[n]: gateway time just before the request was written; equals t_response_ns when unsolicited."""
    t_response_ns: NDArray[np.int64]
    """int64[n]: gateway time when the answer was complete, or when waiting for it ended."""
    status: NDArray[np.uint8]
    """uint8[c, n]: `Status`."""
    f8: NDArray[np.float64]
    """float64[channels of kind f8, n]"""
    i8: NDArray[np.int64]
    """int64[channels of kind i8, n]"""
    u8: NDArray[np.uint64]
    """uint64[channels of kind u8, n]"""
    text: tuple[tuple[str | None, ...], ...] = ()
    """One tuple of n strings for each channel of kind text."""
    raw: tuple[bytes, ...] | None = None
    """The answer's register bytes (or the original line) of each row, where kept; b"" for one without."""

    def __post_init__(self) -> None:
        """Assert the shapes: a wrong one is our bug, never the world's."""
        n, counts = len(self.t_utc_ns), self.layout.counts
        assert self.t_run_ns.shape == self.t_request_ns.shape == self.t_response_ns.shape == (n,)  # noqa: S101 - contract
        assert self.status.shape == (len(self.layout.channels), n)  # noqa: S101 - contract
        assert self.f8.shape == (counts["f8"], n)  # noqa: S101 - contract
        assert self.i8.shape == (counts["i8"], n)  # noqa: S101 - contract
        assert self.u8.shape == (counts["u8"], n)  # noqa: S101 - contract
        assert len(self.text) == counts["text"]  # noqa: S101 - contract

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.t_utc_ns)

    def column(self, channel: str) -> Column:
        """Return the n values of one channel by name."""
        position = self.layout.index[channel]
        kind, slot = self.layout.channels[position].kind, self.layout.slots[position]
        if kind == "text":
            return self.text[slot]
        values: Column = getattr(self, kind)[slot]
        return values

    def rows(self, start: int, stop: int) -> Block:
        """Return the rows start..stop as a block of their own."""
        cut = slice(start, stop)
        return Block(
            instrument=self.instrument,
            layout=self.layout,
            t_utc_ns=self.t_utc_ns[cut],
            t_run_ns=self.t_run_ns[cut],
            t_request_ns=self.t_request_ns[cut],
            t_response_ns=self.t_response_ns[cut],
            status=np.ascontiguousarray(self.status[:, cut]),
            f8=np.ascontiguousarray(self.f8[:, cut]),
            i8=np.ascontiguousarray(self.i8[:, cut]),
            u8=np.ascontiguousarray(self.u8[:, cut]),
            text=tuple(column[cut] for column in self.text),
            raw=None if self.raw is None else self.raw[cut],
        )

    def numeric(self) -> NDArray[np.float64]:
        """float64[c, n] of all channels for the QC engine: NaN where the status is not GOOD and for text.

        Integers beyond 2**53 lose their last bits here, and only here: the record keeps them whole.
        """
        if self.layout.counts["f8"] == len(self.layout.channels):
            return self.f8
        values = np.full((len(self.layout.channels), len(self)), np.nan)
        for position, channel in enumerate(self.layout.channels):
            if channel.kind != "text":
                values[position] = getattr(self, channel.kind)[self.layout.slots[position]]
        values[self.status != 0] = np.nan
        return values


def concatenate(blocks: Sequence[Block]) -> Block:
    """Join blocks of one instrument and one layout, in order."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    raws = [block.raw for block in blocks]
    return Block(
        instrument=first.instrument,
        layout=first.layout,
        t_utc_ns=np.concatenate([block.t_utc_ns for block in blocks]),
        t_run_ns=np.concatenate([block.t_run_ns for block in blocks]),
        t_request_ns=np.concatenate([block.t_request_ns for block in blocks]),
        t_response_ns=np.concatenate([block.t_response_ns for block in blocks]),
        status=np.concatenate([block.status for block in blocks], axis=1),
        f8=np.concatenate([block.f8 for block in blocks], axis=1),
        i8=np.concatenate([block.i8 for block in blocks], axis=1),
        u8=np.concatenate([block.u8 for block in blocks], axis=1),
        text=tuple(sum(columns, ()) for columns in zip(*(block.text for block in blocks), strict=True)),
        raw=None
        if all(raw is None for raw in raws)
        else tuple(line for block in blocks for line in (block.raw or (b"",) * len(block))),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A one-off result with the instrument's own sample id (an analyser that dials in)."""

    instrument: str
    channel: Channel
    value: float | int | str
    t_utc_ns: int
    t_run_ns: int
    sample: str = ""
    text: str = ""
    """The instrument's original line."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something an instrument or its line did that is not a reading; `code` is one of `events.CATALOGUE`."""

    instrument: str
    code: str
    t_utc_ns: int
    t_run_ns: int
    args: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Deadlines at which no poll was sent. A row is never also in a gap.

    Handed out when it begins (`ended` False, `polls` so far) and again, whole, when it ends; both carry the
    same `from_run_ns`, which identifies the gap of an instrument.
    """

    instrument: str
    from_run_ns: int
    to_run_ns: int
    from_utc_ns: int
    to_utc_ns: int
    polls: int
    cause: GapCause
    ended: bool


Item = Block | Reading | DeviceEvent | Gap
"""What a driver's `stream()` yields."""
