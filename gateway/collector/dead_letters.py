"""What no store will ever take, in a file that a person can read: one JSON object a line, durable."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from gateway.durable import write_all, write_durably
from pipeline.records.envelope import decode
from pipeline.store.door import Origin

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pipeline.archive import Archive
    from pipeline.store.door import Store

ID_LENGTH = 12


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


@dataclass(slots=True)
class Requeued:
    """What became of letters that were offered to the store again."""

    stored: list[str]
    """Now in the store, each once, and no longer letters."""
    refused: dict[str, str]
    """Still letters: why."""


async def requeue(
    letters: DeadLetters, chosen: dict[str, dict[str, Any]], archive: Archive, store: Store
) -> Requeued:
    """Write the archived records of letters into the store again; those that it takes are letters no longer.

    Writing is idempotent and a letter goes last: a crash in between stores nothing twice and loses nothing.

    Raises:
        StoreUnavailable: the store is away; nothing was taken out that was not stored.
        ArchiveError, OSError: archive or file cannot be used.
    """
    done = Requeued([], {})
    try:
        for identifier, letter in chosen.items():
            reason = await _requeue_one(letter, archive, store)
            if reason:
                done.refused[identifier] = reason
            else:
                done.stored.append(identifier)
    finally:
        if done.stored:
            await asyncio.to_thread(letters.take_out, frozenset(done.stored))
    return done


async def _requeue_one(letter: dict[str, Any], archive: Archive, store: Store) -> str:
    """Return why a letter stays one; "" when its record is stored now."""
    try:
        journal, seq = bytes.fromhex(letter["journal"]), int(letter["seq"])
    except (KeyError, ValueError, TypeError):
        return "it is no record, only bytes that somebody sent: there is nothing to store"
    versions = await archive.read(journal, seq)
    if len(versions) != 1:
        return (
            "its record is not in the archive" if not versions else "it is forked: see yaosu archive verify"
        )
    record = decode(versions[0].data)
    report = await store.write(Origin(*versions[0].origin), [record])
    return "; ".join(dict.fromkeys(dead.reason for dead in report.dead))
