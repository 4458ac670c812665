"""Register bytes become columns: numbers by the group, bits in one gather, texts one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drivers.modbus.numeric import byte_offsets, number_groups, number_kind
from pipeline.records import Channel, Layout, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drivers.modbus.channel import ModbusChannel
    from drivers.modbus.numeric import NumberGroup
    from drivers.modbus.plan import ReadBlock
    from pipeline.records.block import Kind


LAYOUTS_KEPT = 1024
"""Layouts that are remembered; two instruments of one kind need one."""
_NO_BYTES = np.zeros(0, dtype=np.uint8)
_NO_I8 = np.zeros((0, 1), dtype=np.int64)
_NO_U8 = np.zeros((0, 1), dtype=np.uint64)


class Columns(NamedTuple):
    """One row of all channels, shaped as `Block` wants it."""

    status: NDArray[np.uint8]
    f8: NDArray[np.float64]
    i8: NDArray[np.int64]
    u8: NDArray[np.uint64]
    text: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class _Bits:
    slots: NDArray[np.intp]
    bytes: NDArray[np.intp]
    shifts: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Text:
    channel: int
    gather: NDArray[np.intp]
    """intp[bytes]: where its characters lie in the joined answers, in reading order."""


def build_layout(channels: Sequence[ModbusChannel], every: Sequence[int] | None = None) -> Layout:
    """Return the layout that the settings describe; instruments with equal channels share theirs.

    Args:
        channels: those of a row.
        every: at every which poll each of them is asked for; None for every one.
    """
    cycles = [1] * len(channels) if every is None else every
    return _layout(tuple(
        Channel(c.name, _kind(c), c.unit, c.decimals, c.low, c.high, c.labels, cycle)
        for c, cycle in zip(channels, cycles, strict=True)
    ))  # fmt: skip


@lru_cache(maxsize=LAYOUTS_KEPT)
def _layout(channels: tuple[Channel, ...]) -> Layout:
    return Layout(channels)


def _kind(channel: ModbusChannel) -> Kind:
    return "text" if channel.type == "string" else number_kind(channel)


class Decoder:
    """The decode of one instrument under one plan, with its indices computed once."""

    def __init__(
        self, channels: Sequence[ModbusChannel], layout: Layout, blocks: Sequence[ReadBlock]
    ) -> None:
        self.layout = layout
        self._sizes = [block.byte_count for block in blocks]
        self._block_of = np.zeros(len(channels), dtype=np.intp)
        places = _Places(channels, blocks, self._sizes)
        self._block_of[:] = places.block_of
        self._groups = number_groups(channels, layout, places.first_byte, places.factor_byte)
        self._bits = _bits(channels, layout, places)
        self._texts = _texts(channels, places)
        self._picks_bytes = (
            self._bits is not None or bool(self._texts) or any(group.picks_bytes for group in self._groups)
        )
        # Most hold floats side by side and nothing else: what else there might be costs them nothing.
        alone = len(self._groups) == 1 and not self._picks_bytes and layout.counts["f8"] == len(channels)
        self._plain = self._groups[0] if alone and self._groups[0].plain else None
        self._of_kind = {kind: np.array(layout.of_kind(kind), dtype=np.intp) for kind in ("f8", "i8", "u8")}

    def decode(self, answers: Sequence[bytes | int]) -> Columns:
        """Decode one row.

        Args:
            answers: for each block its data bytes, of the length that the plan asks for, or the `Status` code
                that says why there are none.
        """
        if self._plain is not None:
            row = self._decode_plain(self._plain, answers)
            if row is not None:
                return row
        whole = [isinstance(answer, bytes) for answer in answers]
        if all(whole):
            data = b"".join(answers)  # type: ignore[arg-type]
            status = np.zeros(len(self._block_of), dtype=np.uint8)
        else:
            pairs = list(zip(answers, self._sizes, strict=True))
            data = b"".join(bytes(size) if isinstance(one, int) else one for one, size in pairs)
            reasons = [one if isinstance(one, int) else Status.GOOD for one in answers]
            status = np.array(reasons, dtype=np.uint8)[self._block_of]
        raw = np.frombuffer(data, dtype=np.uint8) if self._picks_bytes else _NO_BYTES
        counts = self.layout.counts
        columns = Columns(
            status.reshape(-1, 1),
            np.zeros((counts["f8"], 1)),
            np.zeros((counts["i8"], 1), dtype=np.int64) if counts["i8"] else _NO_I8,
            np.zeros((counts["u8"], 1), dtype=np.uint64) if counts["u8"] else _NO_U8,
            tuple((self._text(text, raw, status),) for text in self._texts) if self._texts else (),
        )
        for group in self._groups:
            group.decode(data, raw, status, getattr(columns, group.kind))
        if self._bits is not None:
            columns.i8[self._bits.slots, 0] = (raw[self._bits.bytes] >> self._bits.shifts) & 1
        if np.count_nonzero(status):
            self._blank(status, columns)
        return columns

    def _decode_plain(self, floats: NumberGroup, answers: Sequence[bytes | int]) -> Columns | None:
        """Decode a row of floats alone that all blocks answered; None where one is missing or may be NaN."""
        try:
            values = floats.decode_plain(b"".join(answers))  # type: ignore[arg-type]
        except TypeError:
            return None  # a status in the place of bytes
        if values is None:
            return None
        return Columns(np.zeros((len(values), 1), dtype=np.uint8), values, _NO_I8, _NO_U8, ())

    def _blank(self, status: NDArray[np.uint8], columns: Columns) -> None:
        """Leave no number where there is no value."""
        columns.f8[status[self._of_kind["f8"]] != Status.GOOD] = np.nan
        columns.i8[status[self._of_kind["i8"]] != Status.GOOD] = 0
        columns.u8[status[self._of_kind["u8"]] != Status.GOOD] = 0

    def _text(self, text: _Text, raw: NDArray[np.uint8], status: NDArray[np.uint8]) -> str | None:
        """Read a string up to its first NUL; one of NULs alone is a value that the device does not have."""
        if status[text.channel] != Status.GOOD:
            return None
        characters = raw[text.gather].tobytes().split(b"\0", 1)[0]
        try:
            found = characters.decode("utf-8").strip()
        except UnicodeDecodeError:
            status[text.channel] = Status.WRONG_ANSWER
            return None
        if not found:
            status[text.channel] = Status.UNAVAILABLE
            return None
        return found


class _Places:
    """Where each channel's bytes lie in the joined answers."""

    def __init__(
        self, channels: Sequence[ModbusChannel], blocks: Sequence[ReadBlock], sizes: Sequence[int]
    ) -> None:
        self.block_of = [0] * len(channels)
        self.first_byte = [0] * len(channels)
        self.bit_in_byte = [0] * len(channels)
        self.factor_byte = [-1] * len(channels)
        start = 0
        for number, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
            for position in block.channels:
                channel = channels[position]
                self.block_of[position] = number
                distance = channel.address - block.address
                self.first_byte[position] = start + (distance // 8 if channel.bitwise else 2 * distance)
                self.bit_in_byte[position] = distance % 8
                if channel.scale_factor is not None:
                    self.factor_byte[position] = start + 2 * (channel.scale_factor - block.address)
            start += size


def _texts(channels: Sequence[ModbusChannel], places: _Places) -> list[_Text]:
    texts = []
    for position, channel in enumerate(channels):
        if channel.type == "string":
            # Characters stand in reading order: only the bytes of each register may be swapped.
            low, high = byte_offsets(1, channel.order)
            starts = np.arange(channel.registers, dtype=np.intp) * 2 + places.first_byte[position]
            texts.append(_Text(position, (starts[:, None] + np.array([high, low], dtype=np.intp)).ravel()))
    return texts


def _bits(channels: Sequence[ModbusChannel], layout: Layout, places: _Places) -> _Bits | None:
    positions = [position for position, channel in enumerate(channels) if channel.type == "bool"]
    if not positions:
        return None
    where, shifts = [], []
    for position in positions:
        channel = channels[position]
        if channel.bit is None:
            where.append(places.first_byte[position])
            shifts.append(places.bit_in_byte[position])
        else:
            where.append(places.first_byte[position] + byte_offsets(1, channel.order)[channel.bit // 8])
            shifts.append(channel.bit % 8)
    return _Bits(
        np.array([layout.slots[position] for position in positions], dtype=np.intp),
        np.array(where, dtype=np.intp),
        np.array(shifts, dtype=np.uint8),
    )
