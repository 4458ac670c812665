"""One number under all byte orders and at the neighbouring addresses: the wrong one often looks right.

A float read one register off, or with its words swapped, may still lie in the range (telegraf #8151: a meter
whose voltages looked plausible that way). Side by side the right reading is seen at once.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drivers.modbus.channel import FLOATS, ModbusChannel
from drivers.modbus.decode import Decoder, build_layout
from drivers.modbus.plan import ReadBlock
from pipeline.records import Status
from pipeline.records.flags import status_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drivers.modbus.channel import Order, ValueType

_ORDERS: tuple[Order, ...] = ("ABCD", "CDAB", "BADC", "DCBA")
_SMALLEST_NORMAL = {
    "float16": float(np.finfo(np.float16).tiny), "float32": float(np.finfo(np.float32).tiny),
    "float64": sys.float_info.min,
}  # fmt: skip
_USUAL = (1e-6, 1e9)
"""Magnitudes of measured values, where the channel gives no range."""


class Candidate(NamedTuple):
    """One way to read the registers."""

    address: int
    order: Order
    type: ValueType
    value: float | int | None
    """None where the code is none of a value."""
    doubt: str
    """Why it is not plausible; empty when it is."""


def channel_of(kind: ValueType, *, low: float | None = None, high: float | None = None) -> ModbusChannel:
    """Return a channel at address 0 to look at bare bytes with."""
    return ModbusChannel(name="value", address=0, type=kind, low=low, high=high)


def interpret(
    channel: ModbusChannel, registers: Mapping[int, int], addresses: Iterable[int]
) -> list[Candidate]:
    """Read a number at each of `addresses` whose registers are there, under each order that differs.

    Args:
        channel: its type, range, scale and codes; no bit, byte or text.
        registers: address to uint16.
        addresses: to try.
    """
    orders = _ORDERS if channel.registers > 1 else ("ABCD", "BADC")
    found = []
    for address in addresses:
        wanted = range(address, address + channel.registers)
        if all(each in registers for each in wanted):
            data = b"".join(registers[each].to_bytes(2, "big") for each in wanted)
            found += [_read(channel, address, order, data) for order in orders]
    return found


def _read(channel: ModbusChannel, address: int, order: Order, data: bytes) -> Candidate:
    one = channel.model_copy(update={"address": address, "order": order, "scale_factor": None})
    layout = build_layout([one])
    block = ReadBlock(3, address, one.registers, (0,))
    columns = Decoder([one], layout, [block]).decode([data])
    status = int(columns.status[0, 0])
    if status != Status.GOOD:
        return Candidate(address, order, one.type, None, status_name(status))
    value = getattr(columns, layout.channels[0].kind)[0, 0].item()
    return Candidate(address, order, one.type, value, _doubt(one, value))


def _doubt(channel: ModbusChannel, value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    if channel.type in FLOATS and 0.0 < abs(value) < _SMALLEST_NORMAL[channel.type]:
        return "denormal: no instrument measures so finely"
    if channel.low is not None and value < channel.low:
        return f"below {channel.low:g}"
    if channel.high is not None and value > channel.high:
        return f"above {channel.high:g}"
    ranged = channel.low is not None or channel.high is not None
    if not ranged and value and not _USUAL[0] <= abs(value) <= _USUAL[1]:
        return "an unusual magnitude"
    return ""
