"""One exchange as the simulator itself knows it, and the book in which it is noted."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

ChannelValue = float | int | None
"""A decoded value; None when the answer carries none (sentinel, exception, spoilt frame)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what the instrument made of it.

    `request` is None for an unsolicited line, `answer` is None when deliberately none is given.
    `values` holds the numbers that the answer's bytes carry, by channel, for a reading.
    """

    instrument: str
    unit: int | None
    request: bytes | None
    answer: bytes | None
    values: Mapping[str, ChannelValue] = field(default_factory=dict)
    fault: str | None = None
    delay_s: float = 0.0


class AnswerBook:
    """Counts exchanges and, when it has a path, appends each as one line of JSON.

    The line is handed to the kernel, by one write to a file opened for appending, before the answer
    itself is: whatever a client received is in the file even if this process is killed. Memory is
    bounded: nothing is kept but one counter for each instrument.
    """

    def __init__(self, path: Path | None) -> None:
        self._fd: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.answered: Counter[str] = Counter()
        self.silent: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, exchange: Exchange) -> None:
        """Note an exchange; call it immediately before the answer is written."""
        (self.silent if exchange.answer is None else self.answered)[exchange.instrument] += 1
        if self._fd is None:
            return
        line = json.dumps(
            {
                "instrument": exchange.instrument,
                "unit": exchange.unit,
                "t_utc_ns": time.time_ns(),
                "t_boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                "request": None if exchange.request is None else exchange.request.hex(),
                "answer": None if exchange.answer is None else exchange.answer.hex(),
                "values": exchange.values,
                "fault": exchange.fault,
            },
            separators=(",", ":"),
            # A NaN or an infinity never reaches this point: the decoder gives None for them.
            allow_nan=False,
        )
        os.write(self._fd, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
