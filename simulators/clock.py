"""The two clocks of a running scenario."""

from __future__ import annotations

import time

NS_PER_S = 1_000_000_000


def to_ns(t_s: float) -> int:
    """Convert seconds to integer nanoseconds."""
    return round(t_s * NS_PER_S)


class ScenarioClock:
    """Scenario time: nanoseconds since the scenario began, on the boot-time clock.

    The boot-time clock is used because it neither steps with UTC nor stops in suspend.
    """

    def __init__(self) -> None:
        self._start_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def now_ns(self) -> int:
        """Return the scenario time in ns."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._start_ns

    def rewind(self) -> None:
        """Let the scenario begin now: its time becomes zero."""
        self._start_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
