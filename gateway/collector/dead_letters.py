"""What no store will ever take, in a file that a person can read: one JSON object a line, durable."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from gateway.durable import write_all, write_durably

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

ID_LENGTH = 12
PIECE_BYTES = 1024 * 1024


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
        """Letters in the file, once `count_those_there` was called."""

    def count_those_there(self) -> None:
        """Count what earlier runs have left. Raises OSError."""
        with self._lock, suppress(FileNotFoundError), self._path.open("rb") as file:
            self.count = sum(piece.count(b"\n") for piece in iter(partial(file.read, PIECE_BYTES), b""))

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
                write_all(descriptor, data)
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

    def take_out(self, identifiers: Collection[str]) -> None:
        """Remove letters that were dealt with, durably. Raises OSError: then all stay."""
        with self._lock:
            lines = self._path.read_bytes().splitlines()
            kept = [line for line in lines if letter_id(line) not in identifiers]
            write_durably(self._path, b"".join(line + b"\n" for line in kept), mode=0o640)
            self.count = max(0, self.count - (len(lines) - len(kept)))


def letter_id(line: bytes) -> str:
    """Name a letter: the begin of its SHA-256."""
    return hashlib.sha256(line).hexdigest()[:ID_LENGTH]


def read_letters(path: Path) -> dict[str, dict[str, Any]]:
    """Read every whole letter by its id, in order; none where there is no file. Raises OSError."""
    letters: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                letter = orjson.loads(line)
                if isinstance(letter, dict):
                    letters[letter_id(line)] = letter
    return letters
