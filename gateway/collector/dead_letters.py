"""What no store will ever take, in a file that a person can read: one JSON object a line, durable."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class DeadLetters:
    """An append-only file of JSON lines.

    Bounded by `bytes_max`; full policy: nothing is added, `append` says so, and the records get no receipt,
    so that they stay at their gateway until a person has looked.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self.count = 0
        """Letters since this process started."""

    async def append(self, letters: Sequence[dict[str, Any]]) -> bool:
        """Add letters and return once they are on the medium: True. False when the file is full.

        Raises:
            OSError: it cannot be written; whole lines that a failed call left behind do no harm.
        """
        if not letters:
            return True
        return await asyncio.to_thread(self._append, letters)

    def _append(self, letters: Sequence[dict[str, Any]]) -> bool:
        data = b"".join(orjson.dumps(letter) + b"\n" for letter in letters)
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                size = os.fstat(descriptor).st_size
                if size + len(data) > self._bytes_max:
                    return False
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    data = b"\n" + data  # the last run was cut off in mid-line
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                self._sync_folder()
            self.count += len(letters)
        return True

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
