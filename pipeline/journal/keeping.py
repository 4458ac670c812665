"""The key of an open journal, and its change: the old one signs the new one, in the log, before it goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.journal.start import sign_anew
from pipeline.journal.succession import KeyChain, succession_note
from pipeline.records.signing import SigningKey, next_key_path, take_over

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.journal.opening import Opened


class KeyKeeper:
    """Holds the key that seals now, and puts another one in its place.

    A crash at any moment leaves one key that the records name: until the record of kind `key` is durable the
    old one, from then on the new one, whose file the next start puts in place if this one did not.
    """

    def __init__(self, disk: Disk, directory: Path, opened: Opened, executor: Executor) -> None:
        self.key = opened.key
        """Seals from now on."""
        self.successions = list(opened.found.fold.successions)
        """Seq and note of each change of key; the last one may not be durable yet."""
        self._disk, self._directory, self._executor = disk, directory, executor
        self._meta, self._path = opened.meta, opened.key_path
        self._next = next_key_path(self._path)

    @property
    def chain(self) -> KeyChain:
        """All keys that the log has had."""
        return KeyChain(self.key.public, self.successions)

    @property
    def since(self) -> int:
        """Seq of the record that brought the key that seals now; -1: it is the first one."""
        return self.successions[-1][0] if self.successions else -1

    async def heir(self) -> SigningKey | None:
        """Return the key that a person has put beside this one; None when there is none.

        Raises:
            PermissionError, ValueError, OSError: see `SigningKey.load_or_create`.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read_heir)

    def _read_heir(self) -> SigningKey | None:
        # Loading would make a key where there is none.
        return SigningKey.load_or_create(self._next) if self._next.exists() else None

    def succession(self, origin: str, heir: SigningKey) -> str:
        """Write the note for the record that changes the key; then call `changed` without waiting."""
        return succession_note(origin, self.key, heir)

    def changed(self, seq: int, note: str, heir: SigningKey) -> None:
        """Seal with the new key from now on: the record `seq` says so."""
        self.successions.append((seq, note))
        self.key = heir

    async def settle(self) -> None:
        """Put the new key's file in place, once its record is durable; the old is gone. Raises OSError."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._settle)

    def _settle(self) -> None:
        take_over(self._path)
        sign_anew(self._disk, self._directory, self._meta, self.key)
