"""Channels become the requests that read them: adjacent registers in one block, no value ever split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from drivers.modbus.channel import REGISTERS_MAX
from drivers.modbus.cost import NETWORK_COST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from drivers.modbus.channel import ModbusChannel, Table
    from drivers.modbus.cost import LineCost

FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Function that reads each table (Modbus Application Protocol V1.1b3, section 6)."""
BITS_MAX = 2000
"""Most coils or discrete inputs in one answer (sections 6.1 and 6.2)."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """One read request and the channels that it serves."""

    function: int
    address: int
    count: int
    """Registers, or bits for functions 1 and 2."""
    channels: tuple[int, ...]
    """Positions of its channels in the instrument's settings."""

    @property
    def byte_count(self) -> int:
        """Data bytes of the answer."""
        return data_bytes(self.function, self.count)

    def __str__(self) -> str:
        """Write it as people do: `100+62 function 4`."""
        return f"{self.address}+{self.count} function {self.function}"


def data_bytes(function: int, count: int) -> int:
    """Return the data bytes of an answer with `count` registers or bits."""
    return (count + 7) // 8 if function <= 2 else 2 * count


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device allows in one request."""

    block_registers_max: int = REGISTERS_MAX
    """Registers in one answer."""
    gap_registers_max: int | None = None
    """Unused registers (or bits) between two values that may be read along; None: as many as pay."""
    holes: tuple[tuple[int, int], ...] = ()
    """First and last address of ranges that may not be read along."""


def plan_blocks(
    channels: Sequence[ModbusChannel],
    positions: Iterable[int] | None = None,
    *,
    limits: Limits = Limits(),
    cost: LineCost = NETWORK_COST,
) -> tuple[ReadBlock, ...]:
    """Return the cheapest requests, in order of table and address.

    Neighbours share a request where that costs the line less than two: an unused register between them is
    read along when it costs less than a request. No value is split. Values may overlap or be equal.

    Args:
        channels: all channels of the instrument.
        positions: those to read; None for all.
        limits: of the device.
        cost: of the line.
    """
    spans = _spans(channels, range(len(channels)) if positions is None else positions)
    joins = _joins(spans, limits)
    # best[k]: least cost of the first k values, and where the last of their requests begins. Of equal ones
    # the one whose last request is the shortest: blocks are filled from the front.
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(spans) + 1):
        least, begin = min(_ways(spans, joins, end, best, limits, cost))
        best.append((least, -begin))
    blocks: list[ReadBlock] = []
    end = len(spans)
    while end:
        begin = best[end][1]
        blocks.append(_block(spans[begin:end]))
        end = begin
    return tuple(reversed(blocks))


def _joins(spans: Sequence[_Span], limits: Limits) -> list[bool]:
    """Tell for each value whether one request may hold it and the value before it."""
    joins = []
    function, last = 0, 0
    for span in spans:
        if span.function != function:
            function, last = span.function, 0
            joins.append(False)
        else:
            gap_max = limits.gap_registers_max
            fits = gap_max is None or span.start - last <= gap_max
            joins.append(fits and not any(low < span.start and high >= last for low, high in limits.holes))
        last = max(last, span.stop)
    return joins


def _ways(
    spans: Sequence[_Span], joins: Sequence[bool], end: int, best: Sequence[tuple[int, int]],
    limits: Limits, cost: LineCost,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Yield cost and negative beginning of each last request that the first `end` values may have."""
    function = spans[end - 1].function
    longest = BITS_MAX if function <= 2 else limits.block_registers_max
    stop = 0
    for begin in range(end - 1, -1, -1):
        stop = max(stop, spans[begin].stop)
        count = stop - spans[begin].start
        if count > longest and begin < end - 1:
            return
        yield best[begin][0] + round(cost.block_s(function, count) * 1e9), -begin
        if not joins[begin]:
            return


def halves(channels: Sequence[ModbusChannel], block: ReadBlock) -> tuple[ReadBlock, ReadBlock]:
    """Return two requests for the values of one; the registers between their values are left out."""
    spans = _spans(channels, block.channels)
    middle = len(spans) // 2
    return _block(spans[:middle]), _block(spans[middle:])


class _Span(NamedTuple):
    """Where one value lies; sorts by table and address."""

    function: int
    start: int
    stop: int
    position: int


def _spans(channels: Sequence[ModbusChannel], positions: Iterable[int]) -> list[_Span]:
    return sorted(
        _Span(FUNCTIONS[channel.table], *channel.span, position)
        for position, channel in ((position, channels[position]) for position in positions)
    )


def _block(spans: Sequence[_Span]) -> ReadBlock:
    first = spans[0].start
    count = max(span.stop for span in spans) - first
    return ReadBlock(spans[0].function, first, count, tuple(span.position for span in spans))
