"""What is known of a gateway's last moments, on a machine that may be busy with other things.

The promise speaks of an answer half a second before the end, and of a disk that syncs within 200 ms. So the
end is the moment at which the process kills itself, as it writes down; the half second does not count the
time in which its threads waited for a processor (`/proc/PID/task/*/schedstat`, second number: ns of waiting),
nor a sync that took the disk longer. On a quiet machine all this is nothing.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.journal.disk import RealDisk

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPT_NS = 500_000_000
SYNC_NS = 200_000_000
WINDOW_NS = 1_500_000_000
SAMPLE_NS = 100_000_000
SLOTS = 256
_SYNC = struct.Struct("<qq")
_END_AT = SLOTS * _SYNC.size


class BlackBox:
    """A file that outlives the process: when it ended, and its latest syncs of journal segments.

    Made by the parent, opened by the child, read by the parent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """In the parent, before the child begins."""
        self.path.write_bytes(bytes(_END_AT + _SYNC.size))

    def carry(self) -> Callable[[], None]:
        """In the child: note every sync of a segment from now on; returns what notes the end."""
        descriptor = os.open(self.path, os.O_WRONLY)
        sync, slots = RealDisk.sync, itertools.cycle(range(SLOTS))

        def noted(disk: RealDisk, path: Path) -> None:
            if path.suffix != ".seg":
                sync(disk, path)
                return
            at, began_ns = next(slots) * _SYNC.size, time.time_ns()
            os.pwrite(descriptor, _SYNC.pack(began_ns, 0), at)
            sync(disk, path)
            os.pwrite(descriptor, _SYNC.pack(began_ns, time.time_ns()), at)

        RealDisk.sync = noted  # type: ignore[method-assign, assignment]

        def end() -> None:
            os.pwrite(descriptor, _SYNC.pack(time.time_ns(), 0), _END_AT)

        return end

    def end_ns(self) -> int:
        """When the process ended itself; 0 when it did not."""
        return int(_SYNC.unpack_from(self.path.read_bytes(), _END_AT)[0])

    def unaccepted_from_ns(self, end_ns: int, waited_ns: int) -> int:
        """From when on an answer may not have been accepted at the end.

        Args:
            end_ns: of the process, or a moment before it.
            waited_ns: for which its threads waited for a processor in the last moments.
        """
        data = self.path.read_bytes()
        syncs = sorted(pair for at in range(SLOTS) if (pair := _SYNC.unpack_from(data, at * _SYNC.size))[0])
        from_ns = end_ns - ACCEPT_NS - waited_ns
        for began_ns, ended_ns in reversed(syncs):
            took_ns = (ended_ns or end_ns) - began_ns
            if took_ns > SYNC_NS and began_ns + took_ns >= from_ns:
                from_ns = min(from_ns, began_ns - (ACCEPT_NS - SYNC_NS) - waited_ns)
        return from_ns


class Waiting:
    """How long a process has waited for a processor lately: sampled now and then by its parent."""

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._samples: deque[tuple[int, int]] = deque(maxlen=1 + 2 * WINDOW_NS // SAMPLE_NS)

    def sample(self) -> None:
        """Take a sample, if it is time."""
        now_ns = time.time_ns()
        if self._samples and now_ns - self._samples[-1][0] < SAMPLE_NS:
            return
        with suppress(OSError):  # a thread, or all of it, may end meanwhile
            waited_ns = sum(int((one / "schedstat").read_bytes().split()[1]) for one in self._tasks.iterdir())
            self._samples.append((now_ns, waited_ns))

    def before_ns(self, end_ns: int) -> int:
        """Time waited in the last moments before an end; what was not looked at counts as waited."""
        samples = [one for one in self._samples if one[0] <= end_ns]
        if not samples:
            return WINDOW_NS
        first = next(one for one in samples if one[0] >= end_ns - WINDOW_NS or one is samples[-1])
        unseen_ns = max(0, end_ns - samples[-1][0] - 2 * SAMPLE_NS)
        return max(0, samples[-1][1] - first[1]) + unseen_ns
