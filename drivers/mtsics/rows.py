"""Lines of a balance become rows: `weight` in the unit and with the decimals of the line, `stable` 0 or 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.mtsics.lines import ErrorLine, WeightLine
from pipeline.records import Block, Channel, Layout, Status

if TYPE_CHECKING:
    from drivers.mtsics.lines import Line
    from drivers.mtsics.settings import MtsicsSettings
    from drivers.transport.wire import Stamp

_STATUS = {"I": Status.UNSTABLE, "+": Status.OVERRANGE, "-": Status.UNDERRANGE}
"""What an `S` line without a value means; every other one is an error of the device."""


def status_of(line: Line) -> Status:
    """Return the status of the values of a row."""
    if isinstance(line, WeightLine):
        return Status.GOOD
    if isinstance(line, ErrorLine):
        return Status.DEVICE_ERROR
    return _STATUS.get(line.status, Status.DEVICE_ERROR)


class Rows:
    """The layout in force, and the blocks made with it."""

    def __init__(self, settings: MtsicsSettings) -> None:
        self._settings = settings
        weight = settings.channel("weight")
        self.layout = self._layout(weight.unit, weight.decimals)

    def _layout(self, unit: str, decimals: int | None) -> Layout:
        weight, stable = self._settings.channel("weight"), self._settings.channel("stable")
        # The range is stated in the unit of the settings: under another unit there is none.
        ranged = weight.unit in {"", unit}
        return Layout((
            Channel("weight", "f8", unit, decimals, *((weight.low, weight.high) if ranged else (None, None))),
            Channel("stable", "i8", "", 0, stable.low, stable.high, ((0, "dynamic"), (1, "stable"))),
        ))  # fmt: skip

    def kept(self) -> tuple[str, int | None]:
        """Return unit and decimals of the weight now, for `restore`."""
        return self.layout.channels[0].unit, self.layout.channels[0].decimals

    def restore(self, kept: tuple[str, int | None]) -> None:
        """Have the layout that another one had."""
        self.layout = self._layout(*kept)

    def row(self, line: Line | None, status: int, raw: bytes, request: Stamp, response: Stamp) -> Block:
        """Return one row, stamped in the middle between `request` and `response`.

        Args:
            line: what the balance said; only a weight has values.
            status: why there is no value; GOOD with a weight.
            raw: the balance's line without its end.
            request: when the request was written; equals `response` for a line that nobody asked for.
            response: when the answer was complete, or waiting for it ended.
        """
        weight = line if isinstance(line, WeightLine) and status == Status.GOOD else None
        if weight is not None:
            channel = self.layout.channels[0]
            if (channel.unit, channel.decimals) != (weight.unit, weight.decimals):
                self.layout = self._layout(weight.unit, weight.decimals)
        half_ns = (response.run_ns - request.run_ns) // 2
        return Block(
            instrument=self._settings.id,
            layout=self.layout,
            t_utc_ns=np.array(
                [response.utc_ns - (response.run_ns - request.run_ns - half_ns)], dtype=np.int64
            ),
            t_run_ns=np.array([request.run_ns + half_ns], dtype=np.int64),
            t_request_ns=np.array([request.run_ns], dtype=np.int64),
            t_response_ns=np.array([response.run_ns], dtype=np.int64),
            status=np.full((2, 1), status, dtype=np.uint8),
            f8=np.array([[np.nan if weight is None else weight.value]]),
            i8=np.array([[0 if weight is None else int(weight.stable)]], dtype=np.int64),
            u8=np.zeros((0, 1), dtype=np.uint64),
            raw=(raw,) if self._settings.keep_raw else None,
        )
