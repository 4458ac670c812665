"""Channels become the requests that read them: adjacent registers in one block, no value ever split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    channels: Sequence[ModbusChannel], *, block_registers_max: int, gap_registers_max: int
) -> tuple[ReadBlock, ...]:
    """Return the requests in order of table and address.

    Values are joined while the hole before them has at most `gap_registers_max` registers (or bits) and the
    block stays within `block_registers_max` registers or 2000 bits. Values may overlap or be equal.
    """
    spans = sorted(
        (FUNCTIONS[channel.table], channel.address, channel.address + channel.registers, position)
        for position, channel in enumerate(channels)
    )
    blocks: list[ReadBlock] = []
    first = last = function = 0
    members: list[int] = []
    for span_function, start, stop, position in spans:
        longest = BITS_MAX if span_function <= 2 else block_registers_max
        joins = (
            bool(members)
            and span_function == function
            and start - last <= gap_registers_max
            and max(last, stop) - first <= longest
        )
        if not joins:
            if members:
                blocks.append(ReadBlock(function, first, last - first, tuple(members)))
            function, first, last, members = span_function, start, stop, []
        last = max(last, stop)
        members.append(position)
    blocks.append(ReadBlock(function, first, last - first, tuple(members)))
    return tuple(blocks)
