"""Room on the disk, kept ready: the next segment, and a reserve so that a full disk can still be recorded."""

from __future__ import annotations

import errno
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.journal.settings import JournalSettings

LOG = logging.getLogger(__name__)
PREPARED_NAME = "prepared.new"
"""The next segment: all zeros. A start removes what ends in .new."""
RESERVE_NAME = "reserve"
RESERVE_BYTES_MAX = 16 * 2**20
FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})

Reserve = Literal["none", "held", "used"]


class Space:
    """Prepares files in the background; the commit thread takes them.

    Thread-safe: `claim` and `use_reserve` are for the commit thread, `prepare` for the background one. Only
    `use_reserve`, for which the disk is full anyway, waits for files being made.
    """

    def __init__(self, disk: Disk, directory: Path, settings: JournalSettings) -> None:
        """Have nothing prepared yet."""
        self.reserve: Reserve = "none"
        """Whether the reserve lies on the disk; "used" while the disk was found full."""
        self.short = False
        """Whether the disk has too little room for what is kept ready."""
        self.prepared_bytes = 0
        """Size of the prepared segment; 0 when there is none."""
        self._making = threading.Lock()
        self._disk = disk
        self._directory = directory
        self._segment_bytes = settings.file_bytes
        self._reserve_bytes = min(RESERVE_BYTES_MAX, settings.file_bytes)

    @property
    def bytes(self) -> int:
        """What the prepared files take."""
        return self.prepared_bytes + (self._reserve_bytes if self.reserve == "held" else 0)

    @property
    def room_bytes(self) -> int:
        """What has to be free on a disk that was full before rows are taken again.

        As much for them as for the reserve, so that it is not full again at once.
        """
        return 2 * self._reserve_bytes

    def prepare(self) -> None:
        """Have the reserve and the next segment ready, as far as the disk has room. Raises OSError."""
        with self._making:
            try:
                self.short = not self._prepare()
            except OSError as error:
                self.short = error.errno in FULL_ERRORS
                raise

    def _prepare(self) -> bool:
        if self.reserve == "used" and self._disk.free_bytes(self._directory) < self.room_bytes:
            return False
        if self.reserve != "held":
            self._make(RESERVE_NAME, self._reserve_bytes)
            self.reserve = "held"
        if not self.prepared_bytes:
            if self._disk.free_bytes(self._directory) < self._segment_bytes:
                return False  # to try takes, for a moment, the room in which rows are written
            self._make(PREPARED_NAME, self._segment_bytes)
            self.prepared_bytes = self._segment_bytes
        return True

    def _make(self, name: str, size: int) -> None:
        path = self._directory / name
        self._disk.create(path)
        try:
            self._disk.allocate(path, size)
            self._disk.sync(path)
        except OSError:
            with suppress(OSError):
                self._disk.remove(path)
            raise
        finally:
            self._disk.close(path)

    def claim(self, target: Path) -> bool:
        """Give the prepared file the name of a segment; false when none is ready. Raises OSError."""
        if not self.prepared_bytes:
            return False
        try:
            self._disk.replace(self._directory / PREPARED_NAME, target)
        finally:
            # Not before the rename: `prepare` would make the next file under the name that is being taken.
            # Whether a rename that fails was done, nobody knows: the file is not counted on again.
            self.prepared_bytes = 0
        return True

    def close(self) -> None:
        """Give back what was prepared; the reserve stays."""
        with suppress(OSError):
            if self.prepared_bytes:
                self._disk.remove(self._directory / PREPARED_NAME)
        self.prepared_bytes = 0

    def use_reserve(self) -> bool:
        """Free the reserve (and the prepared segment), the disk being full; false when there was none."""
        with self._making:
            held = self.reserve == "held"
            self.reserve = "used"
            self.prepared_bytes = 0
            for name in (RESERVE_NAME, PREPARED_NAME):
                with suppress(OSError):
                    self._disk.remove(self._directory / name)
        with suppress(OSError):
            self._disk.sync_directory(self._directory)
        return held
