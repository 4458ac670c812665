"""Legal holds: what must not be let go, whatever its age, until a person releases it."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import orjson

from pipeline.journal.disk import Disk, RealDisk, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDS_NAME = "holds.json"
LOCK_NAME = "holds.lock"


class HoldsError(Exception):
    """The file of holds cannot be read: nothing may be let go; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Records that are held."""

    id: str
    journal: str
    """Hex of its id; "" holds every journal."""
    from_seq: int
    to_seq: int | None
    """None: to the end."""
    reason: str
    by: str
    at_utc_ns: int
    released_by: str = ""
    released_reason: str = ""
    released_utc_ns: int = 0
    """0: in force. A hold that was released stays in the file: who let it go, when and why."""

    def covers(self, journal: bytes, first: int, last: int) -> bool:
        """Whether any record of a span is held."""
        ours = self.journal in {"", journal.hex()}
        return ours and last >= self.from_seq and (self.to_seq is None or first <= self.to_seq)


class Holds:
    """The holds of one archive, read anew at each call: the command line writes beside the collector."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._path = folder / HOLDS_NAME
        self._lock = folder / LOCK_NAME
        self._disk = RealDisk() if disk is None else disk

    @contextmanager
    def unchanged(self) -> Iterator[list[Hold]]:
        """Give the holds in force, which nobody changes meanwhile: who wants to waits. Raises as `all`."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.all()
        finally:
            os.close(descriptor)

    def all(self) -> list[Hold]:
        """Return every hold in force. Raises HoldsError, OSError."""
        return [hold for hold in self.ever() if not hold.released_utc_ns]

    def ever(self) -> list[Hold]:
        """Return every hold that there was, in the order in which they were made. Raises as `all`."""
        if self._disk.size(self._path) < 0:
            return []
        try:
            return [Hold(**one) for one in orjson.loads(self._disk.read(self._path))]
        except (ValueError, TypeError) as error:
            raise HoldsError(f"{self._path} is damaged ({error}); restore it from a backup") from error

    def add(self, hold: Hold) -> None:
        """Hold records, durably. Raises HoldsError, OSError; ValueError for an id that is or was taken."""
        with self.unchanged():
            holds = self.ever()
            if any(one.id == hold.id for one in holds):
                raise ValueError(f"there is a hold '{hold.id}' already, or there was")
            self._write([*holds, hold])

    def release(self, identifier: str, by: str, reason: str, at_utc_ns: int) -> Hold:
        """End a hold, durably. Raises KeyError where none is in force, HoldsError, OSError."""
        with self.unchanged() as holds:
            held = next((one for one in holds if one.id == identifier), None)
            if held is None:
                raise KeyError(identifier)
            released = replace(held, released_by=by, released_reason=reason, released_utc_ns=at_utc_ns)
            self._write([released if one == held else one for one in self.ever()])
            return released

    def _write(self, holds: list[Hold]) -> None:
        content = orjson.dumps([asdict(one) for one in holds], option=orjson.OPT_INDENT_2)
        write_whole(self._disk, self._path, content)
