"""A clock that the hands of a demonstration can set, without touching the machine's."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING

from pipeline.records import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

CLOCK_FILE = "clock"
"""Beside the site file: by how much the clock was set, ns, as an int64."""
_OFFSET = struct.Struct("<q")


class SettableClock(SystemClock):
    """The machine's clock, but that its UTC can be set; gateway time is nobody's to set.

    Args:
        path: file that says by how much it was set; made when it is not there. Whoever writes there sets
            the clock of all that read it.
    """

    def __init__(self, path: Path) -> None:
        """Map the file."""
        super().__init__()
        with path.open("a+b") as file:
            if file.tell() < _OFFSET.size:
                file.truncate(_OFFSET.size)
            self._file = mmap.mmap(file.fileno(), _OFFSET.size)

    def utc_ns(self) -> int:
        """UTC as it was set, ns."""
        return super().utc_ns() + self.set_ns

    @property
    def set_ns(self) -> int:
        """By how much it was set in all, ns."""
        offset_ns: int = _OFFSET.unpack_from(self._file)[0]
        return offset_ns

    def step(self, by_ns: int) -> None:
        """Set it by so many ns more."""
        _OFFSET.pack_into(self._file, 0, self.set_ns + by_ns)
