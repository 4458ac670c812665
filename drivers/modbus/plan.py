"""Channels become the requests that read them: adjacent registers in one block, no value ever split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from drivers.modbus.settings import ModbusChannel, Table

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


def data_bytes(function: int, count: int) -> int:
    """Return the data bytes of an answer with `count` registers or bits."""
    return (count + 7) // 8 if function <= 2 else 2 * count


def plan_blocks(
    channels: Sequence[ModbusChannel],
    positions: Iterable[int] | None = None,
    *,
    block_registers_max: int,
    gap_registers_max: int,
    holes: Sequence[tuple[int, int]] = (),
) -> tuple[ReadBlock, ...]:
    """Return the requests in order of table and address.

    Values are joined while the hole before them has at most `gap_registers_max` registers (or bits) and the
    block stays within `block_registers_max` registers or 2000 bits. Values may overlap or be equal.

    Args:
        channels: all channels of the instrument.
        positions: those to read; None for all.
        block_registers_max: registers that the device gives in one answer.
        gap_registers_max: unused registers (or bits) that may be read along.
        holes: first and last address of ranges that may not be read along.
    """
    blocks: list[ReadBlock] = []
    members: list[_Span] = []
    for span in _spans(channels, range(len(channels)) if positions is None else positions):
        longest = BITS_MAX if span.function <= 2 else block_registers_max
        last = max((member.stop for member in members), default=0)
        joins = (
            bool(members)
            and span.function == members[0].function
            and span.start - last <= gap_registers_max
            and max(last, span.stop) - members[0].start <= longest
            and not any(low < span.start and high >= last for low, high in holes)
        )
        if members and not joins:
            blocks.append(_block(members))
            members = []
        members.append(span)
    return (*blocks, _block(members)) if members else tuple(blocks)


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
