"""The one injected clock: UTC for stamps, gateway time for everything else.

Gateway time `run_ns` is the boot-time clock plus an offset that the journal fixes at start, so that it
strictly increases for the journal's life. UTC is for stamps and display only: it may step.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CLOCK_BOOTTIME = 7
"""Linux clock id: monotonic, counts through suspend (clock_gettime(2)). `time.CLOCK_BOOTTIME` needs 3.7+."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """How far UTC can be trusted at an instant."""

    synchronised: bool
    error_ns: int
    """Estimated error of UTC in ns; -1 when the system does not say."""

    def pack(self) -> list[int]:
        """Encode for the record envelope: [synchronised, error_ns]."""
        return [int(self.synchronised), self.error_ns]


class Clock(Protocol):
    """Where every part of the gateway gets its time from."""

    def utc_ns(self) -> int:
        """UTC in ns since 1970-01-01; may step."""
        ...

    def run_ns(self) -> int:
        """Gateway time in ns; never runs backward within the journal's life."""
        ...

    def state(self) -> ClockState:
        """State of clock synchronisation now."""
        ...


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); only the leading fields are read, the rest is room for the kernel."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_char * 160),
    )


_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_TIMESYNCD_AGE_MAX_S = 2 * 2048
_STATE_PERIOD_NS = 1_000_000_000


class SystemClock:
    """The machine's clock, shifted into gateway time.

    Args:
        offset_ns: added to CLOCK_BOOTTIME; fixed by the journal at start.
    """

    def __init__(self, offset_ns: int = 0) -> None:
        """Keep the offset; read nothing yet."""
        self.offset_ns = offset_ns
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._state = ClockState(synchronised=False, error_ns=-1)
        self._state_read_ns = -_STATE_PERIOD_NS

    def utc_ns(self) -> int:
        """UTC now, ns."""
        return time.time_ns()

    def run_ns(self) -> int:
        """Gateway time now, ns."""
        return time.clock_gettime_ns(CLOCK_BOOTTIME) + self.offset_ns

    def state(self) -> ClockState:
        """Read adjtimex(2), at most once a second: it is attached to every record."""
        now_ns = self.run_ns()
        if now_ns - self._state_read_ns >= _STATE_PERIOD_NS:
            self._state_read_ns = now_ns
            self._state = self._read_state()
        return self._state

    def _read_state(self) -> ClockState:
        timex = _Timex()
        answer = self._libc.adjtimex(ctypes.byref(timex))
        if answer < 0:
            return _state_by_timesyncd()
        unsynchronised = answer == _TIME_ERROR or bool(timex.status & _STA_UNSYNC)
        return ClockState(synchronised=not unsynchronised, error_ns=timex.esterror * 1000)


def _state_by_timesyncd() -> ClockState:
    """What systemd-timesyncd leaves on disk, where the unit's system-call filter forbids adjtimex(2).

    The file is touched at each synchronisation (systemd-timesyncd.service(8)); a younger one than two of its
    longest poll intervals says that UTC is still disciplined, and nothing of the error.
    """
    try:
        age_s = time.time() - _TIMESYNCD.stat().st_mtime
    except OSError:
        return ClockState(synchronised=False, error_ns=-1)
    return ClockState(synchronised=0 <= age_s <= _TIMESYNCD_AGE_MAX_S, error_ns=-1)


class OffsetClock:
    """Any clock, shifted into gateway time: UTC and its state are the base's own.

    Args:
        base: the clock that is shifted.
        offset_ns: added to the base's `run_ns`; fixed for a boot.
    """

    def __init__(self, base: Clock, offset_ns: int) -> None:
        """Keep both; read nothing yet."""
        self.base = base
        self.offset_ns = offset_ns

    def utc_ns(self) -> int:
        """UTC now, ns."""
        return self.base.utc_ns()

    def run_ns(self) -> int:
        """Gateway time now, ns."""
        return self.base.run_ns() + self.offset_ns

    def state(self) -> ClockState:
        """State of clock synchronisation now."""
        return self.base.state()
